package harness

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Root is the root user of servers that are started with one.
const (
	RootUser     = "minio"
	RootPassword = "minio123"
)

// Server is a larder process.
type Server struct {
	Dir  string // data directory
	Addr string // host:port, on all addresses of the world
	CA   *Authority

	tb     testing.TB
	binary string
	args   []string
	env    []string
	cmd    *exec.Cmd
	exited chan error
	log    string // file: standard error of all its runs
}

// Options are what a test asks of a server.
type Options struct {
	CA    *Authority // serve TLS with a certificate of it; nil serves plain HTTP
	Names []string   // further names in the certificate
	Port  int        // 0 chooses one
	Args  []string
	Env   []string // "K=V"; the server has no other variables but PATH and HOME
}

// NewServer starts a server on an empty data directory and waits until it is ready.
func NewServer(tb testing.TB, o Options) *Server {
	tb.Helper()
	dir := tb.TempDir()
	port := o.Port
	if port == 0 {
		port = freePort(tb)
	}
	s := &Server{
		tb: tb, Dir: filepath.Join(dir, "data"), Addr: fmt.Sprintf("%s:%d", ServerAddr, port), CA: o.CA,
		binary: Binary(tb), log: filepath.Join(dir, "server.log"),
		env: append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir}, o.Env...),
	}
	s.args = append([]string{"serve", s.Dir, "--address", fmt.Sprintf(":%d", port), "--console-address", "127.0.0.1:0", "--log-json", "--reserve", "64MiB"}, o.Args...)
	if o.CA != nil {
		cert, key := o.CA.Issue(tb, append([]string{ServerAddr, "127.0.0.1", "localhost", Host}, o.Names...)...)
		s.args = append(s.args, "--tls-cert", cert, "--tls-key", key)
	}
	tb.Cleanup(func() {
		s.Kill()
		if tb.Failed() {
			tb.Logf("the end of the server's log:\n%s", s.tail())
		}
	})
	s.Start()
	return s
}

// Binary is the larder program under test: $LARDER_E2E_BINARY, else bin/larder of
// the checkout.
func Binary(tb testing.TB) string {
	tb.Helper()
	path := os.Getenv("LARDER_E2E_BINARY")
	if path == "" {
		path = filepath.Join(moduleRoot(tb), "../../bin/larder")
	}
	if _, err := os.Stat(path); err != nil {
		tb.Fatalf("no larder to test: run 'make build': %v", err)
	}
	return path
}

// moduleRoot is the folder of test/e2e.
func moduleRoot(tb testing.TB) string {
	tb.Helper()
	dir, err := os.Getwd()
	must(tb, err)
	for ; dir != "/"; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
	}
	tb.Fatal("the tests run inside test/e2e")
	return ""
}

// HostURL is URL with a name in place of the address, for clients that want one.
func (s *Server) HostURL() string { return strings.Replace(s.URL(), ServerAddr, Host, 1) }

// URL is where clients in the world reach the server.
func (s *Server) URL() string {
	if s.CA != nil {
		return "https://" + s.Addr
	}
	return "http://" + s.Addr
}

// Port is the port that the server listens on.
func (s *Server) Port() string {
	_, port, _ := net.SplitHostPort(s.Addr)
	return port
}

