package tools

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

// run starts the registries' clients for one tool: at the lowest priority, with
// their output in a log file and a line of progress every half minute.
type run struct {
	name     string
	log      string // file
	progress io.Writer
}

// command runs argv in dir with env added to the process's own, and returns its
// standard output.
func (r *run) command(ctx context.Context, dir string, env []string, argv ...string) ([]byte, error) {
	log, err := os.OpenFile(r.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	_, _ = fmt.Fprintf(log, "+ %q\n", argv)
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, "nice", append([]string{"-n", "19"}, argv...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout = io.MultiWriter(&out, log)
	cmd.Stderr = log
	done := make(chan struct{})
	go r.tick(done)
	err = cmd.Run()
	close(done)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; the end of %s:\n%s", argv[0], err, r.log, tail(r.log))
	}
	return out.Bytes(), nil
}

func (r *run) tick(done <-chan struct{}) {
	start := time.Now()
	ticker := time.NewTicker(30 * time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-done:
			return
		case <-ticker.C:
			_, _ = fmt.Fprintf(r.progress, "tools: %s: still at it after %v\n", r.name, time.Since(start).Round(time.Second))
		}
	}
}

func tail(path string) []byte {
	const most = 3000
	text, err := os.ReadFile(path)
	if err != nil {
		return []byte(err.Error())
	}
	return text[max(0, len(text)-most):]
}
