package admin

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/larder-cache/larder/internal/protocol/edge"
)

// recentLogs is how many log lines a new watcher sees of what was before.
const recentLogs = 128

// Logs shows the server's log lines to administrators while they are written.
// Its Handler belongs around the server's own. The zero value is ready for use.
type Logs struct {
	feed feed[logLine]

	mu     sync.Mutex // guards recent; nothing else is locked under it
	recent []logLine  // the latest ones, oldest first
}

type logLine struct {
	at    time.Time
	level slog.Level
	text  string // message and attributes as key=value
}

func (l *Logs) add(line logLine) {
	l.mu.Lock()
	if len(l.recent) == recentLogs {
		l.recent = append(l.recent[:0], l.recent[1:]...)
	}
	l.recent = append(l.recent, line)
	l.mu.Unlock()
	l.feed.publish(line)
}

// last returns up to n of the latest lines, oldest first.
func (l *Logs) last(n int) []logLine {
	l.mu.Lock()
	defer l.mu.Unlock()
	n = min(n, len(l.recent))
	return append([]logLine(nil), l.recent[len(l.recent)-n:]...)
}

// Handler returns a slog handler that shows what next is told, from Info on.
func (l *Logs) Handler(next slog.Handler) slog.Handler {
	h := &logHandler{logs: l, next: next, mu: &sync.Mutex{}, line: &bytes.Buffer{}}
	h.format = slog.NewTextHandler(h.line, &slog.HandlerOptions{
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey) {
				return slog.Attr{}
			}
			return a
		},
	})
	return h
}

type logHandler struct {
	logs   *Logs
	next   slog.Handler
	format slog.Handler // writes to line

	mu   *sync.Mutex // guards line, which all handlers derived from one share
	line *bytes.Buffer
}

func (h *logHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

func (h *logHandler) Handle(ctx context.Context, record slog.Record) error {
	if record.Level >= slog.LevelInfo {
		h.mu.Lock()
		h.line.Reset()
		err := h.format.Handle(ctx, record)
		text := strings.TrimSpace(h.line.String())
		h.mu.Unlock()
		if err == nil {
			h.logs.add(logLine{record.Time, record.Level, text})
		}
	}
	return h.next.Handle(ctx, record)
}

func (h *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	derived := *h
	derived.next, derived.format = h.next.WithAttrs(attrs), h.format.WithAttrs(attrs)
	return &derived
}

func (h *logHandler) WithGroup(name string) slog.Handler {
	derived := *h
	derived.next, derived.format = h.next.WithGroup(name), h.format.WithGroup(name)
	return &derived
}

// logEntry is one log line as mc reads it.
type logEntry struct {
	Deployment string    `json:"deploymentid,omitempty"`
	Level      string    `json:"level"`
	Kind       string    `json:"errKind"`
	Time       time.Time `json:"time"`
	Message    string    `json:"ConsoleMsg"`
	Node       string    `json:"node"`
}

// log streams log lines, beginning with up to "limit" of the latest ones.
func (p *Protocol) log(in *input) (*edge.Operation, error) {
	const action = "admin:ConsoleLog"
	return in.operation(action, func(ctx context.Context, w *edge.Writer, call *edge.Call) error {
		limit, err := number(in.query, "limit", 10)
		if err != nil {
			return err
		}
		status, err := p.config.Status(ctx)
		if err != nil {
			return err
		}
		entry := func(line logLine) any {
			return &logEntry{
				Deployment: status.DeploymentID, Level: line.level.String(), Kind: "ALL",
				Time: line.at, Message: line.text, Node: status.Endpoint,
			}
		}
		return stream(ctx, p, w, call, action, &p.config.Logs.feed, entry, p.config.Logs.last(limit)...)
	}), nil
}
