package edge_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/protocol/edge"
)

// server is a pipeline whose every part is the test's.
type server struct {
	pipeline  *edge.Pipeline
	operation edge.Operation
	mu        sync.Mutex // guards routed and trail
	routed    *edge.Request
	identity  edge.Identity
	badLogin  bool
	allow     func(iam.Principal, iam.Check, iam.Facts) bool
	trail     []string // what happened, in order
	events    chan edge.Event
}

func newServer(t *testing.T, config edge.Config) *server {
	t.Helper()
	s := &server{
		identity: edge.Identity{Credential: iam.Credential{Principal: iam.Principal{Kind: iam.User, User: "ci"}}},
		allow:    func(iam.Principal, iam.Check, iam.Facts) bool { return true },
		events:   make(chan edge.Event, 16),
	}
	s.operation = edge.Operation{
		Name: "test.Op", MaxBody: 1 << 20, Checks: []iam.Check{{Action: "test:Op"}},
		Handler: edge.HandlerFunc(func(_ context.Context, w *edge.Writer, call *edge.Call) error {
			s.step("serve")
			_, err := io.Copy(w, call.Body)
			return err
		}),
	}
	config.Observe = func(e edge.Event) { s.events <- e }
	var err error
	if s.pipeline, err = edge.New(s, s, []edge.Protocol{s}, config); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *server) step(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trail = append(s.trail, name)
}

func (s *server) Accepts(*edge.Request) bool { return true }

func (s *server) Route(req *edge.Request) (*edge.Operation, error) {
	s.step("route")
	s.mu.Lock()
	defer s.mu.Unlock()
	s.routed = req
	return &s.operation, nil
}

func (s *server) Authenticate(context.Context, *http.Request) (edge.Identity, error) {
	s.step("authenticate")
	if s.badLogin {
		return edge.Identity{}, fault.New(fault.Unauthenticated, fault.AccessKey, "")
	}
	return s.identity, nil
}

func (s *server) Authorize(_ context.Context, who iam.Principal, check iam.Check, facts iam.Facts) iam.Decision {
	s.step("authorize")
	return iam.Decision{Allowed: s.allow(who, check, facts), Reason: "test"}
}

func (s *server) WriteError(w *edge.Writer, failure edge.Failure) string {
	s.step("error")
	kind := fault.KindOf(failure.Err)
	w.WriteHeader(map[fault.Kind]int{fault.Denied: 403, fault.Unauthenticated: 401, fault.Invalid: 400, fault.TooLarge: 413, fault.Internal: 500}[kind])
	_, _ = io.WriteString(w, kind.Error())
	return kind.Error()
}

func TestOrder(t *testing.T) {
	anonymous := edge.Identity{}
	tests := []struct {
		name   string
		change func(*server)
		status int
		want   []string
	}{
		{"allowed", func(*server) {}, 200, []string{"route", "authenticate", "authorize", "serve"}},
		{"bad signature", func(s *server) { s.badLogin = true }, 401, []string{"route", "authenticate", "error"}},
		{
			"denied", func(s *server) { s.allow = func(iam.Principal, iam.Check, iam.Facts) bool { return false } }, 403,
			[]string{"route", "authenticate", "authorize", "error"},
		},
		{"second check denied", func(s *server) {
			s.operation.Checks = []iam.Check{{Action: "test:Read"}, {Action: "test:Write"}}
			s.allow = func(_ iam.Principal, c iam.Check, _ iam.Facts) bool { return c.Action == "test:Read" }
		}, 403, []string{"route", "authenticate", "authorize", "authorize", "error"}},
		{"anonymous", func(s *server) { s.identity = anonymous }, 403, []string{"route", "authenticate", "error"}},
		{
			"anonymous where a policy decides", func(s *server) { s.identity, s.operation.Auth = anonymous, edge.Anonymous }, 200,
			[]string{"route", "authenticate", "authorize", "serve"},
		},
		{
			"anonymous where the operation decides", func(s *server) { s.identity, s.operation.Auth = anonymous, edge.Caller }, 403,
			[]string{"route", "authenticate", "error"},
		},
		{
			"anyone where the operation decides", func(s *server) {
				s.identity, s.operation.Auth, s.operation.Checks = anonymous, edge.Anyone, nil
			}, 200,
			[]string{"route", "authenticate", "serve"},
		},
		{"no checks", func(s *server) { s.operation.Checks = nil }, 500, []string{"route", "authenticate", "error"}},
		{"public", func(s *server) { s.operation.Auth = edge.Public }, 200, []string{"route", "serve"}},
		{"own", func(s *server) {
			s.operation.Auth = edge.Own
			s.operation.Login = func(context.Context, *edge.Call) (edge.Identity, []iam.Check, error) {
				s.step("login")
				return s.identity, []iam.Check{{Action: "test:Form"}}, nil
			}
		}, 200, []string{"route", "login", "authorize", "serve"}},
		{"own without checks", func(s *server) {
			s.operation.Auth = edge.Own
			s.operation.Login = func(context.Context, *edge.Call) (edge.Identity, []iam.Check, error) {
				return s.identity, nil, nil
			}
		}, 500, []string{"route", "error"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newServer(t, edge.Config{})
			tt.change(s)
			w := httptest.NewRecorder()
			s.pipeline.ServeHTTP(w, httptest.NewRequest(http.MethodPut, "/b/k", strings.NewReader("body")))
			if w.Code != tt.status {
				t.Errorf("status %d, want %d", w.Code, tt.status)
			}
			if diff := cmp.Diff(tt.want, s.trail); diff != "" {
				t.Errorf("steps (-want +got):\n%s", diff)
			}
			event := <-s.events
			if event.Status != tt.status || event.RequestID == "" || w.Header().Get("X-Amz-Request-Id") != event.RequestID {
				t.Errorf("event %+v, header %v", event, w.Header())
			}
		})
	}
}

