package segment

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/larder-cache/larder/internal/engine/disk"
)

// Hole is a stretch of a segment in which no record is found although more than
// padding lies there, or records lie behind it.
type Hole struct {
	Start, End int64
	// Damaged is set when a later record, a seal or a fence proves that the
	// stretch had been synced. Otherwise a crash may have torn it, and nobody was
	// told of it.
	Damaged bool
	// Seal is set when nothing but a sealing directory can have lain there.
	Seal bool
}

// Scan is what a scan of one segment found.
type Scan struct {
	End    int64 // behind the last record
	Proven int64 // what lies before it had been synced; a crash may have torn the rest
	Size   int64 // of the file
	Sealed bool  // the last record seals the segment
	Holes  []Hole
}

// Found is one record that a scan found. Its slices are valid during the visit.
type Found struct {
	Header
	Loc    Location
	Behind bool // a hole lies between it and the record before it
}

// Scan visits the records of a segment from the offset from (0 for the first)
// up to fence, where all had been synced (0 if there is none: up to the end of
// the file), in order. It reads headers only.
func (s *Set) Scan(id uint64, from, fence int64, visit func(*Found) error) (Scan, error) {
	seg := s.lookup(id)
	if seg == nil {
		return Scan{}, fmt.Errorf("scan segment %d: %w", id, ErrGone)
	}
	size, err := s.Size(id)
	if err != nil {
		return Scan{}, fmt.Errorf("scan segment %d: %w", id, err)
	}
	limit := size
	if fence > 0 {
		limit = min(fence, size)
	}
	sc := scanner{seg: seg, limit: limit, fence: fence, visit: visit}
	sc.result.Size = size
	err = sc.run(max(from, firstRecord))
	if err != nil {
		return Scan{}, fmt.Errorf("scan segment %d: %w", id, err)
	}
	return sc.result, nil
}

type scanner struct {
	seg    *Segment
	limit  int64
	fence  int64 // 0 for none
	visit  func(*Found) error
	result Scan

	window  []byte // of the file, from offset at
	at      int64
	near    int // how much to read at once
	mac     []byte
	maxBase int64 // the greatest seen
	closing bool  // the last record says that only a sealing directory follows
}

func (s *scanner) run(pos int64) error {
	s.near = 256 << 10
	s.result.End = pos
	for pos < s.limit {
		found, at, err := s.next(pos)
		if err != nil {
			return err
		}
		if found == nil {
			return s.tail(pos)
		}
		if at > pos {
			hole, err := s.isHole(pos, at)
			if err != nil {
				return err
			}
			if hole {
				s.result.Holes = append(s.result.Holes, Hole{Start: pos, End: at})
			}
			found.Behind = hole
		}
		s.maxBase = max(s.maxBase, found.Base)
		pos = found.Loc.End()
		s.result.End = pos
		s.closing = found.Kind == Directory && found.Flags&Closing != 0
		s.result.Sealed = found.Kind == Directory && found.Flags&(Last|Closing) != 0
		if err := s.visit(found); err != nil {
			return err
		}
		s.near = 256 << 10
		if found.BodyLen > 32<<10 {
			s.near = 16 << 10
		}
	}
	return s.tail(pos)
}

// tail judges what lies behind the last record, and the holes before it.
func (s *scanner) tail(pos int64) error {
	if end := max(s.limit, s.fence); pos < end {
		zero, err := s.zeros(pos, max(pos, s.limit))
		if err != nil {
			return err
		}
		if !zero || s.fence > 0 { // a record ends at the fence
			s.result.Holes = append(s.result.Holes, Hole{Start: pos, End: end, Seal: s.closing && s.fence == 0})
		}
	}
	s.result.Proven = max(s.maxBase, s.fence)
	if s.result.Sealed {
		s.result.Proven = max(s.limit, s.fence)
	}
	for i := range s.result.Holes {
		h := &s.result.Holes[i]
		h.Damaged = s.result.Proven > h.Start
	}
	return nil
}

