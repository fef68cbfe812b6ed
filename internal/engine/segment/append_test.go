package segment_test

import (
	"fmt"
	"runtime"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/larder-cache/larder/internal/engine/disk"
	"github.com/larder-cache/larder/internal/engine/segment"
)

// Nobody is told of a write before the group that holds it is synced and
// applied, however many write, and nobody waits for ever.
func TestAppendWaitsForItsOwnGroup(t *testing.T) {
	fs := disk.Inject(disk.New(vfs.NewMem()), func(disk.Op) disk.Outcome {
		for range 20 { // a disk takes its time, and others write meanwhile
			runtime.Gosched()
		}
		return disk.Outcome{}
	})
	if err := fs.MkdirAll("segments", 0o700); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	applied := map[*segment.Record]bool{}
	set, _, err := segment.Open(fs, "segments", segment.Config{
		Segments: 3, Size: 64 << 10,
		Apply: func(g *segment.Group) error {
			mu.Lock()
			defer mu.Unlock()
			for _, r := range g.Records {
				applied[r] = true
			}
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for writer := range 16 {
		group.Go(func() {
			for i := range 200 {
				r := &segment.Record{Header: segment.Header{Kind: segment.Put, Seq: uint64(i + 1), Key: fmt.Appendf(nil, "%d/%d", writer, i)}}
				if err := set.Append(r); err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				done := applied[r]
				mu.Unlock()
				if !done {
					t.Error("a write was acknowledged before it was applied")
					return
				}
			}
		})
	}
	group.Wait()
	if err := set.Close(); err != nil {
		t.Error(err)
	}
}

// A directory fits into a record however many records one Append has.
func TestDirectoriesOfALargeAppend(t *testing.T) {
	s := set(t, disk.New(vfs.NewMem()))
	recs := make([]*segment.Record, 16_000)
	for i := range recs {
		recs[i] = record(fmt.Sprintf("%01080d", i), nil)
	}
	if err := s.Append(recs...); err != nil {
		t.Fatal(err)
	}
	if err := s.Append(record("next", nil)); err != nil {
		t.Fatal(err)
	}
	found, listed := 0, 0
	scan, err := s.Scan(1, 0, 0, func(f *segment.Found) error {
		if found++; f.Kind == segment.Directory {
			_, _, _ = segment.ParseDirectory(f.Attrs, func(segment.Listed) { listed++ })
		}
		return nil
	})
	if err != nil || len(scan.Holes) > 0 {
		t.Errorf("holes %+v, %v", scan.Holes, err)
	}
	if found < len(recs) || listed < len(recs)-512 {
		t.Errorf("found %d records, and %d in directories", found, listed)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
