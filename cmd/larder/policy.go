package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/larder-cache/larder/internal/app"
	"github.com/larder-cache/larder/internal/engine/identity"
	"github.com/larder-cache/larder/internal/iam"
)

func policyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "policy",
		Short:   "Check policies, and say which statement decides",
		GroupID: "manage",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(policyCheckCommand(), policyExplainCommand())
	return cmd
}

func policyCheckCommand() *cobra.Command {
	var bucket string
	cmd := &cobra.Command{
		Use:   "check FILE…",
		Short: "Say what is wrong in policy files",
		Long: `Check reads policies as the server does when one is set, and says what is wrong and
where. Each file, "-" for standard input, gets a line; the exit code is 1 if one is refused.`,
		Example: `  larder policy check ci.json
  larder policy check --bucket public bucket-policy.json`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, files []string) error {
			refused := 0
			for _, file := range files {
				doc, err := readPolicy(cmd.InOrStdin(), file)
				if err != nil {
					return err
				}
				text, ok := checkPolicy(file, doc, bucket)
				if !ok {
					refused++
				}
				if _, err := fmt.Fprint(cmd.OutOrStdout(), text); err != nil {
					return err
				}
			}
			if refused > 0 {
				return errors.New("") // the lines say it all
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&bucket, "bucket", "", "check as the policy of the `bucket` of this name")
	return cmd
}

func readPolicy(stdin io.Reader, file string) ([]byte, error) {
	if file == "-" {
		return io.ReadAll(io.LimitReader(stdin, iam.MaxPolicySize+1))
	}
	return os.ReadFile(file)
}

// checkPolicy returns the lines about one file, in the form that editors jump to.
func checkPolicy(file string, doc []byte, bucket string) (text string, ok bool) {
	p, err := parsePolicy(doc, bucket)
	if syntax := new(iam.SyntaxError); errors.As(err, &syntax) {
		return fmt.Sprintf("%s:%d:%d: %s\n", file, syntax.Line, syntax.Column, syntax.Message), false
	}
	if err != nil {
		return fmt.Sprintf("%s: %v\n", file, err), false
	}
	plural := "s"
	if p.Statements() == 1 {
		plural = ""
	}
	text = fmt.Sprintf("%s: good, %d statement%s\n", file, p.Statements(), plural)
	for _, warning := range p.Warnings() {
		text += fmt.Sprintf("%s: warning: %s\n", file, warning)
	}
	return text, true
}

func parsePolicy(doc []byte, bucket string) (*iam.Policy, error) {
	if bucket != "" {
		return iam.ParseBucketPolicy(doc, bucket)
	}
	return iam.ParsePolicy(doc)
}

// question is what "policy explain" is asked.
type question struct {
	user, action, resource, target string
	dir                            string
	policies                       []string
	bucketPolicy                   string
	sourceIP, at                   string
	tls                            bool
	facts                          map[string]string
	asJSON                         bool
}

func policyExplainCommand() *cobra.Command {
	var q question
	cmd := &cobra.Command{
		Use:   "explain --user USER --action ACTION --resource RESOURCE",
		Short: "Say whether somebody may, and which statement decides",
		Long: `Explain decides one action as the server would, and names the statement that decided.

The policies are those of the user in the data directory of a stopped server (--dir), or
files (--policy, each as if it were attached). USER may be a user, an access key, the
subject of an issuer, or root; without --user it is anybody without credentials.
RESOURCE is bucket, bucket/key, or an ARN.`,
		Example: `  larder policy explain --dir ./data --user sccache --action s3:PutObject --resource sccache/a/b
  larder policy explain --policy ci.json --user ci --action s3:ListBucket --resource sccache --fact s3:prefix=main/
  larder policy explain --dir ./data --user alice --action admin:CreateServiceAccount --target alice`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			answer, err := q.answer(cmd)
			if err != nil {
				return err
			}
			if q.asJSON {
				encoder := json.NewEncoder(cmd.OutOrStdout())
				encoder.SetIndent("", "  ")
				return encoder.Encode(answer)
			}
			return answer.write(cmd.OutOrStdout())
		},
	}
	f := cmd.Flags()
	f.StringVar(&q.user, "user", "", "`name` of a user, access key or subject (default: anonymous)")
	f.StringVar(&q.action, "action", "", "`action`, such as s3:GetObject")
	f.StringVar(&q.resource, "resource", "", "`bucket`, bucket/key or ARN")
	f.StringVar(&q.target, "target", "", "the `user` whom an admin action is about")
	f.StringVar(&q.dir, "dir", "", "data `directory` of a stopped server")
	f.StringArrayVar(&q.policies, "policy", nil, "`file` with a policy that counts (repeatable)")
	f.StringVar(&q.bucketPolicy, "bucket-policy", "", "`file` with the policy of the bucket, beside --policy")
	f.StringVar(&q.sourceIP, "source-ip", "", "`address` that the request comes from")
	f.BoolVar(&q.tls, "tls", false, "the request comes over TLS")
	f.StringVar(&q.at, "at", "", "`time` of the request, RFC 3339 (default: now)")
	f.StringToStringVar(&q.facts, "fact", nil, "`key=value` of a condition key of the request, such as s3:prefix=a/ (repeatable)")
	f.BoolVar(&q.asJSON, "json", false, "print JSON")
	_ = cmd.MarkFlagRequired("action") // the flag exists
	return cmd
}

