package admin_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/protocol/admin"
	"github.com/larder-cache/larder/internal/protocol/sigv4"
)

// live opens a stream and returns its lines, keep-alives stripped. The channel is
// closed when the server ends the stream.
func (w *world) live(path string, key sigv4.Key) (lines <-chan string, status int) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	res, err := w.server.Client().Do(w.build(request{method: "GET", path: path, key: key}).WithContext(ctx))
	if err != nil {
		cancel()
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { cancel(); res.Body.Close() })
	found := make(chan string, 100)
	go func() {
		defer close(found)
		for scanner := bufio.NewScanner(res.Body); scanner.Scan(); {
			if line := strings.TrimSpace(scanner.Text()); line != "" {
				found <- line
			}
		}
	}()
	return found, res.StatusCode
}

func next(t *testing.T, lines <-chan string) string {
	t.Helper()
	select {
	case line, ok := <-lines:
		if !ok {
			t.Fatal("the stream ended")
		}
		return line
	case <-time.After(10 * time.Second):
		t.Fatal("nothing came for ten seconds")
	}
	return ""
}

// TestTrace watches a presigned request: it shows, its signature does not.
func TestTrace(t *testing.T) {
	w := newWorld(t)
	lines, status := w.live("trace?s3=true&err=false&threshold=0s", root)
	if status != http.StatusOK {
		t.Fatalf("trace answers %d", status)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.server.URL+"/sccache/secret-key?x-id=hidden", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Amz-Server-Side-Encryption-Customer-Key", "c2VjcmV0")
	sigv4.Presign(req, root, "us-east-1", "s3", time.Now(), time.Minute)
	w.send(req)
	line := next(t, lines)
	for _, hidden := range []string{"X-Amz-Signature", "X-Amz-Credential", "hidden", "c2VjcmV0", "Authorization"} {
		if strings.Contains(line, hidden) {
			t.Errorf("the trace shows %s: %s", hidden, line)
		}
	}
	var entry struct {
		Type     int
		FuncName string
		Path     string
		HTTP     struct {
			Request  struct{ Method string }
			Response struct{ StatusCode int }
		}
	}
	if err := json.Unmarshal([]byte(line), &entry); err != nil {
		t.Fatal(err)
	}
	if entry.Type != 4 || entry.FuncName == "" || entry.Path != "/sccache/secret-key" || entry.HTTP.Response.StatusCode < 400 {
		t.Errorf("entry is %+v", entry)
	}
}

// TestTraceTerminal sends what would steer the terminal of whoever watches, or
// turn text around.
func TestTraceTerminal(t *testing.T) {
	w := newWorld(t)
	lines, _ := w.live("trace?s3=true", root)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.server.URL+"/sccache/%1b]0;owned%07%e2%80%ae%ff", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("User-Agent", "a\u202eb\u009b31mc")
	w.send(req)
	var entry struct {
		Path string
		HTTP struct {
			Request struct {
				Path    string
				Headers map[string][]string
			}
		}
	}
	if err := json.Unmarshal([]byte(next(t, lines)), &entry); err != nil {
		t.Fatal(err)
	}
	const path, agent = `/sccache/\x1b]0;owned\a\u202e\xff`, `a\u202eb\u009b31mc`
	if r := entry.HTTP.Request; entry.Path != path || r.Path != path || len(r.Headers["User-Agent"]) != 1 || r.Headers["User-Agent"][0] != agent {
		t.Errorf("the trace shows %q, %q and %q", entry.Path, r.Path, r.Headers)
	}
}

func TestTraceFilter(t *testing.T) {
	w := newWorld(t)
	lines, _ := w.live("trace?s3=true&err=true", root)
	w.must(request{"GET", "/", "", false, root})
	w.do(request{"GET", "/absent/?location=", "", false, root})
	if line := next(t, lines); !strings.Contains(line, `"/absent/"`) {
		t.Errorf("a trace of errors shows %s", line)
	}
}

// TestStreamsEnd takes the right to watch away from one who watches.
func TestStreamsEnd(t *testing.T) {
	changes := map[string]request{
		"disabled":        {"PUT", "set-user-status?accessKey=watcher&status=disabled", "", false, root},
		"policy detached": {"PUT", "set-user-or-group-policy?isGroup=false&policyName=&userOrGroup=watcher", "", false, root},
		"removed":         {"DELETE", "remove-user?accessKey=watcher", "", false, root},
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			watcher := w.user("watcher", allowing("admin:ServerTrace"))
			lines, status := w.live("trace?s3=true", watcher)
			if status != http.StatusOK {
				t.Fatalf("trace answers %d", status)
			}
			w.must(change)
			for {
				select {
				case _, ok := <-lines:
					if !ok {
						return
					}
				case <-time.After(10 * time.Second):
					t.Fatal("the stream goes on")
				}
			}
		})
	}
}

// TestStreamsAreShared lets nobody take all of the live streams.
func TestStreamsAreShared(t *testing.T) {
	w := newWorld(t)
	watcher := w.user("watcher", allowing("admin:ServerTrace"))
	for i := range 5 {
		if _, status := w.live("trace?s3=true", watcher); (status == http.StatusOK) != (i < 4) {
			t.Errorf("stream %d: %d", i+1, status)
		}
	}
	for i := range 5 {
		key := watcher
		if i > 0 {
			key = w.session(watcher, "")
		}
		if _, status := w.live("trace?s3=true", key); (status == http.StatusOK) != (i > 0) {
			t.Errorf("session %d: %d", i, status)
		}
	}
	if _, status := w.live("trace?s3=true", w.session(watcher, "")); status != http.StatusServiceUnavailable {
		t.Errorf("a further session: %d", status)
	}
	if _, status := w.live("trace?s3=true", root); status != http.StatusOK {
		t.Errorf("root does not get to watch: %d", status)
	}
}

// TestStreamsEndWithTheServer stops a server that somebody watches.
func TestStreamsEndWithTheServer(t *testing.T) {
	w := newWorld(t)
	lines, _ := w.live("trace?s3=true", root)
	w.protocol.EndStreams()
	w.protocol.EndStreams()
	select {
	case _, ok := <-lines:
		if ok {
			t.Error("a line came")
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the stream goes on")
	}
}

// TestStreamsAreBounded opens more streams than there may be.
func TestStreamsAreBounded(t *testing.T) {
	w := newWorld(t)
	for i := range 16 {
		watcher := w.user("watcher"+strconv.Itoa(i), allowing("admin:ServerTrace"))
		if _, status := w.live("trace?s3=true", watcher); status != http.StatusOK {
			t.Fatalf("stream %d: %d", i, status)
		}
	}
	if _, status := w.live("trace?s3=true", root); status != http.StatusServiceUnavailable {
		t.Errorf("one stream more: %d", status)
	}
}

func TestLogs(t *testing.T) {
	logs := &admin.Logs{}
	logger := slog.New(logs.Handler(slog.NewTextHandler(&bytes.Buffer{}, nil))).With("part", "test").WithGroup("g")
	logger.Info("before", "number", 1)
	w := newWorld(t, func(c *admin.Config) { c.Logs = logs })
	lines, _ := w.live("log?limit=5&node=&logType=all", root)
	if line := next(t, lines); !strings.Contains(line, `"ConsoleMsg":"msg=before part=test g.number=1"`) {
		t.Errorf("the line from before is %s", line)
	}
	logger.Debug("too fine")
	logger.Warn("live", "number", 2)
	if line := next(t, lines); !strings.Contains(line, "msg=live") || !strings.Contains(line, `"level":"WARN"`) {
		t.Errorf("the live line is %s", line)
	}
}
