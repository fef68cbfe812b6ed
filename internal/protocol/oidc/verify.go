package oidc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/iam"
)

// ErrExpired is the cause of the fault for a token that was good once.
var ErrExpired = errors.New("the token has expired")

// Identity is who a token says the caller is, verified and mapped.
type Identity struct {
	Issuer     string              // "iss", as configured
	Name       string              // of the issuer in our settings
	Subject    string              // "sub": unique below the issuer
	Audience   string              // the one of "aud" that means us
	Claims     map[string][]string // those that policies can ask for, and those that rules use
	Policies   []iam.PolicyName    // at least one
	Expires    time.Time           // of the token, not of a session made from it
	MaxSession time.Duration       // of a session made from it
}

// Verifier verifies tokens of the configured issuers.
type Verifier struct {
	config  Config
	issuers map[string]*source // by URL without a final slash
}

// source is an issuer and its keys.
type source struct {
	Issuer
	keys *keySet
}

// New returns a Verifier. It fetches nothing yet: an issuer that cannot be
// reached does not stop a start. The error says which issuer's settings are
// refused and why.
func New(config Config) (*Verifier, error) {
	if err := config.check(); err != nil {
		return nil, err
	}
	v := &Verifier{config: config, issuers: make(map[string]*source)}
	for _, issuer := range config.Issuers {
		s := &source{Issuer: issuer}
		s.keys = &keySet{load: s.load, patience: config.Patience, now: config.Now}
		v.issuers[trimSlash(issuer.URL)] = s
	}
	return v, nil
}

// Issuers returns the issuers, with all defaults filled in.
func (v *Verifier) Issuers() []Issuer { return slices.Clone(v.config.Issuers) }

// CheckAudience refuses an audience for VerifyFor that is not ours, as New does
// those of the issuers.
func (v *Verifier) CheckAudience(audience string) error {
	for i := range v.config.Issuers {
		if err := v.config.Issuers[i].checkAudience(audience); err != nil {
			return err
		}
	}
	return nil
}

// Verify verifies a token and maps it to policies. A token that is not accepted
// is fault.Unauthenticated about fault.Token (ErrExpired is its cause if that is
// all that is wrong); one that maps to no policy is fault.Denied; keys that
// cannot be had are fault.Unavailable about fault.Issuer.
func (v *Verifier) Verify(ctx context.Context, raw string) (Identity, error) {
	return v.verify(ctx, raw, nil)
}

// VerifyFor is Verify for one audience in place of those of the issuer.
func (v *Verifier) VerifyFor(ctx context.Context, raw, audience string) (Identity, error) {
	return v.verify(ctx, raw, []string{audience})
}

func (v *Verifier) verify(ctx context.Context, raw string, audiences []string) (Identity, error) {
	s, token, err := v.parse(raw)
	if err != nil {
		return Identity{}, refused(err)
	}
	payload, err := s.keys.verify(ctx, token)
	switch {
	case errors.Is(err, errUnknownKey):
		return Identity{}, refused(err)
	case err != nil:
		return Identity{}, fault.Wrap(fault.Unavailable, fault.Issuer, s.URL, err)
	}
	if audiences == nil {
		audiences = s.Audiences
	}
	identity, err := v.check(s, payload, audiences)
	if err != nil {
		return Identity{}, refused(err)
	}
	if len(identity.Policies) == 0 {
		return Identity{}, fault.Wrap(fault.Denied, fault.Token, identity.Subject,
			fmt.Errorf("no rule of issuer %s maps the token to a policy", s.label()))
	}
	return identity, nil
}

func refused(err error) error { return fault.Wrap(fault.Unauthenticated, fault.Token, "", err) }

// parse finds the issuer of a token, of which nothing is proven yet.
func (v *Verifier) parse(raw string) (*source, *jose.JSONWebSignature, error) {
	if len(raw) > maxToken {
		return nil, nil, fmt.Errorf("it is longer than %d bytes", maxToken)
	}
	token, err := jose.ParseSignedCompact(raw, joseAlgorithms(asymmetric))
	if err != nil {
		return nil, nil, err
	}
	if len(token.Signatures) != 1 {
		return nil, nil, errors.New("it has not one signature")
	}
	claims, err := parseClaims(token.UnsafePayloadWithoutVerification())
	if err != nil {
		return nil, nil, err
	}
	iss, err := single(claims, "iss")
	if err != nil {
		return nil, nil, err
	}
	s, ok := v.issuers[trimSlash(iss)]
	if !ok {
		return nil, nil, errors.New("its issuer is not one of ours")
	}
	if alg := token.Signatures[0].Header.Algorithm; !slices.Contains(s.Algorithms, alg) {
		return nil, nil, fmt.Errorf("algorithm %q is not accepted of its issuer", alg)
	}
	return s, token, nil
}

func joseAlgorithms(names []string) []jose.SignatureAlgorithm {
	algorithms := make([]jose.SignatureAlgorithm, len(names))
	for i, name := range names {
		algorithms[i] = jose.SignatureAlgorithm(name)
	}
	return algorithms
}

// check judges the claims of a token whose signature is right.
// https://openid.net/specs/openid-connect-core-1_0.html#IDTokenValidation
func (v *Verifier) check(s *source, payload []byte, audiences []string) (Identity, error) {
	claims, err := parseClaims(payload)
	if err != nil {
		return Identity{}, err
	}
	iss, err := single(claims, "iss")
	if err != nil || trimSlash(iss) != trimSlash(s.URL) {
		return Identity{}, errors.New("its issuer changed under the signature")
	}
	identity := Identity{Issuer: s.URL, Name: s.Name, MaxSession: s.MaxSession}
	if identity.Subject, err = single(claims, "sub"); err != nil {
		return Identity{}, err
	}
	at := slices.IndexFunc(claims["aud"], func(aud string) bool { return slices.Contains(audiences, aud) })
	if at < 0 {
		return Identity{}, errors.New("its audience is not us")
	}
	identity.Audience = claims["aud"][at]
	if identity.Expires, err = v.checkTimes(claims); err != nil {
		return Identity{}, err
	}
	identity.Policies = s.policies(claims)
	identity.Claims = s.keep(claims)
	return identity, nil
}

// checkTimes returns when the token expires.
func (v *Verifier) checkTimes(claims map[string][]string) (expires time.Time, err error) {
	now := v.config.Now()
	for _, name := range []string{"nbf", "iat"} {
		at, err := instant(claims, name)
		if err != nil {
			return time.Time{}, err
		}
		if at.After(now.Add(v.config.Skew)) {
			return time.Time{}, fmt.Errorf("its %q is ahead of our clock", name)
		}
	}
	expires, err = instant(claims, "exp")
	switch {
	case err != nil:
		return time.Time{}, err
	case expires.IsZero():
		return time.Time{}, errors.New(`the token has no "exp"`)
	case !now.Before(expires.Add(v.config.Skew)):
		return time.Time{}, ErrExpired
	}
	return expires, nil
}

// keep returns the claims that a session carries.
func (s *source) keep(claims map[string][]string) map[string][]string {
	var used []string
	for i := range s.Rules {
		used = append(used, s.Rules[i].claims()...)
	}
	kept := make(map[string][]string)
	for name, values := range claims {
		if iam.KnownClaim(name) || slices.Contains(used, name) {
			kept[name] = values
		}
	}
	return kept
}
