package doctor_test

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-cache/larder/internal/doctor"
	"github.com/larder-cache/larder/internal/sccache"
)

// bed is a sound set-up, for a test to break in one way.
type bed struct {
	t      *testing.T
	server *s3
	cfg    doctor.Config
	root   string // etc/hosts and so on, as the patient sees them
}

// newBed makes a sound set-up with a sccache of the release and a server that
// the caller starts.
func newBed(t *testing.T, release string) *bed {
	t.Helper()
	b := &bed{t: t, server: newS3(t), root: t.TempDir()}
	bin := filepath.Join(b.root, "bin")
	b.file("bin/sccache", "#!/bin/sh\n[ \"$1\" = --version ] && echo sccache "+release+"\nexit 0\n")
	b.file("etc/hosts", "127.0.0.1 localhost cache.example sccache.cache.example\n")
	b.file("etc/resolv.conf", "nameserver 192.0.2.53\n")
	b.cfg = doctor.Config{
		GOOS: "linux", Root: b.root,
		Resolver: &sccache.Resolver{
			Root: b.root, Hostname: "box", Getent: "-",
			Dial: emptyNameServer(t),
		},
		Environ: sccache.Environ{
			"HOME": b.root, "PATH": bin + ":/usr/bin:/bin",
			"SCCACHE_SERVER_PORT": freePort(t),
			"SCCACHE_BUCKET":      "sccache", "SCCACHE_REGION": "auto",
			"AWS_ACCESS_KEY_ID": accessKey, "AWS_SECRET_ACCESS_KEY": secret,
			"SCCACHE_SKIP_CACHE_CHECK": "1",
		},
	}
	return b
}

func (b *bed) file(name, content string) string {
	b.t.Helper()
	path := filepath.Join(b.root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o700); err != nil {
		b.t.Fatal(err)
	}
	return path
}

// emptyNameServer returns how to reach a name server that knows no name.
func emptyNameServer(t *testing.T) func(context.Context, string, string) (net.Conn, error) {
	t.Helper()
	conn, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	go func() {
		buf := make([]byte, 1500)
		for {
			n, peer, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			const response, nameError = 0x80, 3
			buf[2] |= response
			buf[3] |= nameError
			_, _ = conn.WriteTo(buf[:n], peer)
		}
	}()
	return func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, conn.LocalAddr().String())
	}
}

// freePort returns a port that nothing listens on.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// http and https start the server and tell sccache where it is.
func (b *bed) http() {
	b.server.plain()
	b.cfg.Environ["SCCACHE_ENDPOINT"] = "http://cache.example:" + b.server.port()
}

func (b *bed) https(made time.Time, names ...string) {
	ca := b.server.secure(b.t, made, names...)
	b.cfg.Environ["SCCACHE_ENDPOINT"] = "https://cache.example:" + b.server.port()
	b.cfg.Environ["SSL_CERT_FILE"] = ca
}

// daemon has a daemon run that was started with the settings of now, and a
// sccache that prints stats.
func (b *bed) daemon(release, stats string) *sccache.Daemon {
	b.file("bin/sccache", "#!/bin/sh\n[ \"$1\" = --version ] && { echo sccache "+release+"; exit; }\n"+stats+"\n")
	d := &sccache.Daemon{
		Address: "127.0.0.1:4226", Running: true, PID: 4711, UID: os.Getuid(),
		Program: filepath.Join(b.root, "bin/sccache"), Environ: maps.Clone(b.cfg.Environ),
	}
	b.cfg.FindDaemon = func(context.Context, sccache.Environ) sccache.Daemon { return *d }
	return d
}

func (b *bed) examine() doctor.Report {
	b.t.Helper()
	report := doctor.Examine(b.t.Context(), b.cfg)
	var text bytes.Buffer
	if err := report.WriteText(&text); err != nil {
		b.t.Fatal(err)
	}
	if err := report.WriteJSON(&text); err != nil {
		b.t.Fatal(err)
	}
	for _, hidden := range []string{secret, expired} {
		if strings.Contains(text.String(), hidden) {
			b.t.Errorf("the report holds a secret: %s", text.String())
		}
	}
	return report
}

const v16, v19 = "0.16.0", "0.19.0"

