package local

import (
	"encoding/binary"
	"encoding/hex"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/larder-cache/larder/internal/engine/index"
	"github.com/larder-cache/larder/internal/object"
)

const attrsFormat = 1

const (
	etagText = iota
	etagMD5
	etagParts
)

// appendInfo appends what is known of an object behind its body's description.
func appendInfo(dst []byte, info *object.Info) []byte {
	dst = append(dst, attrsFormat)
	dst = binary.AppendUvarint(dst, uint64(info.Version))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(info.Modified.UnixNano()))
	dst, sum := appendETag(dst, info.Digest.ETag)
	switch {
	case len(info.Digest.MD5) != 16:
		dst = append(dst, 0)
	case sum != nil && string(sum) == string(info.Digest.MD5):
		dst = append(dst, 1)
	default:
		dst = append(append(dst, 2), info.Digest.MD5...)
	}
	c := &info.Digest.Checksum
	dst = append(dst, byte(c.Algorithm))
	if c.Algorithm != object.NoChecksum {
		var composite byte
		if c.Composite {
			composite = 1
		}
		dst = append(dst, composite)
		dst = binary.AppendUvarint(dst, uint64(c.Parts))
		dst = appendText(dst, string(c.Value))
	}
	dst = binary.AppendUvarint(dst, uint64(info.Parts))
	return appendMeta(dst, info)
}

func appendMeta(dst []byte, info *object.Info) []byte {
	m := &info.Meta
	for _, s := range [...]string{
		m.ContentType, m.ContentEncoding, m.ContentDisposition, m.ContentLanguage, m.CacheControl, m.Expires, m.StorageClass,
	} {
		dst = appendText(dst, s)
	}
	dst = binary.AppendUvarint(dst, uint64(len(m.User)))
	for _, name := range slices.Sorted(maps.Keys(m.User)) {
		dst = appendText(appendText(dst, name), m.User[name])
	}
	dst = binary.AppendUvarint(dst, uint64(len(info.Tags)))
	for _, t := range info.Tags {
		dst = appendText(appendText(dst, t.Key), t.Value)
	}
	return dst
}

func appendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// appendETag appends the tag in its shortest form and returns the 16 bytes in it.
func appendETag(dst []byte, tag object.ETag) (out, sum []byte) {
	digits, parts, multipart := strings.Cut(string(tag), "-")
	if len(digits) == 32 && digits == strings.ToLower(digits) {
		if b, err := hex.DecodeString(digits); err == nil {
			if !multipart {
				return append(append(dst, etagMD5), b...), b
			}
			if n, err := strconv.ParseUint(parts, 10, 32); err == nil && strconv.FormatUint(n, 10) == parts {
				return binary.AppendUvarint(append(append(dst, etagParts), b...), n), b
			}
		}
	}
	return appendText(append(dst, etagText), string(tag)), nil
}

// decoder reads attributes. After a fault it yields zeros and bad is set.
type decoder struct {
	b    []byte
	bad  bool
	page *[]byte // memory to share, nil for none
}

func (d *decoder) take(n uint64) []byte {
	if n > uint64(len(d.b)) {
		d.b, d.bad = nil, true
		return nil
	}
	v := d.b[:n]
	d.b = d.b[n:]
	return v
}

func (d *decoder) byte() byte {
	if v := d.take(1); v != nil {
		return v[0]
	}
	return 0
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.b, d.bad = nil, true
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) text() string { return string(d.take(d.uvarint())) }

// name is text that repeats from object to object.
func (d *decoder) name() string {
	switch b := d.take(d.uvarint()); string(b) {
	case "":
		return ""
	case "application/octet-stream":
		return "application/octet-stream"
	case "binary/octet-stream":
		return "binary/octet-stream"
	default:
		return string(b)
	}
}

