package app_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/app"
	"github.com/larder-cache/larder/internal/protocol/oidc"
	"github.com/larder-cache/larder/internal/protocol/sigv4"
	"github.com/larder-cache/larder/internal/sccache"
	"github.com/larder-cache/larder/internal/vault"
)

// instance is a server that runs in this process.
type instance struct {
	t       *testing.T
	cfg     app.Config
	stdout  buffer
	stderr  buffer
	address string // of the API
	stop    func() error
}

// buffer is a bytes.Buffer that the server writes while the test reads.
type buffer struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// start runs a server as the command line would.
func start(t *testing.T, dir string, minio bool, environ []string, flags map[string]string) *instance {
	t.Helper()
	all := map[string]string{"dir": dir, "address": "127.0.0.1:0", "console-address": "127.0.0.1:0", "log-json": "true", "reserve": "1MiB"}
	maps.Copy(all, flags)
	cfg, warnings, err := app.Load(app.Sources{Flags: all, Environ: environ, MinIO: minio})
	if err != nil {
		t.Fatal(err)
	}
	i := &instance{t: t, cfg: cfg}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- app.Run(ctx, cfg, app.Process{Stdout: &i.stdout, Stderr: &i.stderr, Version: "test", Warnings: warnings})
	}()
	i.stop = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() { _ = i.stop() })
	for i.address == "" {
		select {
		case err := <-done:
			done <- err
			t.Fatalf("the server ended: %v\n%s", err, i.stderr.String())
		case <-time.After(5 * time.Millisecond):
			i.address = i.listening("api")
		}
	}
	return i
}

// listening is the address that the log names for a listener.
func (i *instance) listening(name string) string {
	for line := range strings.Lines(i.stderr.String()) {
		var entry struct{ Msg, Listener, Address string }
		if json.Unmarshal([]byte(line), &entry) == nil && entry.Msg == "listening" && entry.Listener == name {
			return entry.Address
		}
	}
	return ""
}

func (i *instance) profile() sccache.Profile {
	i.t.Helper()
	profile, err := sccache.LoadProfile(filepath.Join(i.cfg.Dir, "sccache.json"))
	if err != nil {
		i.t.Fatal(err)
	}
	return profile
}

// do sends a signed request and returns its status and body.
func (i *instance) do(key sigv4.Key, method, path, body string) (int, string) {
	i.t.Helper()
	req, err := http.NewRequestWithContext(i.t.Context(), method, "http://"+i.address+path, strings.NewReader(body))
	if err != nil {
		i.t.Fatal(err)
	}
	if key.ID != "" {
		sigv4.Sign(req, key, "auto", "s3", sigv4.UnsignedPayload, time.Now())
	}
	return send(i.t, http.DefaultTransport, req)
}

