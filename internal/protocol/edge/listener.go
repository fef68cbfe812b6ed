package edge

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Listener limits the connections that are open at once, and lets an answer's
// header and body leave in one system call. It is made for NewServer's servers.
type Listener struct {
	net.Listener
	slots  chan struct{}
	closed chan struct{}
	once   sync.Once
}

// NewListener returns a Listener over inner with at most limit open connections;
// more wait to be accepted.
func NewListener(inner net.Listener, limit int) *Listener {
	return &Listener{Listener: inner, slots: make(chan struct{}, limit), closed: make(chan struct{})}
}

// Accept waits for a connection, and before that for room for one.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	leave := sync.OnceFunc(func() { <-l.slots })
	if tcp, ok := c.(*net.TCPConn); ok {
		return &conn{TCPConn: tcp, leave: leave}, nil
	}
	return &otherConn{c, leave}, nil
}

// Close stops listening.
func (l *Listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// otherConn is a connection that is not TCP.
type otherConn struct {
	net.Conn
	leave func()
}

// Close closes the connection and makes room for another.
func (c *otherConn) Close() error {
	defer c.leave()
	return c.Conn.Close()
}

// conn is a TCP connection. net/http writes an answer of more than 4 KiB in two
// pieces, its full buffer with the header and the beginning of the body, then the
// rest; a conn that holds keeps the first and sends both at once. On loopback
// that is a tenth of the cost of a 46 KiB answer.
//
// Only the goroutine that serves a request of HTTP/1 over plain TCP holds, and it
// alone writes.
//
// net/http takes the deadline for writing off behind every answer. A conn leaves it
// on the socket and remembers that it does not count, so that a busy connection
// sets it seldom.
type conn struct {
	*net.TCPConn
	leave   func()
	holding bool
	held    []byte

	deadline atomic.Int64 // for writing, as the socket has it: Unix time in ns, 0 for none
	lifted   atomic.Bool  // it was taken off since
}

// Close closes the connection and makes room for another.
func (c *conn) Close() error {
	defer c.leave()
	return c.TCPConn.Close()
}

// SetDeadline sets both deadlines.
func (c *conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetWriteDeadline sets the deadline for writing.
func (c *conn) SetWriteDeadline(t time.Time) error {
	if t.IsZero() {
		c.lifted.Store(true)
		return nil
	}
	c.deadline.Store(t.UnixNano())
	c.lifted.Store(false)
	return c.TCPConn.SetWriteDeadline(t)
}

// extend gives what is written next at least three quarters of stall.
func (c *conn) extend(stall time.Duration) {
	now := time.Now()
	if c.deadline.Load()-now.UnixNano() > int64(stall*3/4) {
		c.lifted.Store(false)
		return
	}
	_ = c.SetWriteDeadline(now.Add(stall)) // fails on a closed connection, as the write will
}

// unblock takes a deadline that does not count any more off the socket, once it
// has passed.
func (c *conn) unblock() {
	if at := c.deadline.Load(); at != 0 && c.lifted.Load() && at < time.Now().UnixNano() {
		c.deadline.Store(0)
		_ = c.TCPConn.SetWriteDeadline(time.Time{}) // fails on a closed connection, as the write will
	}
}

// hold keeps the next Write until another one, or release.
func (c *conn) hold() { c.holding = true }

// release sends what is held.
func (c *conn) release() error {
	c.holding = false
	if len(c.held) == 0 {
		return nil
	}
	_, err := c.TCPConn.Write(c.held)
	c.held = c.held[:0]
	return err
}

// maxHeld is the size of net/http's buffer; a larger Write is none of its flushes.
const maxHeld = 4 << 10

// Write sends p, or keeps it.
func (c *conn) Write(p []byte) (int, error) {
	c.unblock()
	switch {
	case len(c.held) > 0:
		first := len(c.held)
		both := net.Buffers{c.held, p}
		n, err := both.WriteTo(c.TCPConn)
		c.held, c.holding = c.held[:0], false
		return max(int(n)-first, 0), err
	case c.holding && len(p) <= maxHeld:
		c.held = append(c.held, p...)
		return len(p), nil
	}
	return c.TCPConn.Write(p)
}

type connKey struct{}

// withConn puts a connection that can hold into the context of its requests.
func withConn(ctx context.Context, c net.Conn) context.Context {
	if held, ok := c.(*conn); ok {
		return context.WithValue(ctx, connKey{}, held)
	}
	return ctx
}

// connOf returns the connection of a request of HTTP/1 over plain TCP, or nil.
func connOf(ctx context.Context) *conn {
	c, _ := ctx.Value(connKey{}).(*conn)
	return c
}
