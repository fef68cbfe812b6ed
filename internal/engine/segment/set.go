package segment

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/larder-cache/larder/internal/engine/disk"
)

// Config tunes a Set.
type Config struct {
	// Store is written into every segment, so that one of another store is not
	// taken for ours.
	Store [16]byte

	// Segments is how many segments are open for writing at once; default 4.
	Segments int

	// Size is when a segment is full, in bytes; default 256 MiB.
	Size int64

	// Apply is called for each group after it is on the disk and before anybody
	// is told. An error fails the group's writers and all later ones.
	Apply func(*Group) error

	// Seq returns the last seq drawn, which directories carry, so that a rebuilt
	// index never draws one again; default 0.
	Seq func() uint64
}

func (c *Config) check() error {
	if c.Segments == 0 {
		c.Segments = 4
	}
	if c.Size == 0 {
		c.Size = 256 << 20
	}
	if c.Seq == nil {
		c.Seq = func() uint64 { return 0 }
	}
	switch {
	case c.Segments < 0 || c.Segments > 64:
		return fmt.Errorf("%d open segments: 1 to 64 are possible", c.Segments)
	case c.Size < 4<<10 || c.Size > 1<<40:
		return fmt.Errorf("segments of %d bytes: 4 KiB to 1 TiB are possible", c.Size)
	case c.Apply == nil:
		return errors.New("a segment set needs an Apply")
	}
	return nil
}

// Group is a run of records that one sync made durable.
type Group struct {
	Segment uint64
	Records []*Record // in offset order, directories and fences included
	End     int64     // behind the last of them
	Sealed  bool      // the segment is never written again
}

// Record is one to append.
type Record struct {
	Header
	Body []byte // may be altered by the writing
	Sums []byte // from AppendSums
	Copy bool   // moves a record that is there already, under its old seq
	Loc  Location
}

// Set is a directory of segments.
type Set struct {
	fs   disk.FS
	dir  string
	cfg  Config
	room sync.Mutex // held while a segment is created, so that ids reach the disk in order

	mu      sync.Mutex // guards the fields below; no I/O under it
	segs    map[uint64]*Segment
	next    uint64 // id of the next segment
	writers int    // open segments, idle or not
	idle    []*writer
	pending []*op
	fences  []fence // of poisoned segments, not yet written
	closed  bool
	failed  error         // an Apply failed: nothing more is written
	drained chan struct{} // closed when closed and no writer is busy
	handles handleCache
}

// Segment is one file.
type Segment struct {
	identity
	path string
	set  *Set

	mu     sync.Mutex // guards the fields below; the file is opened under it
	file   vfs.File   // for reading; nil if not open
	using  int        // readers of file
	pinned map[int64]int
	gone   bool
}

// ID returns the segment's number; later segments have greater ones.
func (g *Segment) ID() uint64 { return g.id }

// Damage is something wrong with a file that Open found.
type Damage struct {
	Segment    uint64
	Unreadable bool // nothing in it can be read
	What       string
}

// Open lists the segments in dir, which exists. It writes nothing. Segments
// whose header is damaged beyond reading are reported and left out.
func Open(fs disk.FS, dir string, cfg Config) (*Set, []Damage, error) {
	if err := cfg.check(); err != nil {
		return nil, nil, fmt.Errorf("open segments: %w", err)
	}
	s := &Set{fs: fs, dir: dir, cfg: cfg, segs: map[uint64]*Segment{}, next: 1, drained: make(chan struct{})}
	s.handles.limit = 512
	names, err := fs.List(dir)
	if err != nil {
		return nil, nil, fmt.Errorf("open segments: %w", err)
	}
	slices.Sort(names)
	var damage []Damage
	for _, name := range names {
		id, ok := parseName(name)
		if !ok {
			continue
		}
		s.next = max(s.next, id+1)
		what, err := s.add(id)
		if err != nil {
			return nil, nil, fmt.Errorf("open segment %d: %w", id, err)
		}
		if what != "" {
			damage = append(damage, Damage{Segment: id, What: what, Unreadable: s.segs[id] == nil})
		}
	}
	return s, damage, nil
}

// add reads the header of an existing segment. what tells of damage to it.
func (s *Set) add(id uint64) (what string, err error) {
	seg := &Segment{set: s, path: s.path(id), pinned: map[int64]int{}}
	f, err := s.fs.Open(seg.path)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	var head [firstRecord]byte
	n, err := f.ReadAt(head[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	ident, good := parseFileHeader(head[:], id, s.cfg.Store)
	if good == 0 {
		if n < firstRecord || allZero(head[:]) {
			return "", nil // created, and never synced: nothing in it was acknowledged
		}
		return "header: no copy is readable", nil
	}
	seg.identity = ident
	s.segs[id] = seg
	if good < 2 {
		return "header: one of two copies is damaged", nil
	}
	return "", nil
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

func (s *Set) path(id uint64) string {
	return s.fs.PathJoin(s.dir, fmt.Sprintf("%016x.seg", id))
}

func parseName(name string) (uint64, bool) {
	hex, ok := strings.CutSuffix(name, ".seg")
	if !ok || len(hex) != 16 {
		return 0, false
	}
	id, err := strconv.ParseUint(hex, 16, 64)
	return id, err == nil && id > 0
}

// SetAside renames a segment that cannot be read, so that it is none any more, and
// returns its new name.
func (s *Set) SetAside(id uint64) (name string, err error) {
	name = s.path(id) + ".unreadable"
	if err := s.fs.Rename(s.path(id), name); err != nil {
		return "", fmt.Errorf("set segment %d aside: %w", id, err)
	}
	return s.fs.PathBase(name), disk.SyncDir(s.fs, s.dir)
}

// IDs returns the segments in ascending order.
func (s *Set) IDs() []uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := make([]uint64, 0, len(s.segs))
	for id := range s.segs {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// lookup returns a segment, nil if there is none of that number.
func (s *Set) lookup(id uint64) *Segment {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.segs[id]
}

// Size returns the length of a segment's file.
func (s *Set) Size(id uint64) (int64, error) {
	st, err := s.fs.Stat(s.path(id))
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

// Sync makes everything that an older segment holds durable, so that what a
// replay found there may be acknowledged.
func (s *Set) Sync(id uint64) error {
	f, err := s.fs.OpenReadWrite(s.path(id), vfs.WriteCategoryUnspecified)
	if err != nil {
		return fmt.Errorf("sync segment %d: %w", id, err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("sync segment %d: %w", id, err)
	}
	return nil
}

// create makes a new segment durable: its header synced, then its directory.
// The caller has counted it in s.writers.
func (s *Set) create() (*writer, error) {
	s.room.Lock()
	defer s.room.Unlock()
	s.mu.Lock()
	id := s.next
	s.next++
	s.mu.Unlock()
	seg := &Segment{identity: identity{id: id}, set: s, path: s.path(id), pinned: map[int64]int{}}
	_, _ = rand.Read(seg.salt[:]) // never fails
	f, err := s.fs.OpenReadWrite(seg.path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, fmt.Errorf("create segment %d: %w", id, err)
	}
	_, err = f.WriteAt(seg.appendFileHeader(nil, s.cfg.Store), 0)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = disk.SyncDir(s.fs, s.dir)
	}
	if err != nil {
		err = errors.Join(err, f.Close())
		_ = s.fs.Remove(seg.path) // or it stays, without a record
		return nil, fmt.Errorf("create segment %d: %w", id, err)
	}
	s.mu.Lock()
	s.segs[id] = seg
	s.mu.Unlock()
	return &writer{set: s, seg: seg, file: f, pos: firstRecord, end: firstRecord}, nil
}
