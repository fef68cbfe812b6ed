package identity_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-cache/larder/internal/engine/identity"
	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/object"
)

// actor is who signs with a key.
func (w *world) actor(key iam.AccessKeyID, token string) iam.Actor {
	w.t.Helper()
	c, err := w.Credential(w.t.Context(), key, token)
	must(w.t, err)
	return iam.Actor{Principal: c.Principal}
}

// TestNamesOfRoot: nobody else is called like root, by whatever way.
func TestNamesOfRoot(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.user("alice", "consoleAdmin")
	if err := w.SetUser(ctx, root, rootName, iam.UserChange{Secret: new(iam.Secret("long-enough"))}); !errors.Is(err, fault.Conflict) {
		t.Errorf("a user named like root: %v", err)
	}
	if _, _, err := w.CreateAccount(ctx, root, iam.AccountSpec{Parent: "alice", AccessKey: rootName}); !errors.Is(err, fault.Conflict) {
		t.Errorf("a service account named like root: %v", err)
	}
	_, err := w.Import(ctx, root, iam.Export{Users: map[iam.UserName]iam.ExportUser{rootName: {Secret: "long-enough"}}})
	if !errors.Is(err, fault.Conflict) {
		t.Errorf("importing a user named like root: %v", err)
	}
	if w.allowed(iam.Principal{Kind: iam.User, User: rootName}, "s3:GetObject", "b/k") {
		t.Error("a principal with root's name is taken for root")
	}
	if w.allowed(iam.Principal{Kind: iam.Root, User: "alice"}, "s3:GetObject", "b/k") {
		t.Error("root by another name is still root")
	}
}

func TestNameRules(t *testing.T) {
	w := newWorld(t)
	w.user("alice")
	secret := iam.UserChange{Secret: new(iam.Secret("long-enough"))}
	for _, name := range []iam.UserName{"", "ab", "a=b", "a,b", " abc", "abc\n", "abc\u202e", iam.UserName(strings.Repeat("a", 129)), "a\xffbc"} {
		if err := w.SetUser(t.Context(), root, name, secret); !errors.Is(err, fault.Invalid) {
			t.Errorf("user %q: %v", name, err)
		}
	}
	if err := w.SetUser(t.Context(), root, "bob", iam.UserChange{Secret: new(iam.Secret("seven77"))}); !errors.Is(err, fault.Invalid) {
		t.Errorf("a secret of 7 characters: %v", err)
	}
	if err := w.SetUser(t.Context(), root, "bob", iam.UserChange{}); !errors.Is(err, fault.Invalid) {
		t.Errorf("a user without a secret: %v", err)
	}
	if _, _, err := w.CreateAccount(t.Context(), root, iam.AccountSpec{Parent: "alice", Secret: "short"}); !errors.Is(err, fault.Invalid) {
		t.Errorf("a service account with a short secret: %v", err)
	}
}

// TestKeysOfRoot: whoever may make keys for anybody makes none for root.
func TestKeysOfRoot(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.user("alice", "consoleAdmin")
	if _, _, err := w.CreateAccount(ctx, w.actor("alice", ""), iam.AccountSpec{Parent: rootName}); !errors.Is(err, fault.Denied) {
		t.Errorf("an administrator made a key of root's: %v", err)
	}
	if _, _, err := w.CreateAccount(ctx, iam.Actor{}, iam.AccountSpec{Parent: rootName}); !errors.Is(err, fault.Denied) {
		t.Errorf("nobody made a key of root's: %v", err)
	}
	_, err := w.Import(ctx, w.actor("alice", ""), iam.Export{Accounts: map[iam.AccessKeyID]iam.ExportAccount{"forged": {Root: true, Secret: "long-enough", Enabled: true}}})
	if !errors.Is(err, fault.Denied) {
		t.Errorf("an administrator imported a key of root's: %v", err)
	}
	account, _, err := w.CreateAccount(ctx, root, iam.AccountSpec{Parent: rootName})
	must(t, err)
	if !w.may(account.AccessKey, "", "admin:CreateUser", "") {
		t.Error("root's own key may not what root may")
	}
	if err := w.SetRoot(identity.Root{AccessKey: "renamed", Secret: "long-enough"}); err != nil || !w.may(account.AccessKey, "", "admin:CreateUser", "") {
		t.Errorf("root's key does not follow his new name: %v", err)
	}
}

