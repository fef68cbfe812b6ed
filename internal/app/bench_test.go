package app

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/object"
	"github.com/larder-cache/larder/internal/protocol/admin"
	"github.com/larder-cache/larder/internal/protocol/sigv4"
)

// sink is a ResponseWriter that costs nothing.
type sink struct {
	header http.Header
	status int
}

func (s *sink) Header() http.Header            { return s.header }
func (s *sink) WriteHeader(status int)         { s.status = status }
func (*sink) SetWriteDeadline(time.Time) error { return nil }
func (s *sink) Write(p []byte) (int, error)    { return len(p), nil }

// What everything between net/http and the disk takes for one miss.
func BenchmarkMiss(b *testing.B) {
	dir := filepath.Join(b.TempDir(), "data")
	cfg, _, err := Load(Sources{Flags: map[string]string{"dir": dir, "reserve": "1MiB"}})
	if err != nil {
		b.Fatal(err)
	}
	s := &server{
		cfg: &cfg, process: &Process{Stdout: io.Discard, Stderr: io.Discard}, log: slog.New(slog.DiscardHandler),
		registry: prometheus.NewRegistry(), logs: &admin.Logs{}, started: time.Now(),
	}
	for _, open := range []func(context.Context) error{s.openStore, s.openIdentities} {
		if err := open(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	b.Cleanup(func() { _ = s.close() })
	if _, err := s.store.CreateBucket(b.Context(), "sccache", object.BucketConfig{Cache: true}); err != nil {
		b.Fatal(err)
	}
	handler, err := s.pipeline()
	if err != nil {
		b.Fatal(err)
	}
	var root struct{ AccessKey, SecretKey string }
	content, err := os.ReadFile(filepath.Join(dir, "root.json"))
	if err == nil {
		err = json.Unmarshal(content, &root)
	}
	if err != nil {
		b.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodGet, "http://127.0.0.1:9000/sccache/9/1/f/91fe5e0c6b3b59a66d2b1cd1c5e7c0da", http.NoBody)
	r.RemoteAddr = "127.0.0.1:1000"
	sigv4.Sign(r, sigv4.Key{ID: iam.AccessKeyID(root.AccessKey), Secret: iam.Secret(root.SecretKey)}, "auto", "s3", sigv4.UnsignedPayload, time.Now())
	w := &sink{header: make(http.Header)}
	b.ReportAllocs()
	for b.Loop() {
		clear(w.header)
		handler.ServeHTTP(w, r)
	}
	if w.status != http.StatusNotFound {
		b.Fatal(w.status)
	}
}
