package app_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-cache/larder/internal/app"
)

var update = flag.Bool("update", false, "rewrite golden files")

const settingsPage = "../../docs/configuration.md"

// TestSettingsPage keeps the table of the documentation true.
func TestSettingsPage(t *testing.T) {
	var table strings.Builder
	table.WriteString("| Flag | Variable | MinIO's variable | Default | Meaning |\n|---|---|---|---|---|\n")
	for _, s := range app.Settings() {
		name := "`--" + s.Name + "`"
		switch {
		case s.Short != "":
			name += ", `-" + s.Short + "`"
		case s.Secret:
			name = "(never a flag)"
		}
		variable := "`" + s.Env() + "`"
		if s.File {
			variable += ", `" + s.Env() + "_FILE`"
		}
		usage := strings.ReplaceAll(s.Usage, "`", "")
		fmt.Fprintf(&table, "| %s | %s | %s | %s | %s |\n", name, variable, code(strings.Join(s.MinIO, "`, `")), code(s.Default), usage)
	}
	page, err := os.ReadFile(settingsPage)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- settings -->\n", "<!-- end of settings -->"
	head, rest, ok := strings.Cut(string(page), begin)
	_, tail, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s has lost its marks %q and %q", settingsPage, begin, end)
	}
	want := head + begin + table.String() + end + tail
	if *update {
		if err := os.WriteFile(settingsPage, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, string(page)); diff != "" {
		t.Errorf("the page differs from the settings; run go test ./internal/app -update\n%s", diff)
	}
}

// TestExampleFile loads the configuration file that the page shows.
func TestExampleFile(t *testing.T) {
	page, err := os.ReadFile(settingsPage)
	if err != nil {
		t.Fatal(err)
	}
	_, example, ok := strings.Cut(string(page), "```toml\n")
	example, _, closed := strings.Cut(example, "```")
	if !ok || !closed {
		t.Fatal("the page shows no file")
	}
	file := filepath.Join(t.TempDir(), "larder.toml")
	write(t, file, example)
	cfg, warnings, err := app.Load(app.Sources{File: file})
	if err != nil || len(warnings) > 0 || cfg.Dir != "/var/lib/larder" || cfg.TLS != app.TLSAuto || cfg.Reserve != 10<<30 {
		t.Errorf("%+v, %q, %v", cfg, warnings, err)
	}
}

func code(s string) string {
	if s == "" {
		return ""
	}
	return "`" + s + "`"
}