func send(t *testing.T, transport http.RoundTripper, req *http.Request) (int, string) {
	t.Helper()
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func (i *instance) root() sigv4.Key {
	i.t.Helper()
	key, err := app.LoadRoot(i.cfg.Dir)
	if err != nil {
		i.t.Fatal(err)
	}
	return sigv4.Key{ID: "root", Secret: key.Secret}
}

func (i *instance) user() sigv4.Key {
	p := i.profile()
	return sigv4.Key{ID: "sccache", Secret: p.Secret}
}

func TestFirstStartMakesWhatSccacheNeedsAndNoMore(t *testing.T) {
	i := start(t, t.TempDir(), false, nil, nil)
	root, user := i.root(), i.user()
	for _, want := range []string{"export SCCACHE_BUCKET=sccache", "SCCACHE_SKIP_CACHE_CHECK=1", root.Secret.Reveal(), user.Secret.Reveal(), "http://" + i.address} {
		if !strings.Contains(i.stdout.String(), want) {
			t.Errorf("the greeting lacks %s", want)
		}
	}
	for _, secret := range []string{root.Secret.Reveal(), user.Secret.Reveal()} {
		if strings.Contains(i.stderr.String(), secret) {
			t.Error("a secret is in the log")
		}
	}
	tests := []struct {
		name         string
		key          sigv4.Key
		method, path string
		want         int
	}{
		{"the check before it is written", user, "GET", "/sccache/.sccache_check", 404},
		{"write", user, "PUT", "/sccache/a/b/c/abc", 200},
		{"read", user, "GET", "/sccache/a/b/c/abc", 200},
		{"list", user, "GET", "/sccache?list-type=2", 403},
		{"delete", user, "DELETE", "/sccache/a/b/c/abc", 403},
		{"another bucket", user, "GET", "/other/k", 403},
		{"make a bucket", user, "PUT", "/other", 403},
		{"administer", user, "GET", "/minio/admin/v3/list-users", 403},
		{"nobody", sigv4.Key{}, "GET", "/sccache/a/b/c/abc", 403},
		{"nobody probes", sigv4.Key{}, "GET", "/minio/health/ready", 200},
		{"root lists", root, "GET", "/sccache?list-type=2", 200},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, body := i.do(tt.key, tt.method, tt.path, "body"); got != tt.want {
				t.Errorf("status %d, want %d: %s", got, tt.want, body)
			}
		})
	}
	for name, want := range map[string]os.FileMode{"": 0o700, "root.json": 0o600, "sccache.json": 0o600, "seal.key": 0o600} {
		info, err := os.Stat(filepath.Join(i.cfg.Dir, name))
		if name != "" && (err != nil || info.Mode().Perm() != want) {
			t.Errorf("%s: mode %v, %v", name, info.Mode(), err)
		}
	}
}

func TestRestartChangesNothing(t *testing.T) {
	dir := t.TempDir()
	i := start(t, dir, false, nil, nil)
	root, profile := i.root(), i.profile()
	if status, body := i.do(i.user(), "PUT", "/sccache/k", "kept"); status != 200 {
		t.Fatal(status, body)
	}
	if status, body := i.do(root, "PUT", "/mine", ""); status != 200 {
		t.Fatal(status, body)
	}
	if err := i.stop(); err != nil {
		t.Fatal(err)
	}
	i = start(t, dir, false, nil, map[string]string{"address": i.address})
	if i.stdout.String() != "" {
		t.Errorf("the second start printed %q", i.stdout.String())
	}
	if i.root() != root || i.profile() != profile {
		t.Error("keys changed")
	}
	if status, body := i.do(i.user(), "GET", "/sccache/k", ""); status != 200 || body != "kept" {
		t.Errorf("%d %q", status, body)
	}
	if status, body := i.do(root, "DELETE", "/mine", ""); status != 204 {
		t.Error(status, body)
	}
}

func TestAFirstStartThatWasCutOffIsFinished(t *testing.T) {
	dir := t.TempDir()
	profile := sccache.Profile{Endpoint: "http://localhost:1", Bucket: "sccache", AccessKey: "sccache", Secret: "made-before-the-cut"}
	if err := profile.Save(filepath.Join(dir, "sccache.json")); err != nil {
		t.Fatal(err)
	}
	i := start(t, dir, false, nil, nil)
	if i.profile().Secret != profile.Secret {
		t.Error("a secret that was printed or pasted already was replaced")
	}
	if status, body := i.do(i.user(), "PUT", "/sccache/k", "x"); status != 200 {
		t.Error(status, body)
	}
}

