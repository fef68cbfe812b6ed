package oidc_test

import (
	"compress/gzip"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
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

	waiting chan (<-chan struct{}) // the ends of fetches of /slow
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{waiting: make(chan (<-chan struct{}), 10)}
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
		if accept := r.Header.Get("Accept"); accept != "" && !strings.Contains(accept, "application/jwk-set+json") { // as Kubernetes 1.36.3
			http.Error(w, "", http.StatusNotAcceptable)
			return
		}
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: i.keys})
	case "/moved", "/moved/.well-known/openid-configuration":
		http.Redirect(w, r, "/keys", http.StatusFound)
	case "/huge":
		_, _ = w.Write(make([]byte, 2<<20))
	case "/bomb":
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		for range 64 {
			_, _ = z.Write(make([]byte, 1<<20))
		}
		_ = z.Close()
	case "/slow":
		i.mu.Unlock()
		i.waiting <- r.Context().Done()
		<-r.Context().Done()
		i.mu.Lock()
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
		"keys in the cloud":  {"jwks_uri": "https://[fd00:ec2::254]/latest/meta-data"},
		"keys nowhere":       {"jwks_uri": "https://0.0.0.0:1/keys"},
		"keys on localhost":  {"jwks_uri": "https://localhost:1/keys"},
		"keys without end":   {"jwks_uri": "/huge"},
		"keys that swell":    {"jwks_uri": "/bomb"},
		"keys by redirect":   {"jwks_uri": "/moved"},
	} {
		t.Run(name, func(t *testing.T) {
			i := newIssuer(t)
			i.publish(s)
			if path, _ := change["jwks_uri"].(string); strings.HasPrefix(path, "/") {
				change["jwks_uri"] = i.URL + path
			}
			maps.Copy(i.discovery, change)
			_, err := newVerifier(t, c, i.config()).Verify(t.Context(), s.token(t, i.good(c, nil)))
			if !errors.Is(err, fault.Unavailable) {
				t.Errorf("got %v", err)
			}
			if i.fetches.Load()+elsewhere.fetches.Load() != 0 {
				t.Error("keys were fetched")
			}
			for why, names := range map[string]string{
				"leads to": "keys on loopback, keys link-local, keys in the cloud, keys nowhere, keys on localhost", "longer than": "keys without end, keys that swell",
			} {
				if strings.Contains(names, name) && !strings.Contains(err.Error(), why) {
					t.Errorf("not for the right reason: %v", err)
				}
			}
		})
	}
	i := newIssuer(t)
	config := i.config()
	config.Discovery = i.URL + "/moved/.well-known/openid-configuration"
	if _, err := newVerifier(t, c, config).Verify(t.Context(), s.token(t, i.good(c, nil))); !errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "302") {
		t.Errorf("a discovery document by redirect: %v", err)
	}
}

// TestKeysInTheClear: what was discovered over TLS is not fetched without it.
func TestKeysInTheClear(t *testing.T) {
	c, s := newClock(), newSigner(t, "k1")
	i := &issuer{}
	i.Server = httptest.NewTLSServer(i)
	t.Cleanup(i.Close)
	i.discovery = map[string]any{"issuer": i.URL, "jwks_uri": strings.Replace(i.URL, "https:", "http:", 1) + "/keys"}
	i.publish(s)
	config := i.config()
	config.CAFile = filepath.Join(t.TempDir(), "ca.crt")
	write(t, config.CAFile, pemOf(i.Certificate().Raw))
	_, err := newVerifier(t, c, config).Verify(t.Context(), s.token(t, i.good(c, nil)))
	if !errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "is not https") {
		t.Errorf("got %v", err)
	}
}

// dns makes names resolve to what answer says, in this process, until the test
// ends.
func dns(t *testing.T, answer func(name string) netip.Addr) {
	t.Helper()
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	before := net.DefaultResolver
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", server.LocalAddr().String())
	}}
	t.Cleanup(func() { net.DefaultResolver = before; _ = server.Close() })
	go func() {
		for packet := make([]byte, 512); ; {
			n, from, err := server.ReadFrom(packet)
			if err != nil {
				return
			}
			_, _ = server.WriteTo(resolve(packet[:n], answer), from)
		}
	}()
}

