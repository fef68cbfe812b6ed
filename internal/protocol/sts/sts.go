package sts

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/protocol/oidc"
)

// Sessions makes and ends sessions.
type Sessions interface {
	// AssumeRole makes a session of the caller, who must be a user or root: it is
	// fault.Denied for credentials that are derived themselves.
	AssumeRole(ctx context.Context, caller iam.Principal, want Grant) (Session, error)

	// AssumeSubject makes a session of a subject that an outside issuer vouches
	// for, and keeps the subject with the policies mapped to it now. It is
	// fault.Unauthenticated for a disabled one.
	AssumeSubject(ctx context.Context, subject oidc.Identity, want Grant, from Origin) (Session, error)

	// Renew makes a session that goes on where the token's ends, within the bound
	// that was set when the first one began.
	Renew(ctx context.Context, token string, duration time.Duration) (Session, error)

	// Revoke ends the session that who signs with, and all that it was renewed to.
	Revoke(ctx context.Context, who iam.Principal, from Origin) error
}

// Tokens verifies the tokens of outside issuers.
type Tokens interface {
	// Verify accepts tokens for the issuer's audiences.
	Verify(ctx context.Context, raw string) (oidc.Identity, error)

	// VerifyFor accepts tokens for one audience, whatever the issuer's are.
	VerifyFor(ctx context.Context, raw, audience string) (oidc.Identity, error)
}

// Grant is what a session is to be.
type Grant struct {
	Duration time.Duration // 900 s to 365 days
	Policy   []byte        // narrows the rights; empty for none; at most 2,048 bytes
	Renew    time.Duration // for how long the session may be renewed; 0 for never
}

// Session is a new session. Token goes with every request.
type Session struct {
	AccessKey iam.AccessKeyID
	Secret    iam.Secret
	Token     string
	Expires   time.Time
	Parent    iam.UserName // whose rights count
}

// Origin is where a request came from, for the audit trail.
type Origin struct {
	From      netip.Addr
	RequestID string
}

// The bounds of a session, and of what asks for one.
const (
	MinDuration     = 900 * time.Second
	MaxDuration     = 365 * 24 * time.Hour
	DefaultDuration = time.Hour

	maxPolicy = 2048     // bytes
	maxForm   = 64 << 10 // bytes
)

// Audience is what tokens for the endpoint must be made for, unless Config says
// otherwise.
const Audience = "larder"

// Config tunes a Service.
type Config struct {
	// Audience is the only one whose tokens Endpoint takes. "" means "larder".
	Audience string

	// Failures is how many failures from one address are answered in full before
	// they are throttled; one more is forgiven every second. 0 means 30.
	Failures int

	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Service holds what both protocols share.
type Service struct {
	sessions Sessions
	tokens   Tokens
	config   Config
	failures *failures
}

// New returns a Service. tokens may be nil: then no issuer is trusted.
func New(sessions Sessions, tokens Tokens, config Config) (*Service, error) {
	if sessions == nil || config.Failures < 0 {
		return nil, errors.New("sts: no sessions, or a negative limit")
	}
	if config.Audience == "" {
		config.Audience = Audience
	}
	if config.Failures == 0 {
		config.Failures = 30
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	if tokens == nil {
		tokens = noIssuers{}
	}
	return &Service{sessions: sessions, tokens: tokens, config: config, failures: newFailures(config.Failures, config.Now)}, nil
}

// noIssuers trusts nobody.
type noIssuers struct{}

func (noIssuers) Verify(context.Context, string) (oidc.Identity, error) {
	return oidc.Identity{}, &Error{Code: InvalidIdentityToken, Message: "No identity issuer is configured on this server."}
}

func (n noIssuers) VerifyFor(ctx context.Context, raw, _ string) (oidc.Identity, error) {
	return n.Verify(ctx, raw)
}

// assumeSubject verifies a token with verify and makes a session of its subject.
// duration 0 means an hour, or less if the issuer allows less.
func (s *Service) assumeSubject(ctx context.Context, verify func() (oidc.Identity, error), duration time.Duration, policy []byte, from Origin) (Session, oidc.Identity, error) {
	leave, err := s.failures.enter(ctx, from.From)
	if err != nil {
		return Session{}, oidc.Identity{}, err
	}
	identity, err := func() (oidc.Identity, error) { defer leave(); return verify() }()
	if err != nil {
		return Session{}, oidc.Identity{}, err
	}
	if duration == 0 {
		duration = max(MinDuration, min(DefaultDuration, identity.MaxSession))
	}
	if duration > max(identity.MaxSession, MinDuration) {
		return Session{}, oidc.Identity{}, &Error{
			Code:    ValidationError,
			Message: "The requested DurationSeconds exceeds the longest session of this issuer, " + identity.MaxSession.String() + ".",
		}
	}
	session, err := s.sessions.AssumeSubject(ctx, identity, Grant{Duration: duration, Policy: policy, Renew: identity.MaxSession}, from)
	return session, identity, err
}
