// Package vault wraps the key that seals identities with the Transit engine of
// HashiCorp Vault or OpenBao, over their HTTP API. What stands in Larder's data
// directory is then worth nothing without an answer of that server, which asks a
// token for it, records who asked, and can be told to stop answering.
//
// Transit implements seal.Wrapper. The wrapped key is bound to what the caller
// names (the deployment and the key's generation), as associated data and, for a
// derived key, as its context.
//
// The token is read from its file for every request, as the agent of either
// server writes it. The methods may be called at once.
package vault

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/larder-cache/larder/internal/fault"
)

// Config says which key of which server.
type Config struct {
	Address   string // "https://vault.example:8200"; http only to this machine
	TokenFile string // holds the token and nothing else
	Key       string // name of the key in the Transit engine
	Mount     string // path of the Transit engine; "" means "transit"
	Namespace string // of Vault Enterprise or OpenBao; "" for none
	CAFile    string // PEM file of authorities to trust; "" trusts the system's

	// Patience is how long an unreachable or sealed server is asked again. 0
	// means 15 seconds.
	Patience time.Duration
}

func (c *Config) check() error {
	u, err := url.Parse(c.Address)
	if err != nil || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		return fmt.Errorf("the vault address %q is not of the form https://vault.example:8200", c.Address)
	}
	if !private(u) {
		return fmt.Errorf("the vault address %q would send the token in the clear: use https", c.Address)
	}
	c.Address = strings.TrimRight(c.Address, "/")
	if c.TokenFile == "" {
		return errors.New("the vault token's file is not named: have the agent write one")
	}
	if c.Mount = strings.Trim(c.Mount, "/"); c.Mount == "" {
		c.Mount = "transit"
	}
	if c.Key == "" || strings.ContainsAny(c.Key, "/?#%") || strings.ContainsAny(c.Mount, "?#%") || strings.Contains(c.Mount, "..") {
		return fmt.Errorf("%q is not the name of a key in the Transit engine %q", c.Key, c.Mount)
	}
	if c.Patience < 0 {
		return errors.New("the patience with vault is negative")
	}
	if c.Patience == 0 {
		c.Patience = 15 * time.Second
	}
	return nil
}

// private reports whether nobody can read on the way what is sent to u.
func private(u *url.URL) bool {
	addr, err := netip.ParseAddr(u.Hostname())
	local := u.Hostname() == "localhost" || err == nil && addr.IsLoopback()
	return u.Scheme == "https" || u.Scheme == "http" && local
}

// Transit is one key of a Transit engine.
type Transit struct {
	config Config
	client *http.Client
}

// New returns the key that config names. It sends nothing yet.
func New(config Config) (*Transit, error) {
	if err := config.check(); err != nil {
		return nil, err
	}
	roots, err := authorities(config.CAFile)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
		TLSClientConfig:     &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout: 5 * time.Second,
	}
	return &Transit{config: config, client: &http.Client{
		Transport: transport, Timeout: 10 * time.Second,
		// A standby sends its callers to the active server. The token goes along,
		// so never off this machine in plain HTTP.
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			switch {
			case len(via) > 3:
				return errors.New("vault redirects too often")
			case r.URL.Scheme != via[0].URL.Scheme || !private(r.URL):
				return errors.New("vault redirects to another scheme, or to where the token would go in the clear")
			}
			return nil
		},
	}}, nil
}

func authorities(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil //nolint:nilnil // crypto/tls then trusts the system's
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("vault authorities: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("vault authorities: %s holds no certificate", file)
	}
	return pool, nil
}

// Name says which key of which server this is.
func (t *Transit) Name() string {
	return fmt.Sprintf("key %s of the Transit engine %s at %s", t.config.Key, t.config.Mount, t.config.Address)
}

// message is a request or answer of the engine's encrypt and decrypt.
type message struct {
	Plaintext  []byte `json:"plaintext,omitempty"`
	Ciphertext string `json:"ciphertext,omitempty"`
	Associated []byte `json:"associated_data,omitempty"`
	Context    []byte `json:"context,omitempty"` // counts for derived keys only
}