// resolve answers a question: a header of 12 bytes, labels with their lengths, a
// zero, type and class. https://www.rfc-editor.org/rfc/rfc1035#section-4
func resolve(question []byte, answer func(string) netip.Addr) []byte {
	var labels []string
	end := 12
	for length := int(question[end]); length > 0; length = int(question[end]) {
		labels = append(labels, string(question[end+1:end+1+length]))
		end += 1 + length
	}
	kind := question[end+2]
	reply := append([]byte{question[0], question[1], 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}, question[12:end+5]...)
	ip := answer(strings.Join(labels, "."))
	if kind == 1 && ip.Is4() || kind == 28 && ip.Is6() {
		reply[7] = 1
		reply = append(reply, 0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 0, 0, byte(ip.BitLen()/8))
		reply = append(reply, ip.AsSlice()...)
	}
	return reply
}

// TestRebinding: names are judged by the address that is dialled, each time. One
// of this machine's must not lead off it in the clear, and one that a discovery
// document names must not lead to where only this machine gets.
func TestRebinding(t *testing.T) {
	i, c, s := newIssuer(t), newClock(), newSigner(t, "k1")
	i.publish(s)
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(i.URL, "http://"))
	var address atomic.Pointer[netip.Addr]
	lead := func(to string) { a := netip.MustParseAddr(to); address.Store(&a) }
	dns(t, func(name string) netip.Addr {
		if strings.HasPrefix(name, "issuer.") || strings.HasPrefix(name, "keys.") {
			return *address.Load()
		}
		return netip.Addr{}
	})
	lead("127.0.0.1")
	config := i.config()
	config.Discovery = "http://issuer.localhost:" + port + "/.well-known/openid-configuration"
	i.discovery["jwks_uri"] = "http://issuer.localhost:" + port + "/keys"
	v := newVerifier(t, c, config)
	if _, err := v.Verify(t.Context(), s.token(t, i.good(c, nil))); err != nil {
		t.Fatal(err)
	}
	for _, elsewhere := range []string{"192.0.2.1", "169.254.169.254", "2001:db8::1"} {
		lead(elsewhere)
		c.advance(25 * time.Hour)
		if _, err := v.Verify(t.Context(), s.token(t, i.good(c, nil))); !errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "leads to "+elsewhere) {
			t.Errorf("a name of this machine that leads to %s: %v", elsewhere, err)
		}
	}
	i.discovery["jwks_uri"] = "https://keys.example/keys"
	for _, here := range []string{"127.0.0.1", "169.254.169.254", "0.0.0.0", "::1", "fe80::1", "fd00:ec2::254"} {
		lead(here)
		_, err := newVerifier(t, c, i.config()).Verify(t.Context(), s.token(t, i.good(c, nil)))
		if !errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "leads to "+here) {
			t.Errorf("keys at %s: %v", here, err)
		}
	}
}

// TestSlowIssuer: one that does not answer is given up, and meanwhile delays only
// those whose key nobody knows.
func TestSlowIssuer(t *testing.T) {
	i, c, s, unknown := newIssuer(t), newClock(), newSigner(t, "k1"), newSigner(t, "k2")
	i.publish(s)
	v := newVerifier(t, c, i.config())
	right, wrong := s.token(t, i.good(c, nil)), unknown.token(t, i.good(c, nil))
	if _, err := v.Verify(t.Context(), right); err != nil {
		t.Fatal(err)
	}
	i.mu.Lock()
	i.discovery["jwks_uri"] = i.URL + "/slow"
	i.mu.Unlock()
	c.advance(11 * time.Second)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, err := v.Verify(ctx, wrong); err == nil {
				t.Error("accepted")
			}
		})
	}
	ended := <-i.waiting
	if _, err := v.Verify(t.Context(), right); err != nil {
		t.Errorf("while the issuer is silent: %v", err)
	}
	select {
	case <-ended:
		t.Error("a right token waited for the issuer")
	default:
	}
	cancel() // they hang up
	wg.Wait()
	i.CloseClientConnections()

	v, err := oidc.New(oidc.Config{Issuers: []oidc.Issuer{i.config()}, Now: c.now, Patience: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Verify(t.Context(), right); !errors.Is(err, fault.Unavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
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
