package identity

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/iam"
)

const (
	// DefaultSession is the length of a session that asks for none.
	DefaultSession = time.Hour

	// Grace is how long after its end a session may still get and put objects,
	// so that expiry does not fail the build that is running. One that was asked
	// for less than Grace has none: whoever wants it so short renews it, and its
	// end is meant to be one.
	Grace = 15 * time.Minute
)

func grace(asked time.Duration) time.Duration {
	if asked < Grace {
		return 0
	}
	return Grace
}

// checkDuration refuses a length that no session has.
func checkDuration(d time.Duration) error {
	if d < iam.MinSession || d > iam.MaxSession {
		return fault.Wrap(fault.Invalid, fault.Session, "", fmt.Errorf("a session lasts %d to %d seconds", int(iam.MinSession.Seconds()), int(iam.MaxSession.Seconds())))
	}
	return nil
}

// AssumeRole makes a session of a user or of root. It is Denied for credentials
// that are derived themselves.
func (s *Service) AssumeRole(_ context.Context, caller iam.Principal, spec iam.SessionSpec) (iam.SessionKey, error) {
	t := token{Kind: caller.Kind}
	switch caller.Kind {
	case iam.Root:
		t.ParentID = s.root.Load().id()
	case iam.User:
		record, ok := s.current.Load().doc.Users[caller.User]
		if !ok || record.Disabled {
			return iam.SessionKey{}, fault.New(fault.Unauthenticated, fault.AccessKey, string(caller.User))
		}
		t.Parent, t.ParentID = caller.User, record.ID
	case iam.Anonymous, iam.ServiceAccount, iam.Session, iam.Subject:
		return iam.SessionKey{}, fault.Wrap(fault.Denied, fault.Session, "", errors.New("only a user's own key assumes a role"))
	}
	return s.begin(t, spec)
}

// id differs between two secrets that root had after each other: who gives root
// another secret shuts out whoever had the old one, his sessions too.
func (r *Root) id() string {
	sum := sha256.Sum256([]byte("larder root session\n" + r.Secret.Reveal()))
	return hex.EncodeToString(sum[:8])
}

// begin makes a session of a token that says whose it is.
func (s *Service) begin(t token, spec iam.SessionSpec) (iam.SessionKey, error) {
	if spec.Duration == 0 {
		spec.Duration = DefaultSession
	}
	if err := checkDuration(spec.Duration); err != nil {
		return iam.SessionKey{}, err
	}
	policy, err := inlinePolicy(spec.Policy, iam.MaxSessionPolicySize)
	if err != nil {
		return iam.SessionKey{}, err
	}
	now := s.now()
	t.Policy, t.Began = policy, now
	last := now.Add(spec.Duration)
	if spec.Renew > 0 {
		t.RenewTill = now.Add(min(spec.Renew, iam.MaxSession))
		last = later(last, t.RenewTill)
	}
	t.Family = newFamily(now, last)
	return s.issue(t, now.Add(spec.Duration), grace(spec.Duration))
}

// issue gives a token fresh keys that end at expires, and seals it.
func (s *Service) issue(t token, expires time.Time, grace time.Duration) (iam.SessionKey, error) {
	t.AccessKey = iam.AccessKeyID("LT" + randomText(18, upperAlphabet))
	t.Secret = storedSecret(randomText(40, mixedAlphabet))
	t.Expires = expires.Truncate(time.Second)
	t.Until = t.Expires.Add(grace)
	wire, err := t.seal(s.sealer)
	if err != nil {
		return iam.SessionKey{}, err
	}
	parent := t.Parent
	if t.Kind == iam.Root {
		parent = s.RootName()
	}
	return iam.SessionKey{AccessKey: t.AccessKey, Secret: iam.Secret(t.Secret), Token: wire, Expires: t.Expires, Parent: parent}, nil
}

// Renew makes a session that goes on where the token's ends, with the same
// rights, at most until the bound that was set when the first one began. It is
// Unauthenticated for a token that is expired, revoked, or past its bound.
func (s *Service) Renew(_ context.Context, wire string, d time.Duration) (iam.SessionKey, error) {
	t, err := s.tokens.open(s.sealer, wire)
	if err != nil {
		return iam.SessionKey{}, err
	}
	now := s.now()
	if _, err := s.sessionState(t, now); err != nil {
		return iam.SessionKey{}, err
	}
	if !now.Before(t.Expires) || !now.Before(t.RenewTill) {
		return iam.SessionKey{}, expired(t.AccessKey)
	}
	if d == 0 {
		d = DefaultSession
	}
	if err := checkDuration(d); err != nil {
		return iam.SessionKey{}, err
	}
	return s.issue(t.token, now.Add(min(d, t.RenewTill.Sub(now))), grace(d))
}

