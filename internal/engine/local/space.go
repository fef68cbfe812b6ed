package local

import (
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/larder-cache/larder/internal/engine/disk"
	"github.com/larder-cache/larder/internal/engine/segment"
	"github.com/larder-cache/larder/internal/fault"
)

// ballastFile is preallocated, and given up when the disk is full nevertheless:
// for tombstones, the index and a compaction.
const (
	ballastFile = "BALLAST"
	maxBallast  = 64 << 20
)

// space watches the disk's room.
type space struct {
	fs  disk.FS
	dir string

	mu       sync.Mutex // guards the fields below; the disk is asked under it
	reserve  int64      // 0: nothing is refused for it
	ballast  int64      // bytes, 0 for none
	floating bool       // the ballast is there
	free     int64      // when last asked, less what was written since
	asked    time.Time
}

// askEvery is how old an answer about the disk's room may be.
const askEvery = time.Second

func newSpace(fsys disk.FS, dir string, reserve int64) *space {
	s := &space{fs: fsys, dir: dir, reserve: max(reserve, 0)}
	use, err := fsys.GetDiskUsage(dir)
	if err != nil {
		s.reserve = 0 // the disk does not say
		return s
	}
	if reserve == 0 {
		s.reserve = min(1<<30, int64(use.TotalBytes/20))
	}
	s.ballast = min(maxBallast, s.reserve/8)
	s.free = int64(use.AvailBytes)
	return s
}

// look asks the disk, and returns its room and whether that is within the reserve.
func (s *space) look() (free int64, low bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if use, err := s.fs.GetDiskUsage(s.dir); err == nil {
		s.free, s.asked = int64(use.AvailBytes), time.Now()
	}
	return s.free, s.free < s.reserve
}

// low reports whether the disk was within its reserve when last asked.
func (s *space) low() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.free < s.reserve
}

// room reports Full of noun Disk when size more bytes would reach into the
// reserve. It recovers by itself when there is room again.
func (s *space) room(size int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reserve == 0 {
		return nil
	}
	if now := time.Now(); now.Sub(s.asked) > askEvery || s.free-size < s.reserve {
		use, err := s.fs.GetDiskUsage(s.dir)
		if err != nil {
			return nil // the write itself will say
		}
		s.free, s.asked = int64(use.AvailBytes), now
	}
	if s.free-size < s.reserve {
		return fault.New(fault.Full, fault.Disk, "")
	}
	s.free -= size
	return nil
}

// float makes the ballast if it is not there and the disk has room for it.
func (s *space) float() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.floating || s.ballast == 0 {
		return nil
	}
	use, err := s.fs.GetDiskUsage(s.dir)
	if err != nil || int64(use.AvailBytes) < s.reserve+s.ballast {
		_, err := s.fs.Stat(s.fs.PathJoin(s.dir, ballastFile))
		s.floating = err == nil // from before a start; otherwise later
		return nil
	}
	f, err := s.fs.Create(s.fs.PathJoin(s.dir, ballastFile), vfs.WriteCategoryUnspecified)
	if err != nil {
		return fmt.Errorf("make ballast: %w", err)
	}
	if err := errors.Join(f.Preallocate(0, s.ballast), f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("make ballast: %w", err)
	}
	s.floating = true
	return nil
}

// drop gives the ballast up. It reports whether that made room.
func (s *space) drop() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.floating {
		return false
	}
	err := s.fs.Remove(s.fs.PathJoin(s.dir, ballastFile))
	s.floating = false
	s.asked = time.Time{}
	return err == nil || errors.Is(err, fs.ErrNotExist)
}

// grows reports whether records are content, which the reserve refuses, and not
// what frees space or settings.
func grows(recs []*segment.Record) (size int64, content bool) {
	for _, r := range recs {
		size += int64(len(r.Body)) + int64(len(r.Attrs)) + int64(len(r.Key))
		if r.Kind == segment.Extent || r.Kind == segment.Put && (r.Incarnation != 0 || len(r.Body) > 0) {
			content = true
		}
	}
	return size, content
}
