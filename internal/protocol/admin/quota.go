package admin

import (
	"context"
	"math"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/object"
	"github.com/larder-cache/larder/internal/protocol/edge"
)

// quotaBody is a bucket's quota in bytes. Older clients write and read "quota",
// newer ones "size".
type quotaBody struct {
	Quota    uint64 `json:"quota"`
	Size     uint64 `json:"size"`
	Rate     uint64 `json:"rate"`
	Requests uint64 `json:"requests"`
	Type     string `json:"quotatype,omitempty"`
}

// bytes returns the quota that is asked for, 0 for none.
func (q *quotaBody) bytes() (int64, error) {
	size := q.Size
	if size == 0 {
		size = q.Quota
	}
	switch {
	case q.Type != "" && q.Type != "hard":
		return 0, unsupported("A quota is hard; there is no type %q.", q.Type)
	case q.Rate != 0 || q.Requests != 0:
		return 0, unsupported("A quota limits bytes; limits on rate or requests are not offered.")
	case size > math.MaxInt64:
		return 0, invalid(fault.Quota, "", "a quota is at most %d bytes", int64(math.MaxInt64))
	}
	return int64(size), nil
}

func newQuota(limit int64) quotaBody {
	body := quotaBody{Quota: uint64(limit), Size: uint64(limit)}
	if limit > 0 {
		body.Type = "hard"
	}
	return body
}

// bucketOperation starts an operation on the bucket that the query names.
func bucketOperation(in *input, action iam.Action) (*edge.Operation, object.BucketName, error) {
	name, err := object.ParseBucketName(in.query.Get("bucket"))
	if err != nil {
		return nil, "", err
	}
	op := in.operation(action, nil)
	op.Bucket = string(name)
	op.Checks[0].Resource.Bucket = string(name)
	return op, name, nil
}

// setBucketQuota sets or, with 0, removes a bucket's quota.
func (p *Protocol) setBucketQuota(in *input) (*edge.Operation, error) {
	op, bucket, err := bucketOperation(in, "admin:SetBucketQuota")
	if err != nil {
		return nil, err
	}
	op.MaxBody = maxBody
	op.Handler = edge.HandlerFunc(func(ctx context.Context, w *edge.Writer, call *edge.Call) error {
		var body quotaBody
		if err := readJSON(call, &body); err != nil {
			return err
		}
		quota, err := body.bytes()
		if err != nil {
			return err
		}
		if _, err := p.store.UpdateBucket(ctx, bucket, func(config *object.BucketConfig) error {
			config.Quota = quota
			return nil
		}); err != nil {
			return err
		}
		return writeOK(w)
	})
	return op, nil
}

// getBucketQuota reads a bucket's quota, 0 if it has none.
func (p *Protocol) getBucketQuota(in *input) (*edge.Operation, error) {
	op, bucket, err := bucketOperation(in, "admin:GetBucketQuota")
	if err != nil {
		return nil, err
	}
	op.Handler = edge.HandlerFunc(func(ctx context.Context, w *edge.Writer, _ *edge.Call) error {
		b, err := p.store.Bucket(ctx, bucket)
		if err != nil {
			return err
		}
		return writeJSON(w, newQuota(b.Config.Quota))
	})
	return op, nil
}
