package app_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// named returns what docs/operations.md names in the first cells of the table
// below a heading.
func named(t *testing.T, heading string) []string {
	t.Helper()
	page, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(page), "\n### "+heading+"\n")
	if !ok {
		t.Fatalf("no heading %q", heading)
	}
	section, _, _ = strings.Cut(section, "\n#")
	var names []string
	for line := range strings.Lines(section) {
		if cell, ok := strings.CutPrefix(line, "| "); ok {
			cell, _, _ = strings.Cut(cell, "|")
			for _, quoted := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cell, -1) {
				names = append(names, quoted[1])
			}
		}
	}
	slices.Sort(names)
	return names
}

// TestOperationsPage keeps the tables of metrics and log fields true.
func TestOperationsPage(t *testing.T) {
	i := start(t, t.TempDir(), false, nil, map[string]string{"metrics-address": "127.0.0.1:0"})
	for _, path := range []string{"/sccache/absent", "/other/denied"} {
		i.do(i.user(), http.MethodGet, path, "")
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+i.listening("metrics")+"/metrics", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	_, text := send(t, http.DefaultTransport, req)
	metrics := map[string]bool{}
	for line := range strings.Lines(text) {
		if name, ok := strings.CutPrefix(line, "# TYPE larder_"); ok {
			metrics["larder_"+strings.Fields(name)[0]] = true
		}
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(metrics)), named(t, "Metrics")); diff != "" {
		t.Errorf("metrics, and those of the page:\n%s", diff)
	}

	if err := i.stop(); err != nil {
		t.Fatal(err)
	}
	fields := map[string]bool{}
	for line := range strings.Lines(i.stderr.String()) {
		var entry map[string]any
		if json.Unmarshal([]byte(line), &entry) == nil && entry["msg"] == "request" {
			for name := range entry {
				fields[name] = true
			}
		}
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(fields)), named(t, "The access log")); diff != "" {
		t.Errorf("fields of the access log, and those of the page:\n%s", diff)
	}
}
