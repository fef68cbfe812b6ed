package identity

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/iam"
)

// secretView is how a changed secret shows in the audit trail.
type secretView struct {
	User   iam.UserInfo `json:"user"`
	Secret string       `json:"secret"` // "set"
}

func (s *state) user(name iam.UserName) (iam.UserInfo, bool) {
	record, ok := s.doc.Users[name]
	return s.view(name, record), ok
}

func (s *state) view(name iam.UserName, r userRecord) iam.UserInfo {
	return iam.UserInfo{Name: name, Enabled: !r.Disabled, Policies: r.Policies, Groups: s.memberOf[name], Updated: r.Updated}
}

// Users returns all users, by name.
func (s *Service) Users() []iam.UserInfo {
	st := s.current.Load()
	users := make([]iam.UserInfo, 0, len(st.doc.Users))
	for _, name := range slices.Sorted(maps.Keys(st.doc.Users)) {
		users = append(users, st.view(name, st.doc.Users[name]))
	}
	return users
}

// User returns one user. Root is not one: he is NotFound of noun User, as are
// service accounts.
func (s *Service) User(name iam.UserName) (iam.UserInfo, error) {
	user, ok := s.current.Load().user(name)
	if !ok {
		return iam.UserInfo{}, fault.Missing(fault.User, string(name))
	}
	return user, nil
}

// SetUser makes a user or changes one. It is Invalid for a name or secret that
// breaks the rules, Conflict of noun AccessKey where root or a service account
// has the name, and of noun BucketPolicy where the policy of a bucket still names
// an earlier user of that name. Whatever the protocol decided, it is Denied to a
// credential with a policy of its own to change the secret of its parent.
func (s *Service) SetUser(ctx context.Context, by iam.Actor, name iam.UserName, set iam.UserChange) error {
	if _, err := iam.ParseUserName(string(name)); err != nil {
		return err
	}
	if set.Secret != nil {
		if _, err := iam.ParseSecret(set.Secret.Reveal()); err != nil {
			return err
		}
	}
	if set.Secret != nil && by.Principal.User == name && s.bound(by.Principal) {
		return fault.Wrap(fault.Denied, fault.User, string(name), errors.New("a credential with a policy of its own does not change the secret of its parent"))
	}
	return s.change(ctx, by, func(d *document) (*iam.Change, error) {
		record, exists := d.Users[name]
		if exists && set.New {
			return nil, fault.New(fault.Exists, fault.User, string(name))
		}
		if !exists {
			if err := s.free(d, iam.AccessKeyID(name)); err != nil {
				return nil, err
			}
			if err := s.unnamed(ctx, name); err != nil {
				return nil, err
			}
			if set.Secret == nil {
				return nil, fault.Wrap(fault.Invalid, fault.Secret, string(name), errors.New("a new user needs a secret key"))
			}
			record.ID = newID()
		}
		st := s.current.Load()
		made := &iam.Change{Action: "user.set", Target: string(name)}
		if exists {
			made.Before = st.view(name, record)
		}
		if set.Secret != nil {
			record.Secret = storedSecret(set.Secret.Reveal())
		}
		if set.Enabled != nil {
			record.Disabled = !*set.Enabled
		}
		record.Updated = s.now()
		d.Users[name] = record
		made.After = st.view(name, record)
		if set.Secret != nil {
			made.After = secretView{st.view(name, record), "set"}
		}
		return made, nil
	})
}

// RemoveUser removes a user, his service accounts and his memberships; his
// sessions end.
func (s *Service) RemoveUser(ctx context.Context, by iam.Actor, name iam.UserName) error {
	return s.change(ctx, by, func(d *document) (*iam.Change, error) {
		record, ok := d.Users[name]
		if !ok {
			return nil, fault.Missing(fault.User, string(name))
		}
		made := &iam.Change{Action: "user.remove", Target: string(name), Before: s.current.Load().view(name, record)}
		delete(d.Users, name)
		d.removeAccounts(iam.User, name)
		for group, g := range d.Groups {
			if slices.Contains(g.Members, name) {
				g.Members, g.Updated = without(g.Members, name), s.now()
				d.Groups[group] = g
			}
		}
		return made, nil
	})
}

// removeAccounts removes the service accounts of a parent.
func (d *document) removeAccounts(kind iam.Kind, parent iam.UserName) {
	maps.DeleteFunc(d.Accounts, func(_ iam.AccessKeyID, a accountRecord) bool { return a.Kind == kind && a.Parent == parent })
}

// free reports that an access key is nobody's yet.
func (s *Service) free(d *document, key iam.AccessKeyID) error {
	_, isUser := d.Users[iam.UserName(key)]
	_, isAccount := d.Accounts[key]
	if isUser || isAccount || key == s.root.Load().AccessKey {
		return fault.New(fault.Conflict, fault.AccessKey, string(key))
	}
	return nil
}

// unnamed reports that no bucket's policy names a user who does not exist.
// Removing a user leaves such policies as they are, since they belong to the
// buckets; whoever got the name next would get what they allow. It holds mu and
// reads what the store has in memory.
func (s *Service) unnamed(ctx context.Context, name iam.UserName) error {
	all, err := s.store.ListBuckets(ctx)
	if err != nil {
		return err
	}
	var naming []string
	for i := range all {
		if b := &all[i]; len(b.Config.Policy) > 0 {
			p, err := s.buckets.parse(string(b.Name), b.Config.Policy)
			if err == nil && slices.Contains(p.Principals(), name) { // one that does not parse allows nothing
				naming = append(naming, string(b.Name))
			}
		}
	}
	if len(naming) == 0 {
		return nil
	}
	return fault.Wrap(fault.Conflict, fault.BucketPolicy, string(name), errors.New("an earlier user "+string(name)+
		" is named by the policy of bucket "+strings.Join(naming, ", ")+", whose rights the new one would have: change that policy first"))
}

func (s *Service) now() time.Time { return s.config.Now().UTC().Truncate(time.Millisecond) }
