package index

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/larder-cache/larder/internal/engine/segment"
)

// Shape says where a body lies.
type Shape uint8

// The shapes. Numbers are persisted: append only.
const (
	Inline  Shape = 0 // in the record itself
	Extents Shape = 1 // in the extents of the record's stage
	Parts   Shape = 2 // in the parts of an upload
)

// PartRef is a part as the object lists it that is made of it.
type PartRef struct {
	Number int
	Seq    uint64
	Size   int64
}

// Body is what the index knows of a body.
type Body struct {
	Shape  Shape
	Size   int64
	Upload UploadID  // of Parts
	Parts  []PartRef // of Parts
}

// AppendBody appends the encoding of b, the beginning of a put's attributes.
func AppendBody(dst []byte, b *Body) []byte {
	dst = append(dst, byte(b.Shape))
	dst = binary.AppendUvarint(dst, uint64(b.Size))
	if b.Shape != Parts {
		return dst
	}
	dst = append(dst, b.Upload[:]...)
	dst = binary.AppendUvarint(dst, uint64(len(b.Parts)))
	for _, p := range b.Parts {
		dst = binary.AppendUvarint(dst, uint64(p.Number))
		dst = binary.AppendUvarint(dst, p.Seq)
		dst = binary.AppendUvarint(dst, uint64(p.Size))
	}
	return dst
}

// ParseBody decodes the beginning of a put's attributes and returns the rest.
func ParseBody(attrs []byte) (b Body, rest []byte, ok bool) {
	if len(attrs) < 2 || attrs[0] > byte(Parts) {
		return b, nil, false
	}
	b.Shape = Shape(attrs[0])
	size, n := binary.Uvarint(attrs[1:])
	if n <= 0 {
		return b, nil, false
	}
	b.Size = int64(size)
	rest = attrs[1+n:]
	if b.Shape == Parts {
		return parseParts(b, rest)
	}
	return b, rest, true
}

func parseParts(b Body, rest []byte) (Body, []byte, bool) {
	if len(rest) < 16 {
		return b, nil, false
	}
	copy(b.Upload[:], rest)
	rest = rest[16:]
	ok := true
	next := func() uint64 {
		v, n := binary.Uvarint(rest)
		if n <= 0 {
			ok, n = false, len(rest)
		}
		rest = rest[n:]
		return v
	}
	count := next()
	if !ok || count > uint64(len(rest)) {
		return b, nil, false
	}
	b.Parts = make([]PartRef, 0, count)
	for range count {
		b.Parts = append(b.Parts, PartRef{Number: int(next()), Seq: next(), Size: int64(next())})
	}
	return b, rest, ok
}

const locationSize = 24

func appendLocation(dst []byte, l segment.Location) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, l.Segment)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(l.Offset))
	dst = binary.LittleEndian.AppendUint32(dst, l.HeaderLen)
	return binary.LittleEndian.AppendUint32(dst, l.BodyLen)
}

func parseLocation(b []byte) segment.Location {
	return segment.Location{
		Segment: binary.LittleEndian.Uint64(b), Offset: int64(binary.LittleEndian.Uint64(b[8:])),
		HeaderLen: binary.LittleEndian.Uint32(b[16:]), BodyLen: binary.LittleEndian.Uint32(b[20:]),
	}
}

// Entry is a key's current record.
type Entry struct {
	Seq   uint64
	Loc   segment.Location
	Stage uint64
	Attrs []byte
}

const entrySize = 8 + locationSize + 8

func appendEntry(dst []byte, e *Entry) []byte {
	dst = binary.LittleEndian.AppendUint64(slices.Grow(dst, entrySize+len(e.Attrs)), e.Seq)
	dst = appendLocation(dst, e.Loc)
	dst = binary.LittleEndian.AppendUint64(dst, e.Stage)
	return append(dst, e.Attrs...)
}

