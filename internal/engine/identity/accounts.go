package identity

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/iam"
)

const (
	maxText = 256 // bytes of a name or description

	// maxAccounts is how many service accounts a user or subject has at most:
	// everybody may make his own, and all of them are in one document.
	maxAccounts = 500

	// keepExpired is how long an expired service account can still be looked at,
	// and given another expiry.
	keepExpired = 30 * 24 * time.Hour
)

func (s *Service) account(key iam.AccessKeyID, r accountRecord) iam.Account {
	a := iam.Account{
		AccessKey: key, ParentKind: r.Kind, Parent: r.Parent, Enabled: !r.Disabled, Policy: r.Policy, Name: r.Name,
		Description: r.Description, Expires: r.Expires, Created: r.Created, Updated: r.Updated,
	}
	if r.Kind == iam.Root {
		a.Parent = s.RootName()
	}
	return a
}

// Account returns one service account; it is NotFound of noun AccessKey.
func (s *Service) Account(key iam.AccessKeyID) (iam.Account, error) {
	record, ok := s.current.Load().doc.Accounts[key]
	if !ok {
		return iam.Account{}, fault.Missing(fault.AccessKey, string(key))
	}
	return s.account(key, record), nil
}

// Accounts returns the service accounts of a parent, by key; "" means of
// everybody.
func (s *Service) Accounts(parent iam.UserName) []iam.Account {
	doc := s.current.Load().doc
	accounts := []iam.Account{}
	for _, key := range slices.Sorted(maps.Keys(doc.Accounts)) {
		if a := s.account(key, doc.Accounts[key]); parent == "" || a.Parent == parent {
			accounts = append(accounts, a)
		}
	}
	return accounts
}

// CreateAccount makes a service account and returns its secret, which cannot be
// had again. It is NotFound of noun User for an unknown parent, Conflict of noun
// AccessKey for a key in use, TooLarge for a parent who has maxAccounts, and
// Invalid for what breaks the rules.
//
// Whatever the protocol decided, it is Denied to make a key of root's for anybody
// but root, and for a credential with a policy of its own to make a key for its
// own parent: that key would not be bound by the policy.
func (s *Service) CreateAccount(ctx context.Context, by iam.Actor, spec iam.AccountSpec) (iam.Account, iam.Secret, error) {
	if spec.AccessKey == "" {
		spec.AccessKey = iam.AccessKeyID(randomText(20, upperAlphabet))
	}
	if spec.Secret == "" {
		spec.Secret = iam.Secret(randomText(40, mixedAlphabet))
	}
	record, err := s.checkAccount(spec)
	if err != nil {
		return iam.Account{}, "", err
	}
	err = s.change(ctx, by, func(d *document) (*iam.Change, error) {
		if err := s.free(d, spec.AccessKey); err != nil {
			return nil, err
		}
		if err := s.setParent(d, by, spec.Parent, &record); err != nil {
			return nil, err
		}
		if record.Kind != iam.Root && d.accountsOf(record.Kind, record.Parent) >= maxAccounts {
			return nil, fault.Wrap(fault.TooLarge, fault.AccessKey, "", fmt.Errorf("%s has %d access keys, the most that one may have: remove some first", record.Parent, maxAccounts))
		}
		d.Accounts[spec.AccessKey] = record
		return &iam.Change{Action: "key.create", Target: string(spec.AccessKey), After: s.account(spec.AccessKey, record)}, nil
	})
	if err != nil {
		return iam.Account{}, "", err
	}
	return s.account(spec.AccessKey, record), spec.Secret, nil
}

// accountsOf counts the service accounts of a parent.
func (d *document) accountsOf(kind iam.Kind, parent iam.UserName) (n int) {
	for _, a := range d.Accounts {
		if a.Kind == kind && a.Parent == parent {
			n++
		}
	}
	return n
}

// checkAccount checks all of a specification but its parent.
func (s *Service) checkAccount(spec iam.AccountSpec) (accountRecord, error) {
	if _, err := iam.ParseAccessKey(string(spec.AccessKey)); err != nil {
		return accountRecord{}, err
	}
	if _, err := iam.ParseSecret(spec.Secret.Reveal()); err != nil {
		return accountRecord{}, err
	}
	policy, err := inlinePolicy(spec.Policy, iam.MaxServiceAccountPolicySize)
	if err != nil {
		return accountRecord{}, err
	}
	now := s.now()
	record := accountRecord{
		Secret: storedSecret(spec.Secret.Reveal()), Policy: policy, Name: spec.Name, Description: spec.Description,
		Expires: spec.Expires, Created: now, Updated: now,
	}
	return record, record.check(now)
}

func (r accountRecord) check(now time.Time) error {
	for _, text := range []string{r.Name, r.Description} {
		if len(text) > maxText || strings.ContainsFunc(text, func(c rune) bool { return c < ' ' }) {
			return fault.Wrap(fault.Invalid, fault.AccessKey, "", errors.New("a name or description has at most 256 bytes and no control characters"))
		}
	}
	if !r.Expires.IsZero() && !r.Expires.After(now) {
		return fault.Wrap(fault.Invalid, fault.AccessKey, "", errors.New("the expiry is in the past"))
	}
	return nil
}

