package sts_test

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/protocol/edge"
	"github.com/larder-cache/larder/internal/protocol/oidc"
	"github.com/larder-cache/larder/internal/protocol/sigv4"
	"github.com/larder-cache/larder/internal/protocol/sts"
)

var update = flag.Bool("update", false, "rewrite the golden answers")

var at = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// sessions remembers what it was asked for.
type sessions struct {
	mu      sync.Mutex
	asked   []iam.SessionSpec
	revoked []iam.AccessKeyID
	err     error
}

func (s *sessions) make(want iam.SessionSpec, parent iam.UserName) (iam.SessionKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return iam.SessionKey{}, s.err
	}
	s.asked = append(s.asked, want)
	return iam.SessionKey{AccessKey: "LTKEY", Secret: "session secret", Token: "LT1.token", Expires: at.Add(max(want.Duration, time.Hour)), Parent: parent}, nil
}

func (s *sessions) AssumeRole(_ context.Context, caller iam.Principal, want iam.SessionSpec) (iam.SessionKey, error) {
	if caller.Kind != iam.User && caller.Kind != iam.Root {
		return iam.SessionKey{}, fault.New(fault.Denied, fault.Session, "")
	}
	return s.make(want, caller.User)
}

func (s *sessions) SubjectSession(_ context.Context, _ iam.Actor, login iam.Login, want iam.SessionSpec) (iam.SessionKey, error) {
	return s.make(want, iam.UserName(login.Issuer+"="+login.Sub))
}

func (s *sessions) Renew(_ context.Context, token string, d time.Duration) (iam.SessionKey, error) {
	if token != "LT1.token" {
		return iam.SessionKey{}, fault.New(fault.Unauthenticated, fault.Session, "")
	}
	return s.make(iam.SessionSpec{Duration: max(d, time.Hour)}, "renewed")
}

func (s *sessions) Revoke(_ context.Context, _ iam.Actor, who iam.Principal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revoked = append(s.revoked, who.AccessKey)
	return nil
}

// tokens accepts "good.<audience>.<sub>". Those that are slow say that they began,
// and go on when they are told.
type tokens struct{ slow, resume chan struct{} }

func (t tokens) Verify(ctx context.Context, raw string) (oidc.Identity, error) {
	return t.VerifyFor(ctx, raw, "sts")
}

func (t tokens) VerifyFor(_ context.Context, raw, audience string) (oidc.Identity, error) {
	sub, ok := strings.CutPrefix(raw, "good."+audience+".")
	switch {
	case raw == "slow.a.b":
		t.slow <- struct{}{}
		<-t.resume
		return oidc.Identity{}, fault.New(fault.Unauthenticated, fault.Token, "")
	case raw == "expired.a.b":
		return oidc.Identity{}, fault.Wrap(fault.Unauthenticated, fault.Token, "", oidc.ErrExpired)
	case raw == "unmapped.a.b":
		return oidc.Identity{}, fault.New(fault.Denied, fault.Token, "")
	case raw == "away.a.b":
		return oidc.Identity{}, fault.Wrap(fault.Unavailable, fault.Issuer, "https://idp", errors.New("dial"))
	case !ok:
		return oidc.Identity{}, fault.Wrap(fault.Unauthenticated, fault.Token, "", errors.New("secret detail"))
	}
	return oidc.Identity{
		Issuer: "https://idp", Subject: sub, Audience: audience, Policies: []iam.PolicyName{"ci"}, MaxSession: 6 * time.Hour,
	}, nil
}

type keyring map[iam.AccessKeyID]iam.Principal

func (k keyring) Credential(_ context.Context, id iam.AccessKeyID, token string) (iam.Credential, error) {
	p, ok := k[id]
	if !ok || (token != "") != (p.Kind == iam.Session) {
		return iam.Credential{}, fault.New(fault.Unauthenticated, fault.AccessKey, string(id))
	}
	return iam.Credential{Principal: p, Secret: "secret"}, nil
}

type allowAll struct{}

func (allowAll) Authorize(context.Context, iam.Principal, iam.Check, iam.Facts) iam.Decision {
	return iam.Decision{Allowed: true}
}

type server struct {
	*httptest.Server
	sessions *sessions
	tokens   tokens
}

