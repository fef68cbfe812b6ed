package app

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/larder-cache/larder/internal/protocol/edge"
)

// accessLog writes one line a request, in the form that slog's handlers give the
// rest of the log. It does so itself, since a tenth of the time of a small
// request went into slog; and it gathers lines, so that a request does not pay for
// a system call either. Run writes them out a few times a second.
type accessLog struct {
	json bool

	mu   sync.Mutex // guards the rest; the write of a full buffer happens under it
	out  *bufio.Writer
	line []byte
}

// flushInterval is how late an access line may be.
const flushInterval = 100 * time.Millisecond

func newAccessLog(w io.Writer, asJSON bool) *accessLog {
	return &accessLog{json: asJSON, out: bufio.NewWriterSize(w, 64<<10)}
}

func (l *accessLog) write(e *edge.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.line = l.encode(l.line[:0], e)
	if l.out.Available() < len(l.line) {
		_ = l.out.Flush() // never half a line: others write to the same file
	}
	_, _ = l.out.Write(l.line) // a log that cannot be written must not fail requests
}

func (l *accessLog) encode(b []byte, e *edge.Event) []byte {
	end := e.Start.Add(e.Duration)
	if l.json {
		b = append(b, `{"time":"`...)
		b = end.AppendFormat(b, time.RFC3339Nano)
		b = append(b, `","level":"INFO","msg":"request"`...)
	} else {
		b = append(b, "time="...)
		b = appendMillis(b, end)
		b = append(b, " level=INFO msg=request"...)
	}
	b = l.text(b, "request_id", e.RequestID)
	b = l.text(b, "op", e.Op)
	b = l.text(b, "method", e.Method)
	b = l.text(b, "proto", e.Proto)
	b = l.text(b, "host", e.Host)
	b = l.text(b, "path", e.Path)
	b = l.number(b, "status", int64(e.Status))
	b = l.number(b, "in_bytes", e.BytesIn)
	b = l.number(b, "out_bytes", e.BytesOut)
	b = l.number(b, "duration_us", e.Duration.Microseconds())
	b = l.text(b, "user", string(e.Principal.User))
	b = l.text(b, "access_key", string(e.Principal.AccessKey))
	b = l.address(b, "remote", e.RemoteAddr)
	b = l.text(b, "user_agent", e.UserAgent)
	if e.Lookup != edge.NoLookup {
		b = append(l.key(b, "hit"), strconv.FormatBool(e.Lookup == edge.Hit)...)
	}
	if e.Code != "" {
		b = l.text(b, "code", e.Code)
	}
	if e.Err != nil && e.Status >= 400 && e.Status != 404 {
		b = l.text(b, "error", e.Err.Error())
	}
	if l.json {
		b = append(b, '}')
	}
	return append(b, '\n')
}

func (l *accessLog) key(b []byte, key string) []byte {
	if l.json {
		b = append(b, ',', '"')
		b = append(b, key...)
		return append(b, '"', ':')
	}
	b = append(b, ' ')
	b = append(b, key...)
	return append(b, '=')
}

func (l *accessLog) number(b []byte, key string, n int64) []byte {
	return strconv.AppendInt(l.key(b, key), n, 10)
}

// appendMillis appends a time as slog's text handler does. time's own way for
// RFC 3339 is much faster than that for any other form, so the time gets a fourth
// digit, which is then left out.
func appendMillis(b []byte, t time.Time) []byte {
	n := len(b) + len("2006-01-02T15:04:05.000")
	t = t.Truncate(time.Millisecond).Add(time.Millisecond / 10)
	b = t.AppendFormat(b, time.RFC3339Nano)
	return append(b[:n], b[n+1:]...)
}

// address appends an IP address. A zone may be any text.
func (l *accessLog) address(b []byte, key string, address netip.Addr) []byte {
	if !address.IsValid() || address.Zone() != "" {
		return l.text(b, key, address.String())
	}
	b = l.key(b, key)
	if !l.json {
		return address.AppendTo(b)
	}
	return append(address.AppendTo(append(b, '"')), '"')
}

// text appends a value that a client may have chosen: it cannot end the line or
// look like another key.
func (l *accessLog) text(b []byte, key, value string) []byte {
	b = l.key(b, key)
	switch {
	case !l.json && value != "" && plain(value):
		return append(b, value...)
	case !l.json:
		return strconv.AppendQuote(b, value)
	case plain(value):
		b = append(b, '"')
		b = append(b, value...)
		return append(b, '"')
	}
	quoted, err := json.Marshal(value)
	if err != nil { // no string fails
		quoted = []byte(`""`)
	}
	return append(b, quoted...)
}

// plain reports whether a value needs quoting in neither form.
func plain(value string) bool {
	for i := range len(value) {
		if c := value[i]; c <= ' ' || c >= 0x7f || c == '"' || c == '\\' || c == '=' || c == '<' || c == '>' || c == '&' {
			return false
		}
	}
	return true
}

// Run writes lines out until ctx ends.
func (l *accessLog) Run(ctx context.Context) error {
	tick := time.NewTicker(flushInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return l.Flush()
		case <-tick.C:
			_ = l.Flush() // a log that cannot be written must not stop the server
		}
	}
}

// Flush writes out what is gathered.
func (l *accessLog) Flush() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.Flush()
}
