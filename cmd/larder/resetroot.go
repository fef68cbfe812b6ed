package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/larder-cache/larder/internal/app"
)

func resetRootCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "reset-root [DIR]",
		Short:   "Make a new root secret for a stopped server",
		GroupID: "server",
		Long: `Reset-root makes a new random secret for the root user of the data directory DIR and
prints it. Stop the server first. The secret is kept in DIR/root.json, readable by its
owner alone; users, keys and objects stay as they are.

A server whose root user is configured (LARDER_ROOT_USER, MINIO_ROOT_USER or a file that
holds the secret) does not read DIR/root.json: change the secret there instead.`,
		Example: `  systemctl stop larder && larder reset-root /var/lib/larder`,
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, err := dataDir(args)
			if err != nil {
				return err
			}
			key, err := app.ResetRootStopped(cmd.Context(), dir)
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if _, err := fmt.Fprintf(out, "Root user: %s\nRoot secret: %s\n", key.User, key.Secret.Reveal()); err != nil {
				return err
			}
			for _, name := range []string{"LARDER_ROOT_USER", "MINIO_ROOT_USER"} {
				if os.Getenv(name) != "" {
					_, err = fmt.Fprintf(cmd.ErrOrStderr(), "larder: %s is set here: a server started with it does not use this secret\n", name)
				}
			}
			return err
		},
	}
}

// dataDir is the directory that a command was given: its argument, or LARDER_DIR.
func dataDir(args []string) (string, error) {
	if len(args) > 0 {
		return args[0], nil
	}
	if dir := os.Getenv("LARDER_DIR"); dir != "" {
		return dir, nil
	}
	return "", usageError{fmt.Errorf("name the data directory, or set LARDER_DIR")}
}
