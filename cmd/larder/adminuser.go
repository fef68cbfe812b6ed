package main

import (
	"crypto/rand"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/larder-cache/larder/internal/adminclient"
	"github.com/larder-cache/larder/internal/iam"
)

// parent is a command that only has others. Its examples show them.
func parent(use, short, examples string, children ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Example: examples, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(children...)
	return cmd
}

func adminUserCommand(o *adminOptions) *cobra.Command {
	return parent("user", "Users", `  larder admin user add alice --policy readwrite   # prints the secret it made
  larder admin user info alice
  larder admin user disable alice                  # and everything derived from her
  larder admin user rm alice --dry-run`,
		userListCommand(o),
		o.completes(&cobra.Command{Use: "info NAME", Short: "Describe a user", Args: cobra.ExactArgs(1), RunE: o.run(userInfo)}, userNames, nothing),
		userAddCommand(o), o.completes(userPasswordCommand(o), userNames, nothing),
		o.completes(&cobra.Command{Use: "enable NAME", Short: "Let a user sign in again", Args: cobra.ExactArgs(1), RunE: o.run(func(r *adminRun, args []string) error {
			return r.enableUser(args[0], true)
		})}, userNames, nothing),
		o.completes(&cobra.Command{
			Use: "disable NAME", Short: "Refuse a user, and everything derived from him", Args: cobra.ExactArgs(1),
			RunE: o.run(func(r *adminRun, args []string) error { return r.enableUser(args[0], false) }),
		}, userNames, nothing),
		o.completes(o.destroys(&cobra.Command{Use: "revoke NAME", Short: "End all sessions of a user", Args: cobra.ExactArgs(1), RunE: o.run(func(r *adminRun, args []string) error {
			if r.options.dryRun {
				return r.did(outcome{Done: "user.revoke", Name: args[0], DryRun: true}, "would end all sessions of %s", args[0])
			}
			if err := r.RevokeSessions(r.cmd.Context(), iam.UserName(args[0])); err != nil {
				return err
			}
			return r.did(outcome{Done: "user.revoke", Name: args[0]}, "ended all sessions of %s", args[0])
		})}), userNames, nothing),
		o.completes(o.destroys(&cobra.Command{Use: "rm NAME", Short: "Remove a user and all keys derived from him", Args: cobra.ExactArgs(1), RunE: o.run(removeUser)}), userNames, nothing),
	)
}

func userListCommand(o *adminOptions) *cobra.Command {
	var subjects bool
	cmd := &cobra.Command{
		Use: "ls", Short: "List users", Args: cobra.NoArgs,
		RunE: o.run(func(r *adminRun, args []string) error {
			if subjects {
				return listSubjects(r)
			}
			return listUsers(r, args)
		}),
	}
	cmd.Flags().BoolVar(&subjects, "subjects", false, "list those whom OpenID Connect issuers vouch for; disable, enable and revoke take their names too")
	return cmd
}

func listSubjects(r *adminRun) error {
	subjects, err := r.Subjects(r.cmd.Context())
	if err != nil {
		return err
	}
	rows := make([][]string, len(subjects))
	for i, s := range subjects {
		status := "enabled"
		if !s.Enabled {
			status = "disabled"
		}
		rows[i] = []string{string(s.Name), status, none(join(s.Policies, ",")), until(s.Seen), until(s.Lapses)}
	}
	return r.show(subjects, "NAME STATUS POLICIES SEEN LAPSES", rows)
}

func listUsers(r *adminRun, _ []string) error {
	users, err := r.Users(r.cmd.Context())
	if err != nil {
		return err
	}
	rows := make([][]string, len(users))
	for i, u := range users {
		rows[i] = []string{string(u.Name), u.Status, none(u.Policies), none(strings.Join(u.Groups, ","))}
	}
	return r.show(users, "NAME STATUS POLICIES GROUPS", rows)
}

