// Command demo shows what Larder is for: it starts a server, builds two real
// projects with real sccache on one machine, builds them again on another, and
// prints how long that took and what came from the cache.
//
// The machines are namespaces on this one: they share no folder but the sources.
package main

import (
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/larder-cache/larder/test/e2e/harness"
	"github.com/larder-cache/larder/test/e2e/project"
	"github.com/larder-cache/larder/test/e2e/tools"
)

func main() {
	harness.Enter()
	turns := flag.Int("disk-turns", 0, "instead, compare warm builds with ones from the local disk, in so many turns")
	flag.Parse()
	os.Exit(run(*turns))
}

// projects are what is built, and what a person calls them.
var projects = []struct{ name, title string }{
	{project.Rust, "Rust, 78 crates"},
	{project.C, "C through the cc crate"},
}

func run(diskTurns int) (code int) {
	s := newStage()
	defer func() {
		if problem := recover(); problem != nil {
			if err, ok := problem.(error); !ok || !errors.Is(err, errFailed) {
				panic(problem)
			}
			code = 1
		}
		s.clear()
	}()
	program, err := tools.Path(tools.Sccache016)
	if err != nil {
		s.Fatal(err)
	}
	fmt.Println("Starting a server: larder serve ./data")
	server := harness.NewServer(s, harness.Options{})
	fmt.Printf("It is up at %s, with a cache bucket and a key for it.\n\n", server.URL())

	if diskTurns > 0 {
		besideDisk(s, server, program, diskTurns)
		return s.exitCode()
	}
	first := newMachine(s, server, program, "machine 1")
	second := newMachine(s, server, program, "machine 2")
	var table strings.Builder
	fmt.Fprintf(&table, "\n%-24s %10s %10s %8s %8s %10s\n", "", "cold", "warm", "faster", "hits", "of")
	for _, p := range projects {
		cold := build(s, first, p.name, p.title, "nothing is cached yet")
		warm := build(s, second, p.name, p.title, "it has never built this")
		fmt.Fprintf(&table, "%-24s %10s %10s %7.1f× %8d %10d\n", p.title, short(cold.Took), short(warm.Took),
			cold.Took.Seconds()/warm.Took.Seconds(), warm.Stats.Hits, warm.Stats.Hits+warm.Stats.Misses)
		if warm.Stats.Hits != cold.Stats.Misses || warm.Stats.Misses != 0 || warm.Stats.Errors+cold.Stats.Errors+cold.Stats.WriteErrors != 0 {
			s.Errorf("%s: sccache counts %+v, then %+v", p.title, cold.Stats, warm.Stats)
		}
	}
	fmt.Print(table.String())
	gets, puts := 0, 0
	for _, a := range append(first.Objects(server.Requests(0)), second.Objects(server.Requests(0))...) {
		switch {
		case a.Method == http.MethodGet && a.Status == http.StatusOK:
			gets++
		case a.Method == http.MethodPut && a.Status == http.StatusOK:
			puts++
		}
	}
	fmt.Printf("\nThe server's log says the same: %d objects written, %d read.\nWhat a warm build still does is link and run build scripts: no cache can.\n", puts, gets)
	return s.exitCode()
}

func newMachine(s *stage, server *harness.Server, program, name string) *harness.Sccache {
	const host = "cache.test"
	m := harness.NewMachine(s, name, host)
	return &harness.Sccache{Machine: m, Program: program, Env: server.SccacheEnv(host, "path")}
}

func build(s *stage, on *harness.Sccache, name, title, why string) harness.Build {
	fmt.Printf("%s builds %s; %s … ", on.Machine.Name, title, why)
	b := on.Build(s, name)
	fmt.Printf("%s, %d hits, %d misses\n", short(b.Took), b.Stats.Hits, b.Stats.Misses)
	return b
}

func short(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }
