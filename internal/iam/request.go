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

	// Target is the user whom an admin action is about, "" for any other. What
	// everybody may do to himself is decided by it.
	Target UserName
}

// Facts are what the server established about a request, from which condition
// keys take their values. Each key has one source, in a fixed table of this
// package; nothing else of the request can reach a policy.
type Facts struct {
	Time      time.Time
	SourceIP  netip.Addr // of the connection, or what a trusted proxy forwarded
	TLS       bool
	UserAgent string
	Referer   string

	// S3 holds the values of "s3:…", "sts:…" and "svc:…" keys as the protocol
	// parsed them, by full key: "s3:prefix", "s3:max-keys",
	// "s3:RequestObjectTag/team", …
	S3 map[string][]string

	// ExistingTag returns a tag of the object as it is stored, for
	// "s3:ExistingObjectTag/…"; no value if the object is absent or has no such
	// tag. It is called only when a policy asks. Where it is nil or known is false,
	// an Allow that asks does not apply, and a Deny does.
	ExistingTag func(name string) (values []string, known bool)
}

// Request is everything that a decision depends on, but the policies of the
// principal.
type Request struct {
	Principal Principal
	Check     Check
	Facts     Facts

	// BucketPolicy is the policy of the bucket that the check touches, nil if it
	// has none. It counts for everybody, as on AWS.
	BucketPolicy *Policy
}

// NamedPolicy is a policy and the name that reasons call it by.
type NamedPolicy struct {
	Name   PolicyName
	Policy *Policy

	// DenyOnly makes nothing of what the policy allows.
	DenyOnly bool
}

// Grants are the policies that count for a principal now.
type Grants struct {
	// Policies are attached to the user and his groups; of a derived credential,
	// to its parent and the parent's groups.
	Policies []NamedPolicy

	// Inline is a derived credential's own policy: it narrows what the parent
	// may, and adds nothing. nil narrows nothing.
	Inline *Policy
}

// Decision says whether, and why.
type Decision struct {
	Allowed bool
	Expired bool   // the session is past its expiry: not a matter of policies
	Denied  bool   // a Deny statement said so, which no Allow outweighs
	Reason  string // for the one who administers, not for the caller: "denied by statement 2 of policy ci"
}
