package s3

import (
	"context"

	"github.com/larder-cache/larder/internal/object"
	"github.com/larder-cache/larder/internal/protocol/edge"
)

// uploadPartCopy is UploadPartCopy.
type uploadPartCopy struct {
	protocol *Protocol
	copy     object.CopyPartRequest
}

func parseUploadPartCopy(p *Protocol, r *request) (*edge.Operation, error) {
	id, number, err := r.part()
	if err != nil {
		return nil, err
	}
	if err := r.noEncryption(); err != nil {
		return nil, err
	}
	source, err := r.copySource()
	if err != nil {
		return nil, err
	}
	op := &uploadPartCopy{protocol: p, copy: object.CopyPartRequest{
		SourceBucket: source.bucket, SourceKey: source.key, SourceIf: source.cond,
		Bucket: r.bucket, Key: r.key, Upload: id, Number: number,
	}}
	if text := r.header("X-Amz-Copy-Source-Range"); text != "" {
		// Unlike Range, a malformed one is an error.
		op.copy.SourceRange = parseRange(text)
		if rg := op.copy.SourceRange; rg == nil || rg.Suffix > 0 || rg.Last < 0 {
			return nil, invalid("The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy")
		}
	}
	operation := r.operation("s3.UploadPartCopy", "s3:PutObject", op)
	operation.Checks = append(operation.Checks, source.check())
	source.refuse(operation)
	operation.Facts = source.facts()
	return operation, nil
}

// Serve copies the range.
func (op *uploadPartCopy) Serve(ctx context.Context, w *edge.Writer, call *edge.Call) error {
	store := op.protocol.store
	bucket, upload, err := findUpload(ctx, store, op.copy.Bucket, op.copy.Key, op.copy.Upload)
	if err != nil {
		return err
	}
	if rg := op.copy.SourceRange; rg != nil {
		info, err := store.Head(ctx, op.copy.SourceBucket, op.copy.SourceKey)
		if err != nil {
			return err
		}
		if rg.Last >= info.Size {
			return &Error{Code: InvalidArgument, Message: "Range specified is not valid for source object"}
		}
	}
	op.copy.Digest = digester(upload.Checksum, bucket.Config.Cache)
	return op.protocol.patiently(ctx, w, call, func(ctx context.Context) (*document, error) {
		part, err := store.CopyPart(ctx, op.copy)
		if err != nil {
			return nil, refused(err)
		}
		return copyResult("CopyPartResult", &part), nil
	})
}
