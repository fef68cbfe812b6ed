package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestApply(t *testing.T) {
	d := Defect{File: "f.go", Old: "sync()", New: ""}
	tests := []struct{ name, source, want string }{
		{"once", "write(); sync(); ack()", "write(); ; ack()"},
		{"gone", "write(); ack()", ""},
		{"twice", "sync(); sync()", ""},
	}
	for _, tt := range tests {
		got, err := d.apply(tt.source)
		if got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%s: got %q, %v", tt.name, got, err)
		}
	}
}

// A small module with one honest test, and a defect of every outcome.
func TestOutcomes(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":    "module example.test/m\n\ngo 1.26\n",
		"m.go":      "package m\n\n// Two is 2.\nfunc Two() int { return 1 + 1 }\n",
		"m_test.go": "package m\n\nimport \"testing\"\n\nfunc TestTwo(t *testing.T) {\n\tt.Run(\"sum\", func(t *testing.T) {\n\t\tif Two() != 2 {\n\t\t\tt.Error(Two())\n\t\t}\n\t})\n}\n",
	} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	defect := func(name, old, changed string) Defect {
		return Defect{Name: name, Why: "it is wrong", File: "m.go", Old: old, New: changed, Package: ".", Tests: "TestTwo"}
	}
	var out bytes.Buffer
	err := plantAll(t.Context(), &tester{root: root, green: map[string]bool{}}, []Defect{
		defect("wrong sum", "1 + 1", "1 + 2"),
		defect("dies elsewhere", "1 + 1", "func() int { go panic(2); select {} }()"),
		defect("harmless", "1 + 1", "3 - 1"),
		defect("outdated", "2 + 2", "5"),
		defect("does not build", "1 + 1", "one"),
	}, &out)
	for _, want := range []string{"wrong sum", "caught", "TestTwo/sum", "the process, which died", "MISSED", "2 of 5 defects"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in the table:\n%s", want, &out)
		}
	}
	for _, want := range []string{"harmless: every test stayed green", "outdated: the text", "does not build: the tests did not build"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in the verdict: %v", want, err)
		}
	}
}
