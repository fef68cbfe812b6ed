package s3

import (
	"context"

	"github.com/larder-cache/larder/internal/object"
	"github.com/larder-cache/larder/internal/protocol/edge"
)

// createUpload is CreateMultipartUpload.
type createUpload struct {
	store  Store
	upload object.UploadRequest
}

func parseCreateUpload(p *Protocol, r *request) (*edge.Operation, error) {
	op := &createUpload{store: p.store, upload: object.UploadRequest{Bucket: r.bucket, Key: r.key}}
	var err error
	if err = r.refuseUnkept(); err != nil {
		return nil, err
	}
	if op.upload.Meta, err = r.meta(); err != nil {
		return nil, err
	}
	if op.upload.Tags, err = r.tags(); err != nil {
		return nil, err
	}
	if op.upload.Checksum, op.upload.Composite, err = r.announced(); err != nil {
		return nil, err
	}
	operation := r.operation("s3.CreateMultipartUpload", "s3:PutObject", op)
	r.writeFacts(operation, op.upload.Tags)
	return operation, nil
}

// announced parses the algorithm and type of an upload's checksum. The type that
// is not given is S3's default for the algorithm.
func (r *request) announced() (algorithm object.Algorithm, composite bool, err error) {
	if algorithm, err = parseAlgorithm(r.header("X-Amz-Checksum-Algorithm")); err != nil {
		return 0, false, err
	}
	kind := r.header("X-Amz-Checksum-Type")
	mismatch := &Error{Code: InvalidRequest, Message: "The " + kind + " checksum type cannot be used with the " + algorithms[algorithm].name + " checksum algorithm."}
	switch {
	case kind != "" && kind != "COMPOSITE" && kind != "FULL_OBJECT":
		return 0, false, &Error{Code: InvalidRequest, Message: "Value for x-amz-checksum-type header is invalid."}
	case algorithm == object.NoChecksum && kind != "":
		return 0, false, &Error{Code: InvalidRequest, Message: "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header."}
	case algorithm == object.CRC64NVME && kind == "COMPOSITE", kind == "FULL_OBJECT" && !algorithm.Combinable():
		return 0, false, mismatch
	}
	composite = algorithm != object.NoChecksum && algorithm != object.CRC64NVME && kind != "FULL_OBJECT"
	return algorithm, composite, nil
}

// Serve begins the upload.
func (op *createUpload) Serve(ctx context.Context, w *edge.Writer, _ *edge.Call) error {
	upload, err := op.store.CreateUpload(ctx, op.upload)
	if err != nil {
		return err
	}
	if upload.Checksum != object.NoChecksum {
		h := w.Header()
		h["X-Amz-Checksum-Algorithm"] = []string{algorithms[upload.Checksum].name}
		h["X-Amz-Checksum-Type"] = []string{checksumType(upload.Composite)}
	}
	doc := newDocument(512)
	doc.root("InitiateMultipartUploadResult")
	doc.text("Bucket", string(upload.Bucket))
	doc.text("Key", string(upload.Key))
	doc.text("UploadId", string(upload.ID))
	doc.close("InitiateMultipartUploadResult")
	return doc.send(w)
}