func TestStartedMinIOsWayOnlyRootExists(t *testing.T) {
	dir := t.TempDir()
	env := []string{"MINIO_ROOT_USER=minio", "MINIO_ROOT_PASSWORD=minio123", "MINIO_FANCY=1"}
	i := start(t, dir, true, env, nil)
	root := sigv4.Key{ID: "minio", Secret: "minio123"}
	if status, body := i.do(root, "GET", "/", ""); status != 200 || strings.Contains(body, "<Bucket>") {
		t.Errorf("%d %s", status, body)
	}
	for _, name := range []string{"root.json", "sccache.json"} {
		if _, err := os.Stat(filepath.Join(dir, name)); !os.IsNotExist(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if i.stdout.String() != "" {
		t.Errorf("printed %q", i.stdout.String())
	}
	if !strings.Contains(i.stderr.String(), "MINIO_FANCY is not known") {
		t.Error("no warning about an unknown variable")
	}
}

func TestStartedMinIOsWayWithoutARootUser(t *testing.T) {
	i := start(t, t.TempDir(), true, nil, nil)
	if status, body := i.do(i.root(), "GET", "/", ""); status != 200 {
		t.Errorf("%d %s", status, body)
	}
	log := i.stderr.String()
	if !strings.Contains(log, "no root user is configured") || !strings.Contains(log, filepath.Join(i.cfg.Dir, "root.json")) {
		t.Error("the log does not say where the root user's secret is")
	}
	if strings.Contains(log+i.stdout.String(), i.root().Secret.Reveal()) {
		t.Error("the secret is shown")
	}
}

func TestVirtualHosts(t *testing.T) {
	i := start(t, t.TempDir(), false, nil, map[string]string{"domain": "cache.example"})
	for host, want := range map[string]string{
		"sccache.cache.example": "NoSuchKey", "sccache.cache.example:9000": "NoSuchKey", "sccache.localhost:9000": "NoSuchKey",
		"unknown.cache.example": "NoSuchBucket", "unknown.localhost": "NoSuchBucket",
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+i.address+"/absent", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		sigv4.Sign(req, i.root(), "any", "s3", sigv4.UnsignedPayload, time.Now())
		if status, body := send(t, http.DefaultTransport, req); status != 404 || !strings.Contains(body, "<Code>"+want+"</Code>") {
			t.Errorf("%s: %d %s", host, status, body)
		}
	}
}

func TestTLSOfAnOwnAuthority(t *testing.T) {
	for _, http2 := range []string{"false", "true"} {
		t.Run("http2 "+http2, func(t *testing.T) {
			i := start(t, t.TempDir(), false, nil, map[string]string{"tls": "auto", "http2": http2})
			profile := i.profile()
			pem, err := os.ReadFile(profile.CAFile)
			if err != nil {
				t.Fatal(err)
			}
			roots := x509.NewCertPool()
			roots.AppendCertsFromPEM(pem)
			transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
			defer transport.CloseIdleConnections()
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, profile.Endpoint+"/minio/health/live", http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := transport.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if got := resp.ProtoMajor == 2; got != (http2 == "true") {
				t.Errorf("spoken: %s", resp.Proto)
			}
			plain, err := net.Dial("tcp", i.address)
			if err != nil {
				t.Fatal(err)
			}
			defer plain.Close()
			_, _ = io.WriteString(plain, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			answer, _ := io.ReadAll(plain)
			if !strings.HasPrefix(string(answer), "HTTP/1.0 400") || !strings.Contains(string(answer), "HTTPS server") {
				t.Errorf("plain HTTP got %q", answer)
			}
		})
	}
}

func TestStartRefusesWhatItMustNotTouch(t *testing.T) {
	minio := t.TempDir()
	if err := os.Mkdir(filepath.Join(minio, ".minio.sys"), 0o700); err != nil {
		t.Fatal(err)
	}
	running := start(t, t.TempDir(), false, nil, nil)
	half := t.TempDir()
	if err := os.WriteFile(filepath.Join(half, "public.crt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name    string
		cfg     app.Config
		mistake bool // in the configuration
		want    string
	}{
		{"MinIO's data", app.Config{Dir: minio}, true, "mc mirror"},
		{"a directory in use", app.Config{Dir: running.cfg.Dir}, false, "another process has it open, and has to be stopped first"},
		{"a port in use", app.Config{Dir: t.TempDir(), Address: running.address}, false, "stop it, or choose another with --address"},
		{"another machine's address", app.Config{Dir: t.TempDir(), Address: "192.0.2.1:0"}, true, "choose another with --address"},
		{"no directory", app.Config{Dir: "/dev/null/x"}, true, "make it for the user that the server runs as"},
		{"half of Vault", app.Config{Dir: t.TempDir(), Vault: vault.Config{Key: "larder"}}, true, "vault-address is missing"},
		{"an issuer in the clear", app.Config{Dir: t.TempDir(), Issuers: []oidc.Issuer{{Name: "ci", URL: "http://issuer.example"}}}, true, "https"},
		{"no certificate", app.Config{Dir: t.TempDir(), TLSCert: "absent.crt", TLSKey: "absent.key"}, true, "tls-cert and tls-key: certificate: stat absent.crt"},
		{"no certificates", app.Config{Dir: t.TempDir(), CertsDir: minio}, true, "certs-dir: " + minio + " holds no public.crt"},
		{"half a certificate, MinIO's way", app.Config{Dir: t.TempDir(), CertsDir: half, MinIO: true, RootUser: "minio", RootPassword: "minio123"}, true, "certs-dir: " + half + " has no private.key"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.cfg.Address == "" {
				tt.cfg.Address = "127.0.0.1:0"
			}
			err := app.Run(t.Context(), tt.cfg, app.Process{Stdout: io.Discard, Stderr: io.Discard})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			if errors.As(err, new(app.ConfigError)) != tt.mistake {
				t.Errorf("a mistake in the configuration: %v, want %v", !tt.mistake, tt.mistake)
			}
		})
	}
	if status, _ := running.do(running.user(), "GET", "/sccache/k", ""); status != 404 {
		t.Errorf("the running server answers %d", status)
	}
}

func TestMetricsAndProfilesHaveTheirOwnAddresses(t *testing.T) {
	i := start(t, t.TempDir(), false, nil, map[string]string{"metrics-address": "127.0.0.1:0", "pprof": "127.0.0.1:0"})
	i.do(i.user(), "GET", "/sccache/absent", "")
	get := func(url string) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		return send(t, http.DefaultTransport, req)
	}
	status, body := get("http://" + i.listening("metrics") + "/metrics")
	for _, want := range []string{`larder_lookups_total{bucket="sccache",result="miss"} 1`, `larder_requests_total{op="s3.GetObject",status="4xx"} 1`, `larder_bucket_objects{bucket="sccache"} 0`, "go_goroutines"} {
		if status != 200 || !strings.Contains(body, want) {
			t.Errorf("metrics: %d, lacking %s", status, want)
		}
	}
	if status, _ := get("http://" + i.listening("pprof") + "/debug/pprof/cmdline"); status != 200 {
		t.Errorf("pprof: %d", status)
	}
	for _, path := range []string{"/debug/pprof/", "/metrics"} {
		if status, _ := get("http://" + i.address + path); status != 403 && status != 404 {
			t.Errorf("%s on the API: %d", path, status)
		}
	}
}

func TestShutdownDrains(t *testing.T) {
	i := start(t, t.TempDir(), false, nil, nil)
	body, feed := io.Pipe()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://"+i.address+"/sccache/slow", body)
	if err != nil {
		t.Fatal(err)
	}
	req.ContentLength = 8
	req.Header.Set("Content-Length", "8")
	sigv4.Sign(req, i.user(), "auto", "s3", sigv4.UnsignedPayload, time.Now())
	// The body is asked for once the request is under way, and not before.
	req.Header.Set("Expect", "100-continue")
	transport := &http.Transport{ExpectContinueTimeout: time.Minute}
	defer transport.CloseIdleConnections()
	answered := make(chan int, 1)
	go func() {
		resp, err := transport.RoundTrip(req)
		if err != nil {
			answered <- 0
			return
		}
		resp.Body.Close()
		answered <- resp.StatusCode
	}()
	_, _ = io.WriteString(feed, "half")
	stopped := make(chan error, 1)
	go func() { stopped <- i.stop() }()
	for { // the listener closes before requests under way are waited for
		conn, err := net.Dial("tcp", i.address)
		if err != nil {
			break
		}
		conn.Close()
	}
	_, _ = io.WriteString(feed, "half")
	feed.Close()
	if status := <-answered; status != 200 {
		t.Errorf("a request under way got %d", status)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}
