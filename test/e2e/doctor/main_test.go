// Package doctor_test holds larder doctor against real sccache: what the doctor
// says that sccache does, and what the daemon of each release then does.
package doctor_test

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"github.com/larder-cache/larder/test/e2e/harness"
	"github.com/larder-cache/larder/test/e2e/tools"
)

func TestMain(m *testing.M) { harness.Main(m) }

// versions are the sccache programs; the short form has the one that needs no
// building.
func versions() []string {
	if testing.Short() {
		return []string{tools.Sccache016}
	}
	return []string{tools.Sccache016, tools.Sccache019}
}

// patient is a machine with one sccache.
type patient struct {
	*harness.Machine
	program string
	port    *int       // of the next daemon: each has one of its own, for they take their time to end
	all     *testing.T // that the machine is for
	t       *testing.T // of now
}

func newPatient(t *testing.T, version string, names ...string) *patient {
	t.Helper()
	program, err := tools.Path(version)
	if err != nil {
		t.Fatal(err)
	}
	port := 10000
	p := &patient{Machine: harness.NewMachine(t, version, names...), program: program, port: &port, all: t, t: t}
	p.useNameServer()
	return p
}

// in is the same patient in another test.
func (p patient) in(t *testing.T) *patient {
	t.Helper()
	p.t = t
	return &p
}

// newDaemon gives env a port that no daemon has had.
func (p *patient) newDaemon(env map[string]string) {
	*p.port++
	env["SCCACHE_SERVER_PORT"] = strconv.Itoa(*p.port)
}

// starts reports whether a daemon starts with env, and ends it.
func (p *patient) starts(env map[string]string) (started bool, output string) {
	p.t.Helper()
	out, err := p.Command(p.t, harness.Home, env, p.program, "--start-server").CombinedOutput()
	if err == nil {
		p.stop(env)
	}
	return err == nil, string(out)
}

// stop ends a daemon, and does not wait until it has.
func (p *patient) stop(env map[string]string) {
	p.t.Helper()
	cmd := p.Command(p.all, harness.Home, env, p.program, "--stop-server")
	if err := cmd.Start(); err != nil {
		p.t.Error(err)
	}
	p.all.Cleanup(func() { _ = cmd.Wait() })
}

// report is what larder doctor --json prints.
type report struct {
	Version string
	Address string
	Checks  []struct{ Check, Status, Cause, Fix string }
}

func (r report) find(check string) (status, cause, fix string) {
	for _, c := range r.Checks {
		if c.Check == check {
			return c.Status, c.Cause, c.Fix
		}
	}
	return "", "", ""
}

// local reports whether sccache would use its local disk, without an error.
func (r report) local() bool {
	_, cause, _ := r.find("settings")
	return strings.Contains(cause, "uses its local disk") || strings.Contains(cause, "S3 is none of them")
}

// firstBad is the first check that is neither ok nor skipped.
func (r report) firstBad() (check, text string) {
	for _, c := range r.Checks {
		if c.Status == "failed" {
			return c.Check, c.Cause + " → " + c.Fix
		}
	}
	return "", ""
}

// examine runs larder doctor on the machine.
func (p *patient) examine(env map[string]string) (report, bool) {
	p.t.Helper()
	out, err := p.Command(p.t, harness.Home, env, harness.Larder, "doctor", "--json", "--sccache", p.program).Output()
	var r report
	if jsonErr := json.Unmarshal(out, &r); jsonErr != nil {
		p.t.Fatalf("larder doctor: %v, %v: %s", err, jsonErr, out)
	}
	for _, v := range []string{env["AWS_SECRET_ACCESS_KEY"], env["AWS_SESSION_TOKEN"]} {
		if v != "" && strings.Contains(string(out), v) {
			p.t.Errorf("the report holds a secret: %s", out)
		}
	}
	return r, err == nil
}
