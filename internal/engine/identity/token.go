package identity

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/iam"
)

// token is what a session token says. On the wire it is sealed:
//
//	"LT1." base64url( Sealer.Seal("session token", JSON of this, "") )
//
// so that a session costs nothing to keep, and nobody but this deployment can
// make or read one.
type token struct {
	AccessKey iam.AccessKeyID     `json:"k"`
	Secret    storedSecret        `json:"s"`
	Kind      iam.Kind            `json:"t"` // of the parent
	Parent    iam.UserName        `json:"u,omitempty"`
	ParentID  string              `json:"i,omitempty"` // which of those who ever had the name
	Family    string              `json:"f"`           // what the session is revoked by
	Claims    map[string][]string `json:"c,omitempty"`
	Mapped    []iam.PolicyName    `json:"m,omitempty"` // to a subject, by the login
	Policy    json.RawMessage     `json:"p,omitempty"`
	Began     time.Time           `json:"b"`
	Expires   time.Time           `json:"x"`
	Until     time.Time           `json:"e"` // getting and putting objects
	RenewTill time.Time           `json:"r,omitzero"`
}

const tokenPrefix = "LT1."

// maxToken is the longest token on the wire, in bytes; net/http limits headers
// to 64 KiB.
const maxToken = 16 << 10

func (t *token) seal(sealer Sealer) (string, error) {
	text, err := json.Marshal(t) //nolint:gosec // it is sealed in the next line but one
	if err != nil {
		return "", err
	}
	wire := tokenPrefix + base64.RawURLEncoding.EncodeToString(sealer.Seal(sealToken, text, nil))
	if len(wire) > maxToken {
		return "", fault.Wrap(fault.TooLarge, fault.Session, "", errors.New("claims and policy make the session token too long"))
	}
	return wire, nil
}

// session is an opened token.
type session struct {
	token
	inline *iam.Policy
}

var errToken = errors.New("the session token is not one of this server's")

func openToken(sealer Sealer, wire string) (*session, error) {
	refuse := func() (*session, error) { return nil, fault.Wrap(fault.Unauthenticated, fault.Session, "", errToken) }
	text, ok := strings.CutPrefix(wire, tokenPrefix)
	if !ok || len(wire) > maxToken {
		return refuse()
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return refuse()
	}
	plain, err := sealer.Open(sealToken, sealed, nil)
	if err != nil {
		return refuse()
	}
	s := &session{}
	if err := json.Unmarshal(plain, &s.token); err != nil {
		return refuse()
	}
	if s.Policy != nil {
		if s.inline, err = iam.ParsePolicy(s.Policy); err != nil {
			return refuse()
		}
	}
	return s, nil
}

// tokenCache keeps opened tokens, so that a session's many requests open its
// token once. Only what opened is kept.
type tokenCache struct {
	mu       sync.Mutex // guards the fields below
	sessions map[string]*session
	older    map[string]*session
}

// cachedTokens is half of how many opened tokens are kept.
const cachedTokens = 4096

func (c *tokenCache) open(sealer Sealer, wire string) (*session, error) {
	c.mu.Lock()
	s := c.sessions[wire]
	if s == nil {
		s = c.older[wire]
	}
	c.mu.Unlock()
	if s != nil {
		return s, nil
	}
	s, err := openToken(sealer, wire)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sessions == nil || len(c.sessions) >= cachedTokens {
		c.older, c.sessions = c.sessions, map[string]*session{}
	}
	c.sessions[wire] = s
	return s, nil
}
