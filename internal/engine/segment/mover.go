package segment

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/larder-cache/larder/internal/engine/disk"
)

// Mover appends copies of records to a segment of its own, which is newer than
// every segment that was there when the Mover was made: of two copies of one
// record the one in the newer segment counts. It is for one goroutine.
type Mover struct{ w *writer }

// Mover returns a new Mover. Seal ends it.
func (s *Set) Mover() *Mover { return &Mover{w: &writer{set: s}} }

// Append makes copies durable and applies them.
func (m *Mover) Append(recs []*Record) error {
	s := m.w.set
	s.mu.Lock()
	err := s.refused()
	s.mu.Unlock()
	if err != nil {
		return err
	}
	for _, r := range recs {
		r.Copy = true
		r.Flags &^= Chained
	}
	return m.w.commit([]*op{{recs: recs}})
}

// Seal ends the Mover's segment, if it has begun one, with a seal or, where that
// fails, with a fence, which the next group takes along.
func (m *Mover) Seal() error {
	if m.w.seg == nil {
		return nil
	}
	err := m.w.seal()
	if m.w.seg != nil { // nobody would write into it any more
		m.w.distrust()
		err = errors.Join(err, m.w.close())
	}
	return err
}

// Copy reads a record for moving it. Its body was verified.
func (s *Set) Copy(loc Location) (*Record, error) {
	seg, err := s.Pin(loc)
	if err != nil {
		return nil, err
	}
	var r Reader
	if err := r.Open(seg, loc, 0); err != nil {
		return nil, err
	}
	defer r.Close()
	body := make([]byte, 0, loc.BodyLen)
	for len(body) < int(loc.BodyLen) {
		b, err := r.Block(int64(len(body)))
		if err != nil {
			return nil, err
		}
		body = append(body, b...)
	}
	h := r.header
	h.Key, h.Attrs = append([]byte(nil), h.Key...), append([]byte(nil), h.Attrs...)
	return &Record{Header: h, Body: body, Sums: append([]byte(nil), h.sums...)}, nil
}

// Punch gives the whole pages of a dead record's body back. done is false if a
// reader has it pinned. No reader may come to it any more.
func (s *Set) Punch(loc Location) (done bool, err error) {
	from, n := loc.Punchable()
	seg := s.lookup(loc.Segment)
	if n == 0 || seg == nil {
		return true, nil
	}
	if seg.isPinned(loc.Offset) {
		return false, nil
	}
	if err := s.fs.PunchHole(seg.path, from, n); err != nil {
		return false, err
	}
	return true, nil
}

func (g *Segment) isPinned(offset int64) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.pinned[offset] > 0
}

// Remove unlinks a segment that nothing refers to any more. done is false, and
// nothing happened, while a reader has something in it pinned.
func (s *Set) Remove(id uint64) (done bool, err error) {
	if seg := s.lookup(id); seg != nil {
		if !seg.retire() {
			return false, nil
		}
		s.handles.forget(seg)
	}
	s.mu.Lock()
	delete(s.segs, id)
	s.mu.Unlock()
	if err := s.fs.Remove(s.path(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("remove segment %d: %w", id, err)
	}
	return true, disk.SyncDir(s.fs, s.dir)
}

// retire closes the segment for good unless somebody reads it.
func (g *Segment) retire() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.pinned) > 0 || g.using > 0 {
		return false
	}
	g.gone = true
	if g.file != nil {
		_ = g.file.Close()
		g.file = nil
	}
	return true
}

func (c *handleCache) forget(g *Segment) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.open, g)
}
