package identity_test

import (
	"testing"

	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/object"
)

// BenchmarkRequest is what identities cost a request: the credential of a
// session, and one decision on a bucket with a policy.
func BenchmarkRequest(b *testing.B) {
	w := newWorld(b)
	ctx := b.Context()
	w.policy("p", "Allow", "s3:GetObject", "sccache/*")
	w.user("alice", "p", "readonly")
	_, err := w.store.CreateBucket(ctx, "sccache", object.BucketConfig{Policy: []byte(`{"Version":"2012-10-17","Statement":[
		{"Effect":"Deny","Principal":"*","Action":"s3:PutObject","Resource":"arn:aws:s3:::sccache/main/*"}]}`)})
	must(b, err)
	s := w.session(iam.SessionSpec{Policy: statement("Allow", "s3:*", "*")})
	check := iam.Check{Action: "s3:GetObject", Resource: iam.Resource{Bucket: "sccache", Key: "a/b/c/0123456789abcdef"}}
	b.Run("user", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			c, _ := w.Credential(ctx, "alice", "")
			w.Authorize(ctx, c.Principal, check, iam.Facts{Time: w.now})
		}
	})
	b.Run("session", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			c, _ := w.Credential(ctx, s.AccessKey, s.Token)
			w.Authorize(ctx, c.Principal, check, iam.Facts{Time: w.now})
		}
	})
}
