package identity

import (
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/larder-cache/larder/internal/iam"
)

// document is one generation of all identities, as it is stored. A published
// document is immutable: records are replaced, never changed, and neither are
// their slices.
type document struct {
	Users    map[iam.UserName]userRecord       `json:"users,omitempty"`
	Groups   map[iam.GroupName]groupRecord     `json:"groups,omitempty"`
	Policies map[iam.PolicyName]policyRecord   `json:"policies,omitempty"`
	Accounts map[iam.AccessKeyID]accountRecord `json:"accounts,omitempty"`
	Subjects map[iam.UserName]subjectRecord    `json:"subjects,omitempty"`

	// Revoked holds revoked sessions, and when each may be forgotten.
	Revoked map[string]time.Time `json:"revoked,omitempty"`

	// RevokedBefore refuses all sessions of a user, or of root (""), that began
	// before a time.
	RevokedBefore map[iam.UserName]time.Time `json:"revokedBefore,omitempty"`

	// Outbox are audit records on their way to the audit logs.
	Outbox []iam.Record `json:"outbox,omitempty"`
}

// storedSecret is a secret inside the sealed document.
type storedSecret string

type userRecord struct {
	ID       string           `json:"id"` // differs between two users who had one name after each other
	Secret   storedSecret     `json:"secret"`
	Disabled bool             `json:"disabled,omitempty"`
	Policies []iam.PolicyName `json:"policies,omitempty"` // sorted
	Updated  time.Time        `json:"updated"`
}

type groupRecord struct {
	Members  []iam.UserName   `json:"members,omitempty"` // sorted
	Disabled bool             `json:"disabled,omitempty"`
	Policies []iam.PolicyName `json:"policies,omitempty"` // sorted
	Updated  time.Time        `json:"updated"`
}

type policyRecord struct {
	Document json.RawMessage `json:"document"`
	Created  time.Time       `json:"created"`
	Updated  time.Time       `json:"updated"`
}

type accountRecord struct {
	Kind        iam.Kind            `json:"kind"`             // of the parent: Root, User or Subject
	Parent      iam.UserName        `json:"parent,omitempty"` // "" if Kind is Root, whose name may change
	Secret      storedSecret        `json:"secret"`
	Policy      json.RawMessage     `json:"policy,omitempty"` // none: what the parent may
	Claims      map[string][]string `json:"claims,omitempty"` // of a subject, as they were when the key was made
	Mapped      []iam.PolicyName    `json:"mapped,omitempty"` // to the subject that made the key, by the login it came from
	Disabled    bool                `json:"disabled,omitempty"`
	Name        string              `json:"name,omitempty"`
	Description string              `json:"description,omitempty"`
	Expires     time.Time           `json:"expires,omitzero"`
	Created     time.Time           `json:"created"`
	Updated     time.Time           `json:"updated"`
}

type subjectRecord struct {
	Issuer   string           `json:"issuer"`
	Sub      string           `json:"sub"`
	ID       string           `json:"id"`
	Display  string           `json:"display,omitempty"`
	Policies []iam.PolicyName `json:"policies,omitempty"` // as last mapped, sorted
	Disabled bool             `json:"disabled,omitempty"`
	Seen     time.Time        `json:"seen"` // last login, to within seenPrecision
	Updated  time.Time        `json:"updated"`
}

// init makes the maps that JSON left out.
func (d *document) init() {
	if d.Users == nil {
		d.Users = map[iam.UserName]userRecord{}
	}
	if d.Groups == nil {
		d.Groups = map[iam.GroupName]groupRecord{}
	}
	if d.Policies == nil {
		d.Policies = map[iam.PolicyName]policyRecord{}
	}
	if d.Accounts == nil {
		d.Accounts = map[iam.AccessKeyID]accountRecord{}
	}
	if d.Subjects == nil {
		d.Subjects = map[iam.UserName]subjectRecord{}
	}
	if d.Revoked == nil {
		d.Revoked = map[string]time.Time{}
	}
	if d.RevokedBefore == nil {
		d.RevokedBefore = map[iam.UserName]time.Time{}
	}
}

// clone returns a document to make changes in.
func (d *document) clone() *document {
	return &document{
		Users: maps.Clone(d.Users), Groups: maps.Clone(d.Groups), Policies: maps.Clone(d.Policies),
		Accounts: maps.Clone(d.Accounts), Subjects: maps.Clone(d.Subjects),
		Revoked: maps.Clone(d.Revoked), RevokedBefore: maps.Clone(d.RevokedBefore), Outbox: slices.Clone(d.Outbox),
	}
}

// prune forgets what time has made meaningless.
func (d *document) prune(now time.Time) {
	maps.DeleteFunc(d.Revoked, func(_ string, until time.Time) bool { return now.After(until) })
	maps.DeleteFunc(d.Accounts, func(_ iam.AccessKeyID, a accountRecord) bool {
		return !a.Expires.IsZero() && now.Sub(a.Expires) > keepExpired
	})
	maps.DeleteFunc(d.RevokedBefore, func(_ iam.UserName, at time.Time) bool { return now.Sub(at) > iam.MaxSession+Grace })
}

// with and without return a sorted slice with or without some names.
func with[T ~string](names []T, more ...T) []T {
	all := append(slices.Clone(names), more...)
	slices.Sort(all)
	return slices.Compact(all)
}

func without[T ~string](names []T, gone ...T) []T {
	return slices.DeleteFunc(slices.Clone(names), func(name T) bool { return slices.Contains(gone, name) })
}
