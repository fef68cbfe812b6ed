package edge_test

import (
	"bufio"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-cache/larder/internal/protocol/edge"
)

// pipes is a listener whose one connection is a pipe, so that a bubble's clock
// decides when it is too late.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	if c, ok := <-p; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}

func (p pipes) Close() error   { return nil }
func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

// TestPatience: a client has only so long for the headers, and for the next
// request, and headers are only so long. Nothing of what is cut off is served.
func TestPatience(t *testing.T) {
	const whole = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
	for _, tt := range []struct {
		name, send, status string
		served             int
		after              time.Duration
	}{
		{"headers without end", "GET / HTTP/1.1\r\nHost: x\r\nX-A: ", "", 0, edge.HeaderTimeout},
		{"nothing at all", "", "", 0, edge.HeaderTimeout},
		{"headers that are too long", "GET / HTTP/1.1\r\nHost: x\r\nX-A: " + strings.Repeat("a", edge.MaxHeaderBytes+8<<10) + "\r\n\r\n", "431", 0, 0},
		{"a path that is too long", "GET /" + strings.Repeat("a", edge.MaxHeaderBytes+8<<10) + " HTTP/1.1\r\nHost: x\r\n\r\n", "431", 0, 0},
		{"no further request", whole, "200", 1, edge.IdleTimeout},
		{"half of a further request", whole + "GET / HT", "200", 1, edge.HeaderTimeout},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(t, edge.Config{})
				client, server := net.Pipe()
				listener := make(pipes, 1)
				listener <- server
				httpServer := edge.NewServer(s.pipeline, nil)
				served := make(chan struct{})
				go func() { _ = httpServer.Serve(listener); close(served) }()
				start := time.Now()
				go func() { _, _ = io.WriteString(client, tt.send) }()
				answer, _ := io.ReadAll(bufio.NewReader(client)) // to where the server gives up
				status := ""
				if fields := strings.Fields(string(answer)); len(fields) > 1 {
					status = fields[1]
				}
				if waited := time.Since(start).Round(time.Second); status != tt.status || waited < tt.after || waited > tt.after+time.Second || len(s.events) != tt.served {
					t.Errorf("status %q after %v, %d served; want %q after %v, %d", status, waited, len(s.events), tt.status, tt.after, tt.served)
				}
				_ = client.Close()
				close(listener)
				<-served
			})
		})
	}
}
