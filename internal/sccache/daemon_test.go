package sccache_test

import (
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/larder-cache/larder/internal/sccache"
)

// script writes an executable; it is closed before anything runs it.
func script(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
}

func TestFindProgram(t *testing.T) {
	dir := t.TempDir()
	script(t, filepath.Join(dir, "sccache"), "#!/bin/sh\necho sccache 0.16.0\n")
	script(t, filepath.Join(dir, "other"), "#!/bin/sh\necho other 1.2.3\n")
	env := sccache.Environ{"PATH": dir}
	p, err := sccache.FindProgram(t.Context(), "sccache", env)
	if err != nil || p.Version != v16 || p.Path != filepath.Join(dir, "sccache") || p.Libc != sccache.LibcUnknown {
		t.Errorf("%+v, %v", p, err)
	}
	for _, name := range []string{"none", "other", filepath.Join(dir, "none")} {
		if p, err := sccache.FindProgram(t.Context(), name, env); err == nil {
			t.Errorf("%s is found: %+v", name, p)
		}
	}
}

func TestStats(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sccache")
	p := sccache.Program{Path: path}
	script(t, path, "#!/bin/sh\necho '{\"stats\":{\"cache_writes\":3},\"cache_location\":\"s3, name: b, prefix: /p/\",\"version\":\"0.16.0\"}'\n")
	s, err := p.Stats(t.Context(), nil)
	uses, level := s.UsesS3()
	if err != nil || s.Bucket() != "b" || s.Counts.Writes != 3 || !uses || level {
		t.Errorf("%+v, %v", s, err)
	}
	script(t, path, "#!/bin/sh\necho 'sccache: error:   it is\nbroken' >&2; exit 2\n")
	if _, err := p.Stats(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "it is broken") {
		t.Error(err)
	}
	script(t, path, "#!/bin/sh\necho hello\n")
	if _, err := p.Stats(t.Context(), nil); err == nil {
		t.Error("no statistics, and no error")
	}
}

func TestFindDaemon(t *testing.T) {
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	env := sccache.Environ{"SCCACHE_SERVER_PORT": port}
	d := sccache.FindDaemon(t.Context(), env)
	if !d.Running || d.Address != l.Addr().String() {
		t.Errorf("%+v", d)
	}
	if runtime.GOOS == "linux" && (d.PID != os.Getpid() || d.UID != os.Getuid() || d.Environ["PATH"] == "") {
		t.Errorf("process %s, not this one: %d, user %d", strconv.Itoa(d.PID), os.Getpid(), d.UID)
	}
	_ = l.Close()
	if d := sccache.FindDaemon(t.Context(), env); d.Running {
		t.Errorf("%+v", d)
	}
}
