package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/larder-cache/larder/internal/bench"
)

const (
	connections = 32
	bodySize    = 46 << 10 // bytes, the mean of a published compile cache
	population  = 4000     // objects that are read
	fresh       = 120_000  // objects that are written: sccache writes a key once, after it missed
)

// contender is a server with what it is asked.
type contender struct {
	*server
	calls map[string][]bench.Call
	put   atomic.Int64 // how many of its calls were sent
}

// measurement is one server's median over its turns.
type measurement struct {
	perSecond float64
	cpu       float64 // microseconds a request
}

// compare measures GET, miss, PUT and LIST beside the baseline.
func compare(ctx context.Context, s *settings) ([]row, error) {
	ours, err := openContender(ctx, s, "larder", func(dir string) (*server, error) { return startLarder(ctx, s.larder, dir) })
	if err != nil {
		return nil, err
	}
	defer ours.stop(syscall.SIGTERM)
	bare, err := openContender(ctx, s, "baseline", func(dir string) (*server, error) { return startBaseline(ctx, s.baseline, dir) })
	if err != nil {
		return nil, err
	}
	defer bare.stop(syscall.SIGTERM)
	servers := []*contender{ours, bare}
	if s.minio != "" {
		peer, err := openContender(ctx, s, "minio", func(dir string) (*server, error) { return startMinIO(ctx, s.minio, dir) })
		if err != nil {
			return nil, err
		}
		defer peer.stop(syscall.SIGTERM)
		servers = append(servers, peer)
	}
	var rows []row
	for _, c := range []struct {
		kind, title string
		rate, cpu   float64
	}{
		{"get", "GET 46 KB", 0.7, 1.7},
		{"miss", "GET of nothing", 0.8, 1.6},
		{"put", "durable PUT 46 KB", 0.7, 1.5},
	} {
		fmt.Fprintln(os.Stderr, "bench:", c.title)
		m, rate, cpu, err := turns(ctx, s, servers, c.kind)
		if err != nil {
			return nil, err
		}
		rows = append(rows,
			atLeast(c.title+", throughput", rate, c.rate, "×", describe(servers, m, func(m measurement) string { return fmt.Sprintf("%.0f/s", m.perSecond) })),
			atMost(c.title+", CPU a request", cpu, c.cpu, "×", describe(servers, m, func(m measurement) string { return fmt.Sprintf("%.0f µs", m.cpu) })))
	}
	listers := []*contender{ours}
	if len(servers) > 2 {
		listers = append(listers, servers[2])
	}
	fmt.Fprintln(os.Stderr, "bench: LIST")
	m, _, _, err := turns(ctx, s, listers, "list")
	if err != nil {
		return nil, err
	}
	return append(rows, atMost("LIST page of 1,000, CPU", m[0].cpu/1000, 1, "ms",
		describe(listers, m, func(m measurement) string { return fmt.Sprintf("%.2f ms", m.cpu/1000) }))), nil
}

func describe(servers []*contender, m []measurement, show func(measurement) string) string {
	words := make([]string, len(servers))
	for i, c := range servers {
		words[i] = c.name + " " + show(m[i])
	}
	return strings.Join(words, ", ")
}

// turns lets the servers take turns under one kind of load. rate and cpu are the
// median ratios of the first server to the second.
func turns(ctx context.Context, s *settings, servers []*contender, kind string) (medians []measurement, rate, cpu float64, err error) {
	samples := make([][]measurement, len(servers))
	var rates, cpus []float64
	for range s.turns {
		for i, c := range servers {
			m, err := c.turn(ctx, kind, s.turn)
			if err != nil {
				return nil, 0, 0, err
			}
			samples[i] = append(samples[i], m)
		}
		if last := len(samples[0]) - 1; len(servers) > 1 {
			rates = append(rates, samples[0][last].perSecond/samples[1][last].perSecond)
			cpus = append(cpus, samples[0][last].cpu/samples[1][last].cpu)
		}
	}
	for _, of := range samples {
		var perSecond, used []float64
		for _, m := range of {
			perSecond, used = append(perSecond, m.perSecond), append(used, m.cpu)
		}
		medians = append(medians, measurement{median(perSecond), median(used)})
	}
	if len(rates) == 0 {
		return medians, 0, 0, nil
	}
	return medians, median(rates), median(cpus), nil
}

func (c *contender) turn(ctx context.Context, kind string, length time.Duration) (measurement, error) {
	before, err := c.cpu()
	if err != nil {
		return measurement{}, err
	}
	calls := c.calls[kind]
	result, err := bench.Run(ctx, bench.Load{
		Server: c.url, Workers: connections, Duration: length,
		Next: func(random *rand.Rand) *bench.Call {
			if kind == "put" {
				return &calls[int(c.put.Add(1)-1)%len(calls)]
			}
			return &calls[random.IntN(len(calls))]
		},
	})
	if err != nil {
		return measurement{}, err
	}
	if err := result.Err(); err != nil {
		return measurement{}, fmt.Errorf("%s: %w", c.name, err)
	}
	after, err := c.cpu()
	return measurement{result.PerSecond(), float64((after - before).Microseconds()) / float64(result.Requests)}, err
}

// openContender starts a server and writes the objects that will be read.
func openContender(ctx context.Context, s *settings, name string, start func(dir string) (*server, error)) (*contender, error) {
	dir := filepath.Join(s.dir, name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	server, err := start(dir)
	if err != nil {
		return nil, err
	}
	c := &contender{server: server, calls: map[string][]bench.Call{}}
	if err := c.prepare(ctx); err != nil {
		server.stop(syscall.SIGKILL)
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return c, nil
}

func (c *contender) prepare(ctx context.Context) error {
	random := rand.New(rand.NewPCG(46, 46))
	body := make([]byte, bodySize)
	for i := range body {
		body[i] = byte(random.Uint32())
	}
	keys, spare := bench.Keys("bench", population, random), bench.Keys("spare", fresh, random)
	nowhere := *c.target
	if c.name == "baseline" {
		nowhere.Bucket = "miss" // it tells a miss by its path
	}
	for i := range spare {
		for n, call := range []struct {
			target            *bench.Target
			kind, method, key string
			body              []byte
			status            int
		}{
			{c.target, "put", http.MethodPut, spare[i], body, http.StatusOK},
			{&nowhere, "miss", http.MethodGet, "absent-" + spare[i], nil, http.StatusNotFound},
			{c.target, "get", http.MethodGet, keys[i%population], nil, http.StatusOK},
			{c.target, "fill", http.MethodPut, keys[i%population], body, http.StatusOK},
		} {
			if n > 0 && i >= population {
				break
			}
			rendered, err := call.target.Render(call.kind, call.method, call.key, "", call.body, call.status)
			if err != nil {
				return err
			}
			c.calls[call.kind] = append(c.calls[call.kind], rendered)
		}
	}
	list, err := c.target.Render("list", http.MethodGet, "", "list-type=2&max-keys=1000", nil, http.StatusOK)
	if err != nil {
		return err
	}
	c.calls["list"] = []bench.Call{list}
	result, err := bench.Run(ctx, bench.Load{Server: c.url, Workers: connections, Calls: c.calls["fill"]})
	if err != nil {
		return err
	}
	return result.Err()
}
