package sccache

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Rules are how a sccache turns a name into addresses.
type Rules string

// The rules there are.
const (
	Glibc  Rules = "glibc"         // up to 0.17: getaddrinfo with the modules of nsswitch.conf
	Musl   Rules = "static musl"   // up to 0.17: hosts file and DNS; no modules, search list for short names only
	Own    Rules = "sccache's own" // from 0.18 on, whatever the libc: hosts file, DNS, *.localhost
	System Rules = "the system's"  // macOS and Windows
)

// ErrNotFound is the error for a name that has no address by the rules asked for.
var ErrNotFound = errors.New("name not found")

// Resolver finds names by the rules of one build of sccache. Its zero value
// applies no rules; all other fields may be left zero.
type Resolver struct {
	Rules    Rules
	Root     string // root of the file system that holds etc/hosts and etc/resolv.conf
	Hostname string // of this machine; its domain is searched by Own. "" asks the system
	Getent   string // program that asks the libc for Glibc; "" looks for getent, "-" goes without

	// Dial reaches a name server; nil uses the network.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Find returns the addresses of host, IPv4 first, or ErrNotFound wrapped with
// what was asked. An address is its own answer.
func (r *Resolver) Find(ctx context.Context, host string) ([]netip.Addr, error) {
	if ip, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{ip}, nil
	}
	if host == "" {
		return nil, ErrNotFound
	}
	switch r.Rules {
	case System:
		return r.system(ctx, host)
	case Own:
		if name := strings.TrimSuffix(strings.ToLower(host), "."); name == "localhost" || strings.HasSuffix(name, ".localhost") {
			return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}, nil
		}
	case Glibc:
		if addrs, asked, err := r.getent(ctx, host); asked {
			return addrs, err
		}
	case Musl:
	}
	if addrs := r.hosts(host); len(addrs) > 0 {
		return addrs, nil
	}
	conf := r.resolvConf()
	names := conf.candidates(host, r.Rules, r.domain())
	for _, name := range names {
		if addrs := r.hosts(name); r.Rules == Own && len(addrs) > 0 { // it looks each candidate up in the hosts file
			return addrs, nil
		}
		addrs, err := r.query(ctx, conf.servers, name)
		if err != nil {
			return nil, fmt.Errorf("%w: asked %s for %s: %w", ErrNotFound, strings.Join(conf.servers, ", "), name, err)
		}
		if len(addrs) > 0 {
			return addrs, nil
		}
	}
	return nil, fmt.Errorf("%w: asked the hosts file and %s for %s", ErrNotFound, strings.Join(conf.servers, ", "), strings.Join(names, ", "))
}

func (r *Resolver) system(ctx context.Context, host string) ([]netip.Addr, error) {
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	return sorted(addrs), nil
}

// getent asks the libc itself, through a program of its own: this one is linked
// with no libc. asked is false if there is no such program.
func (r *Resolver) getent(ctx context.Context, host string) (addrs []netip.Addr, asked bool, err error) {
	program := r.Getent
	if program == "-" || program == "" && r.Root != "" {
		return nil, false, nil
	}
	if program == "" {
		if program, err = exec.LookPath("getent"); err != nil {
			return nil, false, nil //nolint:nilerr // the answer is then computed
		}
	}
	out, err := exec.CommandContext(ctx, program, "ahosts", host).Output() //nolint:gosec // the libc's own program, or the caller's
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() > 0 {
		return nil, true, fmt.Errorf("%w: asked the libc (getent ahosts)", ErrNotFound)
	}
	if err != nil {
		return nil, false, nil //nolint:nilerr // the answer is then computed
	}
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		if ip, err := netip.ParseAddr(fields[0]); err == nil && !slices.Contains(addrs, ip) {
			addrs = append(addrs, ip)
		}
	}
	return addrs, true, nil
}

func (r *Resolver) domain() string {
	if r.Rules != Own {
		return ""
	}
	name := r.Hostname
	if name == "" {
		name, _ = os.Hostname()
	}
	_, domain, _ := strings.Cut(name, ".")
	return domain
}

