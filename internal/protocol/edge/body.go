package edge

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/larder-cache/larder/internal/fault"
)

// body is a request's raw body. It counts, and gives up on a client that sends
// less than 64 KiB in Config.Stall. The first Read makes net/http send "100
// Continue".
type body struct {
	raw     io.ReadCloser
	control *http.ResponseController
	stall   time.Duration

	started  bool
	expected bool  // the client waits for 100 Continue
	whole    bool  // read to its end
	pace     int64 // bytes read since the deadline was set
	bytes    int64 // read in total
}

// Read reads raw bytes. Whatever ends the transfer early is fault.Invalid, since
// the request is incomplete.
func (b *body) Read(p []byte) (int, error) {
	if !b.started || b.pace >= paceBytes {
		b.started, b.pace = true, 0
		_ = b.control.SetReadDeadline(time.Now().Add(b.stall)) // in-memory test bodies have none
	}
	n, err := b.raw.Read(p)
	b.pace += int64(n)
	b.bytes += int64(n)
	if err == nil {
		return n, nil
	}
	switch {
	case errors.Is(err, io.EOF):
		// net/http reads on in the background to notice that the client is gone;
		// a deadline would look like that.
		_ = b.control.SetReadDeadline(time.Time{})
		b.whole = true
		return n, io.EOF
	case isTimeout(err):
		return n, fault.Wrap(fault.Invalid, fault.None, "", ErrSlow)
	}
	return n, fault.Wrap(fault.Invalid, fault.None, "", fmt.Errorf("%w: %w", ErrIncomplete, err))
}

// finish bounds what net/http does with the rest of a body that was not read: it
// discards up to 256 KiB, without any deadline of its own.
func (b *body) finish() {
	if b.raw == nil || b.whole {
		return
	}
	wait := min(b.stall/2, drainTimeout)
	if b.expected && !b.started {
		wait = min(wait, refusalTimeout)
	}
	_ = b.control.SetReadDeadline(time.Now().Add(wait))
}

// How long the rest of a body that nobody wants may take to arrive, and how
// long the connection of a client lasts that was not told to continue: it should
// send nothing.
const (
	drainTimeout   = 5 * time.Second
	refusalTimeout = 200 * time.Millisecond
)

// Close closes the raw body.
func (b *body) Close() error { return b.raw.Close() }

// The ways a body fails to arrive. They are the cause of a fault.Invalid.
var (
	ErrSlow       = errors.New("the body stopped arriving")
	ErrIncomplete = errors.New("the body ended before its declared length")
)

func isTimeout(err error) bool {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return true
	}
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}

// limited yields at most left bytes and fault.TooLarge behind them.
type limited struct {
	r    io.Reader
	left int64
}

func (l *limited) Read(p []byte) (int, error) {
	if int64(len(p)) > l.left+1 {
		p = p[:l.left+1]
	}
	n, err := l.r.Read(p)
	if int64(n) > l.left {
		n, l.left = int(l.left), 0
		return n, fault.New(fault.TooLarge, fault.None, "request body")
	}
	l.left -= int64(n)
	return n, err
}