// isHole reports whether [from, to) is more than the padding before an aligned
// record.
func (s *scanner) isHole(from, to int64) (bool, error) {
	if to != alignUp(from, PageSize) {
		return true, nil
	}
	zero, err := s.zeros(from, to)
	return !zero, err
}

// next finds the first record at or behind pos, nil if there is none.
func (s *scanner) next(pos int64) (*Found, int64, error) {
	for at := pos; at+fixedSize <= s.limit; {
		f, err := s.record(at)
		if f != nil || err != nil {
			return f, at, err
		}
		if aligned := alignUp(at, PageSize); at == pos && aligned != at {
			f, err := s.record(aligned) // the usual case: padding
			if err != nil {
				return nil, 0, err
			}
			if f != nil {
				return s.before(pos, aligned)
			}
		}
		at, err = s.magic(at + alignment)
		if err != nil {
			return nil, 0, err
		}
	}
	return nil, 0, nil
}

// before looks for a record between pos and the one found at aligned, behind
// damage that is not padding.
func (s *scanner) before(pos, aligned int64) (*Found, int64, error) {
	zero, err := s.zeros(pos, aligned)
	if err != nil {
		return nil, 0, err
	}
	for at := pos + alignment; !zero && at < aligned; at += alignment {
		if g, err := s.record(at); g != nil || err != nil {
			return g, at, err
		}
	}
	f, err := s.record(aligned) // the window may have moved
	return f, aligned, err
}

// magic returns the first multiple of the alignment at or behind at where a
// record may begin, or the limit.
func (s *scanner) magic(at int64) (int64, error) {
	for at+fixedSize <= s.limit {
		b, err := s.read(at, fixedSize)
		if err != nil {
			return 0, err
		}
		_ = b
		rest := s.window[at-s.at:]
		for i := 0; i+fixedSize <= len(rest); i += alignment {
			if binary.LittleEndian.Uint32(rest[i:]) == recordMagic {
				return at + int64(i), nil
			}
		}
		at += max(alignment, int64(len(rest)-fixedSize)&^(alignment-1))
	}
	return s.limit, nil
}

// record decodes the record at the offset at, nil if there is none.
func (s *scanner) record(at int64) (*Found, error) {
	if at+fixedSize > s.limit {
		return nil, nil //nolint:nilnil // no record, and no error
	}
	b, err := s.read(at, fixedSize)
	if err != nil {
		return nil, err
	}
	n := int64(headerLength(b))
	if n == 0 || at+n > s.limit {
		return nil, nil //nolint:nilnil // no record, and no error
	}
	if b, err = s.read(at, n); err != nil {
		return nil, err
	}
	h, mac, ok := s.seg.parseHeader(b, s.mac, at)
	s.mac = mac
	loc := Location{Segment: s.seg.id, Offset: at, HeaderLen: h.HeaderLen, BodyLen: h.BodyLen}
	if !ok || at+int64(h.HeaderLen)+int64(h.BodyLen) > s.limit {
		return nil, nil //nolint:nilnil // no record, and no error
	}
	return &Found{Header: h, Loc: loc}, nil
}

// read returns n bytes at the offset at, from the window or the file.
func (s *scanner) read(at, n int64) ([]byte, error) {
	if at >= s.at && at+n <= s.at+int64(len(s.window)) {
		return s.window[at-s.at : at-s.at+n], nil
	}
	want := min(max(n, int64(s.near)), s.limit-at)
	if want < n {
		return nil, io.ErrUnexpectedEOF
	}
	if int64(cap(s.window)) < want {
		s.window = make([]byte, want)
	}
	s.window, s.at = s.window[:want], at
	if err := s.seg.readAt(s.window, at); err != nil {
		s.window = s.window[:0]
		return nil, err
	}
	return s.window[:n], nil
}

