package sccache_test

import (
	"testing"

	"github.com/larder-cache/larder/test/e2e/harness"
	"github.com/larder-cache/larder/test/e2e/project"
	"github.com/larder-cache/larder/test/e2e/tools"
)

// TestChain puts sccache's own disk before the server: another machine is served
// by the server, the same machine by its disk.
func TestChain(t *testing.T) {
	server := startServer(t, transport{})
	for _, version := range versions() {
		t.Run(version, func(t *testing.T) {
			cold, warm := client(t, server, version, path, version), client(t, server, version, path, version)
			for _, s := range []*harness.Sccache{cold, warm} {
				s.Env["SCCACHE_MULTILEVEL_CHAIN"] = "disk,s3"
				s.Env["SCCACHE_DIR"] = harness.Home + "/.cache/sccache"
			}
			mark := server.Mark()
			first := cold.Build(t, project.C)
			if puts := count(cold.Objects(server.Requests(mark)), "PUT", 200); first.Stats.Hits != 0 || puts != first.Stats.Misses {
				t.Errorf("cold: %+v, and the server logged %d writes", first.Stats, puts)
			}
			mark = server.Mark()
			second := warm.Build(t, project.C)
			if gets := count(warm.Objects(server.Requests(mark)), "GET", 200); second.Stats.Hits != first.Stats.Misses || second.Stats.Misses != 0 || gets < second.Stats.Hits {
				t.Errorf("another machine: %+v, and the server logged %d reads", second.Stats, gets)
			}
			for _, s := range []harness.Stats{first.Stats, second.Stats} {
				if s.Errors+s.WriteErrors+s.Timeouts != 0 {
					t.Errorf("sccache counts errors: %+v", s)
				}
			}
			mark = server.Mark()
			third := warm.Build(t, project.C)
			if gets := count(warm.Objects(server.Requests(mark)), "GET", 200); third.Stats.Hits != first.Stats.Misses || gets != 0 {
				t.Errorf("the same machine again: %+v, and the server logged %d reads", third.Stats, gets)
			}
		})
	}
}

// TestFailOpen kills the server under a client that has pasted what larder env
// prints: with a current sccache the build goes on.
func TestFailOpen(t *testing.T) {
	if testing.Short() {
		return // 0.16 knows no such switch
	}
	server := startServer(t, transport{})
	s := client(t, server, tools.Sccache019, path, "")
	server.Kill()
	b := s.Build(t, project.C)
	if b.Stats.Hits != 0 || b.Stats.Misses == 0 {
		t.Errorf("without a server: %+v", b.Stats)
	}
}

func count(all []harness.Access, method string, status int) (n int) {
	for _, a := range all {
		if a.Method == method && a.Status == status {
			n++
		}
	}
	return n
}
