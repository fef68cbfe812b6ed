package main

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/larder-cache/larder/internal/adminclient"
	"github.com/larder-cache/larder/internal/object"
)

// completionTimeout is how long a shell that completes a name waits for the server.
const completionTimeout = 2 * time.Second

// lister lists the names that an argument may be; nil stands for files.
type lister func(*adminRun) ([]string, error)

// completes offers names of the server for a command's arguments: one lister for
// each, the last one for all behind it.
func (o *adminOptions) completes(cmd *cobra.Command, lists ...lister) *cobra.Command {
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		return o.names(cmd, lists[min(len(args), len(lists)-1)])
	}
	return cmd
}

// completesFlag offers names of the server for a flag.
func (o *adminOptions) completesFlag(cmd *cobra.Command, flag string, list lister) {
	err := cmd.RegisterFlagCompletionFunc(flag, func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		return o.names(cmd, list)
	})
	if err != nil {
		panic("completion of --" + flag + ": " + err.Error()) // the flag is misspelt
	}
}

// names asks the server. Whatever stands in the way, a shell gets no names and no
// error, and nobody is asked for a secret.
func (o *adminOptions) names(cmd *cobra.Command, list lister) ([]string, cobra.ShellCompDirective) {
	if list == nil {
		return nil, cobra.ShellCompDirectiveDefault
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout)
	defer cancel()
	cmd.SetContext(ctx)
	cmd.SetIn(strings.NewReader(""))
	target, err := o.target(cmd)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	client, err := adminclient.New(target)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	found, err := list(&adminRun{client, cmd, o})
	if err != nil {
		found = nil
	}
	return found, cobra.ShellCompDirectiveNoFileComp
}

func userNames(r *adminRun) ([]string, error) {
	users, err := r.Users(r.cmd.Context())
	return namesOf(users, func(u adminclient.User) string { return string(u.Name) }), err
}

func groupNames(r *adminRun) ([]string, error) {
	groups, err := r.Groups(r.cmd.Context())
	return words(groups), err
}

func policyNames(r *adminRun) ([]string, error) {
	policies, err := r.Policies(r.cmd.Context())
	return words(slices.Sorted(maps.Keys(policies))), err
}

// keyNames are the keys of everybody, or else the caller's own.
func keyNames(r *adminRun) ([]string, error) {
	keys, err := r.AllKeys(r.cmd.Context())
	if adminclient.IsCode(err, "AccessDenied") {
		keys, err = r.Keys(r.cmd.Context(), "")
	}
	return namesOf(keys, func(k adminclient.Key) string { return string(k.AccessKey) }), err
}

func bucketNames(r *adminRun) ([]string, error) {
	buckets, err := r.Buckets(r.cmd.Context())
	return namesOf(buckets, func(b adminclient.Bucket) object.BucketName { return b.Name }), err
}

// nothing is for arguments that are no names: not even files are offered.
func nothing(*adminRun) ([]string, error) { return nil, nil }

func namesOf[T any, N ~string](list []T, name func(T) N) []string {
	names := make([]string, len(list))
	for i := range list {
		names[i] = string(name(list[i]))
	}
	return names
}
