package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/larder-cache/larder/internal/bench"
	"github.com/larder-cache/larder/internal/protocol/sigv4"
)

// transport is a server behind one kind of connection, with a client for it. All
// clients are net/http's, so that what differs is the connection.
type transport struct {
	*server
	client *http.Client
	keys   []string
	body   []byte
}

// transports compares plain HTTP, TLS, and HTTP/2, which puts all requests of a
// client on one connection. They say what TLS costs and why HTTP/2 is an option;
// there is no bar.
func transports(ctx context.Context, s *settings) ([]row, error) {
	var all []*transport
	for _, kind := range []struct {
		name  string
		flags []string
	}{
		{"plain", nil},
		{"tls", []string{"--tls", "auto"}},
		{"http2", []string{"--tls", "auto", "--http2"}},
	} {
		t, err := openTransport(ctx, s, kind.name, kind.flags)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", kind.name, err)
		}
		defer t.stop(syscall.SIGTERM)
		all = append(all, t)
	}
	var rows []row
	for _, c := range []struct{ method, title string }{{http.MethodGet, "GET 46 KB"}, {http.MethodPut, "durable PUT 46 KB"}} {
		fmt.Fprintln(os.Stderr, "bench:", c.title, "over TLS")
		samples := make([][]measurement, len(all))
		for range s.turns {
			for i, t := range all {
				m, err := t.turn(ctx, c.method, s.turn)
				if err != nil {
					return nil, fmt.Errorf("%s: %w", t.name, err)
				}
				samples[i] = append(samples[i], m)
			}
		}
		rows = append(rows,
			beside(c.title+" over TLS beside plain, CPU", samples[1], samples[0], func(m measurement) float64 { return m.cpu }),
			beside(c.title+" over HTTP/2 beside HTTP/1.1, TLS, CPU", samples[2], samples[1], func(m measurement) float64 { return m.cpu }),
			beside(c.title+" over HTTP/2 beside HTTP/1.1, TLS, throughput", samples[2], samples[1], func(m measurement) float64 { return m.perSecond }))
	}
	return rows, nil
}

// beside is the median ratio of two servers' turns.
func beside(what string, these, those []measurement, of func(measurement) float64) row {
	var ratios []float64
	for i := range these {
		ratios = append(ratios, of(these[i])/of(those[i]))
	}
	return row{What: what, Value: median(ratios), Unit: "×", Met: true}
}

func openTransport(ctx context.Context, s *settings, name string, flags []string) (*transport, error) {
	dir := filepath.Join(s.dir, name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	server, err := startLarder(ctx, s.larder, dir, flags...)
	if err != nil {
		return nil, err
	}
	random := rand.New(rand.NewPCG(46, 46))
	t := &transport{server: server, keys: bench.Keys("bench", population, random), body: make([]byte, bodySize)}
	for i := range t.body {
		t.body[i] = byte(random.Uint32())
	}
	err = t.connect(dir, len(flags) > 0, name == "http2")
	if err == nil {
		err = t.each(ctx, http.MethodPut, func(n int) bool { return n < len(t.keys) })
	}
	if err != nil {
		server.stop(syscall.SIGKILL)
		return nil, err
	}
	return t, nil
}

// connect makes the client.
func (t *transport) connect(dir string, secure, http2 bool) error {
	pool := &http.Transport{MaxIdleConnsPerHost: connections, Protocols: new(http.Protocols)}
	pool.Protocols.SetHTTP1(!http2)
	pool.Protocols.SetHTTP2(http2)
	if secure {
		t.url.Scheme = "https"
		authority, err := os.ReadFile(filepath.Join(dir, "data", "tls", "ca.crt"))
		if err != nil {
			return err
		}
		pool.TLSClientConfig = &tls.Config{RootCAs: x509.NewCertPool()}
		if !pool.TLSClientConfig.RootCAs.AppendCertsFromPEM(authority) {
			return errors.New("the own authority is no certificate")
		}
	}
	t.client = &http.Client{Transport: pool}
	return nil
}

// turn sends one kind of request for a while.
func (t *transport) turn(ctx context.Context, method string, length time.Duration) (measurement, error) {
	before, err := t.cpu()
	if err != nil {
		return measurement{}, err
	}
	var sent atomic.Int64
	begin := time.Now()
	err = t.each(ctx, method, func(int) bool {
		if time.Since(begin) > length {
			return false
		}
		sent.Add(1)
		return true
	})
	elapsed := time.Since(begin)
	if err != nil {
		return measurement{}, err
	}
	after, err := t.cpu()
	return measurement{float64(sent.Load()) / elapsed.Seconds(), float64((after - before).Microseconds()) / float64(sent.Load())}, err
}

// each lets 32 workers send requests for one key after the other while more says
// so of the request's number.
func (t *transport) each(ctx context.Context, method string, more func(n int) bool) error {
	errs := make([]error, connections)
	var workers sync.WaitGroup
	for i := range errs {
		workers.Go(func() {
			for n := i; errs[i] == nil && more(n); n += connections {
				errs[i] = t.send(ctx, method, t.keys[n%len(t.keys)])
			}
		})
	}
	workers.Wait()
	return errors.Join(errs...)
}

func (t *transport) send(ctx context.Context, method, key string) error {
	var body io.Reader = http.NoBody
	if method == http.MethodPut {
		body = bytes.NewReader(t.body)
	}
	req, err := http.NewRequestWithContext(ctx, method, t.url.String()+"/"+t.target.Bucket+"/"+key, body)
	if err != nil {
		return err
	}
	sigv4.Sign(req, t.target.Key, t.target.Region, "s3", sigv4.UnsignedPayload, time.Now())
	resp, err := t.client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %s", method, key, resp.Status)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}
