package sccache

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// Client is a program that a Profile is rendered for.
type Client string

// ForSccache is stock sccache, 0.11 and later.
const ForSccache Client = "sccache"

// Clients lists every Client.
func Clients() []Client { return []Client{ForSccache} }

// Shell is where a block is pasted; it decides the syntax.
type Shell string

// The places to paste a block.
const (
	Sh         Shell = "sh"         // POSIX shells: bash, zsh, dash
	Fish       Shell = "fish"       //
	PowerShell Shell = "powershell" // on any system
	GitHub     Shell = "github"     // a GitHub Actions workflow, YAML
	Docker     Shell = "docker"     // an environment file for docker run
	Cargo      Shell = "cargo"      // cargo's configuration file, TOML
)

// Shells lists every Shell.
func Shells() []Shell { return []Shell{Sh, Fish, PowerShell, GitHub, Docker, Cargo} }

// Describe says in a few words where s is.
func (s Shell) Describe() string {
	return map[Shell]string{
		Sh: "bash, zsh, dash and other POSIX shells", Fish: "fish", PowerShell: "PowerShell on any system",
		GitHub: "the env block of a GitHub Actions workflow", Docker: "a file for docker run --env-file",
		Cargo: "cargo's config.toml",
	}[s]
}

// Variable is one environment variable of a block.
type Variable struct {
	Name, Value string
	Secret      bool   // the value must not be shown where others read
	Why         string // what it does, a few words; "" if its name says it
}

// Variables lists what sccache is told, in the order of the block. Every block
// fails open: sccache 0.18 and later starts, and builds go on, whatever state
// the server is in; older releases ignore that variable.
func (p Profile) Variables() []Variable {
	region := p.Region
	if region == "" {
		region = "auto"
	}
	vars := []Variable{
		{Name: "SCCACHE_BUCKET", Value: p.Bucket},
		{Name: "SCCACHE_ENDPOINT", Value: p.base(), Why: p.endpointNote()},
		{Name: "SCCACHE_REGION", Value: region, Why: "signed with, and otherwise ignored"},
		{Name: "SCCACHE_S3_USE_SSL", Value: fmt.Sprint(strings.HasPrefix(p.Endpoint, "https:"))},
		{Name: "SCCACHE_S3_ENABLE_VIRTUAL_HOST_STYLE", Value: fmt.Sprint(p.VirtualHost)},
	}
	if p.KeyPrefix != "" {
		vars = append(vars, Variable{Name: "SCCACHE_S3_KEY_PREFIX", Value: p.KeyPrefix})
	}
	if p.AccessKey == "" {
		vars = append(vars, Variable{Name: "SCCACHE_S3_NO_CREDENTIALS", Value: "true"})
	} else {
		vars = append(vars,
			Variable{Name: "AWS_ACCESS_KEY_ID", Value: p.AccessKey},
			Variable{Name: "AWS_SECRET_ACCESS_KEY", Value: p.Secret.Reveal(), Secret: true})
	}
	if p.SessionToken != "" {
		vars = append(vars, Variable{Name: "AWS_SESSION_TOKEN", Value: p.SessionToken.Reveal(), Secret: true})
	}
	if p.CAFile != "" {
		vars = append(vars, Variable{
			Name: "SSL_CERT_FILE", Value: p.CAFile,
			Why: "trust the authority of the server: elsewhere, the path of a copy. Other programs that see this trust only it, so better install it system-wide",
		})
	}
	return append(vars,
		Variable{
			Name: "SCCACHE_SKIP_CACHE_CHECK", Value: "1",
			Why: "fail open: with sccache 0.18 or later a cache that is down never stops a build",
		},
		Variable{Name: "RUSTC_WRAPPER", Value: "sccache", Why: "for Rust. For C and C++ set CC=\"sccache cc\", or CMAKE_C_COMPILER_LAUNCHER=sccache"})
}

func (p Profile) endpointNote() string {
	if strings.Contains(p.base(), "//"+p.Bucket+".") {
		return "sccache deletes the first \"" + p.Bucket + ".\" from it, so it is there once more"
	}
	return ""
}

// Render writes the block that tells client where the server is, to be pasted
// where shell says. It holds the secret, except for GitHub, where it says how
// to hand it over. It reports an error for an unknown client or shell, and
// those of Check.
func (p Profile) Render(w io.Writer, client Client, shell Shell) error {
	if err := p.Check(); err != nil {
		return err
	}
	if !slices.Contains(Clients(), client) {
		return fmt.Errorf("unknown client %q; there is %v", client, Clients())
	}
	form, ok := forms()[shell]
	if !ok {
		return fmt.Errorf("unknown shell %q; there are %v", shell, Shells())
	}
	var b strings.Builder
	for _, line := range form.head(p) {
		b.WriteString(strings.TrimRight("# "+line, " ") + "\n")
	}
	if p.loopback() {
		b.WriteString("# Only this machine reaches that address: for others, print the block with --endpoint and the one they use.\n")
	}
	b.WriteString(form.open)
	for _, v := range p.Variables() {
		if v.Why != "" {
			b.WriteString(form.indent + "# " + v.Why + "\n")
		}
		b.WriteString(form.indent + form.line(v) + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}