// TestNoEscape: a credential with a policy of its own makes no key that the
// policy would not bind, and frees none.
func TestNoEscape(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.user("alice", "consoleAdmin")
	admin := []byte(`{"Statement":[{"Effect":"Allow","Action":["admin:*"]}]}`)
	account, _, err := w.CreateAccount(ctx, root, iam.AccountSpec{Parent: "alice", Policy: admin})
	must(t, err)
	sibling, _, err := w.CreateAccount(ctx, root, iam.AccountSpec{Parent: "alice"})
	must(t, err)
	session, err := w.AssumeRole(ctx, alice, iam.SessionSpec{Policy: admin})
	must(t, err)
	inherit := []byte("{}")
	for name, by := range map[string]iam.Actor{"service account": w.actor(account.AccessKey, ""), "session": w.actor(session.AccessKey, session.Token)} {
		if _, _, err := w.CreateAccount(ctx, by, iam.AccountSpec{Parent: "alice"}); !errors.Is(err, fault.Denied) {
			t.Errorf("%s: made a key for its parent: %v", name, err)
		}
		if err := w.UpdateAccount(ctx, by, account, iam.AccountChange{Policy: &inherit}); !errors.Is(err, fault.Denied) {
			t.Errorf("%s: freed a key of its policy: %v", name, err)
		}
		if err := w.UpdateAccount(ctx, by, sibling, iam.AccountChange{Secret: new(iam.Secret("attackers-secret"))}); !errors.Is(err, fault.Denied) {
			t.Errorf("%s: took over another key of its parent's: %v", name, err)
		}
		if err := w.SetUser(ctx, by, "alice", iam.UserChange{Secret: new(iam.Secret("attackers-secret"))}); !errors.Is(err, fault.Denied) {
			t.Errorf("%s: took over its parent: %v", name, err)
		}
	}
	must(t, w.UpdateAccount(ctx, w.actor(account.AccessKey, ""), account, iam.AccountChange{Secret: new(iam.Secret("its-own-new-secret"))}))
	if w.may(account.AccessKey, "", "s3:GetObject", "b/k") {
		t.Error("the key escaped its policy")
	}
	must(t, w.UpdateAccount(ctx, root, account, iam.AccountChange{Policy: &inherit}))
	if !w.may(account.AccessKey, "", "s3:GetObject", "b/k") {
		t.Error("an empty policy does not inherit")
	}
}

// TestKeyOfAnotherSince: who was authorised for a key changes that key, and not
// another one that has its name since.
func TestKeyOfAnotherSince(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.user("alice")
	w.user("bob")
	authorised, _, err := w.CreateAccount(ctx, root, iam.AccountSpec{Parent: "alice", AccessKey: "ci-key"})
	must(t, err)
	must(t, w.RemoveAccount(ctx, root, authorised))
	w.now = w.now.Add(time.Second)
	_, secret, err := w.CreateAccount(ctx, root, iam.AccountSpec{Parent: "bob", AccessKey: "ci-key"})
	must(t, err)
	if err := w.UpdateAccount(ctx, w.actor("alice", ""), authorised, iam.AccountChange{Secret: new(iam.Secret("attackers-secret"))}); !errors.Is(err, fault.NotFound) {
		t.Errorf("changed the key of another: %v", err)
	}
	if err := w.RemoveAccount(ctx, w.actor("alice", ""), authorised); !errors.Is(err, fault.NotFound) {
		t.Errorf("removed the key of another: %v", err)
	}
	if c, err := w.Credential(ctx, "ci-key", ""); err != nil || c.Secret != secret {
		t.Errorf("the key of another is not what it was: %v", err)
	}
	if err := w.SetUser(ctx, root, "bob", iam.UserChange{New: true, Secret: new(iam.Secret("attackers-secret"))}); !errors.Is(err, fault.Exists) {
		t.Errorf("a new user who exists: %v", err)
	}
}

