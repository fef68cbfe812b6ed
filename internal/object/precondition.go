package object

import (
	"slices"
	"time"

	"github.com/larder-cache/larder/internal/fault"
)

// AnyETag matches every existing object in a Precondition.
const AnyETag ETag = "*"

// Precondition is what a caller demands of the current version. The zero value
// demands nothing.
type Precondition struct {
	IfMatch           []ETag // the current ETag is one of these; AnyETag: it exists
	IfNoneMatch       []ETag // the current ETag is none of these; AnyETag: it does not exist
	IfModifiedSince   time.Time
	IfUnmodifiedSince time.Time
}

// Empty reports whether nothing is demanded.
func (p *Precondition) Empty() bool {
	return len(p.IfMatch) == 0 && len(p.IfNoneMatch) == 0 && p.IfModifiedSince.IsZero() && p.IfUnmodifiedSince.IsZero()
}

// CheckRead evaluates p for GET, HEAD or a copy source, in the order of RFC
// 9110 section 13.2.2. It returns nil, fault.Precondition or fault.NotModified.
func (p *Precondition) CheckRead(info *Info) error {
	modified := info.Modified.Truncate(time.Second) // HTTP dates have no fractions
	switch {
	case len(p.IfMatch) > 0:
		if !matches(p.IfMatch, info.Digest.ETag) {
			return fault.New(fault.Precondition, fault.Object, "If-Match")
		}
	case !p.IfUnmodifiedSince.IsZero() && modified.After(p.IfUnmodifiedSince):
		return fault.New(fault.Precondition, fault.Object, "If-Unmodified-Since")
	}
	switch {
	case len(p.IfNoneMatch) > 0:
		if matches(p.IfNoneMatch, info.Digest.ETag) {
			return fault.New(fault.NotModified, fault.Object, "If-None-Match")
		}
	case !p.IfModifiedSince.IsZero() && !modified.After(p.IfModifiedSince):
		return fault.New(fault.NotModified, fault.Object, "If-Modified-Since")
	}
	return nil
}

// CheckWrite evaluates p for a write over current, nil if there is none. A store
// calls it while it holds the key, so that the answer is still true at commit.
// If-Match on an absent key is fault.NotFound, as on S3.
func (p *Precondition) CheckWrite(key Key, current *Info) error {
	if len(p.IfMatch) > 0 {
		if current == nil {
			return fault.Missing(fault.Object, string(key))
		}
		if !matches(p.IfMatch, current.Digest.ETag) {
			return fault.New(fault.Precondition, fault.Object, "If-Match")
		}
	}
	if len(p.IfNoneMatch) > 0 && current != nil && matches(p.IfNoneMatch, current.Digest.ETag) {
		return fault.New(fault.Precondition, fault.Object, "If-None-Match")
	}
	return nil
}

func matches(tags []ETag, current ETag) bool {
	return slices.Contains(tags, current) || slices.Contains(tags, AnyETag)
}
