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
		Location string       `xml:"LocationConstraint"`
		Tags     []object.Tag `xml:"Tags>Tag"`
	}
	malformed := readOptionalXML(call, "CreateBucketConfiguration", &doc)
	var facts map[string][]string
	if doc.Location != "" {
		facts = map[string][]string{"s3:LocationConstraint": {doc.Location}}
	}
	if err := cmp.Or(call.AuthorizeWith(ctx, op.check, facts), malformed); err != nil {
		return err
	}
	if len(doc.Tags) > 0 {
		tagging := iam.Check{Action: "s3:PutBucketTagging", Resource: op.check.Resource}
		if err := cmp.Or(call.Authorize(ctx, tagging), checkTags(doc.Tags, maxBucketTags)); err != nil {
			return err
		}
	}
	if _, err := op.store.CreateBucket(ctx, op.bucket, object.BucketConfig{Tags: doc.Tags}); err != nil {
		return err
	}
	w.Header()["Location"] = []string{"/" + string(op.bucket)}
	w.WriteHeader(http.StatusOK)
	return nil
}

// onBucket parses an operation that has no input beside the bucket's name. auth is
// edge.Anonymous where the bucket's policy may let anybody.
func onBucket(name string, action iam.Action, auth edge.Auth, serve func(*Protocol, context.Context, object.BucketName, *edge.Writer) error) parser {
	return func(p *Protocol, r *request) (*edge.Operation, error) {
		bucket := r.bucket
		operation := r.operation(name, action, edge.HandlerFunc(func(ctx context.Context, w *edge.Writer, _ *edge.Call) error {
			return serve(p, ctx, bucket, w)
		}))
		operation.Auth = auth
		return operation, nil
	}
}

// headBucket answers 200 if the bucket exists.
func (p *Protocol) headBucket(ctx context.Context, name object.BucketName, w *edge.Writer) error {
	if _, err := p.store.Bucket(ctx, name); err != nil {
		return err
	}
	w.Header()["X-Amz-Bucket-Region"] = []string{p.config.Region}
	w.WriteHeader(http.StatusOK)
	return nil
}

// deleteBucket deletes an empty bucket.
func (p *Protocol) deleteBucket(ctx context.Context, name object.BucketName, w *edge.Writer) error {
	if err := p.store.DeleteBucket(ctx, name); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// getBucketLocation answers the region; the default one is written as nothing.
func (p *Protocol) getBucketLocation(ctx context.Context, name object.BucketName, w *edge.Writer) error {
	if _, err := p.store.Bucket(ctx, name); err != nil {
		return err
	}
	doc := newDocument(256)
	doc.root("LocationConstraint")
	if p.config.Region != defaultRegion {
		doc.escape(p.config.Region)
	}
	doc.close("LocationConstraint")
	return doc.send(w)
}
