package identity

import (
	"context"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/iam"
)

// Explain decides what a user, service account, subject or root may, by what
// counts now. An unknown one is NotFound of noun User.
func (s *Service) Explain(ctx context.Context, q iam.Question) (iam.Explanation, error) {
	r, err := q.Request(s.now())
	if err != nil {
		return iam.Explanation{}, err
	}
	st := s.current.Load()
	who, refused, err := s.principal(st, q.User)
	if err != nil {
		return iam.Explanation{}, err
	}
	if r.Principal.Claims != nil {
		who.Claims = r.Principal.Claims
	}
	r.Principal = who
	if r.BucketPolicy, err = s.bucketPolicy(ctx, r.Check.Resource.Bucket); err != nil {
		return iam.Explanation{}, err
	}
	if r.Check.Resource.Key != "" {
		r.Facts.ExistingTag = s.tagsOf(ctx, r.Check.Resource)
	}
	e := iam.Explain(r, s.grants(st, r.Principal))
	e.Refused = refused
	e.Allowed = e.Allowed && refused == ""
	return e, nil
}

// principal is as whom somebody of a name would sign, and why he could not.
func (s *Service) principal(st *state, name string) (p iam.Principal, refused string, err error) {
	user, isUser := st.doc.Users[iam.UserName(name)]
	account, isAccount := st.doc.Accounts[iam.AccessKeyID(name)]
	subject, isSubject := st.doc.Subjects[iam.UserName(name)]
	switch {
	case name == "":
	case iam.UserName(name) == s.RootName():
		p = iam.Principal{Kind: iam.Root, User: s.RootName(), AccessKey: iam.AccessKeyID(name)}
	case isUser:
		p = iam.Principal{Kind: iam.User, User: iam.UserName(name), AccessKey: iam.AccessKeyID(name)}
		if user.Disabled {
			refused = "the user is disabled"
		}
	case isAccount:
		p = iam.Principal{Kind: iam.ServiceAccount, Parent: account.Kind, User: account.Parent, AccessKey: iam.AccessKeyID(name), Claims: account.Claims, Mapped: account.Mapped}
		if account.Kind == iam.Root {
			p.User = s.RootName()
		}
		refused = s.accountState(st, account, s.now())
	case isSubject:
		p = iam.Principal{Kind: iam.Session, Parent: iam.Subject, User: iam.UserName(name), Mapped: subject.Policies}
		if subject.Disabled || s.lapsed(subject, s.now()) {
			refused = "the subject is disabled or has lapsed"
		}
	default:
		return p, "", fault.Missing(fault.User, name)
	}
	p.Groups = st.holders[p.User].groups
	return p, refused, nil
}
