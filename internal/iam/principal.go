package iam

import (
	"context"
	"time"
)

// AccessKeyID names a key that signs requests.
type AccessKeyID string

// UserName names a user.
type UserName string

// GroupName names a group of users.
type GroupName string

// PolicyName names a policy document.
type PolicyName string

// Secret is a secret that no log, error or JSON document shows.
type Secret string

// String hides the secret from fmt.
func (Secret) String() string { return "[redacted]" }

// GoString hides the secret from %#v.
func (Secret) GoString() string { return "[redacted]" }

// MarshalText hides the secret from slog and other encoders; use Reveal where
// it must be sent.
func (Secret) MarshalText() ([]byte, error) { return []byte("[redacted]"), nil }

// Reveal returns the secret itself.
func (s Secret) Reveal() string { return string(s) }

// Kind is how a principal came to be.
type Kind uint8

// The kinds of principals.
const (
	Anonymous      Kind = iota // no credentials at all
	Root                       // the root user's own key
	User                       // a user's own key
	ServiceAccount             // an access key that derives from a user or root
	Session                    // temporary credentials from STS
	Subject                    // whom an OIDC issuer vouches for; signs only through credentials that derive from it
)

// String returns the kind as records and messages show it.
func (k Kind) String() string {
	if int(k) >= len(kindText) {
		return "unknown"
	}
	return kindText[k]
}

var kindText = [...]string{
	Anonymous: "anonymous", Root: "root", User: "user", ServiceAccount: "service account", Session: "session", Subject: "subject",
}

// Principal is who the server established the caller to be. Every field comes
// from the server's own records, never from the request.
type Principal struct {
	Kind      Kind
	User      UserName    // whose rights count: the user, or the parent of a derived credential
	Parent    Kind        // of a derived credential, what its parent is: Root, User or Subject; Anonymous for any other
	AccessKey AccessKeyID // the key that signed
	Groups    []GroupName
	Claims    map[string][]string // of the token that a session was made from: "sub", "iss", "groups", …
	Expires   time.Time           // zero for credentials that do not expire

	// Until is when getting and putting objects ends too: at Expires or some time
	// after it, so that expiry does not fail the build that is running.
	Until time.Time

	// Inline is a session's own policy, nil if it has none. (A service account's
	// is looked up, so that a change counts at once.)
	Inline *Policy

	// Mapped are the policies that were mapped to a subject when the session
	// began, or the one that made the access key; nil for a key that somebody else
	// made. They bound it: a later login of the subject, with other claims, takes
	// rights from it and gives it none.
	Mapped []PolicyName

	// Session is what a session is revoked by; renewed sessions share it.
	Session string
}

// Derived reports whether the credential has its rights from a parent.
func (p Principal) Derived() bool { return p.Kind == ServiceAccount || p.Kind == Session }

// source is the kind of the one whose rights count. A name alone never says it:
// a user may not be called like root, and if one were, he would not be root.
func (p Principal) source() Kind {
	if p.Derived() {
		return p.Parent
	}
	return p.Kind
}

// Credential is what a signature is verified with.
type Credential struct {
	Principal Principal
	Secret    Secret
}

type actorKey struct{}

// WithActor returns a context that carries who acts, and from where.
func WithActor(ctx context.Context, a Actor) context.Context {
	return context.WithValue(ctx, actorKey{}, a)
}

// ActorFrom returns the context's actor, an anonymous one if it has none.
func ActorFrom(ctx context.Context) Actor {
	a, _ := ctx.Value(actorKey{}).(Actor)
	return a
}

// WithPrincipal returns a context that carries p as its actor.
func WithPrincipal(ctx context.Context, p Principal) context.Context {
	return WithActor(ctx, Actor{Principal: p})
}

// PrincipalFrom returns the context's principal, the anonymous one if it has none.
func PrincipalFrom(ctx context.Context) Principal { return ActorFrom(ctx).Principal }
