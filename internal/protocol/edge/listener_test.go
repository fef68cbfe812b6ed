package edge_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/protocol/edge"
)

// listen serves s on a Listener.
func listen(t *testing.T, s *server, limit int) string {
	t.Helper()
	inner, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	httpServer := edge.NewServer(s.pipeline, nil)
	var served sync.WaitGroup
	served.Go(func() { _ = httpServer.Serve(edge.NewListener(inner, limit)) })
	t.Cleanup(func() { _ = httpServer.Close(); served.Wait() })
	return "http://" + inner.Addr().String()
}

// Answers of all sizes around the buffers of net/http arrive whole, on one
// connection, whether they are written at once or in pieces, with and without a
// declared length.
func TestAnswersArriveWhole(t *testing.T) {
	s := newServer(t, edge.Config{})
	var size, piece int
	var declared bool
	body := make([]byte, 300<<10)
	for i := range body {
		body[i] = byte(i * 7 >> 3)
	}
	s.operation.Handler = edge.HandlerFunc(func(_ context.Context, w *edge.Writer, _ *edge.Call) error {
		if declared {
			w.Header().Set("Content-Length", fmt.Sprint(size))
		}
		for left := body[:size]; len(left) > 0; {
			n, err := w.Write(left[:min(piece, len(left))])
			if err != nil {
				return err
			}
			left = left[n:]
		}
		return nil
	})
	url := listen(t, s, 1)
	client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1}}
	defer client.CloseIdleConnections()
	for _, size = range []int{0, 1, 2000, 3500, 4000, 4095, 4096, 4097, 8192, 46 << 10, 64 << 10, 64<<10 + 1, 300 << 10} {
		for _, piece = range []int{1000, 4096, 5000, 1 << 20} {
			for _, declared = range []bool{true, false} {
				request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
				if err != nil {
					t.Fatal(err)
				}
				response, err := client.Do(request)
				if err != nil {
					t.Fatalf("size %d, pieces of %d: %v", size, piece, err)
				}
				got, err := io.ReadAll(response.Body)
				_ = response.Body.Close()
				if err != nil || !bytes.Equal(got, body[:size]) {
					t.Fatalf("size %d, pieces of %d, declared %t: %d bytes, %v", size, piece, declared, len(got), err)
				}
				<-s.events
			}
		}
	}
}

// A client that stops accepting is given up, in whichever of its connection's
// requests it does so.
func TestStalledReaderOfALaterRequest(t *testing.T) {
	t.Parallel()
	s := newServer(t, edge.Config{Stall: 800 * time.Millisecond})
	endless := false
	s.operation.Handler = edge.HandlerFunc(func(_ context.Context, w *edge.Writer, _ *edge.Call) error {
		for block := make([]byte, 1<<20); endless; {
			if _, err := w.Write(block); err != nil {
				return err
			}
		}
		return nil
	})
	client, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(listen(t, s, 1), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	for _, endless = range []bool{false, true} {
		if _, err := io.WriteString(client, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		select {
		case event := <-s.events:
			if (event.Err != nil) != endless {
				t.Errorf("event %+v", event)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("the answer waits for ever")
		}
	}
}

// The deadline of an answer does not count for what net/http itself writes on the
// same connection later.
func TestRefusalAfterAnIdleTime(t *testing.T) {
	t.Parallel()
	const stall = 200 * time.Millisecond
	s := newServer(t, edge.Config{Stall: stall})
	client, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(listen(t, s, 1), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	answers := bufio.NewReader(client)
	for _, request := range []string{"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "nonsense\r\n\r\n"} {
		if _, err := io.WriteString(client, request); err != nil {
			t.Fatal(err)
		}
		response, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatalf("%q: %v", request, err)
		}
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
		<-time.After(2 * stall)
	}
}

func TestListenerLimit(t *testing.T) {
	s := newServer(t, edge.Config{})
	entered, leave := make(chan struct{}, 4), make(chan struct{})
	s.operation.Handler = edge.HandlerFunc(func(context.Context, *edge.Writer, *edge.Call) error {
		entered <- struct{}{}
		<-leave
		return nil
	})
	url := listen(t, s, 2)
	var done sync.WaitGroup
	for range 4 {
		done.Go(func() {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
			if err != nil {
				t.Error(err)
				return
			}
			request.Close = true
			response, err := (&http.Transport{}).RoundTrip(request)
			if err != nil {
				t.Error(err)
				return
			}
			_ = response.Body.Close()
		})
	}
	<-entered
	<-entered
	if len(entered) != 0 {
		t.Error("more connections than allowed")
	}
	close(leave)
	done.Wait() // a closed connection makes room for the next
	if len(entered) != 2 {
		t.Errorf("%d of 2 waiting connections were served", len(entered))
	}
}