func newServer(t *testing.T, config sts.Config, proxies ...netip.Prefix) *server {
	t.Helper()
	s := &server{sessions: &sessions{}, tokens: tokens{make(chan struct{}), make(chan struct{})}}
	config.Now = func() time.Time { return at }
	service, err := sts.New(s.sessions, s.tokens, config)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := sigv4.New(keyring{
		"root": {Kind: iam.Root, User: "root", AccessKey: "root"},
		"user": {Kind: iam.User, User: "user", AccessKey: "user"},
		"acct": {Kind: iam.ServiceAccount, User: "user", AccessKey: "acct"},
		"sess": {Kind: iam.Session, User: "user", AccessKey: "sess"},
	}, sigv4.Config{Now: config.Now})
	if err != nil {
		t.Fatal(err)
	}
	pipeline, err := edge.New(edge.Signatures(verifier), allowAll{}, []edge.Protocol{service.Query(), service.Endpoint(), other{}}, edge.Config{TrustedProxies: proxies})
	if err != nil {
		t.Fatal(err)
	}
	s.Server = httptest.NewServer(pipeline)
	t.Cleanup(s.Close)
	return s
}

// other stands for S3, to which everything else goes.
type other struct{}

func (other) Accepts(*edge.Request) bool { return true }
func (other) Route(*edge.Request) (*edge.Operation, error) {
	return nil, fault.New(fault.NotFound, fault.None, "")
}

func (other) WriteError(w *edge.Writer, _ edge.Failure) string {
	w.WriteHeader(http.StatusTeapot)
	return "Other"
}

// do sends a request that sign, if it is not nil, signs.
func (s *server) do(t *testing.T, method, target, body string, sign func(*http.Request), headers ...string) (int, string, http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.URL+target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	if sign != nil {
		sign(req)
	}
	resp, err := s.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(answer), resp.Header
}

func as(id iam.AccessKeyID) func(*http.Request) {
	key := sigv4.Key{ID: id, Secret: "secret"}
	if id == "sess" {
		key.Token = "LT1.token"
	}
	return func(r *http.Request) {
		payload := sigv4.UnsignedPayload
		if r.Method == http.MethodDelete {
			payload = sigv4.EmptyPayload
		}
		service := "sts"
		if r.URL.Path != "/" {
			service = "s3"
		}
		sigv4.Sign(r, key, "us-east-1", service, payload, at)
	}
}

func forged(id iam.AccessKeyID) func(*http.Request) {
	return func(r *http.Request) {
		service := "sts"
		if r.URL.Path != "/" {
			service = "s3"
		}
		sigv4.Sign(r, sigv4.Key{ID: id, Secret: "guess"}, "us-east-1", service, sigv4.UnsignedPayload, at)
	}
}

// code returns the code of an error answer in AWS's form.
func code(answer string) string {
	var e struct {
		Code string `xml:"Error>Code"`
	}
	if xml.Unmarshal([]byte(answer), &e) == nil && e.Code != "" {
		return e.Code
	}
	var j struct{ Code string }
	_ = json.Unmarshal([]byte(answer), &j)
	return j.Code
}

const version = "&Version=2011-06-15"

