package vault_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/larder-cache/larder/test/e2e/harness"
)

// page is docs/vault.md with this OpenBao's address in place of the example's.
type page struct {
	t    *testing.T
	bao  *harness.Bao
	text string
	dir  string // where its commands run; "vault" is OpenBao there
}

func readPage(t *testing.T, bao *harness.Bao) *page {
	t.Helper()
	text, err := os.ReadFile("../../../docs/vault.md")
	ok(t, err)
	p := &page{t: t, bao: bao, text: strings.ReplaceAll(string(text), "https://vault.example:8200", bao.URL), dir: t.TempDir()}
	ok(t, os.Symlink(bao.Path, filepath.Join(p.dir, "vault")))
	return p
}

var shell = regexp.MustCompile("(?s)```sh\n(.*?)```")

// block is the page's one block of shell commands that contains what.
func (p *page) block(what string) string {
	p.t.Helper()
	var found []string
	for _, m := range shell.FindAllStringSubmatch(p.text, -1) {
		if strings.Contains(m[1], what) {
			found = append(found, m[1])
		}
	}
	if len(found) != 1 {
		p.t.Fatalf("%d blocks of docs/vault.md hold %q", len(found), what)
	}
	return found[0]
}

// run runs commands of the page with a token.
func (p *page) run(token, commands string) {
	p.t.Helper()
	cmd := exec.CommandContext(p.t.Context(), "sh", "-euc", commands)
	cmd.Dir = p.dir
	cmd.Env = []string{"PATH=" + p.dir + ":" + os.Getenv("PATH"), "HOME=" + p.dir, "BAO_ADDR=" + p.bao.URL, "BAO_TOKEN=" + token}
	if out, err := cmd.CombinedOutput(); err != nil {
		p.t.Fatalf("%v\n%s%s", err, commands, out)
	}
}

// variables are the assignments NAME=value of a block.
func (p *page) variables(what string) (env []string) {
	p.t.Helper()
	for line := range strings.Lines(p.block(what)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		env = append(env, name+"="+strings.Trim(value, "'"))
	}
	return env
}

// TestPageOnTransit does what the page says about the sealing key.
func TestPageOnTransit(t *testing.T) {
	bao := harness.NewBao(t)
	p := readPage(t, bao)
	p.run(bao.Token, p.block("secrets enable transit"))
	token := strings.TrimSpace(bao.Run("token", "create", "-policy=larder", "-field=token"))
	args := strings.Fields(strings.ReplaceAll(p.block("larder serve /var/lib/larder \\\n"), "\\\n", " "))[3:]
	for i := range args {
		if args[i] == "/run/vault/larder-token" {
			args[i] = bao.File("token", []byte(token))
		}
	}
	s := harness.NewServer(t, harness.Options{Args: args})
	if _, wrapped := sealFile(t, s); !strings.HasPrefix(wrapped, "vault:v1:") {
		t.Error("the key is not wrapped")
	}
	p.run(bao.Token, p.block("kv put secret/larder/root"))
	if len(strings.TrimSpace(bao.Run("kv", "get", "-field=password", "secret/larder/root"))) != 40 {
		t.Error("the root secret is not in KV")
	}
}

// TestPageOnIdentityTokens does what the page says about builds without keys.
func TestPageOnIdentityTokens(t *testing.T) {
	bao := harness.NewBao(t)
	p := readPage(t, bao)
	setUp, exchange, found := strings.Cut(p.block("identity/oidc/config"), "vault read ")
	if !found {
		t.Fatal("the page does not say how to read a token")
	}
	p.run(bao.Token, setUp)
	bao.Run("auth", "enable", "userpass")
	bao.Run("policy", "write", "builder", bao.File("builder.hcl", []byte(`path "identity/oidc/token/larder" { capabilities = ["read"] }`)))
	bao.Run("write", "auth/userpass/users/ann", "password=e2e-password", "token_policies=builder")
	id := strings.TrimSpace(bao.Run("write", "-field=id", "identity/entity/name/ann", "metadata=team=cooks"))
	accessor := strings.TrimSpace(bao.Run("read", "-field=accessor", "sys/auth/userpass"))
	bao.Run("write", "identity/entity-alias", "name=ann", "canonical_id="+id, "mount_accessor="+accessor)
	bao.Run("write", "identity/group", "name=builders", "member_entity_ids="+id)
	p.run(strings.TrimSpace(bao.Run("write", "-field=token", "auth/userpass/login/ann", "password=e2e-password")), "vault read "+exchange)

	s := harness.NewRootServer(t, harness.Options{CA: harness.NewAuthority(t), Env: p.variables("LARDER_IDENTITY_OPENID_CONFIG_URL_VAULT")})
	env := s.AWSEnv(harness.RootUser, harness.RootPassword)
	env["LARDER_ENDPOINT"] = s.URL()
	root := harness.NewLarder(t, env)
	root.Run("admin", "policy", "set", "ci-write", root.File("ci-write.json",
		[]byte(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::sccache/*"}]}`)))
	words := strings.Fields(p.block("larder login"))
	if len(words) < 4 || strings.Join(words[:4], " ") != "larder login --oidc-token-file token" {
		t.Fatalf("the page logs in by %q", words)
	}
	build := harness.NewLarder(t, map[string]string{"LARDER_ENDPOINT": s.URL()})
	build.Dir = p.dir
	wants(t, build.Run("login", "--ca-file", s.CA.File, "--oidc-token-file", "token", "--", "sh", "-c", "echo key $AWS_ACCESS_KEY_ID"), "key LT")
}
