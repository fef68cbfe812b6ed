package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"testing"
)

// errFailed ends the demonstration after its reason was printed.
var errFailed = errors.New("failed")

// stage lets a program use what is made for tests. Of testing.TB it has what the
// harness calls; anything else panics.
type stage struct {
	testing.TB
	ctx      context.Context //nolint:containedctx // testing.TB hands out a context
	cleanups []func()
	failed   bool
}

func newStage() *stage {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	return &stage{ctx: ctx, cleanups: []func(){stop}}
}

// clear runs the clean-ups, the last one first.
func (s *stage) clear() {
	for _, clean := range slices.Backward(s.cleanups) {
		clean()
	}
}

// exitCode is 1 after a failure.
func (s *stage) exitCode() int {
	if s.Failed() {
		return 1
	}
	return 0
}

// TempDir makes a folder that is removed at the end.
func (s *stage) TempDir() string {
	dir, err := os.MkdirTemp("", "larder-demo-")
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// Fatal prints and gives up.
func (s *stage) Fatal(args ...any) {
	fmt.Fprintln(os.Stderr, append([]any{"demo:"}, args...)...)
	s.failed = true
	panic(errFailed)
}

// Fatalf prints and gives up.
func (s *stage) Fatalf(format string, args ...any) { s.Fatal(fmt.Sprintf(format, args...)) }

// Errorf prints and goes on.
func (s *stage) Errorf(format string, args ...any) {
	s.failed = true
	fmt.Fprintf(os.Stderr, "demo: "+format+"\n", args...)
}

// Logf prints.
func (s *stage) Logf(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

// Helper does nothing.
func (s *stage) Helper() {}

// Failed reports whether anything was wrong.
func (s *stage) Failed() bool { return s.failed }

// Context ends when the person interrupts.
func (s *stage) Context() context.Context { return s.ctx }

// Cleanup has f called at the end.
func (s *stage) Cleanup(f func()) { s.cleanups = append(s.cleanups, f) }
