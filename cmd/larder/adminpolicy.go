package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/larder-cache/larder/internal/iam"
)

func adminPolicyCommand(o *adminOptions) *cobra.Command {
	return parent("policy", "Named policies, and who holds them", `  larder policy check ci-read.json                 # before it is set
  larder admin policy set ci-read ci-read.json
  larder admin policy attach ci-read --user alice
  larder admin policy ls                           # and who holds each`,
		&cobra.Command{Use: "ls", Short: "List policies and who holds them", Args: cobra.NoArgs, RunE: o.run(listPolicies)},
		o.completes(&cobra.Command{Use: "show NAME", Short: "Print a policy", Args: cobra.ExactArgs(1), RunE: o.run(showPolicy)}, policyNames, nothing),
		o.completes(&cobra.Command{
			Use: "set NAME FILE", Short: "Make a policy, or replace one for all who hold it",
			Long: "Set makes a policy of a JSON file, \"-\" for standard input, or replaces one. The file is checked here first, with line and column.",
			Args: cobra.ExactArgs(2), RunE: o.run(setPolicy),
		}, policyNames, nil),
		attachCommand(o, "attach", "Give policies to a user or a group"),
		attachCommand(o, "detach", "Take policies from a user or a group"),
		o.completes(o.destroys(&cobra.Command{Use: "rm NAME", Short: "Remove a policy that nobody holds", Args: cobra.ExactArgs(1), RunE: o.run(removePolicy)}), policyNames, nothing),
	)
}

func removePolicy(r *adminRun, args []string) error {
	name := iam.PolicyName(args[0])
	if _, err := r.Policy(r.cmd.Context(), name); err != nil {
		return err
	}
	if r.options.dryRun { // the server refuses by itself, and knows more
		holders, err := r.Holders(r.cmd.Context())
		if err != nil {
			return err
		}
		for _, h := range holders {
			if h.Policy == name {
				return fmt.Errorf("policy %s is held by %s; detach it first", name, strings.Join(append(h.Users, h.Groups...), ", "))
			}
		}
	}
	return r.destroy(outcome{Done: "policy.rm", Name: args[0]}, "policy "+args[0], func() error {
		return r.RemovePolicy(r.cmd.Context(), name)
	})
}

// heldPolicy is a policy and who holds it.
type heldPolicy struct {
	Name   iam.PolicyName `json:"name"`
	Users  []string       `json:"users"`
	Groups []string       `json:"groups"`
}

func listPolicies(r *adminRun, _ []string) error {
	documents, err := r.Policies(r.cmd.Context())
	if err != nil {
		return err
	}
	holders, err := r.Holders(r.cmd.Context())
	if err != nil {
		return err
	}
	var policies []heldPolicy
	var rows [][]string
	for _, name := range slices.Sorted(maps.Keys(documents)) {
		p := heldPolicy{Name: name}
		for _, h := range holders {
			if h.Policy == name {
				p.Users, p.Groups = h.Users, h.Groups
			}
		}
		policies = append(policies, p)
		rows = append(rows, []string{string(name), none(strings.Join(p.Users, ",")), none(strings.Join(p.Groups, ","))})
	}
	return r.show(policies, "NAME USERS GROUPS", rows)
}

func showPolicy(r *adminRun, args []string) error {
	document, err := r.Policy(r.cmd.Context(), iam.PolicyName(args[0]))
	if err != nil {
		return err
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, document, "", "  "); err != nil {
		return err
	}
	_, err = fmt.Fprintln(r.cmd.OutOrStdout(), indented.String())
	return err
}

func setPolicy(r *adminRun, args []string) error {
	document, err := readPolicy(r.cmd.InOrStdin(), args[1])
	if err != nil {
		return err
	}
	if _, err := iam.ParsePolicy(document); err != nil {
		if syntax := new(iam.SyntaxError); errors.As(err, &syntax) {
			return fmt.Errorf("%s:%d:%d: %s", args[1], syntax.Line, syntax.Column, syntax.Message)
		}
		return fmt.Errorf("%s: %w", args[1], err)
	}
	if err := r.SetPolicy(r.cmd.Context(), iam.PolicyName(args[0]), document); err != nil {
		return err
	}
	return r.did(outcome{Done: "policy.set", Name: args[0]}, "set policy %s", args[0])
}

func attachCommand(o *adminOptions, verb, short string) *cobra.Command {
	var user, group string
	cmd := &cobra.Command{
		Use: verb + " POLICY… {--user NAME | --group NAME}", Short: short, Args: cobra.MinimumNArgs(1),
		RunE: o.run(func(r *adminRun, args []string) error {
			holder := iam.Holder{User: iam.UserName(user), Group: iam.GroupName(group)}
			change, done := r.Attach, "attached"
			if verb == "detach" {
				change, done = r.Detach, "detached"
			}
			changed, err := change(r.cmd.Context(), holder, args)
			if err != nil {
				return err
			}
			preposition := map[string]string{"attach": "to", "detach": "from"}[verb]
			return r.did(outcome{Done: "policy." + verb, Name: user + group, Detail: changed},
				"%s %s %s %s", done, strings.Join(changed, ", "), preposition, holder)
		}),
	}
	cmd.Flags().StringVar(&user, "user", "", "`name` of a user")
	cmd.Flags().StringVar(&group, "group", "", "`name` of a group")
	cmd.MarkFlagsOneRequired("user", "group")
	cmd.MarkFlagsMutuallyExclusive("user", "group")
	o.completesFlag(cmd, "user", userNames)
	o.completesFlag(cmd, "group", groupNames)
	return o.completes(cmd, policyNames)
}
