package sts_test

import (
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/larder-cache/larder/test/e2e/harness"
)

// runnerToken is what a job shows to be given its identity token.
const runnerToken = "e2e-runner"

// issuer is one that signs whatever is asked of it: what a good one never sends.
type issuer struct {
	*httptest.Server
	key     *rsa.PrivateKey
	visited atomic.Int32 // how often the key set of an attacker was fetched
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	ok(t, err)
	i := &issuer{key: key}
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"issuer": i.URL, "jwks_uri": i.URL + "/keys", "id_token_signing_alg_values_supported": []string{"RS256"}})
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": []any{jwk(&key.PublicKey, "good")}})
	})
	mux.HandleFunc("/actions", func(w http.ResponseWriter, r *http.Request) { // as GitHub gives a job its token
		if r.Header.Get("Authorization") != "Bearer "+runnerToken {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		claims := i.claims(map[string]any{
			"aud": r.URL.Query().Get("audience"), "sub": "repo:acme/x:ref:refs/heads/main", "repository_owner_id": "1234567",
			"repository": "acme/x", "ref": r.URL.Query().Get("ref"), "event_name": "push",
		})
		_ = json.NewEncoder(w).Encode(map[string]string{"value": token(t, map[string]any{"alg": "RS256", "kid": "good"}, claims, rs256(t, key))})
	})
	mux.HandleFunc("/attacker", func(http.ResponseWriter, *http.Request) { i.visited.Add(1) })
	i.Server = httptest.NewServer(mux)
	t.Cleanup(i.Close)
	return i
}

