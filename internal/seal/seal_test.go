package seal_test

import (
	"context"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/larder-cache/larder/internal/engine/identity"
	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/seal"
)

var _ identity.Sealer = (*seal.Key)(nil)

// service wraps by writing down what it wrapped; version is its key's.
type service struct {
	version string
	err     error
}

func (s *service) Name() string { return "a test service" }

func (s *service) Wrap(_ context.Context, secret []byte, bind string) (string, error) {
	return s.version + "|" + bind + "|" + hex.EncodeToString(secret), s.err
}

func (s *service) Unwrap(ctx context.Context, wrapped, bind string) ([]byte, string, error) {
	if s.err != nil {
		return nil, "", s.err
	}
	version, rest, _ := strings.Cut(wrapped, "|")
	text, ok := strings.CutPrefix(rest, bind+"|")
	if !ok {
		return nil, "", errors.New("bound to something else")
	}
	secret, err := hex.DecodeString(text)
	if err != nil || version == s.version {
		return secret, "", err
	}
	newer, err := s.Wrap(ctx, secret, bind)
	return secret, newer, err
}

func TestOpen(t *testing.T) {
	ctx, file := t.Context(), filepath.Join(t.TempDir(), "seal.key")
	made, err := seal.Open(ctx, file, nil, true)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file's mode is %v: %v", info.Mode(), err)
	}
	if _, err := seal.Open(ctx, file+"-lost", nil, false); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a lost key: %v", err)
	}
	sealed := made.Seal("a", []byte("text"), []byte("with"))
	again, err := seal.Open(ctx, file, nil, true)
	if err != nil || again.KeyID() != made.KeyID() || again.Deployment() != made.Deployment() {
		t.Fatalf("the key changed: %v", err)
	}
	if got, err := again.Open("a", sealed, []byte("with")); err != nil || string(got) != "text" {
		t.Errorf("got %q, %v", got, err)
	}
	for _, wrong := range []struct{ purpose, associated, sealed string }{
		{"b", "with", string(sealed)}, {"a", "without", string(sealed)}, {"a", "with", string(sealed[:20])}, {"a", "with", string(sealed[1:])}, {"a", "with", ""},
	} {
		if _, err := again.Open(wrong.purpose, []byte(wrong.sealed), []byte(wrong.associated)); !errors.Is(err, fault.Corrupt) {
			t.Errorf("%.20q opened: %v", wrong, err)
		}
	}
}

// TestWrapped goes from a key in the clear to a wrapped one, to one wrapped
// again, and then loses the service.
func TestWrapped(t *testing.T) {
	ctx, file := t.Context(), filepath.Join(t.TempDir(), "seal.key")
	made, err := seal.Open(ctx, file, nil, true)
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range []string{"1", "2"} {
		key, err := seal.Open(ctx, file, &service{version: version}, true)
		if err != nil || key.KeyID() != made.KeyID() {
			t.Fatalf("version %s: another key: %v", version, err)
		}
		content, err := os.ReadFile(file)
		if err != nil || !strings.Contains(string(content), `"wrapped": "`+version+"|") || strings.Contains(string(content), `"key"`) {
			t.Errorf("version %s: the file is %s: %v", version, content, err)
		}
	}
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := seal.Open(ctx, file, nil, true); err == nil || !strings.Contains(err.Error(), "a test service") {
		t.Errorf("without its wrapper: %v", err)
	}
	down := errors.New("connection refused")
	if _, err := seal.Open(ctx, file, &service{version: "2", err: down}, true); !errors.Is(err, down) || !strings.Contains(err.Error(), "a test service") {
		t.Errorf("with the service down: %v", err)
	}
	if after, err := os.ReadFile(file); err != nil || string(after) != string(before) {
		t.Errorf("a failure changed the file: %v", err)
	}
	if _, err := seal.Open(ctx, filepath.Join(t.TempDir(), "new"), &service{err: down}, true); !errors.Is(err, down) {
		t.Errorf("a new key with the service down: %v", err)
	}
}

// TestOlderFile puts the generation of a wrapped key back, and its deployment.
func TestOlderFile(t *testing.T) {
	ctx, file := t.Context(), filepath.Join(t.TempDir(), "seal.key")
	if _, err := seal.Open(ctx, file, &service{version: "1"}, true); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range []string{`"generation": 1`, `"deployment": "`} {
		bad := strings.Replace(string(content), change, change+"7", 1)
		if err := os.WriteFile(file, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := seal.Open(ctx, file, &service{version: "1"}, true); err == nil {
			t.Errorf("a changed %s was not noticed", change)
		}
	}
}
