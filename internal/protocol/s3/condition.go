package s3

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/larder-cache/larder/internal/object"
)

// readCondition parses the four conditional headers of a read. A date that is
// none is ignored, as RFC 9110 section 13.1.3 demands.
func (r *request) readCondition(prefix string) object.Precondition {
	return object.Precondition{
		IfMatch:           parseETags(r.header(prefix + "If-Match")),
		IfNoneMatch:       parseETags(r.header(prefix + "If-None-Match")),
		IfModifiedSince:   r.date(prefix + "If-Modified-Since"),
		IfUnmodifiedSince: r.date(prefix + "If-Unmodified-Since"),
	}
}

// writeCondition parses the two conditional headers of a write. S3 offers
// If-None-Match only as "*".
func (r *request) writeCondition() (object.Precondition, error) {
	p := object.Precondition{
		IfMatch:     parseETags(r.header("If-Match")),
		IfNoneMatch: parseETags(r.header("If-None-Match")),
	}
	if len(p.IfNoneMatch) > 0 && (len(p.IfNoneMatch) > 1 || p.IfNoneMatch[0] != object.AnyETag) {
		return p, notOffered("If-None-Match of a write other than *")
	}
	return p, nil
}

func (r *request) date(name string) time.Time {
	text := r.header(name)
	if text == "" {
		return time.Time{}
	}
	t, err := http.ParseTime(text)
	if err != nil {
		return time.Time{}
	}
	return t
}

// parseETags parses a list of entity tags, with or without quotes. The empty tag
// in quotes is one, which nothing matches: it must not be taken for no condition.
func parseETags(list string) []object.ETag {
	if list == "" {
		return nil
	}
	var tags []object.ETag
	for tag := range strings.SplitSeq(list, ",") {
		if tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/"); tag != "" {
			tags = append(tags, object.ETag(strings.Trim(tag, `"`)))
		}
	}
	return tags
}

// parseRange parses a Range header. nil means the whole body: there is none, it
// is malformed, or it asks for several ranges, which S3 does not offer either.
//
// Source: RFC 9110, section 14.
func parseRange(header string) *object.Range {
	spec, ok := strings.CutPrefix(header, "bytes=")
	if !ok || strings.IndexByte(spec, ',') >= 0 {
		return nil
	}
	first, last, ok := strings.Cut(strings.TrimSpace(spec), "-")
	if !ok {
		return nil
	}
	if first == "" {
		n, ok := parseOffset(last)
		switch {
		case !ok:
			return nil
		case n == 0:
			return &object.Range{First: math.MaxInt64, Last: -1} // satisfied by no body
		}
		return &object.Range{Suffix: n}
	}
	a, ok := parseOffset(first)
	if !ok {
		return nil
	}
	if last == "" {
		return &object.Range{First: a, Last: -1}
	}
	b, ok := parseOffset(last)
	if !ok || b < a {
		return nil
	}
	return &object.Range{First: a, Last: b}
}

// parseOffset parses digits; a number beyond int64 is its greatest.
func parseOffset(s string) (int64, bool) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return math.MaxInt64, true
	}
	return n, true
}
