package oidc_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/protocol/oidc"
)

// issuer is an identity provider that tests make do what a good one never does.
type issuer struct {
	*httptest.Server
	fetches atomic.Int64 // of the key set

	mu        sync.Mutex
	keys      []jose.JSONWebKey
	discovery map[string]any
	bearer    string
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{}
	i.Server = httptest.NewServer(i)
	t.Cleanup(i.Close)
	i.discovery = map[string]any{"issuer": i.URL, "jwks_uri": i.URL + "/keys"}
	return i
}

func (i *issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.bearer != "" && r.Header.Get("Authorization") != "Bearer "+i.bearer {
		http.Error(w, "who are you", http.StatusUnauthorized)
		return
	}
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		_ = json.NewEncoder(w).Encode(i.discovery)
	case "/keys":
		i.fetches.Add(1)
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: i.keys})
	case "/moved":
		http.Redirect(w, r, "/keys", http.StatusFound)
	default:
		http.NotFound(w, r)
	}
}

// signer is a key with its id.
type signer struct {
	id  string
	key *ecdsa.PrivateKey
}

func newSigner(t *testing.T, id string) signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return signer{id, key}
}

func (s signer) public() jose.JSONWebKey {
	return jose.JSONWebKey{Key: s.key.Public(), KeyID: s.id, Algorithm: "ES256", Use: "sig"}
}

func (i *issuer) publish(signers ...signer) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = nil
	for _, s := range signers {
		i.keys = append(i.keys, s.public())
	}
}

// sign makes a token of any header and key.
func sign(t *testing.T, alg jose.SignatureAlgorithm, key any, header, claims map[string]any) string {
	t.Helper()
	options := &jose.SignerOptions{}
	for name, value := range header {
		options = options.WithHeader(jose.HeaderKey(name), value)
	}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, options)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	token, err := s.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	compact, err := token.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return compact
}

func (s signer) token(t *testing.T, claims map[string]any) string {
	t.Helper()
	return sign(t, jose.ES256, s.key, map[string]any{"kid": s.id}, claims)
}

// now is the tests' clock.
type clock struct{ at atomic.Pointer[time.Time] }

func newClock() *clock {
	c := &clock{}
	c.set(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC))
	return c
}
func (c *clock) set(at time.Time)        { c.at.Store(&at) }
func (c *clock) now() time.Time          { return *c.at.Load() }
func (c *clock) advance(d time.Duration) { c.set(c.now().Add(d)) }

// good are the claims of a token that is accepted.
func (i *issuer) good(c *clock, changes map[string]any) map[string]any {
	claims := map[string]any{
		"iss": i.URL, "sub": "repo:acme/x", "aud": "larder", "exp": c.now().Add(5 * time.Minute).Unix(),
		"iat": c.now().Unix(), "nbf": c.now().Unix(), "team": "build",
	}
	maps.Copy(claims, changes)
	for name, value := range changes {
		if value == nil {
			delete(claims, name)
		}
	}
	return claims
}

