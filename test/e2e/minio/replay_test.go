package minio_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/larder-cache/larder/test/e2e/harness"
)

// call is one recorded request and what its client went on to rely on.
type call struct {
	method string
	at     string // path and query; A/ stands for the admin API
	body   string
	sealed bool   // the body is sent in an envelope
	status int    // 0 wants 200
	opens  bool   // the answer comes in an envelope
	answer string // a regular expression
}

const policy = `{"Version":"2012-10-17","Statement":[{"Sid":"","Effect":"Allow","Action":["s3:GetBucketLocation","s3:ListBucket"],"Resource":["arn:aws:s3:::sccache"]},{"Sid":"","Effect":"Allow","Action":["s3:DeleteObject","s3:GetObject","s3:PutObject"],"Resource":["arn:aws:s3:::sccache/*"]}]}`

// apply, plan and destroy are what provider 3.12.0 sends for the user's four
// resources.
func apply() []call {
	return []call{
		{method: "GET", at: "/sccache/?location=", status: 404, answer: `<Code>NoSuchBucket</Code>`},
		{method: "PUT", at: "/sccache/"},
		{method: "DELETE", at: "/sccache/?policy=", status: 204},
		{method: "DELETE", at: "/sccache/?policy=", status: 204},
		{method: "HEAD", at: "/sccache/"},
		{method: "HEAD", at: "/sccache/"},
		{method: "PUT", at: "A/add-canned-policy?name=read-write-sccache", body: policy, answer: `^$`},
		{method: "GET", at: "A/info-canned-policy?name=read-write-sccache", answer: `^\{"Version":"2012-10-17","Statement":`},
		{method: "PUT", at: "A/add-user?accessKey=sccache", body: `{"secretKey":"sccache123","status":"enabled"}`, sealed: true, answer: `^$`},
		{method: "GET", at: "A/user-info?accessKey=sccache", answer: `"status":"enabled"`},
		{method: "PUT", at: "A/set-user-or-group-policy?isGroup=false&policyName=read-write-sccache&userOrGroup=sccache"},
		{method: "GET", at: "A/user-info?accessKey=sccache", answer: `"policyName":"read-write-sccache".*"status":"enabled"|"status":"enabled".*"policyName":"read-write-sccache"`},
	}
}

func plan() []call {
	return []call{
		{method: "GET", at: "/sccache/?location=", answer: `<LocationConstraint[^>]*(/>|></LocationConstraint>)`},
		{method: "HEAD", at: "/sccache/"},
		{method: "GET", at: "A/info-canned-policy?name=read-write-sccache", answer: `s3:DeleteObject`},
		{method: "GET", at: "A/user-info?accessKey=sccache", answer: `"policyName":"read-write-sccache"`},
	}
}

func destroy() []call {
	return append(plan(),
		call{method: "GET", at: "/sccache/?delimiter=&encoding-type=url&fetch-owner=true&list-type=2&max-keys=1&prefix=", answer: `<KeyCount>0</KeyCount>`},
		call{method: "DELETE", at: "/sccache/", status: 204},
		call{method: "PUT", at: "A/set-user-or-group-policy?isGroup=false&policyName=&userOrGroup=sccache"},
		call{method: "DELETE", at: "A/remove-canned-policy?name=read-write-sccache"},
		call{method: "DELETE", at: "A/remove-user?accessKey=sccache"},
		call{method: "GET", at: "A/user-info?accessKey=sccache", status: 404, answer: `"Code":"XMinioAdminNoSuchUser"`},
		call{method: "GET", at: "A/info-canned-policy?name=read-write-sccache", status: 404, answer: `"Code":"XMinioAdminNoSuchPolicy"`},
	)
}

