package sts

import (
	"context"
	"errors"
	"time"

	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/protocol/edge"
	"github.com/larder-cache/larder/internal/protocol/oidc"
)

// Sessions makes and ends sessions.
type Sessions interface {
	// AssumeRole makes a session of the caller, who must be a user or root: it is
	// fault.Denied for credentials that are derived themselves.
	AssumeRole(ctx context.Context, caller iam.Principal, spec iam.SessionSpec) (iam.SessionKey, error)

	// SubjectSession makes a session of a subject that an outside issuer vouches
	// for, and keeps the subject with the policies mapped to it now. It is
	// fault.Unauthenticated for a disabled one.
	SubjectSession(ctx context.Context, by iam.Actor, login iam.Login, spec iam.SessionSpec) (iam.SessionKey, error)

	// Renew makes a session that goes on where the token's ends, within the bound
	// that was set when the first one began. Duration 0 means an hour.
	Renew(ctx context.Context, token string, duration time.Duration) (iam.SessionKey, error)

	// Revoke ends the session that who signs with, and all that it was renewed to.
	Revoke(ctx context.Context, by iam.Actor, who iam.Principal) error
}

// Tokens verifies the tokens of outside issuers.
type Tokens interface {
	// Verify accepts tokens for the issuer's audiences.
	Verify(ctx context.Context, raw string) (oidc.Identity, error)

	// VerifyFor accepts tokens for one audience, whatever the issuer's are.
	VerifyFor(ctx context.Context, raw, audience string) (oidc.Identity, error)
}

// The bounds of what asks for a session.
const (
	MinDuration     = 900 * time.Second // of Query, as AWS has it; Endpoint goes down to iam.MinSession
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

// exchange verifies an outside token with verify and makes a session of its
// subject. Duration 0 means an hour, or less if the issuer allows less. One that is
// renewable can be renewed by its token alone, within the issuer's bound.
func (s *Service) exchange(ctx context.Context, call *edge.Call, spec iam.SessionSpec, renewable bool, verify func() (oidc.Identity, error)) (iam.SessionKey, oidc.Identity, error) {
	leave, err := s.failures.enter(ctx, call.SourceIP)
	if err != nil {
		return iam.SessionKey{}, oidc.Identity{}, err
	}
	identity, err := func() (oidc.Identity, error) { defer leave(); return verify() }()
	if err != nil {
		return iam.SessionKey{}, oidc.Identity{}, err
	}
	if spec.Duration == 0 {
		spec.Duration = min(DefaultDuration, identity.MaxSession)
	}
	if spec.Duration > identity.MaxSession {
		return iam.SessionKey{}, oidc.Identity{}, &Error{
			Code:    ValidationError,
			Message: "The requested DurationSeconds exceeds the longest session of this issuer, " + identity.MaxSession.String() + ".",
		}
	}
	if renewable {
		spec.Renew = identity.MaxSession
	}
	session, err := s.sessions.SubjectSession(ctx, actor(call), login(&identity), spec)
	return session, identity, err
}

func login(identity *oidc.Identity) iam.Login {
	return iam.Login{
		Issuer: identity.Issuer, Sub: identity.Subject, Display: display(identity), Policies: identity.Policies, Claims: identity.Claims,
	}
}

// display is how people know a subject; whose it is, its issuer says.
func display(identity *oidc.Identity) string {
	for _, claim := range []string{"email", "preferred_username", "name"} {
		if values := identity.Claims[claim]; len(values) == 1 {
			return values[0]
		}
	}
	return ""
}

// actor is the caller, for the audit trail.
func actor(call *edge.Call) iam.Actor {
	return iam.Actor{Principal: call.Principal(), From: call.SourceIP, RequestID: call.ID}
}
