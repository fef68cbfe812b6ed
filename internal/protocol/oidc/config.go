package oidc

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/larder-cache/larder/internal/iam"
)

// Issuer is one issuer of tokens whose tokens are accepted.
type Issuer struct {
	// Name tells issuers apart in settings and logs; it may be "".
	Name string

	// URL is what tokens say in "iss".
	URL string

	// Discovery is the URL of the discovery document, if it is not URL with
	// "/.well-known/openid-configuration" behind it.
	Discovery string

	// JWKSFile holds the issuer's keys. With it nothing is fetched, and URL may be
	// any string.
	JWKSFile string

	// CAFile holds the PEM certificates that the issuer's TLS is trusted by; ""
	// means the system's. It is read again for each fetch.
	CAFile string

	// TokenFile holds a bearer token for discovery, as a kube-apiserver wants one.
	// It is read again for each fetch.
	TokenFile string

	// Audiences are the values of "aud" that mean us. At least one.
	Audiences []string

	// Algorithms are the accepted signatures. Empty means RS256, PS256, ES256,
	// ES384 and EdDSA.
	Algorithms []string

	// Rules map claims to policies; the first that matches counts.
	Rules []Rule

	// PolicyClaim names a claim that holds policies, consulted if no rule matches:
	// a list, or a text with commas. "" for none.
	PolicyClaim string

	// AllowedPolicies are the patterns ("ci-*") that a policy of PolicyClaim must
	// match one of; one that starts with "!" excludes. Needed with PolicyClaim.
	AllowedPolicies []string

	// MaxSession is the longest session made from a token, from iam.MinSession to
	// iam.MaxSession. 0 means 24 hours.
	MaxSession time.Duration

	// Client is what the console needs to log users in; STS does not.
	Client Client
}

// Client is our registration with an issuer, for logging in with a browser.
type Client struct {
	ID          string
	Secret      iam.Secret
	SecretFile  string // holds the secret instead; see ReadSecret
	Scopes      []string
	RedirectURI string
	DisplayName string
}

// ReadSecret returns the secret. Like the issuer's other files, that of the secret
// is read again each time, so that what an agent renders counts at once.
func (c *Client) ReadSecret() (iam.Secret, error) {
	if c.SecretFile == "" {
		return c.Secret, nil
	}
	content, err := readFile(c.SecretFile)
	if err != nil {
		return "", fmt.Errorf("the client's secret: %w", err)
	}
	return iam.Secret(strings.TrimSpace(string(content))), nil
}

