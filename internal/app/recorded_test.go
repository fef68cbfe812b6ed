package app_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-cache/larder/internal/adminclient"
)

// TestChangesOfBucketsAreRecorded: the audit trail says who changed what of a
// bucket, whichever protocol it was changed by.
func TestChangesOfBucketsAreRecorded(t *testing.T) {
	i := start(t, t.TempDir(), false, nil, nil)
	root := i.root()
	const policy = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::shelf/*"}]}`
	for _, r := range []struct{ method, path, body string }{
		{"PUT", "/shelf", ""}, {"PUT", "/shelf?policy", policy}, {"PUT", "/shelf?policy", policy}, {"DELETE", "/shelf?policy", ""}, {"DELETE", "/shelf", ""}, {"DELETE", "/shelf", ""},
	} {
		if status, body := i.do(root, r.method, r.path, r.body); status >= 400 && status != 404 {
			t.Fatalf("%s %s: %d %s", r.method, r.path, status, body)
		}
	}
	if status, _ := i.do(i.user(), "DELETE", "/sccache", ""); status != 403 {
		t.Errorf("the cache user deletes a bucket: %d", status)
	}
	endpoint, err := adminclient.ParseEndpoint("http://" + i.address)
	if err != nil {
		t.Fatal(err)
	}
	client, err := adminclient.New(adminclient.Target{Endpoint: endpoint, Key: root})
	if err != nil {
		t.Fatal(err)
	}
	records, err := client.Audit(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range records {
		if r.Kind == "server" {
			continue // the first start
		}
		if r.User != "root" || r.From != "127.0.0.1" || r.RequestID == "" {
			t.Errorf("the record does not say who: %+v", r)
		}
		got = append(got, fmt.Sprintf("%s %s: %s → %s", r.Action, r.Target, r.Before, r.After))
	}
	want := []string{
		"bucket.create bucket shelf:  → {}",
		`bucket.set bucket shelf: {} → {"policy":` + policy + `}`,
		`bucket.set bucket shelf: {"policy":` + policy + `} → {}`,
		"bucket.delete bucket shelf: {} → ",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
