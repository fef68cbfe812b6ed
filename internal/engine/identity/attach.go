package identity

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/iam"
)

// Holder is a user or a group that policies are attached to; one of the two is
// set.
type Holder = iam.Holder

// Attach gives policies to a user or group and returns those it did not hold
// before. It is Exists of noun Policy if it held all of them.
func (s *Service) Attach(ctx context.Context, by Actor, to Holder, policies []iam.PolicyName) (attached []iam.PolicyName, updated time.Time, err error) {
	return s.attach(ctx, by, "policy.attach", to, func(held []iam.PolicyName) ([]iam.PolicyName, []iam.PolicyName, error) {
		fresh := without(with(policies), held...)
		if len(fresh) == 0 {
			return nil, nil, fault.New(fault.Exists, fault.Policy, to.String())
		}
		return with(held, fresh...), fresh, nil
	}, policies)
}

// Detach takes policies from a user or group and returns those it held. It is
// Exists of noun Policy if it held none of them.
func (s *Service) Detach(ctx context.Context, by Actor, from Holder, policies []iam.PolicyName) (detached []iam.PolicyName, updated time.Time, err error) {
	return s.attach(ctx, by, "policy.detach", from, func(held []iam.PolicyName) ([]iam.PolicyName, []iam.PolicyName, error) {
		kept := without(held, policies...)
		if len(kept) == len(held) {
			return nil, nil, fault.New(fault.Exists, fault.Policy, from.String())
		}
		return kept, without(held, kept...), nil
	}, nil)
}

// SetPolicies replaces the policies of a user or group; none detaches all.
func (s *Service) SetPolicies(ctx context.Context, by Actor, of Holder, policies []iam.PolicyName) error {
	_, _, err := s.attach(ctx, by, "policy.replace", of, func([]iam.PolicyName) ([]iam.PolicyName, []iam.PolicyName, error) {
		return with(policies), nil, nil
	}, policies)
	return err
}

// heldView is what the audit trail shows of an attachment.
type heldView struct {
	Policies []iam.PolicyName `json:"policies"`
}

// attach changes what a holder holds. needed must exist.
func (s *Service) attach(ctx context.Context, by Actor, action string, to Holder,
	edit func(held []iam.PolicyName) (next, result []iam.PolicyName, err error), needed []iam.PolicyName,
) (result []iam.PolicyName, updated time.Time, err error) {
	err = s.change(ctx, by, func(d *document) (*Change, error) {
		held, err := d.held(to)
		if err != nil {
			return nil, err
		}
		for _, name := range needed {
			if !d.hasPolicy(name) {
				return nil, fault.Missing(fault.Policy, string(name))
			}
		}
		var next []iam.PolicyName
		if next, result, err = edit(held); err != nil {
			return nil, err
		}
		updated = s.now()
		d.hold(to, next, updated)
		return &Change{Action: action, Target: to.String(), Before: heldView{held}, After: heldView{next}}, nil
	})
	return result, updated, err
}

func (d *document) hasPolicy(name iam.PolicyName) bool {
	_, stored := d.Policies[name]
	_, builtIn := iam.BuiltinPolicies()[name]
	return stored || builtIn
}

func (d *document) held(h Holder) ([]iam.PolicyName, error) {
	if h.Group != "" {
		record, ok := d.Groups[h.Group]
		if !ok {
			return nil, fault.Missing(fault.Group, string(h.Group))
		}
		return record.Policies, nil
	}
	record, ok := d.Users[h.User]
	if !ok {
		return nil, fault.Missing(fault.User, string(h.User))
	}
	return record.Policies, nil
}

func (d *document) hold(h Holder, policies []iam.PolicyName, now time.Time) {
	if h.Group != "" {
		record := d.Groups[h.Group]
		record.Policies, record.Updated = policies, now
		d.Groups[h.Group] = record
		return
	}
	record := d.Users[h.User]
	record.Policies, record.Updated = policies, now
	d.Users[h.User] = record
}

// Entities says who holds what, for users, groups and policies.
type Entities struct {
	Users    []UserEntity
	Groups   []GroupEntity
	Policies []PolicyEntity
}

// UserEntity is a user and the policies attached to him, not those of his groups.
type UserEntity struct {
	User     iam.UserName
	Policies []iam.PolicyName
}

// GroupEntity is a group and its policies.
type GroupEntity struct {
	Group    iam.GroupName
	Policies []iam.PolicyName
}

// PolicyEntity is a policy and who holds it.
type PolicyEntity struct {
	Policy iam.PolicyName
	Users  []iam.UserName
	Groups []iam.GroupName
}

// Entities returns who holds policies. With any argument, it returns only those
// users, groups and policies; without, all that hold or are held.
func (s *Service) Entities(users []iam.UserName, groups []iam.GroupName, policies []iam.PolicyName) Entities {
	doc := s.current.Load().doc
	all := len(users)+len(groups)+len(policies) == 0
	var e Entities
	held := map[iam.PolicyName]*PolicyEntity{}
	entry := func(name iam.PolicyName) *PolicyEntity {
		if held[name] == nil {
			held[name] = &PolicyEntity{Policy: name}
		}
		return held[name]
	}
	for _, name := range slices.Sorted(maps.Keys(doc.Users)) {
		r := doc.Users[name]
		if len(r.Policies) > 0 && (all || slices.Contains(users, name)) {
			e.Users = append(e.Users, UserEntity{name, r.Policies})
		}
		for _, p := range r.Policies {
			entry(p).Users = append(entry(p).Users, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(doc.Groups)) {
		r := doc.Groups[name]
		if len(r.Policies) > 0 && (all || slices.Contains(groups, name)) {
			e.Groups = append(e.Groups, GroupEntity{name, r.Policies})
		}
		for _, p := range r.Policies {
			entry(p).Groups = append(entry(p).Groups, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(held)) {
		if all || slices.Contains(policies, name) {
			e.Policies = append(e.Policies, *held[name])
		}
	}
	return e
}
