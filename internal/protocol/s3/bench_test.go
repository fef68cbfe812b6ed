package s3_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/larder-cache/larder/internal/object"
	"github.com/larder-cache/larder/internal/protocol/s3"
	"github.com/larder-cache/larder/internal/storetest"
)

// sink is a ResponseWriter that costs nothing.
type sink struct{ header http.Header }

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) WriteHeader(int)             {}
func (s *sink) Write(p []byte) (int, error) { return len(p), nil }
func (s *sink) reset()                      { clear(s.header) }
func newSink() *sink                        { return &sink{header: make(http.Header)} }

// What the pipeline and the protocol add to a request, without network and disk.
func BenchmarkRequest(b *testing.B) {
	s := newServer(b, s3.Config{})
	s.bucket("cache", object.BucketConfig{Cache: true})
	for i := range 1000 {
		put(b, s, object.Key(fmt.Sprintf("list/%x/%064d", i%16, i)), 0)
	}
	put(b, s, "hit", 46<<10)
	for name, target := range map[string]string{
		"hit": "/cache/hit", "miss": "/cache/a/b/c/none", "list": "/cache?list-type=2&prefix=list/",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			r := sign(request(http.MethodGet, target, "", "User-Agent", "sccache/0.19.0"), "")
			w := newSink()
			for b.Loop() {
				w.reset()
				s.asked = s.asked[:0]
				s.http.ServeHTTP(w, r)
			}
		})
	}
}

func put(tb testing.TB, s *server, key object.Key, size int) {
	tb.Helper()
	_, err := s.store.Put(tb.Context(), object.PutRequest{Bucket: "cache", Key: key, Content: storetest.Body(make([]byte, size)), Size: int64(size)})
	if err != nil {
		tb.Fatal(err)
	}
}
