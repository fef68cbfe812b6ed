package identity_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/object"
)

// TestNamesake removes a user whom a bucket's policy names: nobody else gets his
// name, and with it his rights, until the policy is changed.
func TestNamesake(t *testing.T) {
	w := newWorld(t)
	w.user("alice")
	policy := []byte(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":["arn:aws:iam:::user/alice"]},"Action":"s3:*","Resource":["arn:aws:s3:::box","arn:aws:s3:::box/*"]}]}`)
	_, err := w.store.CreateBucket(t.Context(), "box", object.BucketConfig{Policy: policy})
	must(t, err)
	secret := iam.Secret("another-secret")
	create := func(by iam.Actor) error { return w.SetUser(t.Context(), by, "alice", iam.UserChange{Secret: &secret}) }
	must(t, create(root)) // to change one is no matter
	must(t, w.RemoveUser(t.Context(), root, "alice"))

	err = create(root)
	if !errors.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "bucket box") {
		t.Errorf("make a namesake: %v", err)
	}
	if _, err := w.User("alice"); !errors.Is(err, fault.NotFound) {
		t.Errorf("the namesake exists: %v", err)
	}
	export := iam.Export{Users: map[iam.UserName]iam.ExportUser{"alice": {Secret: secret, Enabled: true}}}
	w.user("helper", "consoleAdmin")
	helper := iam.Actor{Principal: iam.Principal{Kind: iam.User, User: "helper", AccessKey: "helper"}}
	if _, err := w.Import(t.Context(), helper, export); !errors.Is(err, fault.Conflict) {
		t.Errorf("import a namesake: %v", err)
	}
	w.user("bob") // another name is free

	_, err = w.store.UpdateBucket(t.Context(), "box", func(c *object.BucketConfig) error { c.Policy = nil; return nil })
	must(t, err)
	must(t, create(helper))
	must(t, w.RemoveUser(t.Context(), root, "alice"))
	_, err = w.store.UpdateBucket(t.Context(), "box", func(c *object.BucketConfig) error { c.Policy = policy; return nil })
	must(t, err)
	if _, err := w.Import(t.Context(), root, export); err != nil {
		t.Errorf("root brings the same user back: %v", err)
	}
}
