package main

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/larder-cache/larder/internal/object"
)

func adminBucketCommand(o *adminOptions) *cobra.Command {
	return parent("bucket", "Buckets", `  larder admin bucket ls
  larder admin bucket make artifacts --quota 50GiB
  larder admin bucket rm artifacts --dry-run`,
		&cobra.Command{Use: "ls", Short: "List buckets and what they hold", Args: cobra.NoArgs, RunE: o.run(listBuckets)},
		bucketMakeCommand(o),
		o.completes(o.destroys(&cobra.Command{Use: "rm NAME", Short: "Remove an empty bucket", Args: cobra.ExactArgs(1), RunE: o.run(removeBucket)}), bucketNames, nothing),
	)
}

func listBuckets(r *adminRun, _ []string) error {
	buckets, err := r.Buckets(r.cmd.Context())
	if err != nil {
		return err
	}
	rows := make([][]string, len(buckets))
	for i := range buckets {
		b := &buckets[i]
		rows[i] = []string{string(b.Name), strconv.FormatInt(b.Objects, 10), size(b.Size), limit(b.Quota()), b.Created.Local().Format("2006-01-02 15:04")}
	}
	return r.show(buckets, "NAME OBJECTS SIZE QUOTA CREATED", rows)
}

func limit(quota int64) string {
	if quota == 0 {
		return "none"
	}
	return size(quota)
}

func bucketMakeCommand(o *adminOptions) *cobra.Command {
	var quota string
	cmd := &cobra.Command{
		Use: "make NAME", Short: "Make a bucket", Args: cobra.ExactArgs(1),
		RunE: o.run(func(r *adminRun, args []string) error {
			name, err := object.ParseBucketName(args[0])
			if err != nil {
				return usageError{err}
			}
			bytes, err := parseSize(quota)
			if err != nil {
				return usageError{fmt.Errorf("--quota: %w", err)}
			}
			if err := r.MakeBucket(r.cmd.Context(), name); err != nil {
				return err
			}
			if bytes > 0 {
				if err := r.SetQuota(r.cmd.Context(), name, bytes); err != nil {
					return fmt.Errorf("the bucket was made; its quota: %w", err)
				}
			}
			return r.did(outcome{Done: "bucket.make", Name: args[0]}, "made bucket %s", args[0])
		}),
	}
	cmd.Flags().StringVar(&quota, "quota", "none", "the most it may hold: a `size` such as 50GiB")
	return cmd
}

func removeBucket(r *adminRun, args []string) error {
	name, err := object.ParseBucketName(args[0])
	if err != nil {
		return usageError{err}
	}
	empty, err := r.Empty(r.cmd.Context(), name)
	if err != nil {
		return err
	}
	if !empty {
		return fmt.Errorf("bucket %s is not empty; nothing was removed", name)
	}
	return r.destroy(outcome{Done: "bucket.rm", Name: args[0]}, "bucket "+args[0], func() error {
		return r.RemoveBucket(r.cmd.Context(), name)
	})
}

func adminQuotaCommand(o *adminOptions) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "quota BUCKET [SIZE | none]",
		Short: "Show or set what a bucket may hold",
		Example: `  larder admin quota sccache
  larder admin quota sccache 50GiB
  larder admin quota sccache none`,
		Args: cobra.RangeArgs(1, 2),
		RunE: o.run(func(r *adminRun, args []string) error {
			name, err := object.ParseBucketName(args[0])
			if err != nil {
				return usageError{err}
			}
			before, err := r.Quota(r.cmd.Context(), name)
			if err != nil {
				return err
			}
			if len(args) == 1 {
				return r.did(outcome{Done: "quota", Name: args[0], Detail: before}, "%s", limit(before))
			}
			after, err := parseSize(args[1])
			if err != nil {
				return usageError{err}
			}
			if r.options.dryRun {
				return r.did(outcome{Done: "quota.set", Name: args[0], Detail: after, DryRun: true}, "would change the quota of %s from %s to %s", name, limit(before), limit(after))
			}
			if err := r.SetQuota(r.cmd.Context(), name, after); err != nil {
				return err
			}
			return r.did(outcome{Done: "quota.set", Name: args[0], Detail: after}, "quota of %s: %s", name, limit(after))
		}),
	}
	return o.completes(o.destroys(cmd), bucketNames, nothing)
}