// none shows that a list is empty.
func none(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func userInfo(r *adminRun, args []string) error {
	user, err := r.User(r.cmd.Context(), iam.UserName(args[0]))
	if err != nil {
		return err
	}
	return r.show(user, "NAME STATUS POLICIES GROUPS", [][]string{{args[0], user.Status, none(user.Policies), none(strings.Join(user.Groups, ","))}})
}

func userAddCommand(o *adminOptions) *cobra.Command {
	var secretFrom string
	var policies []string
	cmd := &cobra.Command{
		Use:   "add NAME",
		Short: "Make a user",
		Long:  "Add makes a user. Without --secret-from a secret is made and printed; it cannot be had again.",
		Example: `  larder admin user add alice --policy readwrite
  larder admin user add release --secret-from /run/secrets/release`,
		Args: cobra.ExactArgs(1),
		RunE: o.run(func(r *adminRun, args []string) error {
			name := iam.UserName(args[0])
			if _, err := r.User(r.cmd.Context(), name); err == nil {
				return fmt.Errorf("the user %s exists; 'larder admin user password' gives him another secret", name)
			} else if !adminclient.IsCode(err, "XMinioAdminNoSuchUser") {
				return err
			}
			for _, policy := range policies { // or he would be there without them
				if _, err := r.Policy(r.cmd.Context(), iam.PolicyName(policy)); err != nil {
					return fmt.Errorf("policy %s: %w", policy, err)
				}
			}
			return r.setUser(name, secretFrom, policies, "user.add", "added user "+args[0])
		}),
	}
	cmd.Flags().StringVar(&secretFrom, "secret-from", "", "read the secret from this `file`, \"-\" for standard input")
	cmd.Flags().StringSliceVar(&policies, "policy", nil, "attach this `policy`; may be repeated")
	o.completesFlag(cmd, "policy", policyNames)
	return o.completes(cmd, nothing)
}

func userPasswordCommand(o *adminOptions) *cobra.Command {
	var secretFrom string
	cmd := &cobra.Command{
		Use:   "password NAME",
		Short: "Give a user another secret",
		Long: `Password gives a user another secret, in force at once, and enables him. Without --secret-from one
is made and printed.`,
		Args: cobra.ExactArgs(1),
		RunE: o.run(func(r *adminRun, args []string) error {
			if _, err := r.User(r.cmd.Context(), iam.UserName(args[0])); err != nil {
				return err
			}
			return r.setUser(iam.UserName(args[0]), secretFrom, nil, "user.password", "changed the secret of "+args[0])
		}),
	}
	cmd.Flags().StringVar(&secretFrom, "secret-from", "", "read the secret from this `file`, \"-\" for standard input")
	return cmd
}

func (r *adminRun) setUser(name iam.UserName, secretFrom string, policies []string, done, sentence string) error {
	result := outcome{Done: done, Name: string(name)}
	secret := iam.Secret(rand.Text())
	if secretFrom != "" {
		var err error
		if secret, err = readSecret(r.cmd, secretFrom, "New secret of "+string(name)); err != nil {
			return err
		}
	} else {
		result.Secret = secret.Reveal()
		sentence += "\nsecret: " + secret.Reveal()
	}
	if err := r.SetUser(r.cmd.Context(), name, secret); err != nil {
		return err
	}
	if len(policies) > 0 {
		if _, err := r.Attach(r.cmd.Context(), iam.Holder{User: name}, policies); err != nil {
			return fmt.Errorf("the user was made, without policies: %w; 'larder admin user password %s' gives him a secret that you know", err, name)
		}
	}
	return r.did(result, "%s", sentence)
}

func (r *adminRun) enableUser(name string, enabled bool) error {
	if err := r.SetUserEnabled(r.cmd.Context(), iam.UserName(name), enabled); err != nil {
		return err
	}
	if enabled {
		return r.did(outcome{Done: "user.enable", Name: name}, "enabled user %s", name)
	}
	return r.did(outcome{Done: "user.disable", Name: name}, "disabled user %s", name)
}

func removeUser(r *adminRun, args []string) error {
	name := iam.UserName(args[0])
	if _, err := r.User(r.cmd.Context(), name); err != nil {
		return err
	}
	keys, err := r.Keys(r.cmd.Context(), name)
	if err != nil {
		return err
	}
	what := "user " + args[0]
	var names []string
	for _, key := range keys {
		names = append(names, string(key.AccessKey))
	}
	if len(names) > 0 {
		what += " and his keys " + strings.Join(names, ", ")
	}
	return r.destroy(outcome{Done: "user.rm", Name: args[0], Detail: map[string]any{"keys": names}}, what, func() error {
		return r.RemoveUser(r.cmd.Context(), name)
	})
}
