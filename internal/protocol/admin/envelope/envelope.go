// Package envelope is the encryption of admin request and response bodies that
// MinIO's clients speak. Both directions are encrypted under the caller's own
// secret key, so that a secret does not cross plain HTTP in the clear.
//
//	+-----------+--------+-----------+----------------------------------+
//	| salt 32 B | id 1 B | nonce 8 B | sealed chunks                    |
//	+-----------+--------+-----------+----------------------------------+
//
//	id 0x00  Argon2id (t=1, m=64 MiB, p=4)     AES-256-GCM
//	id 0x01  Argon2id (t=1, m=64 MiB, p=4)     ChaCha20-Poly1305
//	id 0x02  PBKDF2-SHA256, 8192 iterations    AES-256-GCM
//
// The chunks are the stream format of secure-io/sio-go: 16 KiB of plaintext
// each, the last one shorter (and possibly empty), every chunk followed by its
// 16-byte tag. Chunk i, counted from 1, is sealed with the nonce followed by i as
// a little-endian uint32; its associated data is one flag byte, 0x00 or, for the
// last chunk, 0x80, and the tag of the empty message sealed as chunk 0.
//
// A Reader returns no byte of a chunk before its tag was verified, and reports
// io.EOF only behind the chunk that is marked as the last, so that a stream cut
// short is never taken for a whole one.
//
// Argon2id takes 64 MiB and tens of milliseconds. A Gate lets one derivation run
// at a time and bounds how many of one principal wait. Whoever opens an envelope
// does so only after the caller was authenticated and authorised.
package envelope

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/chacha20poly1305"
)

// Algorithm is how an envelope's key is derived and its chunks are sealed.
type Algorithm byte

// The algorithms, by their number on the wire.
const (
	Argon2AES    Algorithm = 0x00
	Argon2ChaCha Algorithm = 0x01
	PBKDF2AES    Algorithm = 0x02
)

const (
	saltSize   = 32
	nonceSize  = 8
	headerSize = saltSize + 1 + nonceSize
	chunkSize  = 16 << 10 // plaintext bytes of every chunk but the last
	tagSize    = 16
	maxChunks  = 1<<32 - 1 // the chunk number is 32 bits wide and 0 is taken

	keySize          = 32
	argonTime        = 1
	argonMemory      = 64 << 10 // KiB
	argonThreads     = 4
	pbkdf2Iterations = 8192

	flagMore = 0x00
	flagLast = 0x80
)

// ErrSealed says that an envelope does not open: it was made with another
// secret, altered or cut short, or it is none.
var ErrSealed = errors.New("the envelope does not open with the caller's secret key")

// Size returns the length in bytes of the envelope around n bytes.
func Size(n int64) int64 {
	chunks := max(1, (n+chunkSize-1)/chunkSize)
	return headerSize + n + tagSize*chunks
}

// header is the first 41 bytes of an envelope.
type header struct {
	salt      [saltSize]byte
	algorithm Algorithm
	nonce     [nonceSize]byte
}

func parseHeader(b *[headerSize]byte) (header, error) {
	h := header{algorithm: Algorithm(b[saltSize])}
	copy(h.salt[:], b[:saltSize])
	copy(h.nonce[:], b[saltSize+1:])
	if h.algorithm > PBKDF2AES {
		return header{}, fmt.Errorf("envelope of unknown algorithm %#02x: %w", byte(h.algorithm), ErrSealed)
	}
	return h, nil
}

func (h *header) append(b []byte) []byte {
	b = append(b, h.salt[:]...)
	b = append(b, byte(h.algorithm))
	return append(b, h.nonce[:]...)
}

// aead derives the envelope's key from secret.
func (h *header) aead(secret string) (cipher.AEAD, error) {
	if h.algorithm == PBKDF2AES {
		key, err := pbkdf2.Key(sha256.New, secret, h.salt[:], pbkdf2Iterations, keySize)
		if err != nil {
			return nil, fmt.Errorf("derive envelope key: %w", err)
		}
		return newGCM(key)
	}
	key := argon2.IDKey([]byte(secret), h.salt[:], argonTime, argonMemory, argonThreads, keySize)
	if h.algorithm == Argon2ChaCha {
		return chacha20poly1305.New(key)
	}
	return newGCM(key)
}

func newGCM(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("envelope cipher: %w", err)
	}
	return cipher.NewGCM(block)
}

// chunks numbers and seals, or opens, the chunks of one envelope.
type chunks struct {
	aead  cipher.AEAD
	nonce [nonceSize + 4]byte
	data  [1 + tagSize]byte // associated data: flag, tag of the empty chunk 0
	count uint32            // of the latest chunk
}

func newChunks(h *header, aead cipher.AEAD) *chunks {
	c := &chunks{aead: aead}
	copy(c.nonce[:], h.nonce[:])
	aead.Seal(c.data[1:1], c.nonce[:], nil, nil)
	return c
}

// next prepares nonce and associated data of the next chunk.
func (c *chunks) next(last bool) error {
	if c.count == maxChunks {
		return errors.New("envelope of more than 2^32-2 chunks")
	}
	c.count++
	binary.LittleEndian.PutUint32(c.nonce[nonceSize:], c.count)
	c.data[0] = flagMore
	if last {
		c.data[0] = flagLast
	}
	return nil
}

func (c *chunks) seal(dst, plain []byte, last bool) ([]byte, error) {
	if err := c.next(last); err != nil {
		return nil, err
	}
	return c.aead.Seal(dst, c.nonce[:], plain, c.data[:]), nil
}

func (c *chunks) open(dst, sealed []byte, last bool) ([]byte, error) {
	if err := c.next(last); err != nil {
		return nil, err
	}
	plain, err := c.aead.Open(dst, c.nonce[:], sealed, c.data[:])
	if err != nil {
		return nil, ErrSealed
	}
	return plain, nil
}