// Start starts the process, for the first time or after Stop or Kill.
func (s *Server) Start() {
	s.tb.Helper()
	log, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	must(s.tb, err)
	defer func() { _ = log.Close() }()
	s.cmd = exec.Command(s.binary, s.args...)
	s.cmd.Env = s.env
	s.cmd.Stdout, s.cmd.Stderr = log, log
	must(s.tb, s.cmd.Start())
	s.exited = make(chan error, 1)
	go func(cmd *exec.Cmd) { s.exited <- cmd.Wait() }(s.cmd)
	client := s.HTTPClient()
	s.await("ready", func() bool {
		select {
		case err := <-s.exited:
			s.cmd = nil
			s.tb.Fatalf("the server ended: %v\n%s", err, s.tail())
		default:
		}
		req, err := http.NewRequestWithContext(s.tb.Context(), http.MethodGet, s.URL()+"/minio/health/ready", nil)
		must(s.tb, err)
		res, err := client.Do(req)
		if err != nil {
			return false
		}
		_ = res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
}

// Stop asks the process to end and waits until it has.
func (s *Server) Stop() {
	s.tb.Helper()
	s.end(syscall.SIGTERM)
}

// Kill ends the process without a warning.
func (s *Server) Kill() {
	s.tb.Helper()
	s.end(syscall.SIGKILL)
}

func (s *Server) end(signal syscall.Signal) {
	s.tb.Helper()
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Signal(signal)
	select {
	case <-s.exited:
	case <-time.After(30 * time.Second):
		_ = s.cmd.Process.Kill()
		s.tb.Errorf("the server did not end within 30 s of %v", signal)
	}
	s.cmd = nil
}

// HTTPClient trusts the server's authority.
func (s *Server) HTTPClient() *http.Client {
	transport := &http.Transport{DisableKeepAlives: true}
	if s.CA != nil {
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(s.CA.PEM)
		transport.TLSClientConfig = &tls.Config{RootCAs: pool}
	}
	return &http.Client{Transport: transport, Timeout: 30 * time.Second}
}

// CLI runs the larder program with args and returns its standard output.
func (s *Server) CLI(args ...string) string {
	s.tb.Helper()
	cmd := exec.CommandContext(s.tb.Context(), s.binary, args...)
	cmd.Env = s.env
	return output(s.tb, cmd)
}

// SccacheEnv is what 'larder env' says to paste where sccache runs, for a client
// that reaches the server as host. style is path or virtual-host.
func (s *Server) SccacheEnv(host, style string) map[string]string {
	s.tb.Helper()
	scheme, _, _ := strings.Cut(s.URL(), "://")
	text := s.CLI("env", s.Dir, "--shell", "docker", "--style", style, "--endpoint", scheme+"://"+net.JoinHostPort(host, s.Port()))
	env := map[string]string{}
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if ok && !strings.HasPrefix(key, "#") {
			env[key] = value
		}
	}
	return env
}

// Access is one line of the server's access log.
type Access struct {
	Op        string `json:"op"`
	Method    string `json:"method"`
	Host      string `json:"host"`
	Path      string `json:"path"`
	Status    int    `json:"status"`
	Proto     string `json:"proto"`
	User      string `json:"user"`
	AccessKey string `json:"access_key"`
	Remote    string `json:"remote"`
	UserAgent string `json:"user_agent"`
	Code      string `json:"code"`
}

// Mark is a place in the server's log.
type Mark int64

// Mark is the end of what the server has logged so far.
func (s *Server) Mark() Mark {
	s.tb.Helper()
	info, err := os.Stat(s.log)
	must(s.tb, err)
	return Mark(info.Size())
}

// Requests returns the requests that were logged since mark. The log is written a
// moment late, so a request of its own is sent and waited for.
func (s *Server) Requests(mark Mark) []Access {
	s.tb.Helper()
	probe := fmt.Sprintf("/probe-%d", time.Now().UnixNano())
	req, err := http.NewRequestWithContext(s.tb.Context(), http.MethodGet, s.URL()+probe, nil)
	must(s.tb, err)
	res, err := s.HTTPClient().Do(req)
	must(s.tb, err)
	_ = res.Body.Close()
	var all []Access
	s.await("line in the access log", func() bool {
		all = s.read(mark)
		for i, a := range all {
			if strings.HasPrefix(a.Path, probe) {
				all = all[:i]
				return true
			}
		}
		return false
	})
	return all
}

func (s *Server) read(mark Mark) []Access {
	s.tb.Helper()
	f, err := os.Open(s.log)
	must(s.tb, err)
	defer func() { _ = f.Close() }()
	_, err = f.Seek(int64(mark), io.SeekStart)
	must(s.tb, err)
	var all []Access
	for lines := bufio.NewReader(f); ; {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return all
		}
		must(s.tb, err)
		var a struct {
			Msg string `json:"msg"`
			Access
		}
		if json.Unmarshal(line, &a) == nil && a.Msg == "request" {
			all = append(all, a.Access)
		}
	}
}

func (s *Server) tail() []byte {
	text, _ := os.ReadFile(s.log)
	lines := bytes.SplitAfter(text, []byte("\n"))
	return bytes.Join(lines[max(0, len(lines)-40):], nil)
}

// await polls until done says so, at most 30 s.
func (s *Server) await(what string, done func() bool) {
	s.tb.Helper()
	Await(s.tb, what, 30*time.Second, done)
}

// Await polls until done says so, and fails the test after limit.
func Await(tb testing.TB, what string, limit time.Duration, done func() bool) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), limit)
	defer cancel()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			tb.Fatalf("waited %v for: %s", limit, what)
		case <-ticker.C:
		}
	}
}

func freePort(tb testing.TB) int {
	tb.Helper()
	l, err := net.Listen("tcp", ServerAddr+":0")
	must(tb, err)
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}
