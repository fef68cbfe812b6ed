package segment

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"hash/crc32"
)

// Sizes of the format, in bytes.
const (
	BlockSize  = 64 << 10 // of a body, under one checksum
	PageSize   = 4 << 10  // large records start on a multiple of it
	packedSize = 16 << 10 // records up to it are packed, larger ones aligned to PageSize
	alignment  = 8        // of every record

	fileHeaderSize = 64                 // one of the two copies
	firstRecord    = 2 * fileHeaderSize // offset
	fixedSize      = 64                 // of a record's header
	macOffset      = 56

	// MaxHeader and MaxBody bound one record, so that a damaged length is not
	// believed.
	MaxHeader = 16 << 20
	MaxBody   = 17 << 20
)

const recordMagic = 0x4345524C // "LREC"

var (
	fileMagic  = [8]byte{'L', 'A', 'R', 'D', 'S', 'E', 'G', '1'}
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

// Kind says what a record is. Numbers are persisted: append only.
type Kind uint8

// The kinds of records.
const (
	Put       Kind = 1 // a key's new state, with its body or with references to it
	Delete    Kind = 2 // a key's absence
	Extent    Kind = 3 // a piece of a body, owned by the Put or part that commits it
	Directory Kind = 4 // lists the records before it in this segment
	Fence     Kind = 5 // says where another segment ends, and lists its last records
)

// Flags of a record.
const (
	// Chained marks a record that counts only together with the next one of the
	// same segment.
	Chained uint8 = 1 << 0
	// Last marks the directory that seals a segment.
	Last uint8 = 1 << 1
	// Closing marks the directory before it, so that one damaged byte does not
	// make a sealed segment look torn.
	Closing uint8 = 1 << 2
)

// Header is what a record says of itself.
type Header struct {
	Kind        Kind
	Flags       uint8
	Incarnation uint64 // of the bucket; 0 for the store's own records
	Seq         uint64 // drawn from the store-wide counter
	Stage       uint64 // ties the extents of one body to the record that commits it
	Base        int64  // where the segment's synced part ended when this was written
	Key         []byte
	Attrs       []byte

	HeaderLen uint32
	BodyLen   uint32
	sums      []byte // CRC32C of each block of the body, 4 bytes each
}

// Location is where a record lies.
type Location struct {
	Segment   uint64
	Offset    int64
	HeaderLen uint32
	BodyLen   uint32
}

// Size returns the bytes that the record takes, with the padding behind it.
func (l Location) Size() int64 { return alignUp(int64(l.HeaderLen)+int64(l.BodyLen), alignment) }

// End returns the offset behind the record.
func (l Location) End() int64 { return l.Offset + l.Size() }

// Punchable returns the range of whole pages inside the record's body, which a
// punched hole may take while the header stays. length is 0 if there is none.
func (l Location) Punchable() (offset, length int64) {
	offset = alignUp(l.Offset+int64(l.HeaderLen), PageSize)
	end := (l.Offset + int64(l.HeaderLen) + int64(l.BodyLen)) &^ (PageSize - 1)
	return offset, max(0, end-offset)
}

// Less orders locations by segment, then offset.
func (l Location) Less(o Location) bool {
	return l.Segment < o.Segment || l.Segment == o.Segment && l.Offset < o.Offset
}

func alignUp(n, to int64) int64 { return (n + to - 1) &^ (to - 1) }

// Blocks returns how many checksummed blocks a body of n bytes has.
func Blocks(n int) int { return (n + BlockSize - 1) / BlockSize }

// AppendSums appends the checksums of body's blocks to dst.
func AppendSums(dst, body []byte) []byte {
	for len(body) > 0 {
		n := min(len(body), BlockSize)
		dst = binary.LittleEndian.AppendUint32(dst, crc32.Checksum(body[:n], castagnoli))
		body = body[n:]
	}
	return dst
}

// verifyBlock reports whether block i of the body is what was written.
func (h *Header) verifyBlock(i int, block []byte) bool {
	return crc32.Checksum(block, castagnoli) == binary.LittleEndian.Uint32(h.sums[4*i:])
}

// place returns where a record of that size begins if the next free byte is at
// offset.
func place(offset, size int64) int64 {
	if size > packedSize {
		return alignUp(offset, PageSize)
	}
	return offset
}

// identity is what a segment's MACs depend on.
type identity struct {
	id   uint64
	salt [16]byte
}

// mac computes the first 8 bytes of SHA-256 over salt, segment, offset and the
// header without its MAC field. The salt is the key: it never leaves the disk,
// so nobody who uploads a body can make one that passes for a record.
func (s *identity) mac(scratch []byte, offset int64, header []byte) ([8]byte, []byte) {
	b := append(scratch[:0], s.salt[:]...)
	b = binary.LittleEndian.AppendUint64(b, s.id)
	b = binary.LittleEndian.AppendUint64(b, uint64(offset))
	b = append(b, header[:macOffset]...)
	b = append(b, header[fixedSize:]...)
	sum := sha256.Sum256(b)
	return [8]byte(sum[:8]), b
}

// appendHeader appends the encoded header of a record that lies at offset.
func (s *identity) appendHeader(dst, scratch []byte, h *Header, offset int64) (out, scratchOut []byte) {
	start := len(dst)
	dst = binary.LittleEndian.AppendUint32(dst, recordMagic)
	dst = append(dst, byte(h.Kind), h.Flags)
	dst = binary.LittleEndian.AppendUint16(dst, uint16(len(h.Key)))
	dst = binary.LittleEndian.AppendUint32(dst, h.HeaderLen)
	dst = binary.LittleEndian.AppendUint32(dst, h.BodyLen)
	dst = binary.LittleEndian.AppendUint64(dst, h.Seq)
	dst = binary.LittleEndian.AppendUint64(dst, h.Incarnation)
	dst = binary.LittleEndian.AppendUint64(dst, h.Stage)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(h.Base))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(h.Attrs)))
	dst = binary.LittleEndian.AppendUint32(dst, 0)
	dst = binary.LittleEndian.AppendUint64(dst, 0)
	dst = append(dst, h.Key...)
	dst = append(dst, h.Attrs...)
	dst = append(dst, h.sums...)
	mac, scratch := s.mac(scratch, offset, dst[start:])
	copy(dst[start+macOffset:], mac[:])
	return dst, scratch
}

