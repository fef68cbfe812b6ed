package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// Defect is one defect and the tests that are meant to catch it.
type Defect struct {
	Name string // a few words, unique
	Why  string // what is wrong with it: "… although a crash loses the write"

	File string // relative to the checkout
	Old  string // occurs exactly once in File
	New  string

	Package string   // the package whose tests run, "./internal/…"
	Tests   string   // go test -run
	Args    []string // further arguments, after the package
}

// tester runs tests over a checkout.
type tester struct {
	root  string
	green map[string]bool // commands that were seen to pass without a defect
}

// plant runs a defect's tests without and with it, and returns the names of
// those that turned red.
func (t *tester) plant(ctx context.Context, d Defect) ([]string, error) {
	file, err := filepath.Abs(filepath.Join(t.root, d.File))
	if err != nil {
		return nil, err
	}
	source, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	changed, err := d.apply(string(source))
	if err != nil {
		return nil, err
	}
	if err := t.wantGreen(ctx, d); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "mutant")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	overlay, err := writeOverlay(dir, file, changed)
	if err != nil {
		return nil, err
	}
	red, output, err := t.test(ctx, d, "-overlay", overlay)
	if err != nil {
		return nil, fmt.Errorf("%w\n%s", err, output)
	}
	return red, nil
}

// apply changes the source text.
func (d *Defect) apply(source string) (string, error) {
	if n := strings.Count(source, d.Old); n != 1 {
		return "", fmt.Errorf("the text to be changed occurs %d times in %s, and must once:\n%s", n, d.File, d.Old)
	}
	return strings.Replace(source, d.Old, d.New, 1), nil
}

// writeOverlay writes the changed file and the overlay that names it.
func writeOverlay(dir, file, changed string) (string, error) {
	replacement := filepath.Join(dir, filepath.Base(file))
	if err := os.WriteFile(replacement, []byte(changed), 0o600); err != nil {
		return "", err
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {file: replacement}})
	if err != nil {
		return "", err
	}
	name := filepath.Join(dir, "overlay.json")
	return name, os.WriteFile(name, overlay, 0o600)
}

// wantGreen runs the tests of a defect without it, once for each command.
func (t *tester) wantGreen(ctx context.Context, d Defect) error {
	command := strings.Join(append([]string{d.Package, d.Tests}, d.Args...), " ")
	if t.green[command] {
		return nil
	}
	red, output, err := t.test(ctx, d)
	if err != nil {
		return fmt.Errorf("%w\n%s", err, output)
	}
	if len(red) > 0 {
		return fmt.Errorf("the tests are red without the defect\n%s", output)
	}
	if bytes.Contains(output, []byte("[no tests to run]")) {
		return fmt.Errorf("no test of %s matches %q", d.Package, d.Tests)
	}
	t.green[command] = true
	return nil
}

// fallen finds the tests that turned red, those included that ran when the
// process died or its time was up.
var fallen = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)|^\s+(Test\S+) \([0-9hms.]+\)$`)

// died finds the end of a process in a goroutine that is no test's.
var died = regexp.MustCompile(`(?m)^(panic|fatal error): `)

// test runs go test and returns the names of the red tests.
func (t *tester) test(ctx context.Context, d Defect, flags ...string) ([]string, []byte, error) {
	args := append([]string{"test", "-count=1", "-failfast", "-timeout=240s", "-run", d.Tests}, flags...)
	args = append(append(args, d.Package), d.Args...)
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = t.root
	output, err := cmd.CombinedOutput()
	if err == nil {
		return nil, output, nil
	}
	if _, exited := errors.AsType[*exec.ExitError](err); !exited || ctx.Err() != nil {
		return nil, output, err
	}
	var red []string
	for _, match := range fallen.FindAllSubmatch(output, -1) {
		red = append(red, string(match[1])+string(match[2]))
	}
	if len(red) == 0 && died.Match(output) {
		red = []string{"the process, which died"}
	}
	if len(red) == 0 || bytes.Contains(output, []byte("[build failed]")) {
		return nil, output, errors.New("the tests did not build, or ended without naming a test")
	}
	return red, output, nil
}
