package sccache

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Daemon is what listens where clients look for their daemon: sccache, something
// else, or nothing. All but the first two fields are known on Linux only, and
// those of the process only to its own user and root.
type Daemon struct {
	Address string // "127.0.0.1:4226", or the path of a Unix socket
	Running bool   // something listens

	UID     int     // user it runs as; -1 if not known
	PID     int     // 0 if not known
	Program string  // path of what runs; "" if not known
	Environ Environ // it was started with; nil if not known
}

// FindDaemon looks where a client with env looks.
func FindDaemon(ctx context.Context, env Environ) Daemon {
	network, address := "unix", env["SCCACHE_SERVER_UDS"]
	port := 4226
	if address == "" {
		if n, err := strconv.ParseUint(env["SCCACHE_SERVER_PORT"], 10, 16); err == nil {
			port = int(n)
		}
		network, address = "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	}
	d := Daemon{Address: address, UID: -1}
	dialer := net.Dialer{Timeout: 2 * time.Second}
	conn, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return d
	}
	_ = conn.Close()
	d.Running = true
	if network == "tcp" {
		d.identify(port)
	}
	return d
}

// identify finds the process that listens on the port of 127.0.0.1.
func (d *Daemon) identify(port int) {
	inode, uid, ok := listener(port)
	if !ok {
		return
	}
	d.UID = uid
	links, _ := filepath.Glob("/proc/[0-9]*/fd/[0-9]*")
	for _, link := range links {
		if target, err := os.Readlink(link); err != nil || target != "socket:["+inode+"]" {
			continue
		}
		process := filepath.Dir(filepath.Dir(link))
		d.PID, _ = strconv.Atoi(filepath.Base(process))
		d.Program, _ = os.Readlink(filepath.Join(process, "exe"))
		if data, err := os.ReadFile(filepath.Join(process, "environ")); err == nil {
			d.Environ = ParseEnviron(strings.Split(string(data), "\x00"))
		}
		return
	}
}

// listener reads the socket that listens on 127.0.0.1 or 0.0.0.0 and port from
// /proc/net/tcp, whose addresses are hexadecimal in the byte order of the machine.
func listener(port int) (inode string, uid int, ok bool) {
	data, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		return "", 0, false
	}
	const listening = "0A"
	for line := range strings.Lines(string(data)) {
		f := strings.Fields(line)
		if len(f) < 10 || f[3] != listening {
			continue
		}
		host, hexPort, _ := strings.Cut(f[1], ":")
		raw, err := hex.DecodeString(host)
		loopback := err == nil && (bytes.Equal(raw, []byte{1, 0, 0, 127}) || bytes.Equal(raw, []byte{127, 0, 0, 1}) || bytes.Equal(raw, make([]byte, 4)))
		if n, err := strconv.ParseUint(hexPort, 16, 16); err != nil || int(n) != port || !loopback {
			continue
		}
		if uid, err = strconv.Atoi(f[7]); err == nil {
			return f[9], uid, true
		}
	}
	return "", 0, false
}

// Stats is what a daemon says about itself. Without a daemon, sccache answers
// itself, with what a daemon would be told now.
type Stats struct {
	Version  string `json:"version"`
	Location string `json:"cache_location"`       // "s3, name: BUCKET, prefix: /PREFIX/", `Local disk: "…"`, "Multi-level (2 levels)"
	Mode     string `json:"effective_cache_mode"` // "ReadOnly" or "ReadWrite"; "" before 0.19 and without a daemon
	Counts   struct {
		Requests    int64 `json:"compile_requests"`
		Writes      int64 `json:"cache_writes"`
		WriteErrors int64 `json:"cache_write_errors"`
		ReadErrors  int64 `json:"cache_read_errors"`
	} `json:"stats"`
}

// statsTimeout is how long a daemon has to answer; one that is not sccache never does.
const statsTimeout = 5 * time.Second

// Stats asks the daemon that p, started with env, talks to.
func (p Program) Stats(ctx context.Context, env Environ) (Stats, error) {
	ctx, cancel := context.WithTimeout(ctx, statsTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, p.Path, "--show-stats", "--stats-format=json") //nolint:gosec // the sccache that the user named
	cmd.Env = env.lines()
	cmd.WaitDelay = time.Second
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return Stats{}, fmt.Errorf("%s --show-stats: %w: %s", p.Path, err, oneLine(stderr.String()))
	}
	var s Stats
	if err := json.Unmarshal(out, &s); err != nil || s.Location == "" && s.Version == "" {
		return Stats{}, fmt.Errorf("%s --show-stats printed no statistics", p.Path)
	}
	return s, nil
}

// UsesS3 reports whether the cache is in S3; level is set if S3 may be one of
// several levels, which the daemon does not tell.
func (s Stats) UsesS3() (uses, level bool) {
	if strings.HasPrefix(s.Location, "Multi-level") {
		return false, true
	}
	return strings.HasPrefix(s.Location, "s3,"), false
}

// Bucket returns the bucket that the daemon uses, "" if it does not tell.
func (s Stats) Bucket() string {
	_, rest, ok := strings.Cut(s.Location, "s3, name: ")
	if !ok {
		return ""
	}
	bucket, _, _ := strings.Cut(rest, ", prefix: ")
	return bucket
}

func oneLine(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > 300 {
		text = text[:300] + "…"
	}
	return text
}
