package app_test

import (
	"strings"
	"testing"

	"github.com/larder-cache/larder/internal/adminclient"
	"github.com/larder-cache/larder/internal/app"
	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/protocol/sigv4"
)

// TestResetRoot makes a new root secret for a stopped server: the old one is of no
// use, what else there was stays, and the trail says so.
func TestResetRoot(t *testing.T) {
	dir := t.TempDir()
	running := start(t, dir, false, nil, nil)
	before, user := running.root(), running.user()
	if _, err := app.ResetRootStopped(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "stop it first") {
		t.Fatalf("a running server: %v", err)
	}
	if status, body := running.do(before, "GET", "/", ""); status != 200 {
		t.Fatalf("the secret of a running server changed: %d %s", status, body)
	}
	if err := running.stop(); err != nil {
		t.Fatal(err)
	}

	made, err := app.ResetRootStopped(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	after := sigv4.Key{ID: iam.AccessKeyID(made.User), Secret: made.Secret}
	again := start(t, dir, false, nil, nil)
	for _, tt := range []struct {
		name string
		key  sigv4.Key
		path string
		want int
	}{
		{"the old secret", before, "/", 403}, {"the new secret", after, "/", 200}, {"a user", user, "/sccache/absent", 404},
	} {
		if status, body := again.do(tt.key, "GET", tt.path, ""); status != tt.want {
			t.Errorf("%s: %d %s", tt.name, status, body)
		}
	}
	endpoint, err := adminclient.ParseEndpoint("http://" + again.address)
	if err != nil {
		t.Fatal(err)
	}
	client, err := adminclient.New(adminclient.Target{Endpoint: endpoint, Key: after})
	if err != nil {
		t.Fatal(err)
	}
	records, err := client.Audit(t.Context(), 1)
	if err != nil || len(records) != 1 || records[0].Action != "root.reset" || records[0].Kind != "server" {
		t.Errorf("the trail ends with %+v, %v", records, err)
	}
}
