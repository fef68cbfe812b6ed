package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestDocumentedCommands parses every larder command line that a page or --help
// shows, so that none has a command, flag or number of arguments that is refused.
// What is quoted in a sentence may leave arguments out.
func TestDocumentedCommands(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(pages) < 10 {
		t.Fatal(pages, err)
	}
	found := 0
	for _, page := range append(pages, "../../README.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		blocks, prose := fenced(string(text))
		for _, block := range blocks {
			found += parse(t, page, block, true)
		}
		for _, span := range regexp.MustCompile("(?s)`([^`]+)`").FindAllStringSubmatch(prose, -1) {
			found += parse(t, page, strings.ReplaceAll(span[1], "\n", " "), false)
		}
	}
	if found < 50 {
		t.Errorf("only %d command lines found", found)
	}
}

// TestExamples: every command, or the one that it belongs to, shows how it is used.
func TestExamples(t *testing.T) {
	var walk func(cmd *cobra.Command, above int)
	walk = func(cmd *cobra.Command, above int) {
		shown := parse(t, "'"+cmd.CommandPath()+" --help'", cmd.Example, true)
		if shown+above == 0 && cmd.Name() != "version" {
			t.Errorf("'%s --help' has no example", cmd.CommandPath())
		}
		for _, sub := range cmd.Commands() {
			if !cmd.HasParent() {
				shown = 0 // the first command's examples are not those of all others
			}
			walk(sub, shown)
		}
	}
	walk(rootCommand(), 0)
}

// session is a console block of a page, with what the comment above it prepares.
var session = regexp.MustCompile("(?:<!-- prepare: (.*) -->\n)?```console\n((?s:.*?))```")

// TestDocumentedSessions runs the sessions that pages show and in which nothing but
// larder is called, against a server, and demands the lines that are shown. The
// policies of a page lie beside, as 1.json and so on.
func TestDocumentedSessions(t *testing.T) {
	export, err := filepath.Abs("../../internal/protocol/admin/testdata/minio-export.zip")
	if err != nil {
		t.Fatal(err)
	}
	run := 0
	for _, page := range []string{"minio.md", "policies.md", "ci.md", "vault.md", "operations.md", "install.md"} {
		text, err := os.ReadFile(filepath.Join("../../docs", page))
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range session.FindAllStringSubmatch(string(text), -1) {
			prepare, steps := found[1], strings.Split("\n"+found[2], "\n$ ")[1:]
			if slices.ContainsFunc(steps, func(step string) bool { return !strings.HasPrefix(step, "larder ") }) {
				continue
			}
			run++
			t.Run(page+"/"+strings.Fields(steps[0])[2], func(t *testing.T) {
				dir := t.TempDir()
				server, err := adminServer(dir)
				if err != nil {
					t.Fatal(err)
				}
				defer server.Close()
				for i, policy := range strings.Split(string(text), "```json\n")[1:] {
					policy, _, _ = strings.Cut(policy, "```")
					if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.json", i+1)), []byte(policy), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				sh := func(command string) (string, error) {
					cmd := exec.CommandContext(t.Context(), "sh", "-ec", command)
					cmd.Dir = dir
					cmd.Env = append(os.Environ(), "EXPORT="+export, "LARDER_ENDPOINT="+server.URL, "AWS_ACCESS_KEY_ID=minio", "AWS_SECRET_ACCESS_KEY=minio123",
						"MC_HOST_new="+strings.Replace(server.URL, "://", "://minio:minio123@", 1))
					out, err := cmd.CombinedOutput()
					return string(out), err
				}
				if out, err := sh(prepare); err != nil {
					t.Fatalf("%s: %v\n%s", prepare, err, out)
				}
				for _, step := range steps {
					command, shown, _ := strings.Cut(step, "\n")
					out, _ := sh(command) // some show a mistake
					if want := strings.TrimSpace(shown); strings.TrimSpace(out) != want {
						t.Errorf("%s\n%s\nthe page shows:\n%s", command, out, want)
					}
				}
			})
		}
	}
	if run < 3 {
		t.Errorf("only %d sessions found", run)
	}
}

// fenced splits a page into its fenced blocks and the rest.
func fenced(page string) (blocks []string, rest string) {
	for i, part := range regexp.MustCompile("(?m)^```.*\n").Split(page, -1) {
		if i%2 == 1 {
			blocks = append(blocks, part)
		} else {
			rest += part
		}
	}
	return blocks, rest
}

// commandLine finds where larder stands as a command: at the start of a line, behind
// a prompt, variables, an operator of the shell, or a quote.
var commandLine = regexp.MustCompile(`(?m)(?:^ *|\$ |&& |\|\| |; |\(|"|'|run: |- |ExecStart=|exec larder )(?:[A-Z_]+=\S+ )*(?:\./bin/|/usr/local/bin/|/)?larder ([a-z].*)`)

// parse parses the larder command lines of a text and returns how many they are.
func parse(t *testing.T, where, text string, whole bool) (n int) {
	t.Helper()
	text = strings.ReplaceAll(text, "\\\n", " ")
	for _, at := range commandLine.FindAllStringSubmatchIndex(text, -1) {
		line := text[at[2]:at[3]]
		if text[at[0]] == '\'' { // quoted in a sentence
			line, _, _ = strings.Cut(line, "'")
		}
		n++
		if err := understood(shellWords(line), whole); err != nil {
			t.Errorf("%s: larder %s: %v", where, line, err)
		}
	}
	return n
}

// understood parses a command line as far as to run it.
func understood(args []string, whole bool) error {
	root := rootCommand()
	var began bool
	mindUsage(root, &began)
	root.SetOut(io.Discard)
	root.SetErr(io.Discard)
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	cmd, rest, err := root.Find(args)
	if err != nil {
		return err
	}
	if err := cmd.ParseFlags(rest); err != nil {
		return err
	}
	if !whole {
		return nil
	}
	if err := cmd.ValidateArgs(cmd.Flags().Args()); err != nil {
		return err
	}
	return cmd.ValidateRequiredFlags()
}

// shellWords splits the first command of a line as a shell does.
func shellWords(text string) (words []string) {
	var word strings.Builder
	quote, begun := rune(0), false
	end := func() {
		if begun {
			words = append(words, word.String())
			word.Reset()
			begun = false
		}
	}
	for _, r := range text {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote == 0 && (r == '"' || r == '\''):
			quote, begun = r, true
		case quote == 0 && strings.ContainsRune("|;&<>)#", r):
			end()
			return words
		case quote == 0 && (r == ' ' || r == '\t'):
			end()
		default:
			word.WriteRune(r)
			begun = true
		}
	}
	end()
	return words
}
