package local_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/larder-cache/larder/internal/engine/disk"
	"github.com/larder-cache/larder/internal/engine/local"
	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/object"
)

// flipStore is a stopped store of 200 records, of which every byte is flipped,
// one at a time.
type flipStore struct {
	mem   *vfs.MemFS
	want  map[object.Key][]byte // nil: deleted
	files []flipFile
}

// flipFile is one segment file and where the bodies of live objects lie in it.
type flipFile struct {
	path   string
	data   []byte
	bodies []flipBody // in order
}

type flipBody struct {
	at  int
	key object.Key
}

func newFlipStore(t *testing.T) *flipStore {
	t.Helper()
	f := &flipStore{mem: vfs.NewCrashableMem(), want: map[object.Key][]byte{}}
	m := newMachine(f.mem, nil)
	if err := m.open(); err != nil {
		t.Fatal(err)
	}
	if _, err := m.store.CreateBucket(t.Context(), home, object.BucketConfig{}); err != nil {
		t.Fatal(err)
	}
	for i := range 199 {
		k := object.Key(fmt.Sprintf("k%03d", i*7%170)) // 29 of them are overwritten
		if i%17 == 16 {
			k = object.Key(fmt.Sprintf("k%03d", (i-9)*7%170))
			if err := m.store.Delete(t.Context(), object.DeleteRequest{Bucket: home, Key: k}); err != nil {
				t.Fatal(err)
			}
			f.want[k] = nil
			continue
		}
		b := newBody(noise(uint64(i), 10+i%9))
		if _, err := m.store.Put(t.Context(), object.PutRequest{Bucket: home, Key: k, Content: b.content(), Size: -1}); err != nil {
			t.Fatal(err)
		}
		f.want[k] = b.data
	}
	if err := m.store.Close(); err != nil {
		t.Fatal(err)
	}
	f.find(t)
	return f
}

// find reads the segment files and looks for the bodies.
func (f *flipStore) find(t *testing.T) {
	t.Helper()
	dir := f.mem.PathJoin(storeDir, "segments")
	names, err := f.mem.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, name := range names {
		file := flipFile{path: f.mem.PathJoin(dir, name)}
		if file.data, err = disk.ReadFile(f.mem, file.path, 1<<30); err != nil {
			t.Fatal(err)
		}
		for k, body := range f.want {
			if at := bytes.Index(file.data, body); body != nil && at >= 0 {
				file.bodies = append(file.bodies, flipBody{at, k})
				found++
			}
		}
		slices.SortFunc(file.bodies, func(a, b flipBody) int { return a.at - b.at })
		f.files = append(f.files, file)
	}
	if live := len(f.live()); found != live {
		t.Fatalf("%d of %d bodies are in the segments", found, live)
	}
}

func (f *flipStore) live() []object.Key {
	var keys []object.Key
	for k, body := range f.want {
		if body != nil {
			keys = append(keys, k)
		}
	}
	return keys
}

// owner returns the key in whose body the byte lies, "" if in none.
func (file *flipFile) owner(f *flipStore, at int) object.Key {
	for _, b := range file.bodies {
		if at >= b.at && at < b.at+len(f.want[b.key]) {
			return b.key
		}
	}
	return ""
}

// near returns the keys whose records may hold the byte: those of the body
// before it and of the two behind it.
func (file *flipFile) near(at int) []object.Key {
	i, _ := slices.BinarySearchFunc(file.bodies, at, func(b flipBody, at int) int { return b.at - at })
	var keys []object.Key
	for _, b := range file.bodies[max(0, i-1):min(len(file.bodies), i+2)] {
		keys = append(keys, b.key)
	}
	return keys
}

// flipped returns the byte with one bit of it changed.
func flipped(b byte, at int) byte { return b ^ 1<<(at%8) }

