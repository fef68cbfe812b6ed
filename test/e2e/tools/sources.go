package tools

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

//go:embed python/*.txt
var requirements embed.FS

// python is a package and all it needs, with digests, from python/NAME.txt, in a
// virtual environment of its own.
type python struct{ name string }

func (p python) text() []byte {
	text, err := requirements.ReadFile("python/" + p.name + ".txt")
	if err != nil {
		panic(err) // embedded: a misspelt pin
	}
	return text
}

func (p python) fingerprint() string { return digest(p.text()) }

func (p python) install(ctx context.Context, r *run, _, dir string) error {
	if err := empty(dir); err != nil {
		return err
	}
	file := filepath.Join(dir, "requirements.txt")
	if err := os.WriteFile(file, p.text(), 0o644); err != nil {
		return err
	}
	if _, err := r.command(ctx, dir, nil, "python3", "-m", "venv", "--without-pip", dir); err != nil {
		return err
	}
	_, err := r.command(ctx, dir, nil, "python3", "-m", "pip", "--python", filepath.Join(dir, "bin/python"),
		"install", "--quiet", "--no-deps", "--require-hashes", "--disable-pip-version-check", "-r", file)
	return err
}

// module is a Go program built from its module as it is published. A module with
// replace directives cannot be installed by 'go install', so each is built in a
// copy, with its own go.sum.
type module struct {
	path string
	sum  string // of the module, as go.sum has it
	main string // package
}

func (m module) fingerprint() string { return digest([]byte(m.path + m.sum + m.main)) }

func (m module) install(ctx context.Context, r *run, version, dir string) error {
	if err := empty(dir); err != nil {
		return err
	}
	env := []string{"GOWORK=off", "GOFLAGS=-mod=mod", "CGO_ENABLED=0"}
	out, err := r.command(ctx, dir, env, "go", "mod", "download", "-json", m.path+"@v"+version)
	if err != nil {
		return err
	}
	var got struct{ Dir, Sum string }
	if err := json.Unmarshal(out, &got); err != nil {
		return fmt.Errorf("read what go mod download says: %w", err)
	}
	if got.Sum != m.sum {
		return fmt.Errorf("%s@v%s has digest %s, pinned is %s", m.path, version, got.Sum, m.sum)
	}
	source := filepath.Join(dir, "src")
	if err := os.CopyFS(source, os.DirFS(got.Dir)); err != nil {
		return err
	}
	if err := writable(source); err != nil {
		return err
	}
	env[1] = "GOFLAGS=-mod=readonly"
	if _, err := r.command(ctx, source, env, "go", "build", "-p", "2", "-trimpath", "-buildvcs=false", "-ldflags=-s -w",
		"-o", filepath.Join(dir, "bin")+"/", m.main); err != nil {
		return err
	}
	return os.RemoveAll(source)
}

//go:embed */go.mod.txt */go.sum.txt
var modules embed.FS

// own is a Go program built in a module of our own, NAME/go.mod.txt and
// NAME/go.sum.txt, which pin all that it is made of.
type own struct {
	module string
	main   string   // package
	set    []string // variables that the linker sets, "package.name=value"
}

func (o own) file(name string) []byte {
	text, err := modules.ReadFile(o.module + "/" + name + ".txt")
	if err != nil {
		panic(err) // embedded: a misspelt pin
	}
	return text
}

func (o own) fingerprint() string {
	return digest(slices.Concat(o.file("go.mod"), o.file("go.sum"), []byte(o.main+strings.Join(o.set, " "))))
}

func (o own) install(ctx context.Context, r *run, _, dir string) error {
	if err := empty(dir); err != nil {
		return err
	}
	for _, name := range []string{"go.mod", "go.sum"} {
		if err := os.WriteFile(filepath.Join(dir, name), o.file(name), 0o644); err != nil {
			return err
		}
	}
	flags := "-ldflags=-s -w"
	if len(o.set) > 0 {
		flags += " -X " + strings.Join(o.set, " -X ")
	}
	_, err := r.command(ctx, dir, []string{"GOWORK=off", "GOFLAGS=-mod=readonly", "CGO_ENABLED=0"},
		"go", "build", "-p", "2", "-trimpath", "-buildvcs=false", flags, "-o", filepath.Join(dir, "bin", r.name), o.main)
	return err
}

// crate is a Rust program built with its own Cargo.lock.
type crate struct{ name, features string }

func (c crate) fingerprint() string { return digest([]byte(c.name + c.features)) }

func (c crate) install(ctx context.Context, r *run, version, dir string) error {
	_, err := r.command(ctx, dir, nil, "cargo", "install", "--quiet", "--locked", "--version", version,
		"--no-default-features", "--features", c.features, "--root", dir, c.name)
	return err
}

// debian is a package of the distribution, which apt verifies; it is unpacked
// and not installed.
type debian struct{ name string }

func (d debian) fingerprint() string { return digest([]byte(d.name)) }

func (d debian) install(ctx context.Context, r *run, _, dir string) error {
	if err := empty(dir); err != nil {
		return err
	}
	if _, err := r.command(ctx, dir, nil, "apt-get", "download", "-q", d.name); err != nil {
		if _, updateErr := r.command(ctx, dir, nil, "apt-get", "update", "-q"); updateErr != nil {
			return errors.Join(err, updateErr)
		}
		if _, err := r.command(ctx, dir, nil, "apt-get", "download", "-q", d.name); err != nil {
			return err
		}
	}
	found, err := filepath.Glob(filepath.Join(dir, d.name+"_*.deb"))
	if err != nil || len(found) != 1 {
		return fmt.Errorf("apt-get download left %d packages", len(found))
	}
	_, err = r.command(ctx, dir, nil, "dpkg-deb", "-x", found[0], dir)
	return err
}

// empty makes dir an empty folder: what an attempt left that was cut off goes.
func empty(dir string) error {
	if err := writable(dir); err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	return os.MkdirAll(dir, 0o755)
}

// writable lets the owner change everything below dir: module caches are read-only.
func writable(dir string) error {
	return filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.Type()&os.ModeSymlink != 0 {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		return os.Chmod(path, info.Mode().Perm()|0o200)
	})
}

func digest(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}
