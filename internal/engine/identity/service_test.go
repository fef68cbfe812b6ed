package identity_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-cache/larder/internal/engine/identity"
	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/object"
)

// TestTerraform is what the user's four resources do.
func TestTerraform(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	doc := []byte(`{
	  "Version": "2012-10-17",
	  "Statement": [
	    {"Sid": "", "Effect": "Allow", "Action": ["s3:ListBucket", "s3:GetBucketLocation"], "Resource": "arn:aws:s3:::sccache"},
	    {"Sid": "", "Effect": "Allow", "Action": ["s3:PutObject", "s3:GetObject", "s3:DeleteObject"], "Resource": "arn:aws:s3:::sccache/*"}
	  ]
	}`)
	must(t, w.SetPolicy(ctx, root, "read-write-sccache", doc))
	must(t, w.SetUser(ctx, root, "sccache", iam.UserChange{Secret: new(iam.Secret("sccache123")), Enabled: new(true)}))
	must(t, w.SetPolicies(ctx, root, iam.Holder{User: "sccache"}, []iam.PolicyName{"read-write-sccache"}))

	user, err := w.User("sccache")
	must(t, err)
	want := iam.UserInfo{Name: "sccache", Enabled: true, Policies: []iam.PolicyName{"read-write-sccache"}, Updated: w.now}
	if diff := cmp.Diff(want, user); diff != "" {
		t.Error(diff)
	}
	for resource, want := range map[string]bool{"sccache/a/b": true, "other/a": false} {
		if got := w.may("sccache", "", "s3:PutObject", resource); got != want {
			t.Errorf("put %s: %v, want %v", resource, got, want)
		}
	}
	if w.may("sccache", "", "s3:DeleteBucket", "sccache") || w.may("sccache", "", "s3:ListBucket", "other") {
		t.Error("the user may delete the bucket or list another")
	}
	if err := w.RemovePolicy(ctx, root, "read-write-sccache"); !errors.Is(err, fault.Conflict) {
		t.Errorf("removing a policy in use: %v", err)
	}
	must(t, w.SetPolicies(ctx, root, iam.Holder{User: "sccache"}, nil))
	must(t, w.RemovePolicy(ctx, root, "read-write-sccache"))
	must(t, w.RemovePolicy(ctx, root, "read-write-sccache"))
	must(t, w.RemoveUser(ctx, root, "sccache"))
	if w.may("sccache", "", "s3:PutObject", "sccache/a") {
		t.Error("a removed user may write")
	}
}

// TestReopen: what was changed is there after a restart.
func TestReopen(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.policy("p", "Allow", "s3:GetObject", "b/*")
	w.user("alice", "p")
	must(t, w.AddMembers(ctx, root, "devs", []iam.UserName{"alice"}))
	account, secret, err := w.CreateAccount(ctx, root, iam.AccountSpec{Parent: "alice", Name: "ci", Policy: statement("Allow", "s3:*", "b/*")})
	must(t, err)
	session, err := w.AssumeRole(ctx, iam.Principal{Kind: iam.User, User: "alice"}, iam.SessionSpec{})
	must(t, err)

	before := w.Export()
	w.Service = w.open()
	if diff := cmp.Diff(before, w.Export()); diff != "" {
		t.Error(diff)
	}
	c, err := w.Credential(ctx, account.AccessKey, "")
	must(t, err)
	if c.Secret != secret || !w.may(account.AccessKey, "", "s3:GetObject", "b/k") || w.may(account.AccessKey, "", "s3:PutObject", "b/k") {
		t.Error("the service account is another one after a restart")
	}
	if !w.may(session.AccessKey, session.Token, "s3:GetObject", "b/k") {
		t.Error("the session did not survive a restart")
	}
}

// TestSealed: nothing of the identities is readable in the store, and neither
// another key's nor another generation's document is taken.
func TestSealed(t *testing.T) {
	w := newWorld(t)
	w.user("alice")
	_, first, err := w.store.Log("iam").Latest(t.Context())
	must(t, err)
	w.user("bob")
	if text := string(first); strings.Contains(text, "alice") {
		t.Error("a user is readable in the store")
	}
	must(t, w.store.Log("iam").Append(t.Context(), 3, first))
	_, err = identity.Open(t.Context(), w.store, w.key, identity.Root{AccessKey: rootName, Secret: rootSecret}, identity.Config{})
	if !errors.Is(err, fault.Corrupt) || !strings.Contains(err.Error(), "older one in its place") {
		t.Errorf("an older document in a newer one's place: %v", err)
	}
	other := newWorld(t)
	_, err = identity.Open(t.Context(), w.store, other.key, identity.Root{AccessKey: rootName, Secret: rootSecret}, identity.Config{})
	if !errors.Is(err, fault.Corrupt) || !strings.Contains(err.Error(), "put the right key back") {
		t.Errorf("another key: %v", err)
	}
}

