// Package vault_test keeps the server's secrets with a real OpenBao: the sealing
// key wrapped by its Transit engine, and the root secret rendered by its agent.
package vault_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
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

// policy is what docs/vault.md lets the server do, and the agent for it.
const policy = `
path "transit/encrypt/larder" { capabilities = ["update"] }
path "transit/decrypt/larder" { capabilities = ["update"] }
path "secret/data/larder/root" { capabilities = ["read"] }
`

// newTransit is an OpenBao with the Transit key larder, made as key says, and the
// settings of a server that uses it.
func newTransit(t *testing.T, key ...string) (bao *harness.Bao, args []string) {
	t.Helper()
	bao = harness.NewBao(t)
	bao.Run("secrets", "enable", "transit")
	bao.Run(append([]string{"write", "-f", "transit/keys/larder"}, key...)...)
	bao.Run("policy", "write", "larder", bao.File("larder.hcl", []byte(policy)))
	token := strings.TrimSpace(bao.Run("token", "create", "-policy=larder", "-field=token"))
	return bao, []string{"--vault-address", bao.URL, "--vault-key", "larder", "--vault-token-file", bao.File("token", []byte(token+"\n"))}
}

// sealFile is what DIR/seal.key holds.
func sealFile(t *testing.T, s *harness.Server) (text, wrapped string) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(s.Dir, "seal.key"))
	ok(t, err)
	var f struct{ Wrapped string }
	ok(t, json.Unmarshal(content, &f))
	return string(content), f.Wrapped
}

// refused starts the server, which must end by itself, and returns what it says.
func refused(t *testing.T, dir string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, harness.Binary(t), append([]string{"serve", dir, "--address", "127.0.0.1:0", "--console-address", "127.0.0.1:0", "--reserve", "64MiB"}, args...)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}
	out, err := cmd.CombinedOutput()
	if err == nil || ctx.Err() != nil {
		t.Fatalf("the server should have refused to start: %v\n%s", err, out)
	}
	return string(out)
}

func wants(t *testing.T, text string, all ...string) {
	t.Helper()
	for _, want := range all {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in:\n%s", want, text)
		}
	}
}

// TestTransit takes a server through the life of its wrapped key, for each kind of
// Transit key that seals.
func TestTransit(t *testing.T) {
	for name, key := range map[string][]string{"plain": nil, "derived": {"derived=true"}, "chacha": {"type=chacha20-poly1305"}} {
		t.Run(name, func(t *testing.T) { life(t, key) })
	}
}

// life ends with a sealed OpenBao. The user of the first start is the witness that
// identities are still read.
func life(t *testing.T, key []string) {
	t.Helper()
	bao, args := newTransit(t, key...)
	s := harness.NewServer(t, harness.Options{Args: args})
	witness := s.SccacheEnv(harness.ServerAddr, "path")
	use := func(when string) {
		t.Helper()
		if _, err := client(s, witness["AWS_ACCESS_KEY_ID"], witness["AWS_SECRET_ACCESS_KEY"]).PutObject(t.Context(), &s3.PutObjectInput{
			Bucket: aws.String("sccache"), Key: aws.String("k"), Body: strings.NewReader("x"),
		}); err != nil {
			t.Errorf("%s: %v", when, err)
		}
	}
	use("after the first start")
	first, wrapped := sealFile(t, s)
	if !strings.HasPrefix(wrapped, "vault:v1:") || strings.Contains(first, `"key"`) {
		t.Fatalf("the key is not wrapped: %s", first)
	}

	bao.Run("write", "-f", "transit/keys/larder/rotate")
	s.Stop()
	s.Start()
	use("after the Transit key's rotation")
	second, wrapped := sealFile(t, s)
	if !strings.HasPrefix(wrapped, "vault:v2:") {
		t.Fatalf("the key was not wrapped again: %s", second)
	}
	s.Stop()

	bao.Run("write", "transit/keys/larder/config", "min_decryption_version=2")
	file := filepath.Join(s.Dir, "seal.key")
	ok(t, os.WriteFile(file, []byte(first), 0o600))
	wants(t, refused(t, s.Dir, args...), "unwrap with key larder", bao.URL)
	for old, other := range map[string]string{`"generation": 1`: `"generation": 2`, `"deployment": "`: `"deployment": "A`} {
		ok(t, os.WriteFile(file, []byte(strings.Replace(second, old, other, 1)), 0o600))
		wants(t, refused(t, s.Dir, args...), "unwrap with key larder", "message authentication failed")
	}
	ok(t, os.WriteFile(file, []byte(second), 0o600))
	wants(t, refused(t, s.Dir), "is wrapped by key larder of the Transit engine transit at "+bao.URL)

	bao.Run("operator", "seal")
	wants(t, refused(t, s.Dir, args...), "unwrap with key larder", bao.URL, "sealed")
}