// TestKeysAreBounded: nobody fills the document that holds all identities with keys
// of his own, and keys that expired long ago are not kept in it.
func TestKeysAreBounded(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.user("alice")
	w.user("bob")
	e := iam.Export{Accounts: map[iam.AccessKeyID]iam.ExportAccount{}}
	for i := range 499 {
		e.Accounts[iam.AccessKeyID(fmt.Sprintf("key-%d", i))] = iam.ExportAccount{Parent: "alice", Secret: "long-enough", Enabled: true}
	}
	_, err := w.Import(ctx, root, e)
	must(t, err)
	last, _, err := w.CreateAccount(ctx, w.actor("alice", ""), iam.AccountSpec{Parent: "alice", Expires: w.now.Add(time.Hour)})
	must(t, err)
	if _, _, err := w.CreateAccount(ctx, w.actor("alice", ""), iam.AccountSpec{Parent: "alice"}); !errors.Is(err, fault.TooLarge) {
		t.Errorf("the 501st key: %v", err)
	}
	for _, parent := range []iam.UserName{"bob", rootName} {
		if _, _, err := w.CreateAccount(ctx, root, iam.AccountSpec{Parent: parent}); err != nil {
			t.Errorf("a key of %s: %v", parent, err)
		}
	}
	w.now = w.now.Add(time.Hour + 29*24*time.Hour)
	w.user("carol")
	if _, err := w.Account(last.AccessKey); err != nil {
		t.Errorf("a key that expired 29 days ago: %v", err)
	}
	w.now = w.now.Add(2 * 24 * time.Hour)
	w.user("dave")
	if _, err := w.Account(last.AccessKey); !errors.Is(err, fault.NotFound) {
		t.Errorf("a key that expired 31 days ago: %v", err)
	}
}

// TestStoredParent: a principal whose parent is not the stored one may nothing.
func TestStoredParent(t *testing.T) {
	w := newWorld(t)
	w.user("alice", "readonly")
	w.user("bob", "consoleAdmin")
	account, _, err := w.CreateAccount(t.Context(), root, iam.AccountSpec{Parent: "alice"})
	must(t, err)
	honest := w.actor(account.AccessKey, "").Principal
	if !w.allowed(honest, "s3:GetObject", "b/k") {
		t.Fatal("the honest principal is refused")
	}
	forged := []iam.Principal{honest, honest, honest}
	forged[0].User = "bob"
	forged[1].Parent = iam.Root
	forged[2].AccessKey = "another"
	for _, p := range forged {
		if w.allowed(p, "s3:GetObject", "b/k") {
			t.Errorf("a forged principal is allowed: %+v", p)
		}
	}
}

func TestDisabledKey(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.user("alice", "readonly")
	account, _, err := w.CreateAccount(ctx, root, iam.AccountSpec{Parent: "alice", Expires: w.now.Add(1e12)})
	must(t, err)
	signed := w.actor(account.AccessKey, "").Principal
	must(t, w.UpdateAccount(ctx, root, account, iam.AccountChange{Enabled: new(false)}))
	if w.may(account.AccessKey, "", "s3:GetObject", "b/k") || w.allowed(signed, "s3:GetObject", "b/k") {
		t.Error("a disabled key goes on")
	}
	must(t, w.UpdateAccount(ctx, root, account, iam.AccountChange{Enabled: new(true)}))
	w.now = w.now.Add(1e12)
	if w.may(account.AccessKey, "", "s3:GetObject", "b/k") {
		t.Error("an expired key goes on")
	}
	if _, _, err := w.CreateAccount(ctx, root, iam.AccountSpec{Parent: "alice", Expires: w.now}); !errors.Is(err, fault.Invalid) {
		t.Errorf("a key that is expired from the start: %v", err)
	}
}

