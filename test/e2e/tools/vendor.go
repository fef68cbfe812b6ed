package tools

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/larder-cache/larder/test/e2e/project"
)

// vendored is a project with its dependencies beside it, so that it builds
// without a registry. Cargo compares each crate with Cargo.lock.
type vendored struct{ name string }

const cargoConfig = `[source.crates-io]
replace-with = "vendored-sources"
[source.vendored-sources]
directory = "vendor"
[net]
offline = true
`

func (v vendored) fingerprint() string {
	var all []byte
	err := fs.WalkDir(project.Files, v.name, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := project.Files.ReadFile(path)
		all = append(append(all, path...), text...)
		return err
	})
	if err != nil {
		panic(err) // embedded: a misspelt pin
	}
	return digest(append(all, cargoConfig...))
}

func (v vendored) install(ctx context.Context, r *run, _, dir string) error {
	if err := empty(dir); err != nil {
		return err
	}
	files, err := fs.Sub(project.Files, v.name)
	if err != nil {
		return err
	}
	if err := os.CopyFS(dir, files); err != nil {
		return err
	}
	if _, err := r.command(ctx, dir, nil, "cargo", "vendor", "--quiet", "--locked", "vendor"); err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Join(dir, ".cargo"), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, ".cargo/config.toml"), []byte(cargoConfig), 0o644); err != nil {
		return fmt.Errorf("point cargo at the vendored crates: %w", err)
	}
	return nil
}
