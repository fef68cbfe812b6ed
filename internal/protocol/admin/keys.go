package admin

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/protocol/edge"
)

// The rights over access keys. Over one's own, everybody has them.
const (
	createKey = iam.Action("admin:CreateServiceAccount")
	updateKey = iam.Action("admin:UpdateServiceAccount")
	listKeys  = iam.Action("admin:ListServiceAccounts")
	removeKey = iam.Action("admin:RemoveServiceAccount")
)

// durationSeconds is how long a key is to last, as policies see it.
const durationSeconds = "svc:DurationSeconds"

// never is how the clients write that a key does not expire.
var never = time.Unix(0, 0).UTC()

func wireExpiry(t time.Time) time.Time {
	if t.IsZero() {
		return never
	}
	return t.UTC()
}

// newKeyBody asks for an access key.
type newKeyBody struct {
	Policy      json.RawMessage `json:"policy"`
	Target      iam.UserName    `json:"targetUser"`
	AccessKey   string          `json:"accessKey"`
	Secret      string          `json:"secretKey"`
	Name        string          `json:"name"`
	Description string          `json:"description"`
	Expires     *time.Time      `json:"expiration"`
}

// credentialsBody hands out an access key with its secret, once.
type credentialsBody struct {
	Credentials struct {
		AccessKey iam.AccessKeyID `json:"accessKey"`
		Secret    string          `json:"secretKey"`
		Expires   time.Time       `json:"expiration"`
	} `json:"credentials"`
}

// addKey makes an access key for the caller or, with the right to, for a user.
func (p *Protocol) addKey(in *input) (*edge.Operation, error) {
	op := in.selfService(nil)
	op.MaxBody = maxBody
	op.Facts = make(map[string][]string)
	op.Handler = edge.HandlerFunc(func(ctx context.Context, w *edge.Writer, call *edge.Call) error {
		own := call.Principal().User
		if err := mayEver(ctx, call, iam.Check{Action: createKey, Target: own}); err != nil {
			return err
		}
		var body newKeyBody
		if err := p.openJSON(ctx, call, &body); err != nil {
			return err
		}
		spec := body.spec(own)
		setDuration(op, spec.Expires, call.Time)
		if err := call.Authorize(ctx, iam.Check{Action: createKey, Target: spec.Parent}); err != nil {
			return err
		}
		if err := p.mayActFor(ctx, call, spec.Parent, p.kindOf(spec.Parent)); err != nil {
			return err
		}
		account, secret, err := p.identity.CreateAccount(ctx, actor(call), spec)
		if err != nil {
			return err
		}
		var answer credentialsBody
		answer.Credentials.AccessKey = account.AccessKey
		answer.Credentials.Secret = secret.Reveal()
		answer.Credentials.Expires = wireExpiry(account.Expires)
		return sealJSON(w, call, answer)
	})
	return op, nil
}

// spec makes what the identity engine is asked for. The engine checks it, and
// that nobody but root makes keys of root's.
func (b *newKeyBody) spec(own iam.UserName) iam.AccountSpec {
	spec := iam.AccountSpec{
		Parent: own, AccessKey: iam.AccessKeyID(b.AccessKey), Secret: iam.Secret(b.Secret), Policy: b.Policy,
		Name: b.Name, Description: b.Description,
	}
	if b.Target != "" {
		spec.Parent = b.Target
	}
	if b.Expires != nil {
		spec.Expires = parseExpiry(*b.Expires)
	}
	return spec
}

// mayEver authorises before the body is known, and with it how long a key is to
// last: a policy that limits the duration must not refuse what it would allow for
// one of them. The exact check follows.
func mayEver(ctx context.Context, call *edge.Call, check iam.Check) error {
	denied := call.Authorize(ctx, check)
	if denied == nil || call.Operation.Facts == nil {
		return denied
	}
	defer delete(call.Operation.Facts, durationSeconds)
	for _, seconds := range []string{"1", "3600", "31536000"} {
		call.Operation.Facts[durationSeconds] = []string{seconds}
		if call.Authorize(ctx, check) == nil {
			return nil
		}
	}
	return denied
}

// setDuration tells policies how long a key is to last.
func setDuration(op *edge.Operation, expires, now time.Time) {
	if !expires.IsZero() {
		op.Facts[durationSeconds] = []string{strconv.FormatInt(int64(expires.Sub(now).Seconds()), 10)}
	}
}

// parseExpiry returns the zero time for a key that does not expire.
func parseExpiry(t time.Time) time.Time {
	if t.IsZero() || t.Equal(never) {
		return time.Time{}
	}
	return t.UTC()
}

