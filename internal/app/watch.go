package app

import (
	"context"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/larder-cache/larder/internal/iam"
)

// rootWatch takes over a root secret that changed in its file, without a
// restart: an agent of Vault renders it, or an administrator writes it.
type rootWatch struct {
	path  string // the file
	read  func() (RootKey, error)
	apply func(RootKey) error
	log   *slog.Logger
}

// watchInterval is how soon a changed file is noticed.
const watchInterval = 2 * time.Second

// watchRoot returns the watch for where cfg's root key stands in a file, nil if
// it stands in none.
func watchRoot(cfg *Config, apply func(RootKey) error, log *slog.Logger) *rootWatch {
	switch {
	case cfg.RootPasswordFile != "":
		return &rootWatch{path: cfg.RootPasswordFile, apply: apply, log: log, read: func() (RootKey, error) {
			content, err := os.ReadFile(cfg.RootPasswordFile)
			key := RootKey{User: cfg.RootUser, Secret: iam.Secret(strings.TrimRight(string(content), "\r\n"))}
			return key, err
		}}
	case cfg.RootUser == "":
		return &rootWatch{path: rootPath(cfg.Dir), apply: apply, log: log, read: func() (RootKey, error) { return LoadRoot(cfg.Dir) }}
	}
	return nil
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
			w.log.InfoContext(ctx, "root key changed", "file", w.path)
		case err.Error() != lastErr:
			lastErr = err.Error()
			w.log.WarnContext(ctx, "root key not changed, the one before stays in use", "file", w.path, "error", err)
		}
	}
}
