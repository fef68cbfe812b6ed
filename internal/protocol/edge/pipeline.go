package edge

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/iam"
)

// Pipeline is the http.Handler of a listener.
type Pipeline struct {
	authenticator Authenticator
	authorizer    Authorizer
	protocols     []Protocol
	config        Config
}

// New returns a pipeline. A request goes to the first protocol that accepts it,
// so the last one should accept everything.
func New(authenticator Authenticator, authorizer Authorizer, protocols []Protocol, config Config) (*Pipeline, error) {
	if err := config.check(); err != nil {
		return nil, err
	}
	if len(protocols) == 0 {
		return nil, errors.New("edge: no protocols")
	}
	return &Pipeline{authenticator, authorizer, protocols, config}, nil
}

// exchange is one request on its way through the pipeline.
type exchange struct {
	raw       *http.Request
	req       Request
	id        [1]string // the header value
	w         Writer
	body      body
	limit     limited
	protocol  Protocol
	operation *Operation
	call      Call
	code      string // of the protocol
	err       error
}

// ServeHTTP takes one request through the pipeline.
func (p *Pipeline) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	x := &exchange{raw: r}
	err := p.normalise(&x.req, r)
	x.id[0] = x.req.ID
	x.w = Writer{http: rw, control: *http.NewResponseController(rw), now: p.config.Now, stall: p.config.Stall}
	if r.ProtoMajor == 1 {
		x.w.conn = connOf(r.Context())
	}
	x.w.extend() // also for the 100 Continue that net/http writes
	x.w.Header()["X-Amz-Request-Id"] = x.id[:]
	x.protocol = p.accepts(&x.req)
	if r.Body != nil && r.Body != http.NoBody {
		x.body = body{raw: r.Body, control: &x.w.control, stall: p.config.Stall, expected: r.Header.Get("Expect") != ""}
		// A copy: net/http looks at its own request's body to know whether the
		// client still waits for 100 Continue.
		x.raw = new(*r)
		x.raw.Body = &x.body
	}
	ctx := r.Context()
	defer p.end(ctx, x)
	if err == nil {
		err = p.serve(ctx, x)
	}
	if err != nil {
		p.fail(ctx, x, err)
	}
}

func (p *Pipeline) accepts(req *Request) Protocol {
	for _, protocol := range p.protocols {
		if protocol.Accepts(req) {
			return protocol
		}
	}
	return p.protocols[len(p.protocols)-1]
}

// serve is steps 2 to 5 of the package comment.
func (p *Pipeline) serve(ctx context.Context, x *exchange) error {
	operation, err := x.protocol.Route(&x.req)
	if err != nil {
		return err
	}
	x.operation = operation
	x.call = Call{
		ID: x.req.ID, Time: x.req.Received, Operation: operation, SourceIP: x.req.SourceIP, TLS: x.req.TLS,
		Body: x.raw.Body, Length: x.req.Length, pipeline: p,
		facts: iam.Facts{
			Time: x.req.Received, SourceIP: x.req.SourceIP, TLS: x.req.TLS,
			UserAgent: x.req.Header.Get("User-Agent"), Referer: x.req.Header.Get("Referer"), S3: operation.Facts,
		},
	}
	if operation.Auth == Own { // Login reads the body
		if err := x.limitBody(); err != nil {
			return err
		}
	}
	if err := p.admit(ctx, x); err != nil {
		return err
	}
	if operation.Auth != Own { // only now is the decoded length known
		if err := x.limitBody(); err != nil {
			return err
		}
	}
	return operation.Handler.Serve(iam.WithActor(ctx, x.call.actor()), &x.w, &x.call)
}

// limitBody enforces the operation's MaxBody. A body that the operation does not
// read is none of its concern.
func (x *exchange) limitBody() error {
	if x.operation.MaxBody > 0 && x.call.Length > x.operation.MaxBody {
		return fault.New(fault.TooLarge, fault.None, "request body")
	}
	x.limit = limited{x.call.Body, x.operation.MaxBody}
	x.call.Body = &x.limit
	return nil
}

