package oidc

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"syscall"

	"github.com/go-jose/go-jose/v4"
)

// load reads the issuer's keys, from its file or over the network.
func (i *Issuer) load(ctx context.Context) ([]jose.JSONWebKey, error) {
	if i.JWKSFile != "" {
		document, err := readFile(i.JWKSFile)
		if err != nil {
			return nil, err
		}
		return parseKeys(document)
	}
	keysURL, err := i.discover(ctx)
	if err != nil {
		return nil, err
	}
	document, err := i.get(ctx, keysURL)
	if err != nil {
		return nil, err
	}
	return parseKeys(document)
}

// discover returns the URL of the keys.
// https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderConfigurationValidation
func (i *Issuer) discover(ctx context.Context) (*url.URL, error) {
	from, err := url.Parse(i.Discovery)
	if err != nil {
		return nil, err
	}
	document, err := i.get(ctx, from)
	if err != nil {
		return nil, err
	}
	var found struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
	}
	if err := json.Unmarshal(document, &found); err != nil {
		return nil, fmt.Errorf("%s: %w", i.Discovery, err)
	}
	if trimSlash(found.Issuer) != trimSlash(i.URL) {
		return nil, fmt.Errorf("%s is of issuer %q, not of %q", i.Discovery, found.Issuer, i.URL)
	}
	keys, err := url.Parse(found.Keys)
	if err != nil || keys.Host == "" || keys.User != nil {
		return nil, fmt.Errorf("%s: jwks_uri %q is not a URL", i.Discovery, found.Keys)
	}
	if keys.Scheme != "https" && !sameServer(keys, from) {
		return nil, fmt.Errorf("%s: jwks_uri %q is not https", i.Discovery, found.Keys)
	}
	return keys, nil
}

// get fetches one document. Connections are not kept: fetches are minutes apart,
// and certificates and tokens may change between them.
func (i *Issuer) get(ctx context.Context, u *url.URL) ([]byte, error) {
	client, err := i.client(u)
	if err != nil {
		return nil, err
	}
	defer client.CloseIdleConnections()
	// Without Accept: a kube-apiserver knows no JSON but application/jwk-set+json.
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	if i.TokenFile != "" {
		token, err := readFile(i.TokenFile)
		if err != nil {
			return nil, err
		}
		req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answered %s", u, resp.Status)
	}
	document, err := io.ReadAll(io.LimitReader(resp.Body, maxDocument+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", u, err)
	case len(document) > maxDocument:
		return nil, fmt.Errorf("%s is longer than %d bytes", u, maxDocument)
	}
	return document, nil
}

// client returns a client for one URL: without redirects, with the issuer's
// certificates, and confined to where the issuer can be.
func (i *Issuer) client(u *url.URL) (*http.Client, error) {
	configured, err := url.Parse(i.Discovery)
	if err != nil {
		return nil, err
	}
	roots, err := i.roots()
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{
		TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		MaxResponseHeaderBytes: 64 << 10,
		DisableKeepAlives:      true,
	}
	dialer := &net.Dialer{}
	proxy, err := http.ProxyFromEnvironment(&http.Request{URL: u})
	if err == nil && proxy != nil && u.Scheme == "https" {
		transport.Proxy = http.ProxyURL(proxy) // which says itself where it goes
	} else {
		dialer.Control = confined(u, sameServer(u, configured))
	}
	transport.DialContext = dialer.DialContext
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

func sameServer(a, b *url.URL) bool { return a.Scheme == b.Scheme && a.Host == b.Host }

func (i *Issuer) roots() (*x509.CertPool, error) {
	if i.CAFile == "" {
		return nil, nil //nolint:nilnil // tls.Config: nil means the system's
	}
	pem, err := readFile(i.CAFile)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", i.CAFile)
	}
	return roots, nil
}

// confined refuses connections to where the issuer cannot be: where only this
// machine or its cloud's metadata service answers, unless the configuration named
// this machine, and off this machine in the clear. It sees the address that is
// really dialled, after resolution, so that a name cannot lead elsewhere than it
// did when it was judged.
func confined(u *url.URL, configured bool) func(network, address string, _ syscall.RawConn) error {
	return func(_, address string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if err != nil {
			return err
		}
		ip := to.Addr().Unmap()
		if nowhere(ip) || ip.IsLoopback() && !configured || !ip.IsLoopback() && u.Scheme != "https" {
			return fmt.Errorf("%s leads to %s, where its issuer cannot be", u.Host, ip)
		}
		return nil
	}
}

// nowhere reports whether no issuer can be at an address.
func nowhere(ip netip.Addr) bool {
	return ip.IsLinkLocalUnicast() || ip.IsMulticast() || ip.IsUnspecified() || ip.WithZone("") == metadataV6
}

// metadataV6 is the IPv6 address of AWS's instance metadata.
var metadataV6 = netip.MustParseAddr("fd00:ec2::254")

// readFile reads a small file of the configuration.
func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	content, err := io.ReadAll(io.LimitReader(f, maxDocument+1))
	if err == nil && len(content) > maxDocument {
		err = fmt.Errorf("%s is longer than %d bytes", name, maxDocument)
	}
	return content, err
}
