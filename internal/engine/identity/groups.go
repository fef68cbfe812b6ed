package identity

import (
	"context"
	"maps"
	"slices"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/iam"
)

func (r groupRecord) view(name iam.GroupName) iam.GroupInfo {
	return iam.GroupInfo{Name: name, Enabled: !r.Disabled, Members: r.Members, Policies: r.Policies, Updated: r.Updated}
}

// Groups returns the names of all groups, sorted.
func (s *Service) Groups() []iam.GroupName {
	return slices.Sorted(maps.Keys(s.current.Load().doc.Groups))
}

// Group returns one group.
func (s *Service) Group(name iam.GroupName) (iam.GroupInfo, error) {
	record, ok := s.current.Load().doc.Groups[name]
	if !ok {
		return iam.GroupInfo{}, fault.Missing(fault.Group, string(name))
	}
	return record.view(name), nil
}

// AddMembers adds users to a group and makes the group if there is none; no
// users make an empty group. An unknown user is NotFound of noun User.
func (s *Service) AddMembers(ctx context.Context, by iam.Actor, name iam.GroupName, members []iam.UserName) error {
	if _, err := iam.ParseGroupName(string(name)); err != nil {
		return err
	}
	return s.change(ctx, by, func(d *document) (*iam.Change, error) {
		for _, member := range members {
			if _, ok := d.Users[member]; !ok {
				return nil, fault.Missing(fault.User, string(member))
			}
		}
		record, exists := d.Groups[name]
		made := &iam.Change{Action: "group.add", Target: string(name)}
		if exists {
			made.Before = record.view(name)
		}
		record.Members, record.Updated = with(record.Members, members...), s.now()
		d.Groups[name] = record
		made.After = record.view(name)
		return made, nil
	})
}

// RemoveMembers takes users out of a group; no users removes the group itself,
// which is Conflict of noun Group while it has members. Unknown members are left
// alone.
func (s *Service) RemoveMembers(ctx context.Context, by iam.Actor, name iam.GroupName, members []iam.UserName) error {
	return s.change(ctx, by, func(d *document) (*iam.Change, error) {
		record, ok := d.Groups[name]
		if !ok {
			return nil, fault.Missing(fault.Group, string(name))
		}
		if len(members) > 0 {
			made := &iam.Change{Action: "group.take", Target: string(name), Before: record.view(name)}
			record.Members, record.Updated = without(record.Members, members...), s.now()
			d.Groups[name] = record
			made.After = record.view(name)
			return made, nil
		}
		if len(record.Members) > 0 {
			return nil, fault.New(fault.Conflict, fault.Group, string(name))
		}
		delete(d.Groups, name)
		return &iam.Change{Action: "group.remove", Target: string(name), Before: record.view(name)}, nil
	})
}

// SetGroupEnabled says whether a group's policies count.
func (s *Service) SetGroupEnabled(ctx context.Context, by iam.Actor, name iam.GroupName, enabled bool) error {
	return s.change(ctx, by, func(d *document) (*iam.Change, error) {
		record, ok := d.Groups[name]
		if !ok {
			return nil, fault.Missing(fault.Group, string(name))
		}
		made := &iam.Change{Action: "group.set", Target: string(name), Before: record.view(name)}
		record.Disabled, record.Updated = !enabled, s.now()
		d.Groups[name] = record
		made.After = record.view(name)
		return made, nil
	})
}
