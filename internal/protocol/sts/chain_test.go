package sts_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"encoding/xml"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/larder-cache/larder/internal/engine/identity"
	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/object"
	"github.com/larder-cache/larder/internal/protocol/edge"
	"github.com/larder-cache/larder/internal/protocol/oidc"
	"github.com/larder-cache/larder/internal/protocol/s3"
	"github.com/larder-cache/larder/internal/protocol/sigv4"
	"github.com/larder-cache/larder/internal/protocol/sts"
	"github.com/larder-cache/larder/internal/seal"
	"github.com/larder-cache/larder/internal/storetest"
)

// chain is a whole server with an issuer beside it: real identities, signatures,
// tokens, policies and S3, on a clock of its own.
type chain struct {
	*httptest.Server
	at         atomic.Pointer[time.Time]
	identities *identity.Service
	issuer     *httptest.Server
	key        *ecdsa.PrivateKey
}

func (c *chain) now() time.Time          { return *c.at.Load() }
func (c *chain) advance(d time.Duration) { at := c.now().Add(d); c.at.Store(&at) }

const cachePolicy = `{"Version":"2012-10-17","Statement":[
 {"Effect":"Allow","Action":["s3:GetObject","s3:PutObject","s3:DeleteObject"],"Resource":["arn:aws:s3:::cache/*"]},
 {"Effect":"Allow","Action":["s3:ListBucket"],"Resource":["arn:aws:s3:::cache"]}]}`

func newChain(t *testing.T) *chain { t.Helper(); return newBoundedChain(t, 3*time.Hour) }

// newBoundedChain is newChain whose issuer's sessions last at most longest.
func newBoundedChain(t *testing.T, longest time.Duration) *chain {
	t.Helper()
	c := &chain{}
	c.at.Store(&at)
	c.startIssuer(t)
	store := storetest.NewMemory(storetest.Config{Now: c.now})
	sealer, err := seal.NewKey("test", 1, bytes.Repeat([]byte{1}, seal.KeySize))
	check(t, err)
	c.identities, err = identity.Open(t.Context(), store, sealer, identity.Root{AccessKey: "rootuser", Secret: "rootsecret"}, identity.Config{Now: c.now})
	check(t, err)
	by, secret := iam.Actor{Server: true}, iam.Secret("alicesecret")
	check(t, c.identities.SetPolicy(t.Context(), by, "cache-rw", []byte(cachePolicy)))
	check(t, c.identities.SetUser(t.Context(), by, "alice", iam.UserChange{Secret: &secret}))
	check(t, c.identities.SetPolicies(t.Context(), by, iam.Holder{User: "alice"}, []iam.PolicyName{"cache-rw"}))
	for _, bucket := range []object.BucketName{"cache", "other"} {
		_, err = store.CreateBucket(t.Context(), bucket, object.BucketConfig{})
		check(t, err)
	}
	tokens, err := oidc.New(oidc.Config{Now: c.now, Issuers: []oidc.Issuer{{
		URL: c.issuer.URL, Audiences: []string{"larder"}, MaxSession: longest,
		Rules: []oidc.Rule{{Match: map[string][]string{"team": {"build"}}, Policies: []string{"cache-rw"}}},
	}}})
	check(t, err)
	exchange, err := sts.New(c.identities, tokens, sts.Config{Now: c.now})
	check(t, err)
	verifier, err := sigv4.New(c.identities, sigv4.Config{Now: c.now})
	check(t, err)
	objects, err := s3.New(store, s3.Config{})
	check(t, err)
	pipeline, err := edge.New(edge.Signatures(verifier), c.identities,
		[]edge.Protocol{exchange.Endpoint(), exchange.Query(), objects}, edge.Config{})
	check(t, err)
	c.Server = httptest.NewServer(pipeline)
	t.Cleanup(c.Close)
	return c
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (c *chain) startIssuer(t *testing.T) {
	t.Helper()
	var err error
	c.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	keys := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: c.key.Public(), KeyID: "k", Use: "sig", Algorithm: "ES256"}}}
	c.issuer = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/keys" {
			_ = json.NewEncoder(w).Encode(keys)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": c.issuer.URL, "jwks_uri": c.issuer.URL + "/keys"})
	}))
	t.Cleanup(c.issuer.Close)
}

