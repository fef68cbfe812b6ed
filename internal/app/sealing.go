package app

import (
	"errors"
	"path/filepath"

	"github.com/larder-cache/larder/internal/seal"
	"github.com/larder-cache/larder/internal/vault"
)

func sealPath(dir string) string { return filepath.Join(dir, "seal.key") }

// wrapper returns what the seal key is wrapped by, nil if it is kept in the
// clear.
func (c *Config) wrapper() (seal.Wrapper, error) {
	if c.Vault == (vault.Config{}) {
		return nil, nil //nolint:nilnil // nothing is configured
	}
	if c.Vault.Address == "" {
		return nil, errors.New("vault-address is missing beside the other vault settings: set it, or drop them")
	}
	return vault.New(c.Vault)
}
