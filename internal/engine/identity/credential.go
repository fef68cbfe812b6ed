package identity

import (
	"context"
	"errors"
	"time"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/iam"
)

// Credential returns the credential that signs with an access key. An unknown,
// disabled or expired key is Unauthenticated of noun AccessKey; a token that is
// not ours, does not fit the key or was revoked is Unauthenticated of noun
// Session, one whose grace is over too of noun ExpiredSession.
func (s *Service) Credential(_ context.Context, id iam.AccessKeyID, sessionToken string) (iam.Credential, error) {
	if sessionToken != "" {
		return s.sessionCredential(id, sessionToken)
	}
	refuse := func(why string) (iam.Credential, error) {
		return iam.Credential{}, fault.Wrap(fault.Unauthenticated, fault.AccessKey, string(id), errors.New(why))
	}
	if root := s.root.Load(); id == root.AccessKey {
		return iam.Credential{Principal: iam.Principal{Kind: iam.Root, User: iam.UserName(id), AccessKey: id}, Secret: root.Secret}, nil
	}
	st := s.current.Load()
	if user, ok := st.doc.Users[iam.UserName(id)]; ok {
		if user.Disabled {
			return refuse("the user is disabled")
		}
		p := iam.Principal{Kind: iam.User, User: iam.UserName(id), AccessKey: id, Groups: st.holders[iam.UserName(id)].groups}
		return iam.Credential{Principal: p, Secret: iam.Secret(user.Secret)}, nil
	}
	account, ok := st.doc.Accounts[id]
	if !ok {
		return refuse("no such key")
	}
	if why := s.accountState(st, account, s.now()); why != "" {
		return refuse(why)
	}
	p := iam.Principal{
		Kind: iam.ServiceAccount, Parent: account.Kind, User: account.Parent, AccessKey: id, Claims: account.Claims,
		Groups: st.holders[account.Parent].groups, Expires: account.Expires, Inline: st.inline[id], Mapped: account.Mapped,
	}
	if account.Kind == iam.Root {
		p.User, p.Groups = s.RootName(), nil
	}
	return iam.Credential{Principal: p, Secret: iam.Secret(account.Secret)}, nil
}

// accountState returns why a service account may not sign, "" if it may.
func (s *Service) accountState(st *state, a accountRecord, now time.Time) string {
	switch {
	case a.Disabled:
		return "the key is disabled"
	case !a.Expires.IsZero() && !now.Before(a.Expires):
		return "the key has expired"
	}
	switch a.Kind {
	case iam.Root:
		return ""
	case iam.User:
		if user, ok := st.doc.Users[a.Parent]; ok && !user.Disabled {
			return ""
		}
	case iam.Subject:
		if subject, ok := st.doc.Subjects[a.Parent]; ok && !subject.Disabled && !s.lapsed(subject, now) {
			return ""
		}
	case iam.Anonymous, iam.ServiceAccount, iam.Session:
	}
	return "the key's parent is disabled or gone"
}

func (s *Service) sessionCredential(id iam.AccessKeyID, wire string) (iam.Credential, error) {
	t, err := s.tokens.open(s.sealer, wire)
	if err != nil {
		return iam.Credential{}, err
	}
	if t.AccessKey != id {
		return iam.Credential{}, fault.Wrap(fault.Unauthenticated, fault.Session, string(id), errors.New("the session token is that of another access key"))
	}
	now := s.now()
	parent, err := s.sessionState(t, now)
	if err != nil {
		return iam.Credential{}, err
	}
	if !now.Before(t.Until) {
		return iam.Credential{}, expired(id)
	}
	p := iam.Principal{
		Kind: iam.Session, Parent: t.Kind, User: parent, AccessKey: id, Claims: t.Claims, Expires: t.Expires, Until: t.Until,
		Inline: t.inline, Session: t.Family, Mapped: t.Mapped,
	}
	if t.Kind == iam.User {
		p.Groups = s.current.Load().holders[t.Parent].groups
	}
	return iam.Credential{Principal: p, Secret: iam.Secret(t.Secret)}, nil
}

// bound reports whether a derived credential may less than its parent: by a
// policy of its own, or by what was mapped to the subject it came from.
func (s *Service) bound(p iam.Principal) bool {
	return p.Derived() && (s.inlineOf(p) != nil || p.Mapped != nil)
}

// inlineOf returns the own policy of a derived credential, as it is now.
func (s *Service) inlineOf(p iam.Principal) *iam.Policy {
	if p.Kind == iam.ServiceAccount {
		return s.current.Load().inline[p.AccessKey]
	}
	return p.Inline
}