func jwk(k *rsa.PublicKey, id string) map[string]any {
	return map[string]any{"kty": "RSA", "use": "sig", "alg": "RS256", "kid": id, "n": b64(k.N.Bytes()), "e": b64(big.NewInt(int64(k.E)).Bytes())}
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// claims are those of a token that is accepted, changed by with; nil removes one.
func (i *issuer) claims(with map[string]any) map[string]any {
	now := time.Now()
	c := map[string]any{"iss": i.URL, "aud": audience, "sub": "build-1", "exp": now.Add(time.Hour).Unix(), "iat": now.Unix(), "team": "cooks"}
	maps.Copy(c, with)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

// token joins header and claims and what sign makes of them.
func token(t *testing.T, header, claims map[string]any, sign func(string) []byte) string {
	t.Helper()
	h, err := json.Marshal(header)
	ok(t, err)
	c, err := json.Marshal(claims)
	ok(t, err)
	text := b64(h) + "." + b64(c)
	return text + "." + b64(sign(text))
}

func rs256(t *testing.T, key *rsa.PrivateKey) func(string) []byte {
	t.Helper()
	return func(text string) []byte {
		sum := sha256.Sum256([]byte(text))
		sig, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
		ok(t, err)
		return sig
	}
}

func hs256(secret []byte) func(string) []byte {
	return func(text string) []byte {
		mac := hmac.New(sha256.New, secret)
		_, _ = mac.Write([]byte(text))
		return mac.Sum(nil)
	}
}

// TestHostileTokens sends every wrong token: none makes a session, and in the end
// the right one still does.
func TestHostileTokens(t *testing.T) {
	bao := harness.NewBao(t)
	bao.NewIssuer(audience)
	i := newIssuer(t)
	s := newServer(t, bao, harness.Options{CA: harness.NewAuthority(t), Env: []string{
		"LARDER_IDENTITY_OPENID_CONFIG_URL_EVIL=" + i.URL + "/.well-known/openid-configuration",
		"LARDER_IDENTITY_OPENID_AUDIENCE_EVIL=" + audience,
		"LARDER_IDENTITY_OPENID_RULES_EVIL=team=cooks -> use-shelf",
	}})
	good := map[string]any{"alg": "RS256", "typ": "JWT", "kid": "good"}
	signed := func(with map[string]any) string { return token(t, good, i.claims(with), rs256(t, i.key)) }
	if status, text := exchangeRaw(t, s, signed(nil)); status != http.StatusOK {
		t.Fatalf("a right token: %d %s", status, text)
	}
	for what, wrong := range hostile(t, i, bao, signed) {
		status, text := exchangeRaw(t, s, wrong)
		if status == http.StatusOK || strings.Contains(text, "SecretAccessKey") {
			t.Errorf("%s: accepted", what)
		}
		if status >= http.StatusInternalServerError && status != http.StatusServiceUnavailable {
			t.Errorf("%s: %d %s", what, status, text)
		}
	}
	if n := i.visited.Load(); n != 0 {
		t.Errorf("the server fetched keys from where a token said, %d times", n)
	}
	if status, text := exchangeRaw(t, s, signed(nil)); status != http.StatusOK {
		t.Errorf("a right token after all the wrong ones: %d %s", status, text)
	}
}

func hostile(t *testing.T, i *issuer, bao *harness.Bao, signed func(map[string]any) string) map[string]string {
	t.Helper()
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	ok(t, err)
	public, err := x509.MarshalPKIXPublicKey(&i.key.PublicKey)
	ok(t, err)
	now := time.Now()
	header := func(with map[string]any) map[string]any {
		h := map[string]any{"alg": "RS256", "kid": "good"}
		maps.Copy(h, with)
		return h
	}
	right := signed(nil)
	parts := strings.Split(right, ".")
	forged, err := json.Marshal(i.claims(map[string]any{"sub": "root"}))
	ok(t, err)
	none := func(string) []byte { return nil }
	return map[string]string{
		"no algorithm":                   token(t, header(map[string]any{"alg": "none"}), i.claims(nil), none),
		"no algorithm, oddly spelled":    token(t, header(map[string]any{"alg": "nOnE"}), i.claims(nil), none),
		"no signature":                   parts[0] + "." + parts[1] + ".",
		"a shared secret: the key":       token(t, header(map[string]any{"alg": "HS256"}), i.claims(nil), hs256(public)),
		"a shared secret: the number":    token(t, header(map[string]any{"alg": "HS256"}), i.claims(nil), hs256(i.key.N.Bytes())),
		"another key, same id":           token(t, header(nil), i.claims(nil), rs256(t, other)),
		"another key, unknown id":        token(t, header(map[string]any{"kid": "else"}), i.claims(nil), rs256(t, other)),
		"a key in the token":             token(t, header(map[string]any{"jwk": jwk(&other.PublicKey, "good")}), i.claims(nil), rs256(t, other)),
		"a place of keys":                token(t, header(map[string]any{"jku": i.URL + "/attacker", "kid": "else"}), i.claims(nil), rs256(t, other)),
		"a place of certificates":        token(t, header(map[string]any{"x5u": i.URL + "/attacker", "kid": "else"}), i.claims(nil), rs256(t, other)),
		"a critical extension":           token(t, header(map[string]any{"crit": []string{"b64"}, "b64": false}), i.claims(nil), rs256(t, i.key)),
		"another algorithm's name":       token(t, header(map[string]any{"alg": "ES256"}), i.claims(nil), rs256(t, i.key)),
		"changed claims":                 parts[0] + "." + b64(forged) + "." + parts[2],
		"no end":                         signed(map[string]any{"exp": nil}),
		"ended":                          signed(map[string]any{"exp": now.Add(-10 * time.Minute).Unix()}),
		"an end that is no number":       signed(map[string]any{"exp": "tomorrow"}),
		"not yet":                        signed(map[string]any{"nbf": now.Add(10 * time.Minute).Unix()}),
		"another audience":               signed(map[string]any{"aud": "https://kubernetes.default.svc"}),
		"other audiences":                signed(map[string]any{"aud": []string{"vault", "sts.amazonaws.com"}}),
		"no audience":                    signed(map[string]any{"aud": nil}),
		"nobody":                         signed(map[string]any{"sub": nil}),
		"another issuer that is trusted": signed(map[string]any{"iss": bao.Issuer()}),
		"an issuer that is not trusted":  signed(map[string]any{"iss": "https://issuer.example"}),
		"no issuer":                      signed(map[string]any{"iss": nil}),
		"another team":                   signed(map[string]any{"team": "guests"}),
		"a team that is a pattern":       signed(map[string]any{"team": "*"}),
		"a policy of its own":            signed(map[string]any{"team": "guests", "policy": "consoleAdmin"}),
		"no token":                       "",
		"not a token":                    "a.b.c",
		"two tokens":                     right + "," + right,
		"a long token":                   right + strings.Repeat("A", 100_000),
	}
}

func exchangeRaw(t *testing.T, s *harness.Server, token string) (int, string) {
	t.Helper()
	form := url.Values{"Action": {"AssumeRoleWithWebIdentity"}, "Version": {"2011-06-15"}, "RoleArn": {roleARN}, "RoleSessionName": {"e2e"}, "WebIdentityToken": {token}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL()+"/", strings.NewReader(form.Encode()))
	ok(t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := s.HTTPClient().Do(req)
	if errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
		return 0, err.Error() // the server refuses a long body without reading it to its end
	}
	ok(t, err)
	text, err := io.ReadAll(res.Body)
	ok(t, errors.Join(err, res.Body.Close()))
	return res.StatusCode, string(text)
}
