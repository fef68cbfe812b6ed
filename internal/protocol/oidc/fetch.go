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
	if keys.Scheme != "https" && (keys.Scheme != "http" || keys.Host != from.Host) {
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
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
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
// certificates, and confined if the URL is not one of the configuration.
func (i *Issuer) client(u *url.URL) (*http.Client, error) {
	configured, err := url.Parse(i.Discovery)
	if err != nil {
		return nil, err
	}
	dialer := &net.Dialer{Timeout: fetchLimit}
	proxy, err := http.ProxyFromEnvironment(&http.Request{URL: u})
	if err == nil && proxy == nil && u.Host != configured.Host {
		dialer.Control = confined
	}
	roots, err := i.roots()
	if err != nil {
		return nil, err
	}
	return &http.Client{
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            dialer.DialContext,
			TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:    fetchLimit,
			MaxResponseHeaderBytes: 64 << 10,
			DisableKeepAlives:      true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

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

// confined refuses connections to where only this machine or its cloud's metadata
// service answers. It sees the address that is really dialled, after resolution.
func confined(_, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	ip := to.Addr().Unmap()
	if ip.IsLoopback() || ip.IsLinkLocalUnicast() || ip.IsMulticast() || ip.IsUnspecified() || ip == metadataV6 {
		return fmt.Errorf("the issuer's jwks_uri leads to %s, which an issuer elsewhere cannot mean", ip)
	}
	return nil
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