// jwt returns a token of the issuer for subject.
func (c *chain) jwt(t *testing.T, subject, team string) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: c.key}, (&jose.SignerOptions{}).WithHeader("kid", "k"))
	check(t, err)
	payload, err := json.Marshal(map[string]any{"iss": c.issuer.URL, "sub": subject, "aud": "larder", "team": team, "exp": c.now().Add(5 * time.Minute).Unix()})
	check(t, err)
	token, err := signer.Sign(payload)
	check(t, err)
	compact, err := token.CompactSerialize()
	check(t, err)
	return compact
}

// send sends a request, signed with key if it has a secret, and returns its status
// and body.
func (c *chain) send(t *testing.T, key sigv4.Key, method, target, body string, headers ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, c.URL+target, strings.NewReader(body))
	check(t, err)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	service := "s3"
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		service = "sts"
	}
	if key.Secret != "" {
		sigv4.Sign(req, key, "us-east-1", service, sigv4.UnsignedPayload, c.now())
	}
	resp, err := c.Client().Do(req)
	check(t, err)
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	check(t, err)
	return resp.StatusCode, string(answer)
}

// assume sends a form and returns the session's key.
func (c *chain) assume(t *testing.T, key sigv4.Key, form url.Values) sigv4.Key {
	t.Helper()
	form.Set("Version", "2011-06-15")
	status, answer := c.send(t, key, http.MethodPost, "/", form.Encode())
	if status != http.StatusOK {
		t.Fatalf("%d %s", status, answer)
	}
	var got struct {
		Role struct {
			ID     string `xml:"AccessKeyId"`
			Secret string `xml:"SecretAccessKey"`
			Token  string `xml:"SessionToken"`
		} `xml:"AssumeRoleResult>Credentials"`
		Web struct {
			ID     string `xml:"AccessKeyId"`
			Secret string `xml:"SecretAccessKey"`
			Token  string `xml:"SessionToken"`
		} `xml:"AssumeRoleWithWebIdentityResult>Credentials"`
	}
	check(t, xml.Unmarshal([]byte(answer), &got))
	if got.Role.ID != "" {
		return sigv4.Key{ID: iam.AccessKeyID(got.Role.ID), Secret: iam.Secret(got.Role.Secret), Token: got.Role.Token}
	}
	return sigv4.Key{ID: iam.AccessKeyID(got.Web.ID), Secret: iam.Secret(got.Web.Secret), Token: got.Web.Token}
}

// ask takes credentials from the endpoint.
func (c *chain) ask(t *testing.T, authorization, query string) (status int, key sigv4.Key, expires time.Time) {
	t.Helper()
	status, answer := c.send(t, sigv4.Key{}, http.MethodGet, sts.Path+query, "", "Authorization", authorization)
	var got struct {
		AccessKeyID     iam.AccessKeyID `json:"AccessKeyId"`
		SecretAccessKey string
		Token           string
		Expiration      time.Time
	}
	check(t, json.Unmarshal([]byte(answer), &got))
	return status, sigv4.Key{ID: got.AccessKeyID, Secret: iam.Secret(got.SecretAccessKey), Token: got.Token}, got.Expiration
}

// rights says which of put, get, list, delete and another bucket's get succeed.
func (c *chain) rights(t *testing.T, key sigv4.Key) string {
	t.Helper()
	var can []string
	for _, op := range []struct{ name, method, target string }{
		{"put", "PUT", "/cache/k"},
		{"get", "GET", "/cache/k"},
		{"list", "GET", "/cache?list-type=2"},
		{"delete", "DELETE", "/cache/k"},
		{"other", "PUT", "/other/k"},
	} {
		if status, _ := c.send(t, key, op.method, op.target, ""); status/100 == 2 {
			can = append(can, op.name)
		}
	}
	return strings.Join(can, " ")
}

