package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/protocol/edge"
)

// keyBody is an access key on the wire.
type keyBody struct {
	Parent      iam.UserName    `json:"parentUser"`
	Status      string          `json:"accountStatus"`
	Implied     bool            `json:"impliedPolicy"`
	AccessKey   iam.AccessKeyID `json:"accessKey,omitempty"`
	Policy      string          `json:"policy,omitempty"` // a JSON document in a string
	Name        string          `json:"name,omitempty"`
	Description string          `json:"description,omitempty"`
	Expires     *time.Time      `json:"expiration,omitempty"`
}

func newKeyListBody(key *iam.Account) keyBody {
	expires := wireExpiry(key.Expires)
	body := keyBody{
		Parent: key.Parent, Status: "on", Implied: key.Policy == nil, AccessKey: key.AccessKey,
		Name: key.Name, Description: key.Description, Expires: &expires,
	}
	if !key.Enabled {
		body.Status = "off"
	}
	return body
}

// keyBody describes one key with its policy: its own, or its parent's.
func (p *Protocol) keyBody(key *iam.Account) (keyBody, error) {
	body := newKeyListBody(key)
	body.AccessKey = ""
	if key.Expires.IsZero() {
		body.Expires = nil
	}
	if key.Policy != nil {
		body.Policy = string(key.Policy)
		return body, nil
	}
	document, err := p.rights(key.Parent, key.ParentKind)
	body.Policy = string(document)
	return body, err
}

// rights returns one document with everything that a user's policies say, to be
// shown. Decisions never come from it.
func (p *Protocol) rights(user iam.UserName, kind iam.Kind) (json.RawMessage, error) {
	if kind == iam.Root {
		return iam.BuiltinPolicies()["consoleAdmin"].Document(), nil
	}
	merged := struct {
		Version   string
		Statement []json.RawMessage
	}{Version: "2012-10-17", Statement: []json.RawMessage{}}
	names, err := p.policiesOf(user, kind)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		policy, err := p.identity.Policy(name)
		if err != nil {
			return nil, fmt.Errorf("policy of %s: %w", user, err)
		}
		var document struct{ Statement []json.RawMessage }
		if err := json.Unmarshal(policy.Document, &document); err != nil {
			return nil, fmt.Errorf("stored policy %s: %w", name, err)
		}
		merged.Statement = append(merged.Statement, document.Statement...)
	}
	return json.Marshal(merged)
}

// policiesOf returns the policies that count for a user, his own and those of his
// groups that are enabled, or for the subject of an issuer.
func (p *Protocol) policiesOf(user iam.UserName, kind iam.Kind) ([]iam.PolicyName, error) {
	if kind == iam.Subject {
		subject, err := p.identity.Subject(user)
		return subject.Policies, err
	}
	if kind != iam.User {
		return nil, nil
	}
	info, err := p.identity.User(user)
	if err != nil {
		return nil, err
	}
	names := info.Policies
	for _, name := range info.Groups {
		group, err := p.identity.Group(name)
		if err != nil {
			return nil, err
		}
		if group.Enabled {
			names = append(slices.Clip(names), group.Policies...)
		}
	}
	return names, nil
}

// keyInfo describes one access key.
func (p *Protocol) keyInfo(in *input) (*edge.Operation, error) {
	id, err := iam.ParseAccessKey(in.query.Get("accessKey"))
	if err != nil {
		return nil, err
	}
	return in.selfService(func(ctx context.Context, w *edge.Writer, call *edge.Call) error {
		key, err := p.ownedKey(ctx, call, listKeys, id)
		if err != nil {
			return err
		}
		body, err := p.keyBody(&key)
		if err != nil {
			return err
		}
		return sealJSON(w, call, body)
	}), nil
}

// listKeysOf lists the access keys of the caller, or of the user that the query names.
func (p *Protocol) listKeysOf(in *input) (*edge.Operation, error) {
	target := iam.UserName(in.query.Get("user"))
	return in.selfService(func(ctx context.Context, w *edge.Writer, call *edge.Call) error {
		parent := target
		if parent == "" {
			parent = call.Principal().User
		}
		if err := call.Authorize(ctx, iam.Check{Action: listKeys, Target: parent}); err != nil {
			return err
		}
		body := struct {
			Keys []keyBody `json:"accounts"`
		}{[]keyBody{}}
		for _, key := range p.identity.Accounts(parent) {
			body.Keys = append(body.Keys, newKeyListBody(&key))
		}
		return sealJSON(w, call, body)
	}), nil
}

// keysOfUser are the access keys of one user on the wire. Sessions are sealed
// tokens that the server does not keep, so there is no list of them.
type keysOfUser struct {
	Keys     []keyBody `json:"serviceAccounts"`
	Sessions []keyBody `json:"stsKeys"`
}

