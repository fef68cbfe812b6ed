package admin

import (
	"context"
	"iter"
	"time"

	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/object"
	"github.com/larder-cache/larder/internal/protocol/edge"
)

// Identity is what the admin API needs of the identity engine. A change is in
// force, and read back, when its method returns. A name that is not valid is
// fault.Invalid, one that is not known fault.NotFound.
type Identity interface {
	Users
	Groups
	Policies
	Accounts
	Transfer
	Trail

	// RootName is the name of the root user.
	RootName() iam.UserName

	// Explain decides what somebody may; an unknown one is fault.NotFound.
	Explain(ctx context.Context, q iam.Question) (iam.Explanation, error)

	// CheckBucketPolicy parses a bucket policy before a bucket gets it.
	CheckBucketPolicy(document []byte, bucket object.BucketName) (*iam.Policy, error)
}

// Users is the part about users. Root is not one of them.
type Users interface {
	Users() []iam.UserInfo
	User(name iam.UserName) (iam.UserInfo, error)
	SetUser(ctx context.Context, by iam.Actor, name iam.UserName, set iam.UserChange) error
	RemoveUser(ctx context.Context, by iam.Actor, name iam.UserName) error

	// Subjects returns those whom OIDC issuers vouch for, by name.
	Subjects() []iam.SubjectInfo

	// Subject returns one of them, or fault.NotFound.
	Subject(name iam.UserName) (iam.SubjectInfo, error)

	// SetSubjectEnabled is SetUser for one whom an OIDC issuer vouches for.
	SetSubjectEnabled(ctx context.Context, by iam.Actor, name iam.UserName, enabled bool) error

	// RevokeAll ends all sessions of a user, a subject or root.
	RevokeAll(ctx context.Context, by iam.Actor, of iam.UserName) error
}

// Groups is the part about groups.
type Groups interface {
	Groups() []iam.GroupName
	Group(name iam.GroupName) (iam.GroupInfo, error)

	// AddMembers makes the group if there is none.
	AddMembers(ctx context.Context, by iam.Actor, name iam.GroupName, members []iam.UserName) error

	// RemoveMembers of no members removes the group, which is fault.Conflict
	// while it has some.
	RemoveMembers(ctx context.Context, by iam.Actor, name iam.GroupName, members []iam.UserName) error
	SetGroupEnabled(ctx context.Context, by iam.Actor, name iam.GroupName, enabled bool) error
}

// Policies is the part about named policies and who holds them.
type Policies interface {
	Policies() []iam.PolicyInfo
	Policy(name iam.PolicyName) (iam.PolicyInfo, error)
	SetPolicy(ctx context.Context, by iam.Actor, name iam.PolicyName, document []byte) error

	// RemovePolicy is fault.Conflict while somebody holds the policy, and no
	// error for one that does not exist.
	RemovePolicy(ctx context.Context, by iam.Actor, name iam.PolicyName) error

	// Attach and Detach return what they changed; nothing to do is fault.Exists
	// of noun Policy.
	Attach(ctx context.Context, by iam.Actor, to iam.Holder, policies []iam.PolicyName) ([]iam.PolicyName, time.Time, error)
	Detach(ctx context.Context, by iam.Actor, from iam.Holder, policies []iam.PolicyName) ([]iam.PolicyName, time.Time, error)

	// SetPolicies replaces all policies of a holder.
	SetPolicies(ctx context.Context, by iam.Actor, of iam.Holder, policies []iam.PolicyName) error
}

// Accounts is the part about service accounts, which the clients also call
// access keys.
type Accounts interface {
	Account(key iam.AccessKeyID) (iam.Account, error)

	// Accounts returns the service accounts of a parent, "" for those of everybody.
	Accounts(parent iam.UserName) []iam.Account
	CreateAccount(ctx context.Context, by iam.Actor, spec iam.AccountSpec) (iam.Account, iam.Secret, error)

	// UpdateAccount and RemoveAccount take the account as it was authorised; one
	// that was removed since is fault.NotFound, even if another has its key.
	UpdateAccount(ctx context.Context, by iam.Actor, account iam.Account, set iam.AccountChange) error
	RemoveAccount(ctx context.Context, by iam.Actor, account iam.Account) error

	// Credential returns what a signature with the key is verified with. It is
	// fault.Unauthenticated for an unknown, disabled or expired key.
	Credential(ctx context.Context, id iam.AccessKeyID, sessionToken string) (iam.Credential, error)
}

// Transfer is the part about everything at once.
type Transfer interface {
	// Export returns all identities with their secrets.
	Export() iam.Export

	// Import adds identities as one change or none. Keys of root's are imported by
	// root alone, and nobody imports himself: fault.Denied.
	Import(ctx context.Context, by iam.Actor, all iam.Export) (iam.Imported, error)
}

// Trail is the part about the record of changes.
type Trail interface {
	// Audit yields the records that are kept, oldest first.
	Audit(ctx context.Context) iter.Seq2[iam.Record, error]

	// Record adds a change of something that is not an identity.
	Record(ctx context.Context, by iam.Actor, change iam.Change) error
}

// actor is who makes the changes of a call.
func actor(call *edge.Call) iam.Actor {
	return iam.Actor{Principal: call.Principal(), From: call.SourceIP, RequestID: call.ID}
}
