package login

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
)

// Command is a program to run with a session.
type Command struct {
	Args     []string
	Env      []string // complete, "NAME=value"
	Stdin    io.Reader
	Stdout   io.Writer
	Stderr   io.Writer
	Terminal bool // Stdin is a terminal, which itself sends Ctrl-C to the program
}

// ExitError is the end of a program that did not succeed. Its text is empty: the
// program said what there was to say.
type ExitError struct{ Code int }

func (e *ExitError) Error() string { return "" }

// ExitCode is the program's own, or 128 and the signal's number, as a shell has it.
func (e *ExitError) ExitCode() int { return e.Code }

// Run runs the program to its end. Signals that reach this process are passed on,
// and it is the program that decides what they mean; so ctx, which ends with some
// of them, does not end it.
func (c *Command) Run(ctx context.Context) error {
	cmd := exec.CommandContext(context.WithoutCancel(ctx), c.Args[0], c.Args[1:]...) //nolint:gosec // running it is the purpose
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = c.Env, c.Stdin, c.Stdout, c.Stderr
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	defer signal.Stop(signals)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("run %s: %w", c.Args[0], err)
	}
	ended := make(chan struct{})
	passed := make(chan struct{})
	go func() {
		defer close(passed)
		c.pass(signals, cmd.Process, ended)
	}()
	err := cmd.Wait()
	close(ended)
	<-passed
	return exitError(err)
}

func (c *Command) pass(signals <-chan os.Signal, to *os.Process, ended <-chan struct{}) {
	for {
		select {
		case s := <-signals:
			if c.Terminal && (s == os.Interrupt || s == syscall.SIGQUIT) {
				continue
			}
			_ = to.Signal(s) // it may have ended just now
		case <-ended:
			return
		}
	}
}

func exitError(err error) error {
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		return err
	}
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return &ExitError{128 + int(status.Signal())}
	}
	return &ExitError{exit.ExitCode()}
}

// Environment returns env with the variables of set in place of its own of the
// same names; those of keep stay as they are if env has them.
func Environment(env []string, set, keep map[string]string) []string {
	result := make([]string, 0, len(env)+len(set)+len(keep))
	has := make(map[string]bool)
	for _, variable := range env {
		name, _, _ := strings.Cut(variable, "=")
		if _, replaced := set[name]; !replaced {
			result = append(result, variable)
			has[name] = true
		}
	}
	for name, value := range set {
		result = append(result, name+"="+value)
	}
	for name, value := range keep {
		if !has[name] {
			result = append(result, name+"="+value)
		}
	}
	return result
}