// TestBucketPolicy: it counts for everybody, and its Deny binds all but root.
func TestBucketPolicy(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.user("alice", "readwrite")
	w.user("bob")
	doc := []byte(`{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::pub/*"},
		{"Effect":"Allow","Principal":{"AWS":["arn:aws:iam:::user/bob"]},"Action":"s3:PutObject","Resource":"arn:aws:s3:::pub/*"},
		{"Effect":"Deny","Principal":"*","Action":"s3:DeleteObject","Resource":"arn:aws:s3:::pub/*"}]}`)
	if _, err := w.CheckBucketPolicy(doc, "pub"); err != nil {
		t.Fatal(err)
	}
	_, err := w.CheckBucketPolicy([]byte(strings.ReplaceAll(string(doc), "user/bob", "user/carol")), "pub")
	if !errors.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "carol, who does not exist") {
		t.Errorf("an unknown principal: %v", err)
	}
	_, err = w.store.CreateBucket(ctx, "pub", object.BucketConfig{Policy: doc})
	must(t, err)
	account, _, err := w.CreateAccount(ctx, root, iam.AccountSpec{Parent: rootName})
	must(t, err)
	for _, tt := range []struct {
		key    iam.AccessKeyID
		action iam.Action
		want   bool
	}{
		{"", "s3:GetObject", true},
		{"", "s3:PutObject", false},
		{"", "s3:ListBucket", false},
		{"bob", "s3:GetObject", true},
		{"bob", "s3:PutObject", true},
		{"bob", "s3:DeleteObject", false},
		{"alice", "s3:PutObject", true},
		{"alice", "s3:DeleteObject", false},
		{account.AccessKey, "s3:PutObject", true},
		{account.AccessKey, "s3:DeleteObject", false},
		{rootName, "s3:DeleteObject", true},
	} {
		var p iam.Principal
		if tt.key != "" {
			p = w.actor(tt.key, "").Principal
		}
		if got := w.allowed(p, tt.action, "pub/k"); got != tt.want {
			t.Errorf("%q %s: %v, want %v", tt.key, tt.action, got, tt.want)
		}
	}
	_, err = w.store.UpdateBucket(ctx, "pub", func(c *object.BucketConfig) error { c.Policy = []byte(`{"broken`); return nil })
	must(t, err)
	if w.allowed(alice, "s3:PutObject", "pub/k") || !w.allowed(root.Principal, "s3:PutObject", "pub/k") {
		t.Error("a bucket policy that cannot be read must stop all but root")
	}
}