// TestSound: nothing is wrong, and nothing is reported.
func TestSound(t *testing.T) {
	for name, tt := range map[string]struct {
		release string
		make    func(*bed)
	}{
		"path, http":          {v19, (*bed).http},
		"path, https":         {v19, func(b *bed) { b.https(time.Now(), "cache.example") }},
		"path, https, 0.16":   {v16, func(b *bed) { b.https(time.Now(), "cache.example") }},
		"virtual host, https": {v19, func(b *bed) { b.virtualHost(); b.https(time.Now(), "*.cache.example") }},
		"key prefix":          {v19, func(b *bed) { b.http(); b.cfg.Environ["SCCACHE_S3_KEY_PREFIX"] = "/team/a/" }},
		"configuration file": {v19, func(b *bed) {
			b.http()
			delete(b.cfg.Environ, "SCCACHE_BUCKET")
			b.file(".config/sccache/config", "[cache.s3]\nbucket='sccache'\nregion='r'\nno_credentials=false\nendpoint='"+b.cfg.Environ["SCCACHE_ENDPOINT"]+"'\n")
		}},
		"cargo's configuration": {v19, func(b *bed) {
			b.http()
			b.cfg.Dir = filepath.Join(b.root, "project")
			b.file("project/.cargo/config.toml", "[env]\nSCCACHE_BUCKET='sccache'\nSCCACHE_ENDPOINT='"+b.cfg.Environ["SCCACHE_ENDPOINT"]+"'\n")
			delete(b.cfg.Environ, "SCCACHE_BUCKET")
			delete(b.cfg.Environ, "SCCACHE_ENDPOINT")
		}},
		"told twice": {v16, func(b *bed) {
			b.file("etc/hosts", "127.0.0.1 sccache.corp\n")
			b.server.plain()
			b.cfg.Environ["SCCACHE_ENDPOINT"] = "http://sccache.sccache.corp:" + b.server.port()
		}},
		"own resolver's localhost": {v19, func(b *bed) {
			b.virtualHost()
			b.server.domain = "localhost"
			b.server.plain()
			b.cfg.Environ["SCCACHE_ENDPOINT"] = "http://localhost:" + b.server.port()
		}},
		"container credentials over TLS": {v19, func(b *bed) {
			b.https(time.Now(), "cache.example")
			issuer := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				_, _ = w.Write([]byte(`{"AccessKeyId":"` + accessKey + `","SecretAccessKey":"` + secret + `"}`))
			}))
			b.t.Cleanup(issuer.Close)
			ca, err := os.ReadFile(b.cfg.Environ["SSL_CERT_FILE"])
			if err != nil {
				b.t.Fatal(err)
			}
			both := append(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: issuer.Certificate().Raw})...)
			b.cfg.Environ["SSL_CERT_FILE"] = b.file("ca.crt", string(both))
			b.cfg.Environ["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = issuer.URL
			delete(b.cfg.Environ, "AWS_ACCESS_KEY_ID")
		}},
		"container credentials": {v19, func(b *bed) {
			b.http()
			delete(b.cfg.Environ, "AWS_ACCESS_KEY_ID")
			issuer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Authorization") == "let me in" {
					_, _ = w.Write([]byte(`{"AccessKeyId":"` + accessKey + `","SecretAccessKey":"` + secret + `","Token":""}`))
				}
			}))
			b.t.Cleanup(issuer.Close)
			b.cfg.Environ["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = issuer.URL
			b.cfg.Environ["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"] = b.file("token", "let me in\n")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t, tt.release)
			tt.make(b)
			report := b.examine()
			for _, f := range report.Findings {
				if f.Status != doctor.OK && (f.Check != "fail open" || tt.release == v19) {
					t.Errorf("%s: %s: %s → %s", f.Check, f.Status, f.Cause, f.Fix)
				}
			}
			if report.Failed() {
				t.Error("it counts as failed")
			}
		})
	}
}

func (b *bed) virtualHost() {
	b.server.domain = "cache.example"
	b.cfg.Environ["SCCACHE_S3_ENABLE_VIRTUAL_HOST_STYLE"] = "true"
}

// TestExamineWritesLittle: what sccache writes, and one object.
func TestExamineWritesLittle(t *testing.T) {
	b := newBed(t, v19)
	b.http()
	b.examine()
	b.examine()
	if diff := cmp.Diff([]string{".sccache_check", ".larder_doctor", ".sccache_check", ".larder_doctor"}, b.server.wrote); diff != "" {
		t.Error(diff)
	}
}

func TestNotCheckedAfterFailure(t *testing.T) {
	b := newBed(t, v19)
	b.http()
	b.server.Close()
	report := b.examine()
	after := false
	for _, f := range report.Findings {
		if after && f.Check != "fail open" && (f.Status != doctor.NotChecked || f.Cause != "because of tcp" || f.Fix != "") {
			t.Errorf("%s: %s: %s", f.Check, f.Status, f.Cause)
		}
		after = after || f.Check == "tcp"
	}
	var text bytes.Buffer
	if err := report.WriteText(&text); err != nil || !strings.Contains(text.String(), "– tls, clock, style, bucket, ") {
		t.Error(text.String())
	}
}

func TestWriteJSON(t *testing.T) {
	b := newBed(t, v19)
	b.http()
	b.server.mayWrite = false
	var text bytes.Buffer
	if err := b.examine().WriteJSON(&text); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Version, Address string
		Failed           int
		Checks           []struct{ Check, Status, Cause, Fix string }
	}
	if err := json.Unmarshal(text.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got.Version != v19 || got.Failed != 1 || !strings.HasSuffix(got.Address, "/sccache") || len(got.Checks) != 16 {
		t.Error(text.String())
	}
	statuses := make(map[string]bool)
	for _, c := range got.Checks {
		statuses[c.Status] = true
	}
	if diff := cmp.Diff([]string{"failed", "not checked", "ok"}, slices.Sorted(maps.Keys(statuses))); diff != "" {
		t.Error(diff)
	}
}
