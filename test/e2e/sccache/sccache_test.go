// Package sccache_test builds real projects with real sccache on several machines
// through one server, and believes what sccache and the server both say.
package sccache_test

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/larder-cache/larder/test/e2e/harness"
	"github.com/larder-cache/larder/test/e2e/project"
	"github.com/larder-cache/larder/test/e2e/tools"
)

// The names by which machines reach the server, in path and in virtual-host style.
const (
	domain = "cache.test"
	bucket = "sccache"
)

// The styles of addressing, as larder env spells them.
const (
	path        = "path"
	virtualHost = "virtual-host"
)

// versions are the sccache programs; the short form has the one that needs no
// building.
func versions() []string {
	if testing.Short() {
		return []string{tools.Sccache016}
	}
	return []string{tools.Sccache016, tools.Sccache019}
}

type transport struct {
	name  string
	tls   bool
	http2 bool
}

func transports() []transport {
	if testing.Short() {
		return []transport{{name: "https", tls: true}}
	}
	return []transport{{name: "http"}, {name: "https", tls: true}, {name: "https-h2", tls: true, http2: true}}
}

// proto is what the program speaks: 0.16 knows HTTP/1.1 only.
func (tr transport) proto(version string) string {
	if tr.http2 && version == tools.Sccache019 {
		return "HTTP/2.0"
	}
	return "HTTP/1.1"
}

func startServer(t *testing.T, tr transport) *harness.Server {
	t.Helper()
	o := harness.Options{Names: []string{domain, "*." + domain}, Args: []string{"--domain", domain}}
	if tr.tls {
		o.CA = harness.NewAuthority(t)
	}
	if tr.http2 {
		o.Args = append(o.Args, "--http2")
	}
	return harness.NewServer(t, o)
}

// client is sccache on a new machine, with what larder env says in its environment.
func client(t *testing.T, server *harness.Server, version, style, prefix string) *harness.Sccache {
	t.Helper()
	program, err := tools.Path(version)
	if err != nil {
		t.Fatal(err)
	}
	m := harness.NewMachine(t, style, domain, bucket+"."+domain)
	env := server.SccacheEnv(domain, style)
	env["SCCACHE_S3_KEY_PREFIX"] = prefix
	trust(t, server, m, env)
	return &harness.Sccache{Machine: m, Program: program, Env: env}
}

func trust(t *testing.T, server *harness.Server, m *harness.Machine, env map[string]string) {
	t.Helper()
	if server.CA != nil {
		env["SSL_CERT_FILE"] = m.File(t, "ca.pem", server.CA.PEM)
	}
}

// expect says what a build must have done.
type expect struct {
	hits, misses int
	style        string
	proto        string
}

// build builds and compares what sccache counted with what the server logged.
func build(t *testing.T, server *harness.Server, s *harness.Sccache, name string, check func(harness.Stats) expect) harness.Build {
	t.Helper()
	mark := server.Mark()
	b := s.Build(t, name)
	want := check(b.Stats)
	t.Logf("%s on %s: %v, %d hits, %d misses, %d not cacheable", name, s.Machine.Name, b.Took.Round(1e8), b.Stats.Hits, b.Stats.Misses, b.Stats.NotCached)
	if b.Stats.Hits != want.hits || b.Stats.Misses != want.misses {
		t.Errorf("%s: sccache counts %d hits and %d misses, want %d and %d", name, b.Stats.Hits, b.Stats.Misses, want.hits, want.misses)
	}
	if b.Stats.Errors+b.Stats.Timeouts+b.Stats.WriteErrors != 0 || b.Stats.Writes != want.misses {
		t.Errorf("%s: sccache counts errors: %+v", name, b.Stats)
	}
	if !strings.Contains(b.Stats.Location, "s3") && !strings.Contains(b.Stats.Location, "S3") && !strings.Contains(b.Stats.Location, "Multi") {
		t.Errorf("sccache does not use S3 but %q", b.Stats.Location)
	}
	compare(t, s.Objects(server.Requests(mark)), want, b.Stats.Failed)
	return b
}