// TestImport: all or nothing, and neither root nor the importer himself.
func TestImport(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.user("admin", "consoleAdmin")
	good := func() iam.Export {
		return iam.Export{
			Policies: map[iam.PolicyName]json.RawMessage{"p": statement("Allow", "s3:GetObject", "b/*"), "readonly": iam.BuiltinPolicies()["readonly"].Document()},
			Users:    map[iam.UserName]iam.ExportUser{"carol": {Secret: "carol-secret", Enabled: true, Policies: []iam.PolicyName{"p"}}},
			Groups:   map[iam.GroupName]iam.ExportGroup{"g": {Members: []iam.UserName{"carol"}, Enabled: true, Policies: []iam.PolicyName{"readwrite"}}},
			Accounts: map[iam.AccessKeyID]iam.ExportAccount{"carolkey": {Parent: "carol", Secret: "carolkey-secret", Enabled: true, Policy: []byte("null")}},
		}
	}
	before := w.Export()
	bad := map[string]func(*iam.Export){
		"policy": func(e *iam.Export) { e.Policies["q"] = []byte(`{"Statement":[{}]}`) },
		"unknown policy": func(e *iam.Export) {
			e.Users["dave"] = iam.ExportUser{Secret: "dave-secret", Policies: []iam.PolicyName{"x"}}
		},
		"short secret":   func(e *iam.Export) { e.Users["dave"] = iam.ExportUser{Secret: "short"} },
		"unknown member": func(e *iam.Export) { e.Groups["h"] = iam.ExportGroup{Members: []iam.UserName{"nobody"}} },
		"unknown parent": func(e *iam.Export) { e.Accounts["key1"] = iam.ExportAccount{Parent: "nobody", Secret: "long-enough"} },
		"parent is root": func(e *iam.Export) { e.Accounts["key1"] = iam.ExportAccount{Parent: rootName, Secret: "long-enough"} },
		"key of a user":  func(e *iam.Export) { e.Accounts["carol"] = iam.ExportAccount{Parent: "carol", Secret: "long-enough"} },
		"key is root's":  func(e *iam.Export) { e.Accounts[rootName] = iam.ExportAccount{Parent: "carol", Secret: "long-enough"} },
		"name":           func(e *iam.Export) { e.Users["a=b"] = iam.ExportUser{Secret: "long-enough"} },
		"policy of a key": func(e *iam.Export) {
			e.Accounts["key1"] = iam.ExportAccount{Parent: "carol", Secret: "long-enough", Policy: []byte(`{"x":1}`)}
		},
	}
	for name, spoil := range bad {
		e := good()
		spoil(&e)
		if _, err := w.Import(ctx, root, e); err == nil {
			t.Errorf("%s: imported", name)
		}
		if diff := cmp.Diff(before, w.Export()); diff != "" {
			t.Errorf("%s: half an import: %s", name, diff)
		}
	}
	self := good()
	self.Users["admin"] = iam.ExportUser{Secret: "long-enough", Enabled: true}
	if _, err := w.Import(ctx, w.actor("admin", ""), self); !errors.Is(err, fault.Denied) {
		t.Errorf("an importer of himself: %v", err)
	}
	n, err := w.Import(ctx, w.actor("admin", ""), good())
	must(t, err)
	if diff := cmp.Diff(iam.Imported{Users: 1, Groups: 1, Policies: 2, Accounts: 1}, n); diff != "" {
		t.Error(diff)
	}
	if !w.may("carolkey", "", "s3:PutObject", "b/k") {
		t.Error("the imported key may not what its parent may")
	}
	stolen := iam.Export{Accounts: map[iam.AccessKeyID]iam.ExportAccount{"carolkey": {Parent: "admin", Secret: "long-enough", Enabled: true}}}
	if _, err := w.Import(ctx, root, stolen); !errors.Is(err, fault.Conflict) {
		t.Errorf("an import gave a key another parent: %v", err)
	}
	if _, err := w.Import(ctx, root, w.Export()); err != nil {
		t.Errorf("the own export does not import: %v", err)
	}
}

// TestTagConditions: a condition on an object's tags reads the stored tags, and
// a Deny holds where they cannot be read.
func TestTagConditions(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	must(t, w.SetPolicy(ctx, root, "p", []byte(`{"Statement":[
		{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::tagged/*"},
		{"Effect":"Deny","Action":"s3:GetObject","Resource":"arn:aws:s3:::tagged/*","Condition":{"StringEquals":{"s3:ExistingObjectTag/class":"secret"}}}]}`)))
	w.user("alice", "p")
	_, err := w.store.CreateBucket(ctx, "tagged", object.BucketConfig{})
	must(t, err)
	for key, tags := range map[object.Key][]object.Tag{"plain": nil, "public": {{Key: "class", Value: "public"}}, "secret": {{Key: "class", Value: "secret"}}} {
		_, err := w.store.Put(ctx, object.PutRequest{Bucket: "tagged", Key: key, Content: content{strings.NewReader("x")}, Size: 1, Tags: tags})
		must(t, err)
	}
	for key, want := range map[string]bool{"plain": true, "public": true, "absent": true, "secret": false} {
		if got := w.may("alice", "", "s3:GetObject", "tagged/"+key); got != want {
			t.Errorf("%s: %v, want %v", key, got, want)
		}
	}
}

// content is a body without digest.
type content struct{ *strings.Reader }

func (content) Digest() object.Digest { return object.Digest{ETag: "d41d8cd98f00b204e9800998ecf8427e"} }
