package identity

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/object"
)

// Authorize decides whether a principal may, by what counts now: the policies of
// the user and his groups, a derived credential's own policy, and the policy of
// the bucket. A principal that was disabled, removed or revoked since it signed
// may nothing.
func (s *Service) Authorize(ctx context.Context, who iam.Principal, check iam.Check, facts iam.Facts) iam.Decision {
	now := s.now()
	if facts.Time.IsZero() {
		facts.Time = now
	}
	st := s.current.Load()
	if why := s.gone(st, who); why != "" {
		return iam.Decision{Reason: why}
	}
	if who.Kind == iam.Session && !now.Before(who.Expires) {
		if !now.Before(who.Until) || check.Action != "s3:GetObject" && check.Action != "s3:PutObject" {
			return iam.Decision{Expired: true, Reason: ErrExpired.Error()}
		}
		if s.late.first(who.Session) {
			s.config.Logger.WarnContext(ctx, "session goes on after its end", "access_key", string(who.AccessKey),
				"user", string(who.User), "expired", who.Expires, "refused_from", who.Until)
		}
	}
	policy, err := s.bucketPolicy(ctx, check.Resource.Bucket)
	if err != nil && who.Kind != iam.Root {
		return iam.Decision{Reason: "the bucket's policy cannot be read: " + err.Error()}
	}
	if facts.ExistingTag == nil && check.Resource.Key != "" {
		facts.ExistingTag = s.tagsOf(ctx, check.Resource)
	}
	return iam.Evaluate(iam.Request{Principal: who, Check: check, Facts: facts, BucketPolicy: policy}, s.grants(st, who))
}

// tagsOf looks an object's tags up when a policy asks for one.
func (s *Service) tagsOf(ctx context.Context, r iam.Resource) func(string) ([]string, bool) {
	return func(name string) (values []string, known bool) {
		info, err := s.store.Head(ctx, object.BucketName(r.Bucket), object.Key(r.Key))
		if err != nil {
			return nil, errors.Is(err, fault.NotFound)
		}
		for _, tag := range info.Tags {
			if tag.Key == name {
				values = append(values, tag.Value)
			}
		}
		return values, true
	}
}

// grants returns what counts for a principal beside the bucket's policy.
func (s *Service) grants(st *state, who iam.Principal) iam.Grants {
	var g iam.Grants
	if who.Derived() {
		g.Inline = s.inlineOf(who)
	}
	if who.Kind == iam.User || who.Derived() && who.Parent != iam.Root {
		g.Policies = st.holders[who.User].grants
	}
	if who.Parent == iam.Subject && (who.Kind == iam.Session || who.Mapped != nil) {
		g.Policies = slices.Clone(g.Policies)
		for i := range g.Policies {
			g.Policies[i].DenyOnly = !slices.Contains(who.Mapped, g.Policies[i].Name)
		}
	}
	return g
}

// gone returns why a principal that signed may not go on, "" if it may.
func (s *Service) gone(st *state, who iam.Principal) string {
	switch who.Kind {
	case iam.Anonymous:
		return ""
	case iam.Root:
		if who.User != s.RootName() {
			return "the root user has another name now"
		}
	case iam.User:
		if user, ok := st.doc.Users[who.User]; !ok || user.Disabled {
			return "the user is disabled or gone"
		}
	case iam.ServiceAccount:
		account, ok := st.doc.Accounts[who.AccessKey]
		if !ok || account.Kind != who.Parent || account.Kind != iam.Root && account.Parent != who.User {
			return "the key is gone"
		}
		return s.accountState(st, account, s.now())
	case iam.Session:
		return s.sessionGone(st, who)
	case iam.Subject:
		return "a subject signs only with what derives from it"
	}
	return ""
}

func (s *Service) sessionGone(st *state, who iam.Principal) string {
	parent := who.User
	if who.Parent == iam.Root {
		parent = ""
	}
	if who.Session == "" || st.doc.revoked(who.Session, parent) {
		return "the session was revoked"
	}
	switch who.Parent {
	case iam.Root:
		return ""
	case iam.User:
		if user, ok := st.doc.Users[who.User]; ok && !user.Disabled {
			return ""
		}
	case iam.Subject:
		if subject, ok := st.doc.Subjects[who.User]; ok && !subject.Disabled && !s.lapsed(subject, s.now()) {
			return ""
		}
	case iam.Anonymous, iam.ServiceAccount, iam.Session:
	}
	return "the session's parent is disabled or gone"
}

// bucketPolicies keeps parsed bucket policies, by bucket and content.
type bucketPolicies struct {
	mu     sync.RWMutex // guards parsed
	parsed map[string]parsedPolicy
}

type parsedPolicy struct {
	document []byte
	policy   *iam.Policy
	err      error
}

// maxBucketPolicies is how many parsed bucket policies are kept.
const maxBucketPolicies = 10_000

// bucketPolicy returns the policy of a bucket, nil if it has none or there is no
// such bucket.
func (s *Service) bucketPolicy(ctx context.Context, name string) (*iam.Policy, error) {
	bucket, err := object.ParseBucketName(name)
	if err != nil {
		return nil, nil //nolint:nilerr,nilnil // no bucket of that name can have a policy
	}
	b, err := s.store.Bucket(ctx, bucket)
	switch {
	case errors.Is(err, fault.NotFound):
		return nil, nil //nolint:nilnil // nor can an absent one
	case err != nil:
		return nil, err
	case len(b.Config.Policy) == 0:
		return nil, nil //nolint:nilnil // it has none
	}
	return s.buckets.parse(name, b.Config.Policy)
}

func (c *bucketPolicies) parse(bucket string, document []byte) (*iam.Policy, error) {
	c.mu.RLock()
	known, ok := c.parsed[bucket]
	c.mu.RUnlock()
	if ok && bytes.Equal(known.document, document) {
		return known.policy, known.err
	}
	p, err := iam.ParseBucketPolicy(document, bucket)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.parsed == nil || len(c.parsed) >= maxBucketPolicies {
		c.parsed = map[string]parsedPolicy{}
	}
	c.parsed[bucket] = parsedPolicy{bytes.Clone(document), p, err}
	return p, err
}

// CheckBucketPolicy parses a policy before a bucket gets it. Beside what does not
// parse, it is Invalid of noun BucketPolicy if it names a user who does not
// exist, since a user of that name who is made later would have its rights.
func (s *Service) CheckBucketPolicy(document []byte, bucket object.BucketName) (*iam.Policy, error) {
	p, err := iam.ParseBucketPolicy(document, string(bucket))
	if err != nil {
		return nil, err
	}
	doc := s.current.Load().doc
	for _, name := range p.Principals() {
		if _, ok := doc.Users[name]; !ok {
			return nil, fault.Wrap(fault.Invalid, fault.BucketPolicy, string(bucket), errors.New("Principal names the user "+string(name)+", who does not exist"))
		}
	}
	return p, nil
}