// TestAnswers compares whole answers with testdata.
func TestAnswers(t *testing.T) {
	s := newServer(t, sts.Config{})
	for name, ask := range map[string]func() (int, string, http.Header){
		"assume-role": func() (int, string, http.Header) {
			return s.do(t, "POST", "/", "Action=AssumeRole&RoleSessionName=job-1&RoleArn=arn:aws:iam::0:role/x"+version, as("user"))
		},
		"web-identity": func() (int, string, http.Header) {
			return s.do(t, "POST", "/", "Action=AssumeRoleWithWebIdentity&RoleSessionName=job%3C&WebIdentityToken=good.sts.repo%3Aacme%2Fx"+version, nil)
		},
		"caller-identity": func() (int, string, http.Header) {
			return s.do(t, "POST", "/", "Action=GetCallerIdentity"+version, as("user"))
		},
		"error": func() (int, string, http.Header) {
			return s.do(t, "POST", "/", "Action=AssumeRoleWithWebIdentity&WebIdentityToken=wrong"+version, nil)
		},
		"container": func() (int, string, http.Header) {
			return s.do(t, "GET", sts.Path, "", nil, "Authorization: good.larder.job")
		},
		"container-error": func() (int, string, http.Header) {
			return s.do(t, "GET", sts.Path, "", nil, "Authorization: a.b.c")
		},
	} {
		t.Run(name, func(t *testing.T) {
			status, answer, header := ask()
			id := header.Get("X-Amz-Request-Id")
			got := http.StatusText(status) + "\n" + header.Get("Content-Type") + "\n" + header.Get("Cache-Control") + "\n" +
				strings.ReplaceAll(answer, id, "REQUEST") + "\n"
			file := filepath.Join("testdata", name+".txt")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	const policy = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:GetObject"],"Resource":["arn:aws:s3:::b/*"]}]}`
	long := url.QueryEscape(strings.Replace(policy, "b/*", strings.Repeat("b", 2048)+"/*", 1))
	web := "Action=AssumeRoleWithWebIdentity&WebIdentityToken="
	tests := []struct {
		name, body string
		sign       func(*http.Request)
		want       string // code; "" for success
	}{
		{"user", "Action=AssumeRole" + version, as("user"), ""},
		{"root", "Action=AssumeRole&DurationSeconds=900" + version, as("root"), ""},
		{"a year", "Action=AssumeRole&DurationSeconds=31536000" + version, as("user"), ""},
		{"session policy", "Action=AssumeRole&Policy=" + url.QueryEscape(policy) + version, as("user"), ""},
		{"service account", "Action=AssumeRole" + version, as("acct"), "AccessDenied"},
		{"session", "Action=AssumeRole" + version, as("sess"), "AccessDenied"},
		{"unsigned", "Action=AssumeRole" + version, nil, "MissingAuthenticationToken"},
		{"wrong secret", "Action=AssumeRole" + version, forged("root"), "SignatureDoesNotMatch"},
		{"unknown key", "Action=AssumeRole" + version, as("nobody"), "InvalidClientTokenId"},
		{"too short", "Action=AssumeRole&DurationSeconds=899" + version, as("user"), "ValidationError"},
		{"too long", "Action=AssumeRole&DurationSeconds=31536001" + version, as("user"), "ValidationError"},
		{"negative", "Action=AssumeRole&DurationSeconds=-1" + version, as("user"), "ValidationError"},
		{"overflow", "Action=AssumeRole&DurationSeconds=99999999999999999999" + version, as("user"), "ValidationError"},
		{"policy too long", "Action=AssumeRole&Policy=" + long + version, as("user"), "PackedPolicyTooLarge"},
		{"policy malformed", "Action=AssumeRole&Policy=%7B" + version, as("user"), "MalformedPolicyDocument"},
		{"policy by ARN", "Action=AssumeRole&PolicyArns.member.1.arn=x" + version, as("user"), "ValidationError"},
		{"tags", "Action=AssumeRole&Tags.member.1.Key=x" + version, as("user"), "ValidationError"},
		{"duration twice", "Action=AssumeRole&DurationSeconds=900&DurationSeconds=9999" + version, as("user"), "ValidationError"},
		{"no version", "Action=AssumeRole", as("user"), "ValidationError"},
		{"another action", "Action=GetFederationToken" + version, as("user"), "InvalidAction"},
		{"no action", "x=y" + version, nil, "InvalidAction"},
		{"not a form", "%zz", nil, "ValidationError"},
		{"longer than 64 KiB", "Action=" + strings.Repeat("x", 70<<10), nil, "ValidationError"},

		{"good token", web + "good.sts.x" + version, nil, ""},
		{"good token, signed too", web + "good.sts.x" + version, as("user"), ""},
		{"no token", "Action=AssumeRoleWithWebIdentity" + version, nil, "ValidationError"},
		{"wrong token", web + "evil" + version, nil, "InvalidIdentityToken"},
		{"token of another audience", web + "good.larder.x" + version, nil, "InvalidIdentityToken"},
		{"expired token", web + "expired.a.b" + version, nil, "ExpiredTokenException"},
		{"unmapped token", web + "unmapped.a.b" + version, nil, "IDPRejectedClaim"},
		{"issuer away", web + "away.a.b" + version, nil, "IDPCommunicationError"},
		{"longer than the issuer allows", web + "good.sts.x&DurationSeconds=21601" + version, nil, "ValidationError"},
		{"as long as the issuer allows", web + "good.sts.x&DurationSeconds=21600" + version, nil, ""},
	}
	s := newServer(t, sts.Config{Failures: 1000})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := len(s.sessions.asked)
			status, answer, _ := s.do(t, "POST", "/", tt.body, tt.sign)
			made := len(s.sessions.asked) - before
			if got := code(answer); got != tt.want || (status == http.StatusOK) != (tt.want == "") || (made == 1) != (tt.want == "") {
				t.Errorf("got %d %q and %d sessions, want %q\n%s", status, got, made, tt.want, answer)
			}
			if strings.Contains(answer, "secret detail") || strings.Contains(answer, "evil") {
				t.Error("the answer tells what the log should")
			}
		})
	}
}

// TestBodyIsSigned: what a caller signed is what is granted.
func TestBodyIsSigned(t *testing.T) {
	s := newServer(t, sts.Config{})
	status, answer, _ := s.do(t, "POST", "/", "Action=AssumeRole&DurationSeconds=31536000"+version, func(r *http.Request) {
		sigv4.Sign(r, sigv4.Key{ID: "user", Secret: "secret"}, "r", "sts", sigv4.EmptyPayload, at)
	})
	if status == http.StatusOK || len(s.sessions.asked) != 0 {
		t.Errorf("got %d %s", status, answer)
	}
}

func TestGrants(t *testing.T) {
	s := newServer(t, sts.Config{})
	s.do(t, "POST", "/", "Action=AssumeRole"+version, as("user"))
	s.do(t, "POST", "/", "Action=AssumeRoleWithWebIdentity&WebIdentityToken=good.sts.x"+version, nil)
	s.do(t, "POST", "/?Action=AssumeRoleWithWebIdentity&DurationSeconds=1200&WebIdentityToken=good.sts.x"+version, "", nil)
	s.do(t, "GET", sts.Path+"?duration=6h", "", nil, "Authorization: good.larder.x")
	want := []iam.SessionSpec{
		{},
		{Duration: time.Hour},
		{Duration: 20 * time.Minute},
		{Duration: 6 * time.Hour, Renew: 6 * time.Hour}, // only what renews makes what can be renewed
	}
	if diff := cmp.Diff(want, s.sessions.asked); diff != "" {
		t.Error(diff)
	}
}

func TestEndpoint(t *testing.T) {
	tests := []struct {
		name, method, target string
		sign                 func(*http.Request)
		headers              []string
		status               int
		want                 string
	}{
		{"outside token", "GET", "", nil, []string{"Authorization: good.larder.x"}, 200, ""},
		{"as bearer", "GET", "", nil, []string{"Authorization: Bearer good.larder.x"}, 200, ""},
		{"own session token", "GET", "", nil, []string{"Authorization: LT1.token"}, 200, ""},
		{"no token", "GET", "", nil, nil, 403, "MissingAuthenticationToken"},
		{"token for STS", "GET", "", nil, []string{"Authorization: good.sts.x"}, 400, "InvalidIdentityToken"},
		{"wrong session token", "GET", "", nil, []string{"Authorization: LT1.other"}, 403, "InvalidClientTokenId"},
		{"signed with a user's key", "GET", "", as("user"), nil, 403, "InvalidClientTokenId"},
		{"longer than the issuer allows", "GET", "?duration=7h", nil, []string{"Authorization: good.larder.x"}, 400, "ValidationError"},
		{"shortest", "GET", "?duration=3m", nil, []string{"Authorization: good.larder.x"}, 200, ""},
		{"too short", "GET", "?duration=179s", nil, []string{"Authorization: good.larder.x"}, 400, "ValidationError"},
		{"absurd duration", "GET", "?duration=-1h", nil, []string{"Authorization: good.larder.x"}, 400, "ValidationError"},
		{"in the clear behind a proxy", "GET", "", nil, []string{"Authorization: good.larder.x", "X-Forwarded-For: 203.0.113.1"}, 403, "AccessDenied"},
		{"a client that claims TLS", "GET", "", nil, []string{"Authorization: good.larder.x", "X-Forwarded-For: 203.0.113.1", "X-Forwarded-Proto: https"}, 403, "AccessDenied"},
		{"post", "POST", "", nil, nil, 405, "InvalidAction"},
		{"revoke, unsigned", "DELETE", "", nil, nil, 403, "AccessDenied"},
		{"revoke, a user's key", "DELETE", "", as("user"), nil, 400, "ValidationError"},
		{"revoke, forged", "DELETE", "", forged("sess"), nil, 403, "InvalidClientTokenId"},
		{"revoke", "DELETE", "", as("sess"), nil, 204, ""},
	}
	s := newServer(t, sts.Config{Failures: 1000})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			status, answer, header := s.do(t, tt.method, sts.Path+tt.target, "", tt.sign, tt.headers...)
			if got := code(answer); status != tt.status || got != tt.want {
				t.Errorf("got %d %q, want %d %q", status, got, tt.status, tt.want)
			}
			if answer != "" && header.Get("Cache-Control") != "no-store" {
				t.Error("the answer may be stored")
			}
		})
	}
	if diff := cmp.Diff([]iam.AccessKeyID{"sess"}, s.sessions.revoked); diff != "" {
		t.Error(diff)
	}
}

// TestBehindAProxy: a proxy that is trusted says whether the token came over TLS.
func TestBehindAProxy(t *testing.T) {
	s := newServer(t, sts.Config{}, netip.MustParsePrefix("127.0.0.0/8"))
	for proto, want := range map[string]int{"https": http.StatusOK, "http": http.StatusForbidden, "": http.StatusForbidden} {
		headers := []string{"Authorization: good.larder.x", "X-Forwarded-For: 203.0.113.1"}
		if proto != "" {
			headers = append(headers, "X-Forwarded-Proto: "+proto)
		}
		if status, answer, _ := s.do(t, "GET", sts.Path, "", nil, headers...); status != want {
			t.Errorf("%q: %d %s", proto, status, answer)
		}
	}
}

// TestThrottling: whoever fails often learns nothing more, and locks nobody out.
func TestThrottling(t *testing.T) {
	s := newServer(t, sts.Config{Failures: 3})
	for i := range 10 {
		_, answer, header := s.do(t, "POST", "/", "Action=AssumeRole"+version, forged("root"))
		want := "SignatureDoesNotMatch"
		if i >= 3 {
			want = "Throttling"
		}
		if got := code(answer); got != want || (i >= 3) != (header.Get("Retry-After") != "") {
			t.Errorf("failure %d: %q, want %q", i+1, got, want)
		}
	}
	for name, ask := range map[string]func() int{
		"root": func() int { n, _, _ := s.do(t, "POST", "/", "Action=AssumeRole"+version, as("root")); return n },
		"user": func() int { n, _, _ := s.do(t, "POST", "/", "Action=AssumeRole"+version, as("user")); return n },
		"job": func() int {
			n, _, _ := s.do(t, "POST", "/", "Action=AssumeRoleWithWebIdentity&WebIdentityToken=good.sts.x"+version, nil)
			return n
		},
	} {
		if status := ask(); status != http.StatusOK {
			t.Errorf("%s is locked out: %d", name, status)
		}
	}
}

// TestThrottlingWaits: while a storm from one address is verified, what is right
// from there waits for its turn, and gets it; others do not even wait.
func TestThrottlingWaits(t *testing.T) {
	s := newServer(t, sts.Config{Failures: 1}, netip.MustParsePrefix("127.0.0.0/8"))
	ask := func(from, token string) int {
		status, _, _ := s.do(t, "POST", "/", "Action=AssumeRoleWithWebIdentity&WebIdentityToken="+token+version, nil, "X-Forwarded-For: "+from)
		return status
	}
	const noisy, other = "203.0.113.1", "203.0.113.2"
	for range 3 {
		ask(noisy, "wrong")
	}
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() { ask(noisy, "slow.a.b") })
	}
	<-s.tokens.slow
	if status := ask(other, "good.sts.x"); status != http.StatusOK {
		t.Errorf("another address: %d", status)
	}
	right := make(chan int, 1)
	wg.Go(func() { right <- ask(noisy, "good.sts.x") })
	for range 99 { // one by one
		s.tokens.resume <- struct{}{}
		<-s.tokens.slow
	}
	s.tokens.resume <- struct{}{}
	wg.Wait()
	if status := <-right; status != http.StatusOK {
		t.Errorf("who is right at the noisy address: %d", status)
	}
}

// TestOthersRequests: what is S3's stays S3's.
func TestOthersRequests(t *testing.T) {
	s := newServer(t, sts.Config{})
	for _, tt := range []struct {
		method, target, media string
	}{
		{"GET", "/", ""},
		{"POST", "/?delete", "application/x-www-form-urlencoded"},
		{"POST", "/", "multipart/form-data; boundary=x"},
		{"POST", "/bucket", "application/x-www-form-urlencoded"},
		{"GET", "/?Action=x", ""},
		{"PUT", "/", "application/x-www-form-urlencoded"},
		{"GET", sts.Path + "/x", ""},
	} {
		if status, _, _ := s.do(t, tt.method, tt.target, "", nil, "Content-Type: "+tt.media); status != http.StatusTeapot {
			t.Errorf("%s %s %s is answered with %d", tt.method, tt.target, tt.media, status)
		}
	}
}

// TestCodesAreComplete: every fault of the domain and of signatures has an answer.
func TestCodesAreComplete(t *testing.T) {
	for _, kind := range fault.Kinds() {
		if sts.Describe(fault.New(kind, fault.None, "")) == "" {
			t.Errorf("%v has no code", kind)
		}
	}
	for _, c := range sigv4.Codes() {
		if sts.Describe(&sigv4.Error{Code: c}) == "" {
			t.Errorf("%v has no code", c)
		}
	}
}
