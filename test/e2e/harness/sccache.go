package harness

import (
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/larder-cache/larder/test/e2e/project"
)

// Sccache is one sccache program on one machine.
type Sccache struct {
	Machine *Machine
	Program string            // path
	Env     map[string]string // where the cache is, and the keys to it
}

// Build is what one build did, by sccache's own account.
type Build struct {
	Stats Stats
	Took  time.Duration
}

// Stats are those of sccache's statistics that tests look at.
type Stats struct {
	Requests    int
	Hits        int
	HitsIn      map[string]int // by language: "Rust", "C/C++"
	Misses      int
	Errors      int // cache errors, and read and write errors of the cache
	Timeouts    int
	Writes      int
	WriteErrors int
	NotCached   int
	Failed      int // compiles that failed, as probes of build scripts may: looked up, not written
	Location    string
}

// Build starts a daemon of its own, builds the project anew, and stops the daemon.
// A build that fails ends the test.
func (s *Sccache) Build(tb testing.TB, name string) Build {
	tb.Helper()
	b, out, err := s.TryBuild(tb, name)
	if err != nil {
		tb.Fatalf("build %s on %s: %v\n%s", name, s.Machine.Name, err, out)
	}
	return b
}

// TryBuild is Build for builds that may fail; out is what cargo wrote.
func (s *Sccache) TryBuild(tb testing.TB, name string) (b Build, out []byte, err error) {
	tb.Helper()
	return s.turns(tb, name, func() bool { return false })
}

// BuildWhile is a long Build by one daemon: the project is built anew as long as
// more says so after a turn. Nothing that a turn compiles was compiled before.
func (s *Sccache) BuildWhile(tb testing.TB, name string, more func() bool) Build {
	tb.Helper()
	b, out, err := s.turns(tb, name, more)
	if err != nil {
		tb.Fatalf("build %s on %s: %v\n%s", name, s.Machine.Name, err, out)
	}
	return b
}

func (s *Sccache) turns(tb testing.TB, name string, more func() bool) (b Build, out []byte, err error) {
	tb.Helper()
	source := sourceRust
	if name == project.C {
		source = sourceC
	}
	env := s.environment()
	if out, err := s.Machine.Command(tb, Home, env, s.Program, "--start-server").CombinedOutput(); err != nil {
		return b, out, fmt.Errorf("start sccache: %w", err)
	}
	defer func() { _ = s.Machine.Command(tb, Home, env, s.Program, "--stop-server").Run() }()
	start := time.Now()
	for turn := 0; turn == 0 || more(); turn++ {
		if turn > 0 {
			env["CFLAGS"], env["RUSTFLAGS"] = fmt.Sprintf("-DTURN=%d", turn), fmt.Sprintf("--cfg turn%d", turn)
		}
		s.Machine.Remove(tb, "target")
		out, err = s.Machine.Command(tb, source, env, "cargo", "build", "--offline", "--locked").CombinedOutput()
		if err != nil {
			return b, out, fmt.Errorf("cargo build: %w", err)
		}
	}
	b.Took = time.Since(start)
	b.Stats = s.stats(tb, env)
	return b, out, nil
}

func (s *Sccache) environment() map[string]string {
	env := map[string]string{
		"PATH":                 filepath.Dir(s.Program) + ":" + s.Machine.env["PATH"],
		"RUSTC_WRAPPER":        "sccache",
		"CARGO_TARGET_DIR":     Home + "/target",
		"CARGO_INCREMENTAL":    "0",
		"SCCACHE_IDLE_TIMEOUT": "0",
	}
	maps.Copy(env, s.Env)
	return env
}

func (s *Sccache) stats(tb testing.TB, env map[string]string) Stats {
	tb.Helper()
	type counts struct {
		Counts map[string]int `json:"counts"`
	}
	var raw struct {
		Stats struct {
			CompileRequests  int            `json:"compile_requests"`
			CacheErrors      counts         `json:"cache_errors"`
			CacheHits        counts         `json:"cache_hits"`
			CacheMisses      counts         `json:"cache_misses"`
			CacheTimeouts    int            `json:"cache_timeouts"`
			CacheReadErrors  int            `json:"cache_read_errors"`
			CacheWrites      int            `json:"cache_writes"`
			CacheWriteErrors int            `json:"cache_write_errors"`
			CompileFails     int            `json:"compile_fails"`
			NotCached        map[string]int `json:"not_cached"`
		} `json:"stats"`
		CacheLocation string `json:"cache_location"`
	}
	text := s.Machine.Run(tb, env, s.Program, "--show-stats", "--stats-format=json")
	if err := json.Unmarshal([]byte(text), &raw); err != nil {
		tb.Fatalf("sccache's statistics: %v: %s", err, text)
	}
	sum := func(m map[string]int) (n int) {
		for _, v := range m {
			n += v
		}
		return n
	}
	r := raw.Stats
	return Stats{
		Requests: r.CompileRequests, Hits: sum(r.CacheHits.Counts), HitsIn: r.CacheHits.Counts, Misses: sum(r.CacheMisses.Counts),
		Errors:   sum(r.CacheErrors.Counts) + r.CacheReadErrors,
		Timeouts: r.CacheTimeouts, Writes: r.CacheWrites, WriteErrors: r.CacheWriteErrors,
		NotCached: sum(r.NotCached), Failed: r.CompileFails, Location: raw.CacheLocation,
	}
}

// Objects are the requests in the log that were for entries of the cache by the
// machine: sccache's own checks and other clients are left out.
func (s *Sccache) Objects(all []Access) []Access {
	var mine []Access
	for _, a := range all {
		if a.Remote == s.Machine.IP && !strings.HasSuffix(a.Path, ".sccache_check") {
			mine = append(mine, a)
		}
	}
	return mine
}
