package app

import (
	"context"
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
		return nil, ConfigError{errors.New("vault-address is missing beside the other vault settings: set it, or drop them")}
	}
	wrapper, err := vault.New(c.Vault)
	if err != nil {
		return nil, ConfigError{err}
	}
	return wrapper, nil
}

// sealer opens the key that identities are sealed with: in DIR/seal.key, wrapped
// if Vault is configured. It is made if fresh, when nothing is sealed yet.
func sealer(ctx context.Context, cfg *Config, fresh bool) (*seal.Key, error) {
	wrapper, err := cfg.wrapper()
	if err != nil {
		return nil, err
	}
	return seal.Open(ctx, sealPath(cfg.Dir), wrapper, fresh)
}
