package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/larder-cache/larder/internal/engine/disk"
	"github.com/larder-cache/larder/internal/engine/index"
	"github.com/larder-cache/larder/internal/engine/segment"
	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/object"
)

// Store is an object store in one directory. Make one with Open.
type Store struct {
	fs     disk.FS
	dir    string
	cfg    Config
	format format
	lock   io.Closer
	segs   *segment.Set
	index  *index.Index

	seq     atomic.Uint64 // the store-wide counter: the last seq drawn
	space   *space
	memory  *memory
	locks   *keyLocks
	lookups sync.RWMutex // shared from looking a location up to pinning it
	readers sync.Pool    // of *segment.Reader

	mu          sync.RWMutex // guards the fields below
	buckets     map[object.BucketName]*bucket
	lostBuckets map[object.BucketName]bool // damaged: refused until a repair
	closed      bool

	stageMu sync.Mutex          // guards stages; the index is used under it
	stages  map[uint64]struct{} // of bodies on their way; nil when the store is closed

	reclaiming sync.Mutex // held by Reclaim; guards reclaim; disk and index are used under it
	reclaim    reclaimer

	counts    counts
	unflushed atomic.Int64 // bytes appended since the index was flushed
	records   atomic.Int64 // the same in records
	wake      chan struct{}
	closing   sync.Once
	closeErr  error
}

var _ object.Store = (*Store)(nil)

// Caps implements object.Store.
func (s *Store) Caps() object.Caps {
	return object.Caps{CreateOnce: true, CompareAndSwap: true, ConditionalComplete: true, StrongList: true}
}

// Open opens the store in dir, creating it if there is none, and replays what
// the index has not seen. It starts nothing: Run does the work in the background,
// without which the store is whole, but grows. Close it.
func Open(fs disk.FS, dir string, cfg Config) (*Store, error) {
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	s := &Store{
		fs: fs, dir: dir, cfg: cfg, memory: newMemory(cfg.Memory, cfg.Patience), locks: newKeyLocks(),
		buckets: map[object.BucketName]*bucket{}, lostBuckets: map[object.BucketName]bool{}, stages: map[uint64]struct{}{}, wake: make(chan struct{}, 1),
	}
	s.reclaim = reclaimer{punched: map[uint64]int64{}, doomed: map[uint64][]index.DeadKey{}, damaged: map[uint64]bool{}}
	s.readers.New = func() any { return new(segment.Reader) }
	if err := s.open(); err != nil {
		return nil, errors.Join(wrap("open store", fault.Store, dir, err), s.release())
	}
	return s, nil
}

func (s *Store) open() (err error) {
	if s.lock, s.format, err = prepare(s.fs, s.dir); err != nil {
		return err
	}
	clean, err := unmark(s.fs, s.dir)
	if err != nil {
		return err
	}
	s.space = newSpace(s.fs, s.dir, s.cfg.Reserve)
	if err := s.space.float(); err != nil {
		s.cfg.Logger.Warn("no ballast for a full disk", "error", err)
	}
	err = s.load(clean)
	if errors.Is(err, index.ErrDamaged) {
		s.cfg.Logger.Error("the index is damaged and is built again from the segments", "error", err)
		if err = s.dropIndex(); err == nil {
			err = s.load(false)
		}
	}
	return err
}

// load opens the index, making an empty one if there is none, and the segments,
// and replays what the index has not seen. clean says that there is nothing, nor
// anything that belongs to nobody.
func (s *Store) load(clean bool) (err error) {
	if s.index, err = openIndex(s.fs, s.dir, s.cfg, s.space.drop); err != nil {
		return err
	}
	var damage []segment.Damage
	s.segs, damage, err = segment.Open(s.fs, s.fs.PathJoin(s.dir, segmentsDir), segment.Config{
		Store: s.format.id, Segments: s.cfg.Segments, Size: s.cfg.SegmentSize, Apply: s.apply, Seq: s.seq.Load,
	})
	if err != nil {
		return err
	}
	r := replayer{segs: s.segs, index: s.index, log: s.cfg.Logger}
	for _, d := range damage {
		s.cfg.Logger.Error("segment is damaged", "segment", d.Segment, "what", d.What)
		if d.Unreadable {
			r.unreadable = append(r.unreadable, d.Segment)
		}
	}
	replayed, err := r.run()
	if err == nil && (replayed || !clean) {
		err = s.index.Sweep()
	}
	if err != nil {
		return err
	}
	s.seq.Store(s.index.Seq())
	return s.loadBuckets()
}

