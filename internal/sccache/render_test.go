package sccache_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
	"github.com/google/go-cmp/cmp"

	"github.com/larder-cache/larder/internal/sccache"
)

var update = flag.Bool("update", false, "rewrite testdata")

// awkward are values that tear holes into wrong quoting.
const awkward = `a'b"c\d $HOME ` + "`id`" + ` ${{ x }} #; é ’ %PATH% !`

func render(t *testing.T, p sccache.Profile, shell sccache.Shell) string {
	t.Helper()
	var b bytes.Buffer
	if err := p.Render(&b, sccache.ForSccache, shell); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestRenderGolden(t *testing.T) {
	plain := profile()
	full := profile()
	full.Secret, full.SessionToken, full.KeyPrefix, full.CAFile = awkward, "tok", "team a", "/etc/larder/ca.crt"
	full.Domain, full.VirtualHost = "s3.example", true
	for _, shell := range sccache.Shells() {
		for name, p := range map[string]sccache.Profile{"plain": plain, "full": full} {
			golden := filepath.Join("testdata", "render", fmt.Sprintf("%s-%s.txt", shell, name))
			got := render(t, p, shell)
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("%s: %s", golden, diff)
			}
		}
	}
}

// TestRenderIsRead has each format's own reader read a block with awkward values.
func TestRenderIsRead(t *testing.T) {
	p := profile()
	p.Secret, p.KeyPrefix = awkward, awkward
	want := make(map[string]string)
	for _, v := range p.Variables() {
		want[v.Name] = v.Value
	}
	t.Run("sh", func(t *testing.T) {
		script := render(t, p, sccache.Sh) + "env -0"
		out, err := exec.CommandContext(t.Context(), "/bin/sh", "-euc", script).Output()
		if err != nil {
			t.Fatal(err)
		}
		got := make(map[string]string)
		for line := range strings.SplitSeq(string(out), "\x00") {
			if name, value, _ := strings.Cut(line, "="); want[name] != "" {
				got[name] = value
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("cargo", func(t *testing.T) {
		var got struct {
			Env   map[string]string
			Build map[string]string
		}
		if _, err := toml.Decode(render(t, p, sccache.Cargo), &got); err != nil {
			t.Fatal(err)
		}
		got.Env["RUSTC_WRAPPER"] = got.Build["rustc-wrapper"]
		if diff := cmp.Diff(want, got.Env); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("docker", func(t *testing.T) {
		got := make(map[string]string)
		for line := range strings.Lines(render(t, p, sccache.Docker)) {
			if line = strings.TrimSuffix(line, "\n"); !strings.HasPrefix(line, "#") {
				name, value, _ := strings.Cut(line, "=")
				got[name] = value
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}

func TestRenderGitHubHoldsNoSecret(t *testing.T) {
	p := profile()
	p.SessionToken = "session-token-value"
	got := render(t, p, sccache.GitHub)
	if strings.Contains(got, p.Secret.Reveal()) || strings.Contains(got, p.SessionToken.Reveal()) {
		t.Error(got)
	}
}

func TestRenderFailsOpenEverywhere(t *testing.T) {
	for _, shell := range sccache.Shells() {
		if got := render(t, profile(), shell); !strings.Contains(got, "SCCACHE_SKIP_CACHE_CHECK") {
			t.Errorf("%s: %s", shell, got)
		}
	}
}

func TestRenderEndpoint(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*sccache.Profile)
		want   string
	}{
		"path":              {func(*sccache.Profile) {}, "https://cache.example:9000"},
		"virtual host":      {func(p *sccache.Profile) { p.Domain, p.VirtualHost = "s3.example", true }, "https://s3.example:9000"},
		"first label":       {func(p *sccache.Profile) { p.Bucket = "cache" }, "https://cache.cache.example:9000"},
		"first label, host": {func(p *sccache.Profile) { p.Bucket, p.Domain, p.VirtualHost = "cache", "cache.example", true }, "https://cache.cache.example:9000"},
		"trailing slash":    {func(p *sccache.Profile) { p.Endpoint += "/" }, "https://cache.example:9000"},
	} {
		p := profile()
		tt.change(&p)
		for _, v := range p.Variables() {
			if v.Name == "SCCACHE_ENDPOINT" && v.Value != tt.want {
				t.Errorf("%s: %s, want %s", name, v.Value, tt.want)
			}
		}
	}
}

// TestRenderSurvivesZsh: an interactive zsh runs comment lines as commands, by
// default. They must be words that do nothing, whatever is pasted.
func TestRenderSurvivesZsh(t *testing.T) {
	p := profile()
	p.Bucket, p.SessionToken, p.KeyPrefix, p.CAFile = "cache", "tok", "team", "/etc/ca.crt"
	harmless := regexp.MustCompile(`^# [A-Za-z0-9 .,:/_~="+-]*$`)
	for line := range strings.Lines(render(t, p, sccache.Sh)) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "#") && (!harmless.MatchString(line) || strings.Count(line, `"`)%2 != 0) {
			t.Error(line)
		}
	}
}

func TestRenderRefuses(t *testing.T) {
	var b bytes.Buffer
	if err := profile().Render(&b, "ccache", sccache.Sh); err == nil {
		t.Error("an unknown client is rendered")
	}
	if err := profile().Render(&b, sccache.ForSccache, "cmd"); err == nil {
		t.Error("an unknown shell is rendered")
	}
	if err := (sccache.Profile{}).Render(&b, sccache.ForSccache, sccache.Sh); err == nil {
		t.Error("an empty profile is rendered")
	}
}
