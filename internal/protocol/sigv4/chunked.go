package sigv4

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
)

const trailerSignature = "x-amz-trailer-signature"

// chunkReader decodes an aws-chunked body.
type chunkReader struct {
	src   *bufio.Reader
	left  int64  // decoded bytes that the chunks still to come hold
	max   int    // bytes of a signed chunk
	chain *chain // nil: chunks are not signed

	buf  *[]byte // pooled: the verified chunk
	off  int     // bytes of *buf delivered
	open int64   // bytes still to come of an unsigned chunk
	done bool    // everything was read and verified

	trailers  bool     // trailing headers may follow
	announced []string // their names
	trailer   http.Header
}

var chunkBuffers = sync.Pool{New: func() any { b := make([]byte, 0, 64<<10); return &b }}

// maxPooled keeps rare large chunks out of the pool.
const maxPooled = 256 << 10

func (c *chunkReader) release() {
	if c.buf != nil && cap(*c.buf) <= maxPooled {
		*c.buf = (*c.buf)[:0]
		chunkBuffers.Put(c.buf)
	}
	c.buf = nil
}

// read delivers decoded bytes. With the last of them everything behind them is
// verified already.
func (c *chunkReader) read(p []byte) (n int, err error) {
	defer func() {
		if err != nil {
			c.release()
		}
	}()
	for {
		switch {
		case c.buf != nil && c.off < len(*c.buf):
			n = copy(p, (*c.buf)[c.off:])
			c.off += n
			return n, nil
		case c.open > 0:
			return c.readOpen(p)
		case c.done:
			return 0, io.EOF
		}
		if err := c.nextChunk(); err != nil {
			return 0, err
		}
	}
}

// readOpen delivers bytes of an unsigned chunk as they arrive.
func (c *chunkReader) readOpen(p []byte) (int, error) {
	if int64(len(p)) > c.open {
		p = p[:c.open]
	}
	n, err := c.src.Read(p)
	c.open -= int64(n)
	if err != nil {
		return 0, cut(err)
	}
	if c.open > 0 {
		return n, nil
	}
	if err := c.endOfChunk(); err != nil {
		return 0, err
	}
	if c.left == 0 && !c.done { // the end comes before the last bytes leave
		if err := c.nextChunk(); err != nil {
			return 0, err
		}
	}
	return n, nil
}

// nextChunk reads a chunk's line and, if chunks are signed, its verified content.
func (c *chunkReader) nextChunk() error {
	size, signature, err := c.readLine()
	if err != nil {
		return err
	}
	if size > c.left {
		return fail(IncompleteBody, "The body holds more bytes than x-amz-decoded-content-length says")
	}
	if size == 0 && c.left > 0 {
		return fail(IncompleteBody, "The body holds fewer bytes than x-amz-decoded-content-length says")
	}
	c.left -= size
	switch {
	case c.chain != nil:
		if err := c.readSigned(size, signature); err != nil {
			return err
		}
	case size > 0:
		c.open = size
		return nil
	}
	if size == 0 {
		return c.end()
	}
	if c.left == 0 {
		return c.nextChunk() // must be the last one: any content exceeds c.left
	}
	return nil
}

// readLine reads "hex-size[;chunk-signature=hex]".
func (c *chunkReader) readLine() (size int64, signature [sha256.Size]byte, err error) {
	line, err := c.line(maxChunkLine)
	if err != nil {
		return 0, signature, err
	}
	digits, extension, _ := bytes.Cut(line, []byte(";"))
	n, err := strconv.ParseUint(string(digits), 16, 63)
	if err != nil || len(digits) > 16 {
		return 0, signature, fail(MalformedChunk, "A chunk does not start with its size")
	}
	if c.chain == nil {
		return int64(n), signature, nil
	}
	if int64(n) > int64(c.max) {
		return 0, signature, fail(MalformedChunk, "A signed chunk is larger than "+strconv.Itoa(c.max)+" bytes")
	}
	value, ok := bytes.CutPrefix(extension, []byte("chunk-signature="))
	if !ok || len(value) != 2*sha256.Size {
		return 0, signature, fail(SignatureDoesNotMatch, "A chunk is not signed")
	}
	if _, err := hex.Decode(signature[:], value); err != nil {
		return 0, signature, fail(SignatureDoesNotMatch, "The signature of a chunk is not hexadecimal")
	}
	return int64(n), signature, nil
}

