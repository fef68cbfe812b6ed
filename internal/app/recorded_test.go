package app_test

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-cache/larder/internal/adminclient"
	"github.com/larder-cache/larder/internal/protocol/sigv4"
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
	var archive bytes.Buffer
	files := zip.NewWriter(&archive)
	for name, content := range map[string]string{"box/quota.json": `{"quota":2000,"quotatype":"hard"}`, "box/policy.json": strings.ReplaceAll(policy, "shelf", "box")} {
		file, err := files.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(file, content) // in memory
	}
	if err := files.Close(); err != nil {
		t.Fatal(err)
	}
	if status, body := i.do(root, "PUT", "/box", ""); status != 200 {
		t.Fatal(status, body)
	}
	for _, r := range [][2]string{{"set-bucket-quota?bucket=box", `{"quota":1000,"quotatype":"hard"}`}, {"import-bucket-metadata", archive.String()}} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://"+i.address+"/minio/admin/v3/"+r[0], strings.NewReader(r[1]))
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256([]byte(r[1]))
		sigv4.Sign(req, root, "", "s3", hex.EncodeToString(sum[:]), time.Now())
		if status, body := send(t, http.DefaultTransport, req); status != 200 {
			t.Fatalf("%s: %d %s", r[0], status, body)
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
		"bucket.create bucket box:  → {}",
		`bucket.set bucket box: {} → {"quota":1000}`,
		`bucket.set bucket box: {"quota":1000} → {"quota":2000,"policy":` + strings.ReplaceAll(policy, "shelf", "box") + `}`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
