package local_test

import (
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/larder-cache/larder/internal/engine/disk"
	"github.com/larder-cache/larder/internal/engine/local"
	"github.com/larder-cache/larder/internal/object"
)

// roomy is a disk that says it has so much room.
type roomy struct {
	disk.FS
	room uint64
}

func (r *roomy) GetDiskUsage(string) (vfs.DiskUsage, error) {
	return vfs.DiskUsage{AvailBytes: r.room, TotalBytes: 10 << 30}, nil
}

// TestStartOnAFullDisk starts a store on a disk that became full while it was
// stopped: the ballast, which is still there, makes room for the index.
func TestStartOnAFullDisk(t *testing.T) {
	mem := vfs.NewMem()
	var full atomic.Bool
	fs := &roomy{room: 5 << 30}
	fs.FS = disk.Inject(disk.New(mem), func(op disk.Op) disk.Outcome {
		if _, err := mem.Stat("/store/BALLAST"); err != nil {
			return disk.Outcome{} // it was given up
		}
		if full.Load() && (op.Kind == disk.OpWrite || op.Kind == disk.OpCreate) && !strings.HasSuffix(op.Path, "LOCK") {
			return disk.Outcome{Err: syscall.ENOSPC}
		}
		return disk.Outcome{}
	})
	cfg := local.Config{}
	s := open(t, fs, cfg)
	if _, err := s.CreateBucket(t.Context(), "bucket", object.BucketConfig{}); err != nil {
		t.Fatal(err)
	}
	put(t, s, "key", []byte("content"))
	put(t, s, "gone", []byte("content"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	full.Store(true)
	fs.room = 0
	s = open(t, fs, cfg)
	if got, err := get(s, "key", nil); err != nil || string(got) != "content" {
		t.Errorf("%q, %v", got, err)
	}
	remove(t, s, "gone")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
