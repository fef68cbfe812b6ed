package login_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-cache/larder/internal/login"
)

// server is GitHub's token service and a Larder server in one.
type server struct {
	*httptest.Server
	mu       sync.Mutex
	requests []string
	answers  []int // statuses of the next exchanges; then 200
}

func newServer(t *testing.T) *server {
	t.Helper()
	s := &server{}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	authorization := r.Header.Get("Authorization")
	if strings.HasPrefix(authorization, "AWS4-HMAC-SHA256") {
		authorization = "signed with " + r.Header.Get("X-Amz-Security-Token")
	}
	s.requests = append(s.requests, r.Method+" "+r.URL.RequestURI()+" "+authorization)
	if len(s.answers) > 0 {
		status := s.answers[0]
		s.answers = s.answers[1:]
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, `{"code":"Code","message":"why"}`)
		return
	}
	switch {
	case r.URL.Path == "/github":
		_ = json.NewEncoder(w).Encode(map[string]string{"value": "github's token"})
	case r.Method == http.MethodDelete:
		w.WriteHeader(http.StatusNoContent)
	default:
		_, _ = io.WriteString(w, `{"AccessKeyId":"LTKEY","SecretAccessKey":"secret","Token":"LT1.token","Expiration":"2026-11-23T12:00:00Z"}`)
	}
}

func env(values map[string]string) func(string) string {
	return func(name string) string { return values[name] }
}

func TestTokens(t *testing.T) {
	s := newServer(t)
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("file's token\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	github := map[string]string{"ACTIONS_ID_TOKEN_REQUEST_URL": s.URL + "/github?x=1", "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "runner"}
	tests := []struct {
		name string
		env  map[string]string
		want string // token; "" for an error
	}{
		{"GitHub", github, "github's token"},
		{"GitHub without permission", map[string]string{"ACTIONS_ID_TOKEN_REQUEST_URL": s.URL}, ""},
		{"GitHub in the clear", map[string]string{"ACTIONS_ID_TOKEN_REQUEST_URL": "http://github.example", "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "x"}, ""},
		{"variable", map[string]string{"LARDER_ID_TOKEN": " variable's token\n"}, "variable's token"},
		{"file", map[string]string{"AWS_WEB_IDENTITY_TOKEN_FILE": file}, "file's token"},
		{"no file", map[string]string{"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": file + "x"}, ""},
		{"nothing", nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			token, err := login.Find(s.Client(), "larder", env(tt.env))
			got := ""
			if err == nil {
				got, err = token(t.Context())
			}
			if got != tt.want || (err == nil) != (tt.want != "") {
				t.Errorf("got %q, %v; want %q", got, err, tt.want)
			}
		})
	}
	if !slices.Contains(s.requests, "GET /github?audience=larder&x=1 Bearer runner") {
		t.Errorf("GitHub was asked %q", s.requests)
	}
}

func TestExchangeAndRevoke(t *testing.T) {
	s := newServer(t)
	s.answers = []int{http.StatusServiceUnavailable}
	client, err := login.NewClient(s.URL+"/", "")
	if err != nil {
		t.Fatal(err)
	}
	got, err := client.Exchange(t.Context(), "token", 90*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	want := login.Session{AccessKey: "LTKEY", Secret: "secret", Token: "LT1.token", Expires: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if err := client.Revoke(t.Context(), got); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{
		"GET /larder/v1/credentials?duration=1h30m0s token",
		"GET /larder/v1/credentials?duration=1h30m0s token",
		"DELETE /larder/v1/credentials signed with LT1.token",
	}, s.requests); diff != "" {
		t.Error(diff)
	}
}

func TestRefusedExchange(t *testing.T) {
	for _, status := range []int{http.StatusForbidden, http.StatusBadRequest, http.StatusFound} {
		s := newServer(t)
		s.answers = []int{status}
		client, err := login.NewClient(s.URL, "")
		if err != nil {
			t.Fatal(err)
		}
		_, err = client.Exchange(t.Context(), "token", 0)
		if err == nil || !strings.Contains(err.Error(), "Code: why") || strings.Contains(err.Error(), "token") {
			t.Errorf("%d: %v", status, err)
		}
		if len(s.requests) != 1 {
			t.Errorf("%d: the token was sent %d times: %q", status, len(s.requests), s.requests)
		}
	}
}

func TestNewClient(t *testing.T) {
	for endpoint, ok := range map[string]bool{
		"https://cache.example": true, "http://127.0.0.1:9000": true, "http://localhost:9000": true, "http://[::1]:9000": true,
		"http://cache.example": false, "cache.example": false, "": false, "https://u:p@cache.example": false, "ftp://localhost": false,
	} {
		if _, err := login.NewClient(endpoint, ""); (err == nil) != ok {
			t.Errorf("%q: %v", endpoint, err)
		}
	}
}

func TestRun(t *testing.T) {
	tests := []struct {
		name, script string
		code         int
		out          string
	}{
		{"success", "echo $A; cat", 0, "b\ninput"},
		{"failure", "echo no >&2; exit 7", 7, ""},
		{"killed", "kill -KILL $$", 137, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			command := login.Command{
				Args: []string{"sh", "-c", tt.script}, Env: login.Environment(os.Environ(), map[string]string{"A": "b"}, nil),
				Stdin: strings.NewReader("input"), Stdout: &out, Stderr: io.Discard,
			}
			err := command.Run(t.Context())
			code := 0
			if exit, ok := errors.AsType[*login.ExitError](err); ok {
				code = exit.ExitCode()
			} else if err != nil {
				t.Fatal(err)
			}
			if code != tt.code || out.String() != tt.out {
				t.Errorf("got %d %q, want %d %q", code, out.String(), tt.code, tt.out)
			}
		})
	}
	if err := (&login.Command{Args: []string{"/no/such/program"}}).Run(t.Context()); err == nil {
		t.Error("a program that is not there ran")
	}
}

// TestSignals: a signal reaches the program, which decides what it means; the end
// of the context is none.
func TestSignals(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	command := login.Command{
		Args: []string{"sh", "-c", "trap 'exit 9' TERM; echo ready; while :; do sleep 0.05; done"}, Env: os.Environ(), Stdout: w, Stderr: io.Discard,
	}
	done := make(chan error, 1)
	go func() { done <- command.Run(ctx) }()
	if _, err := r.Read(make([]byte, 6)); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	exit, ok := errors.AsType[*login.ExitError](<-done)
	if !ok || exit.ExitCode() != 9 {
		t.Errorf("got %v", exit)
	}
}

func TestEnvironment(t *testing.T) {
	got := login.Environment([]string{"A=old", "B=kept", "X"}, map[string]string{"A": "new"}, map[string]string{"B": "not", "C": "added"})
	slices.Sort(got)
	if diff := cmp.Diff([]string{"A=new", "B=kept", "C=added", "X"}, got); diff != "" {
		t.Error(diff)
	}
}
