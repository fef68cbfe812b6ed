package app

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// sealKeySize is the length of the key that seals secrets at rest, in bytes.
const sealKeySize = 32

// sealKey is the key in DIR/seal.key: 32 random bytes, mode 0600. It is made if
// fresh, when nothing is sealed yet; later its absence is an error, since another
// key would open nothing.
func sealKey(dir string, fresh bool) ([]byte, error) {
	path := filepath.Join(dir, "seal.key")
	key, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && fresh:
		key = make([]byte, sealKeySize)
		_, _ = rand.Read(key) // never fails
		return key, writeSecret(path, key)
	case err != nil:
		return nil, fmt.Errorf("seal key: %w: restore it from a backup; without it the secrets of users cannot be read", err)
	case len(key) != sealKeySize:
		return nil, fmt.Errorf("seal key %s has %d bytes instead of %d: restore it from a backup; without it the secrets of users cannot be read", path, len(key), sealKeySize)
	}
	return key, nil
}
