package s3

import (
	"bytes"
	"crypto/md5" //nolint:gosec // Content-MD5 and ETags are MD5
	"encoding/hex"
	"errors"
	"hash"
	"io"

	"github.com/zeebo/xxh3"

	"github.com/larder-cache/larder/internal/object"
	"github.com/larder-cache/larder/internal/protocol/edge"
)

// content is a body on its way into the store: it computes the digest while it
// is read and, in place of io.EOF, refuses a body that is not what its sender
// promised. It implements object.Content.
type content struct {
	r       io.Reader
	trailer func(name string) string // nil if there is none
	demand  demand
	length  int64 // promised, -1 if none was

	md5   hash.Hash    // nil where nobody asks for it
	quick *xxh3.Hasher // of a cache bucket's ETag; nil in others
	sum   hash.Hash

	size   int64
	digest object.Digest
	err    error // sticky
}

// newContent returns the content of r for a bucket of that configuration.
func newContent(r io.Reader, length int64, d demand, cache bool) *content {
	if d.algorithm == object.NoChecksum {
		d.algorithm = object.CRC64NVME // as S3 does
	}
	c := &content{r: r, length: length, demand: d, sum: d.algorithm.NewHash()}
	if cache {
		c.quick = xxh3.New()
	}
	if !cache || d.md5 != nil {
		c.md5 = md5.New() //nolint:gosec // see the import
	}
	return c
}

// bodyContent returns the content of a call's body.
func bodyContent(call *edge.Call, d demand, cache bool) *content {
	c := newContent(call.Body, call.Length, d, cache)
	c.trailer = call.Trailer
	return c
}

// Read implements io.Reader.
func (c *content) Read(p []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	n, err := c.r.Read(p)
	c.size += int64(n)
	c.sum.Write(p[:n])
	if c.md5 != nil {
		c.md5.Write(p[:n])
	}
	if c.quick != nil {
		_, _ = c.quick.Write(p[:n]) // never fails
	}
	if errors.Is(err, io.EOF) {
		err = c.finish()
	}
	c.err = err
	return n, err
}

// finish holds the digest against the promises. It returns io.EOF if they are kept.
func (c *content) finish() error {
	if c.length >= 0 && c.size != c.length {
		return &Error{Code: IncompleteBody}
	}
	d := &c.digest
	if c.md5 != nil {
		d.MD5 = c.md5.Sum(nil)
		d.ETag = object.ETag(hex.EncodeToString(d.MD5))
		if c.demand.md5 != nil && !bytes.Equal(c.demand.md5, d.MD5) {
			return &Error{Code: BadDigest, Message: "The Content-MD5 you specified did not match what we received."}
		}
	}
	if c.quick != nil {
		sum := c.quick.Sum128().Bytes()
		d.ETag = object.ETag(hex.EncodeToString(sum[:]) + "-1")
		d.MD5 = nil // a part of an object whose tag is not MD5
	}
	d.Checksum = object.Checksum{Algorithm: c.demand.algorithm, Value: c.sum.Sum(nil)}
	return c.compare()
}

// compare holds the checksum against the one in header or trailer.
func (c *content) compare() error {
	want := c.demand.value
	if c.demand.trailer != "" {
		text := ""
		if c.trailer != nil {
			text = c.trailer(c.demand.trailer)
		}
		sum, err := parseChecksum(algorithms[c.demand.algorithm].name, text)
		if err != nil {
			return err
		}
		want = sum.Value
	}
	if want != nil && !bytes.Equal(want, c.digest.Checksum.Value) {
		return &Error{Code: BadDigest, Message: "The " + algorithms[c.demand.algorithm].name + " you specified did not match the calculated checksum."}
	}
	return io.EOF
}

// Digest implements object.Content.
func (c *content) Digest() object.Digest { return c.digest }
