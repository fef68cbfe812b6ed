package s3

import (
	"context"
	"net/http"

	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/object"
	"github.com/larder-cache/larder/internal/protocol/edge"
)

// deleteObject is DeleteObject.
type deleteObject struct {
	store   Store
	delete  object.DeleteRequest
	version bool
}

func parseDeleteObject(p *Protocol, r *request) (*edge.Operation, error) {
	op := &deleteObject{store: p.store, delete: object.DeleteRequest{
		Bucket: r.bucket, Key: r.key, If: object.Precondition{IfMatch: parseETags(r.header("If-Match"))},
	}}
	if r.header("X-Amz-If-Match-Size") != "" || r.header("X-Amz-If-Match-Last-Modified-Time") != "" {
		return nil, errDeleteCondition
	}
	op.version = r.versioned()
	return r.operation("s3.DeleteObject", deleteAction(op.version), op), nil
}

// errDeleteCondition refuses conditions of Amazon's directory buckets, which must
// not be taken for none.
var errDeleteCondition = notOffered("A condition on size or time of a deletion")

// deleteAction is the action of deleting, with or without naming a version.
func deleteAction(version bool) iam.Action {
	if version {
		return "s3:DeleteObjectVersion"
	}
	return "s3:DeleteObject"
}

// Serve deletes the object; an absent one is deleted already.
func (op *deleteObject) Serve(ctx context.Context, w *edge.Writer, _ *edge.Call) error {
	if err := op.store.Delete(ctx, op.delete); err != nil {
		return err
	}
	if op.version {
		w.Header()["X-Amz-Version-Id"] = []string{"null"}
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