// dropIndex closes the index and removes it: nothing is in it that the segments do
// not hold.
func (s *Store) dropIndex() error {
	var err error
	if s.index != nil {
		err = s.index.Close()
		s.index = nil
	}
	dir := s.fs.PathJoin(s.dir, indexDir)
	return errors.Join(err, s.fs.RemoveAll(dir), disk.SyncDir(s.fs, s.dir))
}

// openIndex opens the index, or makes an empty one if there is none.
func openIndex(fs disk.FS, dir string, cfg Config, rescue func() bool) (*index.Index, error) {
	dir = fs.PathJoin(dir, indexDir)
	ic := cfg.Index
	ic.Logger = cfg.Logger
	if names, err := fs.List(dir); err == nil && len(names) > 0 {
		return index.Open(disk.Rescue(fs, rescue), dir, ic)
	}
	if err := fs.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := disk.SyncDir(fs, fs.PathDir(dir)); err != nil {
		return nil, err
	}
	ic.Create = true
	return index.Open(disk.Rescue(fs, rescue), dir, ic)
}

// append writes records durably and applies them to the index. Content is refused
// when the disk has no room but its reserve; what frees space is not, and gets the
// ballast if it must.
func (s *Store) append(recs ...*segment.Record) error {
	size, content := grows(recs)
	if content {
		if err := s.space.room(size); err != nil {
			return err
		}
	}
	return s.appendAnyway(size, content, recs)
}

// appendAnyway is append without a look at the reserve.
func (s *Store) appendAnyway(size int64, content bool, recs []*segment.Record) error {
	err := s.segs.Append(recs...)
	if err != nil && !content && disk.IsFull(err) && s.space.drop() {
		err = s.segs.Append(recs...)
	}
	if err != nil {
		return err
	}
	s.counts.written.Add(size)
	if s.unflushed.Add(size) >= s.cfg.FlushBytes || s.records.Add(int64(len(recs))) >= s.cfg.FlushRecords {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
	return nil
}

// apply is called for each group between its sync and its acknowledgement.
func (s *Store) apply(g *segment.Group) error {
	s.counts.syncs.Add(1)
	s.counts.records.Add(int64(len(g.Records)))
	return s.index.Apply(g)
}

// Close waits for the writes that have begun, seals the segments, flushes the
// index and releases the directory. It may be called twice. Run must have
// returned.
func (s *Store) Close() error {
	s.closing.Do(func() {
		s.mu.Lock()
		s.closed = true
		s.mu.Unlock()
		err := s.segs.Close()
		if err == nil {
			err = s.dropStages()
		}
		if err == nil {
			err = s.index.Flush()
		}
		if err == nil && s.index.Damaged() {
			err = s.dropIndex() // the next start builds it again
		}
		if err == nil {
			err = mark(s.fs, s.dir)
		}
		s.closeErr = wrap("close store", fault.Store, s.dir, errors.Join(err, s.release()))
	})
	return s.closeErr
}

// release gives back what Open took.
func (s *Store) release() error {
	var errs []error
	if s.index != nil {
		errs = append(errs, s.index.Close())
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
	}
	return errors.Join(errs...)
}

// Run flushes the index and gives space back as that falls due, and re-reads what
// is stored, until ctx ends.
func (s *Store) Run(ctx context.Context) error { return s.background(ctx) }

func (s *Store) beginStage() uint64 {
	id := s.seq.Add(1)
	s.stageMu.Lock()
	defer s.stageMu.Unlock()
	if s.stages != nil {
		s.stages[id] = struct{}{}
	}
	return id
}

func (s *Store) endStage(id uint64) {
	s.stageMu.Lock()
	defer s.stageMu.Unlock()
	delete(s.stages, id)
}

// dropStage forgets the extents of a body that was not committed. What it cannot
// forget now, a start after a crash does.
func (s *Store) dropStage(id uint64) {
	s.stageMu.Lock()
	defer s.stageMu.Unlock()
	if _, ok := s.stages[id]; !ok {
		return // Close did
	}
	delete(s.stages, id)
	if err := s.index.DropStage(id); err != nil {
		s.cfg.Logger.Error("extents of an unfinished body stay until the next start", "stage", id, "error", err)
	}
}

// dropStages forgets the extents of bodies that are on their way and come too late.
// Those of a body that was committed just now are its key's already.
func (s *Store) dropStages() error {
	s.stageMu.Lock()
	defer s.stageMu.Unlock()
	late := len(s.stages) > 0
	s.stages = nil
	if !late {
		return nil
	}
	return s.index.Sweep()
}
