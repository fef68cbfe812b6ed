package s3_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/object"
	"github.com/larder-cache/larder/internal/protocol/edge"
	"github.com/larder-cache/larder/internal/protocol/s3"
	"github.com/larder-cache/larder/internal/protocol/sigv4"
	"github.com/larder-cache/larder/internal/storetest"
)

// epoch is the time in all tests.
var epoch = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

var rootKey = sigv4.Key{ID: "AKIDROOT", Secret: "root-secret-of-tests"}

// server is the S3 protocol over a store in memory, behind the real pipeline.
type server struct {
	t      testing.TB
	store  *storetest.Memory
	config s3.Config
	http   http.Handler
	allow  func(who iam.Principal, check iam.Check) bool
	event  edge.Event // of the last request
	asked  []iam.Check
	policy *iam.Policy // of a user who signs with the root key; nil asks allow
}

func newServer(tb testing.TB, config s3.Config) *server {
	tb.Helper()
	now := func() time.Time { return epoch }
	s := &server{t: tb, store: storetest.NewMemory(storetest.Config{Now: now})}
	s.allow = func(who iam.Principal, _ iam.Check) bool { return who.Kind == iam.Root }
	s.config = config
	s.http = s.over(tb, s.store)
	return s
}

// over returns the pipeline over another store.
func (s *server) over(tb testing.TB, store s3.Store) http.Handler {
	tb.Helper()
	now := func() time.Time { return epoch }
	verifier, err := sigv4.New(s, sigv4.Config{Now: now})
	if err != nil {
		tb.Fatal(err)
	}
	config := s.config
	config.Now, config.Form = now, verifier
	protocol, err := s3.New(store, config)
	if err != nil {
		tb.Fatal(err)
	}
	pipeline, err := edge.New(edge.Signatures(verifier), s, []edge.Protocol{protocol},
		edge.Config{Now: now, Observe: func(e edge.Event) { s.event = e }})
	if err != nil {
		tb.Fatal(err)
	}
	return pipeline
}

// Credential knows one key.
func (s *server) Credential(_ context.Context, id iam.AccessKeyID, _ string) (iam.Credential, error) {
	if id != rootKey.ID {
		return iam.Credential{}, fault.New(fault.Unauthenticated, fault.AccessKey, string(id))
	}
	return iam.Credential{Principal: iam.Principal{Kind: iam.Root, User: "root", AccessKey: id}, Secret: rootKey.Secret}, nil
}

// Authorize asks the test.
func (s *server) Authorize(_ context.Context, who iam.Principal, check iam.Check, facts iam.Facts) iam.Decision {
	s.asked = append(s.asked, check)
	if s.policy != nil {
		who = iam.Principal{Kind: iam.User, User: "alice"}
		return iam.Evaluate(iam.Request{Principal: who, Check: check, Facts: facts}, iam.Grants{Policies: []iam.NamedPolicy{{Name: "p", Policy: s.policy}}})
	}
	return iam.Decision{Allowed: s.allow(who, check)}
}

// bucket makes a bucket.
func (s *server) bucket(name object.BucketName, config object.BucketConfig) {
	s.t.Helper()
	if _, err := s.store.CreateBucket(s.t.Context(), name, config); err != nil {
		s.t.Fatal(err)
	}
}

// request makes an unsigned request. target is a path with query as it goes over
// the wire.
func request(method, target, body string, headers ...string) *http.Request {
	r := httptest.NewRequest(method, "http://server.test/", strings.NewReader(body))
	if body == "" {
		r.Body, r.ContentLength = http.NoBody, 0
	}
	r.Host, r.RequestURI = "server.test", target
	u, err := url.ParseRequestURI(target) // as net/http's server does
	if err != nil {
		panic(err)
	}
	r.URL = u
	for i := 0; i+1 < len(headers); i += 2 {
		if strings.EqualFold(headers[i], "Host") {
			r.Host = headers[i+1]
		} else {
			r.Header.Add(headers[i], headers[i+1])
		}
	}
	return r
}

// sign signs a request with the root key and a hashed payload.
func sign(r *http.Request, body string) *http.Request {
	sum := sha256.Sum256([]byte(body))
	sigv4.Sign(r, rootKey, "us-east-1", "s3", hex.EncodeToString(sum[:]), epoch)
	return r
}

// reply is an answer that was read to its end.
type reply struct {
	Code   int
	Header http.Header
	Body   string
}

func (s *server) do(r *http.Request) reply {
	w := httptest.NewRecorder()
	s.http.ServeHTTP(w, r)
	return reply{w.Code, w.Header(), w.Body.String()}
}

// call sends a signed request and returns the answer and its body.
func (s *server) call(method, target, body string, headers ...string) (reply, string) {
	answer := s.do(sign(request(method, target, body, headers...), body))
	return answer, answer.Body
}

// signPolicy signs a form's policy.
func signPolicy(policy string, secret iam.Secret) string {
	mac := func(key []byte, text string) []byte {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(text))
		return h.Sum(nil)
	}
	key := []byte("AWS4" + secret.Reveal())
	for _, part := range []string{"20261123", "us-east-1", "s3", "aws4_request", policy} {
		key = mac(key, part)
	}
	return hex.EncodeToString(key)
}

// etag returns the ETag as it is spelled, which is not how Header.Get spells it.
func etag(response reply) string {
	return strings.Join(response.Header["ETag"], "") //nolint:staticcheck // see above
}
