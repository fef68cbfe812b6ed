package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/larder-cache/larder/internal/engine/disk"
	"github.com/larder-cache/larder/internal/engine/local"
)

func fsckCommand() *cobra.Command {
	var repair, asJSON bool
	cmd := &cobra.Command{
		Use:     "fsck [DIR]",
		Short:   "Check a stopped server's store, and repair it",
		GroupID: "server",
		Long: `Fsck reads every byte of the store in the data directory DIR and names what is damaged:
the bucket and the key where the damage leaves them readable. Stop the server first.

With --repair it rebuilds the index where it must, removes objects whose content is
damaged, and says of which keys an older state, or none, counts from then on.

It ends with 0 if nothing is damaged, with 1 if something is or was.`,
		Example: `  systemctl stop larder && larder fsck /var/lib/larder
  larder fsck /var/lib/larder --repair`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, err := dataDir(args)
			if err != nil {
				return err
			}
			report, err := local.Check(cmd.Context(), disk.OS(), filepath.Join(dir, "store"), local.CheckOptions{
				Repair: repair, Progress: progress(cmd.ErrOrStderr()),
			})
			if err != nil {
				return err
			}
			if err := printReport(cmd.OutOrStdout(), &report, asJSON); err != nil {
				return err
			}
			if report.Damaged() {
				return errors.New("the store is damaged" + map[bool]string{true: "; what could be repaired was"}[repair])
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&repair, "repair", false, "mend what can be mended, give up by name what cannot")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// progress shows how far a check has come, at most once a second.
func progress(w io.Writer) func(local.Progress) {
	begun, shown := time.Now(), time.Now()
	return func(p local.Progress) {
		now := time.Now()
		if now.Sub(shown) < time.Second || p.Total == 0 {
			return
		}
		shown = now
		_, _ = fmt.Fprintf(w, "larder: %d of %d MiB read (%d %%), %s\n",
			p.Done>>20, p.Total>>20, 100*p.Done/p.Total, now.Sub(begun).Round(time.Second))
	}
}

func printReport(w io.Writer, r *local.Report, asJSON bool) error {
	if asJSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(r)
	}
	for _, f := range r.Findings {
		kind := "note"
		if f.Damage {
			kind = "DAMAGE"
		}
		line := kind + ": "
		if f.Bucket != "" || f.Key != "" {
			line += fmt.Sprintf("%q/%q: ", f.Bucket, f.Key)
		}
		line += f.What
		if f.Segment != 0 {
			line += fmt.Sprintf(" (segment %d at %d)", f.Segment, f.Offset)
		}
		if f.Repaired != "" {
			line += "; repaired: " + f.Repaired
		}
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	verdict := "nothing is damaged"
	if r.Damaged() {
		verdict = "the store is damaged"
	}
	_, err := fmt.Fprintf(w, "%d segments, %d records, %d MiB read: %s\n", r.Segments, r.Records, r.Bytes>>20, verdict)
	return err
}
