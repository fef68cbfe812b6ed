package sccache

import (
	"context"
	"debug/elf"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
)

// Program is one sccache on this machine.
type Program struct {
	Path    string
	Version Version
	Libc    Libc
}

// Libc is what a program was linked with.
type Libc string

// What a program may be linked with.
const (
	LibcUnknown Libc = ""       // not an ELF file: another system, or a script
	LibcGlibc   Libc = "glibc"  //
	LibcMusl    Libc = "musl"   // linked with musl, dynamically
	LibcStatic  Libc = "static" // no interpreter: the static musl builds of sccache's releases
)

// FindProgram looks for name in env's PATH, unless it is a path itself, and asks
// it for its version. It runs "NAME --version", which starts no daemon.
func FindProgram(ctx context.Context, name string, env Environ) (Program, error) {
	path, err := lookPath(name, env["PATH"])
	if err != nil {
		return Program{}, err
	}
	cmd := exec.CommandContext(ctx, path, "--version") //nolint:gosec // the sccache that the user named
	cmd.Env = env.lines()
	out, err := cmd.Output()
	if err != nil {
		return Program{Path: path}, fmt.Errorf("%s --version: %w", path, err)
	}
	first, _, _ := strings.Cut(string(out), "\n")
	p := Program{Path: path, Libc: libc(path)}
	p.Version, err = ParseVersion(first)
	if err != nil || !strings.HasPrefix(first, "sccache") {
		return p, fmt.Errorf("%s is not sccache: --version prints %q", path, first)
	}
	return p, nil
}

func lookPath(name, list string) (string, error) {
	if strings.ContainsRune(name, filepath.Separator) {
		return exec.LookPath(name)
	}
	for _, dir := range filepath.SplitList(list) {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil && filepath.IsAbs(path) {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s: %w", name, exec.ErrNotFound)
}

// lines returns e as os/exec takes it.
func (e Environ) lines() []string {
	lines := make([]string, 0, len(e))
	for name, value := range e {
		lines = append(lines, name+"="+value)
	}
	return lines
}

// libc reads which interpreter an ELF program asks for.
func libc(path string) Libc {
	f, err := elf.Open(path)
	if err != nil {
		return LibcUnknown
	}
	defer func() { _ = f.Close() }()
	for _, part := range f.Progs {
		if part.Type != elf.PT_INTERP || part.Filesz > 4096 {
			continue
		}
		name := make([]byte, part.Filesz)
		if _, err := part.ReadAt(name, 0); err != nil {
			return LibcUnknown
		}
		if strings.Contains(string(name), "ld-musl") {
			return LibcMusl
		}
		return LibcGlibc
	}
	return LibcStatic
}

// Rules returns how p turns names into addresses on system goos.
func (p Program) Rules(goos string) Rules {
	switch {
	case p.Version.Modern():
		return Own
	case goos != "linux":
		return System
	case p.Libc == LibcStatic, p.Libc == LibcMusl:
		return Musl
	}
	return Glibc
}
