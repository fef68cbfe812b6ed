package s3

import (
	"cmp"
	"context"
	"net/http"

	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/object"
	"github.com/larder-cache/larder/internal/protocol/edge"
)

// createBucket is CreateBucket.
type createBucket struct {
	store  Store
	bucket object.BucketName
	check  iam.Check
}

func parseCreateBucket(p *Protocol, r *request) (*edge.Operation, error) {
	if err := r.refuseUnkept(); err != nil {
		return nil, err
	}
	if r.header("X-Amz-Bucket-Object-Lock-Enabled") == "true" {
		return nil, notOffered("Object Lock")
	}
	if edge.Reserved(string(r.bucket)) {
		return nil, &Error{Code: InvalidBucketName, Resource: string(r.bucket), Message: "The specified bucket is not valid: paths below /" + string(r.bucket) + "/ are the server's own."}
	}
	op := &createBucket{store: p.store, bucket: r.bucket}
	operation := r.operation("s3.CreateBucket", "s3:CreateBucket", op)
	// What policies ask about the location is in the body.
	op.check, operation.Checks, operation.Auth = operation.Checks[0], nil, edge.Caller
	operation.MaxBody = maxSmallDocument
	return operation, nil
}

// Serve makes the bucket. Every region is this one.
func (op *createBucket) Serve(ctx context.Context, w *edge.Writer, call *edge.Call) error {
	var doc struct {
		Location string `xml:"LocationConstraint"`
	}
	malformed := readOptionalXML(call, "CreateBucketConfiguration", &doc)
	var facts map[string][]string
	if doc.Location != "" {
		facts = map[string][]string{"s3:LocationConstraint": {doc.Location}}
	}
	if err := cmp.Or(call.AuthorizeWith(ctx, op.check, facts), malformed); err != nil {
		return err
	}
	if _, err := op.store.CreateBucket(ctx, op.bucket, object.BucketConfig{}); err != nil {
		return err
	}
	w.Header()["Location"] = []string{"/" + string(op.bucket)}
	w.WriteHeader(http.StatusOK)
	return nil
}

// headBucket is HeadBucket.
type headBucket struct {
	store  Store
	bucket object.BucketName
	region string
}

func parseHeadBucket(p *Protocol, r *request) (*edge.Operation, error) {
	return r.operation("s3.HeadBucket", "s3:ListBucket", &headBucket{p.store, r.bucket, p.config.Region}), nil
}

// Serve answers 200 if the bucket exists.
func (op *headBucket) Serve(ctx context.Context, w *edge.Writer, _ *edge.Call) error {
	if _, err := op.store.Bucket(ctx, op.bucket); err != nil {
		return err
	}
	w.Header()["X-Amz-Bucket-Region"] = []string{op.region}
	w.WriteHeader(http.StatusOK)
	return nil
}

// deleteBucket is DeleteBucket.
type deleteBucket struct {
	store  Store
	bucket object.BucketName
}

func parseDeleteBucket(p *Protocol, r *request) (*edge.Operation, error) {
	operation := r.operation("s3.DeleteBucket", "s3:DeleteBucket", &deleteBucket{p.store, r.bucket})
	operation.Auth = edge.Signed
	return operation, nil
}

// Serve deletes an empty bucket.
func (op *deleteBucket) Serve(ctx context.Context, w *edge.Writer, _ *edge.Call) error {
	if err := op.store.DeleteBucket(ctx, op.bucket); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// getBucketLocation is GetBucketLocation.
type getBucketLocation struct {
	store  Store
	bucket object.BucketName
	region string
}

func parseGetBucketLocation(p *Protocol, r *request) (*edge.Operation, error) {
	return r.operation("s3.GetBucketLocation", "s3:GetBucketLocation", &getBucketLocation{p.store, r.bucket, p.config.Region}), nil
}

// Serve answers the region; the default one is written as nothing.
func (op *getBucketLocation) Serve(ctx context.Context, w *edge.Writer, _ *edge.Call) error {
	if _, err := op.store.Bucket(ctx, op.bucket); err != nil {
		return err
	}
	doc := newDocument(256)
	doc.root("LocationConstraint")
	if op.region != defaultRegion {
		doc.escape(op.region)
	}
	doc.close("LocationConstraint")
	return doc.send(w)
}
