package segment

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// ErrGone is returned by Pin when the segment is no longer there: whoever looked
// the location up looks again.
var ErrGone = errors.New("the segment is gone")

// ErrDamaged is what reads return when the bytes on the disk are not those that
// were written.
var ErrDamaged = errors.New("the stored bytes fail their check")

// handleCache bounds the files open for reading.
type handleCache struct {
	mu    sync.Mutex // guards the fields below
	open  map[*Segment]struct{}
	limit int
}

// Pin keeps the record at loc from being punched and its segment from being
// removed until Unpin.
func (s *Set) Pin(loc Location) (*Segment, error) {
	seg := s.lookup(loc.Segment)
	if seg == nil {
		return nil, ErrGone
	}
	seg.mu.Lock()
	defer seg.mu.Unlock()
	if seg.gone {
		return nil, ErrGone
	}
	seg.pinned[loc.Offset]++ // punching and unlinking wait for it
	return seg, nil
}

// Unpin ends a Pin.
func (g *Segment) Unpin(loc Location) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.pinned[loc.Offset]--; g.pinned[loc.Offset] <= 0 {
		delete(g.pinned, loc.Offset)
	}
}

// acquire returns the file, opened for reading, until release.
func (g *Segment) acquire() (vfs.File, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.file == nil {
		f, err := g.set.fs.Open(g.path, vfs.RandomReadsOption)
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				err = errors.Join(ErrDamaged, err)
			}
			return nil, err
		}
		g.file = f
		g.set.handles.opened(g)
	}
	g.using++
	return g.file, nil
}

func (g *Segment) release() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.using--
}

// opened notes a new handle and closes an idle one if there are too many. g.mu
// is held; other segments' mutexes are only tried.
func (c *handleCache) opened(g *Segment) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open == nil {
		c.open = map[*Segment]struct{}{}
	}
	c.open[g] = struct{}{}
	if len(c.open) <= c.limit {
		return
	}
	for other := range c.open { // map order is random: good enough a choice
		if other == g || !other.mu.TryLock() {
			continue
		}
		if other.using == 0 && other.file != nil {
			_ = other.file.Close()
			other.file = nil
			delete(c.open, other)
			other.mu.Unlock()
			return
		}
		other.mu.Unlock()
	}
}

func (s *Set) closeHandles() error {
	s.handles.mu.Lock()
	open := s.handles.open
	s.handles.open = nil
	s.handles.mu.Unlock()
	var errs []error
	for g := range open {
		g.mu.Lock()
		if g.file != nil && g.using == 0 {
			errs = append(errs, g.file.Close())
			g.file = nil
		}
		g.mu.Unlock()
	}
	return errors.Join(errs...)
}

// readAt fills p from the segment's file.
func (g *Segment) readAt(p []byte, off int64) error {
	f, err := g.acquire()
	if err != nil {
		return fmt.Errorf("read segment %d: %w", g.id, err)
	}
	defer g.release()
	n, err := f.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("read segment %d at %d: %d of %d bytes: %w", g.id, off, n, len(p), ErrDamaged)
	}
	return fmt.Errorf("read segment %d at %d: %w", g.id, off, err)
}

// Reader reads one record's body, block by block. The record stays pinned
// between Open and Close. It is for one goroutine.
type Reader struct {
	seg    *Segment
	loc    Location
	header Header
	buf    []byte // the header, then blocks
	have   int64  // body bytes that buf holds behind the header, from block first
	first  int64  // block number of the first byte behind the header in buf
	mac    []byte
}

// firstRead is how much of a record is read at once when it is opened.
const firstRead = BlockSize + 8<<10

// Open reads the header of the record at loc, which the caller pinned with Pin,
// together with the first block when off, an offset in the body, lies in it: one
// system call. The MAC ties the header to this very place, so a wrong location
// does not yield another record's body. Close unpins the record, and so does an
// error.
func (r *Reader) Open(seg *Segment, loc Location, off int64) error {
	r.seg, r.loc, r.have, r.first = seg, loc, 0, 0
	whole := int64(loc.HeaderLen) + int64(loc.BodyLen)
	n := int64(loc.HeaderLen)
	if off < BlockSize {
		n += min(int64(loc.BodyLen), BlockSize)
	}
	r.grow(min(n, whole))
	if err := seg.readAt(r.buf, loc.Offset); err != nil {
		r.Close()
		return err
	}
	var ok bool
	r.header, r.mac, ok = seg.parseHeader(r.buf[:loc.HeaderLen], r.mac, loc.Offset)
	if !ok || r.header.BodyLen != loc.BodyLen {
		r.Close()
		return fmt.Errorf("header of the record at %d in segment %d: %w", loc.Offset, loc.Segment, ErrDamaged)
	}
	r.have = n - int64(loc.HeaderLen)
	if r.have > 0 && !r.header.verifyBlock(0, r.buf[loc.HeaderLen:]) {
		r.Close()
		return r.damaged(0)
	}
	return nil
}

func (r *Reader) damaged(block int64) error {
	return fmt.Errorf("block %d of the record at %d in segment %d: %w", block, r.loc.Offset, r.loc.Segment, ErrDamaged)
}

// grow makes buf n bytes long, keeping its beginning.
func (r *Reader) grow(n int64) {
	if int64(cap(r.buf)) >= n {
		r.buf = r.buf[:n]
		return
	}
	b := make([]byte, n, max(n, firstRead))
	copy(b, r.buf)
	r.buf = b
}

// Header returns what the record says of itself. It is valid until Close.
func (r *Reader) Header() *Header { return &r.header }

// Block returns verified bytes of the body from offset off to at most the end
// of their block. They are valid until the next call. off lies inside the body.
func (r *Reader) Block(off int64) ([]byte, error) {
	block := off / BlockSize
	start := block * BlockSize
	if r.have == 0 || block != r.first {
		n := min(BlockSize, int64(r.loc.BodyLen)-start)
		head := int64(r.loc.HeaderLen)
		r.have = 0
		r.growKeeping(head + n)
		if err := r.seg.readAt(r.buf[head:], r.loc.Offset+head+start); err != nil {
			return nil, err
		}
		if !r.header.verifyBlock(int(block), r.buf[head:]) { // also when only a part of the block is asked for
			return nil, r.damaged(block)
		}
		r.have, r.first = n, block
	}
	return r.buf[int64(r.loc.HeaderLen)+off-start:], nil
}

// growKeeping is grow for a buffer that the header points into.
func (r *Reader) growKeeping(n int64) {
	if int64(cap(r.buf)) >= n {
		r.buf = r.buf[:n]
		return
	}
	r.grow(n)
	h, mac, ok := r.seg.parseHeader(r.buf[:r.loc.HeaderLen], r.mac, r.loc.Offset)
	if ok {
		r.header = h
	}
	r.mac = mac
}

// Close unpins the record. The Reader may be opened again.
func (r *Reader) Close() {
	if r.seg != nil {
		r.seg.Unpin(r.loc)
		r.seg = nil
	}
}
