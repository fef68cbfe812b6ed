package segment

import (
	"cmp"
	"encoding/binary"
	"slices"
)

// Listed is one record as a directory names it.
type Listed struct {
	Kind        Kind
	Offset      int64
	Size        int64 // with the padding behind it
	Seq         uint64
	Incarnation uint64
	Key         []byte
}

// appendListed appends one entry of a directory.
func appendListed(dst []byte, l *Listed) []byte {
	dst = append(dst, byte(l.Kind))
	dst = binary.AppendUvarint(dst, uint64(l.Offset))
	dst = binary.AppendUvarint(dst, uint64(l.Size))
	dst = binary.AppendUvarint(dst, l.Seq)
	dst = binary.AppendUvarint(dst, l.Incarnation)
	dst = binary.AppendUvarint(dst, uint64(len(l.Key)))
	return append(dst, l.Key...)
}

// List returns what a directory says of a record.
func List(h *Header, loc Location) Listed {
	return Listed{Kind: h.Kind, Offset: loc.Offset, Size: loc.Size(), Seq: h.Seq, Incarnation: h.Incarnation, Key: h.Key}
}

// Cover returns which of the listed records lay in a hole, and whether they are
// all that lay there: whole is false if a record may be missing from the lists.
func (h Hole) Cover(listed []Listed) (lost []Listed, whole bool) {
	if h.Seal {
		return nil, true
	}
	slices.SortFunc(listed, func(a, b Listed) int { return cmp.Compare(a.Offset, b.Offset) })
	pos := h.Start
	for _, l := range listed {
		if l.Offset < pos || l.Offset >= h.End { // outside, or listed twice
			continue
		}
		whole = pos == l.Offset || alignUp(pos, PageSize) == l.Offset
		lost = append(lost, l)
		if !whole {
			return lost, false
		}
		pos = l.Offset + l.Size
	}
	return lost, len(lost) > 0 && (pos == h.End || alignUp(pos, PageSize) == h.End)
}

// ParseDirectory calls visit for each entry of a Directory's or Fence's
// attributes. end is where the listed segment ends (a Fence), or the part of it that
// is listed so far; segment is the one that the entries lie in. It is false if attrs
// are malformed.
func ParseDirectory(attrs []byte, visit func(Listed)) (segment uint64, end int64, ok bool) {
	next := func() uint64 {
		v, n := binary.Uvarint(attrs)
		if n <= 0 {
			attrs, ok = nil, false
			return 0
		}
		attrs = attrs[n:]
		return v
	}
	ok = true
	segment, end = next(), int64(next())
	for ok && len(attrs) > 0 {
		l := Listed{Kind: Kind(attrs[0])}
		attrs = attrs[1:]
		l.Offset, l.Size, l.Seq, l.Incarnation = int64(next()), int64(next()), next(), next()
		n := next()
		if !ok || n > uint64(len(attrs)) {
			return 0, 0, false
		}
		l.Key, attrs = attrs[:n], attrs[n:]
		visit(l)
	}
	return segment, end, ok
}

// directoryAttrs makes the attributes of a directory or a fence.
func directoryAttrs(segment uint64, end int64, listed []byte) []byte {
	b := binary.AppendUvarint(nil, segment)
	b = binary.AppendUvarint(b, uint64(end))
	return append(b, listed...)
}
