package adminclient

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/larder-cache/larder/internal/iam"
)

// User is a user as the server lists him.
type User struct {
	Name     iam.UserName `json:"name"`
	Status   string       `json:"status"`               // "enabled" or "disabled"
	Policies string       `json:"policyName,omitempty"` // separated by commas
	Groups   []string     `json:"memberOf,omitempty"`
	Updated  time.Time    `json:"updatedAt"`
}

// Users returns all users, by name.
func (c *Client) Users(ctx context.Context) ([]User, error) {
	var found map[iam.UserName]User
	if err := c.getSealed(ctx, "list-users", nil, &found); err != nil {
		return nil, err
	}
	users := make([]User, 0, len(found))
	for _, name := range slices.Sorted(maps.Keys(found)) {
		user := found[name]
		user.Name = name
		users = append(users, user)
	}
	return users, nil
}

// Subjects returns those whom OIDC issuers vouch for. They are enabled, disabled
// and revoked like users.
func (c *Client) Subjects(ctx context.Context) (subjects []iam.SubjectInfo, err error) {
	err = c.get(ctx, "larder/subjects", nil, &subjects)
	return subjects, err
}

// User returns one user.
func (c *Client) User(ctx context.Context, name iam.UserName) (user User, err error) {
	err = c.get(ctx, "user-info", url.Values{"accessKey": {string(name)}}, &user)
	user.Name = name
	return user, err
}

// SetUser makes a user, or gives an existing one another secret.
func (c *Client) SetUser(ctx context.Context, name iam.UserName, secret iam.Secret) error {
	body := encode(map[string]string{"secretKey": secret.Reveal(), "status": "enabled"})
	_, err := c.do(ctx, call{http.MethodPut, "add-user", url.Values{"accessKey": {string(name)}}, body, true})
	return err
}

// SetUserEnabled enables or disables a user.
func (c *Client) SetUserEnabled(ctx context.Context, name iam.UserName, enabled bool) error {
	return c.put(ctx, "set-user-status", url.Values{"accessKey": {string(name)}, "status": {status(enabled)}}, nil)
}

// RemoveUser removes a user and the keys that derive from him.
func (c *Client) RemoveUser(ctx context.Context, name iam.UserName) error {
	return c.remove(ctx, "remove-user", url.Values{"accessKey": {string(name)}})
}

func status(enabled bool) string {
	if enabled {
		return "enabled"
	}
	return "disabled"
}

func (c *Client) put(ctx context.Context, path string, query url.Values, body []byte) error {
	_, err := c.do(ctx, call{method: http.MethodPut, path: path, query: query, body: body})
	return err
}

func (c *Client) remove(ctx context.Context, path string, query url.Values) error {
	_, err := c.do(ctx, call{method: http.MethodDelete, path: path, query: query})
	return err
}

// Group is a group as the server describes it.
type Group struct {
	Name     iam.GroupName `json:"name"`
	Status   string        `json:"status"`
	Members  []string      `json:"members"`
	Policies string        `json:"policy"` // separated by commas
	Updated  time.Time     `json:"updatedAt"`
}

// Groups returns the names of all groups.
func (c *Client) Groups(ctx context.Context) (names []iam.GroupName, err error) {
	err = c.get(ctx, "groups", nil, &names)
	return names, err
}

// Group returns one group.
func (c *Client) Group(ctx context.Context, name iam.GroupName) (group Group, err error) {
	err = c.get(ctx, "group", url.Values{"group": {string(name)}}, &group)
	return group, err
}

// AddMembers adds users to a group, which is made if there is none.
func (c *Client) AddMembers(ctx context.Context, name iam.GroupName, members []string) error {
	return c.changeMembers(ctx, name, members, false)
}

// RemoveMembers takes users out of a group; none removes the group, if it is empty.
func (c *Client) RemoveMembers(ctx context.Context, name iam.GroupName, members []string) error {
	return c.changeMembers(ctx, name, members, true)
}

