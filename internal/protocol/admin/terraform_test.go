package admin_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/protocol/sigv4"
)

// exchange is one recorded request of the Terraform provider aminueza/minio
// 3.12.0, and what it needs to read.
type exchange struct {
	method, path string
	body         string
	sealed       bool
	status       int
	want         []string // that the answer's body contains; none: it is empty
}

const terraformPolicy = `{"Version":"2012-10-17","Statement":[` +
	`{"Effect":"Allow","Action":["s3:GetBucketLocation","s3:ListBucket"],"Resource":["arn:aws:s3:::sccache"]},` +
	`{"Effect":"Allow","Action":["s3:DeleteObject","s3:GetObject","s3:PutObject"],"Resource":["arn:aws:s3:::sccache/*"]}]}`

// The four resources of a sccache set-up: a user, a bucket, a policy, and the
// policy's attachment to the user.
var (
	terraformApply = []exchange{
		{"GET", "/sccache/?location=", "", false, 404, []string{"<Code>NoSuchBucket</Code>"}},
		{"PUT", "/sccache/", "", false, 200, nil},
		{"DELETE", "/sccache/?policy=", "", false, 204, nil},
		{"DELETE", "/sccache/?policy=", "", false, 204, nil},
		{"HEAD", "/sccache/", "", false, 200, nil},
		{"HEAD", "/sccache/", "", false, 200, nil},
		{"PUT", "add-canned-policy?name=read-write-sccache", terraformPolicy, false, 200, nil},
		{"GET", "info-canned-policy?name=read-write-sccache", "", false, 200, []string{`{"Version":"2012-10-17","Statement":[{"Effect":"Allow"`}},
		{"PUT", "add-user?accessKey=sccache", `{"secretKey":"sccache123","status":"enabled"}`, true, 200, nil},
		{"GET", "user-info?accessKey=sccache", "", false, 200, []string{`"status":"enabled"`, `"updatedAt":`}},
		{"GET", "user-info?accessKey=sccache", "", false, 200, []string{`"status":"enabled"`}},
		{"GET", "user-info?accessKey=sccache", "", false, 200, []string{`"status":"enabled"`}},
		{"PUT", "set-user-or-group-policy?isGroup=false&policyName=read-write-sccache&userOrGroup=sccache", "", false, 200, nil},
		{"GET", "user-info?accessKey=sccache", "", false, 200, []string{`"policyName":"read-write-sccache"`}},
	}
	terraformRead = []exchange{
		{"GET", "/sccache/?location=", "", false, 200, []string{"LocationConstraint"}},
		{"HEAD", "/sccache/", "", false, 200, nil},
		{"GET", "info-canned-policy?name=read-write-sccache", "", false, 200, []string{`"Resource":["arn:aws:s3:::sccache/*"]`}},
		{"GET", "user-info?accessKey=sccache", "", false, 200, []string{`"policyName":"read-write-sccache"`}},
		{"GET", "user-info?accessKey=sccache", "", false, 200, []string{`"policyName":"read-write-sccache"`}},
	}
	terraformDestroy = []exchange{
		{"GET", "/sccache/?delimiter=&encoding-type=url&fetch-owner=true&list-type=2&max-keys=1&prefix=", "", false, 200, []string{"<KeyCount>0</KeyCount>"}},
		{"DELETE", "/sccache/", "", false, 204, nil},
		{"PUT", "set-user-or-group-policy?isGroup=false&policyName=&userOrGroup=sccache", "", false, 200, nil},
		{"DELETE", "remove-canned-policy?name=read-write-sccache", "", false, 200, nil},
		{"DELETE", "remove-user?accessKey=sccache", "", false, 200, nil},
		{"GET", "user-info?accessKey=sccache", "", false, 404, []string{`"Code":"XMinioAdminNoSuchUser"`}},
		{"GET", "info-canned-policy?name=read-write-sccache", "", false, 404, []string{`"Code":"XMinioAdminNoSuchPolicy"`}},
		{"GET", "/sccache/?location=", "", false, 404, []string{"<Code>NoSuchBucket</Code>"}},
	}
)

// TestTerraform replays plan, apply, plan and destroy of the provider, as it was
// recorded against MinIO; and the same as newer providers send it, to v4.
func TestTerraform(t *testing.T) {
	for _, version := range []string{"v3", "v4"} {
		t.Run(version, func(t *testing.T) {
			w := newWorld(t)
			w.replay("apply", version, terraformApply)
			w.replay("plan", version, terraformRead)
			w.replay("refresh", version, terraformRead)
			w.replay("destroy", version, terraformDestroy)
		})
	}
}

