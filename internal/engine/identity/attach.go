package identity

import (
	"context"
	"time"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/iam"
)

// Attach gives policies to a user or group and returns those it did not hold
// before. It is Exists of noun Policy if it held all of them.
func (s *Service) Attach(ctx context.Context, by iam.Actor, to iam.Holder, policies []iam.PolicyName) (attached []iam.PolicyName, updated time.Time, err error) {
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
func (s *Service) Detach(ctx context.Context, by iam.Actor, from iam.Holder, policies []iam.PolicyName) (detached []iam.PolicyName, updated time.Time, err error) {
	return s.attach(ctx, by, "policy.detach", from, func(held []iam.PolicyName) ([]iam.PolicyName, []iam.PolicyName, error) {
		kept := without(held, policies...)
		if len(kept) == len(held) {
			return nil, nil, fault.New(fault.Exists, fault.Policy, from.String())
		}
		return kept, without(held, kept...), nil
	}, nil)
}

// SetPolicies replaces the policies of a user or group; none detaches all.
func (s *Service) SetPolicies(ctx context.Context, by iam.Actor, of iam.Holder, policies []iam.PolicyName) error {
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
func (s *Service) attach(ctx context.Context, by iam.Actor, action string, to iam.Holder,
	edit func(held []iam.PolicyName) (next, result []iam.PolicyName, err error), needed []iam.PolicyName,
) (result []iam.PolicyName, updated time.Time, err error) {
	err = s.change(ctx, by, func(d *document) (*iam.Change, error) {
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
		return &iam.Change{Action: action, Target: to.String(), Before: heldView{held}, After: heldView{next}}, nil
	})
	return result, updated, err
}

func (d *document) hasPolicy(name iam.PolicyName) bool {
	_, stored := d.Policies[name]
	_, builtIn := iam.BuiltinPolicies()[name]
	return stored || builtIn
}

func (d *document) held(h iam.Holder) ([]iam.PolicyName, error) {
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

func (d *document) hold(h iam.Holder, policies []iam.PolicyName, now time.Time) {
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
