package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/larder-cache/larder/internal/adminclient"
	"github.com/larder-cache/larder/internal/iam"
)

func adminGroupCommand(o *adminOptions) *cobra.Command {
	return parent("group", "Groups of users", `  larder admin group add builders alice bob
  larder admin policy attach readwrite --group builders
  larder admin group take builders bob
  larder admin group rm builders`,
		&cobra.Command{Use: "ls", Short: "List groups", Args: cobra.NoArgs, RunE: o.run(listGroups)},
		o.completes(&cobra.Command{Use: "info NAME", Short: "Describe a group", Args: cobra.ExactArgs(1), RunE: o.run(func(r *adminRun, args []string) error {
			group, err := r.Group(r.cmd.Context(), iam.GroupName(args[0]))
			if err != nil {
				return err
			}
			return r.showGroups([]adminclient.Group{group}, group)
		})}, groupNames, nothing),
		o.completes(&cobra.Command{Use: "add NAME [USER…]", Short: "Add users to a group, and make it if need be", Args: cobra.MinimumNArgs(1), RunE: o.run(func(r *adminRun, args []string) error {
			if err := r.AddMembers(r.cmd.Context(), iam.GroupName(args[0]), args[1:]); err != nil {
				return err
			}
			return r.did(outcome{Done: "group.add", Name: args[0], Detail: args[1:]}, "group %s has %s", args[0], none(strings.Join(args[1:], ", ")))
		})}, groupNames, userNames),
		o.completes(&cobra.Command{Use: "take NAME USER…", Short: "Take users out of a group", Args: cobra.MinimumNArgs(2), RunE: o.run(func(r *adminRun, args []string) error {
			if err := r.RemoveMembers(r.cmd.Context(), iam.GroupName(args[0]), args[1:]); err != nil {
				return err
			}
			return r.did(outcome{Done: "group.take", Name: args[0], Detail: args[1:]}, "took %s out of group %s", strings.Join(args[1:], ", "), args[0])
		})}, groupNames, userNames),
		o.completes(&cobra.Command{Use: "enable NAME", Short: "Let a group's policies count again", Args: cobra.ExactArgs(1), RunE: o.run(func(r *adminRun, args []string) error {
			return r.enableGroup(args[0], true)
		})}, groupNames, nothing),
		o.completes(&cobra.Command{Use: "disable NAME", Short: "Let a group's policies not count", Args: cobra.ExactArgs(1), RunE: o.run(func(r *adminRun, args []string) error {
			return r.enableGroup(args[0], false)
		})}, groupNames, nothing),
		o.completes(o.destroys(&cobra.Command{Use: "rm NAME", Short: "Remove an empty group", Args: cobra.ExactArgs(1), RunE: o.run(func(r *adminRun, args []string) error {
			group, err := r.Group(r.cmd.Context(), iam.GroupName(args[0]))
			if err != nil {
				return err
			}
			if len(group.Members) > 0 {
				return fmt.Errorf("group %s has members %s; take them out first", args[0], strings.Join(group.Members, ", "))
			}
			what := "group " + args[0]
			if group.Policies != "" {
				what += ", which held " + group.Policies
			}
			return r.destroy(outcome{Done: "group.rm", Name: args[0]}, what, func() error {
				return r.RemoveMembers(r.cmd.Context(), iam.GroupName(args[0]), nil)
			})
		})}), groupNames, nothing),
	)
}

func listGroups(r *adminRun, _ []string) error {
	names, err := r.Groups(r.cmd.Context())
	if err != nil {
		return err
	}
	groups := make([]adminclient.Group, 0, len(names))
	for _, name := range names {
		group, err := r.Group(r.cmd.Context(), name)
		if err != nil {
			return err
		}
		groups = append(groups, group)
	}
	return r.showGroups(groups, groups)
}

func (r *adminRun) showGroups(groups []adminclient.Group, v any) error {
	rows := make([][]string, len(groups))
	for i, g := range groups {
		rows[i] = []string{string(g.Name), g.Status, none(g.Policies), none(strings.Join(g.Members, ","))}
	}
	return r.show(v, "NAME STATUS POLICIES MEMBERS", rows)
}

func (r *adminRun) enableGroup(name string, enabled bool) error {
	if err := r.SetGroupEnabled(r.cmd.Context(), iam.GroupName(name), enabled); err != nil {
		return err
	}
	if enabled {
		return r.did(outcome{Done: "group.enable", Name: name}, "enabled group %s", name)
	}
	return r.did(outcome{Done: "group.disable", Name: name}, "disabled group %s", name)
}
