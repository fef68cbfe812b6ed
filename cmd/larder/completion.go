package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// complete offers values, each with a description behind a tab, for a flag.
func complete(cmd *cobra.Command, flag string, values func() []string) {
	err := cmd.RegisterFlagCompletionFunc(flag, func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return values(), cobra.ShellCompDirectiveNoFileComp
	})
	if err != nil {
		panic(fmt.Sprintf("completion of --%s: %v", flag, err)) // the flag is misspelt above
	}
}

func words[T ~string](list []T) []string {
	text := make([]string, 0, len(list))
	for _, one := range list {
		text = append(text, string(one))
	}
	return text
}

func join[T ~string](list []T, separator string) string { return strings.Join(words(list), separator) }

// completeDir offers directories for the first argument.
func completeDir(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveFilterDirs
}

// plainUsage takes out of the flags' texts the quotes that name their values in
// --help: the shells show the texts as they are.
func plainUsage(cmd *cobra.Command) {
	strip := func(f *pflag.Flag) { f.Usage = strings.ReplaceAll(f.Usage, "`", "") }
	cmd.Flags().VisitAll(strip)
	cmd.PersistentFlags().VisitAll(strip)
	for _, sub := range cmd.Commands() {
		plainUsage(sub)
	}
}

// toggle is a flag that may be given without a value, and is kept as text.
type toggle string

func (t *toggle) String() string     { return string(*t) }
func (t *toggle) Set(v string) error { *t = toggle(v); return nil }

// Type names the value in --help: that of a switch goes without saying.
func (*toggle) Type() string { return "bool" }
