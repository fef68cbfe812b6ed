// Package fault is the one error vocabulary of the domain.
//
// Engines return *Error; each protocol has exactly one table from (Kind, Noun)
// to its wire code. A kind says what class of thing went wrong, a noun says to
// what, and neither knows HTTP. Kinds and nouns are few and append-only.
//
// Match with errors.Is against a kind:
//
//	if errors.Is(err, fault.NotFound) { … }
//
// or take the whole fault with As. An error that carries no *Error is an
// internal error: protocols log its text and do not send it.
package fault

import (
	"errors"
	"strings"
)

// Kind is the class of a fault. It is itself an error, so that errors.Is(err,
// fault.NotFound) reads as it should.
type Kind uint8

// The kinds. Append only: numbers are not persisted, but tables are exhaustive
// over them.
const (
	Internal        Kind = iota // a bug, or an operating-system error nobody foresaw
	NotFound                    // the named thing does not exist
	Exists                      // the named thing exists already
	Conflict                    // the thing's state forbids it now (bucket not empty, policy in use)
	Denied                      // authenticated, and not allowed
	Unauthenticated             // no, unknown, expired or wrong credentials
	Invalid                     // the input is malformed or out of range; Err says where
	Precondition                // a condition that the caller stated does not hold
	TooLarge                    // larger than a stated limit
	Busy                        // try again later; nothing was changed
	Corrupt                     // stored content failed its check; it was not served
	Unavailable                 // a part that is needed cannot be reached
	Full                        // no room: the disk's reserve, or a bucket's quota
	Unsupported                 // well-formed, and not offered here
	NotModified                 // a read condition holds: the caller's copy is current
	kinds                       // count; keep last
)

var kindText = [kinds]string{
	Internal: "internal error", NotFound: "not found", Exists: "exists already", Conflict: "conflict",
	Denied: "denied", Unauthenticated: "not authenticated", Invalid: "invalid", Precondition: "precondition failed",
	TooLarge: "too large", Busy: "busy", Corrupt: "corrupt", Unavailable: "unavailable", Full: "no space left",
	Unsupported: "not supported", NotModified: "not modified",
}

// Error returns the kind's text, such as "not found".
func (k Kind) Error() string {
	if k >= kinds {
		return "unknown fault"
	}
	return kindText[k]
}

// Kinds lists every kind, for tables that must be exhaustive.
func Kinds() []Kind {
	all := make([]Kind, kinds)
	for i := range all {
		all[i] = Kind(i)
	}
	return all
}

// Noun is what a fault is about.
type Noun uint8

// The nouns. Append only.
const (
	None Noun = iota
	Store
	Disk
	Bucket
	BucketConfig
	BucketPolicy
	Object
	Version
	Upload
	Part
	Range
	Digest // a checksum, MD5 or SHA-256 that does not match its content
	Log
	User
	Group
	Policy
	AccessKey
	Session
	Secret
	Token // an outside identity token (OIDC, ServiceAccount)
	Issuer
	Quota
	Setting
	ExpiredSession // a session past its end, which the client should replace
	nouns          // count; keep last
)

var nounText = [nouns]string{
	None: "", Store: "store", Disk: "disk", Bucket: "bucket", BucketConfig: "bucket configuration",
	BucketPolicy: "bucket policy", Object: "object", Version: "version", Upload: "upload", Part: "part",
	Range: "range", Digest: "digest", Log: "log", User: "user", Group: "group", Policy: "policy",
	AccessKey: "access key", Session: "session", Secret: "secret", Token: "token", Issuer: "issuer",
	Quota: "quota", Setting: "setting",
	ExpiredSession: "expired session",
}

// String returns the noun in lower case, "" for None.
func (n Noun) String() string {
	if n >= nouns {
		return "unknown noun"
	}
	return nounText[n]
}

// Error is a fault of the domain.
type Error struct {
	Kind Kind
	Noun Noun
	Op   string // what was being done, "put object"; may be empty
	Name string // which one, "sccache/a/b/c/…"; never a secret
	Err  error  // the cause; may be nil
}

// Error joins what is known: "put object: bucket sccache: not found: cause".
func (e *Error) Error() string {
	var b strings.Builder
	if e.Op != "" {
		b.WriteString(e.Op + ": ")
	}
	if subject := strings.TrimSpace(e.Noun.String() + " " + e.Name); subject != "" {
		b.WriteString(subject + ": ")
	}
	b.WriteString(e.Kind.Error())
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is reports whether target is this fault's kind.
func (e *Error) Is(target error) bool {
	kind, ok := target.(Kind)
	return ok && kind == e.Kind
}

// New makes a fault without an operation.
func New(kind Kind, noun Noun, name string) *Error {
	return &Error{Kind: kind, Noun: noun, Name: name}
}

// Wrap makes a fault with a cause.
func Wrap(kind Kind, noun Noun, name string, err error) *Error {
	return &Error{Kind: kind, Noun: noun, Name: name, Err: err}
}

// Missing is the commonest fault: the named thing does not exist.
func Missing(noun Noun, name string) *Error { return New(NotFound, noun, name) }

// As returns the outermost fault in err's chain. Without one it returns an
// Internal fault that wraps err, so that a table can always be asked.
func As(err error) *Error {
	if f, ok := errors.AsType[*Error](err); ok {
		return f
	}
	return &Error{Kind: Internal, Err: err}
}

// KindOf returns the kind of the outermost fault in err's chain, Internal if
// there is none.
func KindOf(err error) Kind { return As(err).Kind }
