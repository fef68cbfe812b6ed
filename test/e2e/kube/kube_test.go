// Package kube_test gets keys for ServiceAccounts of a real Kubernetes API server.
package kube_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/larder-cache/larder/test/e2e/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

const (
	readPolicy  = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:GetObject"],"Resource":["arn:aws:s3:::sccache/*"]}]}`
	writePolicy = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:GetObject","s3:PutObject"],"Resource":["arn:aws:s3:::sccache/*"]}]}`
)

// rules are those of docs/ci.md.
const rules = "kubernetes.io.namespace=release -> ci-write\nkubernetes.io.namespace=ci-* -> ci-read"

// newServer is a server with a bucket sccache that trusts the cluster, as far as
// env says how.
func newServer(t *testing.T, k *harness.Kube, env ...string) *harness.Server {
	t.Helper()
	s := harness.NewRootServer(t, harness.Options{CA: harness.NewAuthority(t), Env: append(env,
		"LARDER_IDENTITY_OPENID_ISSUER_K8S="+k.Issuer, "LARDER_IDENTITY_OPENID_RULES_K8S="+rules)})
	root := client(s, keys{harness.RootUser, harness.RootPassword, ""})
	_, err := root.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("sccache")})
	ok(t, err)
	_, err = root.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("sccache"), Key: aws.String("x"), Body: strings.NewReader("x")})
	ok(t, err)
	for name, policy := range map[string]string{"ci-read": readPolicy, "ci-write": writePolicy} {
		larder := admin(t, s)
		larder.Run("admin", "policy", "set", name, larder.File("policy.json", []byte(policy)))
	}
	return s
}

// admin is the larder program with root's key.
func admin(t *testing.T, s *harness.Server) *harness.Program {
	t.Helper()
	env := s.AWSEnv(harness.RootUser, harness.RootPassword)
	env["LARDER_ENDPOINT"] = s.URL()
	return harness.NewLarder(t, env)
}

// discovery is how a server reaches the cluster's keys, with the token of a
// ServiceAccount as pods have it.
func discovery(t *testing.T, k *harness.Kube) (env []string, tokenFile string) {
	t.Helper()
	tokenFile = filepath.Join(t.TempDir(), "token")
	return []string{
		"LARDER_IDENTITY_OPENID_CONFIG_URL_K8S=" + k.URL + "/.well-known/openid-configuration",
		"LARDER_IDENTITY_OPENID_CA_FILE_K8S=" + k.CA.File,
		"LARDER_IDENTITY_OPENID_TOKEN_FILE_K8S=" + tokenFile,
	}, tokenFile
}

type keys struct{ id, secret, token string }

func client(s *harness.Server, k keys) *s3.Client {
	return s3.New(s3.Options{
		BaseEndpoint: aws.String(s.URL()), Region: "us-east-1", UsePathStyle: true, HTTPClient: s.HTTPClient(), RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(k.id, k.secret, k.token),
	})
}

// rights says what keys may do in the bucket: "", "read" or "read write".
func rights(t *testing.T, s *harness.Server, k keys) string {
	t.Helper()
	var can []string
	if _, err := client(s, k).GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("sccache"), Key: aws.String("x")}); err == nil {
		can = append(can, "read")
	}
	if _, err := client(s, k).PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("sccache"), Key: aws.String("y"), Body: strings.NewReader("y")}); err == nil {
		can = append(can, "write")
	}
	return strings.Join(can, " ")
}

// ways are the two to exchange a token. Each returns keys, or the answer's text.
var ways = map[string]func(t *testing.T, s *harness.Server, token string) (keys, string){
	"AssumeRoleWithWebIdentity": func(t *testing.T, s *harness.Server, token string) (keys, string) {
		t.Helper()
		form := url.Values{
			"Action": {"AssumeRoleWithWebIdentity"}, "Version": {"2011-06-15"}, "RoleSessionName": {"pod"},
			"RoleArn": {"arn:aws:iam::000000000000:role/any"}, "WebIdentityToken": {token},
		}
		text := send(t, s, http.MethodPost, "/", form.Encode(), "Content-Type", "application/x-www-form-urlencoded")
		return keys{between(text, "AccessKeyId"), between(text, "SecretAccessKey"), between(text, "SessionToken")}, text
	},
	"container credentials": func(t *testing.T, s *harness.Server, token string) (keys, string) {
		t.Helper()
		text := send(t, s, http.MethodGet, "/larder/v1/credentials", "", "Authorization", token)
		var got struct {
			AccessKeyID     string `json:"AccessKeyId"`
			SecretAccessKey string
			Token           string
		}
		ok(t, json.Unmarshal([]byte(text), &got))
		return keys{got.AccessKeyID, got.SecretAccessKey, got.Token}, text
	},
}

func send(t *testing.T, s *harness.Server, method, path, body, header, value string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.URL()+path, strings.NewReader(body))
	ok(t, err)
	req.Header.Set(header, value)
	res, err := s.HTTPClient().Do(req)
	ok(t, err)
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	ok(t, err)
	return string(text)
}

// between is the text of the XML element called name.
func between(text, name string) string {
	_, rest, _ := strings.Cut(text, "<"+name+">")
	value, _, _ := strings.Cut(rest, "</"+name+">")
	return value
}

// TestServiceAccounts: a pod's token becomes keys with the rights of its namespace,
// by discovery and with the cluster's keys in a file; another audience's does not.
func TestServiceAccounts(t *testing.T) {
	k := harness.NewKube(t)
	k.ServiceAccount("larder-system", "larder")
	for _, namespace := range []string{"ci-1", "release", "default"} {
		k.ServiceAccount(namespace, "builder")
	}
	discovered, tokenFile := discovery(t, k)
	ok(t, os.WriteFile(tokenFile, []byte(k.Token("larder-system", "larder")), 0o600))
	jwks := filepath.Join(t.TempDir(), "jwks.json")
	ok(t, os.WriteFile(jwks, k.Do(http.MethodGet, "/openid/v1/jwks", nil), 0o600))
	for name, env := range map[string][]string{"discovered": discovered, "keys in a file": {"LARDER_IDENTITY_OPENID_JWKS_FILE_K8S=" + jwks}} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, k, env...)
			for way, exchange := range ways {
				for _, tt := range []struct{ what, token, code, want string }{
					{"a build", k.Token("ci-1", "builder", "larder"), "", "read"},
					{"a release", k.Token("release", "builder", "larder"), "", "read write"},
					{"of several audiences", k.Token("release", "builder", "vault", "larder"), "", "read write"},
					{"another namespace", k.Token("default", "builder", "larder"), "IDPRejectedClaim", ""},
					{"for the API server", k.Token("release", "builder"), "InvalidIdentityToken", ""},
					{"for others", k.Token("release", "builder", "vault"), "InvalidIdentityToken", ""},
				} {
					got, text := exchange(t, s, tt.token)
					if !strings.Contains(text, tt.code) || (got.id == "") != (tt.code != "") {
						t.Errorf("%s, %s: %s", way, tt.what, text)
					}
					if can := rights(t, s, got); can != tt.want {
						t.Errorf("%s, %s: may %q, want %q", way, tt.what, can, tt.want)
					}
				}
			}
		})
	}
}

// TestDiscoveryNeedsAToken: the API server lets nobody discover who is nobody. A
// server whose bearer token it does not know gives no keys, says why, and takes
// the token that is put into the file later.
func TestDiscoveryNeedsAToken(t *testing.T) {
	k := harness.NewKube(t)
	k.ServiceAccount("larder-system", "larder")
	k.ServiceAccount("release", "builder")
	if status, answer := k.AskAs("", http.MethodGet, "/openid/v1/jwks", nil); status != http.StatusForbidden && status != http.StatusUnauthorized {
		t.Fatalf("the API server shows its keys to anybody: %d %s", status, answer)
	}
	env, tokenFile := discovery(t, k)
	ok(t, os.WriteFile(tokenFile, []byte("not a token"), 0o600))
	s := newServer(t, k, env...)
	token := k.Token("release", "builder", "larder")
	for way, exchange := range ways {
		if got, text := exchange(t, s, token); got.id != "" || !strings.Contains(text, "IDPCommunicationError") {
			t.Errorf("%s: %s", way, text)
		}
	}
	ok(t, os.WriteFile(tokenFile, []byte(k.Token("larder-system", "larder")), 0o600))
	harness.Await(t, "keys with the new bearer token", time.Minute, func() bool {
		got, _ := ways["container credentials"](t, s, token)
		return got.id != ""
	})
}

// TestDeletedServiceAccount: tokens are verified by their signatures, as any
// issuer's, so one of a deleted ServiceAccount is good until it expires. Whoever
// must be out at once is disabled.
func TestDeletedServiceAccount(t *testing.T) {
	k := harness.NewKube(t)
	k.ServiceAccount("larder-system", "larder")
	k.ServiceAccount("release", "builder")
	env, tokenFile := discovery(t, k)
	ok(t, os.WriteFile(tokenFile, []byte(k.Token("larder-system", "larder")), 0o600))
	s := newServer(t, k, env...)
	token, own := k.Token("release", "builder", "larder"), k.Token("release", "builder")
	exchange := ways["container credentials"]
	before, _ := exchange(t, s, token)
	k.Do(http.MethodDelete, "/api/v1/namespaces/release/serviceaccounts/builder", nil)
	if status, answer := k.AskAs(own, http.MethodGet, "/api", nil); status != http.StatusUnauthorized {
		t.Errorf("the API server takes the token of a deleted ServiceAccount: %d %s", status, answer)
	}
	after, text := exchange(t, s, token)
	if got := rights(t, s, before) + ", " + rights(t, s, after); got != "read write, read write" {
		t.Errorf("before its token expired: %s, %s", got, text)
	}
	admin(t, s).Run("admin", "user", "disable", k.Issuer+"=system:serviceaccount:release:builder")
	if got := rights(t, s, before) + rights(t, s, after); got != "" {
		t.Errorf("disabled, its sessions may %q", got)
	}
	if got, text := exchange(t, s, token); got.id != "" || !strings.Contains(text, "InvalidIdentityToken") {
		t.Errorf("disabled, it logs in: %s", text)
	}
}