// ownedKey returns a key that the caller may do action to. To those who may
// only handle their own keys, others' do not exist.
func (p *Protocol) ownedKey(ctx context.Context, call *edge.Call, action iam.Action, id iam.AccessKeyID) (iam.Account, error) {
	key, err := p.identity.Account(id)
	if err != nil && !errors.Is(err, fault.NotFound) {
		return key, err
	}
	denied := mayEver(ctx, call, iam.Check{Action: action, Target: key.Parent})
	if denied == nil {
		return key, err
	}
	if own := call.Principal().User; mayEver(ctx, call, iam.Check{Action: action, Target: own}) == nil {
		return iam.Account{}, fault.Missing(fault.AccessKey, string(id))
	}
	return iam.Account{}, denied
}

// keyChangeBody changes an access key; what is missing stays as it is.
type keyChangeBody struct {
	Policy      json.RawMessage `json:"newPolicy"`
	Secret      string          `json:"newSecretKey"`
	Status      string          `json:"newStatus"`
	Name        *string         `json:"newName"`
	Description *string         `json:"newDescription"`
	Expires     *time.Time      `json:"newExpiration"`
}

func (b *keyChangeBody) change() (change iam.AccountChange, err error) {
	if len(b.Policy) > 0 {
		policy := []byte(b.Policy)
		change.Policy = &policy
	}
	if b.Secret != "" {
		secret := iam.Secret(b.Secret)
		change.Secret = &secret
	}
	switch b.Status {
	case "":
	case "on", statusEnabled:
		enabled := true
		change.Enabled = &enabled
	case "off", statusDisabled:
		change.Enabled = new(bool)
	default:
		return change, invalid(fault.AccessKey, "", "a status is on or off, not %q", b.Status)
	}
	if b.Expires != nil {
		expires := parseExpiry(*b.Expires)
		change.Expires = &expires
	}
	change.Name, change.Description = b.Name, b.Description
	return change, nil
}

// updateKeyOf changes an access key.
func (p *Protocol) updateKeyOf(in *input) (*edge.Operation, error) {
	id, err := iam.ParseAccessKey(in.query.Get("accessKey"))
	if err != nil {
		return nil, err
	}
	op := in.selfService(nil)
	op.MaxBody = maxBody
	op.Facts = make(map[string][]string)
	op.Handler = edge.HandlerFunc(func(ctx context.Context, w *edge.Writer, call *edge.Call) error {
		key, err := p.ownedKey(ctx, call, updateKey, id)
		if err != nil {
			return err
		}
		if err := rootsOwn(call, &key); err != nil {
			return err
		}
		if err := p.mayActFor(ctx, call, key.Parent, key.ParentKind); err != nil {
			return err
		}
		var body keyChangeBody
		if err := p.openJSON(ctx, call, &body); err != nil {
			return err
		}
		change, err := body.change()
		if err != nil {
			return err
		}
		if change.Expires != nil {
			setDuration(op, *change.Expires, call.Time)
		}
		if err := call.Authorize(ctx, iam.Check{Action: updateKey, Target: key.Parent}); err != nil {
			return err
		}
		if err := p.identity.UpdateAccount(ctx, actor(call), key, change); err != nil {
			return err
		}
		return writeNoContent(w)
	})
	return op, nil
}

// rootsOwn refuses root's keys to everybody else, whatever policy he has.
func rootsOwn(call *edge.Call, key *iam.Account) error {
	if key.ParentKind == iam.Root && !ofRoot(call.Principal()) {
		return fault.Wrap(fault.Denied, fault.AccessKey, string(key.AccessKey), errors.New("root's keys are changed by root alone"))
	}
	return nil
}

// ofRoot reports whether a principal is root or derives from root.
func ofRoot(who iam.Principal) bool {
	return who.Kind == iam.Root || who.Derived() && who.Parent == iam.Root
}

// deleteKey removes an access key.
func (p *Protocol) deleteKey(in *input) (*edge.Operation, error) {
	id, err := iam.ParseAccessKey(in.query.Get("accessKey"))
	if err != nil {
		return nil, err
	}
	return in.selfService(func(ctx context.Context, w *edge.Writer, call *edge.Call) error {
		key, err := p.ownedKey(ctx, call, removeKey, id)
		if err != nil {
			return err
		}
		if err := rootsOwn(call, &key); err != nil {
			return err
		}
		if err := p.identity.RemoveAccount(ctx, actor(call), key); err != nil {
			return err
		}
		return writeNoContent(w)
	}), nil
}
