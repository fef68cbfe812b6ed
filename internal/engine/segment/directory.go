package segment

import "encoding/binary"

// Listed is one record as a directory names it.
type Listed struct {
	Kind        Kind
	Offset      int64
	Seq         uint64
	Incarnation uint64
	Key         []byte
}

// appendListed appends one entry of a directory.
func appendListed(dst []byte, h *Header, offset int64) []byte {
	dst = append(dst, byte(h.Kind))
	dst = binary.AppendUvarint(dst, uint64(offset))
	dst = binary.AppendUvarint(dst, h.Seq)
	dst = binary.AppendUvarint(dst, h.Incarnation)
	dst = binary.AppendUvarint(dst, uint64(len(h.Key)))
	return append(dst, h.Key...)
}

// ParseDirectory calls visit for each entry of a Directory's or Fence's
// attributes. end is where the listed segment ends (a Fence) or the directory's
// own offset; segment is the one that the entries lie in. It is false if attrs
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
		l.Offset, l.Seq, l.Incarnation = int64(next()), next(), next()
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