// readSigned reads and verifies the content of a signed chunk. Memory grows as
// bytes arrive, not with what the chunk's line promises.
func (c *chunkReader) readSigned(size int64, signature [sha256.Size]byte) error {
	if size > 0 {
		if c.buf == nil {
			c.buf = chunkBuffers.Get().(*[]byte) //nolint:errcheck,forcetypeassert // the pool makes nothing else
		}
		*c.buf, c.off = (*c.buf)[:0], 0
		for int64(len(*c.buf)) < size {
			b := slices.Grow(*c.buf, int(min(size-int64(len(*c.buf)), 64<<10)))
			n, err := io.ReadFull(c.src, b[len(b):min(int64(cap(b)), size)])
			*c.buf = b[:len(b)+n]
			if err != nil {
				return c.discard(cut(err))
			}
		}
		if err := c.endOfChunk(); err != nil {
			return c.discard(err)
		}
	}
	sum := emptyHash
	if size > 0 {
		sum = sha256.Sum256(*c.buf)
	}
	if want := c.chain.next("-PAYLOAD", &sum); subtle.ConstantTimeCompare(want[:], signature[:]) != 1 {
		return c.discard(fail(SignatureDoesNotMatch, "The signature of a chunk does not match its content"))
	}
	return nil
}

// discard makes sure that unverified bytes are never delivered.
func (c *chunkReader) discard(err error) error {
	if c.buf != nil {
		*c.buf, c.off = (*c.buf)[:0], 0
	}
	return err
}

// endOfChunk reads the CRLF behind a chunk's content.
func (c *chunkReader) endOfChunk() error {
	line, err := c.line(2)
	if err == nil && len(line) > 0 {
		err = fail(MalformedChunk, "A chunk is longer than its size says")
	}
	return err
}

// line reads to the next newline, at most limit bytes, and returns the line
// without its end. It is valid until the next read.
func (c *chunkReader) line(limit int) ([]byte, error) {
	line, err := c.src.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull) || len(line) > limit:
		return nil, fail(MalformedChunk, "A line between chunks is too long")
	case err != nil:
		return nil, cut(err)
	}
	return trim(line), nil
}

// end reads everything behind the last chunk: trailing headers and blank lines.
func (c *chunkReader) end() error {
	rest, err := io.ReadAll(io.LimitReader(c.src, maxTrailerBytes+1))
	if err != nil {
		return cut(err)
	}
	if len(rest) > maxTrailerBytes {
		return fail(MalformedTrailer, "The trailing headers are too long")
	}
	signature, canonical, err := c.parseTrailers(rest)
	if err != nil {
		return err
	}
	for _, name := range c.announced {
		if len(c.trailer.Values(name)) == 0 {
			return fail(MalformedTrailer, "The trailing header "+name+" is announced and did not arrive")
		}
	}
	if c.chain != nil && c.trailers {
		sum := sha256.Sum256(canonical)
		want := c.chain.next("-TRAILER", &sum)
		if subtle.ConstantTimeCompare(hex.AppendEncode(nil, want[:]), []byte(signature)) != 1 {
			return fail(SignatureDoesNotMatch, "The signature of the trailing headers does not match them")
		}
	}
	c.done = true
	return nil
}

// parseTrailers reads "name:value" lines; blank ones are skipped, since SDKs
// differ in how many they send. canonical is what a trailer's signature covers.
func (c *chunkReader) parseTrailers(rest []byte) (signature string, canonical []byte, err error) {
	for line := range bytes.Lines(rest) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			continue
		}
		before, after, ok := bytes.Cut(line, []byte(":"))
		name, value := strings.ToLower(string(bytes.TrimSpace(before))), string(bytes.TrimSpace(after))
		switch {
		case !ok || !c.trailers || signature != "":
			return "", nil, fail(MalformedTrailer, "The request contained trailing data that was not well-formed or did not conform to our published schema.")
		case name == trailerSignature && c.chain != nil:
			signature = value
		case !slices.Contains(c.announced, name) || len(c.trailer.Values(name)) > 0:
			return "", nil, fail(MalformedTrailer, "A trailing header is there twice or is not announced by x-amz-trailer")
		default:
			c.trailer.Set(name, value)
			canonical = append(canonical, name+":"+value+"\n"...)
		}
	}
	return signature, canonical, nil
}

// cut translates the end of the body in the middle of the framing.
func cut(err error) error {
	if errors.Is(err, io.EOF) {
		return fail(IncompleteBody, "The request body terminated unexpectedly")
	}
	return incomplete(err)
}