// TestSealedBytes changes each byte of a document.
func TestSealedBytes(t *testing.T) {
	w := newWorld(t)
	w.user("alice")
	_, doc, err := w.store.Log("iam").Latest(t.Context())
	must(t, err)
	for i := range doc {
		bad := append([]byte(nil), doc...)
		bad[i] ^= 0x10
		_, err := identity.Open(t.Context(), oneDocument{Store: w.store, doc: bad}, w.key, identity.Root{AccessKey: rootName, Secret: rootSecret}, identity.Config{})
		if err == nil {
			t.Fatalf("byte %d changed, and nobody noticed", i)
		}
	}
}

// oneDocument is a store whose logs all hold one document.
type oneDocument struct {
	object.Store
	doc []byte
}

func (o oneDocument) Log(name string) object.Log {
	if name != "iam" {
		return o.Store.Log(name)
	}
	return oneLog{o.doc}
}

type oneLog struct{ doc []byte }

func (l oneLog) Append(context.Context, uint64, []byte) error   { return errors.New("read only") }
func (l oneLog) Latest(context.Context) (uint64, []byte, error) { return 1, l.doc, nil }

// TestTwoWriters: two services on one store both keep their changes.
func TestTwoWriters(t *testing.T) {
	w := newWorld(t)
	other := &world{Service: w.open(), t: t, store: w.store, key: w.key, now: w.now, log: w.log}
	w.user("alice")
	other.user("bob")
	w.user("carol")
	var names []iam.UserName
	for _, u := range w.Users() {
		names = append(names, u.Name)
	}
	if diff := cmp.Diff([]iam.UserName{"alice", "bob", "carol"}, names); diff != "" {
		t.Error(diff)
	}
	actions := 0
	for r, err := range w.open().Audit(t.Context()) {
		must(t, err)
		if r.Action == "user.set" {
			actions++
		}
	}
	if actions != 3 {
		t.Errorf("the audit trail has %d of 3 changes", actions)
	}
}

func TestRootRotation(t *testing.T) {
	w := newWorld(t)
	w.user("alice")
	must(t, w.SetRoot(identity.Root{AccessKey: rootName, Secret: "another-secret"}))
	c, err := w.Credential(t.Context(), rootName, "")
	must(t, err)
	if c.Secret != "another-secret" || c.Principal.Kind != iam.Root {
		t.Error("the root secret did not change")
	}
	for _, bad := range []identity.Root{{AccessKey: "alice", Secret: "long-enough"}, {AccessKey: "ro", Secret: "long-enough"}, {AccessKey: "root", Secret: "short"}, {AccessKey: "a=b", Secret: "long-enough"}} {
		if err := w.SetRoot(bad); err == nil {
			t.Errorf("root may be %q with a secret of %d bytes", bad.AccessKey, len(bad.Secret))
		}
	}
}

func TestGroups(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.policy("p", "Allow", "s3:GetObject", "b/*")
	w.user("alice")
	must(t, w.AddMembers(ctx, root, "devs", []iam.UserName{"alice"}))
	must(t, w.SetPolicies(ctx, root, iam.Holder{Group: "devs"}, []iam.PolicyName{"p"}))
	if !w.may("alice", "", "s3:GetObject", "b/k") {
		t.Error("the group's policy does not count")
	}
	must(t, w.SetGroupEnabled(ctx, root, "devs", false))
	if w.may("alice", "", "s3:GetObject", "b/k") {
		t.Error("a disabled group's policy counts")
	}
	if _, err := w.Credential(ctx, "alice", ""); err != nil {
		t.Error("a disabled group locks its members out")
	}
	must(t, w.SetGroupEnabled(ctx, root, "devs", true))
	if err := w.RemoveMembers(ctx, root, "devs", nil); !errors.Is(err, fault.Conflict) {
		t.Errorf("removing a group with members: %v", err)
	}
	must(t, w.RemoveMembers(ctx, root, "devs", []iam.UserName{"alice"}))
	if w.may("alice", "", "s3:GetObject", "b/k") {
		t.Error("the group's policy counts for who left it")
	}
	must(t, w.RemoveMembers(ctx, root, "devs", nil))
	if _, err := w.Group("devs"); !errors.Is(err, fault.NotFound) {
		t.Errorf("the group is still there: %v", err)
	}
	if err := w.AddMembers(ctx, root, "devs", []iam.UserName{"nobody"}); !errors.Is(err, fault.NotFound) {
		t.Errorf("an unknown member: %v", err)
	}
}

