package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/larder-cache/larder/internal/adminclient"
	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/object"
	"github.com/larder-cache/larder/internal/sccache"
)

func keyCommand() *cobra.Command {
	var o adminOptions
	cmd := &cobra.Command{
		Use:     "key",
		Short:   "Make keys for builds",
		GroupID: "manage",
		Example: `  larder key create --bucket sccache --expires 90d`,
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	o.addFlags(cmd)
	cmd.AddCommand(keyCreateCommand(&o))
	return cmd
}

// keyOptions are the flags of larder key create.
type keyOptions struct {
	bucket, prefix, user, name string
	expires, shell             string
	readOnly                   bool
}

func keyCreateCommand(o *adminOptions) *cobra.Command {
	var k keyOptions
	cmd := &cobra.Command{
		Use:   "create --bucket BUCKET",
		Short: "Make a key for exactly one bucket and print what sccache needs",
		Long: `Create makes an access key that may use one bucket, or one prefix of it, and nothing else, and
prints the block to paste where sccache runs. The secret cannot be had again.

A key derives from the caller, or from the user that --user names, and may never do more than
he: a key of root's outlives no user and is removed by its name ('larder admin key rm').

The server is found as 'larder admin --help' says.`,
		Example: `  larder key create --bucket sccache --expires 90d
  larder key create --bucket sccache --prefix team-a --shell github
  larder key create --bucket sccache --read-only --name "pull requests"
  eval "$(larder key create --bucket sccache --expires 12h)"`,
		Args: cobra.NoArgs,
		RunE: o.run(func(r *adminRun, _ []string) error { return k.create(r) }),
	}
	flags := cmd.Flags()
	flags.StringVar(&k.bucket, "bucket", "", "`name` of the bucket")
	flags.StringVar(&k.prefix, "prefix", "", "only keys below this `prefix`, which sccache is told to use")
	flags.StringVar(&k.user, "user", "", "derive the key from this `user` (default: the caller)")
	flags.StringVar(&k.name, "name", "", "what it is for, in a few `words`")
	flags.StringVar(&k.expires, "expires", "", "`when` it ends: 90d, 12h, 2027-01-31 (default: never)")
	flags.StringVar(&k.shell, "shell", string(sccache.Sh), "where to paste the block: "+join(sccache.Shells(), ", "))
	flags.BoolVar(&k.readOnly, "read-only", false, "reading only: a build with it finds what others stored")
	if err := cmd.MarkFlagRequired("bucket"); err != nil {
		panic(err) // the flag is misspelt
	}
	o.completesFlag(cmd, "bucket", bucketNames)
	o.completesFlag(cmd, "user", userNames)
	complete(cmd, "shell", func() []string { return words(sccache.Shells()) })
	return cmd
}

func (k *keyOptions) create(r *adminRun) error {
	bucket, err := object.ParseBucketName(k.bucket)
	if err != nil {
		return usageError{err}
	}
	expires, err := parseExpiry(k.expires, time.Now())
	if err != nil {
		return usageError{fmt.Errorf("--expires: %w", err)}
	}
	prefix := strings.Trim(k.prefix, "/")
	if strings.ContainsAny(prefix, "*?$") {
		return usageError{fmt.Errorf("--prefix: %q holds a character that a policy reads as a pattern", prefix)}
	}
	if _, err := r.Empty(r.cmd.Context(), bucket); adminclient.IsCode(err, "NoSuchBucket") {
		return fmt.Errorf("there is no bucket %s; 'larder admin bucket make %s' makes it", bucket, bucket)
	}
	profile := sccache.Profile{Endpoint: r.Target().Endpoint.String(), Bucket: k.bucket, KeyPrefix: prefix, CAFile: r.options.caFile}
	if !r.options.asJSON && !known(k.shell) {
		return usageError{fmt.Errorf("unknown shell %q; there are %s", k.shell, join(sccache.Shells(), ", "))}
	}
	id, secret, err := r.CreateKey(r.cmd.Context(), adminclient.KeySpec{
		Parent: iam.UserName(k.user), Policy: bucketPolicy(k.bucket, prefix, k.readOnly), Name: k.name, Expires: expires,
	})
	if err != nil {
		return err
	}
	if r.options.asJSON {
		return r.json(outcome{Done: "key.create", Name: string(id), Secret: secret.Reveal(), Detail: map[string]any{
			"bucket": k.bucket, "prefix": prefix, "readOnly": k.readOnly, "expires": until(expires),
		}})
	}
	profile.AccessKey, profile.Secret = string(id), secret
	return profile.Render(r.cmd.OutOrStdout(), sccache.ForSccache, sccache.Shell(k.shell))
}

func known(shell string) bool {
	for _, s := range sccache.Shells() {
		if string(s) == shell {
			return true
		}
	}
	return false
}

// bucketPolicy allows what sccache does with one bucket, or one prefix of it.
func bucketPolicy(bucket, prefix string, readOnly bool) []byte {
	type statement struct {
		Effect    string
		Action    []string
		Resource  []string
		Condition map[string]any `json:",omitempty"`
	}
	arn := "arn:aws:s3:::" + bucket
	objects, list := arn+"/*", statement{Effect: "Allow", Action: []string{"s3:ListBucket"}, Resource: []string{arn}}
	if prefix != "" {
		objects = arn + "/" + prefix + "/*"
		list.Condition = map[string]any{"StringLike": map[string]any{"s3:prefix": []string{prefix, prefix + "/*"}}}
	}
	actions := []string{"s3:GetObject"}
	if !readOnly {
		actions = append(actions, "s3:PutObject")
	}
	statements := []statement{
		{Effect: "Allow", Action: []string{"s3:GetBucketLocation"}, Resource: []string{arn}},
		list,
		{Effect: "Allow", Action: actions, Resource: []string{objects}},
	}
	document, err := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": statements})
	if err != nil {
		panic(fmt.Sprintf("a policy of strings does not encode: %v", err))
	}
	return document
}