// newer are calls of later providers and of mc.
func newer() []call {
	return []call{
		{method: "GET", at: "A/info?metrics=false&no-cache=false", answer: `"deploymentID":"[^"]+"`},
		{method: "PUT", at: "/later/"},
		{method: "GET", at: "/later/?tagging=", status: 404, answer: `NoSuchTagSet`},
		{method: "GET", at: "/later/?versions=&max-keys=1", answer: `<ListVersionsResult`},
		{method: "PUT", at: "A/add-canned-policy?name=later", body: policy},
		{method: "GET", at: "A/info-canned-policy?name=later&v=2", answer: `"PolicyName":"later".*"Policy":\{`},
		{method: "GET", at: "A/list-canned-policies", answer: `"consoleAdmin":.*"diagnostics":.*"later":.*"readonly":.*"readwrite":.*"writeonly":`},
		{method: "PUT", at: "A/add-user?accessKey=later", body: `{"secretKey":"later-secret","status":"enabled"}`, sealed: true},
		{method: "POST", at: "A/idp/builtin/policy/attach", body: `{"policies":["later"],"user":"later"}`, sealed: true, opens: true, answer: `"policiesAttached":\["later"\]`},
		{method: "POST", at: "A/idp/builtin/policy/attach", body: `{"policies":["later"],"user":"later"}`, sealed: true, status: 400, answer: `"Code":"XMinioAdminPolicyChangeAlreadyApplied"`},
		{method: "GET", at: "A/idp/builtin/policy-entities?user=later", opens: true, answer: `"userMappings":\[\{.*"later"`},
		{method: "DELETE", at: "A/remove-canned-policy?name=later", status: 400, answer: `"Code":"XMinioIAMPolicyInUse"`},
		{method: "GET", at: "A/list-users", opens: true, answer: `"later":\{`},
		{method: "PUT", at: "A/update-group-members", body: `{"group":"cooks","members":["later"],"groupStatus":"","isRemove":false}`},
		{method: "GET", at: "A/group?group=cooks", answer: `"members":\["later"\]`},
		{method: "GET", at: "A/groups", answer: `^\["cooks"\]`},
		{method: "PUT", at: "A/set-group-status?group=cooks&status=disabled"},
		{method: "GET", at: "A/group?group=cooks", answer: `"status":"disabled"`},
		{method: "PUT", at: "A/add-service-account", body: `{"targetUser":"later","accessKey":"laterkey1","secretKey":"laterkey-secret","name":"n"}`, sealed: true, opens: true, answer: `"credentials":\{.*"accessKey":"laterkey1"`},
		{method: "GET", at: "A/info-service-account?accessKey=laterkey1", opens: true, answer: `"parentUser":"later"`},
		{method: "GET", at: "A/list-service-accounts?user=later", opens: true, answer: `"accounts":\[`},
		{method: "POST", at: "A/update-service-account?accessKey=laterkey1", body: `{"newStatus":"off"}`, sealed: true, status: 204},
		{method: "GET", at: "A/info-service-account?accessKey=laterkey1", opens: true, answer: `"accountStatus":"off"`},
		{method: "GET", at: "A/list-access-keys-bulk?all=true&listType=all", opens: true, answer: `laterkey1`},
		{method: "DELETE", at: "A/delete-service-account?accessKey=laterkey1", status: 204},
		{method: "GET", at: "A/info-service-account?accessKey=laterkey1", status: 404, answer: `"Code":"XMinioInvalidIAMCredentials"`},
		{method: "PUT", at: "A/set-bucket-quota?bucket=later", body: `{"quota":1000000,"quotatype":"hard"}`},
		{method: "GET", at: "A/get-bucket-quota?bucket=later", answer: `1000000`},
		{method: "PUT", at: "A/set-bucket-quota?bucket=later", body: `{"size":2000000,"quotatype":"hard"}`},
		{method: "GET", at: "A/get-bucket-quota?bucket=later", answer: `2000000`},
		{method: "GET", at: "A/datausageinfo?capacity=true", answer: `^\{`},
		{method: "GET", at: "A/accountinfo?prefix-usage=false", answer: `.`},
		{method: "GET", at: "A/get-config-kv?key=region", opens: true, answer: `^region `},
		{method: "POST", at: "A/idp/builtin/policy/detach", body: `{"policies":["later"],"user":"later"}`, sealed: true, opens: true, answer: `"policiesDetached":\["later"\]`},
		{method: "PUT", at: "A/update-group-members", body: `{"group":"cooks","members":["later"],"groupStatus":"","isRemove":true}`},
		{method: "PUT", at: "A/update-group-members", body: `{"group":"cooks","members":[],"groupStatus":"","isRemove":true}`},
		{method: "DELETE", at: "A/remove-user?accessKey=later"},
		{method: "DELETE", at: "A/remove-canned-policy?name=later"},
		{method: "DELETE", at: "A/remove-canned-policy?name=later"}, // an absent policy
		{method: "DELETE", at: "/later/", status: 204},
		{method: "GET", at: "A/user-info?accessKey=minio", status: 404, answer: `XMinioAdminNoSuchUser`}, // the root user
		{method: "GET", at: "A/group?group=absent", status: 404, answer: `XMinioAdminNoSuchGroup`},
		{method: "PUT", at: "A/add-user?accessKey=ab", body: `{"secretKey":"long-enough","status":"enabled"}`, sealed: true, status: 400, answer: `XMinioAdminInvalidAccessKey`},
		{method: "GET", at: "A/idp/ldap/policy-entities", status: 501, answer: `NotImplemented`},
		{method: "GET", at: "A/site-replication/info", status: 501, answer: `NotImplemented`},
		{method: "GET", at: "A/tier", status: 501, answer: `NotImplemented`},
		{method: "GET", at: "A/no-such-route", status: 426, answer: `XMinioAdminVersionMismatch`},
	}
}