// Wrap encrypts secret, bound to bind. An unreachable or sealed server is
// fault.Unavailable, a refused token fault.Denied.
func (t *Transit) Wrap(ctx context.Context, secret []byte, bind string) (string, error) {
	answer, err := t.call(ctx, "encrypt", message{Plaintext: secret, Associated: []byte(bind), Context: []byte(bind)})
	if err != nil {
		return "", err
	}
	if version(answer.Ciphertext) == "" {
		return "", fmt.Errorf("vault answered with no ciphertext")
	}
	return answer.Ciphertext, nil
}

// Unwrap decrypts what Wrap made with the same bind. Where the key was rotated
// since, it wraps the secret again with the latest version (the engine's own
// rewrap knows no associated data); a token that may only decrypt leaves it. It
// is fault.Invalid where the server does not decrypt the text.
func (t *Transit) Unwrap(ctx context.Context, wrapped, bind string) (secret []byte, newer string, err error) {
	answer, err := t.call(ctx, "decrypt", message{Ciphertext: wrapped, Associated: []byte(bind), Context: []byte(bind)})
	if err != nil {
		return nil, "", err
	}
	newer, err = t.Wrap(ctx, answer.Plaintext, bind)
	switch {
	case errors.Is(err, fault.Denied):
		return answer.Plaintext, "", nil
	case err != nil:
		return nil, "", err
	case version(newer) == version(wrapped):
		newer = ""
	}
	return answer.Plaintext, newer, nil
}

// version returns the key's version in "vault:v3:…", "" if it is not of that
// form.
func version(ciphertext string) string {
	fields := strings.SplitN(ciphertext, ":", 3)
	if len(fields) != 3 || fields[0] != "vault" {
		return ""
	}
	return fields[1]
}

// call asks until the server answers or patience ends.
func (t *Transit) call(ctx context.Context, operation string, body message) (message, error) {
	deadline := time.Now().Add(t.config.Patience)
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		answer, err := t.once(ctx, operation, body)
		if !errors.Is(err, fault.Unavailable) || time.Now().Add(wait).After(deadline) {
			return answer, err
		}
		select {
		case <-ctx.Done():
			return message{}, err
		case <-time.After(wait):
		}
	}
}

// maxAnswer is the longest answer that is read, in bytes.
const maxAnswer = 1 << 20

func (t *Transit) once(ctx context.Context, operation string, body message) (message, error) {
	token, err := os.ReadFile(t.config.TokenFile)
	if err != nil {
		return message{}, fault.Wrap(fault.Unavailable, fault.Token, "", fmt.Errorf("vault token: %w", err))
	}
	text, err := json.Marshal(body)
	if err != nil {
		return message{}, err
	}
	address := t.config.Address + "/v1/" + t.config.Mount + "/" + operation + "/" + t.config.Key
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(text))
	if err != nil {
		return message{}, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-Vault-Token", strings.TrimSpace(string(token)))
	request.Header.Set("X-Vault-Request", "true")
	if t.config.Namespace != "" {
		request.Header.Set("X-Vault-Namespace", t.config.Namespace)
	}
	response, err := t.client.Do(request)
	if err != nil {
		return message{}, fault.Wrap(fault.Unavailable, fault.Store, t.config.Address, err)
	}
	defer func() { _ = response.Body.Close() }()
	return t.answer(response)
}

func (t *Transit) answer(response *http.Response) (message, error) {
	var answer struct {
		Data   message  `json:"data"`
		Errors []string `json:"errors"`
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return message{}, fault.Wrap(fault.Unavailable, fault.Store, t.config.Address, err)
	}
	malformed := json.Unmarshal(text, &answer)
	refused := func(kind fault.Kind, noun fault.Noun) (message, error) {
		return message{}, fault.Wrap(kind, noun, t.config.Address, fmt.Errorf("vault answered %s: %s", response.Status, strings.Join(answer.Errors, "; ")))
	}
	switch code := response.StatusCode; {
	case code == http.StatusOK && malformed != nil:
		return message{}, fault.Wrap(fault.Unavailable, fault.Store, t.config.Address, fmt.Errorf("vault's answer is no JSON: %w", malformed))
	case code == http.StatusOK:
		return answer.Data, nil
	case code == http.StatusForbidden, code == http.StatusUnauthorized:
		return refused(fault.Denied, fault.Token)
	case code >= http.StatusInternalServerError, code == http.StatusTooManyRequests: // 503: sealed
		return refused(fault.Unavailable, fault.Store)
	}
	return refused(fault.Invalid, fault.Secret)
}
