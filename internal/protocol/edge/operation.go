package edge

import (
	"context"
	"io"
	"maps"
	"net/http"
	"net/netip"
	"time"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/protocol/sigv4"
)

// Protocol turns requests into operations and errors into answers.
type Protocol interface {
	// Accepts reports whether the request is this protocol's, by host and path.
	Accepts(req *Request) bool

	// Route names the operation and every resource it touches, and parses all
	// inputs that are not in the body. It looks at no state.
	Route(req *Request) (*Operation, error)

	// WriteError answers a failed request, whose header is not written yet, and
	// returns the protocol's code of the error.
	WriteError(w *Writer, failure Failure) (code string)
}

// Failure is what an error answer is made of.
type Failure struct {
	Err       error
	Request   *Request
	Operation *Operation // nil if the request was not routed
}

// Auth says who may call an operation.
type Auth uint8

// The zero value is the strictest.
const (
	Signed    Auth = iota // a caller with credentials to whom every check is allowed
	Anonymous             // anybody to whom every check is allowed: a bucket policy decides about callers without credentials
	Caller                // a caller with credentials; the operation asks Call.Authorize itself, its resources being in the body
	Anyone                // as Caller, callers without credentials too
	Own                   // Operation.Login finds the caller and the checks in the body: a form upload
	Public                // anybody; nothing is checked: health, an exchange of an outside token
)

// Operation is one operation of a protocol, its inputs parsed.
type Operation struct {
	Name   string // of a closed set, "s3.GetObject": it labels metrics
	Bucket string // for events; the resources that count are in Checks
	Key    string

	Auth   Auth
	Checks []iam.Check         // each must be allowed; at least one for Signed and Anonymous
	Facts  map[string][]string // of iam.Facts.S3

	// MaxBody is the longest decoded body in bytes; a longer one is
	// fault.TooLarge. 0 forbids the handler to read any.
	MaxBody int64

	// Login authenticates a request of Auth Own from its body and names the
	// checks, at least one. It sets Identity.Body to what is left of the body.
	Login func(ctx context.Context, call *Call) (Identity, []iam.Check, error)

	Handler Handler
}

// Handler serves one request, of which it holds the parsed inputs. An error
// before the header is written is answered by Protocol.WriteError; a later one
// aborts the connection, so that nobody takes a cut body for a whole one.
type Handler interface {
	Serve(ctx context.Context, w *Writer, call *Call) error
}

// HandlerFunc is a function as a Handler.
type HandlerFunc func(ctx context.Context, w *Writer, call *Call) error

// Serve calls f.
func (f HandlerFunc) Serve(ctx context.Context, w *Writer, call *Call) error { return f(ctx, w, call) }

// Authenticator establishes who signed a request.
type Authenticator interface {
	// Authenticate verifies the credentials of a request and reads nothing of
	// its body. A request without any credentials is anonymous and no error.
	Authenticate(ctx context.Context, r *http.Request) (Identity, error)
}

// Identity is what an Authenticator found.
type Identity struct {
	Credential iam.Credential // the zero value is the anonymous caller
	Type       sigv4.Type     // how the request was signed
	SignedAt   time.Time

	// Body yields the decoded body, verified as it is read: an error instead of
	// io.EOF if it is not what was signed. nil leaves the request's own.
	Body io.Reader

	// Length is the decoded body's, in bytes; -1 if unknown. Only with Body.
	Length int64

	// Trailer returns a trailing header that came with the body, "" if there is
	// none. It is valid after Body returned io.EOF. nil if the body has none.
	Trailer func(name string) string
}

// Authorizer decides about one action on one resource.
type Authorizer interface {
	Authorize(ctx context.Context, who iam.Principal, check iam.Check, facts iam.Facts) iam.Decision
}

// Lookup says what became of a request that asks for an object, for counting
// hits and misses.
type Lookup uint8

// The outcomes of a lookup.
const (
	NoLookup Lookup = iota
	Hit
	Miss
)

// Call is one authorised request. It is the handler's for the time of Serve.
type Call struct {
	ID         string
	Time       time.Time // when it was received
	Credential iam.Credential
	Operation  *Operation
	SourceIP   netip.Addr
	TLS        bool

	// Body yields the decoded, verified body, at most Operation.MaxBody bytes.
	Body   io.Reader
	Length int64 // of Body in bytes, -1 if unknown

	// Lookup is set by the handler.
	Lookup Lookup

	lateCode string
	lateErr  error
	trailer  func(name string) string
	pipeline *Pipeline
	facts    iam.Facts
}

// actor is who acts, for the audit trail.
func (c *Call) actor() iam.Actor {
	return iam.Actor{Principal: c.Credential.Principal, From: c.SourceIP, RequestID: c.ID}
}

// Principal returns who is calling.
func (c *Call) Principal() iam.Principal { return c.Credential.Principal }

// Trailer returns a trailing header of the body, "" if there is none. It is
// valid after Body returned io.EOF.
func (c *Call) Trailer(name string) string {
	if c.trailer == nil {
		return ""
	}
	return c.trailer(name)
}

// Fail records, for the Event, an error that the handler has put into an answer
// whose status was sent before it was known.
func (c *Call) Fail(code string, err error) { c.lateCode, c.lateErr = code, err }

// Authorize asks whether the caller may do one more thing, for resources that
// are named in the body. The error is fault.Denied, or
// Unauthenticated for a session that ended.
func (c *Call) Authorize(ctx context.Context, check iam.Check) error {
	return c.AuthorizeWith(ctx, check, nil)
}

// AuthorizeWith is Authorize with more facts of iam.Facts.S3, which are in the
// body as well.
func (c *Call) AuthorizeWith(ctx context.Context, check iam.Check, more map[string][]string) error {
	facts := c.facts
	if len(more) > 0 {
		facts.S3 = make(map[string][]string, len(c.facts.S3)+len(more))
		maps.Copy(facts.S3, c.facts.S3)
		maps.Copy(facts.S3, more)
	}
	decision := c.pipeline.authorizer.Authorize(ctx, c.Credential.Principal, check, facts)
	if decision.Expired {
		return fault.New(fault.Unauthenticated, fault.ExpiredSession, string(c.Credential.Principal.AccessKey))
	}
	if !decision.Allowed {
		return denied(check, decision.Reason)
	}
	return nil
}

// denied makes the fault of a refusal. The reason is for the log.
func denied(check iam.Check, reason string) error {
	return &fault.Error{
		Kind: fault.Denied, Noun: fault.None, Op: string(check.Action),
		Name: check.Resource.ARN(), Err: reasonError(reason),
	}
}

type reasonError string

func (e reasonError) Error() string { return string(e) }
