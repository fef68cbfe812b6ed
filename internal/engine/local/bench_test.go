package local_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/engine/disk"
	"github.com/larder-cache/larder/internal/engine/local"
	"github.com/larder-cache/larder/internal/object"
)

// plain is a body whose digest costs nothing, so that a benchmark measures the
// store.
type plain struct {
	b      []byte
	digest object.Digest
}

func (p *plain) Read(b []byte) (int, error) {
	if len(p.b) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.b)
	p.b = p.b[n:]
	return n, nil
}

func (p *plain) Digest() object.Digest { return p.digest }

// benchStore is a store on the operating system's disk with its background work.
func benchStore(b *testing.B) *local.Store {
	b.Helper()
	s, err := local.Open(disk.OS(), b.TempDir(), local.Config{})
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(b.Context())
	ran := make(chan error, 1)
	go func() { ran <- s.Run(ctx) }()
	b.Cleanup(func() {
		stop()
		<-ran
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	if _, err := s.CreateBucket(b.Context(), "bucket", object.BucketConfig{}); err != nil {
		b.Fatal(err)
	}
	return s
}

func benchKey(i int64) object.Key {
	return object.Key(fmt.Sprintf("%x/%x/%x/%064x", i%16, i/16%16, i/256%16, i*2654435761))
}

func fill(b *testing.B, s *local.Store, n int64, size int) {
	b.Helper()
	body := random(size, 1)
	digest := newContent(body).Digest()
	var next atomic.Int64
	done := make(chan error, 64)
	for range cap(done) {
		go func() {
			for {
				i := next.Add(1) - 1
				if i >= n {
					done <- nil
					return
				}
				_, err := s.Put(b.Context(), object.PutRequest{
					Bucket: "bucket", Key: benchKey(i), Content: &plain{body, digest}, Size: int64(size),
				})
				if err != nil {
					done <- err
					return
				}
			}
		}()
	}
	for range cap(done) {
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPut(b *testing.B) {
	for _, size := range []int{1 << 10, 46_000} {
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			s := benchStore(b)
			b.SetBytes(int64(size))
			b.SetParallelism(32 / runtime.GOMAXPROCS(0))
			var next atomic.Int64
			body := random(size, 1)
			digest := newContent(body).Digest()
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					_, err := s.Put(b.Context(), object.PutRequest{
						Bucket: "bucket", Key: benchKey(next.Add(1)), Content: &plain{body, digest}, Size: int64(size),
					})
					if err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}

func BenchmarkGet(b *testing.B) {
	s := benchStore(b)
	const n, size = 2000, 46_000
	fill(b, s, n, size)
	b.SetBytes(size)
	b.ReportAllocs()
	b.ResetTimer()
	var next atomic.Int64
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r, err := s.Get(b.Context(), object.GetRequest{Bucket: "bucket", Key: benchKey(next.Add(7919) % n)})
			if err != nil {
				b.Error(err)
				return
			}
			if _, err := io.Copy(io.Discard, r.Body); err != nil {
				b.Error(err)
			}
			_ = r.Body.Close()
		}
	})
}

func BenchmarkList(b *testing.B) {
	s := benchStore(b)
	fill(b, s, 20_000, 100)
	if err := s.Flush(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	after := ""
	for b.Loop() {
		page, err := s.List(b.Context(), object.ListRequest{Bucket: "bucket", After: after, Max: 1000})
		if err != nil {
			b.Fatal(err)
		}
		after = page.Next
	}
}

// BenchmarkMillion measures a store of a million objects of 1 KiB, or of as many
// as LARDER_BENCH_OBJECTS says.
func BenchmarkMillion(b *testing.B) {
	n := int64(1_000_000)
	if v, err := strconv.ParseInt(os.Getenv("LARDER_BENCH_OBJECTS"), 10, 64); err == nil {
		n = v
	}
	dir := b.TempDir()
	s, err := local.Open(disk.OS(), dir, local.Config{})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := s.CreateBucket(b.Context(), "bucket", object.BucketConfig{}); err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(b.Context())
	ran := make(chan error, 1)
	go func() { ran <- s.Run(ctx) }()
	begun := time.Now()
	fill(b, s, n, 1<<10)
	metrics := map[string]float64{"fill-µs/object": float64(time.Since(begun).Microseconds()) / float64(n)}
	stop()
	<-ran
	begun = time.Now()
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	metrics["close-s"] = time.Since(begun).Seconds()
	begun = time.Now()
	if s, err = local.Open(disk.OS(), dir, local.Config{}); err != nil {
		b.Fatal(err)
	}
	if _, err := s.Head(b.Context(), "bucket", benchKey(n/2)); err != nil {
		b.Fatal(err)
	}
	metrics["open-s"] = time.Since(begun).Seconds()
	begun = time.Now()
	for after, total := "", 0; ; {
		page, err := s.List(b.Context(), object.ListRequest{Bucket: "bucket", After: after, Max: 1000})
		if err != nil {
			b.Fatal(err)
		}
		total += len(page.Entries)
		if after = page.Next; after == "" {
			if int64(total) != n {
				b.Fatalf("%d of %d listed", total, n)
			}
			break
		}
	}
	metrics["list-s"] = time.Since(begun).Seconds()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	metrics["heap-B/object"] = float64(m.HeapAlloc) / float64(n)
	i := int64(0)
	for b.Loop() {
		i += 7919
		r, err := s.Get(b.Context(), object.GetRequest{Bucket: "bucket", Key: benchKey(i % n)})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			b.Fatal(err)
		}
		_ = r.Body.Close()
	}
	for name, value := range metrics {
		b.ReportMetric(value, name)
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkReplay opens a store that was killed with 100,000 records that its
// index had not written.
func BenchmarkReplay(b *testing.B) {
	dir := b.TempDir()
	s, err := local.Open(disk.OS(), dir, local.Config{})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := s.CreateBucket(b.Context(), "bucket", object.BucketConfig{}); err != nil {
		b.Fatal(err)
	}
	fill(b, s, 100_000, 1<<10)
	killed := b.TempDir()
	if err := os.CopyFS(killed, os.DirFS(dir)); err != nil {
		b.Fatal(err)
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	for i := 0; b.Loop(); i++ {
		b.StopTimer()
		again := b.TempDir()
		if err := os.CopyFS(again, os.DirFS(killed)); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		s, err := local.Open(disk.OS(), again, local.Config{})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := s.Head(b.Context(), "bucket", benchKey(99_999)); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}
