package admin

import (
	"context"
	"errors"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/protocol/edge"
)

// Nobody comes by a right to administer through another right to administer, and
// nobody gives one that he lacks: attaching a policy, writing one, adding a member
// to a group, setting the secret of a user and making or changing keys of his need
// each admin action that the policies in question allow. So whoever may only make
// users, say, does not set an administrator's secret and sign as him. Rights over
// buckets are given and come by freely with these actions, as their names say.

// mayGive authorises a caller to give what policies allow, or to come by it.
// Policies that do not exist are the identity engine's to refuse.
func (p *Protocol) mayGive(ctx context.Context, call *edge.Call, names ...iam.PolicyName) error {
	for _, name := range names {
		info, err := p.identity.Policy(name)
		if errors.Is(err, fault.NotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if err := mayGiveDocument(ctx, call, info.Document); err != nil {
			return err
		}
	}
	return nil
}

// mayGiveDocument is mayGive for the document of a policy. One that does not
// parse is the identity engine's to refuse.
func mayGiveDocument(ctx context.Context, call *edge.Call, document []byte) error {
	policy, err := iam.ParsePolicy(document)
	if err != nil {
		return nil //nolint:nilerr // see above
	}
	for _, action := range policy.Administers() {
		switch err := call.Authorize(ctx, iam.Check{Action: action}); {
		case errors.Is(err, fault.Denied):
			return fault.Wrap(fault.Denied, fault.Policy, "", err)
		case err != nil:
			return err
		}
	}
	return nil
}

// mayActFor authorises a caller to come by what somebody may, by having a
// credential of his. Everybody may for himself; what is root's, the identity
// engine keeps for root.
func (p *Protocol) mayActFor(ctx context.Context, call *edge.Call, name iam.UserName, kind iam.Kind) error {
	if name == call.Principal().User {
		return nil
	}
	policies, err := p.policiesOf(name, kind)
	if errors.Is(err, fault.NotFound) {
		return nil // the identity engine refuses
	}
	if err != nil {
		return err
	}
	return p.mayGive(ctx, call, policies...)
}

// kindOf returns what somebody of a name is: the subject of an issuer, root, or
// else a user, there or not.
func (p *Protocol) kindOf(name iam.UserName) iam.Kind {
	switch {
	case name == p.identity.RootName():
		return iam.Root
	case isSubject(name):
		return iam.Subject
	}
	return iam.User
}
