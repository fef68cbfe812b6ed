// Command bench measures Larder against what a machine can do, and prints
// ratios beside the bars they have to reach. `make bench` runs it.
//
// Machines are noisy and differ, so a time by itself says nothing. Each ratio is
// of two servers in the same run, which take turns of a few seconds; the median
// over the turns counts. Processor time is the kernel's accounting of the server
// process. The load generator runs on the same machine.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"text/tabwriter"
	"time"
)

// settings are the command line.
type settings struct {
	larder, baseline, minio string
	dir                     string
	turn                    time.Duration
	turns                   int
	many                    int // objects of the large store
	scaleOnly               bool
	asJSON                  bool
	strict                  bool
}

func main() {
	var s settings
	flag.StringVar(&s.larder, "larder", "bin/larder", "program to measure")
	flag.StringVar(&s.baseline, "baseline", "", "program to measure against")
	flag.StringVar(&s.minio, "minio", "", "MinIO program to show as a peer")
	flag.StringVar(&s.dir, "dir", "", "directory for data (default: a temporary one)")
	flag.DurationVar(&s.turn, "turn", 2*time.Second, "time of one server's turn")
	flag.IntVar(&s.turns, "turns", 7, "turns of each server")
	flag.IntVar(&s.many, "many", 1_000_000, "objects of the large store, 0 to leave it out")
	flag.BoolVar(&s.scaleOnly, "scale-only", false, "leave out the comparison with the baseline")
	flag.BoolVar(&s.asJSON, "json", false, "print JSON")
	flag.BoolVar(&s.strict, "strict", false, "exit 1 if a bar is missed")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	code, err := run(ctx, &s)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		code = 1
	}
	os.Exit(code)
}

func run(ctx context.Context, s *settings) (int, error) {
	if s.dir == "" {
		dir, err := os.MkdirTemp("", "larder-bench-")
		if err != nil {
			return 1, err
		}
		defer func() { _ = os.RemoveAll(dir) }()
		s.dir = dir
	}
	var rows []row
	if !s.scaleOnly {
		var err error
		if rows, err = compare(ctx, s); err != nil {
			return 1, err
		}
		more, err := transports(ctx, s)
		if err != nil {
			return 1, err
		}
		rows = append(rows, more...)
	}
	if s.many > 0 {
		more, err := scale(ctx, s)
		if err != nil {
			return 1, err
		}
		rows = append(rows, more...)
	}
	var err error
	if s.asJSON {
		err = json.NewEncoder(os.Stdout).Encode(rows)
	} else {
		err = report(os.Stdout, rows)
	}
	if s.strict && slices.ContainsFunc(rows, func(r row) bool { return !r.Met }) {
		return 1, err
	}
	return 0, err
}

// row is one measured ratio and its bar.
type row struct {
	What  string  `json:"what"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"` // "×" for a ratio
	Bar   string  `json:"bar"`
	Met   bool    `json:"met"`
	Note  string  `json:"note,omitempty"` // the figures that the ratio is made of
}

func atLeast(what string, value, bar float64, unit, note string) row {
	return row{what, value, unit, fmt.Sprintf("≥ %g", bar), value >= bar, note}
}

func atMost(what string, value, bar float64, unit, note string) row {
	return row{what, value, unit, fmt.Sprintf("≤ %g", bar), value <= bar, note}
}

func report(w io.Writer, rows []row) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "what\tmeasured\tbar\t\t")
	for _, r := range rows {
		verdict := "ok"
		switch {
		case r.Bar == "":
			verdict = ""
		case !r.Met:
			verdict = "MISSED"
		}
		_, _ = fmt.Fprintf(table, "%s\t%.2f %s\t%s\t%s\t%s\n", r.What, r.Value, r.Unit, r.Bar, verdict, r.Note)
	}
	return table.Flush()
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}
