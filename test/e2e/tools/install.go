package tools

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// source fetches a tool into its folder. The folder exists; it may hold the rest
// of an attempt that was cut off.
type source interface {
	install(ctx context.Context, r *run, version, dir string) error
	fingerprint() string // changes when the pinned content changes
}

// marker is written into a tool's folder when it is whole.
const marker = ".larder-installed"

// Cache is the folder below which everything is installed: $LARDER_CACHE, else
// larder in the user's cache folder.
func Cache() (string, error) {
	if dir := os.Getenv("LARDER_CACHE"); dir != "" {
		return filepath.Abs(dir)
	}
	base, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no cache folder: set LARDER_CACHE: %w", err)
	}
	return filepath.Join(base, "larder"), nil
}

// Names lists every tool, in the order in which they are installed.
func Names() []string {
	var names []string
	for _, t := range pins() {
		names = append(names, t.name)
	}
	return names
}

// Path returns the program called name, which must have been installed. It
// installs nothing: tests run where no registry is in reach.
func Path(name string) (string, error) {
	t, dir, err := locate(name)
	if err != nil {
		return "", err
	}
	if !t.installed(dir) {
		return "", fmt.Errorf("%s %s is not in %s: run 'go run ./cmd/tools %s' in test/e2e", name, t.version, dir, name)
	}
	return t.program(dir)
}

// Install installs the program called name unless it is there, and returns its
// path. It writes progress to w and waits for other processes that install.
func Install(ctx context.Context, name string, w io.Writer) (string, error) {
	t, dir, err := locate(name)
	if err != nil {
		return "", err
	}
	if t.installed(dir) {
		return t.program(dir)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	unlock, err := lock(ctx, dir+".lock", w)
	if err != nil {
		return "", err
	}
	defer unlock()
	if t.installed(dir) {
		return t.program(dir)
	}
	if err := t.fetch(ctx, dir, w); err != nil {
		return "", fmt.Errorf("install %s %s: %w", name, t.version, err)
	}
	return t.program(dir)
}

func (t *tool) fetch(ctx context.Context, dir string, w io.Writer) error {
	wait := ""
	if t.build != "" {
		wait = ", " + t.build + " on 2 cores"
		unlock, err := lock(ctx, filepath.Join(filepath.Dir(dir), "build.lock"), w)
		if err != nil {
			return err
		}
		defer unlock()
	}
	_, _ = fmt.Fprintf(w, "tools: %s %s: installing%s\n", t.name, t.version, wait)
	start := time.Now()
	if err := t.from.install(ctx, &run{name: t.name, log: dir + ".log", progress: w}, t.version, dir); err != nil {
		return err
	}
	if _, err := t.program(dir); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(w, "tools: %s %s: installed in %v\n", t.name, t.version, time.Since(start).Round(time.Second))
	return os.WriteFile(filepath.Join(dir, marker), []byte(t.from.fingerprint()+"\n"), 0o644)
}

func locate(name string) (*tool, string, error) {
	all := pins()
	i := slices.IndexFunc(all, func(t tool) bool { return t.name == name })
	if i < 0 {
		return nil, "", fmt.Errorf("no tool %q: there are %s", name, strings.Join(Names(), ", "))
	}
	base, err := Cache()
	if err != nil {
		return nil, "", err
	}
	folder := all[i].folder
	if folder == "" {
		folder = name
	}
	return &all[i], filepath.Join(base, folder+"-"+all[i].version), nil
}

func (t *tool) installed(dir string) bool {
	mark, err := os.ReadFile(filepath.Join(dir, marker))
	return err == nil && strings.TrimSpace(string(mark)) == t.from.fingerprint()
}

func (t *tool) program(dir string) (string, error) {
	found, err := filepath.Glob(filepath.Join(dir, t.binary))
	if err != nil || len(found) != 1 {
		return "", fmt.Errorf("%s: found %d programs at %s in %s", t.name, len(found), t.binary, dir)
	}
	return found[0], nil
}

// lock takes the file's lock, waiting with a line of progress.
func lock(ctx context.Context, path string, w io.Writer) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for said := false; ; {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
		}
		if !said {
			_, _ = fmt.Fprintf(w, "tools: waiting for another process (%s)\n", filepath.Base(path))
			said = true
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), f.Close())
		case <-ticker.C:
		}
	}
}
