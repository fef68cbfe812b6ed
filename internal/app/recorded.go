package app

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"

	"github.com/larder-cache/larder/internal/engine/identity"
	"github.com/larder-cache/larder/internal/engine/local"
	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/object"
)

// recorded is the store as S3 and the admin API see it: what they change of buckets and their
// configuration enters the audit trail, with the actor that the pipeline put
// into the context.
type recorded struct {
	*local.Store
	trail *identity.Service
	log   *slog.Logger
}

// CreateBucket implements object.Buckets.
func (r *recorded) CreateBucket(ctx context.Context, name object.BucketName, config object.BucketConfig) (object.Bucket, error) {
	bucket, err := r.Store.CreateBucket(ctx, name, config)
	if err == nil {
		r.record(ctx, "bucket.create", name, nil, configView(bucket.Config))
	}
	return bucket, err
}

// DeleteBucket implements object.Buckets.
func (r *recorded) DeleteBucket(ctx context.Context, name object.BucketName) error {
	before, _ := r.Bucket(ctx, name) // an absent one is the deletion's error
	err := r.Store.DeleteBucket(ctx, name)
	if err == nil {
		r.record(ctx, "bucket.delete", name, configView(before.Config), nil)
	}
	return err
}

// UpdateBucket implements object.Buckets.
func (r *recorded) UpdateBucket(ctx context.Context, name object.BucketName, change func(*object.BucketConfig) error) (object.Bucket, error) {
	var before json.RawMessage
	bucket, err := r.Store.UpdateBucket(ctx, name, func(config *object.BucketConfig) error {
		before = configView(*config)
		return change(config)
	})
	if err != nil {
		return bucket, err
	}
	if after := configView(bucket.Config); !bytes.Equal(before, after) {
		r.record(ctx, "bucket.set", name, before, after)
	}
	return bucket, nil
}

func (r *recorded) record(ctx context.Context, action string, name object.BucketName, before, after json.RawMessage) {
	change := iam.Change{Action: action, Target: "bucket " + string(name)}
	if before != nil {
		change.Before = before
	}
	if after != nil {
		change.After = after
	}
	if err := r.trail.Record(ctx, iam.ActorFrom(ctx), change); err != nil {
		r.log.ErrorContext(ctx, "a change is not in the audit trail", "action", action, "bucket", string(name), "error", err)
	}
}

// configView is a bucket's configuration as people read it: its policy is JSON,
// not bytes.
func configView(config object.BucketConfig) json.RawMessage {
	policy := json.RawMessage(config.Policy)
	if len(policy) > 0 && !json.Valid(policy) {
		policy = json.RawMessage(`"not JSON"`)
	}
	text, err := json.Marshal(struct {
		Cache  bool            `json:"cache,omitempty"`
		Quota  int64           `json:"quota,omitempty"` // bytes
		Policy json.RawMessage `json:"policy,omitempty"`
		Tags   []object.Tag    `json:"tags,omitempty"`
	}{config.Cache, config.Quota, policy, config.Tags})
	if err != nil {
		return json.RawMessage(`"cannot be shown"`)
	}
	return text
}
