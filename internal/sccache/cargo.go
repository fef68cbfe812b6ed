package sccache

import (
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/BurntSushi/toml"
)

// WithCargo returns e as cargo, run in dir, passes it to the sccache that wraps
// its compiler: with the variables of the table [env] of its configuration files,
// and which of those files have any. A variable that is set already stays, unless
// the file forces it; files nearer to dir win.
func (e Environ) WithCargo(dir string) (with Environ, files []string) {
	home := e["CARGO_HOME"]
	if home == "" {
		home, _ = e.home("~/.cargo")
	}
	places := []string{}
	for at := dir; at != ""; at = filepath.Dir(at) {
		places = append(places, filepath.Join(at, ".cargo"))
		if at == filepath.Dir(at) {
			break
		}
	}
	if !slices.Contains(places, home) {
		places = append(places, home)
	}
	with = maps.Clone(e)
	set := make(map[string]bool)
	for _, place := range places {
		path, variables := cargoEnv(place)
		added := false
		for name, v := range variables {
			if _, inherited := e[name]; set[name] || inherited && !v.force {
				continue
			}
			with[name], set[name], added = v.value, true, true
		}
		if added {
			files = append(files, path)
		}
	}
	return with, files
}

type cargoVariable struct {
	value string
	force bool
}

// cargoEnv reads the table [env] of the configuration in a .cargo folder; what
// it cannot make sense of, it leaves to cargo to complain about.
func cargoEnv(dir string) (path string, variables map[string]cargoVariable) {
	var doc struct{ Env map[string]any }
	for _, name := range []string{"config", "config.toml"} { // the older name wins
		path = filepath.Join(dir, name)
		data, err := os.ReadFile(path)
		if err == nil && toml.Unmarshal(data, &doc) == nil {
			break
		}
	}
	variables = make(map[string]cargoVariable, len(doc.Env))
	for name, value := range doc.Env {
		switch v := value.(type) {
		case string:
			variables[name] = cargoVariable{value: v}
		case map[string]any:
			text, _ := v["value"].(string)
			force, _ := v["force"].(bool)
			if relative, _ := v["relative"].(bool); relative {
				text = filepath.Join(filepath.Dir(dir), text)
			}
			variables[name] = cargoVariable{text, force}
		}
	}
	return path, variables
}
