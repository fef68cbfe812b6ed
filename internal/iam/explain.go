package iam

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/larder-cache/larder/internal/fault"
)

// Question asks whether somebody may, as people write it.
type Question struct {
	User     string    // a user, access key, subject or root; "" for anonymous
	Action   string    // "s3:GetObject"
	Resource string    // bucket, bucket/key, or an ARN
	Target   string    // the user whom an admin action is about
	SourceIP string    // "" if it does not matter
	TLS      bool      // whether the request comes over TLS
	At       time.Time // of the request; zero means the time of the call
	Facts    []string  // "key=value" of condition keys that come from the request
	Claims   []string  // "claim=value" of the token that a session is made from
}

// Request returns what is asked. Of the principal it holds the claims; who it is
// is still to be found. It is fault.Invalid for an unknown action or claim and a
// malformed address or fact.
func (q *Question) Request(now time.Time) (Request, error) {
	invalid := func(format string, args ...any) (Request, error) {
		return Request{}, fault.Wrap(fault.Invalid, fault.Policy, "", fmt.Errorf(format, args...))
	}
	bucket, key, _ := strings.Cut(strings.TrimPrefix(q.Resource, resourceHead), "/")
	r := Request{
		Check: Check{Action: Action(q.Action), Resource: Resource{Bucket: bucket, Key: key}, Target: UserName(q.Target)},
		Facts: Facts{Time: q.At, TLS: q.TLS, S3: map[string][]string{}},
	}
	if _, ok := actions.ids[r.Check.Action]; !ok {
		return invalid("unknown action %q%s", q.Action, suggest(q.Action, actionNames()))
	}
	if q.At.IsZero() {
		r.Facts.Time = now
	}
	if q.SourceIP != "" {
		addr, err := netip.ParseAddr(q.SourceIP)
		if err != nil {
			return invalid("source address: %w", err)
		}
		r.Facts.SourceIP = addr
	}
	for _, fact := range q.Facts {
		name, value, ok := strings.Cut(fact, "=")
		if !ok {
			return invalid("fact %q is not of the form key=value", fact)
		}
		if err := r.Facts.set(name, value); err != nil {
			return invalid("fact %q: %w", fact, err)
		}
	}
	for _, claim := range q.Claims {
		name, value, ok := strings.Cut(claim, "=")
		if !ok || !KnownClaim(name) {
			return invalid("claim %q is not claim=value of one that policies may name%s", claim, suggest("jwt:"+name, keyNames()))
		}
		if r.Principal.Claims == nil {
			r.Principal.Claims = map[string][]string{}
		}
		r.Principal.Claims[name] = append(r.Principal.Claims[name], value)
	}
	return r, nil
}

// set gives a condition key a value, if the request is where it comes from.
func (f *Facts) set(name, value string) error {
	k, err := lookupKey(name)
	switch {
	case err != nil:
		return err
	case k.rule.source == fromS3:
		f.S3[name] = append(f.S3[name], value)
	case k.rule.source == fromReferer:
		f.Referer = value
	case k.rule.source == fromUserAgent:
		f.UserAgent = value
	default:
		return errors.New("the server finds this key's value by itself")
	}
	return nil
}

// Explanation is a decision about somebody who is not asking himself.
type Explanation struct {
	Allowed  bool         `json:"allowed"`
	Reason   string       `json:"reason"`
	Kind     string       `json:"kind"` // "user", "service account", …
	User     UserName     `json:"user,omitempty"`
	Groups   []GroupName  `json:"groups,omitempty"`       // whose policies count
	Policies []PolicyName `json:"policies,omitempty"`     // of the user and his groups
	Inline   bool         `json:"inline,omitempty"`       // the credential has a policy of its own
	Bucket   bool         `json:"bucketPolicy,omitempty"` // the bucket has a policy
	Refused  string       `json:"refused,omitempty"`      // why he could not even sign in; then he is not allowed
}

// Explain decides a request and says by what.
func Explain(r Request, g Grants) Explanation {
	d := Evaluate(r, g)
	e := Explanation{
		Allowed: d.Allowed, Reason: d.Reason, Kind: r.Principal.Kind.String(), User: r.Principal.User, Groups: r.Principal.Groups,
		Inline: g.Inline != nil, Bucket: r.BucketPolicy != nil,
	}
	for _, p := range g.Policies {
		e.Policies = append(e.Policies, p.Name)
	}
	return e
}
