package local_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/larder-cache/larder/internal/engine/disk"
	"github.com/larder-cache/larder/internal/engine/local"
	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/object"
)

// twoSegments is a closed store: the first segment holds "gone" and "kept", the
// second the end of "gone" and "lost".
func twoSegments(t *testing.T) *vfs.MemFS {
	t.Helper()
	mem := vfs.NewCrashableMem()
	cfg := local.Config{Reserve: -1, Segments: 1}
	s := open(t, disk.New(mem), cfg)
	if _, err := s.CreateBucket(t.Context(), "bucket", object.BucketConfig{}); err != nil {
		t.Fatal(err)
	}
	put(t, s, "gone", []byte("was deleted"))
	put(t, s, "kept", []byte("is here"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, disk.New(mem), cfg)
	remove(t, s, "gone")
	put(t, s, "lost", []byte("in the second"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return mem
}

// afterRepair repairs a store and checks it again, then opens it without its index:
// only so does it show whether what was deleted can come back.
func afterRepair(t *testing.T, mem *vfs.MemFS) *local.Store {
	t.Helper()
	report := check(t, mem, true)
	if again := check(t, mem, false); again.Damaged() {
		t.Errorf("still damaged: %+v\nbefore: %+v", again, report)
	}
	s, _ := rebuilt(t, mem)
	return s
}

// TestRepairWithoutASegment repairs a store one segment of which cannot be read at
// all: the index knows what it held.
func TestRepairWithoutASegment(t *testing.T) {
	for _, withIndex := range []bool{true, false} {
		t.Run(fmt.Sprint("index ", withIndex), func(t *testing.T) {
			mem := twoSegments(t)
			paths, data := segmentFiles(t, mem)
			for _, at := range []int{10, 74} {
				if err := write(mem, paths[1], at, data[1][at]^1); err != nil {
					t.Fatal(err)
				}
			}
			if !withIndex {
				if err := withoutIndexIn(mem, "/store"); err != nil {
					t.Fatal(err)
				}
			}
			s := afterRepair(t, mem)
			if got, err := get(s, "kept", nil); err != nil || string(got) != "is here" {
				t.Errorf("kept is %q, %v", got, err)
			}
			if _, err := get(s, "lost", nil); !errors.Is(err, fault.NotFound) {
				t.Errorf("lost: %v", err)
			}
			if got, err := get(s, "gone", nil); withIndex && !errors.Is(err, fault.NotFound) {
				t.Errorf("gone is back: %q, %v", got, err)
			}
			put(t, s, "lost", []byte("again"))
		})
	}
}

// TestRepairOfATombstone damages the record that deletes a key: the repair writes
// another.
func TestRepairOfATombstone(t *testing.T) {
	mem := twoSegments(t)
	paths, data := segmentFiles(t, mem)
	at := bytes.Index(data[1], []byte("LREC\x02"))
	if err := write(mem, paths[1], at+20, data[1][at+20]^1); err != nil {
		t.Fatal(err)
	}
	s := afterRepair(t, mem)
	if got, err := get(s, "gone", nil); !errors.Is(err, fault.NotFound) {
		t.Errorf("gone is back: %q, %v", got, err)
	}
	if got, err := get(s, "lost", nil); err != nil || string(got) != "in the second" {
		t.Errorf("lost is %q, %v", got, err)
	}
}

// TestRepairOfAPart damages a part, starts the store without its index, and repairs
// it.
func TestRepairOfAPart(t *testing.T) {
	mem := vfs.NewCrashableMem()
	s := open(t, disk.New(mem), local.Config{Reserve: -1, Segments: 1})
	if _, err := s.CreateBucket(t.Context(), "bucket", object.BucketConfig{}); err != nil {
		t.Fatal(err)
	}
	u, err := s.CreateUpload(t.Context(), object.UploadRequest{Bucket: "bucket", Key: "key"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.PutPart(t.Context(), object.PartRequest{
		Bucket: "bucket", Key: "key", Upload: u.ID, Number: 1, Content: newContent([]byte("a part")), Size: 6,
	}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	damage(t, mem, []byte("a part"), -20)
	s, _ = rebuilt(t, mem)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	report := check(t, mem, true)
	if !slices.ContainsFunc(report.Findings, func(f local.Finding) bool { return f.Repaired != "" }) {
		t.Errorf("%+v", report)
	}
	if again := check(t, mem, false); again.Damaged() {
		t.Errorf("still damaged: %+v", again)
	}
}
