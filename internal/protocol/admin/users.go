package admin

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/protocol/edge"
)

// The states of users and groups on the wire.
const (
	statusEnabled  = "enabled"
	statusDisabled = "disabled"
)

func statusText(enabled bool) string {
	if enabled {
		return statusEnabled
	}
	return statusDisabled
}

func parseStatus(s string) (enabled bool, err error) {
	switch s {
	case statusEnabled:
		return true, nil
	case statusDisabled:
		return false, nil
	}
	return false, invalid(fault.None, "", "a status is %q or %q, not %q", statusEnabled, statusDisabled, s)
}

// userBody is a user on the wire.
type userBody struct {
	Policies string          `json:"policyName,omitempty"` // separated by commas
	Status   string          `json:"status"`
	Groups   []iam.GroupName `json:"memberOf,omitempty"`
	Updated  time.Time       `json:"updatedAt"`
}

func newUserBody(user iam.UserInfo) userBody {
	return userBody{
		Policies: joinPolicies(user.Policies), Status: statusText(user.Enabled),
		Groups: user.Groups, Updated: user.Updated,
	}
}

func joinPolicies(names []iam.PolicyName) string {
	list := make([]string, len(names))
	for i, name := range names {
		list[i] = string(name)
	}
	return strings.Join(list, ",")
}

// userOperation starts an operation on the user that the query names. What is
// one's own is decided by the engine of policies (iam.Check.Target).
func userOperation(in *input, action iam.Action) (*edge.Operation, iam.UserName, error) {
	name, err := iam.ParseUserName(in.query.Get("accessKey"))
	if err != nil {
		return nil, "", err
	}
	op := in.operation(action, nil)
	op.Checks[0].Target = name
	return op, name, nil
}

// addUser makes a user or sets an existing one's secret and status.
func (p *Protocol) addUser(in *input) (*edge.Operation, error) {
	op, name, err := userOperation(in, "admin:CreateUser")
	if err != nil {
		return nil, err
	}
	op.MaxBody = maxBody
	op.Handler = edge.HandlerFunc(func(ctx context.Context, w *edge.Writer, call *edge.Call) error {
		// One changes one's own secret with one's own key. A key that was made for
		// less must not turn into the user it derives from.
		if who := call.Principal(); who.Derived() && who.User == name {
			if err := call.Authorize(ctx, iam.Check{Action: "admin:CreateUser"}); err != nil {
				return err
			}
		}
		_, err := p.identity.User(name)
		if err != nil && !errors.Is(err, fault.NotFound) {
			return err
		}
		exists := err == nil
		if exists { // his secret makes the caller him
			if err := p.mayActFor(ctx, call, name, iam.User); err != nil {
				return err
			}
		}
		var body struct {
			Secret string `json:"secretKey"`
			Status string `json:"status"`
		}
		if err := p.openJSON(ctx, call, &body); err != nil {
			return err
		}
		secret, err := iam.ParseSecret(body.Secret)
		if err != nil {
			return err
		}
		enabled := true
		if body.Status != "" {
			if enabled, err = parseStatus(body.Status); err != nil {
				return err
			}
		}
		if !enabled && call.Principal().User == name {
			return invalid(fault.User, string(name), "nobody disables himself")
		}
		change := iam.UserChange{New: !exists, Secret: &secret, Enabled: &enabled}
		if err := p.identity.SetUser(ctx, actor(call), name, change); err != nil {
			return err
		}
		return writeOK(w)
	})
	return op, nil
}

// setUserStatus enables or disables a user.
func (p *Protocol) setUserStatus(in *input) (*edge.Operation, error) {
	enabled, err := parseStatus(in.query.Get("status"))
	if err != nil {
		return nil, err
	}
	action := iam.Action("admin:DisableUser")
	if enabled {
		action = "admin:EnableUser"
	}
	name, err := need(in.query, "accessKey")
	if err != nil {
		return nil, err
	}
	return in.operation(action, func(ctx context.Context, w *edge.Writer, call *edge.Call) error {
		user := iam.UserName(name)
		if call.Principal().User == user {
			return invalid(fault.User, name, "nobody enables or disables himself")
		}
		var err error
		if isSubject(user) {
			err = p.identity.SetSubjectEnabled(ctx, actor(call), user, enabled)
		} else if _, err = p.identity.User(user); err == nil {
			err = p.identity.SetUser(ctx, actor(call), user, iam.UserChange{Enabled: &enabled})
		}
		if err != nil {
			return err
		}
		return writeOK(w)
	}), nil
}

// isSubject reports whether a name is that of an issuer's subject, "issuer=sub",
// which no user can be called.
func isSubject(name iam.UserName) bool { return strings.Contains(string(name), "=") }

// removeUser removes a user and all keys that derive from him.
func (p *Protocol) removeUser(in *input) (*edge.Operation, error) {
	op, name, err := userOperation(in, "admin:DeleteUser")
	if err != nil {
		return nil, err
	}
	op.Handler = edge.HandlerFunc(func(ctx context.Context, w *edge.Writer, call *edge.Call) error {
		if call.Principal().User == name {
			return invalid(fault.User, string(name), "nobody removes himself")
		}
		if err := p.identity.RemoveUser(ctx, actor(call), name); err != nil {
			return err
		}
		return writeOK(w)
	})
	return op, nil
}

// userInfo describes one user. Root is not one of them.
func (p *Protocol) userInfo(in *input) (*edge.Operation, error) {
	op, name, err := userOperation(in, "admin:GetUser")
	if err != nil {
		return nil, err
	}
	op.Handler = edge.HandlerFunc(func(_ context.Context, w *edge.Writer, _ *edge.Call) error {
		user, err := p.identity.User(name)
		if err != nil {
			return err
		}
		return writeJSON(w, newUserBody(user))
	})
	return op, nil
}

// listSubjects lists those whom OIDC issuers vouch for, who are no users but may
// be disabled like them. It is this server's own addition to the API.
func (p *Protocol) listSubjects(in *input) (*edge.Operation, error) {
	return in.operation("admin:ListUsers", func(_ context.Context, w *edge.Writer, _ *edge.Call) error {
		return writeJSON(w, notNil(p.identity.Subjects()))
	}), nil
}

// listUsers lists all users, encrypted.
func (p *Protocol) listUsers(in *input) (*edge.Operation, error) {
	return in.operation("admin:ListUsers", func(_ context.Context, w *edge.Writer, call *edge.Call) error {
		users := p.identity.Users()
		body := make(map[iam.UserName]userBody, len(users))
		for _, user := range users {
			body[user.Name] = newUserBody(user)
		}
		return sealJSON(w, call, body)
	}), nil
}
