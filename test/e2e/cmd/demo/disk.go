package main

import (
	"fmt"
	"slices"

	"github.com/larder-cache/larder/test/e2e/harness"
	"github.com/larder-cache/larder/test/e2e/project"
)

// diskBar is how much longer a warm build may take than one from the local disk.
const diskBar = 1.05

// besideDisk lets warm builds take turns: from the server, and from sccache's own
// cache on the local disk. The median of the turns' ratios counts.
func besideDisk(s *stage, server *harness.Server, program string, turns int) {
	remote := newMachine(s, server, program, "server")
	local := newMachine(s, server, program, "disk")
	local.Env = map[string]string{"SCCACHE_DIR": harness.Home + "/local-cache"}
	for _, on := range []*harness.Sccache{remote, local} {
		build(s, on, project.Rust, "Rust, 78 crates", "this fills its cache")
	}
	var ratios []float64
	for range turns {
		served := build(s, remote, project.Rust, "Rust, 78 crates", "all from the server")
		read := build(s, local, project.Rust, "Rust, 78 crates", "all from the local disk")
		if served.Stats.Misses+read.Stats.Misses > 0 {
			s.Errorf("a warm build missed: %+v, %+v", served.Stats, read.Stats)
		}
		ratios = append(ratios, served.Took.Seconds()/read.Took.Seconds())
	}
	slices.Sort(ratios)
	median, verdict := ratios[len(ratios)/2], "ok"
	if median > diskBar {
		verdict = "MISSED"
	}
	fmt.Printf("\nwarm build beside one from the local disk: %.2f ×, bar ≤ %.2f, %s (turns %.2f)\n", median, diskBar, verdict, ratios)
}