// admit authenticates and authorises.
func (p *Pipeline) admit(ctx context.Context, x *exchange) error {
	checks := x.operation.Checks
	switch x.operation.Auth {
	case Public:
		return nil
	case Own:
		identity, found, err := x.operation.Login(ctx, &x.call)
		if err != nil {
			return err
		}
		x.call.become(identity)
		checks = found
	case Signed, Anonymous, Caller, Anyone:
		if err := p.authenticate(ctx, x); err != nil {
			return err
		}
	}
	auth := x.operation.Auth
	if x.call.Credential.Principal.Kind == iam.Anonymous && (auth == Signed || auth == Caller) {
		return denied(iam.Check{Action: iam.Action(x.operation.Name)}, "no credentials")
	}
	if len(checks) == 0 && auth != Caller && auth != Anyone {
		return fmt.Errorf("operation %s has no checks", x.operation.Name)
	}
	for _, check := range checks {
		if err := x.call.Authorize(ctx, check); err != nil {
			return err
		}
	}
	return nil
}

func (p *Pipeline) authenticate(ctx context.Context, x *exchange) error {
	identity, err := p.authenticator.Authenticate(ctx, x.raw)
	if err != nil {
		return err
	}
	x.call.become(identity)
	return nil
}

// become makes an authenticated caller's of a call.
func (c *Call) become(identity Identity) {
	c.Credential = identity.Credential
	c.trailer = identity.Trailer
	if identity.Body != nil {
		c.Body, c.Length = identity.Body, identity.Length
	}
	c.facts.S3 = signatureFacts(c.facts.S3, identity.Type, identity.SignedAt, c.Time)
}

// fail answers an error, or aborts the connection if an answer has begun.
func (p *Pipeline) fail(ctx context.Context, x *exchange, err error) {
	x.err = err
	begun := x.w.status != 0
	if !begun {
		x.code = x.protocol.WriteError(&x.w, Failure{Err: err, Request: &x.req, Operation: x.operation})
	}
	if (begun || x.w.status == http.StatusInternalServerError) && fault.KindOf(err) == fault.Internal && ctx.Err() == nil {
		p.config.Logger.ErrorContext(ctx, "request failed", "request_id", x.req.ID, "error", err)
	}
	if begun {
		panic(http.ErrAbortHandler) // p.end reports first; net/http closes the connection
	}
}

// end recovers a panic and reports the request.
func (p *Pipeline) end(ctx context.Context, x *exchange) {
	reason := recover()
	x.body.finish()
	if reason != nil && reason != http.ErrAbortHandler { //nolint:errorlint // net/http compares this very value
		x.err = fmt.Errorf("panic: %v", reason)
		p.config.Logger.ErrorContext(ctx, "panic in handler",
			"request_id", x.req.ID, "panic", fmt.Sprint(reason), "stack", string(debug.Stack()))
		if x.w.status == 0 {
			x.code = x.protocol.WriteError(&x.w, Failure{Err: x.err, Request: &x.req, Operation: x.operation})
			reason = nil
		} else {
			reason = http.ErrAbortHandler
		}
	}
	p.observe(ctx, x)
	if reason != nil {
		panic(reason)
	}
}

func (p *Pipeline) observe(ctx context.Context, x *exchange) {
	if p.config.Observe == nil {
		return
	}
	event := Event{
		RequestID: x.req.ID, Method: x.req.Method, Host: x.req.Host, Path: x.req.Path,
		Status: x.w.status, Code: x.code, Err: x.err, BytesIn: x.body.bytes, BytesOut: x.w.bytes,
		Start: x.req.Received, Duration: p.config.Now().Sub(x.req.Received),
		Principal: x.call.Credential.Principal, RemoteAddr: x.req.SourceIP,
		UserAgent: x.req.Header.Get("User-Agent"), TLS: x.req.TLS, Proto: x.raw.Proto, Lookup: x.call.Lookup,
	}
	if event.Err == nil && x.call.lateErr != nil {
		event.Code, event.Err = x.call.lateCode, x.call.lateErr
	}
	switch {
	case x.w.status == 0 && ctx.Err() != nil:
		event.Status = statusClientGone
	case x.w.status == 0:
		event.Status = http.StatusOK // net/http sends it when the handler returns
	default:
		event.FirstByte = x.w.first.Sub(x.req.Received)
	}
	if x.operation != nil {
		event.Op, event.Bucket, event.Key = x.operation.Name, x.operation.Bucket, x.operation.Key
	}
	p.config.Observe(event)
}

// statusClientGone is what nginx logs for a client that did not wait.
const statusClientGone = 499