// TestKeyInTheClearIsWrapped: a server that had no Vault gets one.
func TestKeyInTheClearIsWrapped(t *testing.T) {
	plain := harness.NewServer(t, harness.Options{})
	plain.Stop()
	_, args := newTransit(t)
	ctx, cancel := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, harness.Binary(t), append([]string{"serve", plain.Dir, "--address", "127.0.0.1:0", "--console-address", "127.0.0.1:0", "--reserve", "64MiB"}, args...)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	ok(t, cmd.Start())
	harness.Await(t, "a wrapped key", 30*time.Second, func() bool {
		text, wrapped := sealFile(t, plain)
		return strings.HasPrefix(wrapped, "vault:v1:") && !strings.Contains(text, `"key"`)
	})
	cancel()
	_ = cmd.Wait() // it was killed
}

// TestRenderedRoot: the agent of OpenBao renders the root secret; a change in KV
// is in force without a restart.
func TestRenderedRoot(t *testing.T) {
	bao, _ := newTransit(t)
	bao.Run("kv", "put", "secret/larder/root", "password=first-root-secret")
	bao.Run("auth", "enable", "approle")
	bao.Run("write", "auth/approle/role/larder", "token_policies=larder")
	bao.File("role-id", []byte(bao.Run("read", "-field=role_id", "auth/approle/role/larder/role-id")))
	bao.File("secret-id", []byte(bao.Run("write", "-f", "-field=secret_id", "auth/approle/role/larder/secret-id")))
	rendered := filepath.Join(bao.Dir, "root-password")
	config := bao.File("agent.hcl", []byte(`
vault { address = "`+bao.URL+`" }
template_config { static_secret_render_interval = "1s" }
auto_auth {
  method "approle" {
    config = {
      role_id_file_path   = "`+filepath.Join(bao.Dir, "role-id")+`"
      secret_id_file_path = "`+filepath.Join(bao.Dir, "secret-id")+`"
    }
  }
  sink "file" { config = { path = "`+filepath.Join(bao.Dir, "agent-token")+`", mode = 0600 } }
}
template {
  contents    = "{{ with secret \"secret/data/larder/root\" }}{{ .Data.data.password }}{{ end }}"
  destination = "`+rendered+`"
  perms       = 0600
}
`))
	agent := bao.Command("agent", "-config="+config)
	agent.Cancel = func() error { return agent.Process.Signal(os.Interrupt) }
	var log bytes.Buffer
	agent.Stdout, agent.Stderr = &log, &log
	ok(t, agent.Start())
	t.Cleanup(func() {
		_ = agent.Process.Signal(os.Interrupt)
		_ = agent.Wait()
		if t.Failed() {
			t.Logf("the agent's log:\n%s", &log)
		}
	})
	holds := func(want string) func() bool {
		return func() bool { text, err := os.ReadFile(rendered); return err == nil && string(text) == want }
	}
	harness.Await(t, "a rendered root secret", 30*time.Second, holds("first-root-secret"))

	s := harness.NewServer(t, harness.Options{
		Env:  []string{"LARDER_ROOT_USER=minio", "LARDER_ROOT_PASSWORD_FILE=" + rendered},
		Args: []string{"--vault-address", bao.URL, "--vault-key", "larder", "--vault-token-file", filepath.Join(bao.Dir, "agent-token")},
	})
	_, err := client(s, "minio", "first-root-secret").ListBuckets(t.Context(), &s3.ListBucketsInput{})
	ok(t, err)
	bao.Run("kv", "put", "secret/larder/root", "password=second-root-secret")
	harness.Await(t, "the new root secret in force", 60*time.Second, func() bool {
		_, err := client(s, "minio", "second-root-secret").ListBuckets(t.Context(), &s3.ListBucketsInput{})
		return err == nil
	})
	if _, err := client(s, "minio", "first-root-secret").ListBuckets(t.Context(), &s3.ListBucketsInput{}); err == nil {
		t.Error("the old root secret still works")
	}
}

func client(s *harness.Server, key, secret string) *s3.Client {
	return s3.New(s3.Options{
		BaseEndpoint: aws.String(s.URL()), Region: "us-east-1", UsePathStyle: true, HTTPClient: s.HTTPClient(),
		RetryMaxAttempts: 1, Credentials: credentials.NewStaticCredentialsProvider(key, secret, ""),
	})
}
