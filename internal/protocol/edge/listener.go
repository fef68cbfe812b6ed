package edge

import (
	"context"
	"net"
	"sync"
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
type conn struct {
	*net.TCPConn
	leave    func()
	holding  bool
	held     []byte
	deadline time.Time // for writing, as last set
}

// Close closes the connection and makes room for another.
func (c *conn) Close() error {
	defer c.leave()
	return c.TCPConn.Close()
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
