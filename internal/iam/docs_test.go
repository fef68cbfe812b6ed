package iam_test

import (
	"os"
	"strings"
	"testing"

	"github.com/larder-cache/larder/internal/iam"
)

// TestDocs parses every policy that the documentation shows.
func TestDocs(t *testing.T) {
	text, err := os.ReadFile("../../docs/policies.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(text), "```json\n")[1:]
	if len(blocks) < 6 {
		t.Fatalf("%d policies found", len(blocks))
	}
	for _, block := range blocks {
		doc, _, _ := strings.Cut(block, "```")
		if !strings.Contains(doc, `"Statement"`) {
			doc = `{"Statement": [` + doc + `]}`
		}
		p, err := iam.ParsePolicy([]byte(doc))
		if strings.Contains(doc, `"Principal"`) {
			p, err = iam.ParseBucketPolicy([]byte(doc), "public")
		}
		if err != nil {
			t.Errorf("%v in:\n%s", err, doc)
			continue
		}
		if w := p.Warnings(); w != nil {
			t.Errorf("%q in:\n%s", w, doc)
		}
	}
}
