package certs_test

import (
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-cache/larder/internal/certs"
)

func TestAuthorityIssuesForEveryName(t *testing.T) {
	dir := t.TempDir()
	authority, err := certs.NewAuthority(dir, []string{"localhost", "*.cache.example", "127.0.0.1", "::1"}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	store, err := certs.Open(authority.Source(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	pem, err := os.ReadFile(authority.CAFile())
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	cert, err := store.Certificate(&tls.ClientHelloInfo{})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"localhost", "sccache.cache.example", "127.0.0.1", "::1"} {
		if _, err := cert.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := cert.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: "other.example"}); err == nil {
		t.Error("a foreign name is accepted")
	}
	for name, want := range map[string]os.FileMode{"ca.key": 0o600, "private.key": 0o600} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, want %v", name, info.Mode().Perm(), want)
		}
	}
}

func TestAuthorityKeepsItsCertificateAndRenewsTheServers(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	open := func(at time.Time, names ...string) (ca, leaf string) {
		t.Helper()
		if _, err := certs.NewAuthority(dir, names, func() time.Time { return at }); err != nil {
			t.Fatal(err)
		}
		return read(t, filepath.Join(dir, "ca.crt")), read(t, filepath.Join(dir, "public.crt"))
	}
	ca, leaf := open(now, "a")
	tests := []struct {
		name  string
		at    time.Time
		names []string
		renew bool
	}{
		{"unchanged", now, []string{"a"}, false},
		{"soon to expire", now.Add(61 * 24 * time.Hour), []string{"a"}, true},
		{"another name", now, []string{"a", "b"}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			newCA, newLeaf := open(tt.at, tt.names...)
			if newCA != ca {
				t.Error("the authority changed: every client would lose its trust")
			}
			if renewed := newLeaf != leaf; renewed != tt.renew {
				t.Errorf("renewed: %v, want %v", renewed, tt.renew)
			}
			leaf = newLeaf
		})
	}
}

func TestReload(t *testing.T) {
	first, second := pairFor(t, "first.example"), pairFor(t, "second.example")
	dir := t.TempDir()
	place := func(from certs.Pair) {
		copyFile(t, from.Cert, filepath.Join(dir, "public.crt"))
		copyFile(t, from.Key, filepath.Join(dir, "private.key"))
	}
	place(first)
	synctest.Test(t, func(t *testing.T) {
		store, err := certs.Open(certs.Directory(dir), slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		go func() { _ = store.Run(t.Context()) }()
		wait := func(want string) {
			t.Helper()
			<-time.After(3 * time.Second)
			if got := strings.Join(store.Names(), ","); got != want {
				t.Errorf("serving %q, want %q", got, want)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, "public.crt"), []byte("half a fi"), 0o600); err != nil {
			t.Fatal(err)
		}
		wait("first.example")
		place(second)
		wait("second.example")
	})
}

func TestSubfoldersArePickedByName(t *testing.T) {
	dir := t.TempDir()
	for folder, name := range map[string]string{"": "default.example", "other": "other.example"} {
		pair := pairFor(t, name)
		if err := os.MkdirAll(filepath.Join(dir, folder), 0o700); err != nil {
			t.Fatal(err)
		}
		copyFile(t, pair.Cert, filepath.Join(dir, folder, "public.crt"))
		copyFile(t, pair.Key, filepath.Join(dir, folder, "private.key"))
	}
	store, err := certs.Open(certs.Directory(dir), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for sni, want := range map[string]string{"other.example": "other.example", "default.example": "default.example", "unknown": "default.example", "": "default.example"} {
		hello := &tls.ClientHelloInfo{
			ServerName: sni, SupportedVersions: []uint16{tls.VersionTLS13}, CipherSuites: []uint16{tls.TLS_AES_128_GCM_SHA256},
			SignatureSchemes: []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256}, SupportedCurves: []tls.CurveID{tls.CurveP256},
		}
		cert, err := store.Certificate(hello)
		if err != nil {
			t.Fatal(err)
		}
		if got := cert.Leaf.DNSNames[0]; got != want {
			t.Errorf("%q gets %s, want %s", sni, got, want)
		}
	}
}

func TestACertificateThatIsNotGoodNowIsWarnedOf(t *testing.T) {
	for name, tt := range map[string]struct {
		made time.Time
		want string // "" for no warning
	}{
		"now":       {time.Now(), ""},
		"last year": {time.Now().AddDate(-1, 0, 0), "expired on"},
		"next year": {time.Now().AddDate(1, 0, 0), "is this machine's clock right?"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if _, err := certs.NewAuthority(dir, []string{"x.example"}, func() time.Time { return tt.made }); err != nil {
				t.Fatal(err)
			}
			var log strings.Builder
			pair := certs.Pair{Cert: filepath.Join(dir, "public.crt"), Key: filepath.Join(dir, "private.key")}
			if _, err := certs.Open(certs.Files(pair.Cert, pair.Key), slog.New(slog.NewTextHandler(&log, nil))); err != nil {
				t.Fatal(err)
			}
			if got := log.String(); (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) || tt.want != "" && !strings.Contains(got, pair.Cert) {
				t.Errorf("logged %q, want %q", got, tt.want)
			}
		})
	}
}

func TestDirectoriesThatAreNotAsTheyShouldBe(t *testing.T) {
	pair := pairFor(t, "first.example")
	tests := []struct {
		name   string
		files  map[string]string // name → source
		wanted bool
		err    string // "" for none
	}{
		{"nothing", nil, false, "holds no public.crt with its private.key"},
		{"no key", map[string]string{"public.crt": pair.Cert}, true, "has no private.key"},
		{"no certificate", map[string]string{"private.key": pair.Key}, true, "has no public.crt"},
		{"half a subfolder", map[string]string{"public.crt": pair.Cert, "private.key": pair.Key, "other/public.crt": pair.Cert}, true, "other has no private.key"},
		{"only a subfolder", map[string]string{"other/public.crt": pair.Cert, "other/private.key": pair.Key}, false, ""},
		{"other files", map[string]string{"public.crt": pair.Cert, "private.key": pair.Key, "README": pair.Cert, "CAs/ca.crt": pair.Cert, ".old/public.crt": pair.Cert}, true, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, from := range tt.files {
				if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
					t.Fatal(err)
				}
				copyFile(t, from, filepath.Join(dir, name))
			}
			_, err := certs.Open(certs.Directory(dir), slog.New(slog.DiscardHandler))
			if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("got %v, want %q", err, tt.err)
			}
			if got := certs.Wanted(dir); got != tt.wanted {
				t.Errorf("wanted: %v", got)
			}
		})
	}
}

func pairFor(t *testing.T, name string) certs.Pair {
	t.Helper()
	dir := t.TempDir()
	if _, err := certs.NewAuthority(dir, []string{name}, time.Now); err != nil {
		t.Fatal(err)
	}
	return certs.Pair{Cert: filepath.Join(dir, "public.crt"), Key: filepath.Join(dir, "private.key")}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	if err := os.WriteFile(to, []byte(read(t, from)), 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
