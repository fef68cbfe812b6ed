package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/larder-cache/larder/internal/engine/disk"
	"github.com/larder-cache/larder/internal/engine/identity"
	"github.com/larder-cache/larder/internal/engine/local"
	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/iam"
)

// Stopped is the identities of a data directory that no server runs on.
type Stopped struct {
	*identity.Service
	store *local.Store
}

// OpenStopped opens the identities of cfg.Dir without serving. It fails while a
// server runs there. Root has the name that cfg or the directory gives him.
func OpenStopped(ctx context.Context, cfg Config) (*Stopped, error) {
	dir := filepath.Join(cfg.Dir, "store")
	if _, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("%s holds no store: %w", cfg.Dir, err)
	}
	store, err := local.Open(disk.OS(), dir, local.Config{})
	if err != nil {
		return nil, err
	}
	s := &Stopped{store: store}
	if s.Service, err = stoppedIdentities(ctx, cfg, store); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return s, nil
}

func stoppedIdentities(ctx context.Context, cfg Config, store *local.Store) (*identity.Service, error) {
	key, err := sealer(ctx, &cfg, false)
	if err != nil {
		return nil, err
	}
	root := RootKey{User: cfg.RootUser, Secret: cfg.RootPassword}
	if root.User == "" {
		root, err = LoadRoot(cfg.Dir)
	}
	if errors.Is(err, fs.ErrNotExist) { // configured where the server runs
		root, err = RootKey{User: "root", Secret: randomSecret()}, nil
	}
	if err != nil {
		return nil, err
	}
	return identity.Open(ctx, store, key, identity.Root{AccessKey: iam.AccessKeyID(root.User), Secret: root.Secret}, identity.Config{})
}

// Close lets a server start again.
func (s *Stopped) Close() error { return s.store.Close() }

// ResetRootStopped makes a new random root secret for a data directory that no
// server runs on, and records it in the audit trail.
func ResetRootStopped(ctx context.Context, dir string) (key RootKey, err error) {
	inside := filepath.Join(dir, "store")
	if _, err := os.Stat(inside); err != nil {
		return RootKey{}, fmt.Errorf("%s holds no store: %w", dir, err)
	}
	store, err := local.Open(disk.OS(), inside, local.Config{})
	if errors.Is(err, fault.Busy) {
		return RootKey{}, fmt.Errorf("a server runs on %s: stop it first (%w)", dir, err)
	}
	if err != nil {
		return RootKey{}, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	if key, err = ResetRoot(dir); err != nil {
		return RootKey{}, err
	}
	return key, identity.RecordStopped(ctx, store, time.Now(), iam.Change{Action: "root.reset", Target: key.User})
}