func (w *world) replay(phase, version string, exchanges []exchange) {
	w.t.Helper()
	for i, e := range exchanges {
		path := e.path
		if !strings.HasPrefix(path, "/") {
			path = "/minio/admin/" + version + "/" + path
		}
		req := w.build(request{e.method, path, e.body, e.sealed, root})
		if strings.HasPrefix(e.path, "/") { // over S3, minio-go signs no payload, even over plain HTTP
			sigv4.Sign(req, root, "us-east-1", "s3", sigv4.UnsignedPayload, time.Now())
		}
		got := w.send(req)
		step := fmt.Sprintf("%s, step %d, %s %s", phase, i+1, e.method, e.path)
		if got.status != e.status {
			w.t.Fatalf("%s: %d %s, want %d", step, got.status, got.body, e.status)
		}
		for _, want := range e.want {
			if !strings.Contains(got.body, want) {
				w.t.Errorf("%s: %s does not contain %s", step, got.body, want)
			}
		}
		if e.want == nil && got.body != "" {
			w.t.Errorf("%s: the body is not empty: %q", step, got.body)
		}
	}
}

// TestNewerTerraform is what providers from 3.27 on send differently.
func TestNewerTerraform(t *testing.T) {
	w := newWorld(t)
	user := w.user("sccache")
	w.policy("rw", terraformPolicy)
	if got := w.must(request{"POST", "/minio/admin/v4/idp/builtin/policy/attach", `{"policies":["rw"],"user":"sccache"}`, true, root}); !strings.HasPrefix(got.body, `{"policiesAttached":["rw"],"updatedAt":"`) {
		t.Errorf("attach: %s", got.body)
	}
	if got := w.do(request{"POST", "/minio/admin/v4/idp/builtin/policy/attach", `{"policies":["rw"],"user":"sccache"}`, true, root}); got.status != 400 || got.code() != "XMinioAdminPolicyChangeAlreadyApplied" {
		t.Errorf("attach again: %d %s", got.status, got.body)
	}
	if got := w.do(request{"DELETE", "remove-canned-policy?name=rw", "", false, root}); got.status != 400 || got.code() != "XMinioIAMPolicyInUse" {
		t.Errorf("remove a policy in use: %d %s", got.status, got.body)
	}
	if got := w.must(request{"GET", "idp/builtin/policy-entities?user=sccache", "", false, root}); !strings.Contains(got.body, `"userMappings":[{"user":"sccache","policies":["rw"]}]`) {
		t.Errorf("entities: %s", got.body)
	}
	if got := w.must(request{"POST", "/minio/admin/v4/idp/builtin/policy/detach", `{"policies":["rw"],"user":"sccache"}`, true, root}); !strings.HasPrefix(got.body, `{"policiesDetached":["rw"],`) {
		t.Errorf("detach: %s", got.body)
	}
	if got := w.must(request{"GET", "info-canned-policy?name=rw&v=2", "", false, root}); !strings.HasPrefix(got.body, `{"PolicyName":"rw","Policy":{"Version":"2012-10-17",`) || !strings.Contains(got.body, `"CreateDate":"`) {
		t.Errorf("second form: %s", got.body)
	}
	w.must(request{"PUT", "set-user-status?accessKey=sccache&status=disabled", "", false, root})
	if got := w.do(request{"GET", "accountinfo", "", false, user}); got.status != 403 || got.code() != "InvalidAccessKeyId" {
		t.Errorf("a disabled user: %d %s", got.status, got.body)
	}
}

// TestUnknownRoutes answers what the clients expect of another version.
func TestUnknownRoutes(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{"nonsense", "", "/minio/admin/v2/info", "/minio/admin/v9/info", "/minio/admin/", "info/", "info/x", "/minio/v2/metrics/other", "idp/builtin/policy/steal"} {
		got := w.do(request{"POST", path, "", false, root})
		if got.status != http.StatusUpgradeRequired || got.code() != "XMinioAdminVersionMismatch" {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
	if got := w.do(request{"POST", "/minio/kms/v1/status", "", false, root}); got.status != 501 {
		t.Errorf("KMS: %d %s", got.status, got.body)
	}
}

// TestBodies is about bodies that are too long or not what was signed.
func TestBodies(t *testing.T) {
	w := newWorld(t)
	big := `{"Version":"2012-10-17","Statement":[` + strings.Repeat(" ", 300<<10) + `]}`
	if got := w.do(request{"PUT", "add-canned-policy?name=big", big, false, root}); got.status != 400 || got.code() != "EntityTooLarge" {
		t.Errorf("a policy of 300 KiB: %d %s", got.status, got.body)
	}
	req := w.build(request{"PUT", "add-canned-policy?name=big", "{}", false, root})
	req.Body = http.NoBody
	req.ContentLength = 0
	if got := w.send(req); got.status < 400 {
		t.Errorf("a body that is not what was signed: %d", got.status)
	}
}
