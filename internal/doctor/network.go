package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/larder-cache/larder/internal/sccache"
)

// name resolves the very host that sccache will connect to, by its rules.
func (p *patient) name(ctx context.Context) Finding {
	resolver := sccache.Resolver{Root: p.cfg.Root}
	if p.cfg.Resolver != nil {
		resolver = *p.cfg.Resolver
	}
	resolver.Rules = p.sccache.Rules(p.cfg.GOOS)
	host := p.target.Host
	addrs, err := resolver.Find(ctx, host)
	if err != nil {
		return p.unknownName(ctx, resolver, err)
	}
	var texts []string
	for _, addr := range addrs {
		texts = append(texts, addr.String())
	}
	p.ip = texts[0]
	for _, text := range texts[1:] { // any that answers will do, as for sccache
		if p.reaches(ctx, p.ip) {
			break
		}
		p.ip = text
	}
	if p.ip == host {
		return ok(host + " is an address")
	}
	if resolver.Stalls(ctx, host) {
		return warn(
			fmt.Sprintf("%s is %s by the hosts file, but sccache also asks for its other kind of address, and no name server answers: each new connection waits for that", host, strings.Join(texts, ", ")),
			"name a server that answers in /etc/resolv.conf")
	}
	return ok(fmt.Sprintf("%s is %s, by the rules of %s", host, strings.Join(texts, ", "), rulesText(resolver.Rules)))
}

// unknownName looks for who does know the name.
func (p *patient) unknownName(ctx context.Context, resolver sccache.Resolver, err error) Finding {
	host := p.target.Host
	cause := fmt.Sprintf("%s is not found by the rules of %s: %s", host, rulesText(resolver.Rules), strings.TrimPrefix(err.Error(), sccache.ErrNotFound.Error()+": "))
	var known []string
	for _, rules := range []sccache.Rules{sccache.Glibc, sccache.Musl, sccache.Own} {
		other := resolver
		other.Rules = rules
		if _, err := other.Find(ctx, host); rules != resolver.Rules && p.cfg.GOOS == "linux" && err == nil {
			known = append(known, rulesText(rules))
		}
	}
	if len(known) > 0 {
		cause += "; it is found by those of " + strings.Join(known, " and ")
	}
	switch {
	case p.trapped():
		return failed(cause+fmt.Sprintf("; sccache deleted %q from the host that was meant", p.config.Bucket+"."), p.untrap())
	case p.config.VirtualHost && !strings.HasSuffix(host, ".localhost") || p.config.VirtualHost && resolver.Rules != sccache.Own:
		return failed(cause, "put the bucket into the path: SCCACHE_S3_ENABLE_VIRTUAL_HOST_STYLE=false")
	case strings.HasSuffix(host, ".localhost"):
		return failed(cause, "set SCCACHE_ENDPOINT to localhost or 127.0.0.1")
	case len(known) > 0:
		return failed(cause, "add "+host+" to /etc/hosts, which every release reads")
	}
	return failed(cause, "correct the host in "+p.endpointSource()+", or add it to DNS or /etc/hosts")
}

func (p *patient) endpointSource() string {
	if p.config.EndpointFrom == "" {
		return "SCCACHE_ENDPOINT"
	}
	return p.config.EndpointFrom
}

func rulesText(r sccache.Rules) string {
	switch r {
	case sccache.Glibc:
		return "glibc (sccache up to 0.17)"
	case sccache.Musl:
		return "static musl (sccache up to 0.17)"
	case sccache.Own:
		return "sccache's own resolver (0.18 and later)"
	case sccache.System:
	}
	return "this system"
}

func (p *patient) reaches(ctx context.Context, ip string) bool {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	conn, err := p.cfg.Dial(ctx, "tcp", p.target.HostPort(ip))
	if err == nil {
		_ = conn.Close()
	}
	return err == nil
}

// tcp connects.
func (p *patient) tcp(ctx context.Context) Finding {
	address := p.target.HostPort(p.ip)
	start := p.cfg.Now()
	conn, err := p.cfg.Dial(ctx, "tcp", address)
	fix := "start the server, or correct host and port in " + p.endpointSource()
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return failed("nothing listens at "+address, fix)
	case err != nil:
		if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
			return failed("no answer from "+address+": a firewall drops packets, or the address is wrong", fix)
		}
		return failed(fmt.Sprintf("cannot connect to %s: %v", address, err), fix)
	}
	_ = conn.Close()
	return ok(fmt.Sprintf("connected to %s in %s", address, round(p.cfg.Now().Sub(start))))
}

// tls looks at the server's certificate as sccache will, or at whether the port
// wants TLS at all.
func (p *patient) tls(ctx context.Context) Finding {
	chain, err := p.handshake(ctx)
	if !p.target.TLS() {
		if err == nil {
			return failed("the port speaks TLS and sccache plain HTTP", "set SCCACHE_ENDPOINT="+strings.Replace(p.target.Told, "http:", "https:", 1)+p.alsoSSL(true))
		}
		return ok("not used: plain HTTP")
	}
	if err != nil {
		if _, plain := errors.AsType[tls.RecordHeaderError](err); plain {
			return failed("the port speaks plain HTTP and sccache TLS", "set SCCACHE_ENDPOINT="+strings.Replace(p.target.Told, "https:", "http:", 1)+p.alsoSSL(false))
		}
		return failed("no TLS connection: "+err.Error(), "look into the server's log")
	}
	p.trusted = chain
	return p.verify(chain)
}

