package segment_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"

	"github.com/larder-cache/larder/internal/engine/disk"
	"github.com/larder-cache/larder/internal/engine/segment"
)

// set opens the segments in a directory of fs.
func set(t *testing.T, fs disk.FS) *segment.Set {
	t.Helper()
	if err := fs.MkdirAll("/segments", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := disk.SyncDir(fs, "/"); err != nil {
		t.Fatal(err)
	}
	s, damage, err := segment.Open(fs, "/segments", segment.Config{
		Segments: 1, Apply: func(*segment.Group) error { return nil },
	})
	if err != nil || len(damage) > 0 {
		t.Fatal(damage, err)
	}
	return s
}

func record(key string, body []byte) *segment.Record {
	return &segment.Record{
		Header: segment.Header{Kind: segment.Put, Key: []byte(key)}, Body: body, Sums: segment.AppendSums(nil, body),
	}
}

// keys lists the puts that count after a restart: those before a segment's fence.
func keys(t *testing.T, fs disk.FS) []string {
	t.Helper()
	s := set(t, fs)
	ends := map[uint64]int64{}
	var all []string
	ids := s.IDs()
	for _, id := range slices.Backward(ids) {
		_, err := s.Scan(id, 0, ends[id], func(f *segment.Found) error {
			switch f.Kind {
			case segment.Put:
				all = append(all, string(f.Key))
			case segment.Fence:
				id, end, ok := segment.ParseDirectory(f.Attrs, func(segment.Listed) {})
				if !ok {
					t.Error("malformed fence")
				}
				ends[id] = end
			case segment.Delete, segment.Extent, segment.Directory:
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func TestRefusedWritesStayAway(t *testing.T) {
	tests := []struct {
		name string
		op   disk.OpKind
		out  disk.Outcome
	}{
		{"sync fails", disk.OpSync, disk.Outcome{Err: syscall.EIO}},
		{"sync works, then fails", disk.OpSync, disk.Outcome{Err: syscall.EIO, Apply: true}},
		{"write fails", disk.OpWrite, disk.Outcome{Err: syscall.EIO}},
		{"write works, then fails", disk.OpWrite, disk.Outcome{Err: syscall.EIO, Apply: true}},
		{"no room half way", disk.OpWrite, disk.Outcome{Err: syscall.ENOSPC, Short: true}},
		{"no room, and yet written", disk.OpWrite, disk.Outcome{Err: syscall.ENOSPC, Apply: true}},
	}
	for _, tt := range tests {
		for _, size := range []int{3_000, 500_000} { // all in one write, and in several
			t.Run(fmt.Sprintf("%s, %d bytes", tt.name, size), func(t *testing.T) { refuse(t, tt.op, tt.out, make([]byte, size)) })
		}
	}
}

// refuse lets one operation of a group fail, and then looks what is there.
func refuse(t *testing.T, kind disk.OpKind, out disk.Outcome, body []byte) {
	t.Helper()
	mem := vfs.NewCrashableMem()
	var armed atomic.Bool
	fs := disk.Inject(disk.New(mem), func(op disk.Op) disk.Outcome {
		if op.Kind == kind && strings.HasSuffix(op.Path, ".seg") && armed.CompareAndSwap(true, false) {
			return out
		}
		return disk.Outcome{}
	})
	s := set(t, fs)
	if err := s.Append(record("before", []byte("x"))); err != nil {
		t.Fatal(err)
	}
	armed.Store(true)
	if err := s.Append(record("refused", body), record("with it", nil)); !errors.Is(err, out.Err) {
		t.Errorf("got %v", err)
	}
	all := keys(t, disk.New(mem.CrashClone(vfs.CrashCloneCfg{})))
	if diff := cmp.Diff([]string{"before"}, all); diff != "" {
		t.Error("after a crash at once", diff)
	}
	// As long as the refused one, so that what was written with that comes next.
	if err := s.Append(record("another", body)); err != nil {
		t.Fatal(err)
	}
	crashed := mem.CrashClone(vfs.CrashCloneCfg{})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for name, mem := range map[string]*vfs.MemFS{"after a crash": crashed, "after a stop": mem} {
		got := map[string]bool{}
		for _, key := range keys(t, disk.New(mem)) {
			got[key] = true
		}
		if diff := cmp.Diff(map[string]bool{"before": true, "another": true}, got); diff != "" {
			t.Error(name, diff)
		}
	}
}

// TestBodyLikeASegment stores a segment's own bytes as a body and damages the
// record's header: what lies in the body must not pass for records.
func TestBodyLikeASegment(t *testing.T) {
	mem := vfs.NewMem()
	fs := disk.New(mem)
	s := set(t, fs)
	for i := range 5 {
		if err := s.Append(record(fmt.Sprint("inner", i), []byte("body"))); err != nil {
			t.Fatal(err)
		}
	}
	inner, err := disk.ReadFile(fs, "/segments/0000000000000001.seg", 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	outer := record("outer", append(make([]byte, 40), inner...))
	if err := s.Append(outer, record("last", nil)); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := fs.OpenReadWrite("/segments/0000000000000001.seg", vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte{0xFF}, outer.Loc.Offset+20); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	want := []string{"inner0", "inner1", "inner2", "inner3", "inner4", "last"}
	if diff := cmp.Diff(want, keys(t, fs)); diff != "" {
		t.Error(diff)
	}
	var listed []segment.Listed
	s = set(t, fs)
	scan, err := s.Scan(1, 0, 0, func(f *segment.Found) error {
		if f.Kind == segment.Directory {
			_, _, _ = segment.ParseDirectory(append([]byte(nil), f.Attrs...), func(l segment.Listed) { listed = append(listed, l) })
		}
		return nil
	})
	if err != nil || len(scan.Holes) != 1 || !scan.Holes[0].Damaged || !scan.Sealed {
		t.Fatalf("%+v, %v", scan, err)
	}
	lost, whole := scan.Holes[0].Cover(listed)
	if len(lost) != 1 || string(lost[0].Key) != "outer" || !whole {
		t.Errorf("lost %+v, whole %v", lost, whole)
	}
}

func FuzzParseDirectory(f *testing.F) {
	f.Add([]byte{1, 2, 1, 3, 8, 4, 5, 1, 'k'})
	f.Fuzz(func(t *testing.T, attrs []byte) {
		segment.ParseDirectory(attrs, func(segment.Listed) {})
	})
}

// TestMoverGivesUp fails the sync that seals a mover's segment: no file stays open,
// and a fence says where that segment ends.
func TestMoverGivesUp(t *testing.T) {
	for _, failures := range []int{1, 2} {
		t.Run(fmt.Sprint(failures), func(t *testing.T) {
			mem := vfs.NewCrashableMem()
			left := 0
			fs := disk.Inject(disk.New(mem), func(op disk.Op) disk.Outcome {
				if left > 0 && op.Kind == disk.OpSync && strings.HasSuffix(op.Path, ".seg") {
					left--
					return disk.Outcome{Err: syscall.EIO}
				}
				return disk.Outcome{}
			})
			sealed := map[uint64]bool{}
			if err := fs.MkdirAll("/segments", 0o700); err != nil {
				t.Fatal(err)
			}
			s, _, err := segment.Open(fs, "/segments", segment.Config{Segments: 1, Apply: func(g *segment.Group) error {
				sealed[g.Segment] = g.Sealed
				for _, r := range g.Records {
					if id, _, ok := segment.ParseDirectory(r.Attrs, func(segment.Listed) {}); ok && r.Kind == segment.Fence {
						sealed[id] = true
					}
				}
				return nil
			}})
			if err != nil {
				t.Fatal(err)
			}
			m := s.Mover()
			if err := m.Append([]*segment.Record{record("moved", []byte("x"))}); err != nil {
				t.Fatal(err)
			}
			left = failures
			if err := m.Seal(); !errors.Is(err, syscall.EIO) {
				t.Errorf("seal: %v", err)
			}
			if err := s.Append(record("next", nil)); err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			for id, done := range sealed {
				if !done {
					t.Errorf("segment %d is neither sealed nor fenced", id)
				}
			}
		})
	}
}
