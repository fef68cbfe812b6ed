package sigv4

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// The markers of x-amz-content-sha256 that are no hash.
const (
	unsignedPayload          = "UNSIGNED-PAYLOAD"
	streamingSigned          = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
	streamingSignedTrailer   = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
	streamingUnsignedTrailer = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
)

// emptyHash is the SHA-256 of nothing.
var emptyHash = sha256.Sum256(nil)

// Body is the decoded body of a request. Read reports *Error, or what the
// connection reported, if the body is not what was signed; then its last bytes
// are never delivered, so that a reader who counts bytes and does not wait for
// io.EOF is safe too.
type Body struct {
	src  io.Reader // of decoded bytes, in the simple cases
	left int64     // decoded bytes still to come; -1 if unknown
	hash hash.Hash // of a payload whose hash is signed; nil if none
	want [sha256.Size]byte

	chunks *chunkReader // of aws-chunked bodies; nil otherwise
	err    error        // sticky
}

// Trailer returns the trailing header of that name, "" if none came. It is valid
// when the last byte of the body was delivered, or io.EOF reported.
func (b *Body) Trailer(name string) string {
	if b.chunks == nil {
		return ""
	}
	return b.chunks.trailer.Get(name)
}

// Read implements io.Reader.
func (b *Body) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	switch {
	case b == noBody:
		return 0, io.EOF
	case len(p) == 0:
		return 0, nil
	}
	n, err := b.read(p)
	b.err = err
	return n, err
}

func (b *Body) read(p []byte) (int, error) {
	if b.chunks != nil {
		return b.chunks.read(p)
	}
	if b.left == 0 {
		return 0, io.EOF
	}
	n, err := b.src.Read(p)
	if b.hash != nil {
		b.hash.Write(p[:n])
	}
	if b.left > 0 {
		b.left = max(b.left-int64(n), 0)
	}
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return n, incomplete(err)
	case b.left > 0 && err != nil:
		return n, fail(IncompleteBody, "You did not provide the number of bytes specified by the Content-Length HTTP header")
	case b.hash != nil && (b.left == 0 || err != nil):
		if !b.hashed() {
			return 0, errHash()
		}
		b.hash = nil
	}
	return n, err
}

func (b *Body) hashed() bool {
	var sum [sha256.Size]byte
	return subtle.ConstantTimeCompare(b.hash.Sum(sum[:0]), b.want[:]) == 1
}

func errHash() error {
	return fail(ContentSHA256Mismatch, "The provided 'x-amz-content-sha256' header does not match what was computed.")
}

// incomplete translates an end of the connection in mid-body.
func incomplete(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return fail(IncompleteBody, "The request body terminated unexpectedly")
	}
	return err
}

// noBody is the Body of requests without one. Reading does not change it.
var noBody = &Body{}

// body sets up signed.Body for the payload that was signed for. key is nil for
// anonymous requests.
func (v *Verifier) body(r *http.Request, signed *Signed, key *signingKey, c *claim) error {
	switch c.payload {
	case streamingSigned, streamingSignedTrailer:
		if key == nil {
			return fail(AccessDenied, "A body whose chunks are signed needs a signed request")
		}
		return v.streaming(r, signed, &chain{key: key, time: c.time, scope: c.scope, last: c.signature}, c.payload)
	case streamingUnsignedTrailer:
		return v.streaming(r, signed, nil, c.payload)
	}
	if r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0 {
		signed.Body = noBody
	} else {
		signed.Body, signed.Length = &Body{src: r.Body, left: r.ContentLength}, r.ContentLength
	}
	if c.payload == unsignedPayload || c.payload == "" {
		return nil
	}
	return signed.Body.expect(c.payload)
}

// expect makes the body prove the hash that was signed.
func (b *Body) expect(payload string) error {
	var want [sha256.Size]byte
	if len(payload) != 2*sha256.Size {
		return fail(InvalidRequest, "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, "+streamingUnsignedTrailer+", "+streamingSigned+", "+streamingSignedTrailer+" or a valid sha256 value.")
	}
	if _, err := hex.Decode(want[:], []byte(payload)); err != nil {
		return fail(InvalidRequest, "x-amz-content-sha256 is not hexadecimal")
	}
	if b.src == nil {
		if want != emptyHash {
			return errHash()
		}
		return nil
	}
	b.hash, b.want = sha256.New(), want
	return nil
}

const (
	maxTrailerNames = 8
	maxTrailerBytes = 16 << 10
	maxChunkLine    = 256     // hex-size, extension, CRLF
	maxObject       = 5 << 40 // bytes
)

// streaming sets up the body of an aws-chunked request. c is nil if its chunks
// are not signed.
func (v *Verifier) streaming(r *http.Request, signed *Signed, c *chain, payload string) error {
	lengths := r.Header["X-Amz-Decoded-Content-Length"]
	if len(lengths) == 0 {
		return fail(MissingContentLength, "You must provide the x-amz-decoded-content-length HTTP header.")
	}
	length, err := strconv.ParseInt(lengths[0], 10, 64)
	if err != nil || length < 0 || length > maxObject || len(lengths) > 1 || lengths[0][0] == '+' {
		return fail(InvalidRequest, "x-amz-decoded-content-length is not a length")
	}
	announced, err := announcedTrailers(r.Header["X-Amz-Trailer"])
	if err != nil {
		return err
	}
	if len(announced) > 0 && payload == streamingSigned {
		return fail(MalformedTrailer, "x-amz-trailer needs an x-amz-content-sha256 that ends in -TRAILER")
	}
	src := io.Reader(http.NoBody)
	if r.Body != nil {
		src = r.Body
	}
	signed.Streaming = true
	signed.Length = length
	signed.Body = &Body{chunks: &chunkReader{
		src: bufio.NewReaderSize(src, 4<<10), left: length, max: v.config.MaxChunk, chain: c,
		announced: announced, trailers: payload != streamingSigned, trailer: make(http.Header),
	}}
	return nil
}

// announcedTrailers parses x-amz-trailer: names in lower case.
func announcedTrailers(values []string) (names []string, err error) {
	for _, v := range values {
		for name := range strings.SplitSeq(v, ",") {
			name = strings.ToLower(strings.TrimSpace(name))
			if name == "" || len(names) == maxTrailerNames || name == trailerSignature || strings.ContainsFunc(name, notHeaderName) {
				return nil, fail(MalformedTrailer, "The value specified in the x-amz-trailer header is not supported")
			}
			names = append(names, name)
		}
	}
	return names, nil
}

// chain is the sequence of signatures of a chunked body: each covers its chunk
// and the signature before it.
type chain struct {
	key   *signingKey
	time  string
	scope scope
	last  [sha256.Size]byte
	buf   []byte
}

// next returns the signature that follows for content of that kind, and makes it
// the last one.
func (c *chain) next(kind string, sum *[sha256.Size]byte) [sha256.Size]byte {
	b := append(c.buf[:0], algorithm...)
	b = append(append(b, kind...), '\n')
	b = append(append(b, c.time...), '\n')
	b = append(c.scope.appendTo(b), '\n')
	b = append(hex.AppendEncode(b, c.last[:]), '\n')
	if kind == "-PAYLOAD" {
		b = append(hex.AppendEncode(b, emptyHash[:]), '\n')
	}
	b = hex.AppendEncode(b, sum[:])
	n := len(b)
	b = c.key.sign(b, b)
	copy(c.last[:], b[n:])
	c.buf = b
	return c.last
}

// trim removes the end of a line.
func trim(line []byte) []byte { return bytes.TrimRight(line, "\r\n") }
