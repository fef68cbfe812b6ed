package local_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/larder-cache/larder/internal/engine/disk"
	"github.com/larder-cache/larder/internal/engine/local"
	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/object"
)

// segmentFiles returns the segments' paths and contents.
func segmentFiles(t *testing.T, mem *vfs.MemFS) (paths []string, data [][]byte) {
	t.Helper()
	names, err := mem.List("/store/segments")
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	for _, name := range names {
		path := "/store/segments/" + name
		content, err := disk.ReadFile(mem, path, 1<<30)
		if err != nil {
			t.Fatal(err)
		}
		paths, data = append(paths, path), append(data, content)
	}
	return paths, data
}

// damage changes one byte of the last occurrence of what in the segments, moved by
// offset.
func damage(t *testing.T, mem *vfs.MemFS, what []byte, offset int) {
	t.Helper()
	paths, data := segmentFiles(t, mem)
	for i, path := range slices.Backward(paths) {
		if at := bytes.LastIndex(data[i], what); at >= 0 {
			if err := write(mem, path, at+offset, data[i][at+offset]^1); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("%q is in no segment", what)
}

// rebuilt removes the index, checks the store, and opens it.
func rebuilt(t *testing.T, mem *vfs.MemFS) (*local.Store, local.Report) {
	t.Helper()
	if err := withoutIndexIn(mem, "/store"); err != nil {
		t.Fatal(err)
	}
	report := check(t, mem, false)
	s := open(t, disk.New(mem), local.Config{Reserve: -1})
	t.Cleanup(func() { _ = s.Close() })
	return s, report
}

func withoutIndexIn(mem *vfs.MemFS, dir string) error {
	return mem.RemoveAll(mem.PathJoin(dir, "index"))
}

// TestDamageBeforeAFence damages the last group of a segment that a crash ended:
// it was acknowledged, and the fence says so.
func TestDamageBeforeAFence(t *testing.T) {
	for _, where := range []struct {
		name   string
		offset int // from the body
	}{{"body", 3}, {"header", -20}} {
		t.Run(where.name, func(t *testing.T) {
			mem := vfs.NewCrashableMem()
			cfg := local.Config{Reserve: -1, Segments: 1}
			s := open(t, disk.New(mem), cfg)
			if _, err := s.CreateBucket(t.Context(), "bucket", object.BucketConfig{}); err != nil {
				t.Fatal(err)
			}
			put(t, s, "key", []byte("the old content"))
			put(t, s, "key", []byte("the new content"))
			mem = mem.CrashClone(vfs.CrashCloneCfg{})
			s = open(t, disk.New(mem), cfg)
			put(t, s, "other", []byte("the fence comes first"))
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			damage(t, mem, []byte("the new content"), where.offset)
			s, report := rebuilt(t, mem)
			if got, err := get(s, "key", nil); !errors.Is(err, fault.Corrupt) {
				t.Errorf("the key is %q, %v", got, err)
			}
			if !slices.ContainsFunc(report.Findings, func(f local.Finding) bool { return f.Damage && f.Bucket == "bucket" && f.Key == "key" }) {
				t.Errorf("the check says %+v", report.Findings)
			}
		})
	}
}

// TestDamageToAnUploadsEnd damages the record that ends an upload: the object,
// whose record is chained to it, stays.
func TestDamageToAnUploadsEnd(t *testing.T) {
	mem := vfs.NewCrashableMem()
	s := open(t, disk.New(mem), local.Config{Reserve: -1, Segments: 1})
	if _, err := s.CreateBucket(t.Context(), "bucket", object.BucketConfig{}); err != nil {
		t.Fatal(err)
	}
	put(t, s, "key", []byte("the old content"))
	u, err := s.CreateUpload(t.Context(), object.UploadRequest{Bucket: "bucket", Key: "key"})
	if err != nil {
		t.Fatal(err)
	}
	p, err := s.PutPart(t.Context(), object.PartRequest{Bucket: "bucket", Key: "key", Upload: u.ID, Number: 1, Content: newContent([]byte("the new content")), Size: 15})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.CompleteUpload(t.Context(), object.CompleteRequest{
		Bucket: "bucket", Key: "key", Upload: u.ID, Size: -1, Parts: []object.CompletePart{{Number: 1, ETag: p.Digest.ETag}},
	}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	paths, data := segmentFiles(t, mem)
	end := -1 // of the upload: a delete, the only one
	for at := 128; at+8 < len(data[0]); at += 8 {
		if bytes.Equal(data[0][at:at+5], []byte("LREC\x02")) {
			end = at
		}
	}
	if end < 0 {
		t.Fatal("no delete")
	}
	if err := write(mem, paths[0], end+20, data[0][end+20]^1); err != nil {
		t.Fatal(err)
	}
	s, _ = rebuilt(t, mem)
	if got, err := get(s, "key", nil); string(got) != "the new content" && !errors.Is(err, fault.Corrupt) {
		t.Errorf("the key is %q, %v", got, err)
	}
}

// TestCrashWhileRebuilding damages the newest record of a key in a store whose
// index is gone, and crashes at every change of the disk while a start builds it
// again: the next start knows of the loss, too.
func TestCrashWhileRebuilding(t *testing.T) {
	mem := vfs.NewCrashableMem()
	cfg := small()
	cfg.SegmentSize = 1 << 20
	cfg.Segments = 1
	s := open(t, disk.New(mem), cfg)
	if _, err := s.CreateBucket(t.Context(), "bucket", object.BucketConfig{}); err != nil {
		t.Fatal(err)
	}
	put(t, s, "key", []byte("the old content"))
	put(t, s, "key", []byte("the new content"))
	for i := range 1800 {
		put(t, s, fmt.Sprintf("filler%04d", i), []byte("x"))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	damage(t, mem, []byte("the new content"), -20)
	if err := withoutIndexIn(mem, "/store"); err != nil {
		t.Fatal(err)
	}
	if err := disk.SyncDir(mem, "/store"); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex // the index works in the background
	crashes := 0
	running := newMachine(mem.CrashClone(vfs.CrashCloneCfg{}), nil)
	running.before = func(n int64, op disk.Op) disk.Outcome {
		if !op.Kind.Mutates() || strings.HasSuffix(op.Path, ".seg") {
			return disk.Outcome{}
		}
		mu.Lock()
		defer mu.Unlock()
		crashes++
		s := open(t, disk.New(running.crashed(0, 0)), cfg)
		if got, err := get(s, "key", nil); !errors.Is(err, fault.Corrupt) {
			t.Errorf("after a crash before operation %d (%s %s), the key is %q, %v", n, op.Kind, op.Path, got, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		return disk.Outcome{}
	}
	fs := disk.Inject(disk.New(running.mem), running.decide)
	s = open(t, fs, cfg)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if crashes < 30 {
		t.Errorf("the rebuilding makes %d changes of the disk", crashes)
	}
	t.Logf("crashed %d times", crashes)
}

// TestUnreadableSegment damages both copies of the header of a segment that was
// being written: nobody knows what it held behind the index's checkpoint.
func TestUnreadableSegment(t *testing.T) {
	mem := vfs.NewCrashableMem()
	cfg := local.Config{Reserve: -1, Segments: 1}
	s := open(t, disk.New(mem), cfg)
	if _, err := s.CreateBucket(t.Context(), "bucket", object.BucketConfig{}); err != nil {
		t.Fatal(err)
	}
	put(t, s, "key", []byte("the old content"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, disk.New(mem), cfg)
	put(t, s, "other", []byte("something"))
	if err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	put(t, s, "key", []byte("the new content"))
	mem = mem.CrashClone(vfs.CrashCloneCfg{})
	paths, data := segmentFiles(t, mem)
	for _, at := range []int{10, 74} {
		if err := write(mem, paths[1], at, data[1][at]^1); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // and the second start says the same
		s = open(t, disk.New(mem), cfg)
		if got, err := get(s, "key", nil); !errors.Is(err, fault.Corrupt) {
			t.Errorf("the key is %q, %v", got, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestFenceListsAll ends a segment by a crash after the index was flushed: the fence
// lists what lies before the checkpoint, too, so that damage there costs one key.
func TestFenceListsAll(t *testing.T) {
	mem := vfs.NewCrashableMem()
	cfg := local.Config{Reserve: -1, Segments: 1}
	s := open(t, disk.New(mem), cfg)
	if _, err := s.CreateBucket(t.Context(), "bucket", object.BucketConfig{}); err != nil {
		t.Fatal(err)
	}
	put(t, s, "key", []byte("before the checkpoint"))
	put(t, s, "other", []byte("as well"))
	if err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	mem = mem.CrashClone(vfs.CrashCloneCfg{})
	s = open(t, disk.New(mem), cfg)
	put(t, s, "more", []byte("behind the fence"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	damage(t, mem, []byte("before the checkpoint"), -20)
	s, _ = rebuilt(t, mem)
	if got, err := get(s, "key", nil); !errors.Is(err, fault.Corrupt) {
		t.Errorf("the key is %q, %v", got, err)
	}
	if got, err := get(s, "other", nil); err != nil || string(got) != "as well" {
		t.Errorf("another key is %q, %v", got, err)
	}
}