// answer is what "policy explain" prints.
type answer struct {
	Allowed  bool     `json:"allowed"`
	Reason   string   `json:"reason"`
	Who      string   `json:"who"`
	Policies []string `json:"policies"`
	Refused  string   `json:"refused,omitempty"` // why the key could not even sign in
}

func (a *answer) write(w io.Writer) error {
	verdict := "DENIED"
	if a.Allowed && a.Refused == "" {
		verdict = "ALLOWED"
	}
	text := fmt.Sprintf("%s: %s\n", verdict, a.Reason)
	if a.Refused != "" {
		text = fmt.Sprintf("%s: %s (with the right to sign in: %s)\n", verdict, a.Refused, a.Reason)
	}
	held := strings.Join(a.Policies, ", ")
	if held == "" {
		held = "none"
	}
	_, err := fmt.Fprintf(w, "%swho: %s\npolicies: %s\n", text, a.Who, held)
	return err
}

func (q *question) answer(cmd *cobra.Command) (*answer, error) {
	check, facts, err := q.request()
	if err != nil {
		return nil, usageError{err}
	}
	switch {
	case q.dir != "" && q.policies != nil:
		return nil, usageError{errors.New("--dir and --policy exclude one another")}
	case q.dir != "":
		return q.fromDir(cmd, check, facts)
	case q.policies != nil || q.bucketPolicy != "":
		return q.fromFiles(cmd, check, facts)
	}
	return nil, usageError{errors.New("say where the policies are: --dir or --policy")}
}

func (q *question) request() (check iam.Check, facts iam.Facts, err error) {
	resource := strings.TrimPrefix(q.resource, "arn:aws:s3:::")
	bucket, key, _ := strings.Cut(resource, "/")
	check = iam.Check{Action: iam.Action(q.action), Resource: iam.Resource{Bucket: bucket, Key: key}, Target: iam.UserName(q.target)}
	facts = iam.Facts{Time: time.Now(), TLS: q.tls, S3: map[string][]string{}}
	if !iam.KnownAction(check.Action) {
		return check, facts, fmt.Errorf("unknown action %q", q.action)
	}
	if q.at != "" {
		if facts.Time, err = time.Parse(time.RFC3339, q.at); err != nil {
			return check, facts, fmt.Errorf("--at: %w", err)
		}
	}
	if q.sourceIP != "" {
		if facts.SourceIP, err = netip.ParseAddr(q.sourceIP); err != nil {
			return check, facts, fmt.Errorf("--source-ip: %w", err)
		}
	}
	for key, value := range q.facts {
		facts.S3[key] = append(facts.S3[key], value)
	}
	return check, facts, nil
}

func (q *question) fromFiles(cmd *cobra.Command, check iam.Check, facts iam.Facts) (*answer, error) {
	r := iam.Request{Check: check, Facts: facts}
	var grants iam.Grants
	for _, file := range q.policies {
		doc, err := readPolicy(cmd.InOrStdin(), file)
		if err != nil {
			return nil, err
		}
		p, err := iam.ParsePolicy(doc)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		grants.Policies = append(grants.Policies, iam.NamedPolicy{Name: iam.PolicyName(file), Policy: p})
	}
	if q.bucketPolicy != "" {
		doc, err := readPolicy(cmd.InOrStdin(), q.bucketPolicy)
		if err != nil {
			return nil, err
		}
		if r.BucketPolicy, err = iam.ParseBucketPolicy(doc, check.Resource.Bucket); err != nil {
			return nil, fmt.Errorf("%s: %w", q.bucketPolicy, err)
		}
	}
	if q.user != "" {
		r.Principal = iam.Principal{Kind: iam.User, User: iam.UserName(q.user)}
	}
	e := identity.Explanation{Decision: iam.Evaluate(r, grants), Principal: r.Principal, Policies: grants.Policies, Bucket: r.BucketPolicy}
	return explained(e), nil
}

func (q *question) fromDir(cmd *cobra.Command, check iam.Check, facts iam.Facts) (a *answer, err error) {
	cfg, _, err := app.Load(app.Sources{Flags: map[string]string{"dir": q.dir}, Environ: os.Environ()})
	if err != nil {
		return nil, usageError{err}
	}
	stopped, err := app.OpenStopped(cmd.Context(), cfg)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stopped.Close()) }()
	e, err := stopped.Explain(cmd.Context(), q.user, check, facts)
	if err != nil {
		return nil, err
	}
	return explained(e), nil
}

func explained(e identity.Explanation) *answer {
	a := &answer{Allowed: e.Decision.Allowed && e.Refused == "", Reason: e.Decision.Reason, Who: e.Principal.Kind.String(), Policies: []string{}, Refused: e.Refused}
	if e.Principal.User != "" {
		a.Who += " " + string(e.Principal.User)
	}
	for _, group := range e.Principal.Groups {
		a.Who += ", in group " + string(group)
	}
	for _, p := range e.Policies {
		a.Policies = append(a.Policies, string(p.Name))
	}
	if e.Inline != nil {
		a.Policies = append(a.Policies, "the credential's own")
	}
	if e.Bucket != nil {
		a.Policies = append(a.Policies, "the bucket's")
	}
	return a
}
