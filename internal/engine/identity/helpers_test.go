package identity_test

import (
	"log/slog"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/engine/identity"
	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/object"
	"github.com/larder-cache/larder/internal/seal"
	"github.com/larder-cache/larder/internal/storetest"
)

// world is a service over a store in memory, with a clock of its own.
type world struct {
	*identity.Service
	t     testing.TB
	store object.Store
	key   *seal.Key
	now   time.Time
	log   *lockedBuilder

	subjects int // of the service's Config
}

// lockedBuilder collects log lines.
type lockedBuilder struct {
	mu sync.Mutex // guards b
	b  strings.Builder
}

func (l *lockedBuilder) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuilder) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

const (
	rootName   = "minio"
	rootSecret = "minio-secret"
)

func newWorld(tb testing.TB) *world { tb.Helper(); return newSmallWorld(tb, 0) }

// newSmallWorld is a world that keeps so many subjects.
func newSmallWorld(tb testing.TB, subjects int) *world {
	tb.Helper()
	key, err := seal.Open(tb.Context(), filepath.Join(tb.TempDir(), "seal.key"), nil, true)
	if err != nil {
		tb.Fatal(err)
	}
	w := &world{t: tb, store: storetest.NewMemory(storetest.Config{}), key: key, now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC), log: &lockedBuilder{}, subjects: subjects}
	w.Service = w.open()
	return w
}

// open opens another service on the same store.
func (w *world) open() *identity.Service {
	w.t.Helper()
	s, err := identity.Open(w.t.Context(), w.store, w.key, identity.Root{AccessKey: rootName, Secret: rootSecret}, identity.Config{
		Subjects: w.subjects,
		Now:      func() time.Time { return w.now },
		Logger:   slog.New(slog.NewTextHandler(w.log, nil)),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// root is the actor of what tests set up.
var root = iam.Actor{
	Principal: iam.Principal{Kind: iam.Root, User: rootName, AccessKey: rootName},
	From:      netip.MustParseAddr("192.0.2.7"), RequestID: "REQ1",
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// user makes a user with a policy.
func (w *world) user(name iam.UserName, policies ...iam.PolicyName) {
	w.t.Helper()
	must(w.t, w.SetUser(w.t.Context(), root, name, iam.UserChange{Secret: new(iam.Secret(string(name) + "-secret"))}))
	if policies != nil {
		must(w.t, w.SetPolicies(w.t.Context(), root, iam.Holder{User: name}, policies))
	}
}

// policy makes a policy that allows an action on a resource.
func (w *world) policy(name iam.PolicyName, effect, action, resource string) {
	w.t.Helper()
	must(w.t, w.SetPolicy(w.t.Context(), root, name, statement(effect, action, resource)))
}

func statement(effect, action, resource string) []byte {
	doc := `{"Version":"2012-10-17","Statement":[{"Effect":"` + effect + `","Action":"` + action + `"`
	if resource != "" {
		doc += `,"Resource":"arn:aws:s3:::` + resource + `"`
	}
	return []byte(doc + `}]}`)
}

// may signs in with a key and asks; signing in may fail.
func (w *world) may(key iam.AccessKeyID, token string, action iam.Action, resource string) bool {
	w.t.Helper()
	c, err := w.Credential(w.t.Context(), key, token)
	if err != nil {
		return false
	}
	return w.allowed(c.Principal, action, resource)
}

func (w *world) allowed(p iam.Principal, action iam.Action, resource string) bool {
	w.t.Helper()
	bucket, object, _ := strings.Cut(resource, "/")
	check := iam.Check{Action: action, Resource: iam.Resource{Bucket: bucket, Key: object}}
	if strings.HasPrefix(string(action), "admin:") {
		check = iam.Check{Action: action, Target: iam.UserName(resource)}
	}
	return w.Authorize(w.t.Context(), p, check, iam.Facts{Time: w.now}).Allowed
}