// parseInfo decodes an entry of the index. short leaves out user metadata and
// tags.
func parseInfo(bucket object.BucketName, key object.Key, e *index.Entry, short bool) (object.Info, index.Body, error) {
	var d decoder
	info, body := d.info(e, nil, short)
	info.Bucket, info.Key = bucket, key
	if d.bad {
		return info, body, errAttrs(bucket, key)
	}
	return info, body, nil
}

// parseListed is parseInfo for one of many entries: key and ETag share one piece
// of memory, and MD5s the memory of the page.
func parseListed(bucket object.BucketName, key []byte, e *index.Entry, page *[]byte) (object.Info, error) {
	d := decoder{page: page}
	info, _ := d.info(e, key, true)
	info.Bucket = bucket
	if d.bad {
		return info, errAttrs(bucket, object.Key(key))
	}
	return info, nil
}

// info decodes an entry. If key is given, it becomes the Info's.
func (d *decoder) info(e *index.Entry, key []byte, short bool) (object.Info, index.Body) {
	body, rest, ok := index.ParseBody(e.Attrs)
	d.b, d.bad = rest, !ok
	if format := d.byte(); format != attrsFormat {
		d.bad = true
	}
	info := object.Info{Size: body.Size, Version: object.Version(d.uvarint())}
	if t := d.take(8); t != nil {
		info.Modified = time.Unix(0, int64(binary.LittleEndian.Uint64(t))).UTC()
	}
	info.Key = d.digest(&info.Digest, key)
	info.Parts = int(d.uvarint())
	m := &info.Meta
	m.ContentType = d.name()
	for _, s := range [...]*string{
		&m.ContentEncoding, &m.ContentDisposition, &m.ContentLanguage, &m.CacheControl, &m.Expires, &m.StorageClass,
	} {
		*s = d.text()
	}
	if !short {
		d.pairs(&info)
	}
	return info, body
}

// digest decodes a digest. The key's and the ETag's text are made in one piece.
func (d *decoder) digest(g *object.Digest, key []byte) object.Key {
	var stack [256]byte
	text := append(stack[:0], key...)
	var sum []byte
	switch form := d.byte(); form {
	case etagText:
		text = append(text, d.take(d.uvarint())...)
	case etagMD5, etagParts:
		sum = d.take(16)
		text = hex.AppendEncode(text, sum)
		if form == etagParts {
			text = strconv.AppendUint(append(text, '-'), d.uvarint(), 10)
		}
	default:
		d.bad = true
	}
	both := string(text)
	g.ETag = object.ETag(both[len(key):])
	switch d.byte() {
	case 1:
		g.MD5 = d.keep(sum)
	case 2:
		g.MD5 = d.keep(d.take(16))
	}
	if g.Checksum.Algorithm = object.Algorithm(d.byte()); g.Checksum.Algorithm != object.NoChecksum {
		g.Checksum.Composite = d.byte() != 0
		g.Checksum.Parts = int(d.uvarint())
		g.Checksum.Value = d.keep(d.take(d.uvarint()))
	}
	return object.Key(both[:len(key)])
}

// keep copies bytes that outlive the entry, in the page's memory if it has some.
func (d *decoder) keep(b []byte) []byte {
	if d.page == nil {
		return slices.Clone(b)
	}
	if cap(*d.page)-len(*d.page) < len(b) {
		*d.page = make([]byte, 0, pageMemory)
	}
	n := len(*d.page)
	*d.page = append(*d.page, b...)
	return (*d.page)[n:len(*d.page):len(*d.page)]
}

// pageMemory is how much memory for digests a page takes at once.
const pageMemory = 4 << 10

func (d *decoder) pairs(info *object.Info) {
	if n := d.uvarint(); n > 0 && n <= uint64(len(d.b)) {
		info.Meta.User = make(map[string]string, n)
		for range n {
			name := d.text()
			info.Meta.User[name] = d.text()
		}
	}
	if n := d.uvarint(); n > 0 && n <= uint64(len(d.b)) {
		info.Tags = make([]object.Tag, 0, n)
		for range n {
			info.Tags = append(info.Tags, object.Tag{Key: d.text(), Value: d.text()})
		}
	}
}
