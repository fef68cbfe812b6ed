package sts_test

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/larder-cache/larder/test/e2e/harness"
)

// variables reads lines NAME=value.
func variables(text string) map[string]string {
	found := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(line, "#") {
			found[name] = value
		}
	}
	return found
}

func keysOf(env map[string]string) (key, secret, token string) {
	return env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"], env["AWS_SESSION_TOKEN"]
}

// TestLoginExport hands keys to later steps, of a shell and of GitHub Actions, and
// ends them by hand.
func TestLoginExport(t *testing.T) {
	bao := harness.NewBao(t)
	bao.NewIssuer(audience)
	s := newServer(t, bao, harness.Options{CA: harness.NewAuthority(t)})
	env := map[string]string{"LARDER_ENDPOINT": s.URL(), "LARDER_ID_TOKEN": bao.Identity("build-1", "cooks")}
	exported := variables(harness.NewLarder(t, env).Run("login", "--export", "--shell", "docker", "--bucket", "shelf", "--ca-file", s.CA.File))
	if exported["SCCACHE_BUCKET"] != "shelf" || exported["SCCACHE_ENDPOINT"] != s.URL() {
		t.Errorf("exported %v", exported)
	}
	key, secret, token := keysOf(exported)
	check(t, "exported", may(t, s, key, secret, token), rights{read: true, write: true})

	file := filepath.Join(t.TempDir(), "env")
	env["GITHUB_ENV"] = file
	out := harness.NewLarder(t, env).Run("login", "--export", "--shell", "github", "--bucket", "shelf", "--ca-file", s.CA.File)
	content, err := os.ReadFile(file)
	ok(t, err)
	github := variables(string(content))
	_, secret2, token2 := keysOf(github)
	wants(t, out, "::add-mask::"+secret2+"\n", "::add-mask::"+token2+"\n")
	if strings.Contains(string(content), "#") {
		t.Errorf("GitHub takes no comments: %s", content)
	}

	exported["LARDER_ENDPOINT"] = s.URL()
	harness.NewLarder(t, exported).Run("login", "--revoke", "--ca-file", s.CA.File)
	check(t, "revoked", may(t, s, key, secret, token), rights{})
	key, secret, token = keysOf(github)
	check(t, "the other session", may(t, s, key, secret, token), rights{read: true, write: true})

	env["LARDER_ID_TOKEN"] = bao.Identity("build-2", "guests")
	wants(t, harness.NewLarder(t, env).Refused("login", "--ca-file", s.CA.File, "--", "true"), "IDPRejectedClaim")
	wants(t, harness.NewLarder(t, env).Run("login", "--optional", "--ca-file", s.CA.File, "--", "echo", "built"), "built")
}

// TestLoginGitHub asks for the token as a job in GitHub Actions does; its branch
// decides.
func TestLoginGitHub(t *testing.T) {
	i := newIssuer(t)
	s := newServer(t, harness.NewBao(t), harness.Options{CA: harness.NewAuthority(t), Env: []string{
		"LARDER_IDENTITY_OPENID_CONFIG_URL_GITHUB=" + i.URL + "/.well-known/openid-configuration",
		"LARDER_IDENTITY_OPENID_RULES_GITHUB=repository_owner_id=1234567,ref=refs/heads/main,event_name=push -> use-shelf\nrepository_owner_id=1234567 -> readonly",
	}})
	job := func(ref, token string) *harness.Program {
		return harness.NewLarder(t, map[string]string{
			"LARDER_ENDPOINT": s.URL(), "ACTIONS_ID_TOKEN_REQUEST_URL": i.URL + "/actions?ref=" + url.QueryEscape(ref), "ACTIONS_ID_TOKEN_REQUEST_TOKEN": token,
		})
	}
	args := []string{"login", "--github", "--export", "--shell", "docker", "--duration", "2h", "--bucket", "shelf", "--ca-file", s.CA.File}
	for ref, want := range map[string]rights{"refs/heads/main": {read: true, write: true}, "refs/pull/7/merge": {read: true}} {
		key, secret, session := keysOf(variables(job(ref, runnerToken).Run(args...)))
		check(t, ref, may(t, s, key, secret, session), want)
	}
	wants(t, job("refs/heads/main", "another's").Refused(args...), "ask GitHub for an identity token", "401")
}
