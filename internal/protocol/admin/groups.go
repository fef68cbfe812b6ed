package admin

import (
	"context"
	"errors"
	"time"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/protocol/edge"
)

// groupBody is a group on the wire.
type groupBody struct {
	Name     iam.GroupName  `json:"name"`
	Status   string         `json:"status"`
	Members  []iam.UserName `json:"members"`
	Policies string         `json:"policy"` // separated by commas
	Updated  time.Time      `json:"updatedAt"`
}

// membersBody changes a group's members.
type membersBody struct {
	Group   string         `json:"group"`
	Members []iam.UserName `json:"members"`
	Status  string         `json:"groupStatus"`
	Remove  bool           `json:"isRemove"`
}

// updateGroupMembers adds members, making the group if need be, or removes
// them; to remove no members is to remove the group.
func (p *Protocol) updateGroupMembers(in *input) (*edge.Operation, error) {
	const add, remove = iam.Action("admin:AddUserToGroup"), iam.Action("admin:RemoveUserFromGroup")
	op := in.selfService(func(ctx context.Context, w *edge.Writer, call *edge.Call) error {
		if err := anyOf(ctx, call, add, remove); err != nil {
			return err
		}
		var body membersBody
		if err := readJSON(call, &body); err != nil {
			return err
		}
		action := add
		if body.Remove {
			action = remove
		}
		if err := call.Authorize(ctx, iam.Check{Action: action}); err != nil {
			return err
		}
		group, err := iam.ParseGroupName(body.Group)
		if err != nil {
			return err
		}
		if !body.Remove {
			if err := p.mayGiveGroup(ctx, call, group); err != nil {
				return err
			}
		}
		change := p.identity.AddMembers
		if body.Remove {
			change = p.identity.RemoveMembers // of none: the group itself
		}
		if err := change(ctx, actor(call), group, body.Members); err != nil {
			return err
		}
		return writeOK(w)
	})
	op.MaxBody = maxBody
	return op, nil
}

// mayGiveGroup authorises a caller to give what a group's policies allow.
func (p *Protocol) mayGiveGroup(ctx context.Context, call *edge.Call, name iam.GroupName) error {
	group, err := p.identity.Group(name)
	if errors.Is(err, fault.NotFound) {
		return nil // a new one holds none
	}
	if err != nil {
		return err
	}
	return p.mayGive(ctx, call, group.Policies...)
}

// setGroupStatus enables or disables a group.
func (p *Protocol) setGroupStatus(in *input) (*edge.Operation, error) {
	group, err := iam.ParseGroupName(in.query.Get("group"))
	if err != nil {
		return nil, err
	}
	enabled, err := parseStatus(in.query.Get("status"))
	if err != nil {
		return nil, err
	}
	action := iam.Action("admin:DisableGroup")
	if enabled {
		action = "admin:EnableGroup"
	}
	return in.operation(action, func(ctx context.Context, w *edge.Writer, call *edge.Call) error {
		if enabled {
			if err := p.mayGiveGroup(ctx, call, group); err != nil {
				return err
			}
		}
		if err := p.identity.SetGroupEnabled(ctx, actor(call), group, enabled); err != nil {
			return err
		}
		return writeOK(w)
	}), nil
}

// group describes one group.
func (p *Protocol) group(in *input) (*edge.Operation, error) {
	name, err := iam.ParseGroupName(in.query.Get("group"))
	if err != nil {
		return nil, err
	}
	return in.operation("admin:GetGroup", func(_ context.Context, w *edge.Writer, _ *edge.Call) error {
		group, err := p.identity.Group(name)
		if err != nil {
			return err
		}
		return writeJSON(w, groupBody{
			Name: group.Name, Status: statusText(group.Enabled), Members: notNil(group.Members),
			Policies: joinPolicies(group.Policies), Updated: group.Updated,
		})
	}), nil
}

// groups lists the names of all groups.
func (p *Protocol) groups(in *input) (*edge.Operation, error) {
	return in.operation("admin:ListGroups", func(_ context.Context, w *edge.Writer, _ *edge.Call) error {
		return writeJSON(w, notNil(p.identity.Groups()))
	}), nil
}

// notNil makes JSON write [] instead of null.
func notNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// anyOf authorises a caller who may do at least one of several actions.
func anyOf(ctx context.Context, call *edge.Call, actions ...iam.Action) (err error) {
	for _, action := range actions {
		if err = call.Authorize(ctx, iam.Check{Action: action}); err == nil {
			return nil
		}
	}
	return err
}
