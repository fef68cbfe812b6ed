package main

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/larder-cache/larder/internal/adminclient"
	"github.com/larder-cache/larder/internal/iam"
)

func adminKeyCommand(o *adminOptions) *cobra.Command {
	return parent("key", "Access keys, which derive from a user and may do no more than he", `  larder admin key ls --all
  larder admin key add --user release --expires 90d
  larder admin key disable MYIGUAF5K4KR4ERHOO2V
  larder admin key rm MYIGUAF5K4KR4ERHOO2V --dry-run
  larder key create --bucket sccache                # a key for one bucket, for builds`,
		keyListCommand(o),
		o.completes(&cobra.Command{Use: "info KEY", Short: "Describe an access key", Args: cobra.ExactArgs(1), RunE: o.run(keyInfo)}, keyNames, nothing),
		keyAddCommand(o),
		o.completes(&cobra.Command{Use: "enable KEY", Short: "Let a key sign again", Args: cobra.ExactArgs(1), RunE: o.run(func(r *adminRun, args []string) error {
			return r.enableKey(args[0], true)
		})}, keyNames, nothing),
		o.completes(&cobra.Command{Use: "disable KEY", Short: "Refuse a key", Args: cobra.ExactArgs(1), RunE: o.run(func(r *adminRun, args []string) error {
			return r.enableKey(args[0], false)
		})}, keyNames, nothing),
		o.completes(o.destroys(&cobra.Command{Use: "rm KEY", Short: "Remove an access key", Args: cobra.ExactArgs(1), RunE: o.run(func(r *adminRun, args []string) error {
			key, err := r.Key(r.cmd.Context(), iam.AccessKeyID(args[0]))
			if err != nil {
				return err
			}
			what := fmt.Sprintf("key %s of %s", args[0], key.Parent)
			return r.destroy(outcome{Done: "key.rm", Name: args[0]}, what, func() error {
				return r.RemoveKey(r.cmd.Context(), key.AccessKey)
			})
		})}), keyNames, nothing),
	)
}

func keyListCommand(o *adminOptions) *cobra.Command {
	var user string
	var all bool
	cmd := &cobra.Command{
		Use: "ls", Short: "List access keys: the caller's, a user's, or everybody's", Args: cobra.NoArgs,
		RunE: o.run(func(r *adminRun, _ []string) error {
			keys, err := r.Keys(r.cmd.Context(), iam.UserName(user))
			if all {
				keys, err = r.AllKeys(r.cmd.Context())
			}
			if err != nil {
				return err
			}
			return r.showKeys(keys)
		}),
	}
	cmd.Flags().StringVar(&user, "user", "", "list the keys of this `user`")
	cmd.Flags().BoolVar(&all, "all", false, "list everybody's keys")
	cmd.MarkFlagsMutuallyExclusive("user", "all")
	o.completesFlag(cmd, "user", userNames)
	return cmd
}

func (r *adminRun) showKeys(keys []adminclient.Key) error {
	rows := make([][]string, len(keys))
	for i := range keys {
		k := &keys[i]
		rights := "own policy"
		if k.Implied {
			rights = "as parent"
		}
		rows[i] = []string{string(k.AccessKey), string(k.Parent), k.Status, rights, until(k.Until()), none(k.Name)}
	}
	return r.show(keys, "KEY PARENT STATUS RIGHTS EXPIRES NAME", rows)
}

// until shows when something ends.
func until(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.Local().Format("2006-01-02 15:04")
}

func keyInfo(r *adminRun, args []string) error {
	key, err := r.Key(r.cmd.Context(), iam.AccessKeyID(args[0]))
	if err != nil {
		return err
	}
	if !r.options.asJSON {
		return r.showKeys([]adminclient.Key{key})
	}
	return r.json(struct {
		adminclient.Key

		Policy json.RawMessage `json:"policy,omitempty"`
	}{key, json.RawMessage(key.Policy)})
}

func keyAddCommand(o *adminOptions) *cobra.Command {
	var user, policyFile, secretFrom, accessKey, expires string
	spec := adminclient.KeySpec{}
	cmd := &cobra.Command{
		Use: "add", Short: "Make an access key for the caller or a user",
		Long: `Add makes an access key and prints it with its secret, which cannot be had again. For a key that
may use one bucket and prints what sccache needs, see 'larder key create'.`,
		Example: `  larder admin key add --user release --name "release builds" --expires 90d
  larder admin key add --policy-file readonly.json`,
		Args: cobra.NoArgs,
		RunE: o.run(func(r *adminRun, _ []string) (err error) {
			spec.Parent, spec.AccessKey = iam.UserName(user), iam.AccessKeyID(accessKey)
			if spec.Expires, err = parseExpiry(expires, time.Now()); err != nil {
				return usageError{fmt.Errorf("--expires: %w", err)}
			}
			if policyFile != "" {
				if spec.Policy, err = os.ReadFile(policyFile); err != nil {
					return err
				}
			}
			if secretFrom != "" {
				if spec.Secret, err = readSecret(r.cmd, secretFrom, "Secret of the new key"); err != nil {
					return err
				}
			}
			id, secret, err := r.CreateKey(r.cmd.Context(), spec)
			if err != nil {
				return err
			}
			return r.did(outcome{Done: "key.add", Name: string(id), Secret: secret.Reveal()},
				"access key: %s\nsecret:     %s\nexpires:    %s", id, secret.Reveal(), until(spec.Expires))
		}),
	}
	flags := cmd.Flags()
	flags.StringVar(&user, "user", "", "make it for this `user`")
	flags.StringVar(&accessKey, "name-key", "", "call the key this `name` (default: a random one)")
	flags.StringVar(&secretFrom, "secret-from", "", "read the secret from this `file`, \"-\" for standard input (default: a random one)")
	flags.StringVar(&policyFile, "policy-file", "", "narrow the key to the policy in this `file`")
	flags.StringVar(&expires, "expires", "", "`when` it ends: 90d, 12h, 2027-01-31 (default: never)")
	flags.StringVar(&spec.Name, "name", "", "what it is for, in a few `words`")
	flags.StringVar(&spec.Description, "description", "", "more `words`")
	o.completesFlag(cmd, "user", userNames)
	return cmd
}

func (r *adminRun) enableKey(name string, enabled bool) error {
	if err := r.SetKeyEnabled(r.cmd.Context(), iam.AccessKeyID(name), enabled); err != nil {
		return err
	}
	if enabled {
		return r.did(outcome{Done: "key.enable", Name: name}, "enabled key %s", name)
	}
	return r.did(outcome{Done: "key.disable", Name: name}, "disabled key %s", name)
}
