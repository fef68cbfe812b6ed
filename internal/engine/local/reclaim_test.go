package local_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/larder-cache/larder/internal/engine/disk"
	"github.com/larder-cache/larder/internal/engine/local"
	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/object"
)

func remove(tb testing.TB, s *local.Store, key string) {
	tb.Helper()
	if err := s.Delete(tb.Context(), object.DeleteRequest{Bucket: "bucket", Key: object.Key(key)}); err != nil {
		tb.Fatal(err)
	}
}

// verify compares the store with what it should hold.
func verify(t *testing.T, s *local.Store, want map[string][]byte, gone []string) {
	t.Helper()
	var total int64
	for key, body := range want {
		got, err := get(s, key, nil)
		if err != nil || !bytes.Equal(got, body) {
			t.Errorf("%s: %d of %d bytes, %v", key, len(got), len(body), err)
		}
		total += int64(len(body))
	}
	for _, key := range gone {
		if want[key] != nil {
			continue
		}
		if _, err := get(s, key, nil); !errors.Is(err, fault.NotFound) {
			t.Errorf("%s is back: %v", key, err)
		}
	}
	use, err := s.Usage(t.Context(), "bucket")
	if err != nil || use.Objects != int64(len(want)) || use.Bytes != total {
		t.Errorf("usage %+v, %v; want %d objects, %d bytes", use, err, len(want), total)
	}
	page, err := s.List(t.Context(), object.ListRequest{Bucket: "bucket", Max: 1000})
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, e := range page.Entries {
		keys = append(keys, string(e.Info.Key))
	}
	if all := slices.Sorted(maps.Keys(want)); !slices.Equal(keys, all[:min(len(all), 1000)]) {
		t.Errorf("listed %d keys, want %d", len(keys), len(all))
	}
}

func segmentBytes(t *testing.T, fs disk.FS) (n int64) {
	t.Helper()
	names, err := fs.List("/store/segments")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		st, err := fs.Stat("/store/segments/" + name)
		if err != nil {
			t.Fatal(err)
		}
		n += st.Size()
	}
	return n
}