func newVerifier(t *testing.T, c *clock, issuers ...oidc.Issuer) *oidc.Verifier {
	t.Helper()
	v, err := oidc.New(oidc.Config{Issuers: issuers, Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func (i *issuer) config() oidc.Issuer {
	return oidc.Issuer{Name: "TEST", URL: i.URL, Audiences: []string{"larder"}, Rules: []oidc.Rule{{Policies: []string{"ci-{team}"}}}}
}

func TestGoodToken(t *testing.T) {
	i, c, s := newIssuer(t), newClock(), newSigner(t, "k1")
	i.publish(s)
	got, err := newVerifier(t, c, i.config()).Verify(t.Context(), s.token(t, i.good(c, map[string]any{
		"groups": []string{"a", "b"}, "aud": []string{"other", "larder"}, "secret": "not kept",
	})))
	if err != nil {
		t.Fatal(err)
	}
	want := oidc.Identity{
		Issuer: i.URL, Name: "TEST", Subject: "repo:acme/x", Audience: "larder", Policies: []iam.PolicyName{"ci-build"},
		Expires: c.now().Add(5 * time.Minute).Local(), MaxSession: 24 * time.Hour,
		Claims: map[string][]string{
			"iss": {i.URL}, "sub": {"repo:acme/x"}, "aud": {"other", "larder"}, "groups": {"a", "b"}, "team": {"build"},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestWrongTokens sends what a good issuer never signs, and what is not signed.
func TestWrongTokens(t *testing.T) {
	i, c, s := newIssuer(t), newClock(), newSigner(t, "k1")
	i.publish(s)
	evil := newSigner(t, "evil")
	jku := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		t.Error("a URL of the token's header was fetched")
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{evil.public()}})
	}))
	t.Cleanup(jku.Close)
	with := func(changes map[string]any) string { return s.token(t, i.good(c, changes)) }
	unsigned := func(header string, claims map[string]any) string {
		payload, _ := json.Marshal(claims)
		return base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString(payload) + "."
	}
	secret := []byte("the client secret, 32 bytes long")
	public, _ := json.Marshal(s.public())
	other := newIssuer(t)
	other.publish(s)
	tests := map[string]string{
		"empty":                       "",
		"garbage":                     "a.b.c",
		"alg none":                    unsigned(`{"alg":"none"}`, i.good(c, nil)),
		"alg None":                    unsigned(`{"alg":"None","kid":"k1"}`, i.good(c, nil)),
		"no alg":                      unsigned(`{}`, i.good(c, nil)),
		"HS256 with a client secret":  sign(t, jose.HS256, secret, map[string]any{"kid": "k1"}, i.good(c, nil)),
		"HS256 with the public key":   sign(t, jose.HS256, public, map[string]any{"kid": "k1"}, i.good(c, nil)),
		"own key under a known id":    sign(t, jose.ES256, evil.key, map[string]any{"kid": "k1"}, i.good(c, nil)),
		"own key under another id":    evil.token(t, i.good(c, nil)),
		"own key without id":          sign(t, jose.ES256, evil.key, nil, i.good(c, nil)),
		"own key in jwk":              sign(t, jose.ES256, evil.key, map[string]any{"jwk": evil.public()}, i.good(c, nil)),
		"own key by jku":              sign(t, jose.ES256, evil.key, map[string]any{"jku": jku.URL, "kid": "evil"}, i.good(c, nil)),
		"own key by x5u":              sign(t, jose.ES256, evil.key, map[string]any{"x5u": jku.URL, "kid": "evil"}, i.good(c, nil)),
		"critical header":             sign(t, jose.ES256, s.key, map[string]any{"kid": "k1", "crit": []string{"x"}, "x": 1}, i.good(c, nil)),
		"unknown issuer":              s.token(t, other.good(c, nil)),
		"no issuer":                   with(map[string]any{"iss": nil}),
		"issuer in capitals":          with(map[string]any{"iss": nil, "ISS": i.URL}),
		"two issuers":                 with(map[string]any{"iss": []string{i.URL, other.URL}}),
		"no audience":                 with(map[string]any{"aud": nil}),
		"the API server's audience":   with(map[string]any{"aud": []string{"https://kubernetes.default.svc.cluster.local"}}),
		"audience with a prefix":      with(map[string]any{"aud": "larder2"}),
		"no expiry":                   with(map[string]any{"exp": nil}),
		"expiry 0":                    with(map[string]any{"exp": 0}),
		"expiry is text":              with(map[string]any{"exp": "tomorrow"}),
		"expiry is a list":            with(map[string]any{"exp": []int64{1, c.now().Unix() + 300}}),
		"expired":                     with(map[string]any{"exp": c.now().Add(-61 * time.Second).Unix()}),
		"not yet":                     with(map[string]any{"nbf": c.now().Add(2 * time.Minute).Unix()}),
		"issued in the future":        with(map[string]any{"iat": c.now().Add(2 * time.Minute).Unix()}),
		"no subject":                  with(map[string]any{"sub": nil}),
		"empty subject":               with(map[string]any{"sub": ""}),
		"two subjects":                with(map[string]any{"sub": []string{"a", "b"}}),
		"no claim of the template":    with(map[string]any{"team": nil}),
		"two values for the template": with(map[string]any{"team": []string{"a", "b"}}),
		"slash for the template":      with(map[string]any{"team": "a/b"}),
		"star for the template":       with(map[string]any{"team": "*"}),
		"longer than 16 KiB":          with(map[string]any{"x": strings.Repeat("x", 20<<10)}),
		"signature cut":               strings.TrimRight(with(nil)[:len(with(nil))-8], "."),
		"payload exchanged":           exchange(with(nil), with(map[string]any{"sub": "root"})),
		"JSON form":                   `{"payload":"e30","signatures":[]}`,
	}
	v := newVerifier(t, c, i.config())
	for name, token := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := v.Verify(t.Context(), token)
			if err == nil {
				t.Fatalf("accepted: %+v", got)
			}
			if !errors.Is(err, fault.Unauthenticated) && !errors.Is(err, fault.Denied) {
				t.Errorf("got %v", err)
			}
			if errors.Is(err, oidc.ErrExpired) != (name == "expired") {
				t.Errorf("expired: %v", err)
			}
		})
	}
	if n := i.fetches.Load(); n > 1 {
		t.Errorf("wrong tokens made the keys be fetched %d times", n)
	}
}

// exchange puts the second token's payload under the first's signature.
func exchange(first, second string) string {
	a, b := strings.Split(first, "."), strings.Split(second, ".")
	return a[0] + "." + b[1] + "." + a[2]
}