// parseEntry decodes v; Attrs points into it.
func parseEntry(v []byte) (Entry, error) {
	if len(v) < entrySize {
		return Entry{}, errShort("entry", v)
	}
	return Entry{
		Seq: binary.LittleEndian.Uint64(v), Loc: parseLocation(v[8:]),
		Stage: binary.LittleEndian.Uint64(v[8+locationSize:]), Attrs: v[entrySize:],
	}, nil
}

// Extent is one extent of a body, and whose it is.
type Extent struct {
	Number      uint32
	Loc         segment.Location
	Incarnation uint64
	Key         []byte
}

func appendExtent(dst []byte, e *Extent) []byte {
	dst = appendLocation(dst, e.Loc)
	dst = binary.LittleEndian.AppendUint64(dst, e.Incarnation)
	return append(dst, e.Key...)
}

func parseExtent(v []byte) (Extent, error) {
	if len(v) < locationSize+8 {
		return Extent{}, errShort("extent", v)
	}
	return Extent{Loc: parseLocation(v), Incarnation: binary.LittleEndian.Uint64(v[locationSize:]), Key: v[locationSize+8:]}, nil
}

// history is what segments still hold of a key that is dead.
type history struct {
	Seq      uint64           // of the tombstone, 0 if the key lives or has none
	Loc      segment.Location // of the tombstone
	Segments []uint64         // that hold dead records of the key, sorted
}

func (h *history) add(id uint64) {
	if i, found := slices.BinarySearch(h.Segments, id); !found {
		h.Segments = slices.Insert(h.Segments, i, id)
	}
}

func (h *history) remove(id uint64) {
	if i, found := slices.BinarySearch(h.Segments, id); found {
		h.Segments = slices.Delete(h.Segments, i, i+1)
	}
}

// needed reports whether the tombstone hides a record in another segment than
// its own. Only when it does not may compaction drop it.
func (h *history) needed() bool {
	return slices.ContainsFunc(h.Segments, func(id uint64) bool { return id != h.Loc.Segment })
}

func (h *history) append(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, h.Seq)
	dst = appendLocation(dst, h.Loc)
	for _, id := range h.Segments {
		dst = binary.AppendUvarint(dst, id)
	}
	return dst
}

func parseHistory(v []byte) (history, error) {
	if len(v) < 8+locationSize {
		return history{}, errShort("history", v)
	}
	h := history{Seq: binary.LittleEndian.Uint64(v), Loc: parseLocation(v[8:])}
	for v = v[8+locationSize:]; len(v) > 0; {
		id, n := binary.Uvarint(v)
		if n <= 0 {
			return history{}, errShort("history", v)
		}
		h.Segments = append(h.Segments, id)
		v = v[n:]
	}
	return h, nil
}

// Ledger is what a bucket holds.
type Ledger struct{ Objects, Bytes int64 }

// State is what the index knows of a segment.
type State struct {
	Applied int64 // replay continues here
	End     int64 // a fence says that the segment ends here; 0 if there is none
	Dead    int64 // bytes of records that nothing refers to
	Punched int64 // bytes of them that were given back
	Listed  int64 // directories list the records before it
	Sealed  bool  // never written again
	Doomed  bool  // all that lives was moved away durably: the file may go
}

const (
	stateSealed = 1 << 0
	stateDoomed = 1 << 1
)

func appendState(dst []byte, s *State) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, uint64(s.Applied))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(s.End))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(s.Dead))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(s.Punched))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(s.Listed))
	var flags byte
	if s.Sealed {
		flags |= stateSealed
	}
	if s.Doomed {
		flags |= stateDoomed
	}
	return append(dst, flags)
}

func parseState(v []byte) (State, error) {
	if len(v) != 41 {
		return State{}, errShort("segment state", v)
	}
	number := func(i int) int64 { return int64(binary.LittleEndian.Uint64(v[i:])) }
	return State{
		Applied: number(0), End: number(8), Dead: number(16), Punched: number(24), Listed: number(32),
		Sealed: v[40]&stateSealed != 0, Doomed: v[40]&stateDoomed != 0,
	}, nil
}

func errShort(what string, v []byte) error {
	return fmt.Errorf("%w: %s of %d bytes", ErrDamaged, what, len(v))
}