// inlinePolicy checks a credential's own policy and returns it compact; nil if
// there is none.
func inlinePolicy(doc []byte, limit int) (json.RawMessage, error) {
	if trimmed := bytes.TrimSpace(doc); len(trimmed) == 0 || string(trimmed) == "null" || string(trimmed) == "{}" {
		return nil, nil
	}
	p, err := iam.ParsePolicy(doc)
	if err != nil {
		return nil, err
	}
	if len(p.Document()) > limit {
		return nil, fault.New(fault.TooLarge, fault.Policy, "")
	}
	return p.Document(), nil
}

// setParent finds the parent and checks that the actor may make keys for it at
// all.
func (s *Service) setParent(d *document, by iam.Actor, parent iam.UserName, r *accountRecord) error {
	actor := by.Principal
	isRoot := by.Server || actor.Kind == iam.Root || actor.Derived() && actor.Parent == iam.Root
	_, isUser := d.Users[parent]
	_, isSubject := d.Subjects[parent]
	switch {
	case parent == s.RootName() && !isRoot:
		return fault.Wrap(fault.Denied, fault.AccessKey, "", errors.New("only root makes keys of root's"))
	case actor.Derived() && actor.User == parent && s.inlineOf(actor) != nil:
		return fault.Wrap(fault.Denied, fault.AccessKey, "", errors.New("a credential with a policy of its own makes no key for its parent: the policy would not bind it"))
	case parent == s.RootName():
		r.Kind, r.Parent = iam.Root, ""
	case isUser:
		r.Kind, r.Parent = iam.User, parent
	case isSubject:
		r.Kind, r.Parent = iam.Subject, parent
		if actor.Derived() && actor.User == parent {
			r.Claims, r.Mapped = actor.Claims, actor.Mapped
		}
	default:
		return fault.Missing(fault.User, string(parent))
	}
	return nil
}

// UpdateAccount changes a service account, if it still is the one that the caller
// was authorised for. Whatever the protocol decided, it is Denied to a credential
// that may less than its parent to change the policy, expiry or state of its
// parent's keys, its own among them, or the secret of another.
func (s *Service) UpdateAccount(ctx context.Context, by iam.Actor, account iam.Account, set iam.AccountChange) error {
	if set.Secret != nil {
		if _, err := iam.ParseSecret(set.Secret.Reveal()); err != nil {
			return err
		}
	}
	var policy json.RawMessage
	if set.Policy != nil {
		var err error
		if policy, err = inlinePolicy(*set.Policy, iam.MaxServiceAccountPolicySize); err != nil {
			return err
		}
	}
	key, actor := account.AccessKey, by.Principal
	frees := set.Policy != nil || set.Expires != nil || set.Enabled != nil || key != actor.AccessKey
	if frees && account.Parent == actor.User && s.bound(actor) {
		return fault.Wrap(fault.Denied, fault.AccessKey, string(key), errors.New("a credential that may less than its parent changes no key of its parent's"))
	}
	return s.change(ctx, by, func(d *document) (*iam.Change, error) {
		record, err := s.same(d, account)
		if err != nil {
			return nil, err
		}
		made := &iam.Change{Action: "key.set", Target: string(key), Before: s.account(key, record)}
		if err := applyChange(&record, set, policy, s.now()); err != nil {
			return nil, err
		}
		d.Accounts[key] = record
		made.After = s.account(key, record)
		return made, nil
	})
}

// same returns the record of a service account. One that was removed is NotFound,
// even if another has its key since.
func (s *Service) same(d *document, account iam.Account) (accountRecord, error) {
	record, ok := d.Accounts[account.AccessKey]
	if !ok || record.Kind != account.ParentKind || record.Kind != iam.Root && record.Parent != account.Parent || !record.Created.Equal(account.Created) {
		return accountRecord{}, fault.Missing(fault.AccessKey, string(account.AccessKey))
	}
	return record, nil
}

func applyChange(r *accountRecord, set iam.AccountChange, policy json.RawMessage, now time.Time) error {
	if set.Secret != nil {
		r.Secret = storedSecret(set.Secret.Reveal())
	}
	if set.Policy != nil {
		r.Policy = policy
	}
	if set.Enabled != nil {
		r.Disabled = !*set.Enabled
	}
	if set.Name != nil {
		r.Name = *set.Name
	}
	if set.Description != nil {
		r.Description = *set.Description
	}
	expires := r.Expires
	if set.Expires != nil {
		r.Expires, expires = *set.Expires, *set.Expires
	} else {
		r.Expires = time.Time{} // an expired key may be renamed
	}
	err := r.check(now)
	r.Expires, r.Updated = expires, now
	return err
}

// RemoveAccount removes a service account, if it still is the one that the caller
// was authorised for.
func (s *Service) RemoveAccount(ctx context.Context, by iam.Actor, account iam.Account) error {
	return s.change(ctx, by, func(d *document) (*iam.Change, error) {
		record, err := s.same(d, account)
		if err != nil {
			return nil, err
		}
		delete(d.Accounts, account.AccessKey)
		return &iam.Change{Action: "key.remove", Target: string(account.AccessKey), Before: s.account(account.AccessKey, record)}, nil
	})
}
