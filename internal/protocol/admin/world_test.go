package admin_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/larder-cache/larder/internal/engine/identity"
	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/object"
	"github.com/larder-cache/larder/internal/protocol/admin"
	"github.com/larder-cache/larder/internal/protocol/admin/envelope"
	"github.com/larder-cache/larder/internal/protocol/edge"
	"github.com/larder-cache/larder/internal/protocol/s3"
	"github.com/larder-cache/larder/internal/protocol/sigv4"
	"github.com/larder-cache/larder/internal/seal"
	"github.com/larder-cache/larder/internal/storetest"
)

const (
	rootName   = "minio"
	rootSecret = "minio123"
)

// root is root's key.
var root = sigv4.Key{ID: rootName, Secret: rootSecret}

// world is a server with the admin API and S3, over a store in memory.
type world struct {
	t        *testing.T
	store    object.Store
	identity *identity.Service
	trace    *admin.Trace
	protocol *admin.Protocol
	server   *httptest.Server
	gate     *envelope.Gate // of the clients
}

func newWorld(t *testing.T, change ...func(*admin.Config)) *world {
	t.Helper()
	key, err := seal.Open(t.Context(), filepath.Join(t.TempDir(), "seal.key"), nil, true)
	if err != nil {
		t.Fatal(err)
	}
	store := storetest.NewMemory(storetest.Config{})
	service, err := identity.Open(t.Context(), store, key, identity.Root{AccessKey: rootName, Secret: rootSecret}, identity.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return newWorldOn(t, &world{store: store, identity: service}, change...)
}

// newWorldOn is another server with the store and identities of w.
func newWorldOn(t *testing.T, other *world, change ...func(*admin.Config)) *world {
	t.Helper()
	w := &world{t: t, store: other.store, identity: other.identity, trace: &admin.Trace{}, gate: &envelope.Gate{Waiting: 1000}}
	config := admin.Config{Trace: w.trace, KeepAlive: 10 * time.Millisecond, Metrics: gathered(t), Status: status}
	for _, f := range change {
		f(&config)
	}
	protocol, err := admin.New(w.store, w.identity, config)
	if err != nil {
		t.Fatal(err)
	}
	w.protocol = protocol
	verifier, err := sigv4.New(w.identity, sigv4.Config{})
	if err != nil {
		t.Fatal(err)
	}
	objects, err := s3.New(w.store, s3.Config{})
	if err != nil {
		t.Fatal(err)
	}
	pipeline, err := edge.New(edge.Signatures(verifier), w.identity, []edge.Protocol{protocol, objects}, edge.Config{Observe: w.trace.Observe})
	if err != nil {
		t.Fatal(err)
	}
	w.server = httptest.NewServer(pipeline)
	t.Cleanup(w.server.Close)
	return w
}

// request is one request to the admin API.
type request struct {
	method string
	path   string // below /minio/admin/v3/, or absolute
	body   string
	sealed bool // send the body encrypted
	key    sigv4.Key
}

// answer is what came back, decrypted if need be.
type answer struct {
	status int
	header http.Header
	body   string
}

// code is the error's.
func (a answer) code() string {
	var body struct{ Code string }
	_ = json.Unmarshal([]byte(a.body), &body) // what is no error has no code
	return body.Code
}

func (w *world) build(r request) *http.Request {
	w.t.Helper()
	path := r.path
	if !strings.HasPrefix(path, "/") {
		path = "/minio/admin/v3/" + path
	}
	body := []byte(r.body)
	if r.sealed {
		body = w.seal(body, r.key.Secret)
	}
	req, err := http.NewRequestWithContext(w.t.Context(), r.method, w.server.URL+path, bytes.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	if r.key.ID != "" {
		sum := sha256.Sum256(body)
		sigv4.Sign(req, r.key, "", "s3", hex.EncodeToString(sum[:]), time.Now())
	}
	return req
}

func (w *world) seal(plain []byte, secret iam.Secret) []byte {
	w.t.Helper()
	var buf bytes.Buffer
	sealed, err := envelope.NewWriter(&buf, envelope.PBKDF2AES, secret)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := sealed.Write(plain); err != nil {
		w.t.Fatal(err)
	}
	if err := sealed.Close(); err != nil {
		w.t.Fatal(err)
	}
	return buf.Bytes()
}

func (w *world) send(req *http.Request) answer {
	w.t.Helper()
	res, err := w.server.Client().Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, string(body)}
}

// do sends a request and opens an encrypted answer with the caller's secret.
func (w *world) do(r request) answer {
	w.t.Helper()
	got := w.send(w.build(r))
	if got.header.Get("Content-Type") == "application/octet-stream" {
		reader, err := envelope.NewReader(w.t.Context(), w.gate, strings.NewReader(got.body), "test", r.key.Secret)
		if err != nil {
			w.t.Fatal(err)
		}
		plain, err := io.ReadAll(reader)
		if err != nil {
			w.t.Fatal(err)
		}
		got.body = string(plain)
	}
	return got
}

// must sends a request that has to succeed.
func (w *world) must(r request) answer {
	w.t.Helper()
	got := w.do(r)
	if got.status >= 300 {
		w.t.Fatalf("%s %s: %d %s", r.method, r.path, got.status, got.body)
	}
	return got
}

// user makes a user with one policy of his own and returns his key.
func (w *world) user(name string, policies ...string) sigv4.Key {
	w.t.Helper()
	secret := name + "-secret"
	w.must(request{"PUT", "add-user?accessKey=" + name, `{"secretKey":"` + secret + `","status":"enabled"}`, true, root})
	for _, policy := range policies {
		w.policy(name+"-policy", policy)
		w.must(request{"PUT", "set-user-or-group-policy?isGroup=false&policyName=" + name + "-policy&userOrGroup=" + name, "", false, root})
	}
	return sigv4.Key{ID: iam.AccessKeyID(name), Secret: iam.Secret(secret)}
}

func (w *world) policy(name, document string) {
	w.t.Helper()
	w.must(request{"PUT", "add-canned-policy?name=" + name, document, false, root})
}

// allowing is a policy that allows admin actions.
func allowing(actions ...string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["` + strings.Join(actions, `","`) + `"]}]}`
}

func (w *world) bucket(name object.BucketName) {
	w.t.Helper()
	if _, err := w.store.CreateBucket(w.t.Context(), name, object.BucketConfig{}); err != nil {
		w.t.Fatal(err)
	}
}

// gathered is a registry with one metric for each route.
func gathered(t *testing.T) prometheus.Gatherer {
	t.Helper()
	registry := prometheus.NewRegistry()
	for _, name := range []string{"larder_requests_total", "larder_bucket_bytes", "go_threads", "process_open_fds"} {
		gauge := prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: "for the test"})
		if err := registry.Register(gauge); err != nil {
			t.Fatal(err)
		}
	}
	return registry
}