func (c *Client) changeMembers(ctx context.Context, name iam.GroupName, members []string, remove bool) error {
	return c.put(ctx, "update-group-members", nil, encode(map[string]any{
		"group": name, "members": append([]string{}, members...), "groupStatus": "", "isRemove": remove,
	}))
}

// SetGroupEnabled says whether a group's policies count.
func (c *Client) SetGroupEnabled(ctx context.Context, name iam.GroupName, enabled bool) error {
	return c.put(ctx, "set-group-status", url.Values{"group": {string(name)}, "status": {status(enabled)}}, nil)
}

// Policies returns all policies' documents.
func (c *Client) Policies(ctx context.Context) (documents map[iam.PolicyName]json.RawMessage, err error) {
	err = c.get(ctx, "list-canned-policies", nil, &documents)
	return documents, err
}

// Policy returns one policy's document.
func (c *Client) Policy(ctx context.Context, name iam.PolicyName) (json.RawMessage, error) {
	body, err := c.do(ctx, call{method: http.MethodGet, path: "info-canned-policy", query: url.Values{"name": {string(name)}}})
	return body, err
}

// SetPolicy makes a policy or replaces one.
func (c *Client) SetPolicy(ctx context.Context, name iam.PolicyName, document []byte) error {
	return c.put(ctx, "add-canned-policy", url.Values{"name": {string(name)}}, document)
}

// RemovePolicy removes a policy that nobody holds.
func (c *Client) RemovePolicy(ctx context.Context, name iam.PolicyName) error {
	return c.remove(ctx, "remove-canned-policy", url.Values{"name": {string(name)}})
}

// Attach gives policies to a user or group and returns what it did not hold before.
func (c *Client) Attach(ctx context.Context, to iam.Holder, policies []string) ([]string, error) {
	return c.attach(ctx, "attach", to, policies)
}

// Detach takes policies from a user or group and returns those it held.
func (c *Client) Detach(ctx context.Context, from iam.Holder, policies []string) ([]string, error) {
	return c.attach(ctx, "detach", from, policies)
}

func (c *Client) attach(ctx context.Context, operation string, holder iam.Holder, policies []string) ([]string, error) {
	body := map[string]any{"policies": policies}
	if holder.Group != "" {
		body["group"] = holder.Group
	} else {
		body["user"] = holder.User
	}
	var changed struct {
		Attached []string `json:"policiesAttached"`
		Detached []string `json:"policiesDetached"`
	}
	err := c.exchange(ctx, call{method: http.MethodPost, path: "idp/builtin/policy/" + operation, body: encode(body), seal: true}, &changed)
	return append(changed.Attached, changed.Detached...), err
}

// Holders says who holds a policy.
type Holders struct {
	Policy iam.PolicyName `json:"policy"`
	Users  []string       `json:"users,omitempty"`
	Groups []string       `json:"groups,omitempty"`
}

// Holders returns who holds the policies that somebody holds.
func (c *Client) Holders(ctx context.Context) ([]Holders, error) {
	var found struct {
		Policies []Holders `json:"policyMappings"`
	}
	err := c.getSealed(ctx, "idp/builtin/policy-entities", nil, &found)
	return found.Policies, err
}

// Key is an access key as the server describes it.
type Key struct {
	AccessKey   iam.AccessKeyID `json:"accessKey"`
	Parent      iam.UserName    `json:"parentUser"`
	Status      string          `json:"accountStatus"` // "on" or "off"
	Implied     bool            `json:"impliedPolicy"` // the parent's rights
	Policy      string          `json:"policy,omitempty"`
	Name        string          `json:"name,omitempty"`
	Description string          `json:"description,omitempty"`
	Expires     *time.Time      `json:"expiration,omitempty"`
}

// Until returns when the key expires, the zero time for never.
func (k *Key) Until() time.Time {
	if k.Expires == nil || k.Expires.Unix() <= 0 {
		return time.Time{}
	}
	return *k.Expires
}

