package sccache

import (
	"fmt"
	"path/filepath"
	"strings"
)

// Environ is the environment of a program, by name.
type Environ map[string]string

// ParseEnviron reads lines of the form NAME=VALUE, as os.Environ returns them.
func ParseEnviron(lines []string) Environ {
	env := make(Environ, len(lines))
	for _, line := range lines {
		if name, value, ok := strings.Cut(line, "="); ok && name != "" {
			env[name] = value
		}
	}
	return env
}

// first returns the value of the first of names that is set and not empty.
func (e Environ) first(names ...string) (value, name string) {
	for _, name := range names {
		if value := e[name]; value != "" {
			return value, name
		}
	}
	return "", ""
}

// boolean reads a switch as sccache does; ok is false if it is not set.
func (e Environ) boolean(name string) (value, ok bool, err error) {
	if e[name] == "" {
		return false, false, nil
	}
	switch strings.ToLower(e[name]) {
	case "true", "on", "1":
		return true, true, nil
	case "false", "off", "0":
		return false, true, nil
	}
	return false, false, fmt.Errorf("%s must be true, on, 1, false, off or 0", name)
}

// home expands a leading "~/"; ok is false if the home folder is not known.
func (e Environ) home(path string) (expanded string, ok bool) {
	rest, tilde := strings.CutPrefix(path, "~/")
	if !tilde {
		return path, true
	}
	home, _ := e.first("HOME", "USERPROFILE")
	return filepath.Join(home, rest), home != ""
}
