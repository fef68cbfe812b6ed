package local_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/larder-cache/larder/internal/engine/disk"
	"github.com/larder-cache/larder/internal/engine/local"
	"github.com/larder-cache/larder/internal/fault"
)

// TestFlipIndex flips bytes of the index of a stopped store: it starts, and serves
// nothing wrong. Of the tables, every block of which has a checksum, it flips one
// byte in some, since Pebble looks long for the bit that is wrong.
func TestFlipIndex(t *testing.T) {
	f := newFlipStore(t)
	dir := f.mem.PathJoin(storeDir, "index")
	names, err := f.mem.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	flips, found := 0, 0
	for _, name := range names {
		path := f.mem.PathJoin(dir, name)
		data, err := disk.ReadFile(f.mem, path, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		stride := 7
		if strings.HasSuffix(name, ".sst") {
			stride = 211
		}
		if testing.Short() {
			stride *= 11
		}
		for at := 0; at < len(data); at += stride {
			mem := f.mem.CrashClone(vfs.CrashCloneCfg{})
			if err := write(mem, path, at, flipped(data[at], at)); err != nil {
				t.Fatal(err)
			}
			flips++
			damaged, err := f.flippedIndex(t, mem)
			if err != nil {
				t.Errorf("byte %d of %s: %v", at, name, err)
			}
			if damaged {
				found++
			} else if strings.HasSuffix(name, ".sst") {
				t.Errorf("byte %d of %s: the check finds nothing", at, name)
			}
		}
	}
	t.Logf("flipped %d bytes of the index, one at a time; the check found %d", flips, found)
}

// flippedIndex checks a store whose index is damaged and uses it.
func (f *flipStore) flippedIndex(t *testing.T, mem *vfs.MemFS) (damaged bool, err error) {
	t.Helper()
	report, err := local.Check(t.Context(), disk.New(mem), storeDir, local.CheckOptions{Config: small()})
	if err != nil {
		return false, fmt.Errorf("check: %w", err)
	}
	m := newMachine(mem, nil)
	if err := m.open(); err != nil {
		return false, fmt.Errorf("open: %w", err)
	}
	n := 0
	for k := range f.want {
		if err := f.verdictOf(t, m.store, k, nil); err != nil && !errors.Is(err, fault.Corrupt) {
			return false, errors.Join(err, m.store.Close())
		}
		if n++; n == 5 {
			break
		}
	}
	if err := m.store.Close(); err != nil {
		return false, fmt.Errorf("close: %w", err)
	}
	return report.Damaged(), nil
}