func TestRotation(t *testing.T) {
	i, c, before, after := newIssuer(t), newClock(), newSigner(t, "k1"), newSigner(t, "k2")
	i.publish(before)
	v := newVerifier(t, c, i.config())
	verify := func(s signer) error {
		_, err := v.Verify(t.Context(), s.token(t, i.good(c, nil)))
		return err
	}
	if err := verify(before); err != nil {
		t.Fatal(err)
	}
	i.publish(after)
	c.advance(11 * time.Second)
	if err := verify(after); err != nil {
		t.Errorf("a new key is not fetched: %v", err)
	}
	if err := verify(before); err == nil {
		t.Error("a withdrawn key is accepted after the keys were fetched")
	}
	if n := i.fetches.Load(); n != 2 {
		t.Errorf("%d fetches, want 2", n)
	}
	i.publish(before)
	c.advance(16 * time.Minute)
	if err := verify(after); err == nil {
		t.Error("a withdrawn key is accepted after 16 minutes")
	}
}

// TestUnknownKeyStorm: many tokens with invented key ids, at once and in a row.
func TestUnknownKeyStorm(t *testing.T) {
	i, c, s, evil := newIssuer(t), newClock(), newSigner(t, "k1"), newSigner(t, "invented")
	i.publish(s)
	v := newVerifier(t, c, i.config())
	wrong, right := evil.token(t, i.good(c, nil)), s.token(t, i.good(c, nil))
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if _, err := v.Verify(context.WithoutCancel(t.Context()), wrong); !errors.Is(err, fault.Unauthenticated) {
				t.Errorf("got %v", err)
			}
		})
	}
	wg.Wait()
	for range 50 {
		c.advance(100 * time.Millisecond)
		if _, err := v.Verify(t.Context(), right); err != nil {
			t.Fatalf("the storm locks out others: %v", err)
		}
		_, _ = v.Verify(t.Context(), wrong)
	}
	if n := i.fetches.Load(); n > 2 {
		t.Errorf("%d fetches", n)
	}
}

func TestUnreachableIssuer(t *testing.T) {
	i, c, s := newIssuer(t), newClock(), newSigner(t, "k1")
	i.publish(s)
	v := newVerifier(t, c, i.config())
	if _, err := v.Verify(t.Context(), s.token(t, i.good(c, nil))); err != nil {
		t.Fatal(err)
	}
	i.Close()
	c.advance(time.Hour)
	if _, err := v.Verify(t.Context(), s.token(t, i.good(c, nil))); err != nil {
		t.Errorf("an hour after the issuer went: %v", err)
	}
	c.advance(24 * time.Hour)
	_, err := v.Verify(t.Context(), s.token(t, i.good(c, nil)))
	if f := fault.As(err); f.Kind != fault.Unavailable || f.Noun != fault.Issuer {
		t.Errorf("a day after: %v", err)
	}
}

func TestDiscoveryIsConfined(t *testing.T) {
	c, s := newClock(), newSigner(t, "k1")
	elsewhere := newIssuer(t)
	elsewhere.publish(s)
	for name, change := range map[string]map[string]any{
		"another issuer":     {"issuer": elsewhere.URL},
		"no keys":            {"jwks_uri": ""},
		"keys over http":     {"jwks_uri": elsewhere.URL + "/keys"},
		"keys on loopback":   {"jwks_uri": "https://127.0.0.1:1/keys"},
		"keys link-local":    {"jwks_uri": "https://169.254.169.254/latest/meta-data"},
		"keys in a file":     {"jwks_uri": "file:///etc/passwd"},
		"keys behind a user": {"jwks_uri": "https://user:secret@example.com/keys"},
		"keys by redirect":   nil,
	} {
		t.Run(name, func(t *testing.T) {
			i := newIssuer(t)
			i.publish(s)
			if change == nil {
				change = map[string]any{"jwks_uri": i.URL + "/moved"}
			}
			maps.Copy(i.discovery, change)
			_, err := newVerifier(t, c, i.config()).Verify(t.Context(), s.token(t, i.good(c, nil)))
			if !errors.Is(err, fault.Unavailable) {
				t.Errorf("got %v", err)
			}
			if i.fetches.Load()+elsewhere.fetches.Load() != 0 {
				t.Error("keys were fetched")
			}
			if strings.Contains(name, "loopback") && !strings.Contains(err.Error(), "leads to") {
				t.Errorf("it was dialled: %v", err)
			}
		})
	}
}

