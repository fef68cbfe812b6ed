package bench

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"time"
)

// requestTimeout is when sccache gives a read up.
const requestTimeout = 60 * time.Second

// conn is one keep-alive connection.
type conn struct {
	net.Conn
	in   *bufio.Reader
	line []byte
}

// dial connects to a server. config is used for https alone.
func dial(ctx context.Context, server *url.URL, config *tls.Config) (*conn, error) {
	address := server.Host
	if server.Port() == "" {
		port := "80"
		if server.Scheme == "https" {
			port = "443"
		}
		address = net.JoinHostPort(server.Hostname(), port)
	}
	var raw net.Conn
	var err error
	if server.Scheme == "https" {
		dialer := tls.Dialer{Config: config}
		raw, err = dialer.DialContext(ctx, "tcp", address)
	} else {
		raw, err = new(net.Dialer).DialContext(ctx, "tcp", address)
	}
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", server.Redacted(), err)
	}
	return &conn{Conn: raw, in: bufio.NewReaderSize(raw, 64<<10)}, nil
}

// reply is the part of an answer that the load looks at.
type reply struct {
	status    int
	body      int64 // bytes
	firstByte time.Time
	text      []byte // of the body, at most 512 bytes, for the report of an error
}

// do sends a rendered request and reads its answer to the end.
func (c *conn) do(head, body []byte) (reply, error) {
	if err := c.SetDeadline(time.Now().Add(requestTimeout)); err != nil {
		return reply{}, err
	}
	buffers := net.Buffers{head, body}
	if len(body) == 0 {
		buffers = buffers[:1]
	}
	if _, err := buffers.WriteTo(c.Conn); err != nil {
		return reply{}, err
	}
	return c.read()
}

func (c *conn) read() (reply, error) {
	status, err := c.readLine()
	if err != nil {
		return reply{}, err
	}
	r := reply{firstByte: time.Now()}
	if len(status) < 12 {
		return r, fmt.Errorf("not an HTTP answer: %q", status)
	}
	if r.status, err = strconv.Atoi(string(status[9:12])); err != nil {
		return r, fmt.Errorf("not an HTTP answer: %q", status)
	}
	length, chunked := int64(-1), false
	for {
		line, err := c.readLine()
		if err != nil {
			return r, err
		}
		if len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		switch {
		case bytes.EqualFold(name, []byte("Content-Length")):
			if length, err = strconv.ParseInt(string(bytes.TrimSpace(value)), 10, 64); err != nil {
				return r, fmt.Errorf("content length: %w", err)
			}
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			chunked = true
		}
	}
	switch {
	case r.status == 204 || r.status == 304:
		return r, nil
	case chunked:
		return r, c.readChunks(&r)
	case length < 0:
		return r, errors.New("the answer has no length")
	}
	return r, c.readBody(&r, length)
}

func (c *conn) readChunks(r *reply) error {
	for {
		line, err := c.readLine()
		if err != nil {
			return err
		}
		n, err := strconv.ParseInt(string(line), 16, 64)
		if err != nil {
			return fmt.Errorf("chunk length: %w", err)
		}
		if err := c.readBody(r, n); err != nil {
			return err
		}
		if _, err := c.readLine(); err != nil {
			return err
		}
		if n == 0 {
			return nil
		}
	}
}

// readBody skips n bytes, keeping the first few of an error's text.
func (c *conn) readBody(r *reply, n int64) error {
	if r.status >= 300 {
		keep := min(n, int64(512-len(r.text)))
		text := make([]byte, keep)
		if _, err := io.ReadFull(c.in, text); err != nil {
			return err
		}
		r.text, r.body, n = append(r.text, text...), r.body+keep, n-keep
	}
	for n > 0 {
		step, err := c.in.Discard(int(min(n, 1<<20)))
		r.body += int64(step)
		n -= int64(step)
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *conn) readLine() ([]byte, error) {
	c.line = c.line[:0]
	for {
		part, err := c.in.ReadSlice('\n')
		c.line = append(c.line, part...)
		switch {
		case err == nil:
			return bytes.TrimRight(c.line, "\r\n"), nil
		case !errors.Is(err, bufio.ErrBufferFull) || len(c.line) > 64<<10:
			return nil, err
		}
	}
}
