package doctor_test

import (
	"bufio"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/larder-cache/larder/test/e2e/harness"
	"github.com/larder-cache/larder/test/e2e/tools"
)

// TestReadme takes the tour of README: it runs what stands behind each prompt, on
// a machine that has nothing but larder, sccache and a C compiler, and demands the
// lines that README shows below it, in their order. What differs from run to run
// is made alike first.
func TestReadme(t *testing.T) {
	page, err := os.ReadFile("../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(page), "```console\n")[1:]
	if len(blocks) < 4 {
		t.Fatalf("the tour has %d blocks", len(blocks))
	}
	releases := versions()
	newest := releases[len(releases)-1]
	p := newPatient(t, newest)
	p.File(t, "hello.c", []byte("int main(void) { return 0; }\n"))
	p.Run(t, nil, "sh", "-ec", "mkdir bin && ln -s "+harness.Larder+" bin/larder")
	env := map[string]string{"PATH": filepath.Dir(p.program) + ":" + filepath.Dir(harness.Larder) + ":/usr/local/bin:/usr/bin:/bin"}
	var end func()
	for _, block := range blocks {
		block, _, _ = strings.Cut(block, "```")
		for _, step := range strings.Split("\n"+block, "\n$ ")[1:] {
			command, shown, _ := strings.Cut(step, "\n")
			t.Run(command, func(t *testing.T) {
				q := p.in(t)
				if strings.Contains(command, "larder serve") {
					end = q.tourServer(env, command, shown)
					maps.Copy(env, q.pasted(env))
					return
				}
				out, err := q.Command(t, harness.Home, env, "sh", "-c", command).CombinedOutput()
				if err != nil {
					t.Errorf("%v\n%s", err, out)
				}
				if strings.Contains(command, "doctor") && newest != tools.Sccache019 {
					shown = "✓ bucket sccache is there" // README shows what is said of the newest release
				}
				demand(t, string(out), shown)
			})
		}
	}
	p.Run(t, env, "sccache", "--stop-server")
	end()
}

// tourServer starts the server of the tour and reads what it prints. end stops it.
func (p *patient) tourServer(env map[string]string, command, shown string) (end func()) {
	p.t.Helper()
	cmd := p.Command(p.all, harness.Home, env, "sh", "-c", "exec "+command)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(shown), "\n")
	last := alike(lines[len(lines)-1])
	var out strings.Builder
	for r := bufio.NewReader(stdout); ; {
		line, err := r.ReadString('\n')
		out.WriteString(line)
		if alike(line) == last {
			break
		}
		if err != nil {
			p.t.Fatalf("the server printed %q, then %v", out.String(), err)
		}
	}
	demand(p.t, out.String(), shown)
	harness.Await(p.t, "the server", 30*time.Second, func() bool {
		return p.Command(p.t, harness.Home, env, "python3", "-c", "import socket; socket.create_connection(('127.0.0.1', 9000))").Run() == nil
	})
	return func() {
		p.all.Helper()
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_, _ = io.Copy(io.Discard, stdout)
		if err := cmd.Wait(); err != nil {
			p.all.Errorf("the server ended: %v", err)
		}
	}
}

// pasted is what a shell has in its environment once the block was pasted.
func (p *patient) pasted(env map[string]string) map[string]string {
	p.t.Helper()
	all := map[string]string{}
	for line := range strings.Lines(p.Run(p.t, env, "sh", "-ec", `eval "$(larder env ./data)" && env`)) {
		if name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "="); ok && name != "PWD" {
			all[name] = value
		}
	}
	return all
}

// demand fails the test unless out has the lines of shown, in their order.
func demand(t *testing.T, out, shown string) {
	t.Helper()
	rest := strings.Split(out, "\n")
	for line := range strings.Lines(shown) {
		want := alike(line)
		for want != "" {
			if len(rest) == 0 {
				t.Fatalf("README shows %q; this was printed:\n%s", line, out)
			}
			got := alike(rest[0])
			rest = rest[1:]
			if got == want {
				break
			}
		}
	}
}

// alike makes equal what differs from run to run.
func alike(line string) string {
	for _, vary := range []struct{ pattern, with string }{
		{`\b[a-z2-7]{32}\b`, "SECRET"},
		{`\b[A-Z2-7]{20}\b`, "KEY"},
		{`\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?`, "WHEN"},
		{`\b\d+(\.\d+)?(µs|ms|s)\b`, "TIME"},
		{`\b\d+(\.\d+)? KiB`, "SIZE"},
		{`/\S+/sccache `, "/usr/bin/sccache "},
		{`\s+`, " "},
	} {
		line = regexp.MustCompile(vary.pattern).ReplaceAllString(line, vary.with)
	}
	return strings.TrimSpace(line)
}
