package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/larder-cache/larder/internal/adminclient"
	"github.com/larder-cache/larder/internal/app"
	"github.com/larder-cache/larder/internal/iam"
)

// explainOptions say what "policy explain" is asked, and where it looks.
type explainOptions struct {
	question         iam.Question
	at               string
	dir              string
	alias            string
	endpoint, caFile string
	accessKey        string
	policies         []string
	bucketPolicy     string
	asJSON           bool
}

func policyExplainCommand() *cobra.Command {
	var o explainOptions
	cmd := &cobra.Command{
		Use:   "explain --user USER --action ACTION --resource RESOURCE",
		Short: "Say whether somebody may, and which statement decides",
		Long: `Explain decides one action as the server would, and names the statement that decided.

The policies are those of a running server, of the data directory of a stopped one (--dir), or
files (--policy, each as if it were attached). The server is found as by 'larder admin':
--alias of mc; --endpoint or LARDER_ENDPOINT, with the key of an administrator in AWS_ACCESS_KEY_ID and
AWS_SECRET_ACCESS_KEY; otherwise the one on LARDER_DIR or ./data, with its root key.

USER may be a user, an access key, the subject of an issuer, or root; without --user it is
anybody without credentials. RESOURCE is bucket, bucket/key, or an ARN.`,
		Example: `  larder policy explain --user sccache --action s3:GetObject --resource sccache/a/b
  larder policy explain --endpoint http://localhost:9000 --user sccache --action s3:PutObject --resource sccache/a/b
  larder policy explain --policy ci.json --user ci --action s3:ListBucket --resource sccache --fact s3:prefix=main/
  larder policy explain --dir ./data --user alice --action admin:CreateServiceAccount --target alice`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			e, err := o.explain(cmd)
			if err != nil {
				return err
			}
			if o.asJSON {
				encoder := json.NewEncoder(cmd.OutOrStdout())
				encoder.SetIndent("", "  ")
				return encoder.Encode(e)
			}
			return writeExplanation(cmd.OutOrStdout(), &e)
		},
	}
	o.addFlags(cmd)
	return cmd
}

func (o *explainOptions) addFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.question.User, "user", "", "`name` of a user, access key or subject (default: anonymous)")
	f.StringVar(&o.question.Action, "action", "", "`action`, such as s3:GetObject")
	f.StringVar(&o.question.Resource, "resource", "", "`bucket`, bucket/key or ARN")
	f.StringVar(&o.question.Target, "target", "", "the `user` whom an admin action is about")
	f.StringVar(&o.question.SourceIP, "source-ip", "", "`address` that the request comes from")
	f.BoolVar(&o.question.TLS, "tls", false, "the request comes over TLS")
	f.StringVar(&o.at, "at", "", "`time` of the request, RFC 3339 (default: now)")
	f.StringArrayVar(&o.question.Facts, "fact", nil, "`key=value` of a condition key of the request, such as s3:prefix=a/ (repeatable)")
	f.StringArrayVar(&o.question.Claims, "claim", nil, "`claim=value` of the token that a session was made from, such as ref=refs/heads/main (repeatable)")
	f.StringVar(&o.alias, "alias", "", "`name` of an alias of mc")
	f.StringVar(&o.endpoint, "endpoint", "", "`URL` of a running server (default: $LARDER_ENDPOINT, or that of $LARDER_DIR or ./data)")
	f.StringVar(&o.accessKey, "access-key", "", "`name` of the key to sign with (default: $AWS_ACCESS_KEY_ID)")
	f.StringVar(&o.caFile, "ca-file", "", "PEM `file` of an authority to trust beside the system's")
	f.StringVar(&o.dir, "dir", "", "data `directory` of a stopped server")
	f.StringArrayVar(&o.policies, "policy", nil, "`file` with a policy that counts (repeatable)")
	f.StringVar(&o.bucketPolicy, "bucket-policy", "", "`file` with the policy of the bucket")
	f.BoolVar(&o.asJSON, "json", false, "print JSON")
	_ = cmd.MarkFlagRequired("action") // the flag exists
	cmd.MarkFlagsMutuallyExclusive("alias", "endpoint", "dir", "policy")
	cmd.MarkFlagsMutuallyExclusive("alias", "endpoint", "dir", "bucket-policy")
}

