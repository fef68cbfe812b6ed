// Package doctor looks at a machine where sccache runs and says what keeps it
// from using its cache, and what to do about it.
//
// It does what that sccache would do, with the same settings and in the same
// order, and stops at each step to look: the program, its settings, its daemon,
// the address it makes of them, name, connection, certificate, clock, answers.
// A step that fails is reported with its cause and one remedy, and whatever
// rests on it as not checked, so that the first ✗ is the one to mend.
//
// Examine sends what a daemon sends when it starts (it reads and writes
// .sccache_check), and writes, reads and removes one object of its own,
// .larder_doctor; the same each time, so that at most one is ever left. It
// changes nothing else. No finding holds a secret.
package doctor

import (
	"context"
	"crypto/x509"
	"net"
	"net/http"
	"runtime"
	"time"

	"github.com/larder-cache/larder/internal/sccache"
)

// Config is what to look at.
type Config struct {
	Environ  sccache.Environ // of a process that would start sccache
	Dir      string          // in which cargo would be run, for its configuration; "" is none
	Program  string          // name or path of sccache; "" is "sccache"
	Endpoint string          // instead of the one sccache is told; "" for that one

	GOOS     string            // "" is this system
	Root     string            // of the file system: hosts file, trust store; "" is /
	Now      func() time.Time  // nil is time.Now
	Resolver *sccache.Resolver // nil is one by the rules of the sccache that is found
	Dial     DialFunc          // reaches the server; nil is the network

	// FindDaemon looks for a daemon; nil is sccache.FindDaemon.
	FindDaemon func(context.Context, sccache.Environ) sccache.Daemon
}

// DialFunc connects to an address, "127.0.0.1:9000".
type DialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// Status is the outcome of a check.
type Status string

// The outcomes.
const (
	OK         Status = "ok"
	Warning    Status = "warning"     // it works, and something is not as it should be
	Failed     Status = "failed"      // sccache does not use its cache, or not fully
	NotChecked Status = "not checked" // it rests on a check that failed, or does not apply
)

// Finding is what one check found.
type Finding struct {
	Check  string `json:"check"`
	Status Status `json:"status"`
	Cause  string `json:"cause"`         // what was found, in one sentence
	Fix    string `json:"fix,omitempty"` // what to do, for a Warning or a Failed

	blind bool // what rests on it cannot be checked, although it did not fail
}

// Report is what Examine found, in the order of the checks.
type Report struct {
	Program  string    `json:"sccache,omitempty"` // path; "" if there is none
	Version  string    `json:"version,omitempty"`
	Address  string    `json:"address,omitempty"` // URL of the bucket, as sccache makes it
	Findings []Finding `json:"checks"`
}

// Failed reports whether any check failed.
func (r Report) Failed() bool { return r.count(Failed) > 0 }

func (r Report) count(s Status) (n int) {
	for _, f := range r.Findings {
		if f.Status == s {
			n++
		}
	}
	return n
}

// check is one step. It is run if none of needs failed or was left out.
type check struct {
	name  string
	needs []string
	run   func(*patient, context.Context) Finding
}

// checks lists the steps in their order.
func checks() []check {
	return []check{
		{"sccache", nil, (*patient).program},
		{"settings", nil, (*patient).settings},
		{"daemon", []string{"sccache", "settings"}, (*patient).daemon},
		{"address", []string{"settings"}, (*patient).address},
		{"name", []string{"address"}, (*patient).name},
		{"tcp", []string{"name"}, (*patient).tcp},
		{"tls", []string{"tcp"}, (*patient).tls},
		{"clock", []string{"tls"}, (*patient).clock},
		{"style", []string{"clock"}, (*patient).style},
		{"bucket", []string{"style"}, (*patient).bucket},
		{"credentials", []string{"style"}, (*patient).credentials},
		{"read check", []string{"bucket", "credentials"}, (*patient).readCheck},
		{"write check", []string{"bucket", "credentials"}, (*patient).writeCheck},
		{"round trip", []string{"read check", "write check"}, (*patient).roundTrip},
		{"latency", []string{"read check"}, (*patient).latency},
		{"fail open", []string{"settings"}, (*patient).failOpen},
	}
}

// patient is one machine under examination, and what is known of it so far.
type patient struct {
	cfg      Config
	cargo    []string // files that add to cfg.Environ
	sccache  sccache.Program
	config   sccache.Settings
	target   sccache.Address
	ip       string // that answers
	trusted  []*x509.Certificate
	keys     sccache.Credentials
	keysErr  error
	client   *http.Client
	first    reply // to the read check
	firstErr error
	wrote    time.Duration // of the round trip's write; 0 if there was none
}

// Examine runs every check. It never fails: what goes wrong is a Finding.
func Examine(ctx context.Context, cfg Config) Report {
	if cfg.Program == "" {
		cfg.Program = "sccache"
	}
	if cfg.GOOS == "" {
		cfg.GOOS = runtime.GOOS
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Dial == nil {
		cfg.Dial = (&net.Dialer{Timeout: 10 * time.Second}).DialContext
	}
	if cfg.FindDaemon == nil {
		cfg.FindDaemon = sccache.FindDaemon
	}
	p := &patient{cfg: cfg}
	if cfg.Dir != "" {
		p.cfg.Environ, p.cargo = cfg.Environ.WithCargo(cfg.Dir)
	}
	report := Report{}
	blocked := make(map[string]string) // check → the failed one it rests on
	for _, c := range checks() {
		finding := Finding{Status: NotChecked}
		for _, need := range c.needs {
			if root, ok := blocked[need]; ok && finding.Cause == "" {
				finding.Cause = "because of " + root
				blocked[c.name] = root
			}
		}
		if finding.Cause == "" {
			finding = c.run(p, ctx)
		}
		if finding.Status == Failed || finding.blind {
			blocked[c.name] = c.name
		}
		finding.Check = c.name
		report.Findings = append(report.Findings, finding)
	}
	if p.client != nil {
		p.client.CloseIdleConnections()
	}
	report.Program = p.sccache.Path
	if p.sccache.Path != "" {
		report.Version = p.sccache.Version.String()
	}
	if p.target.Base != nil {
		report.Address = p.target.Base.String()
	}
	return report
}

func ok(cause string) Finding          { return Finding{Status: OK, Cause: cause} }
func warn(cause, fix string) Finding   { return Finding{Status: Warning, Cause: cause, Fix: fix} }
func failed(cause, fix string) Finding { return Finding{Status: Failed, Cause: cause, Fix: fix} }
func skipped(cause string) Finding     { return Finding{Status: NotChecked, Cause: cause} }
