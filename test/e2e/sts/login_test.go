package sts_test

import (
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