// TestKubernetes: an API server that wants a bearer token, keys in a file, and
// claims below "kubernetes.io".
func TestKubernetes(t *testing.T) {
	i, c, s := newIssuer(t), newClock(), newSigner(t, "k1")
	i.publish(s)
	i.bearer = "reader"
	dir := t.TempDir()
	bearer, keys := filepath.Join(dir, "token"), filepath.Join(dir, "jwks.json")
	write(t, bearer, "reader\n")
	document, _ := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{s.public()}})
	write(t, keys, string(document))
	rules, err := oidc.ParseRules("kubernetes.io.namespace=ci, kubernetes.io.serviceaccount.name=builder|packer -> build-{kubernetes.io.namespace}")
	if err != nil {
		t.Fatal(err)
	}
	token := func(namespace string) string {
		return s.token(t, i.good(c, map[string]any{
			"sub":           "system:serviceaccount:" + namespace + ":builder",
			"kubernetes.io": map[string]any{"namespace": namespace, "serviceaccount": map[string]any{"name": "builder", "uid": "u"}},
		}))
	}
	for name, change := range map[string]func(*oidc.Issuer){
		"bearer token": func(i *oidc.Issuer) { i.TokenFile = bearer },
		"keys in file": func(i *oidc.Issuer) { i.JWKSFile = keys },
	} {
		t.Run(name, func(t *testing.T) {
			issuer := i.config()
			issuer.Rules = rules
			change(&issuer)
			v := newVerifier(t, c, issuer)
			got, err := v.Verify(t.Context(), token("ci"))
			if err != nil || !cmp.Equal(got.Policies, []iam.PolicyName{"build-ci"}) {
				t.Errorf("got %v, %v", got.Policies, err)
			}
			if _, err := v.Verify(t.Context(), token("other")); !errors.Is(err, fault.Denied) {
				t.Errorf("another namespace: %v", err)
			}
		})
	}
	if _, err := newVerifier(t, c, i.config()).Verify(t.Context(), token("ci")); !errors.Is(err, fault.Unavailable) {
		t.Errorf("without the bearer token: %v", err)
	}
}

func write(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestCAFile(t *testing.T) {
	c, s := newClock(), newSigner(t, "k1")
	i := &issuer{}
	i.Server = httptest.NewTLSServer(i)
	t.Cleanup(i.Close)
	i.discovery = map[string]any{"issuer": i.URL, "jwks_uri": i.URL + "/keys"}
	i.publish(s)
	config := i.config()
	if _, err := newVerifier(t, c, config).Verify(t.Context(), s.token(t, i.good(c, nil))); !errors.Is(err, fault.Unavailable) {
		t.Errorf("an unknown authority: %v", err)
	}
	config.CAFile = filepath.Join(t.TempDir(), "ca.crt")
	write(t, config.CAFile, pemOf(i.Certificate().Raw))
	if _, err := newVerifier(t, c, config).Verify(t.Context(), s.token(t, i.good(c, nil))); err != nil {
		t.Error(err)
	}
}

func pemOf(der []byte) string {
	return "-----BEGIN CERTIFICATE-----\n" + base64.StdEncoding.EncodeToString(der) + "\n-----END CERTIFICATE-----\n"
}

// TestSeveralIssuers: the one that "iss" names judges, with its own keys only.
func TestSeveralIssuers(t *testing.T) {
	c := newClock()
	one, two := newIssuer(t), newIssuer(t)
	first, second := newSigner(t, "k1"), newSigner(t, "k1")
	one.publish(first)
	two.publish(second)
	v := newVerifier(t, c, one.config(), two.config())
	for name, tt := range map[string]struct {
		token string
		ok    bool
	}{
		"first":              {first.token(t, one.good(c, nil)), true},
		"second":             {second.token(t, two.good(c, nil)), true},
		"second's, by first": {first.token(t, two.good(c, nil)), false},
		"first's, by second": {second.token(t, one.good(c, nil)), false},
	} {
		if _, err := v.Verify(t.Context(), tt.token); (err == nil) != tt.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWeakKeysAreLeftOut(t *testing.T) {
	i, c, s := newIssuer(t), newClock(), newSigner(t, "k1")
	i.publish(s)
	i.keys = append(i.keys, jose.JSONWebKey{Key: []byte("a shared secret of thirty-two b."), KeyID: "hs"})
	i.keys[0].Use = "enc"
	if _, err := newVerifier(t, c, i.config()).Verify(t.Context(), s.token(t, i.good(c, nil))); !errors.Is(err, fault.Unavailable) {
		t.Errorf("a set without a key that may sign: %v", err)
	}
}

func FuzzVerify(f *testing.F) {
	v, err := oidc.New(oidc.Config{Issuers: []oidc.Issuer{{
		URL: "urn:none", JWKSFile: "testdata/none", Audiences: []string{"a"}, Rules: []oidc.Rule{{Policies: []string{"p"}}},
	}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add("eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJ1cm46bm9uZSJ9.AAAA")
	f.Fuzz(func(t *testing.T, token string) {
		if _, err := v.Verify(t.Context(), token); err == nil {
			t.Error("accepted")
		}
	})
}
