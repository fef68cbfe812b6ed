package local_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/larder-cache/larder/internal/engine/disk"
	"github.com/larder-cache/larder/internal/engine/local"
	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/object"
)

// smallStore is a closed store on a disk, and what is in it.
func smallStore(t *testing.T) (*vfs.MemFS, map[string][]byte, []string) {
	t.Helper()
	mem := vfs.NewCrashableMem()
	s := open(t, disk.New(mem), local.Config{Segments: 1, SegmentSize: 16 << 10})
	if _, err := s.CreateBucket(t.Context(), "bucket", object.BucketConfig{}); err != nil {
		t.Fatal(err)
	}
	want, gone := map[string][]byte{}, []string{}
	for i := range 24 {
		key := fmt.Sprintf("key%02d", i%20)
		want[key] = random(100+40*i, uint64(i))
		put(t, s, key, want[key])
		if i%6 == 5 {
			remove(t, s, key)
			delete(want, key)
			gone = append(gone, key)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return mem.CrashClone(vfs.CrashCloneCfg{}), want, gone
}

func check(t *testing.T, mem *vfs.MemFS, repair bool) local.Report {
	t.Helper()
	r, err := local.Check(t.Context(), disk.New(mem), "/store", local.CheckOptions{Repair: repair})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestCheckFindsNothing(t *testing.T) {
	mem, want, gone := smallStore(t)
	if r := check(t, mem, false); len(r.Findings) != 0 || !r.Clean || r.Records < 24 {
		t.Errorf("%+v", r)
	}
	if err := mem.RemoveAll("/store/index"); err != nil {
		t.Fatal(err)
	}
	if r := check(t, mem, false); r.Damaged() {
		t.Errorf("without index: %+v", r)
	}
	s := open(t, disk.New(mem), local.Config{})
	verify(t, s, want, gone)
	put(t, s, "more", []byte("x"))
	crashed := mem.CrashClone(vfs.CrashCloneCfg{})
	if r := check(t, crashed, false); r.Damaged() || r.Clean {
		t.Errorf("after a crash: %+v", r)
	}
}

// TestFlip flips bytes of the segments, with the index and without.
func TestFlip(t *testing.T) {
	mem, want, gone := smallStore(t)
	names, err := mem.List("/store/segments")
	if err != nil {
		t.Fatal(err)
	}
	flips, named := 0, 0
	for _, name := range names {
		name = "/store/segments/" + name
		st, err := mem.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		for at := int64(flips % 5); at < st.Size(); at += 11 {
			broken := mem.CrashClone(vfs.CrashCloneCfg{})
			flip(t, broken, name, at)
			if flips++; flips%2 == 0 {
				if err := broken.RemoveAll("/store/index"); err != nil {
					t.Fatal(err)
				}
			}
			where := fmt.Sprintf("byte %d of %s, index removed: %v", at, name, flips%2 == 0)
			r := check(t, broken, false)
			if !r.Damaged() {
				t.Errorf("%s: nothing is found", where)
			}
			for _, f := range r.Findings {
				if f.Key != "" && f.Bucket == "bucket" {
					named++
					break
				}
			}
			s := open(t, disk.New(broken), local.Config{})
			_, err := s.Bucket(t.Context(), "bucket")
			bucketLost := errors.Is(err, fault.Corrupt)
			if n, err := s.Scrub(t.Context()); err != nil || n == 0 && bytesOfContent(r) {
				t.Errorf("%s: the scrub found %d, %v", where, n, err)
			}
			refused := neverWrong(t, where, s, want, gone)
			if err := s.Close(); err != nil {
				t.Errorf("%s: %v", where, err)
			}
			if refused > 2 && !bucketLost {
				t.Errorf("%s: %d keys are refused", where, refused)
			}
			if flips%10 < 2 {
				repaired(t, where, broken, want, gone)
			}
		}
	}
	t.Logf("%d flips, of which %d named a key", flips, named)
	if named < flips/2 {
		t.Errorf("only %d of %d flips named a key", named, flips)
	}
}

func flip(t *testing.T, mem *vfs.MemFS, name string, at int64) {
	t.Helper()
	f, err := mem.OpenReadWrite(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 0x40
	if _, err := f.WriteAt(b[:], at); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
}

// bytesOfContent reports whether the check found damage to what is live.
func bytesOfContent(r local.Report) bool {
	for _, f := range r.Findings {
		if f.What == "the body is damaged" {
			return true
		}
	}
	return false
}

// neverWrong reads all keys: what is answered is right, or Corrupt.
func neverWrong(t *testing.T, where string, s *local.Store, want map[string][]byte, gone []string) (refused int) {
	t.Helper()
	for key, body := range want {
		got, err := get(s, key, nil)
		switch {
		case errors.Is(err, fault.Corrupt):
			refused++
		case err != nil || !bytes.Equal(got, body):
			t.Errorf("%s: %s: %d of %d bytes, %v", where, key, len(got), len(body), err)
		}
	}
	for _, key := range gone {
		if _, err := get(s, key, nil); want[key] == nil && !errors.Is(err, fault.NotFound) && !errors.Is(err, fault.Corrupt) {
			t.Errorf("%s: %s is back: %v", where, key, err)
		}
	}
	return refused
}

// repaired repairs the store: what was whole is still there, and a second check
// finds nothing.
func repaired(t *testing.T, where string, mem *vfs.MemFS, want map[string][]byte, gone []string) {
	t.Helper()
	first := check(t, mem, true)
	if r := check(t, mem, false); r.Damaged() {
		t.Errorf("%s: still damaged after the repair: %+v\nbefore: %+v", where, r, first)
	}
	s := open(t, disk.New(mem), local.Config{})
	defer s.Close()
	lost := 0
	for key, body := range want {
		got, err := get(s, key, nil)
		if errors.Is(err, fault.NotFound) || err == nil && !bytes.Equal(got, body) {
			lost++
		} else if err != nil {
			t.Errorf("%s: %s after the repair: %v", where, key, err)
		}
	}
	if lost > 1 {
		t.Errorf("%s: the repair lost %d keys", where, lost)
	}
}

// unlockable is a disk whose lock file belongs to somebody else.
type unlockable struct{ disk.FS }

func (unlockable) Lock(name string) (io.Closer, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
}

func TestWhoMayNotLockIsNotToldOfAnotherProcess(t *testing.T) {
	fsys := unlockable{disk.New(vfs.NewMem())}
	if err := fsys.MkdirAll("/store/segments", 0o700); err != nil {
		t.Fatal(err)
	}
	_, checked := local.Check(t.Context(), fsys, "/store", local.CheckOptions{})
	_, opened := local.Open(fsys, "/store", local.Config{})
	for _, err := range []error{checked, opened} {
		if !errors.Is(err, fs.ErrPermission) || errors.Is(err, fault.Busy) {
			t.Errorf("%v", err)
		}
	}
}

func TestCheckWithoutStore(t *testing.T) {
	_, err := local.Check(t.Context(), disk.New(vfs.NewMem()), "/none", local.CheckOptions{})
	if !errors.Is(err, fault.NotFound) {
		t.Errorf("%v", err)
	}
	mem := vfs.NewMem()
	s := open(t, disk.New(mem), local.Config{})
	defer s.Close()
	_, err = local.Check(t.Context(), disk.New(mem), "/store", local.CheckOptions{})
	if !errors.Is(err, fault.Busy) || !strings.Contains(err.Error(), "another process") {
		t.Errorf("%v", err)
	}
}