// write changes one byte of a file.
func write(mem *vfs.MemFS, path string, at int, b byte) error {
	file, err := mem.OpenReadWrite(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = file.WriteAt([]byte{b}, int64(at))
	return errors.Join(err, file.Sync(), file.Close())
}

// each runs do for every byte of every segment, on all processors, each with a
// copy of the disk of its own. With -short it leaves most of them out.
func (f *flipStore) each(t *testing.T, mem *vfs.MemFS, do func(mem *vfs.MemFS, file *flipFile, at int) error) {
	t.Helper()
	stride, bytesFlipped := 1, 0
	if testing.Short() {
		stride = 61
	}
	var failures atomic.Int64
	var group sync.WaitGroup
	workers := runtime.GOMAXPROCS(0)
	for worker := range workers {
		group.Go(func() {
			own := mem.CrashClone(vfs.CrashCloneCfg{})
			for i := range f.files {
				file := &f.files[i]
				for at := worker * stride; at < len(file.data) && failures.Load() < 10; at += workers * stride {
					if err := do(own, file, at); err != nil {
						failures.Add(1)
						t.Errorf("byte %d of %d in %s: %v", at, len(file.data), file.path, err)
					}
				}
			}
		})
	}
	group.Wait()
	for _, file := range f.files {
		bytesFlipped += (len(file.data) + stride - 1) / stride
	}
	t.Logf("flipped %d bytes, one at a time", bytesFlipped)
}

// verdictOf reads a key and says whether it is right (nil), refused as corrupt
// (Corrupt, with the key's name), or anything that it may not be.
func (f *flipStore) verdictOf(t *testing.T, store *local.Store, k object.Key, r *object.Range) error {
	t.Helper()
	reader, err := store.Get(t.Context(), object.GetRequest{Bucket: home, Key: k, Range: r})
	want := f.want[k]
	switch {
	case err == nil:
		got, err := io.ReadAll(reader.Body)
		_ = reader.Body.Close()
		if err != nil {
			return err
		}
		if want == nil || !bytes.Equal(got, want[reader.Offset:reader.Offset+reader.Length]) {
			return fmt.Errorf("%s is served with other content than it has", k)
		}
		return nil
	case errors.Is(err, fault.NotFound) && want == nil:
		return nil
	}
	if errors.Is(err, fault.Corrupt) && !strings.Contains(err.Error(), string(home)+"/"+string(k)) {
		return fmt.Errorf("the fault does not name %s: %w", k, errors.New(err.Error()))
	}
	return err
}

// TestFlipLive flips bytes under an open store.
func TestFlipLive(t *testing.T) {
	f := newFlipStore(t)
	var mu sync.Mutex
	stores := map[*vfs.MemFS]*local.Store{}
	open := func(mem *vfs.MemFS) *local.Store {
		mu.Lock()
		defer mu.Unlock()
		if stores[mem] == nil {
			m := newMachine(mem, nil)
			if err := m.open(); err != nil {
				t.Error(err)
			}
			stores[mem] = m.store
		}
		return stores[mem]
	}
	f.each(t, f.mem, func(mem *vfs.MemFS, file *flipFile, at int) error {
		store := open(mem)
		if err := write(mem, file.path, at, flipped(file.data[at], at)); err != nil {
			return err
		}
		defer func() { _ = write(mem, file.path, at, file.data[at]) }()
		owner := file.owner(f, at)
		for _, k := range file.near(at) {
			err := f.verdictOf(t, store, k, nil)
			if err != nil && !errors.Is(err, fault.Corrupt) {
				return err
			}
			if k != owner {
				continue
			}
			last := &object.Range{First: int64(len(f.want[k]) - 1), Last: -1}
			if ranged := f.verdictOf(t, store, k, last); err == nil || !errors.Is(ranged, fault.Corrupt) {
				return fmt.Errorf("the damaged body of %s is served: %w, in a range: %w", k, err, ranged)
			}
		}
		return nil
	})
	for _, store := range stores {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestFlipCheck flips bytes of a stopped store: the check finds each, and names
// the object whose body it is in.
func TestFlipCheck(t *testing.T) {
	f := newFlipStore(t)
	f.each(t, f.mem, func(mem *vfs.MemFS, file *flipFile, at int) error {
		if err := write(mem, file.path, at, flipped(file.data[at], at)); err != nil {
			return err
		}
		defer func() { _ = write(mem, file.path, at, file.data[at]) }()
		report, err := local.Check(t.Context(), disk.New(mem), storeDir, local.CheckOptions{Config: small()})
		if err != nil {
			return err
		}
		if !report.Damaged() {
			return errors.New("the check finds nothing")
		}
		owner := file.owner(f, at)
		named := slices.ContainsFunc(report.Findings, func(found local.Finding) bool {
			return found.Damage && found.Bucket == string(home) && found.Key == string(owner)
		})
		if owner != "" && !named {
			return fmt.Errorf("the check does not name %s: %+v", owner, report.Findings)
		}
		return nil
	})
	if report, err := local.Check(t.Context(), disk.New(f.mem), storeDir, local.CheckOptions{}); err != nil || report.Damaged() {
		t.Errorf("the sound store is reported: %+v, %v", report, err)
	}
}

// TestFlipRebuild flips bytes of a store whose index is gone: it is built again,
// and neither an older version nor a deleted object comes back.
func TestFlipRebuild(t *testing.T) {
	f := newFlipStore(t)
	bare := f.mem.CrashClone(vfs.CrashCloneCfg{})
	if err := withoutIndex(bare); err != nil {
		t.Fatal(err)
	}
	refused := atomic.Int64{}
	f.each(t, bare, func(mem *vfs.MemFS, file *flipFile, at int) error {
		mem = mem.CrashClone(vfs.CrashCloneCfg{})
		if err := write(mem, file.path, at, flipped(file.data[at], at)); err != nil {
			return err
		}
		m := newMachine(mem, nil)
		if err := m.open(); err != nil {
			return fmt.Errorf("open: %w", err)
		}
		for k := range f.want {
			err := f.verdictOf(t, m.store, k, nil)
			if errors.Is(err, fault.Corrupt) {
				refused.Add(1)
				continue
			}
			if err != nil {
				return errors.Join(err, m.store.Close())
			}
		}
		return m.store.Close()
	})
	t.Logf("%d reads were refused", refused.Load())
	m := newMachine(bare, nil)
	if err := m.open(); err != nil {
		t.Fatal(err)
	}
	for k := range f.want {
		if err := f.verdictOf(t, m.store, k, nil); err != nil {
			t.Errorf("without the index, and without damage: %s: %v", k, err)
		}
	}
	if err := m.store.Close(); err != nil {
		t.Error(err)
	}
}

// TestRangeOfDamagedBlock reads a part of a damaged block that does not hold the
// damage: a block is verified whole or not served.
func TestRangeOfDamagedBlock(t *testing.T) {
	mem := vfs.NewMem()
	store := running(t, disk.New(mem), storeDir, local.Config{Reserve: -1})
	if _, err := store.CreateBucket(t.Context(), home, object.BucketConfig{}); err != nil {
		t.Fatal(err)
	}
	b := newBody(noise(1, 200_000))
	if _, err := store.Put(t.Context(), object.PutRequest{Bucket: home, Key: "k", Content: b.content(), Size: -1}); err != nil {
		t.Fatal(err)
	}
	f := &flipStore{mem: mem, want: map[object.Key][]byte{"k": b.data}}
	f.find(t)
	damaged := f.files[0].bodies[0].at + 150_000
	if err := write(mem, f.files[0].path, damaged, flipped(b.data[150_000], 1)); err != nil {
		t.Fatal(err)
	}
	for _, r := range []object.Range{{First: 150_001, Last: 150_100}, {First: 131_073, Last: 131_074}, {Suffix: 50_001}} {
		if err := f.verdictOf(t, store, "k", &r); !errors.Is(err, fault.Corrupt) {
			t.Errorf("%+v: got %v, want corrupt", r, err)
		}
	}
	if err := f.verdictOf(t, store, "k", &object.Range{First: 0, Last: 131_071}); err != nil {
		t.Errorf("the sound blocks before it: %v", err)
	}
}
