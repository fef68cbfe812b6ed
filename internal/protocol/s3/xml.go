package s3

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/larder-cache/larder/internal/object"
	"github.com/larder-cache/larder/internal/protocol/edge"
)

// document is an XML document while it is written. It is written by hand because
// encoding/xml takes 1.5 ms for a page of 1,000 keys.
type document struct {
	b []byte

	// foreign is set when a text held a character that XML 1.0 cannot express;
	// U+FFFD stands in its place.
	foreign bool
}

const declaration = `<?xml version="1.0" encoding="UTF-8"?>` + "\n"

const namespace = "http://s3.amazonaws.com/doc/2006-03-01/"

var xmlType = []string{"application/xml"}

// newDocument returns a document with its declaration and the room for size
// bytes.
func newDocument(size int) *document {
	d := &document{}
	if size >= pooledSize {
		d = pages.Get().(*document) //nolint:errcheck,forcetypeassert // the pool makes nothing else
		d.foreign = false
	}
	d.b = append(slices.Grow(d.b[:0], size), declaration...)
	return d
}

// pages are the documents that are used again: listings, since a page of 1,000
// keys is 300 KiB, and clearing that for each costs as much as filling it; and
// errors, since most of what a cold cache is asked for is not there.
var pages = sync.Pool{New: func() any { return &document{} }}

// The sizes in bytes of buffers that are kept for the next document.
const (
	pooledSize = 16 << 10
	pooledMax  = 4 << 20
)

// release gives the document away. The document is not used afterwards.
func (d *document) release() {
	if c := cap(d.b); c >= pooledSize && c <= pooledMax {
		pages.Put(d)
	}
}

// root opens the root element in S3's namespace.
func (d *document) root(name string) {
	d.b = append(append(append(d.b, '<'), name...), ` xmlns="`+namespace+`">`...)
}

// raw writes XML as it is.
func (d *document) raw(xml string) { d.b = append(d.b, xml...) }

func (d *document) open(name string) {
	d.b = append(append(append(d.b, '<'), name...), '>')
}

func (d *document) close(name string) {
	d.b = append(append(append(d.b, '<', '/'), name...), '>')
}

// text writes an element that holds a text.
func (d *document) text(name, value string) {
	d.open(name)
	d.escape(value)
	d.close(name)
}

// optional writes an element unless its text is empty.
func (d *document) optional(name, value string) {
	if value != "" {
		d.text(name, value)
	}
}

func (d *document) number(name string, value int64) {
	d.open(name)
	d.b = strconv.AppendInt(d.b, value, 10)
	d.close(name)
}

func (d *document) bool(name string, value bool) {
	d.open(name)
	d.b = strconv.AppendBool(d.b, value)
	d.close(name)
}

// time writes a time as S3 does: UTC with milliseconds.
func (d *document) time(name string, t time.Time) {
	d.open(name)
	d.b = appendTime(d.b, t)
	d.close(name)
}

// etag writes an entity tag with its quotes.
func (d *document) etag(tag object.ETag) {
	const name = "ETag"
	d.open(name)
	d.b = append(d.b, "&#34;"...)
	d.escape(string(tag))
	d.b = append(d.b, "&#34;"...)
	d.close(name)
}

// appendTime is t.Format("2006-01-02T15:04:05.000Z") in a fifth of the time.
func appendTime(b []byte, t time.Time) []byte {
	t = t.UTC()
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	b = appendDigits(b, year, 4)
	b = appendDigits(append(b, '-'), int(month), 2)
	b = appendDigits(append(b, '-'), day, 2)
	b = appendDigits(append(b, 'T'), hour, 2)
	b = appendDigits(append(b, ':'), minute, 2)
	b = appendDigits(append(b, ':'), second, 2)
	b = appendDigits(append(b, '.'), t.Nanosecond()/1e6, 3)
	return append(b, 'Z')
}

// appendDigits appends n with that many digits, at most 4.
func appendDigits(b []byte, n, width int) []byte {
	for unit := [...]int{1, 10, 100, 1000}[width-1]; unit > 0; unit /= 10 {
		b = append(b, byte('0'+n/unit%10))
	}
	return b
}

// escape appends text so that an XML parser reads back the same text: white space
// other than the blank is written as a reference, which no parser normalises.
func (d *document) escape(s string) {
	start := 0
	for i := range len(s) {
		if !special[s[i]] {
			continue
		}
		reference, length := d.reference(s[i:])
		if length > 0 {
			d.b = append(append(d.b, s[start:i]...), reference...)
			start = i + length
		}
	}
	d.b = append(d.b, s[start:]...)
}

// special are the bytes that may not stand as they are: 0xEF begins U+FFFE.
var special = [256]bool{
	0x00: true, 0x01: true, 0x02: true, 0x03: true, 0x04: true, 0x05: true, 0x06: true, 0x07: true,
	0x08: true, 0x09: true, 0x0A: true, 0x0B: true, 0x0C: true, 0x0D: true, 0x0E: true, 0x0F: true,
	0x10: true, 0x11: true, 0x12: true, 0x13: true, 0x14: true, 0x15: true, 0x16: true, 0x17: true,
	0x18: true, 0x19: true, 0x1A: true, 0x1B: true, 0x1C: true, 0x1D: true, 0x1E: true, 0x1F: true,
	'&': true, '<': true, '>': true, '"': true, 0xEF: true,
}

// reference returns what stands for the first character of s, and its length in
// bytes, 0 if it may stand as it is.
func (d *document) reference(s string) (string, int) {
	switch s[0] {
	case '&':
		return "&amp;", 1
	case '<':
		return "&lt;", 1
	case '>':
		return "&gt;", 1
	case '"':
		return "&#34;", 1
	case '\t':
		return "&#x9;", 1
	case '\n':
		return "&#xA;", 1
	case '\r':
		return "&#xD;", 1
	}
	if r, length := utf8.DecodeRuneInString(s); !inXML(r) {
		d.foreign = true
		return "\uFFFD", length
	}
	return "", 0
}

// inXML reports whether XML 1.0 can hold the character.
//
// Source: Extensible Markup Language 1.0, production 2, Char.
func inXML(r rune) bool {
	return r >= 0x20 && r <= 0xD7FF || r == '\t' || r == '\n' || r == '\r' ||
		r >= 0xE000 && r <= 0xFFFD || r >= 0x10000
}

// plain reports whether XML can hold all of s.
func plain(s string) bool { return strings.IndexFunc(s, func(r rune) bool { return !inXML(r) }) < 0 }

// send answers 200 with the document and releases it.
func (d *document) send(w *edge.Writer) error { return d.sendStatus(w, http.StatusOK) }

func (d *document) sendStatus(w *edge.Writer, status int) error {
	h := w.Header()
	h["Content-Type"] = xmlType
	h["Content-Length"] = []string{strconv.Itoa(len(d.b))}
	w.WriteHeader(status)
	_, err := w.Write(d.b)
	d.release()
	return err
}
