package s3

import (
	"cmp"
	"context"
	"net/http"

	"github.com/larder-cache/larder/internal/object"
	"github.com/larder-cache/larder/internal/protocol/edge"
)

// uploadPart is UploadPart.
type uploadPart struct {
	store  Store
	part   object.PartRequest // without body
	demand demand
}

func parseUploadPart(p *Protocol, r *request) (*edge.Operation, error) {
	if r.Header["X-Amz-Copy-Source"] != nil {
		return parseUploadPartCopy(p, r)
	}
	id, number, err := r.part()
	if err != nil {
		return nil, err
	}
	if err := r.noEncryption(); err != nil {
		return nil, err
	}
	op := &uploadPart{store: p.store, part: object.PartRequest{Bucket: r.bucket, Key: r.key, Upload: id, Number: number}}
	if op.demand, err = r.demand(); err != nil {
		return nil, err
	}
	operation := r.operation("s3.UploadPart", "s3:PutObject", op)
	operation.MaxBody = object.MaxPartSize
	return operation, nil
}

// part parses which part of which upload is meant.
func (r *request) part() (object.UploadID, int, error) {
	id := object.UploadID(r.Query.Get("uploadId"))
	number, err := r.number("partNumber", 0, 1, object.MaxParts)
	if err != nil || number == 0 {
		return "", 0, invalid("Part number must be an integer between 1 and 10000, inclusive")
	}
	return id, number, nil
}

// Serve stores the part.
func (op *uploadPart) Serve(ctx context.Context, w *edge.Writer, call *edge.Call) error {
	if call.Length < 0 {
		return &Error{Code: MissingContentLength}
	}
	bucket, upload, err := findUpload(ctx, op.store, op.part.Bucket, op.part.Key, op.part.Upload)
	if err != nil {
		return err
	}
	if op.demand.algorithm, err = partAlgorithm(&upload, op.demand.algorithm); err != nil {
		return err
	}
	op.part.Size = call.Length
	op.part.Content = bodyContent(call, op.demand, bucket.Config.Cache)
	part, err := op.store.PutPart(ctx, op.part)
	if err != nil {
		return err
	}
	h := w.Header()
	h["ETag"] = []string{quote(part.Digest.ETag)}
	if sum := part.Digest.Checksum; sum.Algorithm != object.NoChecksum {
		h[algorithms[sum.Algorithm].header] = []string{checksumText(sum)}
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

func findUpload(ctx context.Context, store Store, bucket object.BucketName, key object.Key, id object.UploadID) (object.Bucket, object.Upload, error) {
	b, err := store.Bucket(ctx, bucket)
	if err != nil {
		return b, object.Upload{}, err
	}
	upload, err := store.Upload(ctx, bucket, key, id)
	return b, upload, err
}

// partAlgorithm returns the algorithm of a part's checksum: the upload's, if it
// announced one, and then the part may not bring another.
func partAlgorithm(upload *object.Upload, sent object.Algorithm) (object.Algorithm, error) {
	switch {
	case upload.Checksum == object.NoChecksum || upload.Checksum == sent:
		return sent, nil
	case sent == object.NoChecksum:
		return upload.Checksum, nil
	}
	return 0, algorithmMismatch(upload.Checksum, sent)
}

// algorithmMismatch refuses a checksum by another algorithm than the upload's.
func algorithmMismatch(announced, sent object.Algorithm) error {
	return &Error{Code: InvalidRequest, Message: "Checksum Type mismatch occurred, expected checksum Type: " +
		cmp.Or(algorithms[announced].name, "null") + ", actual checksum Type: " + algorithms[sent].name}
}
