package iam

import (
	"encoding/json"
	"net/netip"
	"time"
)

// UserInfo is a user as administrators may see him.
type UserInfo struct {
	Name     UserName     `json:"name"`
	Enabled  bool         `json:"enabled"`
	Policies []PolicyName `json:"policies,omitempty"` // attached to him, sorted
	Groups   []GroupName  `json:"groups,omitempty"`   // sorted, disabled ones too
	Updated  time.Time    `json:"updated"`
}

// UserChange is what to set of a user; nil leaves as it is. A new user is
// enabled, and needs a secret.
type UserChange struct {
	New     bool // make the user; one who exists is fault.Exists
	Secret  *Secret
	Enabled *bool
}

// GroupInfo is a group as administrators may see it.
type GroupInfo struct {
	Name     GroupName    `json:"name"`
	Enabled  bool         `json:"enabled"`
	Members  []UserName   `json:"members,omitempty"`  // sorted
	Policies []PolicyName `json:"policies,omitempty"` // sorted
	Updated  time.Time    `json:"updated"`
}

// PolicyInfo is a named policy.
type PolicyInfo struct {
	Name     PolicyName      `json:"name"`
	Document json.RawMessage `json:"document"` // compact
	BuiltIn  bool            `json:"builtIn,omitempty"`
	Created  time.Time       `json:"created,omitzero"` // zero for built-in ones
	Updated  time.Time       `json:"updated,omitzero"`
}

// Account is a service account: an access key that derives from a parent.
type Account struct {
	AccessKey   AccessKeyID     `json:"accessKey"`
	ParentKind  Kind            `json:"-"` // Root, User or Subject
	Parent      UserName        `json:"parent"`
	Enabled     bool            `json:"enabled"`
	Policy      json.RawMessage `json:"policy,omitempty"` // nil: all that the parent may
	Name        string          `json:"name,omitempty"`
	Description string          `json:"description,omitempty"`
	Expires     time.Time       `json:"expires,omitzero"`
	Created     time.Time       `json:"created"`
	Updated     time.Time       `json:"updated"`
}

// AccountSpec is what to make a service account of.
type AccountSpec struct {
	Parent      UserName    // a user, a subject, or root by the name he has now
	AccessKey   AccessKeyID // "" makes one
	Secret      Secret      // "" makes one
	Policy      []byte      // empty, "null" and "{}": all that the parent may
	Name        string
	Description string
	Expires     time.Time // zero: never
}

// AccountChange is what to set of a service account; nil leaves as it is.
type AccountChange struct {
	Secret      *Secret
	Policy      *[]byte // as in AccountSpec
	Enabled     *bool
	Name        *string
	Description *string
	Expires     *time.Time
}

// Holder is a user or a group that policies are attached to; one of the two is
// set.
type Holder struct {
	User  UserName
	Group GroupName
}

// String returns "user u" or "group g".
func (h Holder) String() string {
	if h.Group != "" {
		return "group " + string(h.Group)
	}
	return "user " + string(h.User)
}

// Actor is who makes a change, and from where.
type Actor struct {
	Principal Principal
	Server    bool       // it is the server itself: at its start, or by a command on its machine
	From      netip.Addr // the zero value for the server itself
	RequestID string
}

// Change is what a change amounts to, for its record. Before and After are
// encoded as JSON and hold no secrets; nil means that there was, or is, nothing.
type Change struct {
	Action        string // of a closed set: "user.set", "policy.remove", "bucket.policy"
	Target        string
	Before, After any
}

// Record is one entry of the audit trail.
type Record struct {
	ID        string          `json:"id"`
	Time      time.Time       `json:"time"`
	Kind      string          `json:"kind"`           // of the actor: "root", "user", "session", …; "server" for the server itself
	User      UserName        `json:"user,omitempty"` // whose rights counted
	AccessKey AccessKeyID     `json:"accessKey,omitempty"`
	From      string          `json:"from,omitempty"` // address
	RequestID string          `json:"requestId,omitempty"`
	Action    string          `json:"action"`
	Target    string          `json:"target"`
	Before    json.RawMessage `json:"before,omitempty"`
	After     json.RawMessage `json:"after,omitempty"`
}

// Export is all identities with their secrets, apart from how they are stored.
// Subjects and sessions are not in it: they come back by logging in.
type Export struct {
	Users    map[UserName]ExportUser
	Groups   map[GroupName]ExportGroup
	Policies map[PolicyName]json.RawMessage
	Accounts map[AccessKeyID]ExportAccount
}

// ExportUser is a user in an Export.
type ExportUser struct {
	Secret   Secret
	Enabled  bool
	Policies []PolicyName
}

// ExportGroup is a group in an Export.
type ExportGroup struct {
	Members  []UserName
	Enabled  bool
	Policies []PolicyName
}

// ExportAccount is a service account in an Export.
type ExportAccount struct {
	Root        bool     // the parent is root, whatever root is called
	Parent      UserName // otherwise
	Secret      Secret
	Policy      json.RawMessage
	Enabled     bool
	Name        string
	Description string
	Expires     time.Time
}

// Imported counts what an import wrote.
type Imported struct {
	Users, Groups, Policies, Accounts int
}
