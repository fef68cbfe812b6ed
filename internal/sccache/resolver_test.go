package sccache_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/larder-cache/larder/internal/sccache"
)

// nameServer answers A questions for the names it is given, and returns how to
// reach it whatever address is dialled.
func nameServer(t *testing.T, names map[string]string) func(context.Context, string, string) (net.Conn, error) {
	t.Helper()
	conn, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	go func() {
		buf := make([]byte, 1500)
		for {
			n, peer, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(buf[:n]) != nil {
				continue
			}
			m.Response, m.RCode = true, dnsmessage.RCodeNameError
			q := m.Questions[0]
			if ip, ok := names[q.Name.String()]; ok {
				m.RCode = dnsmessage.RCodeSuccess
				if q.Type == dnsmessage.TypeA {
					m.Answers = []dnsmessage.Resource{{
						Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 60},
						Body:   &dnsmessage.AResource{A: netip.MustParseAddr(ip).As4()},
					}}
				}
			}
			if packed, err := m.Pack(); err == nil {
				_, _ = conn.WriteTo(packed, peer)
			}
		}
	}()
	return func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, conn.LocalAddr().String())
	}
}

func TestResolver(t *testing.T) {
	root := t.TempDir()
	write(t, filepath.Join(root, "etc/hosts"), "127.0.0.1 localhost\n10.0.0.1 hosted Hosted.Example # hosted2\n")
	write(t, filepath.Join(root, "etc/resolv.conf"), "nameserver 10.9.9.9\nsearch corp.example lan\noptions ndots:1\n")
	dial := nameServer(t, map[string]string{
		"full.example.": "10.0.0.2", "short.corp.example.": "10.0.0.3", "a.b.lan.": "10.0.0.4", "own.host.domain.": "10.0.0.5",
	})
	const none = ""
	for _, tt := range []struct{ host, glibc, musl, own string }{
		{"192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.1"},
		{"hosted", "10.0.0.1", "10.0.0.1", "10.0.0.1"},
		{"hosted.example", "10.0.0.1", "10.0.0.1", "10.0.0.1"},
		{"hosted2", none, none, none},
		{"full.example", "10.0.0.2", "10.0.0.2", "10.0.0.2"},
		{"full.example.", "10.0.0.2", "10.0.0.2", "10.0.0.2"},
		{"short", "10.0.0.3", "10.0.0.3", "10.0.0.3"},
		{"a.b", "10.0.0.4", none, "10.0.0.4"}, // musl keeps the search list for names without a dot
		{"own", none, none, "10.0.0.5"},       // 0.18 searches the domain of the host's name, too
		{"sccache.localhost", none, none, "127.0.0.1"},
		{"none.example", none, none, none},
		{"", none, none, none},
	} {
		for rules, want := range map[sccache.Rules]string{sccache.Glibc: tt.glibc, sccache.Musl: tt.musl, sccache.Own: tt.own} {
			r := sccache.Resolver{Rules: rules, Root: root, Hostname: "box.host.domain", Getent: "-", Dial: dial}
			addrs, err := r.Find(t.Context(), tt.host)
			got := none
			if len(addrs) > 0 {
				got = addrs[0].String()
			}
			if got != want || (want == none) != errors.Is(err, sccache.ErrNotFound) {
				t.Errorf("%s by %s: %s, %v; want %q", tt.host, rules, got, err, want)
			}
		}
	}
}

func TestResolverSaysWhatItAsked(t *testing.T) {
	root := t.TempDir()
	write(t, filepath.Join(root, "etc/resolv.conf"), "nameserver 10.9.9.9\n")
	r := sccache.Resolver{Rules: sccache.Musl, Root: root, Dial: nameServer(t, nil)}
	_, err := r.Find(t.Context(), "cache.corp")
	if err == nil || !strings.Contains(err.Error(), "10.9.9.9") || !strings.Contains(err.Error(), "cache.corp") {
		t.Error(err)
	}
	r.Dial = func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no route") }
	if _, err = r.Find(t.Context(), "cache.corp"); !errors.Is(err, sccache.ErrNotFound) || !strings.Contains(err.Error(), "no route") {
		t.Error(err)
	}
}

func TestResolverAsksTheLibc(t *testing.T) {
	program := filepath.Join(t.TempDir(), "getent")
	script(t, program, "#!/bin/sh\n[ \"$2\" = known ] || exit 2\necho '10.1.1.1 STREAM known'\necho '10.1.1.1 DGRAM'\n")
	r := sccache.Resolver{Rules: sccache.Glibc, Getent: program}
	addrs, err := r.Find(t.Context(), "known")
	if err != nil || len(addrs) != 1 || addrs[0].String() != "10.1.1.1" {
		t.Error(addrs, err)
	}
	if _, err := r.Find(t.Context(), "unknown"); !errors.Is(err, sccache.ErrNotFound) {
		t.Error(err)
	}
}
