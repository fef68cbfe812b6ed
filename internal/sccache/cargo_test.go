package sccache_test

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-cache/larder/internal/sccache"
)

func TestWithCargo(t *testing.T) {
	root := t.TempDir()
	home := filepath.Join(root, "home")
	project := filepath.Join(root, "src/project")
	user := write(t, filepath.Join(home, ".cargo/config.toml"), "[env]\nSCCACHE_BUCKET = 'user'\nSCCACHE_REGION = 'user'\nKEPT = 'user'\nFORCED = { value = 'user', force = true }\n")
	near := write(t, filepath.Join(project, ".cargo/config.toml"), "[env]\nSCCACHE_BUCKET = 'near'\nSSL_CERT_FILE = { value = 'ca.crt', relative = true }\n")
	write(t, filepath.Join(root, "src/.cargo/config.toml"), "[build\n")
	env := sccache.Environ{"HOME": home, "KEPT": "own", "FORCED": "own"}
	got, files := env.WithCargo(project)
	want := sccache.Environ{
		"HOME": home, "KEPT": "own", "FORCED": "user", "SCCACHE_BUCKET": "near", "SCCACHE_REGION": "user",
		"SSL_CERT_FILE": filepath.Join(project, "ca.crt"),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{near, user}, files); diff != "" {
		t.Error(diff)
	}
	if env["SCCACHE_BUCKET"] != "" {
		t.Error("the environment itself is changed")
	}
	if got, files := env.WithCargo(t.TempDir()); got["SCCACHE_BUCKET"] != "user" || len(files) != 1 {
		t.Error(got, files)
	}
}