func TestPathIsDecodedOnceAndNeverCleaned(t *testing.T) {
	for raw, want := range map[string]string{
		"/b/a%2Fb":         "/b/a/b",
		"/b/%252e%252e/x":  "/b/%2e%2e/x",
		"/b/../x":          "/b/../x",
		"/b//x/./y/":       "/b//x/./y/",
		"//b/x":            "//b/x",
		"/b/a+b%20c%2B":    "/b/a+b c+",
		"/b/%5C..%5C":      `/b/\..\`,
		"/b/%00":           "/b/\x00",
		"/b/a;b=c":         "/b/a;b=c",
		"/b/%3Fversions=1": "/b/?versions=1",
	} {
		t.Run(raw, func(t *testing.T) {
			s := newServer(t, edge.Config{})
			answer := send(t, s, "GET "+raw+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
			if !strings.HasPrefix(answer, "HTTP/1.1 200") || s.routed.Path != want {
				t.Errorf("path %q, want %q; answer %.40q", s.routed.Path, want, answer)
			}
		})
	}
}

// send sends bytes to a listening server and returns all that comes back.
func send(t *testing.T, s *server, request string) string {
	t.Helper()
	conn := dial(t, s)
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	return string(answer)
}

func dial(t *testing.T, s *server) net.Conn {
	t.Helper()
	listener := httptest.NewUnstartedServer(nil)
	listener.Config = edge.NewServer(s.pipeline, nil)
	listener.Start()
	t.Cleanup(listener.Close)
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", listener.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// "OPTIONS *", which net/http likes to answer itself, goes through the pipeline.
func TestNoRequestIsAnsweredOutside(t *testing.T) {
	s := newServer(t, edge.Config{})
	answer := send(t, s, "OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	if !strings.HasPrefix(answer, "HTTP/1.1 400 ") || !strings.Contains(answer, "X-Amz-Request-Id: ") {
		t.Errorf("answer %q", answer)
	}
	if len(s.events) != 1 {
		t.Error("nobody was told")
	}
}

func TestForwarding(t *testing.T) {
	proxy := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	tests := []struct {
		name    string
		trusted []netip.Prefix
		header  http.Header
		source  string
		tls     bool
	}{
		{"nobody is trusted", nil, http.Header{"X-Forwarded-For": {"10.0.0.1"}, "X-Forwarded-Proto": {"https"}}, "192.0.2.1", false},
		{"trusted", proxy, http.Header{"X-Forwarded-For": {"10.0.0.1"}, "X-Forwarded-Proto": {"https"}}, "10.0.0.1", true},
		{"client's own word before the proxy's", proxy, http.Header{"X-Forwarded-For": {"127.0.0.1, 10.0.0.1"}}, "10.0.0.1", false},
		{"two headers", proxy, http.Header{"X-Forwarded-For": {"127.0.0.1", "10.0.0.1"}}, "10.0.0.1", false},
		{"chain of proxies", proxy, http.Header{"X-Forwarded-For": {"127.0.0.1, 10.0.0.1, 192.0.2.7"}}, "10.0.0.1", false},
		{"with ports", proxy, http.Header{"X-Forwarded-For": {"10.0.0.1:55555, 192.0.2.7:443"}}, "10.0.0.1", false},
		{"IPv6 with a port", proxy, http.Header{"X-Forwarded-For": {"[2001:db8::1]:55555"}}, "2001:db8::1", false},
		{"IPv4 in IPv6", proxy, http.Header{"X-Forwarded-For": {"::ffff:10.0.0.1"}}, "10.0.0.1", false},
		{"nobody forwarded", proxy, http.Header{}, "192.0.2.1", false},
		{"nonsense is not the proxy", proxy, http.Header{"X-Forwarded-For": {"unknown"}}, "invalid IP", false},
		{"nonsense before a proxy", proxy, http.Header{"X-Forwarded-For": {"10.0.0.1, unknown, 192.0.2.7"}}, "invalid IP", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newServer(t, edge.Config{TrustedProxies: tt.trusted})
			r := httptest.NewRequest(http.MethodGet, "/", nil) // from 192.0.2.1
			r.Header = tt.header
			var got iam.Facts
			s.allow = func(_ iam.Principal, _ iam.Check, facts iam.Facts) bool { got = facts; return true }
			s.pipeline.ServeHTTP(httptest.NewRecorder(), r)
			if got.SourceIP.String() != tt.source || got.TLS != tt.tls {
				t.Errorf("source %v, tls %t", got.SourceIP, got.TLS)
			}
		})
	}
}

func TestContinueComesAfterAuthorisation(t *testing.T) {
	const request = "PUT /b/k HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"
	t.Run("refused", func(t *testing.T) {
		s := newServer(t, edge.Config{})
		s.badLogin = true
		if answer := send(t, s, request); !strings.HasPrefix(answer, "HTTP/1.1 401 ") {
			t.Errorf("answer %q", answer)
		}
	})
	t.Run("allowed", func(t *testing.T) {
		s := newServer(t, edge.Config{})
		conn := dial(t, s)
		_, _ = io.WriteString(conn, request)
		answer := bufio.NewReader(conn)
		if line, _ := answer.ReadString('\n'); line != "HTTP/1.1 100 Continue\r\n" {
			t.Fatalf("first line %q", line)
		}
		_, _ = answer.ReadString('\n')
		_, _ = io.WriteString(conn, "body")
		if line, _ := answer.ReadString('\n'); line != "HTTP/1.1 200 OK\r\n" {
			t.Errorf("second answer %q", line)
		}
	})
}

func TestBodyLimit(t *testing.T) {
	for _, declared := range []bool{true, false} {
		t.Run(fmt.Sprintf("declared %t", declared), func(t *testing.T) {
			s := newServer(t, edge.Config{})
			s.operation.MaxBody = 8
			s.operation.Handler = edge.HandlerFunc(func(_ context.Context, _ *edge.Writer, call *edge.Call) error {
				_, err := io.ReadAll(call.Body)
				return err
			})
			for body, status := range map[string]int{"12345678": 200, "123456789": 413} {
				r := httptest.NewRequest(http.MethodPut, "/b/k", io.MultiReader(strings.NewReader(body)))
				if r.ContentLength = -1; declared {
					r.ContentLength = int64(len(body))
				}
				w := httptest.NewRecorder()
				s.pipeline.ServeHTTP(w, r)
				if w.Code != status {
					t.Errorf("%q: status %d, want %d", body, w.Code, status)
				}
			}
		})
	}
}

func TestPanic(t *testing.T) {
	s := newServer(t, edge.Config{})
	s.operation.Handler = edge.HandlerFunc(func(context.Context, *edge.Writer, *edge.Call) error { panic("broken invariant") })
	w := httptest.NewRecorder()
	s.pipeline.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if event := <-s.events; w.Code != 500 || event.Status != 500 || event.Err == nil {
		t.Errorf("status %d, event %+v", w.Code, event)
	}
}

func TestLateErrorAbortsTheConnection(t *testing.T) {
	s := newServer(t, edge.Config{})
	s.operation.Handler = edge.HandlerFunc(func(_ context.Context, w *edge.Writer, _ *edge.Call) error {
		_, _ = io.WriteString(w, "some")
		return errors.New("the rest is damaged")
	})
	answer := send(t, s, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if strings.HasSuffix(answer, "0\r\n\r\n") {
		t.Errorf("the answer looks complete: %q", answer)
	}
	if event := <-s.events; event.Err == nil {
		t.Errorf("event %+v", event)
	}
}

// A client that sends or takes nothing is cut off after Config.Stall; one that
// makes progress is not, however long the whole takes.
func TestStall(t *testing.T) {
	t.Parallel()
	t.Run("reader", func(t *testing.T) {
		t.Parallel()
		s := newServer(t, edge.Config{Stall: 800 * time.Millisecond})
		s.operation.Handler = edge.HandlerFunc(func(_ context.Context, w *edge.Writer, _ *edge.Call) error {
			block := make([]byte, 1<<20)
			for {
				if _, err := w.Write(block); err != nil {
					return err
				}
			}
		})
		conn := dial(t, s)
		_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		if event := <-s.events; event.Err == nil {
			t.Errorf("event %+v", event)
		}
	})
	t.Run("writer", func(t *testing.T) {
		t.Parallel()
		s := newServer(t, edge.Config{Stall: 800 * time.Millisecond})
		var got atomic.Value
		s.operation.Handler = edge.HandlerFunc(func(_ context.Context, _ *edge.Writer, call *edge.Call) error {
			_, err := io.ReadAll(call.Body)
			got.Store(err)
			return err
		})
		answer := send(t, s, "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nsome")
		if err, _ := got.Load().(error); !errors.Is(err, edge.ErrSlow) || !strings.HasPrefix(answer, "HTTP/1.1 400 ") {
			t.Errorf("error %v, answer %q", err, answer)
		}
	})
}

func TestSecondRequestOfAConnectionAfterStall(t *testing.T) {
	t.Parallel()
	s := newServer(t, edge.Config{Stall: 500 * time.Millisecond})
	conn := dial(t, s)
	answers := bufio.NewReader(conn)
	for range 2 {
		_, _ = io.WriteString(conn, "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody")
		response, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
		<-time.After(600 * time.Millisecond) // longer than Stall: old deadlines must not count
	}
}