// headerLength returns the length that an encoded header claims, 0 if b does
// not begin with a plausible header. b holds at least fixedSize bytes.
func headerLength(b []byte) int {
	if binary.LittleEndian.Uint32(b) != recordMagic {
		return 0
	}
	n := binary.LittleEndian.Uint32(b[8:])
	body := binary.LittleEndian.Uint32(b[12:])
	if n < fixedSize || n > MaxHeader || body > MaxBody {
		return 0
	}
	want := fixedSize + uint64(binary.LittleEndian.Uint16(b[6:])) + uint64(binary.LittleEndian.Uint32(b[48:])) + 4*uint64(Blocks(int(body)))
	if uint64(n) != want {
		return 0
	}
	return int(n)
}

// parseHeader decodes the whole header in b, which lies at offset. Its slices
// point into b. It is false if b is not a header written there.
func (s *identity) parseHeader(b, scratch []byte, offset int64) (h Header, scratchOut []byte, ok bool) {
	if len(b) < fixedSize || headerLength(b) != len(b) {
		return Header{}, scratch, false
	}
	mac, scratch := s.mac(scratch, offset, b)
	if !bytes.Equal(mac[:], b[macOffset:fixedSize]) {
		return Header{}, scratch, false
	}
	key := int(binary.LittleEndian.Uint16(b[6:]))
	attrs := int(binary.LittleEndian.Uint32(b[48:]))
	h = Header{
		Kind: Kind(b[4]), Flags: b[5],
		HeaderLen:   uint32(len(b)),
		BodyLen:     binary.LittleEndian.Uint32(b[12:]),
		Seq:         binary.LittleEndian.Uint64(b[16:]),
		Incarnation: binary.LittleEndian.Uint64(b[24:]),
		Stage:       binary.LittleEndian.Uint64(b[32:]),
		Base:        int64(binary.LittleEndian.Uint64(b[40:])),
		Key:         b[fixedSize : fixedSize+key],
		Attrs:       b[fixedSize+key : fixedSize+key+attrs],
		sums:        b[fixedSize+key+attrs:],
	}
	return h, scratch, true
}

// appendFileHeader appends both copies of a segment's header.
func (s *identity) appendFileHeader(dst []byte, store [16]byte) []byte {
	for range 2 {
		start := len(dst)
		dst = append(dst, fileMagic[:]...)
		dst = binary.LittleEndian.AppendUint64(dst, s.id)
		dst = append(dst, s.salt[:]...)
		dst = append(dst, store[:]...)
		dst = append(dst, make([]byte, 12)...)
		dst = binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
	}
	return dst
}

// parseFileHeader decodes a segment's header from its first firstRecord bytes.
// good counts the copies that are whole: 2, or fewer after damage.
func parseFileHeader(b []byte, id uint64, store [16]byte) (s identity, good int) {
	for i := range 2 {
		c := b[i*fileHeaderSize : (i+1)*fileHeaderSize]
		sum := binary.LittleEndian.Uint32(c[60:])
		if [8]byte(c[:8]) != fileMagic || crc32.Checksum(c[:60], castagnoli) != sum {
			continue
		}
		if binary.LittleEndian.Uint64(c[8:]) != id || [16]byte(c[32:48]) != store {
			continue
		}
		good++
		s = identity{id: id, salt: [16]byte(c[16:32])}
	}
	return s, good
}

// Precedes reports whether o lies directly behind l, with nothing between them
// but padding.
func (l Location) Precedes(o Location) bool {
	return l.Segment == o.Segment && place(l.End(), o.Size()) == o.Offset
}
