package main

import (
	"context"
	"io"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/larder-cache/larder/internal/engine/identity"
	"github.com/larder-cache/larder/internal/protocol/admin"
	"github.com/larder-cache/larder/internal/protocol/edge"
	"github.com/larder-cache/larder/internal/protocol/s3"
	"github.com/larder-cache/larder/internal/protocol/sigv4"
	"github.com/larder-cache/larder/internal/seal"
	"github.com/larder-cache/larder/internal/storetest"
)

// TestAdminScript runs the commands that need a server, each file against one of
// its own.
func TestAdminScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/admin",
		Setup: func(env *testscript.Env) error {
			server, err := adminServer(env.WorkDir)
			if err != nil {
				return err
			}
			env.Defer(server.Close)
			host := server.Listener.Addr().String()
			env.Setenv("LARDER_ENDPOINT", server.URL)
			env.Setenv("AWS_ACCESS_KEY_ID", "minio")
			env.Setenv("AWS_SECRET_ACCESS_KEY", "minio123")
			env.Setenv("MC_CONFIG_DIR", filepath.Join(env.WorkDir, "mc"))
			env.Setenv("SERVER", server.URL)
			env.Setenv("HOSTPORT", host)
			return nil
		},
	})
}

func adminServer(dir string) (*httptest.Server, error) {
	ctx := context.Background()
	key, err := seal.Open(ctx, filepath.Join(dir, ".seal.key"), nil, true)
	if err != nil {
		return nil, err
	}
	store := storetest.NewMemory(storetest.Config{})
	users, err := identity.Open(ctx, store, key, identity.Root{AccessKey: "minio", Secret: "minio123"}, identity.Config{})
	if err != nil {
		return nil, err
	}
	trace := &admin.Trace{}
	protocol, err := admin.New(store, users, admin.Config{Trace: trace, Status: func(context.Context) (admin.Status, error) {
		return admin.Status{Version: "v1.2.3", Started: time.Now(), Drives: []admin.Drive{{Path: "/data", State: "ok", Total: 1 << 40, Available: 1 << 39}}}, nil
	}})
	if err != nil {
		return nil, err
	}
	objects, err := s3.New(store, s3.Config{})
	if err != nil {
		return nil, err
	}
	verifier, err := sigv4.New(users, sigv4.Config{})
	if err != nil {
		return nil, err
	}
	pipeline, err := edge.New(edge.Signatures(verifier), users, []edge.Protocol{protocol, objects}, edge.Config{Observe: trace.Observe})
	if err != nil {
		return nil, err
	}
	return httptest.NewServer(pipeline), nil
}

// TestUsageIsAnExitCode tells a mistake in the command line from a failure.
func TestUsageIsAnExitCode(t *testing.T) {
	for _, line := range []string{
		"nonsense", "admin nonsense", "admin user nonsense", "admin user add", "admin user add a b", "admin user ls --nonsense",
		"admin policy attach readonly", "admin policy attach readonly --user a --group b", "key create", "admin bucket make B", "admin --alias x --dir y info",
	} {
		if code := run(strings.Fields(line), io.Discard, io.Discard); code != exitUsage {
			t.Errorf("larder %s: exit code %d, want %d", line, code, exitUsage)
		}
	}
	if code := run([]string{"policy", "check", "no-such-file.json"}, io.Discard, io.Discard); code != exitFailed {
		t.Errorf("a file that is not there: exit code %d, want %d", code, exitFailed)
	}
}

func TestParseSize(t *testing.T) {
	for text, want := range map[string]int64{"none": 0, "1": 1, "10 B": 10, "50GiB": 50 << 30, "1.5TB": 15e11, "2KiB": 2048} {
		if got, err := parseSize(text); err != nil || got != want {
			t.Errorf("%q is %d, error %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "-1", "GiB", "1XB", "NaN", "1e30", "Inf"} {
		if got, err := parseSize(text); err == nil {
			t.Errorf("%q is %d, want an error", text, got)
		}
	}
}

func TestParseExpiry(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.Local)
	for text, want := range map[string]time.Time{
		"": {}, "never": {}, "90d": now.AddDate(0, 0, 90), "12h": now.Add(12 * time.Hour),
		"2027-01-31": time.Date(2027, 1, 31, 0, 0, 0, 0, time.Local), "2026-12-01T00:00:00Z": time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC),
	} {
		if got, err := parseExpiry(text, now); err != nil || !got.Equal(want) {
			t.Errorf("%q is %v, error %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"soon", "-1h", "0d", "2020-01-01", "99999999d"} {
		if got, err := parseExpiry(text, now); err == nil {
			t.Errorf("%q is %v, want an error", text, got)
		}
	}
}

func TestPrintable(t *testing.T) {
	if got := printable("a\x1b[31mb\u202ec\u0085d é"); got != "a\ufffd[31mb\ufffdc\ufffdd é" {
		t.Errorf("got %q", got)
	}
}