// Config tunes a Verifier.
type Config struct {
	// Issuers are those whose tokens are accepted; no two have the same URL.
	Issuers []Issuer

	// Skew is how far clocks may be apart. 0 means one minute.
	Skew time.Duration

	// Patience is how long discovery and keys together may take. 0 means ten
	// seconds.
	Patience time.Duration

	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

const wellKnown = "/.well-known/openid-configuration"

// asymmetric are the algorithms that may be configured.
var asymmetric = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

var defaultAlgorithms = []string{"RS256", "PS256", "ES256", "ES384", "EdDSA"}

func (c *Config) check() error {
	if c.Skew < 0 || c.Skew > 5*time.Minute {
		return errors.New("the skew is not between 0 and 5 minutes")
	}
	if c.Skew == 0 {
		c.Skew = time.Minute
	}
	if c.Patience < 0 {
		return errors.New("the patience with issuers is negative")
	}
	if c.Patience == 0 {
		c.Patience = 10 * time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	c.Issuers = slices.Clone(c.Issuers)
	seen := make(map[string]bool)
	for i := range c.Issuers {
		issuer := &c.Issuers[i]
		if err := issuer.check(); err != nil {
			return fmt.Errorf("identity issuer %s: %w", issuer.label(), err)
		}
		key := trimSlash(issuer.URL)
		if seen[key] {
			return fmt.Errorf("identity issuer %s: %s is configured twice", issuer.label(), issuer.URL)
		}
		seen[key] = true
	}
	return nil
}

func (i *Issuer) label() string {
	if i.Name == "" {
		return `""`
	}
	return i.Name
}

// trimSlash: providers disagree whether their own URL ends in a slash.
func trimSlash(s string) string { return strings.TrimSuffix(s, "/") }

func (i *Issuer) check() error {
	if err := i.checkURLs(); err != nil {
		return err
	}
	if len(i.Algorithms) == 0 {
		i.Algorithms = defaultAlgorithms
	}
	for _, alg := range i.Algorithms {
		if !slices.Contains(asymmetric, alg) {
			return fmt.Errorf("algorithm %q is not one of %s", alg, strings.Join(asymmetric, ", "))
		}
	}
	if i.MaxSession == 0 {
		i.MaxSession = 24 * time.Hour
	}
	if i.MaxSession < iam.MinSession || i.MaxSession > iam.MaxSession {
		return fmt.Errorf("the longest session, %v, is not between %v and %v", i.MaxSession, iam.MinSession, iam.MaxSession)
	}
	if err := i.checkAudiences(); err != nil {
		return err
	}
	return i.checkMapping()
}

func (i *Issuer) checkURLs() error {
	if i.URL == "" {
		return errors.New("it has no URL")
	}
	if i.JWKSFile != "" {
		return nil
	}
	if i.Discovery == "" {
		i.Discovery = trimSlash(i.URL) + wellKnown
	}
	u, err := url.Parse(i.Discovery)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.Fragment != "":
		return fmt.Errorf("%q is not the URL of a discovery document", i.Discovery)
	case nowhereHost(u.Hostname()):
		return fmt.Errorf("%q is a link-local or other address that no issuer has", i.Discovery)
	case u.Scheme == "https" || u.Scheme == "http" && loopback(u.Hostname()):
		return nil
	}
	return fmt.Errorf("%q is neither https nor on this machine", i.Discovery)
}

func nowhereHost(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && nowhere(ip.Unmap())
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || ip != nil && ip.IsLoopback()
}

func (i *Issuer) checkAudiences() error {
	if len(i.Audiences) == 0 {
		return errors.New("it has no audience: without one, tokens that were made for others would be accepted")
	}
	for _, audience := range i.Audiences {
		if err := i.checkAudience(audience); err != nil {
			return err
		}
	}
	return nil
}

// checkAudience refuses an audience that tokens have which are meant for others:
// a ServiceAccount's token for its own API server names the issuer.
func (i *Issuer) checkAudience(audience string) error {
	if audience == "" || trimSlash(audience) == trimSlash(i.URL) || strings.Contains(audience, "kubernetes.default.svc") {
		return fmt.Errorf("audience %q is not ours: tokens for the issuer itself would be accepted", audience)
	}
	return nil
}

func (i *Issuer) checkMapping() error {
	if len(i.Rules) == 0 && i.PolicyClaim == "" {
		return errors.New("nothing maps its tokens to policies: give rules, a role policy or a policy claim")
	}
	if i.PolicyClaim != "" && len(i.AllowedPolicies) == 0 {
		return errors.New("its policy claim has no list of allowed policies")
	}
	narrow, world := worldWide(i.URL)
	if world && i.PolicyClaim != "" {
		return fmt.Errorf("%s signs for everybody: a policy claim of its tokens proves nothing", i.URL)
	}
	for n := range i.Rules {
		rule := &i.Rules[n]
		if err := rule.check(); err != nil {
			return fmt.Errorf("rule %d: %w", n+1, err)
		}
		if world && !rule.narrows(narrow) {
			return fmt.Errorf("rule %d: %s signs for everybody: match one of %s, by its number", n+1, i.URL, strings.Join(narrow, ", "))
		}
	}
	return nil
}

// worldWide returns the claims that say on whose behalf an issuer for everybody
// signs, by numbers or ids that are never given to another.
func worldWide(issuer string) (claims []string, ok bool) {
	u, err := url.Parse(issuer)
	if err != nil {
		return nil, false
	}
	claims, ok = worldIssuers[strings.ToLower(u.Hostname())]
	return claims, ok
}

var worldIssuers = map[string][]string{
	"token.actions.githubusercontent.com": {"repository_owner_id", "repository_id", "enterprise_id"},
	"gitlab.com":                          {"namespace_id", "project_id"},
	"accounts.google.com":                 {"sub", "hd"},
	"agent.buildkite.com":                 {"organization_id", "pipeline_id"},
	"app.terraform.io":                    {"terraform_organization_id", "terraform_workspace_id"},
}
