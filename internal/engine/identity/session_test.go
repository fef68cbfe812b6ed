package identity_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/engine/identity"
	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/iam"
)

var alice = iam.Principal{Kind: iam.User, User: "alice", AccessKey: "alice"}

// session makes a session of alice.
func (w *world) session(spec iam.SessionSpec) iam.SessionKey {
	w.t.Helper()
	s, err := w.AssumeRole(w.t.Context(), alice, spec)
	must(w.t, err)
	return s
}

// TestSessionRights: a session may what its parent may now, narrowed by its own
// policy, and never more.
func TestSessionRights(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.user("alice", "readwrite")
	plain := w.session(iam.SessionSpec{})
	narrow := w.session(iam.SessionSpec{Policy: statement("Allow", "s3:GetObject", "b/*")})
	denyOnly := w.session(iam.SessionSpec{Policy: statement("Deny", "s3:DeleteObject", "*")})
	wide := w.session(iam.SessionSpec{Policy: []byte(`{"Statement":[{"Effect":"Allow","Action":"admin:*"},{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}`)})
	type want struct{ plain, narrow, denyOnly, wide bool }
	check := func(what string, action iam.Action, resource string, want want) {
		t.Helper()
		for _, c := range []struct {
			name string
			key  iam.SessionKey
			want bool
		}{{"plain", plain, want.plain}, {"narrow", narrow, want.narrow}, {"deny-only", denyOnly, want.denyOnly}, {"wide", wide, want.wide}} {
			if got := w.may(c.key.AccessKey, c.key.Token, action, resource); got != c.want {
				t.Errorf("%s: %s session, %s on %s: %v, want %v", what, c.name, action, resource, got, c.want)
			}
		}
	}
	check("readwrite", "s3:GetObject", "b/k", want{true, true, false, true})
	check("readwrite", "s3:PutObject", "b/k", want{true, false, false, true})
	check("readwrite", "admin:CreateUser", "bob", want{})
	check("own account", "admin:RemoveServiceAccount", "alice", want{true, false, false, true})
	check("own account, which would outlive it", "admin:CreateServiceAccount", "alice", want{})
	check("another's account", "admin:CreateServiceAccount", "bob", want{})
	check("root's account", "admin:CreateServiceAccount", rootName, want{})

	must(t, w.SetPolicies(ctx, root, iam.Holder{User: "alice"}, []iam.PolicyName{"readonly"}))
	check("readonly now", "s3:GetObject", "b/k", want{true, true, false, true})
	check("readonly now", "s3:PutObject", "b/k", want{})
	must(t, w.SetUser(ctx, root, "alice", iam.UserChange{Enabled: new(false)}))
	check("disabled", "s3:GetObject", "b/k", want{})
	must(t, w.SetUser(ctx, root, "alice", iam.UserChange{Enabled: new(true)}))
	check("enabled again", "s3:GetObject", "b/k", want{true, true, false, true})
	must(t, w.RemoveUser(ctx, root, "alice"))
	w.user("alice", "readwrite")
	check("another user of that name", "s3:GetObject", "b/k", want{})
}

func TestSessionOfRoot(t *testing.T) {
	w := newWorld(t)
	narrow, err := w.AssumeRole(t.Context(), root.Principal, iam.SessionSpec{Policy: statement("Allow", "s3:GetObject", "b/*")})
	must(t, err)
	denyOnly, err := w.AssumeRole(t.Context(), root.Principal, iam.SessionSpec{Policy: statement("Deny", "s3:DeleteObject", "*")})
	must(t, err)
	if !w.may(narrow.AccessKey, narrow.Token, "s3:GetObject", "b/k") || w.may(narrow.AccessKey, narrow.Token, "s3:PutObject", "b/k") {
		t.Error("root's session is not bound by its policy")
	}
	if w.may(denyOnly.AccessKey, denyOnly.Token, "s3:GetObject", "b/k") || w.may(denyOnly.AccessKey, denyOnly.Token, "admin:CreateUser", "") {
		t.Error("a policy that only denies lets root's session through")
	}
}

