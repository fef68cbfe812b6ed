package minio_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/secure-io/sio-go"
	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/chacha20poly1305"
)

// The algorithms of the admin API's envelope: salt 32 B | algorithm 1 B | nonce 8 B
// | stream.
const (
	argonAES byte = iota
	argonChaCha
	pbkdf2AES
)

func aead(algorithm byte, secret string, salt []byte) (cipher.AEAD, error) {
	var key []byte
	switch algorithm {
	case argonAES, argonChaCha:
		key = argon2.IDKey([]byte(secret), salt, 1, 64*1024, 4, 32)
	case pbkdf2AES:
		var err error
		if key, err = pbkdf2.Key(sha256.New, secret, salt, 8192, 32); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("algorithm %#x", algorithm)
	}
	if algorithm == argonChaCha {
		return chacha20poly1305.New(key)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// seal puts a message in the envelope that clients send.
func seal(t *testing.T, algorithm byte, secret string, text []byte) []byte {
	t.Helper()
	salt, nonce := make([]byte, 32), make([]byte, 8)
	_, _ = rand.Read(salt)
	_, _ = rand.Read(nonce)
	a, err := aead(algorithm, secret, salt)
	ok(t, err)
	out := bytes.NewBuffer(append(append(salt, algorithm), nonce...))
	w := sio.NewStream(a, sio.BufSize).EncryptWriter(out, nonce, nil)
	_, err = w.Write(text)
	ok(t, errors.Join(err, w.Close()))
	return out.Bytes()
}

// unseal reads the envelope that servers answer with.
func unseal(t *testing.T, secret string, sealed []byte) []byte {
	t.Helper()
	if len(sealed) < 41 {
		t.Fatalf("an envelope of %d bytes: %q", len(sealed), sealed)
	}
	a, err := aead(sealed[32], secret, sealed[:32])
	ok(t, err)
	text, err := io.ReadAll(sio.NewStream(a, sio.BufSize).DecryptReader(bytes.NewReader(sealed[41:]), sealed[33:41], nil))
	ok(t, err)
	return text
}
