package main

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/protocol/sigv4"
	"github.com/larder-cache/larder/internal/sccache"
)

// TestASecondSignalEndsTheServerAtOnce: the first lets requests under way finish,
// and whoever asks again does not want to wait for them.
func TestASecondSignalEndsTheServerAtOnce(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), program, "serve", dir, "--address", "127.0.0.1:0", "--reserve", "1MiB", "--drain-timeout", "1h")
	cmd.Args[0] = "larder" // what TestMain goes by
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	log := bufio.NewReader(stderr)
	await(t, log, `msg=listening`)
	profile, err := sccache.LoadProfile(filepath.Join(dir, "sccache.json"))
	if err != nil {
		t.Fatal(err)
	}
	body, feed := io.Pipe()
	defer func() { _ = feed.Close() }()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, profile.Endpoint+"/sccache/slow", body)
	if err != nil {
		t.Fatal(err)
	}
	req.ContentLength = 8
	req.Header.Set("Content-Length", "8")
	sigv4.Sign(req, sigv4.Key{ID: iam.AccessKeyID(profile.AccessKey), Secret: profile.Secret}, "auto", "s3", sigv4.UnsignedPayload, time.Now())
	req.Header.Set("Expect", "100-continue")
	go func() {
		resp, err := (&http.Transport{ExpectContinueTimeout: time.Hour}).RoundTrip(req)
		if err == nil {
			_ = resp.Body.Close()
		}
	}()
	_, _ = io.WriteString(feed, "half") // is read once the request is under way

	_ = cmd.Process.Signal(os.Interrupt)
	await(t, log, `msg="stopping`)
	ended := make(chan error, 1)
	go func() { _, _ = io.Copy(io.Discard, log); ended <- cmd.Wait() }()
	for {
		select {
		case err := <-ended:
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGINT { //nolint:forcetypeassert // it is one on Unix
				t.Errorf("the server ended with %v", err)
			}
			return
		default: // the first may not be forgotten yet
			_ = cmd.Process.Signal(os.Interrupt)
			runtime.Gosched()
		}
	}
}

// await reads lines until one matches.
func await(t *testing.T, lines *bufio.Reader, pattern string) {
	t.Helper()
	want := regexp.MustCompile(pattern)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatalf("no line that matches %s: %v", pattern, err)
		}
		if want.MatchString(line) {
			return
		}
	}
}