var (
	root  = sigv4.Key{ID: "rootuser", Secret: "rootsecret"}
	alice = sigv4.Key{ID: "alice", Secret: "alicesecret"}
)

const everything = "put get list delete"

func webIdentity(token string) url.Values {
	return url.Values{"Action": {"AssumeRoleWithWebIdentity"}, "WebIdentityToken": {token}, "RoleSessionName": {"job"}, "RoleArn": {"arn:aws:iam::000000000000:role/any"}}
}

func TestSessionsHaveTheirParentsRights(t *testing.T) {
	c := newChain(t)
	narrow := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::cache/k"}]}`
	wide := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::*"}]}`
	role := func(policy string) url.Values {
		form := url.Values{"Action": {"AssumeRole"}}
		if policy != "" {
			form.Set("Policy", policy)
		}
		return form
	}
	web := webIdentity(c.jwt(t, "repo:acme/x", "build"))
	web.Set("Policy", narrow)
	for _, tt := range []struct {
		name string
		key  sigv4.Key
		want string
	}{
		{"alice", alice, everything},
		{"alice's session", c.assume(t, alice, role("")), everything},
		{"alice's, narrowed", c.assume(t, alice, role(narrow)), "put get delete"},
		{"alice's, wider than she", c.assume(t, alice, role(wide)), everything},
		{"root's, narrowed", c.assume(t, root, role(narrow)), "put get delete"},
		{"a job's", c.assume(t, sigv4.Key{}, webIdentity(c.jwt(t, "repo:acme/x", "build"))), everything},
		{"a job's, narrowed", c.assume(t, sigv4.Key{}, web), "put get delete"},
	} {
		if got := c.rights(t, tt.key); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
	if status, answer := c.send(t, sigv4.Key{}, http.MethodPost, "/", webIdentity(c.jwt(t, "repo:evil/x", "other")).Encode()+"&Version=2011-06-15"); code(answer) != "IDPRejectedClaim" {
		t.Errorf("a job that no rule maps: %d %s", status, answer)
	}
}

// TestPoliciesBoundLogins: a policy that denies long sessions denies them.
func TestPoliciesBoundLogins(t *testing.T) {
	c := newChain(t)
	check(t, c.identities.SetPolicy(t.Context(), iam.Actor{Server: true}, "cache-rw", []byte(`{"Version":"2012-10-17","Statement":[
 {"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::cache/*"},
 {"Effect":"Deny","Action":"sts:AssumeRoleWithWebIdentity","Condition":{"NumericGreaterThan":{"sts:DurationSeconds":"1800"}}}]}`)))
	for duration, want := range map[string]string{"1800": "", "1801": "IDPRejectedClaim"} {
		form := webIdentity(c.jwt(t, "s", "build"))
		form.Set("DurationSeconds", duration)
		if _, answer := c.send(t, sigv4.Key{}, http.MethodPost, "/", form.Encode()+"&Version=2011-06-15"); code(answer) != want {
			t.Errorf("%s s: %s", duration, answer)
		}
	}
}

// TestSessionsMakeNone: what is derived does not derive further.
func TestSessionsMakeNone(t *testing.T) {
	c := newChain(t)
	account, secret, err := c.identities.CreateAccount(t.Context(), iam.Actor{Server: true}, iam.AccountSpec{Parent: "alice"})
	check(t, err)
	for name, key := range map[string]sigv4.Key{
		"session":         c.assume(t, alice, url.Values{"Action": {"AssumeRole"}}),
		"job":             c.assume(t, sigv4.Key{}, webIdentity(c.jwt(t, "s", "build"))),
		"service account": {ID: account.AccessKey, Secret: secret},
	} {
		status, answer := c.send(t, key, http.MethodPost, "/", "Action=AssumeRole&Version=2011-06-15")
		if status != http.StatusForbidden || code(answer) != "AccessDenied" {
			t.Errorf("%s: %d %s", name, status, answer)
		}
	}
}

// TestExpiryInTheMiddleOfABuild: after its end a session may get and put for
// fifteen minutes and nothing else; after them, nothing.
func TestExpiryInTheMiddleOfABuild(t *testing.T) {
	c := newChain(t)
	key := c.assume(t, sigv4.Key{}, webIdentity(c.jwt(t, "s", "build")))
	for _, step := range []struct {
		after time.Duration
		want  string
	}{
		{59 * time.Minute, everything}, {time.Minute, "put get"}, {14*time.Minute + 59*time.Second, "put get"}, {2 * time.Second, ""},
	} {
		c.advance(step.after)
		if got := c.rights(t, key); got != step.want {
			t.Errorf("at %s: %q, want %q", c.now().Sub(at), got, step.want)
		}
	}
}

// TestShortKeys: a build may ask for keys of three minutes, and an issuer's bound
// may allow no longer ones. They end at their end.
func TestShortKeys(t *testing.T) {
	for name, ask := range map[string]struct {
		max   time.Duration
		query string
	}{"asked for": {3 * time.Hour, "?duration=3m"}, "bound": {3 * time.Minute, ""}} {
		t.Run(name, func(t *testing.T) {
			c := newBoundedChain(t, ask.max)
			status, key, expires := c.ask(t, c.jwt(t, "s", "build"), ask.query)
			if status != http.StatusOK || !expires.Equal(at.Add(3*time.Minute)) {
				t.Fatalf("%d, ends at %s", status, expires)
			}
			c.advance(3*time.Minute - time.Second)
			if got := c.rights(t, key); got != everything {
				t.Errorf("before their end: %q", got)
			}
			c.advance(time.Second)
			if got := c.rights(t, key); got != "" {
				t.Errorf("after their end: %q", got)
			}
			if status, answer := c.send(t, key, http.MethodGet, "/cache/k", ""); status != http.StatusBadRequest || !strings.Contains(answer, "ExpiredToken") {
				t.Errorf("after their end: %d %s", status, answer)
			}
		})
	}
	c := newBoundedChain(t, 3*time.Minute)
	if status, _, _ := c.ask(t, c.jwt(t, "s", "build"), "?duration=4m"); status != http.StatusBadRequest {
		t.Errorf("above the bound: %d", status)
	}
	if status, answer := c.send(t, sigv4.Key{}, http.MethodPost, "/", webIdentity(c.jwt(t, "s", "build")).Encode()+"&DurationSeconds=900&Version=2011-06-15"); code(answer) != "ValidationError" {
		t.Errorf("above the bound, by STS: %d %s", status, answer)
	}
}

// TestRevocation is in force at once, in the minutes after expiry too, and for
// what the session was renewed to.
func TestRevocation(t *testing.T) {
	for name, wait := range map[string]time.Duration{"in its time": 0, "after its end": time.Hour + time.Minute} {
		t.Run(name, func(t *testing.T) {
			c := newChain(t)
			_, key, _ := c.ask(t, c.jwt(t, "s", "build"), "?duration=1h")
			_, renewed, _ := c.ask(t, key.Token, "")
			if c.rights(t, renewed) != everything {
				t.Fatal("a renewed session has no rights")
			}
			if status, answer := c.send(t, renewed, http.MethodDelete, sts.Path, ""); status != http.StatusNoContent {
				t.Fatalf("%d %s", status, answer)
			}
			c.advance(wait)
			if got := c.rights(t, key) + c.rights(t, renewed); got != "" {
				t.Errorf("a revoked session may %q", got)
			}
			if status, _, _ := c.ask(t, renewed.Token, ""); status == http.StatusOK {
				t.Error("a revoked session is renewed")
			}
		})
	}
}

// TestRenewalIsBounded: three hours after the first session, which is the
// issuer's bound, the job needs a token again.
func TestRenewalIsBounded(t *testing.T) {
	c := newChain(t)
	_, key, _ := c.ask(t, "Bearer "+c.jwt(t, "s", "build"), "")
	var last time.Time
	for range 6 {
		c.advance(45 * time.Minute)
		status, renewed, expires := c.ask(t, key.Token, "")
		if status != http.StatusOK {
			break
		}
		key, last = renewed, expires
	}
	if want := at.Add(3 * time.Hour); !cmp.Equal(last, want) {
		t.Errorf("the last renewal ends at %s, want %s", last, want)
	}
	if status, _, _ := c.ask(t, key.Token, ""); status == http.StatusOK {
		t.Error("it is renewed for ever")
	}
}

// TestOnlyTheEndpointsSessionsAreRenewed: the token of any other, which goes with
// each request and stands in each presigned URL, makes no new keys.
func TestOnlyTheEndpointsSessionsAreRenewed(t *testing.T) {
	c := newChain(t)
	for name, key := range map[string]sigv4.Key{
		"a user's": c.assume(t, alice, url.Values{"Action": {"AssumeRole"}}),
		"a job's":  c.assume(t, sigv4.Key{}, webIdentity(c.jwt(t, "s", "build"))),
	} {
		if status, renewed, _ := c.ask(t, key.Token, ""); status != http.StatusForbidden || renewed.ID != "" {
			t.Errorf("%s: %d", name, status)
		}
	}
}

// TestDisabledParents cut off what derives from them, and log in no more.
func TestDisabledParents(t *testing.T) {
	c := newChain(t)
	by, off := iam.Actor{Server: true}, false
	hers := c.assume(t, alice, url.Values{"Action": {"AssumeRole"}})
	_, job, _ := c.ask(t, c.jwt(t, "s", "build"), "")
	check(t, c.identities.SetUser(t.Context(), by, "alice", iam.UserChange{Enabled: &off}))
	check(t, c.identities.SetSubjectEnabled(t.Context(), by, identity.SubjectName(c.issuer.URL, "s"), false))
	if got := c.rights(t, hers) + c.rights(t, job) + c.rights(t, alice); got != "" {
		t.Errorf("disabled parents' sessions may %q", got)
	}
	if status, answer := c.send(t, sigv4.Key{}, http.MethodPost, "/", webIdentity(c.jwt(t, "s", "build")).Encode()+"&Version=2011-06-15"); code(answer) != "InvalidIdentityToken" {
		t.Errorf("a disabled subject logs in: %d %s", status, answer)
	}
	if status, _, _ := c.ask(t, job.Token, ""); status == http.StatusOK {
		t.Error("a disabled subject's session is renewed")
	}
}

// TestStolenParts: a session's key, secret and token belong together.
func TestStolenParts(t *testing.T) {
	c := newChain(t)
	one, two := c.assume(t, alice, url.Values{"Action": {"AssumeRole"}}), c.assume(t, root, url.Values{"Action": {"AssumeRole"}})
	for name, key := range map[string]sigv4.Key{
		"no token":            {ID: one.ID, Secret: one.Secret},
		"another's token":     {ID: one.ID, Secret: one.Secret, Token: two.Token},
		"another's key":       {ID: two.ID, Secret: one.Secret, Token: two.Token},
		"token changed":       {ID: one.ID, Secret: one.Secret, Token: one.Token[:len(one.Token)-4] + "AAAA"},
		"token with own key":  {ID: alice.ID, Secret: alice.Secret, Token: one.Token},
		"token with root key": {ID: root.ID, Secret: one.Secret, Token: one.Token},
	} {
		if got := c.rights(t, key); got != "" {
			t.Errorf("%s: may %q", name, got)
		}
	}
}
