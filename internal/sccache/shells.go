package sccache

import (
	"strconv"
	"strings"
)

// form is how one shell writes a block.
type form struct {
	head   func(Profile) []string // comment lines: what this is, where it goes
	open   string                 // what stands before the variables
	indent string
	line   func(Variable) string
}

func forms() map[Shell]form {
	return map[Shell]form{
		Sh: {
			head: shellHead("~/.profile or ~/.bashrc"),
			line: func(v Variable) string { return "export " + v.Name + "=" + quoteSh(v.Value) },
		},
		Fish: {
			head: shellHead("~/.config/fish/config.fish"),
			line: func(v Variable) string { return "set -gx " + v.Name + " " + quoteFish(v.Value) },
		},
		PowerShell: {
			head: shellHead("$PROFILE"),
			line: func(v Variable) string { return "$env:" + v.Name + " = " + quotePowerShell(v.Value) },
		},
		GitHub: {head: gitHubHead, open: "env:\n", indent: "  ", line: gitHubLine},
		Docker: {
			head: func(p Profile) []string {
				return []string{
					p.title(),
					"Save it as sccache.env, mode 0600, then: docker run --env-file sccache.env …",
					"In docker build, never ARG or COPY: RUN --mount=type=secret,id=sccache … and --secret id=sccache,src=sccache.env",
				}
			},
			line: func(v Variable) string { return v.Name + "=" + v.Value }, // docker takes the rest of the line as it is
		},
		Cargo: {
			head: func(p Profile) []string {
				return []string{
					p.title(),
					"Goes into ~/.cargo/config.toml, mode 0600; it holds a secret, so never into a repository.",
					"A daemon that runs already keeps its old settings: sccache --stop-server",
				}
			},
			open: "[env]\n",
			line: func(v Variable) string {
				if v.Name == "RUSTC_WRAPPER" {
					return "\n[build]\nrustc-wrapper = " + strconv.Quote(v.Value)
				}
				return v.Name + " = " + quoteTOML(v.Value)
			},
		},
	}
}

func (p Profile) title() string {
	style := "path style"
	if p.VirtualHost {
		style = "virtual-host style"
	}
	return "sccache with bucket " + p.Bucket + " at " + p.Endpoint + ", " + style + "."
}

func shellHead(file string) func(Profile) []string {
	return func(p Profile) []string {
		return []string{
			p.title(),
			"Paste it where builds run, or append it to " + file + ".",
			"A daemon that runs already keeps its old settings: sccache --stop-server",
			"Then see that all is well: larder doctor",
		}
	}
}

func gitHubHead(p Profile) []string {
	lines := []string{p.title(), "Goes into a workflow, at its top level or into a job. It holds no secret: make it once, with"}
	for _, v := range p.Variables() {
		if v.Secret {
			lines = append(lines, "  gh secret set "+gitHubSecret(v)+"     (it asks for the value that 'larder env' prints as "+v.Name+")")
		}
	}
	return lines
}

func gitHubSecret(v Variable) string { return "SCCACHE_" + v.Name }

func gitHubLine(v Variable) string {
	if v.Secret {
		return v.Name + ": ${{ secrets." + gitHubSecret(v) + " }}"
	}
	// In a workflow, ${{ starts an expression wherever it stands; two such braces
	// are kept apart by an expression of their own.
	return v.Name + ": " + quoteYAML(strings.ReplaceAll(v.Value, "${{", "${{ '${{' }}"))
}

// quoteSh quotes for POSIX shells: nothing is special between single quotes.
func quoteSh(s string) string {
	if s != "" && strings.Trim(s, plain) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// quoteFish quotes for fish, where \\ and \' are escapes between single quotes.
func quoteFish(s string) string {
	if s != "" && strings.Trim(s, plain) == "" {
		return s
	}
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}

// quotePowerShell quotes for PowerShell, which takes typographic quotes for
// plain ones and doubles each to mean itself.
func quotePowerShell(s string) string {
	return "'" + strings.NewReplacer("'", "''", "‘", "‘‘", "’", "’’", "‚", "‚‚", "‛", "‛‛").Replace(s) + "'"
}

// quoteYAML quotes for YAML: between single quotes only the quote is special.
func quoteYAML(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// quoteTOML writes a basic string; values hold no control characters.
func quoteTOML(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// plain are the characters that no shell takes for anything else.
const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+./:,"
