package admin

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/protocol/edge"
)

// entitiesBody says who holds which policies.
type entitiesBody struct {
	Time     time.Time       `json:"timestamp"`
	Users    []userPolicies  `json:"userMappings,omitempty"`
	Groups   []groupPolicies `json:"groupMappings,omitempty"`
	Policies []policyHolders `json:"policyMappings,omitempty"`
}

type userPolicies struct {
	User     iam.UserName     `json:"user"`
	Policies []iam.PolicyName `json:"policies"`
	Groups   []groupPolicies  `json:"memberOfMappings,omitempty"`
}

type groupPolicies struct {
	Group    iam.GroupName    `json:"group"`
	Policies []iam.PolicyName `json:"policies"`
}

type policyHolders struct {
	Policy iam.PolicyName  `json:"policy"`
	Users  []iam.UserName  `json:"users"`
	Groups []iam.GroupName `json:"groups"`
}

// policyEntities answers who holds which policies: of the users, groups and
// policies that the query names, or of all policies.
func (p *Protocol) policyEntities(in *input) (*edge.Operation, error) {
	users, groups, policies := in.query.All("user"), in.query.All("group"), in.query.All("policy")
	return in.selfService(func(ctx context.Context, w *edge.Writer, call *edge.Call) error {
		if err := mayListEntities(ctx, call, len(users) > 0, len(groups) > 0); err != nil {
			return err
		}
		view, err := p.directory()
		if err != nil {
			return err
		}
		body := entitiesBody{Time: call.Time, Users: view.ofUsers(users), Groups: view.ofGroups(groups)}
		if len(policies) > 0 || len(users)+len(groups) == 0 {
			body.Policies = view.ofPolicies(policies)
		}
		return sealJSON(w, call, body)
	}), nil
}

// mayListEntities authorises. Who may list policies' holders may list all; for
// users or groups alone the right to list those is enough.
func mayListEntities(ctx context.Context, call *edge.Call, users, groups bool) error {
	const all = iam.Action("admin:ListUserPolicies")
	switch {
	case users && !groups:
		return anyOf(ctx, call, all, "admin:ListUsers")
	case groups && !users:
		return anyOf(ctx, call, all, "admin:ListGroups")
	}
	return anyOf(ctx, call, all)
}

// directory is all users and groups.
type directory struct {
	users  []iam.UserInfo
	groups []iam.GroupInfo
}

func (p *Protocol) directory() (directory, error) {
	d := directory{users: p.identity.Users()}
	for _, name := range p.identity.Groups() {
		group, err := p.identity.Group(name)
		if errors.Is(err, fault.NotFound) {
			continue // removed since
		}
		if err != nil {
			return d, err
		}
		d.groups = append(d.groups, group)
	}
	return d, nil
}

func (d *directory) ofUsers(names []string) (found []userPolicies) {
	for _, user := range d.users {
		if slices.Contains(names, string(user.Name)) {
			var groups []string
			for _, group := range user.Groups {
				groups = append(groups, string(group))
			}
			found = append(found, userPolicies{user.Name, notNil(user.Policies), d.ofGroups(groups)})
		}
	}
	return found
}

func (d *directory) ofGroups(names []string) (found []groupPolicies) {
	for _, group := range d.groups {
		if slices.Contains(names, string(group.Name)) && len(group.Policies) > 0 {
			found = append(found, groupPolicies{group.Name, group.Policies})
		}
	}
	return found
}

// ofPolicies returns the holders of the named policies, or of all that are held.
func (d *directory) ofPolicies(names []string) []policyHolders {
	found := make(map[iam.PolicyName]*policyHolders)
	at := func(name iam.PolicyName) *policyHolders {
		if found[name] == nil {
			found[name] = &policyHolders{Policy: name}
		}
		return found[name]
	}
	for _, user := range d.users {
		for _, policy := range user.Policies {
			at(policy).Users = append(at(policy).Users, user.Name)
		}
	}
	for _, group := range d.groups {
		for _, policy := range group.Policies {
			at(policy).Groups = append(at(policy).Groups, group.Name)
		}
	}
	var list []policyHolders
	for name, holders := range found {
		if len(names) == 0 || slices.Contains(names, string(name)) {
			list = append(list, *holders)
		}
	}
	slices.SortFunc(list, func(a, b policyHolders) int { return cmp.Compare(a.Policy, b.Policy) })
	return list
}
