package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/larder-cache/larder/internal/iam"
)

func policyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "policy",
		Short:   "Check policies, and say which statement decides",
		GroupID: "manage",
		Example: `  larder policy check ci.json
  larder policy explain --user alice --action s3:PutObject --resource sccache/k`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
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
