package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func adminInfoCommand(o *adminOptions) *cobra.Command {
	return &cobra.Command{
		Use: "info", Short: "Say what the server is and how it does", Args: cobra.NoArgs,
		Example: `  larder admin info
  larder admin info --json`,
		RunE: o.run(func(r *adminRun, _ []string) error {
			info, err := r.Info(r.cmd.Context())
			if err != nil {
				return err
			}
			if r.options.asJSON {
				return r.json(info)
			}
			var text strings.Builder
			fmt.Fprintf(&text, "server     %s, %s\nholds      %d buckets, %d objects, %s\n",
				r.Target().Endpoint, info.Mode, info.Buckets.Count, info.Objects.Count, size(info.Usage.Size))
			for _, s := range info.Servers {
				fmt.Fprintf(&text, "version    %s, up %s\n", printable(s.Version), time.Duration(s.Uptime)*time.Second)
				for _, d := range s.Drives {
					fmt.Fprintf(&text, "drive      %s %s: %s of %s free\n", printable(d.Path), d.State, size(int64(d.Available)), size(int64(d.Total)))
				}
			}
			_, err = fmt.Fprint(r.cmd.OutOrStdout(), text.String())
			return err
		}),
	}
}

func adminAuditCommand(o *adminOptions) *cobra.Command {
	var count int
	cmd := &cobra.Command{
		Use: "audit", Short: "Show who changed what: users, policies, keys, settings",
		Long: "Audit shows the latest changes, oldest first. With --json it prints one document a line.",
		Example: `  larder admin audit --limit 20
  larder admin audit --json > audit.jsonl`,
		Args: cobra.NoArgs,
		RunE: o.run(func(r *adminRun, _ []string) error {
			records, err := r.Audit(r.cmd.Context(), count)
			if err != nil {
				return err
			}
			if r.options.asJSON {
				encoder := json.NewEncoder(r.cmd.OutOrStdout())
				for i := range records {
					if err := encoder.Encode(&records[i]); err != nil { //nolint:gosec // G117: the name of a key, not its secret
						return err
					}
				}
				return nil
			}
			rows := make([][]string, len(records))
			for i, a := range records {
				rows[i] = []string{a.Time.Local().Format(time.DateTime), none(string(a.User)), a.Kind, none(a.From), a.Action, a.Target}
			}
			return r.show(nil, "TIME WHO AS FROM ACTION WHAT", rows)
		}),
	}
	cmd.Flags().IntVar(&count, "limit", 0, "show at most this `number` of the latest records (default: all that are kept)")
	return cmd
}

func adminTraceCommand(o *adminOptions) *cobra.Command {
	var onlyErrors bool
	var threshold time.Duration
	cmd := &cobra.Command{
		Use: "trace", Short: "Watch requests while they happen", Args: cobra.NoArgs,
		Example: `  larder admin trace --errors
  larder admin trace --slower 100ms`,
		RunE: o.run(func(r *adminRun, _ []string) error {
			out := r.cmd.OutOrStdout()
			for e, err := range r.Trace(r.cmd.Context(), onlyErrors, threshold) {
				if err != nil {
					return err
				}
				if r.options.asJSON {
					err = json.NewEncoder(out).Encode(e)
				} else {
					_, err = fmt.Fprintf(out, "%s %d %-24s %s %s %s in %d B out %d B %s\n", e.Time.Local().Format("15:04:05.000"), e.HTTP.Response.Status, e.Function,
						e.HTTP.Request.Client, e.Duration.Round(time.Microsecond), printable(e.Path), e.HTTP.Stats.In, e.HTTP.Stats.Out, e.Error)
				}
				if err != nil {
					return err
				}
			}
			return nil
		}),
	}
	cmd.Flags().BoolVar(&onlyErrors, "errors", false, "only requests that failed")
	cmd.Flags().DurationVar(&threshold, "slower", 0, "only requests that took at least this `long`")
	return cmd
}

func adminExportCommand(o *adminOptions) *cobra.Command {
	return &cobra.Command{
		Use: "export FILE", Short: "Write all users, groups, policies and keys to a zip file",
		Long: `Export writes all identities with their secrets to a new file that its owner alone can read. Whoever
has it can sign as everybody. It is in the form of 'mc admin cluster iam export'.`,
		Example: `  larder admin export identities.zip`,
		Args:    cobra.ExactArgs(1),
		RunE: o.run(func(r *adminRun, args []string) error {
			var archive bytes.Buffer
			if err := r.Export(r.cmd.Context(), &archive); err != nil {
				return err
			}
			file, err := os.OpenFile(args[0], os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
			if err != nil {
				return err
			}
			_, err = file.Write(archive.Bytes())
			if err := errors.Join(err, file.Close()); err != nil {
				return err
			}
			return r.did(outcome{Done: "export", Name: args[0]}, "wrote %s to %s", size(int64(archive.Len())), args[0])
		}),
	}
}

// maxImport is the longest archive that the server takes, in bytes.
const maxImport = 16 << 20

func adminImportCommand(o *adminOptions) *cobra.Command {
	return &cobra.Command{
		Use: "import FILE", Short: "Take users, groups, policies and keys from a zip file",
		Long: `Import takes an archive that this command's counterpart, 'mc admin cluster iam export', or a MinIO
server wrote, as one change or none. What has the same name is replaced.`,
		Example: `  larder admin import identities.zip`,
		Args:    cobra.ExactArgs(1),
		RunE: o.run(func(r *adminRun, args []string) error {
			file, err := os.Open(args[0])
			if err != nil {
				return err
			}
			defer func() { _ = file.Close() }()
			archive, err := io.ReadAll(io.LimitReader(file, maxImport+1))
			if err != nil {
				return err
			}
			if len(archive) > maxImport {
				return fmt.Errorf("%s has more than %s", args[0], size(maxImport))
			}
			report, err := r.Import(r.cmd.Context(), archive)
			if err != nil {
				return err
			}
			if r.options.asJSON {
				return r.json(report)
			}
			return r.showImport(report)
		}),
	}
}

func (r *adminRun) showImport(text json.RawMessage) error {
	type names struct {
		Policies, Users, Groups []string
		ServiceAccounts         []string
	}
	var report struct{ Added, Skipped names }
	if err := json.Unmarshal(text, &report); err != nil {
		return fmt.Errorf("the server's report: %w", err)
	}
	n := func(list []string) string { return strconv.Itoa(len(list)) }
	a, s := report.Added, report.Skipped
	return r.show(nil, "WHAT IMPORTED SKIPPED", [][]string{
		{"users", n(a.Users), n(s.Users)},
		{"groups", n(a.Groups), n(s.Groups)},
		{"policies", n(a.Policies), n(s.Policies)},
		{"keys", n(a.ServiceAccounts), n(s.ServiceAccounts)},
	})
}
