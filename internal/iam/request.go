package iam

import (
	"net/netip"
	"time"
)

// Action is one action of a policy, "s3:GetObject" or "admin:CreateUser".
type Action string

// Resource is what an action touches. Bucket and Key empty: the service itself;
// Key empty: the bucket.
type Resource struct {
	Bucket string
	Key    string
}

// ARN returns "arn:aws:s3:::bucket/key".
func (r Resource) ARN() string {
	arn := "arn:aws:s3:::" + r.Bucket
	if r.Key != "" {
		arn += "/" + r.Key
	}
	return arn
}

// Check is one (action, resource) that a request needs. A request that touches
// several resources needs every one of its checks allowed.
type Check struct {
	Action   Action
	Resource Resource
}

// Facts are what the server established about a request, from which condition
// keys take their values. Each key has one source, in a fixed table of this
// package; nothing else of the request can reach a policy.
type Facts struct {
	Time      time.Time
	SourceIP  netip.Addr
	TLS       bool
	UserAgent string
	Referer   string

	// S3 holds the values of "s3:…" keys as the protocol parsed them, by full
	// key: "s3:prefix", "s3:max-keys", "s3:x-amz-copy-source", …
	S3 map[string][]string
}

// Request is everything that a decision depends on.
type Request struct {
	Principal Principal
	Check     Check
	Facts     Facts

	// BucketPolicy is the policy of the bucket that the check touches, nil if it
	// has none. It counts for everybody, as on AWS.
	BucketPolicy *Policy
}

// Decision says whether, and why.
type Decision struct {
	Allowed bool
	Reason  string // for the one who administers, not for the caller: "denied by statement 2 of policy ci"
}
