package s3

import (
	"context"
	"time"

	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/object"
	"github.com/larder-cache/larder/internal/protocol/edge"
)

// listBuckets is ListBuckets.
type listBuckets struct {
	store  Store
	owner  string
	region string
	prefix string
	after  string
	max    int
}

// maxBuckets is the largest page of ListBuckets.
const maxBuckets = 10_000

func parseListBuckets(p *Protocol, r *request) (*edge.Operation, error) {
	op := &listBuckets{store: p.store, owner: p.config.Owner, region: p.config.Region, prefix: r.Query.Get("prefix")}
	var err error
	if op.max, err = r.number("max-buckets", maxBuckets, 1, maxBuckets); err != nil {
		return nil, err
	}
	if r.Query.Has("continuation-token") {
		if op.after, err = parseToken(r.Query.Get("continuation-token")); err != nil {
			return nil, err
		}
	}
	// Who may list none of it may still see the buckets that he may list: MinIO's
	// clients rely on it.
	return &edge.Operation{Name: "s3.ListBuckets", Auth: edge.Caller, Handler: op}, nil
}

// Serve lists the buckets: all of them to whoever may list all, to others those
// that they may list.
func (op *listBuckets) Serve(ctx context.Context, w *edge.Writer, call *edge.Call) error {
	buckets, err := op.visible(ctx, call)
	if err != nil {
		return err
	}
	doc := newDocument(1024 + 160*len(buckets))
	doc.root("ListAllMyBucketsResult")
	doc.owner("Owner", op.owner)
	doc.open("Buckets")
	next := ""
	for i := range buckets {
		if i == op.max {
			next = makeToken(string(buckets[i-1].Name))
			break
		}
		doc.open("Bucket")
		doc.text("Name", string(buckets[i].Name))
		doc.time("CreationDate", buckets[i].Created.Truncate(time.Millisecond))
		doc.text("BucketRegion", op.region)
		doc.close("Bucket")
	}
	doc.close("Buckets")
	doc.optional("ContinuationToken", next)
	doc.optional("Prefix", op.prefix)
	doc.close("ListAllMyBucketsResult")
	return doc.send(w)
}

// visible returns the buckets that the caller may see, behind op.after.
func (op *listBuckets) visible(ctx context.Context, call *edge.Call) ([]object.Bucket, error) {
	refused := call.Authorize(ctx, iam.Check{Action: "s3:ListAllMyBuckets"})
	all, err := op.store.ListBuckets(ctx)
	if err != nil {
		return nil, err
	}
	var visible []object.Bucket
	for i := range all {
		name := string(all[i].Name)
		if name <= op.after || len(name) < len(op.prefix) || name[:len(op.prefix)] != op.prefix {
			continue
		}
		if refused == nil || call.Authorize(ctx, iam.Check{Action: "s3:ListBucket", Resource: bucketOnly(all[i].Name)}) == nil {
			visible = append(visible, all[i])
		}
	}
	if len(visible) == 0 && refused != nil {
		return nil, refused
	}
	return visible, nil
}
