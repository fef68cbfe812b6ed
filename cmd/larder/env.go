package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/larder-cache/larder/internal/sccache"
)

// envOptions are the flags of larder env.
type envOptions struct{ client, shell, endpoint, style string }

func envCommand() *cobra.Command {
	var o envOptions
	cmd := &cobra.Command{
		Use:     "env [DIR]",
		Short:   "Print what to paste where sccache runs",
		GroupID: "client",
		Long: `Env prints the block that tells sccache where the server on the data directory DIR is
(default: $LARDER_DIR, then ./data). It is run on the server's machine and holds a secret,
except for GitHub, where it says how to hand the secret over.

The block fails open: with sccache 0.18 or later, a cache that is down never stops a build.

Where the server has a domain, the bucket goes into the host name if every sccache finds
that name, by the hosts file and by DNS; otherwise into the path.`,
		Example: `  eval "$(larder env ./data)"                       # this shell, now
  larder env ./data --shell fish
  (umask 077; larder env ./data --endpoint cache.example:9000 --shell docker > sccache.env)`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: completeDir,
		RunE:              func(cmd *cobra.Command, args []string) error { return printEnv(cmd, args, o) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.client, "for", string(sccache.ForSccache), "the `client`: sccache")
	flags.StringVar(&o.shell, "shell", string(sccache.Sh), "`place` to paste it: "+join(sccache.Shells(), ", "))
	flags.StringVar(&o.endpoint, "endpoint", "", "`URL` at which the client reaches the server, if it is not the one that serve printed")
	flags.StringVar(&o.style, "style", "auto", "`place` of the bucket: auto, path or virtual-host")
	complete(cmd, "for", func() (values []string) { return words(sccache.Clients()) })
	complete(cmd, "style", func() []string {
		return []string{"auto\twhat the client finds", "path\thttp://HOST/BUCKET", "virtual-host\thttp://BUCKET.DOMAIN"}
	})
	complete(cmd, "shell", func() (values []string) {
		for _, s := range sccache.Shells() {
			values = append(values, string(s)+"\t"+s.Describe())
		}
		return values
	})
	return cmd
}

func printEnv(cmd *cobra.Command, args []string, o envOptions) error {
	dir := "data"
	if name := os.Getenv("LARDER_DIR"); name != "" {
		dir = name
	}
	if len(args) > 0 {
		dir = args[0]
	}
	path := filepath.Join(dir, "sccache.json")
	p, err := sccache.LoadProfile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("no %s: name the data directory of a server that has been started with 'larder serve' (for one started MinIO's way, see 'larder key create')", path)
	}
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w: only the user that the server runs as reads it, and root", err)
	}
	if err != nil {
		return err
	}
	if o.endpoint != "" {
		if p, err = p.At(o.endpoint); err != nil {
			return usageError{fmt.Errorf("--endpoint: %w", err)}
		}
	}
	switch o.style {
	case "auto":
		p = p.ChooseStyle(func(host string) bool { return sccache.FoundByAll(cmd.Context(), host) })
	case "path":
		p.VirtualHost = false
	case "virtual-host":
		if p.Domain == "" {
			return usageError{errors.New("--style virtual-host needs a server that was started with --domain")}
		}
		p.VirtualHost = true
	default:
		return usageError{fmt.Errorf("--style %q: there are auto, path and virtual-host", o.style)}
	}
	if err := p.Render(cmd.OutOrStdout(), sccache.Client(o.client), sccache.Shell(o.shell)); err != nil {
		return usageError{err}
	}
	return nil
}
