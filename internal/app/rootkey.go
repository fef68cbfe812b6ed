package app

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/larder-cache/larder/internal/atomicfile"
	"github.com/larder-cache/larder/internal/iam"
)

// RootKey is the key of the root user.
type RootKey struct {
	User   string
	Secret iam.Secret
}

// rootFile is root.json in the data directory, mode 0600.
type rootFile struct {
	AccessKey string `json:"accessKey"`
	SecretKey string `json:"secretKey"`
}

func rootPath(dir string) string { return filepath.Join(dir, "root.json") }

// LoadRoot reads the root key that a data directory keeps. It is fs.ErrNotExist
// if none was made there.
func LoadRoot(dir string) (RootKey, error) {
	content, err := os.ReadFile(rootPath(dir))
	if errors.Is(err, fs.ErrPermission) {
		return RootKey{}, fmt.Errorf("root key: %w: only the user that the server runs as reads it, and root", err)
	}
	if err != nil {
		return RootKey{}, fmt.Errorf("root key: %w", err)
	}
	var file rootFile
	if err := json.Unmarshal(content, &file); err != nil {
		return RootKey{}, fmt.Errorf("root key %s: %w; 'larder reset-root' makes a new one", rootPath(dir), err)
	}
	if len(file.AccessKey) < 3 || len(file.SecretKey) < 8 {
		return RootKey{}, fmt.Errorf("root key %s: accessKey has at least 3 characters and secretKey at least 8; 'larder reset-root' makes a new one", rootPath(dir))
	}
	return RootKey{User: file.AccessKey, Secret: iam.Secret(file.SecretKey)}, nil
}

// ResetRoot makes a new random root secret and keeps it in the data directory.
func ResetRoot(dir string) (RootKey, error) {
	key := RootKey{User: "root", Secret: randomSecret()}
	content, err := json.MarshalIndent(rootFile{key.User, key.Secret.Reveal()}, "", "  ") //nolint:gosec // G117: this file is where the secret lives
	if err != nil {
		return RootKey{}, err
	}
	return key, atomicfile.Replace(rootPath(dir), append(content, '\n'), 0o600)
}

// rootKey is the configured root key, or else the one that the data directory
// keeps; made is true if it had to be made.
func rootKey(cfg *Config) (key RootKey, made bool, err error) {
	if cfg.RootUser != "" {
		return RootKey{User: cfg.RootUser, Secret: cfg.RootPassword}, false, nil
	}
	key, err = LoadRoot(cfg.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		key, err = ResetRoot(cfg.Dir)
		return key, true, err
	}
	return key, false, err
}

// randomSecret has 160 random bits in 32 characters that survive every shell,
// URL and configuration file.
func randomSecret() iam.Secret {
	var random [20]byte
	_, _ = rand.Read(random[:]) // never fails
	return iam.Secret(strings.ToLower(base32.StdEncoding.EncodeToString(random[:])))
}
