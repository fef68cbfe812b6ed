// Command larder is the build cache that a team hosts itself. It turns
// arguments into configurations and calls the packages that do the work.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// The exit codes, the same for every command.
const (
	exitOK     = 0
	exitFailed = 1 // the command ran, and what it looked at or did failed
	exitUsage  = 2 // the command line or the configuration is wrong
)

// usageError is a mistake in the command line or the configuration.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	defer context.AfterFunc(ctx, stop)() // whoever signals again need not wait
	root := rootCommand()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	if len(args) > 0 && strings.HasPrefix(args[0], cobra.ShellCompRequestCmd) {
		plainUsage(root)
	}
	began := false
	mindUsage(root, &began)
	cmd, err := root.ExecuteContextC(ctx)
	if err != nil && !began {
		err = usageError{fmt.Errorf("%w (see '%s --help')", err, cmd.CommandPath())}
	}
	var code interface{ ExitCode() int } // a command that ran another one ends as that one did
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &code):
		return code.ExitCode()
	}
	if text := err.Error(); text != "" {
		_, _ = fmt.Fprintln(stderr, "larder: "+text)
	}
	if errors.As(err, new(usageError)) {
		return exitUsage
	}
	return exitFailed
}

// mindUsage has began say whether a command got as far as to run: what ends
// before that is a mistake in the command line. Commands that only hold others
// name the one that was meant.
func mindUsage(cmd *cobra.Command, began *bool) {
	if cmd.HasSubCommands() {
		cmd.SuggestionsMinimumDistance = 2
		cmd.Args = knownCommand
	}
	if run := cmd.RunE; run != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			*began = true
			return run(cmd, args)
		}
	}
	for _, sub := range cmd.Commands() {
		mindUsage(sub, began)
	}
}

func knownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		return fmt.Errorf("unknown command %q; did you mean %q?", args[0], near[0])
	}
	return fmt.Errorf("unknown command %q", args[0])
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "larder",
		Short: "The build cache that a team hosts itself",
		Long: `Larder is the build cache that a team hosts itself. It speaks S3 to stock sccache,
drops in where MinIO stood, and knows that it is a cache.`,
		Example: `  larder serve ./data              # start a server; it prints what to paste where sccache runs
  larder env --shell fish          # print that again
  larder doctor                    # where sccache runs: say what is wrong, and what to do`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cobra.EnableCommandSorting = false // the order below is that of first use
	root.AddGroup(
		&cobra.Group{ID: "server", Title: "The server:"},
		&cobra.Group{ID: "client", Title: "Where builds run:"},
		&cobra.Group{ID: "manage", Title: "Administration:"},
	)
	root.AddCommand(
		serveCommand(),
		minioCommand(),
		envCommand(),
		loginCommand(),
		doctorCommand(),
		benchCommand(),
		adminCommand(),
		keyCommand(),
		policyCommand(),
		resetRootCommand(),
		fsckCommand(),
		versionCommand(),
	)
	return root
}
