package s3

import (
	"context"
	"net/http"

	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/object"
	"github.com/larder-cache/larder/internal/protocol/edge"
)

// putObject is PutObject.
type putObject struct {
	store  Store
	put    object.PutRequest // without body
	demand demand
}

func parsePutObject(p *Protocol, r *request) (*edge.Operation, error) {
	if r.header("X-Amz-Copy-Source") != "" || r.Header["X-Amz-Copy-Source"] != nil {
		return parseCopyObject(p, r)
	}
	op := &putObject{store: p.store, put: object.PutRequest{Bucket: r.bucket, Key: r.key}}
	var err error
	if err = r.refuseUnkept(); err != nil {
		return nil, err
	}
	if op.put.Meta, err = r.meta(); err != nil {
		return nil, err
	}
	if op.put.Tags, err = r.tags(); err != nil {
		return nil, err
	}
	if op.put.If, err = r.writeCondition(); err != nil {
		return nil, err
	}
	if op.demand, err = r.demand(); err != nil {
		return nil, err
	}
	operation := r.operation("s3.PutObject", "s3:PutObject", op)
	operation.MaxBody = object.MaxPutSize
	r.writeFacts(operation, op.put.Tags)
	return operation, nil
}

// writeFacts adds what policies may ask about a write. Whoever sets tags with it
// needs the right to set tags.
func (r *request) writeFacts(operation *edge.Operation, tags []object.Tag) {
	if len(tags) > 0 {
		operation.Checks = append(operation.Checks, iam.Check{Action: "s3:PutObjectTagging", Resource: r.resource()})
	}
	if class := r.header("X-Amz-Storage-Class"); class != "" || len(tags) > 0 {
		operation.Facts = make(map[string][]string)
		classFacts(operation.Facts, class)
		tagFacts(operation.Facts, tags)
	}
}

// classFacts adds the storage class of a request, if it names one.
func classFacts(facts map[string][]string, class string) {
	if class != "" {
		facts["s3:x-amz-storage-class"] = []string{class}
	}
}

// tagFacts adds the tags of a request.
func tagFacts(facts map[string][]string, tags []object.Tag) {
	for _, tag := range tags {
		facts["s3:RequestObjectTag/"+tag.Key] = []string{tag.Value}
		facts["s3:RequestObjectTagKeys"] = append(facts["s3:RequestObjectTagKeys"], tag.Key)
	}
}

// Serve stores the body.
func (op *putObject) Serve(ctx context.Context, w *edge.Writer, call *edge.Call) error {
	if call.Length < 0 {
		return &Error{Code: MissingContentLength}
	}
	bucket, err := op.store.Bucket(ctx, op.put.Bucket)
	if err != nil {
		return err
	}
	op.put.Size = call.Length
	op.put.Content = bodyContent(call, op.demand, bucket.Config.Cache)
	info, err := op.store.Put(ctx, op.put)
	if err != nil {
		return err
	}
	h := w.Header()
	h["ETag"] = []string{quote(info.Digest.ETag)}
	addChecksum(h, info.Digest.Checksum)
	w.WriteHeader(http.StatusOK)
	return nil
}
