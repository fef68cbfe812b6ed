package s3

import (
	"context"
	"net/http"

	"github.com/larder-cache/larder/internal/object"
	"github.com/larder-cache/larder/internal/protocol/edge"
)

// abortUpload is AbortMultipartUpload.
type abortUpload struct {
	store  Store
	bucket object.BucketName
	key    object.Key
	id     object.UploadID
}

func parseAbortUpload(p *Protocol, r *request) (*edge.Operation, error) {
	op := &abortUpload{p.store, r.bucket, r.key, object.UploadID(r.Query.Get("uploadId"))}
	return r.operation("s3.AbortMultipartUpload", "s3:AbortMultipartUpload", op), nil
}

// Serve ends the upload.
func (op *abortUpload) Serve(ctx context.Context, w *edge.Writer, _ *edge.Call) error {
	if err := op.store.AbortUpload(ctx, op.bucket, op.key, op.id); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
