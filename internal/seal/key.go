// Package seal keeps the key that identities are sealed with: in a file beside
// the store, in the clear or wrapped by a key service such as Vault Transit.
//
// The file is JSON, readable by its owner alone:
//
//	{"deployment": "…", "generation": 1, "key": "<base64 of 32 bytes>"}
//	{"deployment": "…", "generation": 1, "wrapped": "vault:v1:…", "by": "transit key larder at https://…"}
//
// Whoever has the store and this key has every secret; whoever has only one of
// them has none. Without the key, the identities in the store cannot be read
// again: back it up, and not beside the store's backup. Objects do not depend on
// it.
package seal

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/larder-cache/larder/internal/fault"
)

// KeySize is the length of a key, in bytes.
const KeySize = 32

// Key seals. It implements identity.Sealer: XChaCha20-Poly1305 with a random
// nonce in front, and a key for each purpose that HKDF-SHA256 derives. Its
// methods may be called at once.
type Key struct {
	deployment string
	generation uint64
	secret     []byte
	id         string

	mu      sync.RWMutex // guards ciphers
	ciphers map[string]cipher.AEAD
}

// NewKey makes a key of its secret, KeySize bytes, for a deployment.
func NewKey(deployment string, generation uint64, secret []byte) (*Key, error) {
	if len(secret) != KeySize {
		return nil, fmt.Errorf("a sealing key has %d bytes, not %d", KeySize, len(secret))
	}
	if deployment == "" || generation == 0 {
		return nil, errors.New("a sealing key has a deployment and a generation")
	}
	k := &Key{deployment: deployment, generation: generation, secret: secret, ciphers: map[string]cipher.AEAD{}}
	id, err := k.derive("key id", 8)
	if err != nil {
		return nil, err
	}
	k.id = hex.EncodeToString(id)
	return k, nil
}

// randomKey makes a key for a new deployment.
func randomKey() (*Key, error) {
	var random [KeySize + 10]byte
	_, _ = rand.Read(random[:]) // never fails
	return NewKey(base32.StdEncoding.EncodeToString(random[KeySize:]), 1, random[:KeySize])
}

// Deployment names the installation that the key was made for.
func (k *Key) Deployment() string { return k.deployment }

// Generation counts the keys of a deployment, from 1.
func (k *Key) Generation() uint64 { return k.generation }

// KeyID names the key and reveals nothing of it.
func (k *Key) KeyID() string { return k.id }

// String names the key, so that it never shows its secret.
func (k *Key) String() string { return "seal key " + k.id }

// GoString is String.
func (k *Key) GoString() string { return k.String() }

func (k *Key) derive(purpose string, size int) ([]byte, error) {
	return hkdf.Key(sha256.New, k.secret, []byte(k.deployment), "larder seal: "+purpose, size)
}

func (k *Key) cipher(purpose string) cipher.AEAD {
	k.mu.RLock()
	c := k.ciphers[purpose]
	k.mu.RUnlock()
	if c != nil {
		return c
	}
	key, err := k.derive(purpose, chacha20poly1305.KeySize)
	if err != nil {
		panic("seal: derive a key of 32 bytes: " + err.Error()) // only for lengths that HKDF does not offer
	}
	if c, err = chacha20poly1305.NewX(key); err != nil {
		panic("seal: cipher of a 32-byte key: " + err.Error())
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ciphers[purpose] = c
	return c
}

// Seal encrypts plaintext for a purpose, of a closed set, and binds it to
// associated: nonce (24 bytes), ciphertext, tag (16 bytes).
func (k *Key) Seal(purpose string, plaintext, associated []byte) []byte {
	c := k.cipher(purpose)
	sealed := make([]byte, c.NonceSize(), c.NonceSize()+len(plaintext)+c.Overhead())
	_, _ = rand.Read(sealed) // never fails
	return c.Seal(sealed, sealed, plaintext, associated)
}

// Open is the reverse of Seal. What Seal did not make for the same purpose and
// associated data is fault.Corrupt.
func (k *Key) Open(purpose string, sealed, associated []byte) ([]byte, error) {
	c := k.cipher(purpose)
	if len(sealed) < c.NonceSize() {
		return nil, fault.New(fault.Corrupt, fault.Secret, "")
	}
	plaintext, err := c.Open(nil, sealed[:c.NonceSize()], sealed[c.NonceSize():], associated)
	if err != nil {
		return nil, fault.Wrap(fault.Corrupt, fault.Secret, "", err)
	}
	return plaintext, nil
}
