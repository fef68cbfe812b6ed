package identity

import (
	"context"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/iam"
)

// Explanation is a decision about somebody who is not asking himself.
type Explanation struct {
	Decision  iam.Decision
	Principal iam.Principal     // as whom he would sign
	Policies  []iam.NamedPolicy // that count for him now: his own, and those of his groups
	Inline    *iam.Policy       // a service account's own
	Bucket    *iam.Policy       // the bucket's
	Refused   string            // why he could not even sign in; "" if he could
}

// Explain decides what a user, service account, subject or root may; "" is
// anonymous. An unknown name is NotFound of noun User.
func (s *Service) Explain(ctx context.Context, name string, check iam.Check, facts iam.Facts) (Explanation, error) {
	st := s.current.Load()
	var e Explanation
	user, isUser := st.doc.Users[iam.UserName(name)]
	account, isAccount := st.doc.Accounts[iam.AccessKeyID(name)]
	subject, isSubject := st.doc.Subjects[iam.UserName(name)]
	switch {
	case name == "":
	case iam.UserName(name) == s.RootName():
		e.Principal = iam.Principal{Kind: iam.Root, User: s.RootName()}
	case isUser:
		e.Principal = iam.Principal{Kind: iam.User, User: iam.UserName(name)}
		if user.Disabled {
			e.Refused = "the user is disabled"
		}
	case isAccount:
		e.Principal = iam.Principal{Kind: iam.ServiceAccount, Parent: account.Kind, User: account.Parent, Claims: account.Claims, Expires: account.Expires}
		if account.Kind == iam.Root {
			e.Principal.User = s.RootName()
		}
		e.Refused = s.accountState(st, account, s.now())
	case isSubject:
		e.Principal = iam.Principal{Kind: iam.Session, Parent: iam.Subject, User: iam.UserName(name)}
		if subject.Disabled || s.lapsed(subject, s.now()) {
			e.Refused = "the subject is disabled or has lapsed"
		}
	default:
		return Explanation{}, fault.Missing(fault.User, name)
	}
	if name != "" && !isSubject {
		e.Principal.AccessKey = iam.AccessKeyID(name)
	}
	e.Principal.Groups = st.holders[e.Principal.User].groups
	grants := s.grants(st, e.Principal)
	e.Policies, e.Inline = grants.Policies, grants.Inline
	var err error
	if e.Bucket, err = s.bucketPolicy(ctx, check.Resource.Bucket); err != nil {
		return Explanation{}, err
	}
	if check.Resource.Key != "" {
		facts.ExistingTag = s.tagsOf(ctx, check.Resource)
	}
	e.Decision = iam.Evaluate(iam.Request{Principal: e.Principal, Check: check, Facts: facts, BucketPolicy: e.Bucket}, grants)
	return e, nil
}
