package app

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestRootKeyIsMadeOnceForItsOwnerAlone(t *testing.T) {
	cfg := &Config{Dir: t.TempDir()}
	first, made, err := rootKey(cfg)
	if err != nil || !made {
		t.Fatal(made, err)
	}
	second, made, err := rootKey(cfg)
	if err != nil || made || first != second {
		t.Errorf("the second start: made %v, same %v, %v", made, first == second, err)
	}
	info, err := os.Stat(rootPath(cfg.Dir))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if len(first.Secret) != 32 {
		t.Errorf("a secret of %d characters", len(first.Secret))
	}
	if strings.Contains(slog.AnyValue(first).String(), first.Secret.Reveal()) {
		t.Error("the key prints its secret")
	}
}

func TestConfiguredRootKeyIsNotKept(t *testing.T) {
	cfg := &Config{Dir: t.TempDir(), RootUser: "minio", RootPassword: "minio123"}
	key, made, err := rootKey(cfg)
	if err != nil || made || key.User != "minio" || key.Secret != "minio123" {
		t.Errorf("%v %v %v", key, made, err)
	}
	if _, err := os.Stat(rootPath(cfg.Dir)); !os.IsNotExist(err) {
		t.Errorf("the secret was written down: %v", err)
	}
}

func TestADamagedRootFileIsNamed(t *testing.T) {
	dir := t.TempDir()
	for _, content := range []string{"{", `{"accessKey":"root","secretKey":"short"}`} {
		if err := os.WriteFile(rootPath(dir), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadRoot(dir); err == nil || !strings.Contains(err.Error(), "reset-root") {
			t.Errorf("%s: %v", content, err)
		}
	}
}

// TestAChangedRootKeyIsTakenOver: wherever it stands in a file.
func TestAChangedRootKeyIsTakenOver(t *testing.T) {
	for name, tt := range map[string]struct {
		environ string // beside the file's name
		content string // of the file; KEY stands for what changes
		want    string // "user secret" of the second
	}{
		"LARDER_ROOT_PASSWORD_FILE": {"LARDER_ROOT_USER=minio", "KEY\n", "minio second-one"},
		"MINIO_ROOT_PASSWORD_FILE":  {"MINIO_ROOT_USER=minio", "KEY\n", "minio second-one"},
		"MINIO_ROOT_USER_FILE":      {"MINIO_ROOT_PASSWORD=constant", "KEY", "second-one constant"},
		"MINIO_CONFIG_ENV_FILE":     {"PATH=/bin", "export MINIO_ROOT_USER=minio\nexport MINIO_ROOT_PASSWORD=\"KEY\"\n", "minio second-one"},
		"LARDER_CONFIG":             {"PATH=/bin", "root-user = \"minio\"\nroot-password = \"KEY\"\n", "minio second-one"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "file")
			put := func(key string) {
				if err := os.WriteFile(path, []byte(strings.ReplaceAll(tt.content, "KEY", key)), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			put("first-one")
			cfg, warnings, err := Load(Sources{Environ: []string{"LARDER_DIR=/data", tt.environ, name + "=" + path}})
			if err != nil || len(warnings) > 0 || !strings.Contains(cfg.RootUser+cfg.RootPassword.Reveal(), "first-one") {
				t.Fatal(err, warnings, cfg.RootUser)
			}
			synctest.Test(t, func(t *testing.T) {
				var applied []string
				w := watchRoot(&cfg, func(key RootKey) error { applied = append(applied, key.User+" "+key.Secret.Reveal()); return nil }, slog.New(slog.DiscardHandler))
				go func() { _ = w.Run(t.Context()) }()
				wait := func() { <-time.After(2*watchInterval + time.Second); synctest.Wait() }
				wait()
				if len(applied) != 0 {
					t.Errorf("applied %d times without a change", len(applied))
				}
				put("second-one")
				wait()
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
				wait()
				if len(applied) != 1 || applied[0] != tt.want {
					t.Errorf("applied %q", applied)
				}
			})
		})
	}
}
