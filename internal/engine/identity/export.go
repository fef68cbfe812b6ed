package identity

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/iam"
)

// Export returns all identities. Whoever gets it can sign as everybody.
func (s *Service) Export() iam.Export {
	doc := s.current.Load().doc
	e := iam.Export{
		Users: map[iam.UserName]iam.ExportUser{}, Groups: map[iam.GroupName]iam.ExportGroup{},
		Policies: map[iam.PolicyName]json.RawMessage{}, Accounts: map[iam.AccessKeyID]iam.ExportAccount{},
	}
	for name, r := range doc.Users {
		e.Users[name] = iam.ExportUser{Secret: iam.Secret(r.Secret), Enabled: !r.Disabled, Policies: r.Policies}
	}
	for name, r := range doc.Groups {
		e.Groups[name] = iam.ExportGroup{Members: r.Members, Enabled: !r.Disabled, Policies: r.Policies}
	}
	for name, r := range doc.Policies {
		e.Policies[name] = r.Document
	}
	for key, r := range doc.Accounts {
		if r.Kind == iam.Subject {
			continue
		}
		e.Accounts[key] = iam.ExportAccount{
			Root: r.Kind == iam.Root, Parent: r.Parent, Secret: iam.Secret(r.Secret), Policy: r.Policy, Enabled: !r.Disabled,
			Name: r.Name, Description: r.Description, Expires: r.Expires,
		}
	}
	return e
}

// Import adds identities, replacing those of the same name, as one change or
// none: the error names the first thing that is wrong. Each is checked as if it
// were made singly; members, parents and attached policies exist, here or in the
// import. Whatever the protocol decided, it is Denied to anybody but root to
// import keys of root's, and to change who he is himself.
func (s *Service) Import(ctx context.Context, by iam.Actor, e iam.Export) (iam.Imported, error) {
	n := iam.Imported{Users: len(e.Users), Groups: len(e.Groups), Policies: len(e.Policies), Accounts: len(e.Accounts)}
	err := s.change(ctx, by, func(d *document) (*iam.Change, error) {
		users := func(d *document, by iam.Actor, e iam.Export) error { return s.importUsers(ctx, d, by, e) }
		for _, step := range []func(*document, iam.Actor, iam.Export) error{s.importPolicies, users, s.importGroups, s.importAccounts} {
			if err := step(d, by, e); err != nil {
				return nil, err
			}
		}
		return &iam.Change{Action: "import", Target: "identities", After: exportNames(e)}, nil
	})
	if err != nil {
		return iam.Imported{}, err
	}
	return n, nil
}

// names is what the audit trail shows of an import.
func exportNames(e iam.Export) any {
	return map[string]any{
		"users": slices.Sorted(maps.Keys(e.Users)), "groups": slices.Sorted(maps.Keys(e.Groups)),
		"policies": slices.Sorted(maps.Keys(e.Policies)), "keys": slices.Sorted(maps.Keys(e.Accounts)),
	}
}

func (s *Service) importPolicies(d *document, _ iam.Actor, e iam.Export) error {
	now := s.now()
	builtIn := iam.BuiltinPolicies()
	for _, name := range slices.Sorted(maps.Keys(e.Policies)) {
		if _, err := iam.ParsePolicyName(string(name)); err != nil {
			return fmt.Errorf("policy %q: %w", name, err)
		}
		p, err := iam.ParsePolicy(e.Policies[name])
		if err != nil {
			return fmt.Errorf("policy %q: %w", name, err)
		}
		record, exists := d.Policies[name]
		if same := builtIn[name]; !exists && same != nil && same.Equal(p) {
			continue
		}
		if !exists {
			record.Created = now
		}
		record.Document, record.Updated = p.Document(), now
		d.Policies[name] = record
	}
	return nil
}

// importUsers lets root alone, who may write every bucket's policy, bring users
// back whom buckets' policies name.
func (s *Service) importUsers(ctx context.Context, d *document, by iam.Actor, e iam.Export) error {
	now := s.now()
	for _, name := range slices.Sorted(maps.Keys(e.Users)) {
		u := e.Users[name]
		if by.Principal.Kind != iam.Root && by.Principal.User == name && !by.Server {
			return fault.Wrap(fault.Denied, fault.User, string(name), errors.New("nobody imports himself"))
		}
		if _, err := iam.ParseUserName(string(name)); err != nil {
			return fmt.Errorf("user %q: %w", name, err)
		}
		if _, err := iam.ParseSecret(u.Secret.Reveal()); err != nil {
			return fmt.Errorf("user %q: %w", name, err)
		}
		record, exists := d.Users[name]
		if !exists {
			if err := s.free(d, iam.AccessKeyID(name)); err != nil {
				return err
			}
			if by.Principal.Kind != iam.Root && !by.Server {
				if err := s.unnamed(ctx, name); err != nil {
					return err
				}
			}
			record.ID = newID()
		}
		if err := d.havePolicies(u.Policies); err != nil {
			return fmt.Errorf("user %q: %w", name, err)
		}
		record.Secret, record.Disabled, record.Policies, record.Updated = storedSecret(u.Secret), !u.Enabled, with(u.Policies), now
		d.Users[name] = record
	}
	return nil
}

func (d *document) havePolicies(names []iam.PolicyName) error {
	for _, name := range names {
		if !d.hasPolicy(name) {
			return fault.Missing(fault.Policy, string(name))
		}
	}
	return nil
}

func (s *Service) importGroups(d *document, _ iam.Actor, e iam.Export) error {
	now := s.now()
	for _, name := range slices.Sorted(maps.Keys(e.Groups)) {
		g := e.Groups[name]
		if _, err := iam.ParseGroupName(string(name)); err != nil {
			return fmt.Errorf("group %q: %w", name, err)
		}
		if err := d.havePolicies(g.Policies); err != nil {
			return fmt.Errorf("group %q: %w", name, err)
		}
		for _, member := range g.Members {
			if _, ok := d.Users[member]; !ok {
				return fmt.Errorf("group %q: %w", name, fault.Missing(fault.User, string(member)))
			}
		}
		d.Groups[name] = groupRecord{Members: with(g.Members), Disabled: !g.Enabled, Policies: with(g.Policies), Updated: now}
	}
	return nil
}

func (s *Service) importAccounts(d *document, by iam.Actor, e iam.Export) error {
	for _, key := range slices.Sorted(maps.Keys(e.Accounts)) {
		a := e.Accounts[key]
		parent := a.Parent
		if a.Root {
			parent = s.RootName()
		} else if _, ok := d.Users[parent]; !ok {
			return fmt.Errorf("access key %q: %w", key, fault.Missing(fault.User, string(parent)))
		}
		record, err := s.checkAccount(iam.AccountSpec{
			AccessKey: key, Secret: a.Secret, Policy: a.Policy, Name: a.Name, Description: a.Description,
		})
		if err != nil {
			return fmt.Errorf("access key %q: %w", key, err)
		}
		if err := s.setParent(d, by, parent, &record); err != nil {
			return fmt.Errorf("access key %q: %w", key, err)
		}
		before, exists := d.Accounts[key]
		switch {
		case !exists:
			if err := s.free(d, key); err != nil {
				return err
			}
		case before.Kind != record.Kind || before.Parent != record.Parent:
			return fault.Wrap(fault.Conflict, fault.AccessKey, string(key), errors.New("the key exists and has another parent"))
		}
		record.Disabled, record.Expires = !a.Enabled, a.Expires
		d.Accounts[key] = record
	}
	return nil
}