// TestReplay sends what MinIO's clients were seen to send, in their order, byte for
// byte where it matters: signature, envelope, queries.
func TestReplay(t *testing.T) {
	for _, o := range []harness.Options{{}, {CA: harness.NewAuthority(t)}} {
		s := harness.NewRootServer(t, o)
		scheme, _, _ := strings.Cut(s.URL(), ":")
		for i, admin := range []string{"/minio/admin/v3/", "/minio/admin/v4/"} {
			t.Run(scheme+admin, func(t *testing.T) {
				algorithm := []byte{argonAES, pbkdf2AES}[i]
				if o.CA != nil {
					algorithm = argonChaCha
				}
				for _, c := range slices.Concat(apply(), plan(), plan(), destroy(), newer()) {
					replay(t, s, c, admin, algorithm)
				}
			})
		}
	}
}

func replay(t *testing.T, s *harness.Server, c call, admin string, algorithm byte) {
	t.Helper()
	body := []byte(c.body)
	if c.sealed {
		body = seal(t, algorithm, harness.RootPassword, body)
	}
	path, isAdmin := strings.CutPrefix(c.at, "A/")
	if isAdmin {
		path = admin + path
	}
	want := max(c.status, http.StatusOK)
	status, answer := signed(t, s, c.method, path, body, isAdmin)
	if status != want {
		t.Errorf("%s %s: %d %s, want %d", c.method, path, status, answer, want)
		return
	}
	if c.opens && status < 300 {
		answer = unseal(t, harness.RootPassword, answer)
	}
	var compact bytes.Buffer
	if json.Compact(&compact, answer) == nil {
		answer = compact.Bytes()
	}
	if c.answer != "" && !regexp.MustCompile(`(?s)`+c.answer).Match(bytes.TrimSpace(answer)) {
		t.Errorf("%s %s: answered %s, want %s", c.method, path, answer, c.answer)
	}
	if isAdmin && status >= http.StatusBadRequest && !json.Valid(answer) {
		t.Errorf("%s %s: the error is no JSON: %s", c.method, path, answer)
	}
}

// signed sends a request as root: with an empty region to the admin API, with an
// unsigned payload to S3.
func signed(t *testing.T, s *harness.Server, method, path string, body []byte, admin bool) (int, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.URL()+path, bytes.NewReader(body))
	ok(t, err)
	sum := sha256.Sum256(body)
	hash, region := hex.EncodeToString(sum[:]), ""
	if !admin {
		hash, region = "UNSIGNED-PAYLOAD", "us-east-1"
	}
	req.Header.Set("X-Amz-Content-Sha256", hash)
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	ok(t, signer.SignHTTP(t.Context(), aws.Credentials{AccessKeyID: harness.RootUser, SecretAccessKey: harness.RootPassword}, req, hash, "s3", region, time.Now()))
	if got := req.Header.Get("Authorization"); admin && !strings.Contains(got, "//s3/aws4_request") {
		t.Fatalf("the signer put a region in: %s", got)
	}
	res, err := s.HTTPClient().Do(req)
	ok(t, err)
	text, err := io.ReadAll(res.Body)
	ok(t, errors.Join(err, res.Body.Close()))
	return res.StatusCode, text
}

// TestRefusals sends what must not pass, to the admin API.
func TestRefusals(t *testing.T) {
	s := harness.NewRootServer(t, harness.Options{})
	send := func(change func(*http.Request)) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL()+"/minio/admin/v3/list-users", nil)
		ok(t, err)
		change(req)
		res, err := s.HTTPClient().Do(req)
		ok(t, err)
		text, err := io.ReadAll(res.Body)
		ok(t, errors.Join(err, res.Body.Close()))
		return res.StatusCode, string(text)
	}
	sign := func(key, secret string, at time.Time) func(*http.Request) {
		return func(req *http.Request) {
			const empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
			req.Header.Set("X-Amz-Content-Sha256", empty)
			ok(t, v4.NewSigner().SignHTTP(t.Context(), aws.Credentials{AccessKeyID: key, SecretAccessKey: secret}, req, empty, "s3", "", at))
		}
	}
	now := time.Now()
	for name, c := range map[string]struct {
		change func(*http.Request)
		code   string
	}{
		"unsigned":     {func(*http.Request) {}, "AccessDenied"},
		"wrong secret": {sign(harness.RootUser, "wrong-secret", now), "SignatureDoesNotMatch"},
		"unknown key":  {sign("nobody-here", "wrong-secret", now), "InvalidAccessKeyId"},
		"old":          {sign(harness.RootUser, harness.RootPassword, now.Add(-16*time.Minute)), "RequestTimeTooSkewed"},
	} {
		if status, text := send(c.change); status != 403 || !strings.Contains(text, fmt.Sprintf("%q:%q", "Code", c.code)) {
			t.Errorf("%s: %d %s, want 403 %s", name, status, text, c.code)
		}
	}
}
