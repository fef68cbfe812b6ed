package app

import (
	"context"
	"log/slog"
	"time"
)

// rootWatch takes over a root key that changed in its file, without a restart: an
// agent of Vault renders it, or an administrator writes it.
type rootWatch struct {
	read  func() (RootKey, error)
	apply func(RootKey) error
	log   *slog.Logger
}

// watchInterval is how soon a changed file is noticed.
const watchInterval = 2 * time.Second

// watchRoot returns the watch for cfg's root key, wherever it stands.
func watchRoot(cfg *Config, apply func(RootKey) error, log *slog.Logger) *rootWatch {
	read := cfg.Sources.root
	if cfg.RootUser == "" {
		read = func() (RootKey, error) { return LoadRoot(cfg.Dir) }
	}
	return &rootWatch{read, apply, log}
}

// Run polls until ctx ends. A secret that cannot be used is reported, and the
// one before stays.
func (w *rootWatch) Run(ctx context.Context) error {
	last, _ := w.read()
	lastErr := ""
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		key, err := w.read()
		if err == nil && key == last {
			continue
		}
		if err == nil {
			err = w.apply(key)
		}
		switch {
		case err == nil:
			last, lastErr = key, ""
			w.log.InfoContext(ctx, "root key changed")
		case err.Error() != lastErr:
			lastErr = err.Error()
			w.log.WarnContext(ctx, "root key not changed, the one before stays in use", "error", err)
		}
	}
}
