package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/larder-cache/larder/internal/doctor"
	"github.com/larder-cache/larder/internal/sccache"
)

func doctorCommand() *cobra.Command {
	var cfg doctor.Config
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "doctor",
		Short:   "Say what keeps sccache from using its cache",
		GroupID: "client",
		Long: `Doctor is run where sccache runs, in the shell that builds. It takes the settings that
sccache takes, does what sccache does with them, and says at each step what it found:

  ✓ as it should be      ! it works, and could be better
  ✗ this is to be mended – not checked, for it rests on what is to be mended

Each ! and ✗ comes with its cause and one remedy; mend the first ✗ and look again.
It reads and writes what sccache does when it starts, and one object of its own that it
removes. It prints no secret. The exit code is 1 if there is a ✗.`,
		Example: `  larder doctor
  larder doctor --sccache ~/.cargo/bin/sccache
  larder doctor --endpoint https://cache.example:9000     # what if?
  larder doctor --json | jq '.checks[] | select(.status == "failed")'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg.Environ = sccache.ParseEnviron(os.Environ())
			dir, err := os.Getwd()
			if err != nil {
				return fmt.Errorf("working directory: %w", err)
			}
			cfg.Dir = dir
			report := doctor.Examine(cmd.Context(), cfg)
			write := report.WriteText
			if asJSON {
				write = report.WriteJSON
			}
			if err := write(cmd.OutOrStdout()); err != nil {
				return err
			}
			if report.Failed() {
				return errors.New("") // the report says it all
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&cfg.Program, "sccache", "sccache", "`path` of the sccache to go by")
	cmd.Flags().StringVar(&cfg.Endpoint, "endpoint", "", "`URL` to examine instead of the one that sccache is told")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