// listKeysBulk lists the access keys of several users, or of all, by user.
func (p *Protocol) listKeysBulk(in *input) (*edge.Operation, error) {
	users, all := in.query.All("users"), in.query.Get("all") == "true"
	withKeys := true
	switch kind := in.query.Get("listType"); kind {
	case "", "all", "svcacc-only":
	case "users-only", "sts-only":
		withKeys = false
	default:
		return nil, invalid(fault.None, "", "no list type %q", kind)
	}
	return in.selfService(func(ctx context.Context, w *edge.Writer, call *edge.Call) error {
		found, err := p.bulkUsers(ctx, call, users, all)
		if err != nil {
			return err
		}
		for _, key := range p.identity.Accounts("") {
			entry, ok := found[key.Parent]
			if !ok && all {
				entry, ok = &keysOfUser{Keys: []keyBody{}, Sessions: []keyBody{}}, true
				found[key.Parent] = entry
			}
			if ok && withKeys {
				entry.Keys = append(entry.Keys, newKeyListBody(&key))
			}
		}
		return sealJSON(w, call, found)
	}), nil
}

// bulkUsers authorises a list of several users' keys and returns an entry for
// each of the users.
func (p *Protocol) bulkUsers(ctx context.Context, call *edge.Call, users []string, all bool) (map[iam.UserName]*keysOfUser, error) {
	own := call.Principal().User
	found := make(map[iam.UserName]*keysOfUser)
	add := func(name iam.UserName) { found[name] = &keysOfUser{Keys: []keyBody{}, Sessions: []keyBody{}} }
	if all {
		if err := call.Authorize(ctx, iam.Check{Action: listKeys}); err != nil {
			return nil, err
		}
		for _, user := range p.identity.Users() {
			add(user.Name)
		}
		add(own)
		return found, nil
	}
	if len(users) == 0 {
		users = []string{string(own)}
	}
	for _, user := range users {
		name := iam.UserName(user)
		if err := call.Authorize(ctx, iam.Check{Action: listKeys, Target: name}); err != nil {
			return nil, err
		}
		if name != own {
			if _, err := p.identity.User(name); err != nil {
				return nil, err
			}
		}
		add(name)
	}
	return found, nil
}

// accessKeyBody describes an access key of whatever kind.
type accessKeyBody struct {
	AccessKey iam.AccessKeyID `json:"AccessKey"`
	keyBody

	Kind     string `json:"userType"`
	Provider string `json:"userProvider"`
}

// accessKeyInfo describes an access key, or the caller's own credentials.
func (p *Protocol) accessKeyInfo(in *input) (*edge.Operation, error) {
	id := iam.AccessKeyID(in.query.Get("accessKey"))
	return in.selfService(func(ctx context.Context, w *edge.Writer, call *edge.Call) error {
		if who := call.Principal(); id == "" || id == who.AccessKey {
			if who.Kind != iam.ServiceAccount {
				return p.ownSession(w, call)
			}
			id = who.AccessKey
		}
		key, err := p.ownedKey(ctx, call, listKeys, id)
		if err != nil {
			return err
		}
		body, err := p.keyBody(&key)
		if err != nil {
			return err
		}
		return sealJSON(w, call, accessKeyBody{key.AccessKey, body, "Service Account", provider(key.ParentKind)})
	}), nil
}

func provider(kind iam.Kind) string {
	if kind == iam.Subject {
		return "openid"
	}
	return "builtin"
}

// sessionInfo describes a session: only the caller's own is known, since the
// server keeps none.
func (p *Protocol) sessionInfo(in *input) (*edge.Operation, error) {
	id := iam.AccessKeyID(in.query.Get("accessKey"))
	return in.selfService(func(ctx context.Context, w *edge.Writer, call *edge.Call) error {
		if who := call.Principal(); who.Kind != iam.Session || who.AccessKey != id {
			return fault.Missing(fault.Session, string(id))
		}
		return p.ownSession(w, call)
	}), nil
}

func (p *Protocol) ownSession(w *edge.Writer, call *edge.Call) error {
	who := call.Principal()
	kind, label := who.Kind, "User"
	if who.Derived() {
		kind, label = who.Parent, "STS"
	}
	rights, err := p.rights(who.User, kind)
	if err != nil {
		return err
	}
	body := keyBody{Parent: who.User, Status: "on", Implied: true, Policy: string(rights)}
	if !who.Expires.IsZero() {
		expires := wireExpiry(who.Expires)
		body.Expires = &expires
	}
	return sealJSON(w, call, accessKeyBody{who.AccessKey, body, label, provider(kind)})
}
