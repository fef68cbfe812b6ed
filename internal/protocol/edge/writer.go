package edge

import (
	"io"
	"net/http"
	"sync"
	"time"
)

// paceBytes is how much a client must send or accept within Config.Stall.
const paceBytes = 64 << 10

// Writer is the answer to one request. It counts, and gives up on a client that
// accepts less than 64 KiB in Config.Stall.
type Writer struct {
	http     http.ResponseWriter
	control  http.ResponseController
	now      func() time.Time
	conn     *conn // nil if it cannot hold
	stall    time.Duration
	deadline time.Time // as last set, without a conn

	status int
	bytes  int64
	first  time.Time
}

// Header returns the answer's header, to be changed before WriteHeader.
func (w *Writer) Header() http.Header { return w.http.Header() }

// WriteHeader sends the status. Only the first call counts.
func (w *Writer) WriteHeader(status int) {
	if w.status != 0 {
		return
	}
	w.status = status
	w.first = w.now()
	w.extend() // a short answer is written by net/http after the handler
	w.http.WriteHeader(status)
}

// Write sends a part of the body.
func (w *Writer) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	total := 0
	for len(p) > 0 {
		n := min(len(p), paceBytes)
		w.extend()
		n, err := w.send(p[:n])
		total += n
		w.bytes += int64(n)
		if err != nil {
			return total, err
		}
		p = p[n:]
	}
	return total, nil
}

// send passes a piece on; the first one leaves together with the header.
func (w *Writer) send(p []byte) (int, error) {
	if w.conn == nil || w.bytes > 0 || len(p) <= maxHeld {
		return w.http.Write(p)
	}
	w.conn.hold()
	n, err := w.http.Write(p)
	if held := w.conn.release(); err == nil {
		err = held
	}
	return n, err
}

// ReadFrom sends a body in pieces of one pooled buffer.
func (w *Writer) ReadFrom(r io.Reader) (int64, error) {
	buf := copyBuffers.Get().(*[paceBytes]byte) //nolint:errcheck,forcetypeassert // the pool's New makes nothing else
	defer copyBuffers.Put(buf)
	// The struct hides ReadFrom from io.CopyBuffer, which would call it again.
	return io.CopyBuffer(struct{ io.Writer }{w}, r, buf[:])
}

var copyBuffers = sync.Pool{New: func() any { return new([paceBytes]byte) }}

// Flush sends what is buffered.
func (w *Writer) Flush() {
	w.extend()
	_ = w.control.Flush() // a broken connection shows at the next Write
}

// Status returns the status sent, 0 if none was yet.
func (w *Writer) Status() int { return w.status }

// extend moves the write deadline, seldom: most answers need it once.
func (w *Writer) extend() {
	if w.conn != nil {
		w.conn.extend(w.stall)
		return
	}
	now := time.Now() // the connection's clock, whatever Config.Now says
	if w.deadline.Sub(now) > w.stall*3/4 {
		return
	}
	w.deadline = now.Add(w.stall)
	_ = w.control.SetWriteDeadline(w.deadline) // in-memory test writers have none
}
