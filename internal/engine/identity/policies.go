package identity

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/iam"
)

func (s *state) policy(name iam.PolicyName) (iam.PolicyInfo, bool) {
	p, ok := s.policies[name]
	if !ok {
		return iam.PolicyInfo{}, false
	}
	record, stored := s.doc.Policies[name]
	return iam.PolicyInfo{Name: name, Document: p.Document(), BuiltIn: !stored, Created: record.Created, Updated: record.Updated}, true
}

// Policies returns all policies, by name, the built-in ones too.
func (s *Service) Policies() []iam.PolicyInfo {
	st := s.current.Load()
	policies := make([]iam.PolicyInfo, 0, len(st.policies))
	for _, name := range slices.Sorted(maps.Keys(st.policies)) {
		p, _ := st.policy(name)
		policies = append(policies, p)
	}
	return policies
}

// Policy returns one policy.
func (s *Service) Policy(name iam.PolicyName) (iam.PolicyInfo, error) {
	p, ok := s.current.Load().policy(name)
	if !ok {
		return iam.PolicyInfo{}, fault.Missing(fault.Policy, string(name))
	}
	return p, nil
}

// SetPolicy makes a policy or replaces one, for all who hold it. A document that
// does not parse is Invalid of noun Policy, with the position of the fault. A
// built-in policy can be replaced, and comes back when the replacement is
// removed.
func (s *Service) SetPolicy(ctx context.Context, by iam.Actor, name iam.PolicyName, doc []byte) error {
	if _, err := iam.ParsePolicyName(string(name)); err != nil {
		return err
	}
	p, err := iam.ParsePolicy(doc)
	if err != nil {
		return err
	}
	return s.change(ctx, by, func(d *document) (*iam.Change, error) {
		made := &iam.Change{Action: "policy.set", Target: string(name), After: p.Document()}
		record, exists := d.Policies[name]
		if exists {
			made.Before = record.Document
		} else {
			record.Created = s.now()
		}
		record.Document, record.Updated = p.Document(), s.now()
		d.Policies[name] = record
		return made, nil
	})
}

// RemovePolicy removes a policy; an absent one is no error. It is Conflict of
// noun Policy while a user, group or subject holds it, and for a built-in one.
func (s *Service) RemovePolicy(ctx context.Context, by iam.Actor, name iam.PolicyName) error {
	return s.change(ctx, by, func(d *document) (*iam.Change, error) {
		_, builtIn := iam.BuiltinPolicies()[name]
		record, ok := d.Policies[name]
		switch {
		case !ok && builtIn:
			return nil, fault.Wrap(fault.Conflict, fault.Policy, string(name), errors.New("the policy is built in: it can be replaced, not removed"))
		case !ok:
			return nil, nil //nolint:nilnil // nothing changed
		case !builtIn && d.holds(name):
			return nil, fault.Wrap(fault.Conflict, fault.Policy, string(name), errors.New("the policy is in use: a user or a group holds it"))
		}
		delete(d.Policies, name)
		return &iam.Change{Action: "policy.remove", Target: string(name), Before: record.Document}, nil
	})
}

// holds reports whether somebody holds a policy.
func (d *document) holds(name iam.PolicyName) bool {
	for _, r := range d.Users {
		if slices.Contains(r.Policies, name) {
			return true
		}
	}
	for _, r := range d.Groups {
		if slices.Contains(r.Policies, name) {
			return true
		}
	}
	for _, r := range d.Subjects {
		if slices.Contains(r.Policies, name) {
			return true
		}
	}
	return false
}
