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
	err := root.ExecuteContext(ctx)
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
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w (see '%s --help')", err, cmd.CommandPath())}
	})
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
