package app_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/larder-cache/larder/"

// pkg is a package as "go list -deps -json" tells it.
type pkg struct {
	ImportPath string
	Imports    []string
	Deps       []string
	Standard   bool
	Module     *struct{ Path, Dir string }
}

// name returns the path inside this module, "" for a package of another.
func (p *pkg) name() string {
	name, ok := strings.CutPrefix(p.ImportPath, module)
	if !ok {
		return ""
	}
	return name
}

// packages lists the module's packages and all that they need, tests aside.
func packages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-json=ImportPath,Imports,Deps,Standard,Module", "./...")
	cmd.Dir = filepath.Join("..", "..")
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=readonly")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, &stderr)
	}
	var all []pkg
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		switch err := decoder.Decode(&p); {
		case errors.Is(err, io.EOF):
			return all
		case err != nil:
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// under reports whether a package lies in one of the folders.
func under(name string, folders ...string) bool {
	return slices.ContainsFunc(folders, func(folder string) bool {
		return name == folder || strings.HasPrefix(name, folder+"/")
	})
}

// layer is a rule of docs/design.md, "Layers".
type layer struct {
	folders []string
	direct  []string // imports that the folders' own files must not have
	reach   []string // folders of this module that must not be reached at all
}

func layers() []layer {
	return []layer{
		{
			folders: []string{"internal/fault", "internal/object", "internal/iam"},
			direct:  []string{"os", "net/http", "log", "log/slog", "os/exec", "net"},
			reach:   []string{"internal/engine", "internal/protocol", "internal/app", "cmd", "internal/storetest"},
		},
		{
			folders: []string{"internal/engine"},
			direct:  []string{"os", "net/http", "os/exec"},
			reach:   []string{"internal/protocol", "internal/app", "cmd", "internal/storetest"},
		},
		{
			folders: []string{"internal/protocol"},
			reach:   []string{"internal/engine", "internal/app", "cmd", "internal/storetest"},
		},
		{
			folders: []string{"internal", "cmd"},
			reach:   []string{"internal/storetest"},
		},
	}
}

func TestLayers(t *testing.T) {
	for _, p := range packages(t) {
		name := p.name()
		if name == "" || name == "internal/storetest" {
			continue
		}
		for _, l := range layers() {
			if !under(name, l.folders...) {
				continue
			}
			for _, imported := range p.Imports {
				if slices.Contains(l.direct, imported) {
					t.Errorf("%s imports %s", name, imported)
				}
			}
			for _, dep := range p.Deps {
				if inner, ok := strings.CutPrefix(dep, module); ok && under(inner, l.reach...) {
					t.Errorf("%s reaches %s", name, inner)
				}
			}
		}
	}
}

// TestOnlyAppKnowsBoth: engines and protocols meet in app, and cmd meets app.
func TestOnlyAppKnowsBoth(t *testing.T) {
	for _, p := range packages(t) {
		name := p.name()
		if name == "" || under(name, "internal/app", "cmd") {
			continue
		}
		knows := func(folder string) bool {
			return slices.ContainsFunc(p.Deps, func(dep string) bool { return strings.HasPrefix(dep, module+folder) })
		}
		if knows("internal/engine/") && knows("internal/protocol/") {
			t.Errorf("%s knows engines and protocols both", name)
		}
	}
}

func TestKubernetesStaysApart(t *testing.T) {
	for _, p := range packages(t) {
		if name := p.name(); name == "" || under(name, "api", "internal/operator", "cmd/larder-operator") {
			continue
		}
		for _, dep := range p.Deps {
			if strings.HasPrefix(dep, "k8s.io/") || strings.HasPrefix(dep, "sigs.k8s.io/") {
				t.Errorf("%s reaches %s", p.name(), dep)
				break
			}
		}
	}
}

// TestLicences reads the licence of every module that is linked: the product is
// Apache-2.0, and nothing under a GNU licence may be part of it.
func TestLicences(t *testing.T) {
	dirs := map[string]string{}
	for _, p := range packages(t) {
		if p.Module != nil && p.name() == "" {
			dirs[p.Module.Path] = p.Module.Dir
		}
	}
	if len(dirs) == 0 {
		t.Fatal("no modules are linked")
	}
	for path, dir := range dirs {
		files, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, file := range files {
			name := strings.ToUpper(file.Name())
			if file.IsDir() || !strings.HasPrefix(name, "LICEN") && !strings.HasPrefix(name, "COPYING") {
				continue
			}
			found = true
			text, err := os.ReadFile(filepath.Join(dir, file.Name()))
			if err != nil {
				t.Fatal(err)
			}
			if head := strings.ToUpper(string(text[:min(len(text), 400)])); strings.Contains(head, "GENERAL PUBLIC LICENSE") {
				t.Errorf("%s is under a GNU licence: %s", path, file.Name())
			}
		}
		if !found {
			t.Errorf("%s has no licence file", path)
		}
	}
}
