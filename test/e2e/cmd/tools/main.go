// Command tools installs the programs that the end-to-end tests drive and prints
// where each is: all of them, or those that are named.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"github.com/larder-cache/larder/test/e2e/tools"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	names := os.Args[1:]
	if len(names) == 0 {
		names = tools.Names()
	}
	for _, name := range names {
		path, err := tools.Install(ctx, name, os.Stderr)
		if err != nil {
			fmt.Fprintln(os.Stderr, "tools: "+err.Error())
			os.Exit(1)
		}
		fmt.Printf("%s\t%s\n", name, path)
	}
}