func TestAttach(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.policy("p", "Allow", "s3:GetObject", "b/*")
	w.user("alice")
	alice := iam.Holder{User: "alice"}
	attached, _, err := w.Attach(ctx, root, alice, []iam.PolicyName{"readonly", "p"})
	must(t, err)
	if diff := cmp.Diff([]iam.PolicyName{"p", "readonly"}, attached); diff != "" {
		t.Error(diff)
	}
	if _, _, err := w.Attach(ctx, root, alice, []iam.PolicyName{"p"}); !errors.Is(err, fault.Exists) {
		t.Errorf("attaching again: %v", err)
	}
	if _, _, err := w.Attach(ctx, root, alice, []iam.PolicyName{"nonsense"}); !errors.Is(err, fault.NotFound) {
		t.Errorf("attaching an unknown policy: %v", err)
	}
	detached, _, err := w.Detach(ctx, root, alice, []iam.PolicyName{"p", "writeonly"})
	must(t, err)
	if diff := cmp.Diff([]iam.PolicyName{"p"}, detached); diff != "" {
		t.Error(diff)
	}
	if _, _, err := w.Detach(ctx, root, alice, []iam.PolicyName{"p"}); !errors.Is(err, fault.Exists) {
		t.Errorf("detaching again: %v", err)
	}
}

// TestAudit: every change leaves a record with who, from where and what, and no
// secret.
func TestAudit(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.user("alice", "readonly")
	_, secret, err := w.CreateAccount(ctx, root, iam.AccountSpec{Parent: "alice"})
	must(t, err)
	must(t, w.RemoveUser(ctx, root, "alice"))
	must(t, w.Record(ctx, root, iam.Change{Action: "bucket.policy", Target: "b", After: "x"}))

	var got []string
	for r, err := range w.open().Audit(ctx) {
		must(t, err)
		got = append(got, r.Action+" "+r.Target)
		if r.User != rootName || r.From != "192.0.2.7" || r.RequestID != "REQ1" || r.Time.IsZero() {
			t.Errorf("the record does not say who: %+v", r)
		}
		if text := string(r.Before) + string(r.After); strings.Contains(text, "alice-secret") || strings.Contains(text, secret.Reveal()) {
			t.Errorf("the record shows a secret: %s", text)
		}
		if r.Action == "user.remove" && !strings.Contains(string(r.Before), `"readonly"`) {
			t.Errorf("the record does not say what was before: %s", r.Before)
		}
	}
	if len(got) == 5 {
		got[3] = strings.Fields(got[3])[0] // of a random key or the next record
	}
	if len(got) != 5 || got[0] != "user.set alice" || got[1] != "policy.replace user alice" || got[4] != "bucket.policy b" {
		t.Errorf("got %q", got)
	}
}

// TestAuditRing: the trail is bounded, and keeps the latest.
func TestAuditRing(t *testing.T) {
	w := newWorld(t)
	long := strings.Repeat("x", 7000) // about 9 records a chunk
	const records = 9 * 70
	for range records {
		must(t, w.Record(t.Context(), root, iam.Change{Action: "test", Target: "t", After: long}))
		w.now = w.now.Add(time.Second)
	}
	var last iam.Record
	kept := 0
	for r, err := range w.open().Audit(t.Context()) {
		must(t, err)
		if r.Time.Before(last.Time) {
			t.Fatal("the records are out of order")
		}
		last = r
		kept++
	}
	if kept < 500 || kept >= records || !last.Time.Equal(w.now.Add(-time.Second)) {
		t.Errorf("kept %d of %d, the last of %v", kept, records, last.Time)
	}
}
