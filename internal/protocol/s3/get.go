package s3

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/object"
	"github.com/larder-cache/larder/internal/protocol/edge"
)

// getObject is GetObject: a whole object, a range of it, or one of its parts.
type getObject struct {
	store     Store
	get       object.GetRequest
	version   bool      // the version "null" was named
	asked     string    // the Range header
	checksums bool      // the client wants to see them
	overrides overrides // of the answer's headers
}

func parseGetObject(p *Protocol, r *request) (*edge.Operation, error) {
	op := &getObject{store: p.store}
	if err := op.parse(r); err != nil {
		return nil, err
	}
	return r.operation("s3.GetObject", readAction(op.version), op), nil
}

// parse reads the inputs that GetObject and HeadObject have in common.
func (op *getObject) parse(r *request) (err error) {
	op.get = object.GetRequest{Bucket: r.bucket, Key: r.key, If: r.readCondition("")}
	if header := r.header("Range"); header != "" && r.header("If-Range") == "" {
		// Whoever sends If-Range also takes the whole object.
		op.get.Range, op.asked = parseRange(header), header
	}
	op.checksums = r.header("X-Amz-Checksum-Mode") == "ENABLED"
	if len(r.Query) == 0 {
		return r.noEncryption()
	}
	if op.get.Part, err = r.number("partNumber", 0, 1, object.MaxParts); err != nil {
		return err
	}
	if op.get.Part > 0 && op.get.Range != nil {
		return &Error{Code: InvalidRequest, Message: "Cannot specify both Range header and partNumber query parameter"}
	}
	op.version = r.versioned()
	op.overrides = parseOverrides(r.Query)
	return r.noEncryption()
}

// Serve answers 200 or 206 with the body.
func (op *getObject) Serve(ctx context.Context, w *edge.Writer, call *edge.Call) error {
	if err := op.overrides.allowed(call); err != nil {
		return err
	}
	reader, err := op.store.Get(ctx, op.get)
	call.Lookup = lookup(op.get.Key, err)
	if err != nil {
		return op.refuse(ctx, w, reader, err)
	}
	defer func() { _ = reader.Body.Close() }() // of what was read nothing is lost
	w.WriteHeader(op.header(ctx, w.Header(), reader))
	_, err = w.ReadFrom(reader.Body)
	return err
}

// header fills in the answer's header and returns its status.
func (op *getObject) header(ctx context.Context, h http.Header, r *object.Reader) (status int) {
	set := describeObject(h, &r.Info)
	set.add("Content-Length", strconv.FormatInt(r.Length, 10))
	if op.version {
		set.add("X-Amz-Version-Id", "null")
	}
	if op.get.Part > 0 && r.Info.Parts > 0 {
		set.add("X-Amz-Mp-Parts-Count", strconv.Itoa(r.Info.Parts))
	}
	op.overrides.apply(h)
	if op.checksums && op.get.Range == nil {
		addChecksum(h, op.checksum(ctx, r))
	}
	if op.get.Range == nil && op.get.Part == 0 || r.Length == 0 { // no Content-Range can name nothing
		return http.StatusOK
	}
	set.add("Content-Range", contentRange(r.Offset, r.Length, r.Info.Size))
	return http.StatusPartialContent
}

// checksum returns the checksum of what is read: the whole object, or one part of
// it if the part has one of the object's kind.
func (op *getObject) checksum(ctx context.Context, r *object.Reader) object.Checksum {
	sum := r.Info.Digest.Checksum
	if op.get.Part == 0 || r.Info.Parts == 0 {
		return sum
	}
	parts, err := op.store.ObjectParts(ctx, op.get.Bucket, op.get.Key, op.get.Part-1, 1)
	if err != nil || len(parts) == 0 || parts[0].Digest.Checksum.Algorithm != sum.Algorithm {
		return object.Checksum{}
	}
	if now, err := op.store.Head(ctx, op.get.Bucket, op.get.Key); err != nil || now.Version != r.Info.Version {
		return object.Checksum{} // the parts may be another object's
	}
	sum.Value, sum.Parts = parts[0].Digest.Checksum.Value, 0
	return sum
}

// refuse completes the answer without the object: 304 says what the current one
// is, and 416 how long.
func (op *getObject) refuse(ctx context.Context, w *edge.Writer, r *object.Reader, err error) error {
	switch {
	case r != nil && errors.Is(err, fault.NotModified):
		set := describeObject(w.Header(), &r.Info)
		set.remove("Content-Type")
	case errors.Is(err, fault.Invalid) && op.get.Part > 0:
		return &Error{Code: InvalidPartNumber, Err: err}
	case errors.Is(err, fault.Invalid) && op.get.Range != nil:
		return op.unsatisfied(ctx, err)
	}
	return err
}

// unsatisfied adds the object's size to the refusal of a range: clients that read
// the first megabytes of whatever there is learn from it that there is nothing.
func (op *getObject) unsatisfied(ctx context.Context, err error) error {
	info, gone := op.store.Head(ctx, op.get.Bucket, op.get.Key)
	if gone != nil {
		return gone
	}
	size := strconv.FormatInt(info.Size, 10)
	return &Error{Code: InvalidRange, Err: err, extra: []pair{{"RangeRequested", op.asked}, {"ActualObjectSize", size}}}
}

// lookup says whether a request for an object counts as a hit or a miss.
// sccache's probe is neither, nor is one in a bucket that does not exist: hits and
// misses are counted by bucket, and clients must not make up names of counters.
func lookup(key object.Key, err error) edge.Lookup {
	switch {
	case isCheck(key):
		return edge.NoLookup
	case err == nil || errors.Is(err, fault.NotModified):
		return edge.Hit
	case errors.Is(err, fault.NotFound) && fault.As(err).Noun != fault.Bucket:
		return edge.Miss
	}
	return edge.NoLookup
}

// isCheck reports whether a key is the one that sccache probes at its start.
func isCheck(key object.Key) bool {
	return key == object.CheckFile || strings.HasSuffix(string(key), "/"+object.CheckFile)
}

func contentRange(offset, length, size int64) string {
	b := make([]byte, 0, 64)
	b = append(b, "bytes "...)
	b = strconv.AppendInt(b, offset, 10)
	b = strconv.AppendInt(append(b, '-'), offset+length-1, 10)
	b = strconv.AppendInt(append(b, '/'), size, 10)
	return string(b)
}
