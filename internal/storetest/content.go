package storetest

import (
	"bytes"
	"crypto/md5" //nolint:gosec // ETags are MD5
	"fmt"
	"hash"
	"io"

	"github.com/larder-cache/larder/internal/object"
)

// Body is a Content of these bytes with an MD5 ETag and no checksum.
func Body(data []byte) object.Content { return NewContent(bytes.NewReader(data), object.NoChecksum) }

// NewContent makes a Content of what r yields, with an MD5 ETag and a checksum
// of that algorithm over the whole.
func NewContent(r io.Reader, algorithm object.Algorithm) object.Content {
	return &content{r: r, md5: md5.New(), algorithm: algorithm, check: algorithm.NewHash()} //nolint:gosec // see the import
}

// content hashes what it reads.
type content struct {
	r         io.Reader
	md5       hash.Hash
	algorithm object.Algorithm
	check     hash.Hash // nil without a checksum
	done      bool
}

func (c *content) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.md5.Write(p[:n])
	if c.check != nil {
		c.check.Write(p[:n])
	}
	c.done = err == io.EOF
	return n, err
}

// Digest panics before the end of the body, since a store that asks then would
// keep a digest of something else.
func (c *content) Digest() object.Digest {
	if !c.done {
		panic("storetest: Digest was called before Read returned io.EOF")
	}
	sum := c.md5.Sum(nil)
	d := object.Digest{ETag: object.ETag(fmt.Sprintf("%x", sum)), MD5: sum}
	if c.check != nil {
		d.Checksum = object.Checksum{Algorithm: c.algorithm, Value: c.check.Sum(nil)}
	}
	return d
}