func (o *explainOptions) explain(cmd *cobra.Command) (e iam.Explanation, err error) {
	if o.at != "" {
		if o.question.At, err = time.Parse(time.RFC3339, o.at); err != nil {
			return e, usageError{fmt.Errorf("--at: %w", err)}
		}
	}
	if _, err := o.question.Request(time.Now()); err != nil {
		return e, usageError{err}
	}
	switch {
	case o.dir != "":
		return o.fromDir(cmd)
	case o.policies != nil || o.bucketPolicy != "":
		return o.fromFiles(cmd)
	}
	return o.fromServer(cmd)
}

// fromServer asks the server that "larder admin" would find.
func (o *explainOptions) fromServer(cmd *cobra.Command) (e iam.Explanation, err error) {
	admin := adminOptions{alias: o.alias, endpoint: o.endpoint, accessKey: o.accessKey, caFile: o.caFile}
	target, err := admin.target(cmd)
	if err != nil {
		return e, err
	}
	client, err := adminclient.New(target)
	if err != nil {
		return e, usageError{err}
	}
	return client.Explain(cmd.Context(), o.question)
}

func (o *explainOptions) fromDir(cmd *cobra.Command) (e iam.Explanation, err error) {
	cfg, _, err := app.Load(app.Sources{Flags: map[string]string{"dir": o.dir}, Environ: os.Environ()})
	if err != nil {
		return e, usageError{err}
	}
	stopped, err := app.OpenStopped(cmd.Context(), cfg)
	if err != nil {
		return e, err
	}
	defer func() { err = errors.Join(err, stopped.Close()) }()
	return stopped.Explain(cmd.Context(), o.question)
}

func (o *explainOptions) fromFiles(cmd *cobra.Command) (e iam.Explanation, err error) {
	r, err := o.question.Request(time.Now())
	if err != nil {
		return e, err
	}
	var grants iam.Grants
	for _, file := range o.policies {
		p, err := parseFile(cmd.InOrStdin(), file, "")
		if err != nil {
			return e, err
		}
		grants.Policies = append(grants.Policies, iam.NamedPolicy{Name: iam.PolicyName(file), Policy: p})
	}
	if o.bucketPolicy != "" {
		if r.BucketPolicy, err = parseFile(cmd.InOrStdin(), o.bucketPolicy, r.Check.Resource.Bucket); err != nil {
			return e, err
		}
	}
	switch claims := r.Principal.Claims; {
	case claims != nil:
		r.Principal = iam.Principal{Kind: iam.Session, Parent: iam.Subject, User: iam.UserName(o.question.User), Claims: claims}
	case o.question.User != "":
		r.Principal = iam.Principal{Kind: iam.User, User: iam.UserName(o.question.User)}
	}
	return iam.Explain(r, grants), nil
}

func parseFile(stdin io.Reader, file, bucket string) (*iam.Policy, error) {
	doc, err := readPolicy(stdin, file)
	if err != nil {
		return nil, err
	}
	p, err := parsePolicy(doc, bucket)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return p, nil
}

func writeExplanation(w io.Writer, e *iam.Explanation) error {
	verdict := "DENIED"
	if e.Allowed {
		verdict = "ALLOWED"
	}
	text := fmt.Sprintf("%s: %s\n", verdict, e.Reason)
	if e.Refused != "" {
		text = fmt.Sprintf("%s: %s (otherwise: %s)\n", verdict, e.Refused, e.Reason)
	}
	text += "who: " + strings.TrimSpace(e.Kind+" "+string(e.User))
	for _, group := range e.Groups {
		text += ", in group " + string(group)
	}
	var held []string
	for _, name := range e.Policies {
		held = append(held, string(name))
	}
	if e.Inline {
		held = append(held, "the credential's own")
	}
	if e.Bucket {
		held = append(held, "the bucket's")
	}
	if held == nil {
		held = []string{"none"}
	}
	_, err := fmt.Fprintf(w, "%s\npolicies: %s\n", text, strings.Join(held, ", "))
	return err
}
