package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/larder-cache/larder/internal/app"
)

func serveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "serve [DIR]",
		Short:   "Run the server",
		GroupID: "server",
		Long: `Serve runs the server on the data directory DIR.

Its first start makes a random root secret (in DIR/root.json, readable by its owner
alone), a cache bucket "sccache" and a user that may do just what sccache needs on it,
and prints the block to paste where sccache runs. 'larder env' prints it again.
Restarting changes nothing.

Every flag is also a variable (LARDER_ADDRESS) and a key of the configuration file
(address = ":9000"); MinIO's variables are understood.`,
		Example: `  larder serve ./data
  larder serve /var/lib/larder --tls auto --domain cache.example
  larder serve --config /etc/larder.toml
  LARDER_ROOT_USER=root LARDER_ROOT_PASSWORD_FILE=/run/secrets/root larder serve /data`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return serve(cmd, args, false) },
	}
	addServerFlags(cmd.Flags())
	complete(cmd, "tls", func() []string { return []string{"off\tplain HTTP", "auto\tan own authority, made once"} })
	complete(cmd, "log-level", func() []string { return []string{"debug", "info", "warn", "error"} })
	cmd.ValidArgsFunction = completeDir
	return cmd
}

// minioCommand is "server", as MinIO's units and containers spell it.
func minioCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "server [DIR...]",
		Short:   "Run the server as MinIO's units start theirs",
		GroupID: "server",
		Long: `Server takes the arguments and variables of a MinIO server, so that an existing unit or
container starts with another binary. Only the root user exists then, with the secret of
MINIO_ROOT_USER and MINIO_ROOT_PASSWORD, and nothing else is made.`,
		Example: `  MINIO_ROOT_USER=minio MINIO_ROOT_PASSWORD=minio123 larder server /data --console-address :9090
  larder server /data --certs-dir /certs`,
		RunE: func(cmd *cobra.Command, args []string) error { return serve(cmd, args, true) },
	}
	addServerFlags(cmd.Flags())
	complete(cmd, "tls", func() []string { return []string{"off\tplain HTTP", "auto\tan own authority, made once"} })
	complete(cmd, "log-level", func() []string { return []string{"debug", "info", "warn", "error"} })
	cmd.ValidArgsFunction = completeDir
	return cmd
}

func addServerFlags(flags *pflag.FlagSet) {
	flags.String("config", "", "configuration `file`, TOML")
	for _, s := range app.Settings() {
		if s.Secret {
			continue
		}
		if s.Switch {
			flags.VarPF(new(toggle), s.Name, s.Short, usage(&s)).NoOptDefVal = "true"
			continue
		}
		flags.StringP(s.Name, s.Short, "", usage(&s))
	}
}

func usage(s *app.Setting) string {
	if s.Default == "" || s.Default == "false" {
		return s.Usage
	}
	return fmt.Sprintf("%s (default %s)", s.Usage, s.Default)
}

func serve(cmd *cobra.Command, args []string, minio bool) error {
	src := app.Sources{Flags: map[string]string{}, Environ: os.Environ(), MinIO: minio}
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if f.Name == "config" {
			src.File = f.Value.String()
			return
		}
		src.Flags[f.Name] = f.Value.String()
	})
	if len(args) > 0 {
		if _, twice := src.Flags["dir"]; twice {
			return usageError{fmt.Errorf("the data directory is named twice: as an argument and with --dir")}
		}
		src.Flags["dir"] = strings.Join(args, " ")
	}
	cfg, warnings, err := app.Load(src)
	if err != nil {
		return usageError{err}
	}
	err = app.Run(cmd.Context(), cfg, app.Process{
		Stdout:   cmd.OutOrStdout(),
		Stderr:   cmd.ErrOrStderr(),
		Version:  version(),
		Warnings: warnings,
	})
	if errors.As(err, new(app.ConfigError)) {
		return usageError{err}
	}
	return err
}