// ErrExpired is the cause of the Unauthenticated fault of a session that ended.
var ErrExpired = errors.New("the session has expired")

func expired(key iam.AccessKeyID) error {
	return fault.Wrap(fault.Unauthenticated, fault.ExpiredSession, string(key), ErrExpired)
}

// sessionState says whether a session's parent is there and the session not
// revoked, whatever the time. disabledOrGone is Unauthenticated.
func (s *Service) sessionState(t *session, now time.Time) (iam.UserName, error) {
	st := s.current.Load()
	refuse := func(why string) (iam.UserName, error) {
		return "", fault.Wrap(fault.Unauthenticated, fault.Session, string(t.AccessKey), errors.New(why))
	}
	parent := t.Parent
	switch t.Kind {
	case iam.Root:
		root := s.root.Load()
		if t.ParentID != root.id() {
			return refuse("root has another secret since the session began")
		}
		parent = iam.UserName(root.AccessKey)
	case iam.User:
		record, ok := st.doc.Users[t.Parent]
		if !ok || record.Disabled || record.ID != t.ParentID {
			return refuse("the session's user is disabled or gone")
		}
	case iam.Subject:
		record, ok := st.doc.Subjects[t.Parent]
		if !ok || record.Disabled || record.ID != t.ParentID || s.lapsed(record, now) {
			return refuse("the session's subject is disabled, lapsed or gone")
		}
	case iam.Anonymous, iam.ServiceAccount, iam.Session:
		return refuse("the session has no parent")
	}
	if st.doc.revoked(t.Family, t.Parent) {
		return refuse("the session was revoked")
	}
	return parent, nil
}

// A family is all sessions that one was renewed to. Its name says when it began
// and when the last of it ends, in Unix milliseconds: "ID.began.end".
func newFamily(began, end time.Time) string {
	return fmt.Sprintf("%s.%d.%d", newID(), began.UnixMilli(), end.UnixMilli())
}

func familyTime(family string, i int) time.Time {
	fields := strings.Split(family, ".")
	if len(fields) != 3 {
		return time.Time{}
	}
	ms, err := strconv.ParseInt(fields[i], 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

func familyBegan(family string) time.Time { return familyTime(family, 1) }
func familyEnd(family string) time.Time   { return familyTime(family, 2) }

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// revoked reports whether a family, or all of its parent's that began when it
// did, were revoked. The parent of root's is "".
func (d *document) revoked(family string, parent iam.UserName) bool {
	_, one := d.Revoked[family]
	before, all := d.RevokedBefore[parent]
	return one || all && !familyBegan(family).After(before)
}

// Revoke ends the session that a principal signs with, and all that it was
// renewed to. Revoking again is no error.
func (s *Service) Revoke(ctx context.Context, by iam.Actor, who iam.Principal) error {
	if who.Kind != iam.Session || who.Session == "" {
		return fault.New(fault.Invalid, fault.Session, string(who.AccessKey))
	}
	return s.change(ctx, by, func(d *document) (*iam.Change, error) {
		if _, ok := d.Revoked[who.Session]; ok {
			return nil, nil //nolint:nilnil // nothing changed
		}
		d.Revoked[who.Session] = later(who.Expires, familyEnd(who.Session)).Add(Grace)
		return &iam.Change{Action: "session.revoke", Target: string(who.AccessKey), Before: sessionView{who.User, who.Expires}}, nil
	})
}

type sessionView struct {
	Parent  iam.UserName `json:"parent"`
	Expires time.Time    `json:"expires"`
}

// RevokeAll ends all sessions of a user, a subject or root that began before
// now.
func (s *Service) RevokeAll(ctx context.Context, by iam.Actor, parent iam.UserName) error {
	return s.change(ctx, by, func(d *document) (*iam.Change, error) {
		_, isUser := d.Users[parent]
		_, isSubject := d.Subjects[parent]
		target := parent
		switch {
		case parent == s.RootName():
			target = ""
		case !isUser && !isSubject:
			return nil, fault.Missing(fault.User, string(parent))
		}
		d.RevokedBefore[target] = s.now()
		return &iam.Change{Action: "session.revoke-all", Target: string(parent)}, nil
	})
}

// lateSessions remembers which sessions were warned about.
type lateSessions struct {
	mu   sync.Mutex // guards seen
	seen map[string]bool
}

// first reports whether a session is late for the first time, as far as is
// remembered.
func (l *lateSessions) first(family string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.seen == nil || len(l.seen) >= cachedTokens {
		l.seen = map[string]bool{}
	}
	if l.seen[family] {
		return false
	}
	l.seen[family] = true
	return true
}

// knownClaims returns the claims that conditions can name.
func knownClaims(all map[string][]string) map[string][]string {
	claims := map[string][]string{}
	for name, values := range all {
		if iam.KnownClaim(name) {
			claims[name] = values
		}
	}
	return claims
}