// alsoSSL completes the fix of a scheme where a variable overrides it.
func (p *patient) alsoSSL(want bool) string {
	if p.config.UseSSL == nil || *p.config.UseSSL == want {
		return ""
	}
	return fmt.Sprintf(" and SCCACHE_S3_USE_SSL=%v", want)
}

// handshake returns the certificates that the server shows, trusted or not.
func (p *patient) handshake(ctx context.Context) ([]*x509.Certificate, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	raw, err := p.cfg.Dial(ctx, "tcp", p.target.HostPort(p.ip))
	if err != nil {
		return nil, err
	}
	defer func() { _ = raw.Close() }()
	conn := tls.Client(raw, &tls.Config{
		ServerName:         p.target.Host,
		NextProtos:         []string{"http/1.1"},
		InsecureSkipVerify: true, //nolint:gosec // nothing is sent over it; verify looks at the chain
	})
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	return conn.ConnectionState().PeerCertificates, nil
}

// verify judges a chain with the trust store that sccache will use.
func (p *patient) verify(chain []*x509.Certificate) Finding {
	leaf := chain[0]
	store := sccache.Trust(p.cfg.Environ, p.sccache.Version, p.cfg.GOOS, p.cfg.Root)
	roots, _ := store.Pool()
	options := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool(), CurrentTime: p.cfg.Now()}
	for _, cert := range chain[1:] {
		options.Intermediates.AddCert(cert)
	}
	if now := p.cfg.Now(); now.After(leaf.NotAfter) || now.Before(leaf.NotBefore) {
		return failed(
			fmt.Sprintf("the certificate is good from %s to %s, and this machine's clock says %s", day(leaf.NotBefore), day(leaf.NotAfter), day(now)),
			"renew the server's certificate, unless this clock is wrong")
	}
	if err := leaf.VerifyHostname(p.target.Host); err != nil {
		return p.wrongName(leaf)
	}
	_, err := leaf.Verify(options)
	if err != nil && store.Mozilla && p.mozilla(leaf, options) {
		return warn("the certificate is trusted if its authority is one of Mozilla's; "+store.String()+" does not hold it", "add the authority to "+p.certFile(store))
	}
	if err != nil {
		cause := "sccache does not trust the certificate of " + issuer(chain) + "; it trusts " + store.String()
		if store.Missing != "" {
			cause += "; " + store.Missing + " is not there, or not for this user to see"
		} else if _, err := os.ReadFile(store.File); store.File != "" && err != nil {
			cause += ", but: " + err.Error()
		}
		return failed(cause, p.trustFix(store))
	}
	if leaf.IsCA && p.sccache.Version.Modern() {
		return failed(
			"the server's certificate is its own authority, which sccache 0.18 and later refuses",
			"give the server a certificate that an authority signed: larder serve --tls auto makes both")
	}
	return ok(fmt.Sprintf("the certificate for %s is trusted through %s, until %s", p.target.Host, store, day(leaf.NotAfter)))
}

func (p *patient) mozilla(leaf *x509.Certificate, options x509.VerifyOptions) bool {
	pool, err := x509.SystemCertPool()
	options.Roots = pool
	if err == nil {
		_, err = leaf.Verify(options)
	}
	return err == nil && p.cfg.Root == ""
}

func (p *patient) certFile(store sccache.TrustStore) string {
	if store.File != "" {
		return store.File
	}
	return "the system's trust store"
}

func (p *patient) trustFix(store sccache.TrustStore) string {
	switch {
	case store.System:
		return "add the authority's certificate to the system's trust store"
	case store.Missing != "":
		return "set SSL_CERT_FILE to the authority's certificate (ca.crt), and restart the daemon"
	}
	return "set SSL_CERT_FILE=/path/to/ca.crt, the authority's certificate, and restart the daemon"
}

func (p *patient) wrongName(leaf *x509.Certificate) Finding {
	names := slices.Clone(leaf.DNSNames)
	for _, ip := range leaf.IPAddresses {
		names = append(names, ip.String())
	}
	cause := fmt.Sprintf("the certificate is for %s, not for %s", strings.Join(names, ", "), p.target.Host)
	if len(names) == 0 {
		cause = "the certificate is for no name at all (no subjectAltName)"
	}
	if bare, ok := strings.CutPrefix(p.target.Host, p.config.Bucket+"."); ok && p.config.VirtualHost && leaf.VerifyHostname(bare) == nil {
		return failed(cause, "put the bucket into the path: SCCACHE_S3_ENABLE_VIRTUAL_HOST_STYLE=false")
	}
	return failed(cause, "give the server a certificate for "+p.target.Host)
}

func issuer(chain []*x509.Certificate) string {
	name := chain[len(chain)-1].Issuer
	if name.CommonName != "" {
		return "authority " + name.CommonName
	}
	if text := name.String(); text != "" {
		return "authority " + text
	}
	return "its authority"
}

func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04") }

// round shortens a duration for people.
func round(d time.Duration) time.Duration {
	switch {
	case d < 10*time.Millisecond:
		return d.Round(10 * time.Microsecond)
	case d < time.Second:
		return d.Round(time.Millisecond)
	}
	return d.Round(10 * time.Millisecond)
}