// zeros reports whether [from, to) is all zero.
func (s *scanner) zeros(from, to int64) (bool, error) {
	buf := make([]byte, min(to-from, 64<<10))
	for from < to {
		b := buf[:min(to-from, int64(len(buf)))]
		if err := s.seg.readAt(b, from); err != nil {
			return false, err
		}
		if !allZero(b) {
			return false, nil
		}
		from += int64(len(b))
	}
	return true, nil
}

// Verify reads a record's whole body and checks it. punched reports that its
// whole pages are zero, which is right for a dead record only. Padding behind the
// body counts to the record.
func (s *Set) Verify(loc Location) (punched bool, err error) {
	seg, err := s.Pin(loc)
	if err != nil {
		return false, err
	}
	var r Reader
	if err := r.Open(seg, loc, BlockSize); err != nil {
		return false, err
	}
	defer r.Close()
	for off := int64(0); off < int64(loc.BodyLen); off += BlockSize {
		if _, err = r.Block(off); err != nil {
			break
		}
	}
	if err == nil {
		return false, r.padding()
	}
	if from, n := loc.Punchable(); n > 0 && errors.Is(err, ErrDamaged) {
		sc := scanner{seg: r.seg}
		zero, zerr := sc.zeros(from, from+n)
		if zerr == nil && zero {
			return true, nil
		}
	}
	return false, err
}

func (r *Reader) padding() error {
	end := r.loc.Offset + int64(r.loc.HeaderLen) + int64(r.loc.BodyLen)
	n := r.loc.End() - end
	if n == 0 {
		return nil
	}
	var b [alignment]byte
	if err := r.seg.readAt(b[:n], end); err != nil {
		return err
	}
	if !allZero(b[:n]) {
		return fmt.Errorf("padding behind the record at %d in segment %d: %w", r.loc.Offset, r.loc.Segment, ErrDamaged)
	}
	return nil
}

// Holds returns nil if a whole header of that seq lies at loc; seq 0 is any.
func (s *Set) Holds(loc Location, seq uint64) error {
	seg, err := s.Pin(loc)
	if err != nil {
		return err
	}
	var r Reader
	if err := r.Open(seg, loc, BlockSize); err != nil {
		return err
	}
	defer r.Close()
	if seq != 0 && r.header.Seq != seq {
		return fmt.Errorf("record at %d in segment %d: %w", loc.Offset, loc.Segment, ErrDamaged)
	}
	return nil
}

// Legible visits what looks like the headers of records in a hole, though their
// check fails.
func (s *Set) Legible(id uint64, h Hole, visit func(offset int64, incarnation uint64, key []byte)) error {
	seg := s.lookup(id)
	if seg == nil {
		return ErrGone
	}
	var head [fixedSize]byte
	for _, at := range []int64{h.Start, alignUp(h.Start, PageSize)} {
		if at+fixedSize > h.End {
			break
		}
		if err := seg.readAt(head[:], at); err != nil {
			return err
		}
		n := int64(binary.LittleEndian.Uint16(head[6:]))
		if n == 0 || n > 1100 || at+fixedSize+n > h.End {
			continue
		}
		key := make([]byte, n)
		if err := seg.readAt(key, at+fixedSize); err != nil {
			return err
		}
		visit(at, binary.LittleEndian.Uint64(head[24:]), key)
		return nil
	}
	return nil
}

// StoreOf returns the identity of the store that a segment file says it is of.
func StoreOf(fs disk.FS, name string) (store [16]byte, ok bool) {
	f, err := fs.Open(name)
	if err != nil {
		return store, false
	}
	defer func() { _ = f.Close() }()
	var head [firstRecord]byte
	if n, _ := f.ReadAt(head[:], 0); n < len(head) {
		return store, false
	}
	for i := range 2 {
		c := head[i*fileHeaderSize : (i+1)*fileHeaderSize]
		if [8]byte(c[:8]) == fileMagic && crc32.Checksum(c[:60], castagnoli) == binary.LittleEndian.Uint32(c[60:]) {
			return [16]byte(c[32:48]), true
		}
	}
	return store, false
}
