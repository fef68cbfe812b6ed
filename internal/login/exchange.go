package login

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/protocol/sigv4"
)

// path is where the server exchanges tokens.
const path = "/larder/v1/credentials"

// Audience is what a token must be made for, unless the server says otherwise.
const Audience = "larder"

// Session is a key that ends by itself.
type Session struct {
	AccessKey iam.AccessKeyID
	Secret    iam.Secret
	Token     iam.Secret
	Expires   time.Time
}

// Client exchanges tokens at one server.
type Client struct {
	endpoint *url.URL
	http     *http.Client
}

// NewClient returns a client of the server at endpoint, which is a URL without a
// bucket. caFile names the PEM certificates to trust; "" means the system's.
func NewClient(endpoint, caFile string) (*Client, error) {
	u, err := url.Parse(strings.TrimRight(endpoint, "/"))
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" {
		return nil, fmt.Errorf("endpoint %q is not a URL like https://cache.example:9000", endpoint)
	}
	if err := private(u); err != nil {
		return nil, fmt.Errorf("endpoint %s: %w", u, err)
	}
	client, err := NewHTTP(caFile)
	if err != nil {
		return nil, err
	}
	return &Client{u, client}, nil
}

// NewHTTP returns an HTTP client that follows no redirects, since it carries
// secrets, and trusts the certificates in caFile, "" for the system's.
func NewHTTP(caFile string) (*http.Client, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if caFile != "" {
		pem, err := os.ReadFile(caFile)
		if err != nil {
			return nil, err
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate", caFile)
		}
	}
	return &http.Client{
		Timeout:       30 * time.Second,
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: config},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// private refuses a URL to which secrets would travel in the clear.
func private(u *url.URL) error {
	host := u.Hostname()
	ip := net.ParseIP(host)
	local := host == "localhost" || strings.HasSuffix(host, ".localhost") || ip != nil && ip.IsLoopback()
	if u.Scheme == "https" || u.Scheme == "http" && local {
		return nil
	}
	return errors.New("a token would travel there in the clear: it takes https, or a server on this machine")
}

// Exchange takes an identity token, or a session's own to renew it, for a session
// of the given length; 0 leaves it to the server.
func (c *Client) Exchange(ctx context.Context, token string, duration time.Duration) (Session, error) {
	u := c.endpoint.JoinPath(path)
	if duration > 0 {
		u.RawQuery = "duration=" + url.QueryEscape(duration.String())
	}
	body, err := get(ctx, c.http, u, token)
	if err != nil {
		return Session{}, fmt.Errorf("log in at %s: %w", c.endpoint, err)
	}
	var answer struct {
		AccessKeyID     iam.AccessKeyID `json:"AccessKeyId"`
		SecretAccessKey string
		Token           string
		Expiration      time.Time
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.AccessKeyID == "" || answer.SecretAccessKey == "" {
		return Session{}, fmt.Errorf("log in at %s: the answer is not what a Larder server sends", c.endpoint)
	}
	return Session{answer.AccessKeyID, iam.Secret(answer.SecretAccessKey), iam.Secret(answer.Token), answer.Expiration}, nil
}

// Revoke ends a session.
func (c *Client) Revoke(ctx context.Context, s Session) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodDelete, c.endpoint.JoinPath(path).String(), nil)
	if err != nil {
		return err
	}
	key := sigv4.Key{ID: s.AccessKey, Secret: s.Secret, Token: s.Token.Reveal()}
	sigv4.Sign(req, key, "auto", "s3", sigv4.EmptyPayload, time.Now())
	if _, err := send(c.http, req); err != nil {
		return fmt.Errorf("revoke the session at %s: %w", c.endpoint, err)
	}
	return nil
}

// attempts is how often a request is sent that a busy server or network lost.
const attempts = 4

// get asks for a small document. It tries again, after 1, 2 and 4 seconds, if
// that can help.
func get(ctx context.Context, client *http.Client, u *url.URL, authorization string) ([]byte, error) {
	for n := 1; ; n++ {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
		if err != nil {
			return nil, err
		}
		req.Header.Set("Authorization", authorization)
		req.Header.Set("Accept", "application/json")
		body, err := send(client, req)
		answer, refused := errors.AsType[*answerError](err)
		if err == nil || n == attempts || refused && !answer.temporary() {
			return body, err
		}
		select {
		case <-time.After(time.Second << (n - 1)):
		case <-ctx.Done():
			return nil, err
		}
	}
}

// answerError is an answer other than success.
type answerError struct {
	status        int
	code, message string
}

func (e *answerError) Error() string {
	if e.code == "" {
		return fmt.Sprintf("the server answered %d %s", e.status, http.StatusText(e.status))
	}
	return e.code + ": " + e.message
}

func (e *answerError) temporary() bool {
	return e.status >= 500 || e.status == http.StatusTooManyRequests || e.code == "IDPCommunicationError"
}

const maxAnswer = 256 << 10

func send(client *http.Client, req *http.Request) ([]byte, error) {
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode/100 == 2 {
		return body, nil
	}
	var said struct{ Code, Message string }
	_ = json.Unmarshal(body, &said) // another server's error page says nothing
	return nil, &answerError{resp.StatusCode, said.Code, said.Message}
}
