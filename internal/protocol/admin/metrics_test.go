package admin_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"hash"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/protocol/admin"
	"github.com/larder-cache/larder/internal/protocol/sigv4"
)

// token makes a JWT as mc does, of any header and claims.
func token(h func() hash.Hash, header, claims, secret string) string {
	enc := base64.RawURLEncoding
	text := enc.EncodeToString([]byte(header)) + "." + enc.EncodeToString([]byte(claims))
	mac := hmac.New(h, []byte(secret))
	mac.Write([]byte(text))
	return text + "." + enc.EncodeToString(mac.Sum(nil))
}

const hs512 = `{"alg":"HS512","typ":"JWT"}`

func claims(subject string, expires time.Time) string {
	return fmt.Sprintf(`{"iss":"prometheus","sub":%q,"exp":%d}`, subject, expires.Unix())
}

func (w *world) bearer(path, token string) answer {
	w.t.Helper()
	req := w.build(request{method: "GET", path: path})
	req.Header.Set("Authorization", "Bearer "+token)
	return w.send(req)
}

func TestMetrics(t *testing.T) {
	w := newWorld(t)
	good := token(sha512.New, hs512, claims(rootName, time.Now().Add(time.Hour)), rootSecret)
	for path, want := range map[string]string{
		"cluster": "larder_requests_total", "bucket": "larder_bucket_bytes", "node": "go_threads", "resource": "process_open_fds",
	} {
		got := w.bearer("/minio/v2/metrics/"+path, good)
		if got.status != 200 || !strings.Contains(got.body, want+" 0") || strings.Count(got.body, "# TYPE") != 1 {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
	if got := w.do(request{"GET", "/minio/v2/metrics/cluster", "", false, root}); got.status != 200 {
		t.Errorf("signed: %d %s", got.status, got.body)
	}
	if got := w.do(request{"GET", "/minio/v2/metrics/cluster", "", false, sigv4.Key{}}); got.status != 403 {
		t.Errorf("anonymous: %d %s", got.status, got.body)
	}
	for _, path := range []string{"/minio/metrics/v3", "/minio/metrics/v3/api/requests"} {
		if got := w.bearer(path, good); got.status != 501 || !strings.Contains(got.body, "/minio/v2/metrics/") {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
}

// TestPublicMetrics asks nobody for a token, on these routes alone.
func TestPublicMetrics(t *testing.T) {
	w := newWorld(t, func(c *admin.Config) { c.PublicMetrics = true })
	if got := w.do(request{"GET", "/minio/v2/metrics/cluster", "", false, sigv4.Key{}}); got.status != 200 || !strings.Contains(got.body, "larder_requests_total 0") {
		t.Errorf("anonymous: %d %s", got.status, got.body)
	}
	if got := w.bearer("/minio/v2/metrics/bucket", "old"); got.status != 200 {
		t.Errorf("a token that is none: %d %s", got.status, got.body)
	}
	for _, path := range []string{"info", "users", "list-users", "datausageinfo"} {
		if got := w.do(request{"GET", path, "", false, sigv4.Key{}}); got.status < 400 {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
}

// TestMetricsTokens refuses everything but a good token of one who may, and
// takes even that nowhere else.
func TestMetricsTokens(t *testing.T) {
	w := newWorld(t)
	w.user("nobody")
	gone := w.user("gone", allowing("admin:Prometheus"))
	later := time.Now().Add(time.Hour)
	good := token(sha512.New, hs512, claims(rootName, later), rootSecret)
	if got := w.bearer("/minio/v2/metrics/cluster", token(sha512.New, hs512, claims("gone", later), gone.Secret.Reveal())); got.status != 200 {
		t.Errorf("one who may: %d %s", got.status, got.body)
	}
	w.must(request{"PUT", "set-user-status?accessKey=gone&status=disabled", "", false, root})
	bad := map[string]string{
		"none":            token(sha512.New, `{"alg":"none"}`, claims(rootName, later), rootSecret),
		"HS256":           token(sha256.New, `{"alg":"HS256"}`, claims(rootName, later), rootSecret),
		"HS256 as HS512":  token(sha256.New, hs512, claims(rootName, later), rootSecret),
		"other secret":    token(sha512.New, hs512, claims(rootName, later), "minio124"),
		"empty secret":    token(sha512.New, hs512, claims("ghost", later), ""),
		"expired":         token(sha512.New, hs512, claims(rootName, time.Now().Add(-time.Minute)), rootSecret),
		"no expiry":       token(sha512.New, hs512, `{"iss":"prometheus","sub":"minio"}`, rootSecret),
		"other issuer":    token(sha512.New, hs512, strings.Replace(claims(rootName, later), "prometheus", "console", 1), rootSecret),
		"no subject":      token(sha512.New, hs512, `{"iss":"prometheus","exp":99999999999}`, ""),
		"one who may not": token(sha512.New, hs512, claims("nobody", later), "nobody-secret"),
		"disabled":        token(sha512.New, hs512, claims("gone", later), gone.Secret.Reveal()),
		"no JSON":         "a.b.c",
		"long":            strings.Repeat("x", 5000),
	}
	for name, text := range bad {
		if got := w.bearer("/minio/v2/metrics/cluster", text); got.status != http.StatusForbidden || got.code() != "AccessDenied" {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	for _, path := range []string{"/minio/admin/v3/info", "/minio/admin/v3/list-users", "/", "/sccache/key"} {
		if got := w.bearer(path, good); got.status < 400 {
			t.Errorf("a metrics token opens %s: %d", path, got.status)
		}
	}
}
