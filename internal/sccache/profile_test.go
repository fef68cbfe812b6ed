package sccache_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-cache/larder/internal/sccache"
)

func profile() sccache.Profile {
	return sccache.Profile{
		Endpoint: "https://cache.example:9000", Bucket: "sccache", Region: "auto",
		AccessKey: "AKIAEXAMPLE", Secret: "s3cr/et+key",
	}
}

func TestProfileKeepsEverything(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sccache.json")
	want := profile()
	want.KeyPrefix, want.SessionToken, want.Domain, want.VirtualHost, want.CAFile = "team", "tok", "cache.example", true, "/ca.crt"
	for range 2 { // the second replaces the first
		if err := want.Save(path); err != nil {
			t.Fatal(err)
		}
	}
	got, err := sccache.LoadProfile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 1 {
		t.Errorf("%d files are left, want one", len(left))
	}
}

func TestLoadProfileRefuses(t *testing.T) {
	dir := t.TempDir()
	if _, err := sccache.LoadProfile(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	for name, content := range map[string]string{
		"no JSON":     `{"secret":"hush`,
		"wrong type":  `{"secret":{"hush":1}}`,
		"no bucket":   `{"endpoint":"http://a","secret":"hush"}`,
		"no endpoint": `{"bucket":"sccache","secret":"hush"}`,
	} {
		path := filepath.Join(dir, "p.json")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := sccache.LoadProfile(path)
		if err == nil || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestProfileCheck(t *testing.T) {
	for name, spoil := range map[string]func(*sccache.Profile){
		"scheme":    func(p *sccache.Profile) { p.Endpoint = "ftp://a" },
		"no host":   func(p *sccache.Profile) { p.Endpoint = "http://" },
		"userinfo":  func(p *sccache.Profile) { p.Endpoint = "http://u:p@a" },
		"query":     func(p *sccache.Profile) { p.Endpoint = "http://a/?x" },
		"bucket":    func(p *sccache.Profile) { p.Bucket = "" },
		"no secret": func(p *sccache.Profile) { p.Secret = "" },
		"no key":    func(p *sccache.Profile) { p.AccessKey = "" },
		"no domain": func(p *sccache.Profile) { p.VirtualHost = true },
		"newline":   func(p *sccache.Profile) { p.Secret = "a\nexport X=1" },
	} {
		p := profile()
		spoil(&p)
		if p.Check() == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestProfileAt(t *testing.T) {
	for endpoint, want := range map[string]string{
		"other:9001":         "https://other:9001",
		"http://other/":      "http://other",
		"https://10.1.2.3":   "https://10.1.2.3",
		"http://[::1]:9000/": "http://[::1]:9000",
	} {
		got, err := profile().At(endpoint)
		if err != nil || got.Endpoint != want {
			t.Errorf("At(%q) is %q, %v, want %q", endpoint, got.Endpoint, err, want)
		}
	}
	if _, err := profile().At("http://u@x"); err == nil {
		t.Error("a user in the URL is accepted")
	}
}

func TestChooseStyle(t *testing.T) {
	p := profile()
	all := func(string) bool { return true }
	if p.ChooseStyle(all).VirtualHost {
		t.Error("virtual-host style without a domain")
	}
	p.Domain = "cache.example"
	if !p.ChooseStyle(func(h string) bool { return h == "sccache.cache.example" }).VirtualHost {
		t.Error("path style although the name is found")
	}
	if p.ChooseStyle(func(string) bool { return false }).VirtualHost {
		t.Error("virtual-host style although the name is not found")
	}
}