func TestReclaim(t *testing.T) {
	mem := vfs.NewCrashableMem()
	cfg := local.Config{ExtentSize: 64 << 10, SegmentSize: 256 << 10, Segments: 2}
	s := open(t, disk.New(mem), cfg)
	if _, err := s.CreateBucket(t.Context(), "bucket", object.BucketConfig{}); err != nil {
		t.Fatal(err)
	}
	want := map[string][]byte{}
	var gone []string
	r := rand.New(rand.NewPCG(1, 2))
	for round := range 12 {
		for i := range 60 {
			key := fmt.Sprintf("k%03d", r.IntN(80))
			switch {
			case i%4 == 3 && want[key] != nil:
				remove(t, s, key)
				delete(want, key)
				gone = append(gone, key)
			case i%17 == 5:
				want[key] = random(150_000, uint64(i))
				put(t, s, key, want[key])
			default:
				want[key] = random(r.IntN(30_000), uint64(i))
				put(t, s, key, want[key])
			}
		}
		if err := s.Reclaim(t.Context()); err != nil {
			t.Fatal(err)
		}
		verify(t, s, want, gone)
		switch round % 4 {
		case 1: // crash
			mem = mem.CrashClone(vfs.CrashCloneCfg{})
			s = open(t, disk.New(mem), cfg)
		case 2: // crash, and the index is lost
			mem = mem.CrashClone(vfs.CrashCloneCfg{})
			if err := mem.RemoveAll("/store/index"); err != nil {
				t.Fatal(err)
			}
			s = open(t, disk.New(mem), cfg)
		case 3:
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = open(t, disk.New(mem), cfg)
		}
		verify(t, s, want, gone)
	}
	for key := range want {
		remove(t, s, key)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, disk.New(mem), cfg)
	for range 3 {
		if err := s.Reclaim(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := segmentBytes(t, disk.New(mem)); n > 20<<10 {
		t.Errorf("an empty store keeps %d bytes of segments", n)
	}
	verify(t, s, nil, gone)
}

func TestReaderOutlivesItsObject(t *testing.T) {
	mem := vfs.NewMem()
	punched := 0
	fs := disk.Inject(disk.New(mem), func(op disk.Op) disk.Outcome {
		if op.Kind == disk.OpPunch && strings.HasSuffix(op.Path, ".seg") {
			punched++
		}
		return disk.Outcome{}
	})
	s := open(t, fs, local.Config{ExtentSize: 64 << 10, SegmentSize: 256 << 10, Segments: 1})
	if _, err := s.CreateBucket(t.Context(), "bucket", object.BucketConfig{}); err != nil {
		t.Fatal(err)
	}
	small, large := random(60_000, 1), random(500_000, 2)
	put(t, s, "small", small)
	put(t, s, "large", large)
	var readers []*object.Reader
	for _, key := range []object.Key{"small", "large"} {
		r, err := s.Get(t.Context(), object.GetRequest{Bucket: "bucket", Key: key})
		if err != nil {
			t.Fatal(err)
		}
		readers = append(readers, r)
	}
	remove(t, s, "small")
	put(t, s, "large", []byte("new"))
	for i := range 10 {
		put(t, s, fmt.Sprint("filler", i), random(60_000, 3))
	}
	for range 3 {
		if err := s.Reclaim(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for i, want := range [][]byte{small, large} {
		got, err := io.ReadAll(readers[i].Body)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("reader %d: %d of %d bytes, %v", i, len(got), len(want), err)
		}
		if err := readers[i].Body.Close(); err != nil {
			t.Error(err)
		}
	}
	before := segmentBytes(t, fs)
	for range 3 {
		if err := s.Reclaim(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if after := segmentBytes(t, fs); after >= before {
		t.Errorf("nothing was given back after the readers ended: %d, then %d bytes", before, after)
	}
}

// TestDamagedReaderHoldsNothing reads an object whose first extent is damaged: when
// the reader is closed, nothing of the object is pinned any more.
func TestDamagedReaderHoldsNothing(t *testing.T) {
	mem := vfs.NewMem()
	cfg := local.Config{Reserve: -1, Segments: 1, ExtentSize: 64 << 10, SegmentSize: 80 << 10}
	s := open(t, disk.New(mem), cfg)
	if _, err := s.CreateBucket(t.Context(), "bucket", object.BucketConfig{}); err != nil {
		t.Fatal(err)
	}
	body := random(300_000, 1)
	put(t, s, "key", body)
	damage(t, mem, body[100:200], 0)
	if _, err := get(s, "key", nil); !errors.Is(err, fault.Corrupt) {
		t.Fatalf("the damaged object: %v", err)
	}
	remove(t, s, "key")
	for i := range 4 {
		put(t, s, fmt.Sprint("filler", i), random(60_000, 2))
	}
	for range 3 {
		if err := s.Reclaim(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	paths, data := segmentFiles(t, mem)
	for i := range paths {
		if bytes.Contains(data[i], body[70_000:70_100]) || bytes.Contains(data[i], body[140_000:140_100]) {
			t.Errorf("%s still holds the deleted object", paths[i])
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestFenceOutlivesItsSegment removes a segment that a fence ended, then the index:
// the fence, which is found again, stops nothing.
func TestFenceOutlivesItsSegment(t *testing.T) {
	mem := vfs.NewCrashableMem()
	cfg := local.Config{Reserve: -1, Segments: 1, SegmentSize: 64 << 10}
	s := open(t, disk.New(mem), cfg)
	if _, err := s.CreateBucket(t.Context(), "bucket", object.BucketConfig{}); err != nil {
		t.Fatal(err)
	}
	put(t, s, "first", random(3000, 1))
	mem = mem.CrashClone(vfs.CrashCloneCfg{})
	s = open(t, disk.New(mem), cfg)
	put(t, s, "kept", random(40_000, 2)) // behind the fence
	remove(t, s, "first")
	if _, err := s.UpdateBucket(t.Context(), "bucket", func(*object.BucketConfig) error { return nil }); err != nil {
		t.Fatal(err)
	}
	restart := func() {
		t.Helper()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = open(t, disk.New(mem), cfg)
	}
	restart()
	if err := s.Reclaim(t.Context()); err != nil {
		t.Fatal(err)
	}
	if paths, _ := segmentFiles(t, mem); strings.HasSuffix(paths[0], "01.seg") {
		t.Fatal("the fenced segment is still there")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := withoutIndexIn(mem, "/store"); err != nil {
		t.Fatal(err)
	}
	s = open(t, disk.New(mem), cfg)
	for i := range 3 { // enough small segments to be made one
		put(t, s, fmt.Sprint("small", i), []byte("x"))
		restart()
	}
	if err := s.Reclaim(t.Context()); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestCloseDuringAWrite closes a store while a body is on its way: nothing of it is
// kept for ever.
func TestCloseDuringAWrite(t *testing.T) {
	mem := vfs.NewMem()
	cfg := local.Config{Reserve: -1, Segments: 1, ExtentSize: 64 << 10, SegmentSize: 80 << 10}
	s := open(t, disk.New(mem), cfg)
	if _, err := s.CreateBucket(t.Context(), "bucket", object.BucketConfig{}); err != nil {
		t.Fatal(err)
	}
	body := random(300_000, 1)
	errGone := errors.New("gone")
	r, w := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		_, err := s.Put(noContext{}, object.PutRequest{Bucket: "bucket", Key: "key", Content: &content{Reader: r}, Size: 1 << 20})
		ended <- err
	}()
	if _, err := w.Write(body); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_ = w.CloseWithError(errGone)
	if err := <-ended; !errors.Is(err, errGone) {
		t.Errorf("the write: %v", err)
	}
	if _, err := s.Head(t.Context(), "bucket", "key"); !errors.Is(err, fault.Unavailable) {
		t.Errorf("a read of the closed store: %v", err)
	}
	s = open(t, disk.New(mem), cfg)
	for range 3 {
		if err := s.Reclaim(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	paths, data := segmentFiles(t, mem)
	for i := range paths {
		if bytes.Contains(data[i], body[1000:1100]) || bytes.Contains(data[i], body[130_000:130_100]) {
			t.Errorf("%s holds what was never committed", paths[i])
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