// hosts looks host up in the hosts file.
func (r *Resolver) hosts(host string) (addrs []netip.Addr) {
	data, err := os.ReadFile(filepath.Join(r.Root, "/etc/hosts"))
	if err != nil {
		return nil
	}
	host = strings.TrimSuffix(host, ".")
	for line := range strings.Lines(string(data)) {
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		if len(fields) < 2 || !slices.ContainsFunc(fields[1:], func(name string) bool { return strings.EqualFold(strings.TrimSuffix(name, "."), host) }) {
			continue
		}
		if ip, err := netip.ParseAddr(fields[0]); err == nil {
			addrs = append(addrs, ip)
		}
	}
	return sorted(addrs)
}

// resolvConf is what /etc/resolv.conf says.
type resolvConf struct {
	servers []string
	search  []string
	ndots   int
}

func (r *Resolver) resolvConf() resolvConf {
	conf := resolvConf{ndots: 1}
	data, _ := os.ReadFile(filepath.Join(r.Root, "/etc/resolv.conf"))
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(line)
		if len(fields) < 2 || strings.HasPrefix(fields[0], "#") || strings.HasPrefix(fields[0], ";") {
			continue
		}
		switch fields[0] {
		case "nameserver":
			conf.servers = append(conf.servers, fields[1])
		case "search", "domain":
			conf.search = fields[1:]
		case "options":
			for _, option := range fields[1:] {
				if n, err := strconv.Atoi(strings.TrimPrefix(option, "ndots:")); err == nil && strings.HasPrefix(option, "ndots:") {
					conf.ndots = min(n, 15)
				}
			}
		}
	}
	if len(conf.servers) == 0 {
		conf.servers = []string{"127.0.0.1"}
	}
	return conf
}

// candidates lists the full names to ask for, in order, each without a final
// dot. The rules differ in when the search list is used: musl leaves it out for
// a name with enough dots, the others try it afterwards.
func (c resolvConf) candidates(host string, rules Rules, domain string) []string {
	if full, ok := strings.CutSuffix(host, "."); ok {
		return []string{full}
	}
	var searched []string
	for _, suffix := range append([]string{domain}, c.search...) {
		if suffix = strings.Trim(suffix, "."); suffix != "" && suffix != "--" {
			searched = append(searched, host+"."+suffix)
		}
	}
	enough := strings.Count(host, ".") >= c.ndots
	switch {
	case rules == Musl && enough:
		return []string{host}
	case enough:
		return append([]string{host}, searched...)
	}
	return append(searched, host)
}

func sorted(addrs []netip.Addr) []netip.Addr {
	for i := range addrs {
		addrs[i] = addrs[i].Unmap()
	}
	slices.SortStableFunc(addrs, func(a, b netip.Addr) int { return a.BitLen() - b.BitLen() })
	return slices.Compact(addrs)
}

// Stalls reports whether each new connection to host waits for a name server
// that does not answer, although the hosts file knows the name. By the rules of
// Own both kinds of addresses are looked for, and the kind that the hosts file
// does not hold is asked for.
func (r *Resolver) Stalls(ctx context.Context, host string) bool {
	addrs := r.hosts(host)
	if r.Rules != Own || len(addrs) == 0 || addrs[0].BitLen() != addrs[len(addrs)-1].BitLen() {
		return false
	}
	conf := r.resolvConf()
	_, err := r.query(ctx, conf.servers, strings.TrimSuffix(host, "."))
	return err != nil
}

// FoundByAll reports whether host has an address by the rules of every sccache
// that runs on Linux, so that it may be told to clients whose release is not
// known.
func FoundByAll(ctx context.Context, host string) bool {
	for _, rules := range []Rules{Glibc, Musl, Own} {
		r := Resolver{Rules: rules}
		if _, err := r.Find(ctx, host); err != nil {
			return false
		}
	}
	return true
}