func TestWhoMayAssume(t *testing.T) {
	w := newWorld(t)
	w.user("alice")
	for name, p := range map[string]iam.Principal{
		"anonymous":       {},
		"service account": {Kind: iam.ServiceAccount, User: "alice", Parent: iam.User},
		"session":         {Kind: iam.Session, User: "alice", Parent: iam.User},
		"subject":         {Kind: iam.Subject, User: "alice"},
	} {
		if _, err := w.AssumeRole(t.Context(), p, iam.SessionSpec{}); !errors.Is(err, fault.Denied) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, spec := range map[string]iam.SessionSpec{
		"too short":  {Duration: 179 * time.Second},
		"too long":   {Duration: 365*24*time.Hour + time.Second},
		"bad policy": {Policy: []byte(`{"Statement":[{}]}`)},
		"big policy": {Policy: statement("Allow", "s3:GetObject", strings.Repeat("b", 2048))},
	} {
		if _, err := w.AssumeRole(t.Context(), alice, spec); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// TestSessionTokens: a token belongs to its key and this server.
func TestSessionTokens(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.user("alice", "readwrite")
	one, two := w.session(iam.SessionSpec{}), w.session(iam.SessionSpec{})
	foreign := newWorld(t)
	foreign.user("alice", "readwrite")
	other := foreign.session(iam.SessionSpec{})
	tests := []struct {
		name  string
		key   iam.AccessKeyID
		token string
	}{
		{"another session's", one.AccessKey, two.Token},
		{"another server's", other.AccessKey, other.Token},
		{"none", one.AccessKey, ""},
		{"empty", one.AccessKey, "LT1."},
		{"cut", one.AccessKey, one.Token[:len(one.Token)-1]},
		{"changed", one.AccessKey, one.Token[:40] + another(one.Token[40]) + one.Token[41:]},
		{"nonsense", one.AccessKey, "LT1.%%%"},
		{"with a user's key", "alice", one.Token},
		{"with root's key", rootName, one.Token},
		{"huge", one.AccessKey, "LT1." + strings.Repeat("A", 1<<20)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := w.Credential(ctx, tt.key, tt.token)
			if !errors.Is(err, fault.Unauthenticated) {
				t.Errorf("got %v, %v", c.Principal, err)
			}
		})
	}
	c, err := w.Credential(ctx, one.AccessKey, one.Token)
	must(t, err)
	if c.Secret != one.Secret {
		t.Error("the secret is another one")
	}
	if strings.Contains(one.Token, "alice") {
		t.Error("the token shows whose it is")
	}
}

// TestGrace: an ended session still gets and puts objects for a quarter of an
// hour, with a warning, and does nothing else.
func TestGrace(t *testing.T) {
	w := newWorld(t)
	w.user("alice", "consoleAdmin")
	s := w.session(iam.SessionSpec{Duration: 15 * time.Minute})
	revoked := w.session(iam.SessionSpec{Duration: 15 * time.Minute})
	late, err := w.Credential(t.Context(), revoked.AccessKey, revoked.Token)
	must(t, err)
	must(t, w.Revoke(t.Context(), root, late.Principal))

	steps := []struct {
		after      time.Duration
		get, other bool
	}{{14 * time.Minute, true, true}, {15 * time.Minute, true, false}, {29 * time.Minute, true, false}, {31 * time.Minute, false, false}}
	began := w.now
	for _, step := range steps {
		w.now = began.Add(step.after)
		for action, want := range map[iam.Action]bool{"s3:GetObject": step.get, "s3:PutObject": step.get, "s3:DeleteObject": step.other, "s3:ListBucket": step.other, "admin:ListUsers": step.other} {
			if got := w.may(s.AccessKey, s.Token, action, "b/k"); got != want {
				t.Errorf("after %v: %s is %v, want %v", step.after, action, got, want)
			}
			if w.may(revoked.AccessKey, revoked.Token, action, "b/k") || w.allowed(late.Principal, action, "b/k") {
				t.Errorf("after %v: a revoked session may %s", step.after, action)
			}
		}
	}
	if n := strings.Count(w.log.String(), "session goes on after its end"); n != 1 {
		t.Errorf("%d warnings, want 1:\n%s", n, w.log)
	}
	if _, err := w.Credential(t.Context(), s.AccessKey, s.Token); fault.As(err).Noun != fault.ExpiredSession {
		t.Errorf("after the grace: %v", err)
	}
}

// TestShortSessions have no grace: who asks for less than a quarter of an hour
// renews, and means it.
func TestShortSessions(t *testing.T) {
	w := newWorld(t)
	w.user("alice", "consoleAdmin")
	spec := iam.SessionSpec{Duration: iam.MinSession, Renew: 4 * time.Minute}
	first := w.session(spec)
	began := w.now
	w.now = began.Add(time.Minute)
	renewed, err := w.Renew(t.Context(), first.Token, iam.MinSession)
	must(t, err)
	for _, step := range []struct {
		after          time.Duration
		first, renewed bool
	}{{3*time.Minute - time.Second, true, true}, {3 * time.Minute, false, true}, {4 * time.Minute, false, false}} {
		w.now = began.Add(step.after)
		for _, action := range []iam.Action{"s3:GetObject", "s3:PutObject", "s3:ListBucket"} {
			if got := w.may(first.AccessKey, first.Token, action, "b/k"); got != step.first {
				t.Errorf("after %v: %s is %v, want %v", step.after, action, got, step.first)
			}
			if got := w.may(renewed.AccessKey, renewed.Token, action, "b/k"); got != step.renewed {
				t.Errorf("renewed, after %v: %s is %v, want %v", step.after, action, got, step.renewed)
			}
		}
	}
	for name, s := range map[string]iam.SessionKey{"first": first, "renewed": renewed} {
		if _, err := w.Credential(t.Context(), s.AccessKey, s.Token); fault.As(err).Noun != fault.ExpiredSession {
			t.Errorf("%s after its end: %v", name, err)
		}
	}
}

// TestCutShort: a session that its bound cuts short was meant to be longer, and
// keeps its grace.
func TestCutShort(t *testing.T) {
	w := newWorld(t)
	w.user("alice", "consoleAdmin")
	s := w.session(iam.SessionSpec{Duration: 15 * time.Minute, Renew: 16 * time.Minute})
	w.now = w.now.Add(14 * time.Minute)
	last, err := w.Renew(t.Context(), s.Token, 0)
	must(t, err)
	w.now = w.now.Add(10 * time.Minute)
	if !w.may(last.AccessKey, last.Token, "s3:PutObject", "b/k") || w.may(last.AccessKey, last.Token, "s3:ListBucket", "b/k") {
		t.Error("an hour's session that was cut to two minutes has no grace")
	}
}

func TestRevoke(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.user("alice", "readwrite")
	first := w.session(iam.SessionSpec{Renew: time.Hour})
	renewed, err := w.Renew(ctx, first.Token, 0)
	must(t, err)
	bystander := w.session(iam.SessionSpec{})
	c, err := w.Credential(ctx, first.AccessKey, first.Token)
	must(t, err)
	must(t, w.Revoke(ctx, root, c.Principal))
	must(t, w.Revoke(ctx, root, c.Principal))
	if w.may(first.AccessKey, first.Token, "s3:GetObject", "b/k") || w.may(renewed.AccessKey, renewed.Token, "s3:GetObject", "b/k") {
		t.Error("a revoked session, or what it was renewed to, goes on")
	}
	if w.allowed(c.Principal, "s3:GetObject", "b/k") {
		t.Error("a request that had signed in goes on after the revocation")
	}
	if _, err := w.Renew(ctx, renewed.Token, 0); err == nil {
		t.Error("a revoked session was renewed")
	}
	w.Service = w.open()
	if w.may(first.AccessKey, first.Token, "s3:GetObject", "b/k") {
		t.Error("the revocation did not survive a restart")
	}
	if !w.may(bystander.AccessKey, bystander.Token, "s3:GetObject", "b/k") {
		t.Error("another session was revoked too")
	}
	must(t, w.RevokeAll(ctx, root, "alice"))
	if w.may(bystander.AccessKey, bystander.Token, "s3:GetObject", "b/k") {
		t.Error("not all sessions were revoked")
	}
	w.now = w.now.Add(time.Second)
	if s := w.session(iam.SessionSpec{}); !w.may(s.AccessKey, s.Token, "s3:GetObject", "b/k") {
		t.Error("a session that began after the revocation is revoked")
	}
}

func TestRenew(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.user("alice", "readwrite")
	never := w.session(iam.SessionSpec{})
	if _, err := w.Renew(ctx, never.Token, 0); !errors.Is(err, fault.Unauthenticated) {
		t.Errorf("a session that may not be renewed: %v", err)
	}
	s := w.session(iam.SessionSpec{Duration: 15 * time.Minute, Policy: statement("Allow", "s3:GetObject", "b/*"), Renew: 40 * time.Minute})
	bound := w.now.Add(40 * time.Minute)
	for range 2 {
		w.now = w.now.Add(14 * time.Minute)
		next, err := w.Renew(ctx, s.Token, 15*time.Minute)
		must(t, err)
		if next.Expires.After(bound) || next.AccessKey == s.AccessKey || next.Secret == s.Secret {
			t.Errorf("renewed to %v, bound %v", next.Expires, bound)
		}
		if w.may(next.AccessKey, next.Token, "s3:PutObject", "b/k") {
			t.Error("renewing widened the session")
		}
		s = next
	}
	w.now = bound
	if _, err := w.Renew(ctx, s.Token, 15*time.Minute); fault.As(err).Noun != fault.ExpiredSession {
		t.Errorf("past the bound: %v", err)
	}
}

// TestRootsSessionsEndWithHisSecret: a new secret for root, given because somebody
// else knows the old one, is of no use while sessions of that one go on.
func TestRootsSessionsEndWithHisSecret(t *testing.T) {
	w := newWorld(t)
	s, err := w.AssumeRole(t.Context(), root.Principal, iam.SessionSpec{Duration: iam.MaxSession, Renew: time.Hour})
	must(t, err)
	must(t, w.SetRoot(identity.Root{AccessKey: "renamed", Secret: rootSecret}))
	if !w.may(s.AccessKey, s.Token, "s3:GetObject", "b/k") {
		t.Error("a new name for root ends his sessions")
	}
	must(t, w.SetRoot(identity.Root{AccessKey: rootName, Secret: "another-secret"}))
	if w.may(s.AccessKey, s.Token, "s3:GetObject", "b/k") {
		t.Error("a session outlives root's secret")
	}
	if _, err := w.Renew(t.Context(), s.Token, 0); !errors.Is(err, fault.Unauthenticated) {
		t.Errorf("a session is renewed after root's secret changed: %v", err)
	}
}

func TestSubjects(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.policy("main", "Allow", "s3:*", "sccache/${jwt:repository}/*")
	login := iam.Login{
		Issuer: "https://token.example", Sub: "repo:o/r:ref:refs/heads/main", Policies: []iam.PolicyName{"main"},
		Claims: map[string][]string{"repository": {"o/r"}, "run_id": {"7"}, "unheard_of": {strings.Repeat("x", 20<<10)}},
	}
	s, err := w.SubjectSession(ctx, iam.Actor{}, login, iam.SessionSpec{})
	must(t, err)
	if !w.may(s.AccessKey, s.Token, "s3:PutObject", "sccache/o/r/k") || w.may(s.AccessKey, s.Token, "s3:PutObject", "sccache/o/other/k") {
		t.Error("the claim does not decide")
	}
	name := identity.SubjectName(login.Issuer, login.Sub)
	account, _, err := w.CreateAccount(ctx, root, iam.AccountSpec{Parent: name, Policy: statement("Allow", "s3:GetObject", "sccache/*")})
	must(t, err)

	login.Policies = []iam.PolicyName{"readonly"}
	_, err = w.SubjectSession(ctx, iam.Actor{}, login, iam.SessionSpec{})
	must(t, err)
	if w.may(s.AccessKey, s.Token, "s3:PutObject", "sccache/o/r/k") || w.may(s.AccessKey, s.Token, "s3:GetObject", "b/k") {
		t.Error("an older session keeps what is mapped no more, or gains what is mapped now")
	}

	must(t, w.SetSubjectEnabled(ctx, root, name, false))
	if _, err := w.SubjectSession(ctx, iam.Actor{}, login, iam.SessionSpec{}); !errors.Is(err, fault.Unauthenticated) {
		t.Errorf("a disabled subject: %v", err)
	}
	if w.may(s.AccessKey, s.Token, "s3:GetObject", "b/k") || w.may(account.AccessKey, "", "s3:GetObject", "sccache/k") {
		t.Error("what derives from a disabled subject goes on")
	}
	must(t, w.SetSubjectEnabled(ctx, root, name, true))
	if !w.may(account.AccessKey, "", "s3:GetObject", "sccache/k") {
		t.Error("the subject's key does not work")
	}
	w.now = w.now.Add(31 * 24 * time.Hour)
	if w.may(account.AccessKey, "", "s3:GetObject", "sccache/k") || len(w.Subjects()) != 0 {
		t.Error("the subject does not lapse")
	}
	must(t, w.SetPolicy(ctx, root, "short", []byte(`{"Statement":[{"Effect":"Deny","Action":"sts:AssumeRoleWithWebIdentity","Condition":{"NumericGreaterThan":{"sts:DurationSeconds":"1800"}}}]}`)))
	short := iam.Login{Issuer: "https://i", Sub: "short", Policies: []iam.PolicyName{"short"}}
	for d, want := range map[time.Duration]bool{0: false, time.Hour: false, 1800 * time.Second: true} {
		if _, err := w.SubjectSession(ctx, iam.Actor{}, short, iam.SessionSpec{Duration: d}); (err == nil) != want {
			t.Errorf("a session of %v, 0 being an hour: %v", d, err)
		}
	}
	for what, bad := range map[string]iam.Login{
		"no policy":  {Issuer: "https://i", Sub: "s"},
		"no subject": {Issuer: "https://i", Policies: login.Policies},
		"equals":     {Issuer: "https://i?a=b", Sub: "s", Policies: login.Policies},
		"long":       {Issuer: "https://i", Sub: strings.Repeat("s", 2000), Policies: login.Policies},
	} {
		if _, err := w.SubjectSession(ctx, iam.Actor{}, bad, iam.SessionSpec{}); err == nil {
			t.Errorf("%s: accepted", what)
		}
	}
}

// TestManySubjects: an issuer whose subjects are branches has more in a month than
// are kept. New ones are let in at the cost of those that were away longest, if
// that was a day, who have no keys, and are not to be kept out.
func TestManySubjects(t *testing.T) {
	w := newSmallWorld(t, 4)
	ctx := t.Context()
	login := func(sub string) error {
		_, err := w.SubjectSession(ctx, iam.Actor{}, iam.Login{Issuer: "https://i", Sub: sub, Policies: []iam.PolicyName{"readonly"}}, iam.SessionSpec{})
		return err
	}
	for _, sub := range []string{"disabled", "with key", "away", "recent"} {
		must(t, login(sub))
		w.now = w.now.Add(25 * time.Hour)
	}
	must(t, login("recent"))
	must(t, w.SetSubjectEnabled(ctx, root, "https://i=disabled", false))
	_, _, err := w.CreateAccount(ctx, root, iam.AccountSpec{Parent: "https://i=with key", Policy: statement("Allow", "s3:GetObject", "b/*")})
	must(t, err)
	must(t, login("new"))
	var names []string
	for _, s := range w.Subjects() {
		names = append(names, s.Sub)
	}
	if got := strings.Join(names, ", "); got != "disabled, new, recent, with key" {
		t.Errorf("kept: %s", got)
	}
	if err := login("one more"); !errors.Is(err, fault.Busy) {
		t.Errorf("nobody was away for a day: %v", err)
	}
}

// TestLoginsCostNothing: a thousand logins of one subject write once.
func TestLoginsCostNothing(t *testing.T) {
	w := newWorld(t)
	login := iam.Login{Issuer: "https://i", Sub: "s", Policies: []iam.PolicyName{"readonly"}}
	for range 1000 {
		_, err := w.SubjectSession(t.Context(), iam.Actor{}, login, iam.SessionSpec{})
		must(t, err)
		w.now = w.now.Add(time.Second)
	}
	generation, _, err := w.store.Log("iam").Latest(t.Context())
	must(t, err)
	if generation != 1 {
		t.Errorf("%d documents were written, want 1", generation)
	}
}

// another returns another character than c.
func another(c byte) string {
	if c == 'A' {
		return "B"
	}
	return "A"
}

// TestMappedAtLogin gives two jobs of one subject different policies, as issuers
// allow whose subjects do not tell branches apart: neither gets the other's.
func TestMappedAtLogin(t *testing.T) {
	w := newWorld(t)
	login := func(policies ...iam.PolicyName) iam.SessionKey {
		t.Helper()
		s, err := w.SubjectSession(t.Context(), iam.Actor{}, iam.Login{Issuer: "https://i", Sub: "repo", Policies: policies}, iam.SessionSpec{Renew: time.Hour})
		must(t, err)
		return s
	}
	w.policy("read", "Allow", "s3:GetObject", "b/*")
	w.policy("write", "Allow", "s3:PutObject", "b/*")
	w.policy("frozen", "Deny", "s3:GetObject", "b/*")
	fork := login("read")
	trunk := login("read", "write")
	renewed, err := w.Renew(t.Context(), fork.Token, 0)
	must(t, err)
	for name, s := range map[string]iam.SessionKey{"fork": fork, "renewed fork": renewed} {
		if !w.may(s.AccessKey, s.Token, "s3:GetObject", "b/k") || w.may(s.AccessKey, s.Token, "s3:PutObject", "b/k") {
			t.Errorf("%s reads %v and writes %v", name, w.may(s.AccessKey, s.Token, "s3:GetObject", "b/k"), w.may(s.AccessKey, s.Token, "s3:PutObject", "b/k"))
		}
	}
	if !w.may(trunk.AccessKey, trunk.Token, "s3:PutObject", "b/k") {
		t.Error("trunk does not write")
	}
	// A key that a job makes is bound as the job was, whatever is mapped later and
	// by whatever further key.
	key, _, err := w.CreateAccount(t.Context(), w.actor(fork.AccessKey, fork.Token), iam.AccountSpec{Parent: fork.Parent})
	must(t, err)
	further, _, err := w.CreateAccount(t.Context(), w.actor(key.AccessKey, ""), iam.AccountSpec{Parent: fork.Parent})
	must(t, err)
	whole, _, err := w.CreateAccount(t.Context(), root, iam.AccountSpec{Parent: fork.Parent})
	must(t, err)
	for _, k := range []iam.Account{key, further} {
		if !w.may(k.AccessKey, "", "s3:GetObject", "b/k") || w.may(k.AccessKey, "", "s3:PutObject", "b/k") {
			t.Error("a key of the fork's reads not, or writes")
		}
		if err := w.UpdateAccount(t.Context(), w.actor(k.AccessKey, ""), whole, iam.AccountChange{Secret: new(iam.Secret("attackers-secret"))}); !errors.Is(err, fault.Denied) {
			t.Errorf("a key of the fork's took over one that may more: %v", err)
		}
	}
	if !w.may(whole.AccessKey, "", "s3:PutObject", "b/k") {
		t.Error("a key that an administrator made for the subject does not write")
	}
	login("read", "write", "frozen")
	if w.may(fork.AccessKey, fork.Token, "s3:GetObject", "b/k") || w.may(trunk.AccessKey, trunk.Token, "s3:GetObject", "b/k") {
		t.Error("a Deny of the last login does not count")
	}
}
