package admin

import (
	"context"
	"errors"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/protocol/edge"
)

// revokeTokens ends all sessions of a user, or of the caller.
func (p *Protocol) revokeTokens(in *input) (*edge.Operation, error) {
	if provider := in.segments[0]; provider != "builtin" && provider != "openid" {
		return notOffered(noLDAP)(p, in)
	}
	if in.query.Get("tokenRevokeType") != "" {
		return notOffered("sessions by type; all sessions of a user end together")(p, in)
	}
	user := iam.UserName(in.query.Get("user"))
	return in.selfService(func(ctx context.Context, w *edge.Writer, call *edge.Call) error {
		who := call.Principal()
		target := user
		if target == "" {
			target = who.User
		}
		if err := call.Authorize(ctx, iam.Check{Action: removeKey, Target: target}); err != nil {
			return err
		}
		if target == p.identity.RootName() && !ofRoot(who) {
			return fault.Wrap(fault.Denied, fault.Session, "", errors.New("root's sessions are ended by root alone"))
		}
		if err := p.identity.RevokeAll(ctx, actor(call), target); err != nil {
			return err
		}
		return writeNoContent(w)
	}), nil
}
