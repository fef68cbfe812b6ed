package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/larder-cache/larder/internal/adminclient"
)

func adminCommand() *cobra.Command {
	var o adminOptions
	cmd := &cobra.Command{
		Use:     "admin",
		Short:   "Administer a running server: users, keys, policies, buckets",
		GroupID: "manage",
		Long: `Admin speaks to a running server over the network, as mc admin does.

Which server, and with whose key, is taken from the first of these that is there:

  --alias NAME                       an alias of mc, from ~/.mc/config.json or MC_HOST_NAME
  --dir DIR                          root of the server on this data directory
  --endpoint URL or LARDER_ENDPOINT  with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or
                                     AWS_SECRET_ACCESS_KEY_FILE; a terminal asks for the secret
  LARDER_DIR, then ./data            as --dir

No secret is ever an argument, where other users of the machine could read it.`,
		Example: `  larder admin user add alice                     # prints the secret it made
  larder admin policy attach readwrite --user alice
  larder admin --alias minio bucket ls
  larder admin user rm alice --dry-run
  larder admin audit --limit 20`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	o.addFlags(cmd)
	cmd.AddCommand(
		adminUserCommand(&o), adminGroupCommand(&o), adminPolicyCommand(&o), adminKeyCommand(&o), adminBucketCommand(&o),
		adminQuotaCommand(&o), adminAuditCommand(&o), adminInfoCommand(&o), adminTraceCommand(&o), adminExportCommand(&o),
		adminImportCommand(&o),
	)
	return cmd
}

// adminOptions are the flags of every admin command.
type adminOptions struct {
	alias, dir, endpoint, accessKey, caFile string
	asJSON, dryRun                          bool
}

func (o *adminOptions) addFlags(cmd *cobra.Command) {
	flags := cmd.PersistentFlags()
	flags.StringVar(&o.alias, "alias", "", "`name` of an alias of mc")
	flags.StringVar(&o.dir, "dir", "", "data `directory` of a server on this machine")
	flags.StringVar(&o.endpoint, "endpoint", "", "`URL` of the server (default: $LARDER_ENDPOINT)")
	flags.StringVar(&o.accessKey, "access-key", "", "`name` of the key to sign with (default: $AWS_ACCESS_KEY_ID)")
	flags.StringVar(&o.caFile, "ca", "", "trust the authority in this PEM `file` too (default: $AWS_CA_BUNDLE)")
	flags.BoolVar(&o.asJSON, "json", false, "print JSON")
}

// adminRun is one admin command that runs.
type adminRun struct {
	*adminclient.Client

	cmd     *cobra.Command
	options *adminOptions
}

// run makes the function of a command that needs a server.
func (o *adminOptions) run(f func(r *adminRun, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		target, err := o.target(cmd)
		if err != nil {
			return err
		}
		client, err := adminclient.New(target)
		if err != nil {
			return usageError{err}
		}
		return f(&adminRun{client, cmd, o}, args)
	}
}

// destroys adds --dry-run to a command that destroys something.
func (o *adminOptions) destroys(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "say what would be done, and do nothing")
	return cmd
}

// show prints v as JSON if that was asked for, else a table.
func (r *adminRun) show(v any, header string, rows [][]string) error {
	if r.options.asJSON {
		return r.json(v)
	}
	w := tabwriter.NewWriter(r.cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	lines := append([][]string{strings.Fields(header)}, rows...)
	for _, line := range lines {
		for i, cell := range line {
			line[i] = printable(cell)
		}
		if _, err := fmt.Fprintln(w, strings.Join(line, "\t")); err != nil {
			return err
		}
	}
	return w.Flush()
}

func (r *adminRun) json(v any) error {
	encoder := json.NewEncoder(r.cmd.OutOrStdout())
	encoder.SetIndent("", "  ")
	return encoder.Encode(v)
}

// outcome is what a command did, as JSON.
type outcome struct {
	Done   string `json:"done"` // "user.add"
	Name   string `json:"name"`
	DryRun bool   `json:"dryRun,omitempty"`
	Secret string `json:"secret,omitempty"` // only if it was made here; it cannot be had again
	Detail any    `json:"detail,omitempty"`
}

// did prints what was done: as JSON, or as a sentence.
func (r *adminRun) did(o outcome, format string, args ...any) error {
	if r.options.asJSON {
		return r.json(o)
	}
	_, err := fmt.Fprintf(r.cmd.OutOrStdout(), format+"\n", args...)
	return err
}

// destroy does something that cannot be undone, or says what it would do. what
// begins with the verb's object: "user alice and 2 keys".
func (r *adminRun) destroy(o outcome, what string, do func() error) error {
	if r.options.dryRun {
		o.DryRun = true
		return r.did(o, "would remove %s", what)
	}
	if err := do(); err != nil {
		return err
	}
	return r.did(o, "removed %s", what)
}

// printable keeps what others named from steering the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return '\uFFFD'
		}
		return r
	}, s)
}
