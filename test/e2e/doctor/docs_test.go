package doctor_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/larder-cache/larder/test/e2e/harness"
)

// TestDocs runs the commands of docs/sccache.md that are marked as such, each
// block on a machine of its own, which holds what larder env reads of ./data.
func TestDocs(t *testing.T) {
	page, err := os.ReadFile("../../../docs/sccache.md")
	if err != nil {
		t.Fatal(err)
	}
	server := harness.NewServer(t, harness.Options{})
	blocks := strings.Split(string(page), "```sh run\n")[1:]
	if len(blocks) < 4 {
		t.Fatalf("the page has %d blocks to run", len(blocks))
	}
	profile, err := os.ReadFile(filepath.Join(server.Dir, "sccache.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range versions() {
		for i, block := range blocks {
			script, _, _ := strings.Cut(block, "```")
			t.Run(version+"/"+strings.TrimSpace(strings.SplitN(script, "\n", 2)[0]), func(t *testing.T) {
				p := newPatient(t, version)
				env := map[string]string{
					"PATH":   filepath.Dir(p.program) + ":" + filepath.Dir(harness.Larder) + ":/usr/local/bin:/usr/bin:/bin",
					"SERVER": server.URL(),
				}
				p.File(t, "data/sccache.json", profile)
				out, err := p.Command(t, harness.Home, env, "sh", "-ec", script).CombinedOutput()
				if err != nil || !strings.Contains(string(out), "s3, name: sccache") && !strings.Contains(string(out), "✓ round trip") {
					t.Errorf("block %d: %v\n%s", i, err, out)
				}
				_ = p.Command(t, harness.Home, env, p.program, "--stop-server").Run()
			})
		}
	}
}