// compare checks the server's log of one build, in which some compiles failed.
func compare(t *testing.T, log []harness.Access, want expect, failed int) {
	t.Helper()
	got := map[string]int{}
	for _, a := range log {
		got[fmt.Sprint(a.Method, " ", a.Status)]++
		inHost := strings.HasPrefix(a.Host, bucket+".")
		if inHost != (want.style == virtualHost) {
			t.Errorf("%s %s of host %s is not in %s style", a.Method, a.Path, a.Host, want.style)
		}
		if a.Proto != want.proto {
			t.Errorf("%s %s came by %s, want %s", a.Method, a.Path, a.Proto, want.proto)
		}
	}
	wanted := map[string]int{}
	for outcome, n := range map[string]int{
		fmt.Sprint("GET ", http.StatusOK): want.hits, fmt.Sprint("GET ", http.StatusNotFound): want.misses + failed, fmt.Sprint("PUT ", http.StatusOK): want.misses,
	} {
		if n > 0 {
			wanted[outcome] = n
		}
	}
	if !maps.Equal(got, wanted) {
		t.Errorf("the server's log counts %v, want %v", got, wanted)
	}
}

// TestMatrix builds each project cold on one machine and warm on two others, with
// every version, over every transport, in both styles.
func TestMatrix(t *testing.T) {
	for _, tr := range transports() {
		t.Run(tr.name, func(t *testing.T) {
			server := startServer(t, tr)
			for _, version := range versions() {
				t.Run(version, func(t *testing.T) { matrixCell(t, server, tr, version) })
			}
		})
	}
}

func matrixCell(t *testing.T, server *harness.Server, tr transport, version string) {
	t.Helper()
	cold := client(t, server, version, path, version)
	warm := []*harness.Sccache{client(t, server, version, path, version), client(t, server, version, virtualHost, version)}
	if testing.Short() {
		warm = warm[1:]
	}
	for name, least := range map[string]int{project.Rust: 60, project.C: 20} {
		b := build(t, server, cold, name, func(s harness.Stats) expect {
			return expect{misses: s.Misses, style: path, proto: tr.proto(version)}
		})
		if b.Stats.Misses < least {
			t.Fatalf("%s has %d compiles that can be cached, want at least %d", name, b.Stats.Misses, least)
		}
		for _, s := range warm {
			w := build(t, server, s, name, func(harness.Stats) expect {
				return expect{hits: b.Stats.Misses, style: s.Machine.Name, proto: tr.proto(version)}
			})
			if name == project.C && w.Stats.HitsIn["C/C++"] == 0 {
				t.Errorf("no C was served: %v", w.Stats.HitsIn)
			}
		}
	}
}

// TestSpelledOut builds with exactly the variables that users of such servers have:
// an endpoint without a scheme, virtual hosts, TLS, region auto.
func TestSpelledOut(t *testing.T) {
	server := startServer(t, transport{tls: true})
	keys := server.SccacheEnv(domain, path)
	for _, version := range versions() {
		t.Run(version, func(t *testing.T) {
			cold, warm := client(t, server, version, path, ""), client(t, server, version, path, "")
			for _, s := range []*harness.Sccache{cold, warm} {
				s.Env = map[string]string{
					"SCCACHE_BUCKET":                       bucket,
					"SCCACHE_REGION":                       "auto",
					"SCCACHE_ENDPOINT":                     domain + ":" + server.Port(),
					"SCCACHE_S3_ENABLE_VIRTUAL_HOST_STYLE": "true",
					"SCCACHE_S3_USE_SSL":                   "true",
					"SCCACHE_S3_SERVER_SIDE_ENCRYPTION":    "false",
					"AWS_ACCESS_KEY_ID":                    keys["AWS_ACCESS_KEY_ID"],
					"AWS_SECRET_ACCESS_KEY":                keys["AWS_SECRET_ACCESS_KEY"],
				}
				trust(t, server, s.Machine, s.Env)
			}
			b := build(t, server, cold, project.C, func(s harness.Stats) expect {
				return expect{hits: s.Hits, misses: s.Misses, style: virtualHost, proto: "HTTP/1.1"}
			})
			build(t, server, warm, project.C, func(harness.Stats) expect {
				return expect{hits: b.Stats.Hits + b.Stats.Misses, style: virtualHost, proto: "HTTP/1.1"}
			})
		})
	}
}

// TestRestart kills the server between two builds: what was acknowledged is there.
func TestRestart(t *testing.T) {
	server := startServer(t, transport{})
	version, name := versions()[0], project.Rust
	if testing.Short() {
		name = project.C
	}
	b := build(t, server, client(t, server, version, path, ""), name, func(s harness.Stats) expect {
		return expect{misses: s.Misses, style: path, proto: "HTTP/1.1"}
	})
	server.Kill()
	server.Start()
	build(t, server, client(t, server, version, virtualHost, ""), name, func(harness.Stats) expect {
		return expect{hits: b.Stats.Misses, style: virtualHost, proto: "HTTP/1.1"}
	})
}
