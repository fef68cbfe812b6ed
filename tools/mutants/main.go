// Command mutants plants defects in Larder, one at a time, and demands that a
// test turns red for each. A promise that no test keeps is only a sentence.
//
// A defect is a change of source text that go test -overlay lays over the real
// file; nothing in the checkout is touched. It is an error, and not a success,
// when a text to be changed is no longer there, when the changed package does not
// build, and when the tests are red without the defect.
//
//	go run ./mutants [-root DIR] [-only REGEXP] [-list]
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("mutants", flag.ContinueOnError)
	root := flags.String("root", "..", "the checkout")
	only := flags.String("only", "", "plant only the defects whose name matches")
	list := flags.Bool("list", false, "list the defects and plant none")
	if err := flags.Parse(args); err != nil {
		return err
	}
	chosen, err := choose(defects(), *only)
	if err != nil {
		return err
	}
	if *list {
		for _, d := range chosen {
			fmt.Fprintf(out, "%s: %s\n", d.Name, d.Why)
		}
		return nil
	}
	tester := &tester{root: *root, green: make(map[string]bool)}
	return plantAll(ctx, tester, chosen, out)
}

func choose(all []Defect, only string) ([]Defect, error) {
	pattern, err := regexp.Compile(only)
	if err != nil {
		return nil, err
	}
	var chosen []Defect
	for _, d := range all {
		if pattern.MatchString(d.Name) {
			chosen = append(chosen, d)
		}
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("no defect is called %q", only)
	}
	return chosen, nil
}

// plantAll plants one after the other and prints a line for each as it goes.
func plantAll(ctx context.Context, t *tester, chosen []Defect, out io.Writer) error {
	start := time.Now()
	const row = "%-34s %-7s %7s  %s\n"
	fmt.Fprintf(out, row, "DEFECT", "RESULT", "TIME", "TEST")
	var failures []error
	for _, d := range chosen {
		began := time.Now()
		red, err := t.plant(ctx, d)
		result := "caught"
		switch {
		case err != nil:
			result = "ERROR"
			failures = append(failures, fmt.Errorf("%s: %w", d.Name, err))
		case len(red) == 0:
			result = "MISSED"
			failures = append(failures, fmt.Errorf("%s: every test stayed green although %s", d.Name, d.Why))
		}
		fmt.Fprintf(out, row, d.Name, result, fmt.Sprintf("%.1f s", time.Since(began).Seconds()), firstOf(red))
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	fmt.Fprintf(out, "%d of %d defects were caught in %.0f s\n", len(chosen)-len(failures), len(chosen), time.Since(start).Seconds())
	return errors.Join(failures...)
}

// firstOf returns the most specific of the first red tests: a subtest is
// reported after the test that holds it.
func firstOf(red []string) string {
	if len(red) == 0 {
		return ""
	}
	name := red[0]
	for _, other := range red[1:] {
		if !strings.HasPrefix(other, name+"/") {
			break
		}
		name = other
	}
	return name
}