// Keys returns the access keys of a user, "" for the caller's own.
func (c *Client) Keys(ctx context.Context, user iam.UserName) ([]Key, error) {
	var found struct {
		Keys []Key `json:"accounts"`
	}
	query := url.Values{}
	if user != "" {
		query.Set("user", string(user))
	}
	err := c.getSealed(ctx, "list-service-accounts", query, &found)
	return found.Keys, err
}

// AllKeys returns the access keys of everybody, by parent.
func (c *Client) AllKeys(ctx context.Context) ([]Key, error) {
	var found map[iam.UserName]struct {
		Keys []Key `json:"serviceAccounts"`
	}
	if err := c.getSealed(ctx, "list-access-keys-bulk", url.Values{"all": {"true"}, "listType": {"svcacc-only"}}, &found); err != nil {
		return nil, err
	}
	var keys []Key
	for _, parent := range slices.Sorted(maps.Keys(found)) {
		for _, key := range found[parent].Keys {
			key.Parent = parent
			keys = append(keys, key)
		}
	}
	return keys, nil
}

// Key returns one access key.
func (c *Client) Key(ctx context.Context, id iam.AccessKeyID) (key Key, err error) {
	err = c.getSealed(ctx, "info-service-account", url.Values{"accessKey": {string(id)}}, &key)
	key.AccessKey = id
	return key, err
}

// KeySpec is what to make an access key of.
type KeySpec struct {
	Parent      iam.UserName    // "" for the caller himself
	AccessKey   iam.AccessKeyID // "" makes one
	Secret      iam.Secret      // "" makes one
	Policy      []byte          // nil inherits the parent's rights
	Name        string
	Description string
	Expires     time.Time // zero: never
}

// CreateKey makes an access key and returns its name and secret, which cannot
// be had again.
func (c *Client) CreateKey(ctx context.Context, spec KeySpec) (iam.AccessKeyID, iam.Secret, error) {
	body := map[string]any{"name": spec.Name, "description": spec.Description}
	if spec.Parent != "" {
		body["targetUser"] = spec.Parent
	}
	if spec.AccessKey != "" {
		body["accessKey"] = spec.AccessKey
	}
	if spec.Secret != "" {
		body["secretKey"] = spec.Secret.Reveal()
	}
	if spec.Policy != nil {
		body["policy"] = json.RawMessage(spec.Policy)
	}
	if !spec.Expires.IsZero() {
		body["expiration"] = spec.Expires.UTC().Format(time.RFC3339)
	}
	var made struct {
		Credentials struct {
			AccessKey iam.AccessKeyID `json:"accessKey"`
			Secret    string          `json:"secretKey"`
		} `json:"credentials"`
	}
	err := c.exchange(ctx, call{method: http.MethodPut, path: "add-service-account", body: encode(body), seal: true}, &made)
	return made.Credentials.AccessKey, iam.Secret(made.Credentials.Secret), err
}

// SetKeyEnabled enables or disables an access key.
func (c *Client) SetKeyEnabled(ctx context.Context, id iam.AccessKeyID, enabled bool) error {
	state := "off"
	if enabled {
		state = "on"
	}
	body := encode(map[string]string{"newStatus": state})
	_, err := c.do(ctx, call{http.MethodPost, "update-service-account", url.Values{"accessKey": {string(id)}}, body, true})
	return err
}

// RemoveKey removes an access key.
func (c *Client) RemoveKey(ctx context.Context, id iam.AccessKeyID) error {
	return c.remove(ctx, "delete-service-account", url.Values{"accessKey": {string(id)}})
}

// RevokeSessions ends all sessions of a user, "" for the caller's own.
func (c *Client) RevokeSessions(ctx context.Context, user iam.UserName) error {
	provider := "builtin"
	if strings.Contains(string(user), "=") { // a subject, "issuer=sub"
		provider = "openid"
	}
	_, err := c.do(ctx, call{method: http.MethodPost, path: "revoke-tokens/" + provider, query: url.Values{"user": {string(user)}}})
	return err
}
