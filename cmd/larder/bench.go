package main

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/larder-cache/larder/internal/bench"
	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/protocol/sigv4"
)

// benchOptions are the flags of larder bench.
type benchOptions struct {
	endpoint, bucket, region, caFile, sizes string
	workload                                bench.Workload
	asJSON                                  bool
}

func benchCommand() *cobra.Command {
	var o benchOptions
	cmd := &cobra.Command{
		Use:     "bench",
		Short:   "Measure an S3 server with a compile cache's work",
		GroupID: "client",
		Long: `Bench sends the work of sccache to any S3 server: keys that are not there, durable
writes of a build's entries, warm reads, and listings. It needs a bucket that it may read
and write in, and removes what it wrote; a key that may not delete needs --keep, and one that
may not list does without listings.

The key comes from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. A phase lasts up to --duration.`,
		Example: `  larder bench --endpoint http://localhost:9000 --bucket sccache
  larder bench --endpoint https://minio.example --bucket bench --sizes rust --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runBench(cmd, &o) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.endpoint, "endpoint", cmp.Or(os.Getenv("LARDER_ENDPOINT"), "http://localhost:9000"), "`URL` of the server")
	flags.StringVar(&o.bucket, "bucket", "sccache", "`bucket` to work in")
	flags.StringVar(&o.region, "region", "us-east-1", "`region` to sign for")
	flags.StringVar(&o.caFile, "ca-file", "", "PEM `file` of the authority to trust (default: the system's)")
	flags.StringVar(&o.sizes, "sizes", "c", "sizes of entries: c, rust, or a `number` of bytes")
	flags.IntVar(&o.workload.Objects, "objects", 500, "`entries` of the build")
	flags.IntVar(&o.workload.Workers, "workers", 32, "`requests` in flight")
	flags.DurationVar(&o.workload.Duration, "duration", 10*time.Second, "`time` of a phase")
	flags.BoolVar(&o.workload.Keep, "keep", false, "leave the objects there")
	flags.BoolVar(&o.asJSON, "json", false, "print JSON")
	_ = cmd.RegisterFlagCompletionFunc("sizes", cobra.FixedCompletions([]string{"c", "rust"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func runBench(cmd *cobra.Command, o *benchOptions) error {
	target, err := o.target()
	if err != nil {
		return usageError{err}
	}
	progress := func(phase string) { _, _ = fmt.Fprintf(cmd.ErrOrStderr(), "larder bench: %s\n", phase) }
	phases, err := o.workload.Run(cmd.Context(), target, progress)
	if err != nil {
		err = fmt.Errorf("bench %s: %w", o.endpoint, err)
	}
	if len(phases) == 0 {
		return err
	}
	if o.asJSON {
		return errors.Join(err, json.NewEncoder(cmd.OutOrStdout()).Encode(benchReport(phases)))
	}
	return errors.Join(err, printBench(cmd.OutOrStdout(), benchReport(phases)))
}

func (o *benchOptions) target() (*bench.Target, error) {
	server, err := url.Parse(o.endpoint)
	if err != nil || server.Host == "" {
		return nil, fmt.Errorf("--endpoint: %q is not a URL: write it like http://localhost:9000", o.endpoint)
	}
	t := &bench.Target{Server: server, Bucket: o.bucket, Region: o.region, TLS: &tls.Config{}, Key: sigv4.Key{
		ID: iam.AccessKeyID(os.Getenv("AWS_ACCESS_KEY_ID")), Secret: iam.Secret(os.Getenv("AWS_SECRET_ACCESS_KEY")), Token: os.Getenv("AWS_SESSION_TOKEN"),
	}}
	if t.Key.ID == "" || t.Key.Secret == "" {
		return nil, errors.New("no key: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
	}
	if o.workload.Duration <= 0 || o.workload.Duration > bench.MaxDuration {
		return nil, fmt.Errorf("--duration is more than nothing and at most %s", bench.MaxDuration)
	}
	if o.workload.Objects < 1 || o.workload.Workers < 1 {
		return nil, errors.New("--objects and --workers are at least 1")
	}
	switch o.sizes {
	case "c":
		o.workload.Sizes = bench.CSizes
	case "rust":
		o.workload.Sizes = bench.RustSizes
	default:
		var bytes int
		if _, err := fmt.Sscanf(o.sizes, "%d", &bytes); err != nil || bytes < 1 || bytes > 64<<20 {
			return nil, fmt.Errorf("--sizes: %q is neither c, rust, nor a number of bytes up to 64 MiB", o.sizes)
		}
		o.workload.Sizes = bench.Fixed(bytes)
	}
	if o.caFile != "" {
		pem, err := os.ReadFile(o.caFile)
		if err != nil {
			return nil, fmt.Errorf("--ca-file: %w", err)
		}
		t.TLS.RootCAs = x509.NewCertPool()
		if !t.TLS.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("--ca-file: %s holds no certificate in PEM", o.caFile)
		}
	}
	return t, nil
}

// benchRow is one line of the report: one kind of request in one phase.
type benchRow struct {
	Phase     string  `json:"phase"`
	Kind      string  `json:"kind"`
	Requests  int     `json:"requests"`
	Errors    int     `json:"errors"` // of the whole phase
	PerSecond float64 `json:"per_second"`
	P50       float64 `json:"p50_ms"`
	P90       float64 `json:"p90_ms"`
	P99       float64 `json:"p99_ms"`
	MBPerS    float64 `json:"mb_per_second"` // of the whole phase
	FirstErr  string  `json:"first_error,omitempty"`
}

func benchReport(phases []bench.Phase) []benchRow {
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	var rows []benchRow
	for _, phase := range phases {
		r := phase.Result
		for _, kind := range r.Kinds() {
			row := benchRow{
				Phase: phase.Name, Kind: kind, Requests: r.Count(kind), Errors: r.Errors,
				PerSecond: float64(r.Count(kind)) / r.Elapsed.Seconds(), MBPerS: float64(r.Bytes) / 1e6 / r.Elapsed.Seconds(),
				P50: ms(r.Latency(kind, .5)), P90: ms(r.Latency(kind, .9)), P99: ms(r.Latency(kind, .99)),
			}
			if r.FirstErr != nil {
				row.FirstErr = r.FirstErr.Error()
			}
			rows = append(rows, row)
		}
	}
	return rows
}

func printBench(w io.Writer, rows []benchRow) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(table, "phase\tkind\trequests\terrors\trequests/s\tMB/s\tp50 ms\tp90 ms\tp99 ms\t")
	for _, r := range rows {
		_, _ = fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%.0f\t%.1f\t%.2f\t%.2f\t%.2f\t\n", r.Phase, r.Kind, r.Requests, r.Errors, r.PerSecond, r.MBPerS, r.P50, r.P90, r.P99)
	}
	for _, r := range rows {
		if r.FirstErr != "" {
			_, _ = fmt.Fprintf(table, "%s: %s\n", r.Phase, r.FirstErr)
		}
	}
	return table.Flush()
}
