package doctor

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/protocol/sigv4"
	"github.com/larder-cache/larder/internal/sccache"
)

// reply is an answer of the server.
type reply struct {
	status int
	header http.Header
	body   []byte // at most maxReply bytes
	code   string // of an S3 error, "NoSuchKey"; "" if there is none
	bucket string // that the error is about; "" if it does not say
	took   time.Duration
}

const (
	maxReply       = 1 << 20
	requestTimeout = 60 * time.Second // sccache's own, for a read
)

// s3Error is the body of an error.
type s3Error struct {
	XMLName    xml.Name `xml:"Error"`
	Code       string
	BucketName string
}

// isS3 reports whether the answer can be one of an S3 server to a read.
func (r reply) isS3() bool {
	return r.code != "" || r.status == http.StatusOK && !strings.HasPrefix(r.header.Get("Content-Type"), "text/html")
}

// String describes the answer in a few words, with no part of its body but the code.
func (r reply) String() string {
	if r.code != "" {
		return fmt.Sprintf("%d %s", r.status, r.code)
	}
	return fmt.Sprintf("%d %s", r.status, http.StatusText(r.status))
}

// object sends a request for an object of sccache's prefix, signed as sccache
// signs, at the address that the checks before have established.
func (p *patient) object(ctx context.Context, method, key string, body []byte) (reply, error) {
	return p.send(ctx, method, p.target.Object(p.config.KeyPrefix, key), body)
}

func (p *patient) send(ctx context.Context, method, url string, body []byte) (reply, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	var content io.Reader
	if body != nil {
		content = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, content)
	if err != nil {
		return reply{}, fmt.Errorf("make a request: %w", err)
	}
	req.Header.Set("User-Agent", "larder-doctor")
	if p.keys.Static() {
		key := sigv4.Key{ID: iam.AccessKeyID(p.keys.AccessKey), Secret: p.keys.Secret, Token: p.keys.Token.Reveal()}
		sigv4.Sign(req, key, p.config.Region, "s3", sigv4.UnsignedPayload, p.cfg.Now())
	}
	start := time.Now()
	resp, err := p.client.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	r := reply{status: resp.StatusCode, header: resp.Header}
	r.body, err = io.ReadAll(io.LimitReader(resp.Body, maxReply))
	r.took = time.Since(start)
	if err != nil {
		return r, fmt.Errorf("read the answer: %w", err)
	}
	var document s3Error
	if r.status >= 300 && xml.Unmarshal(r.body, &document) == nil {
		r.code, r.bucket = document.Code, document.BucketName
	}
	return r, nil
}

// newClient returns a client that connects to the address that answered, and
// trusts the certificate that was looked at.
func (p *patient) newClient() *http.Client {
	transport := &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return p.cfg.Dial(ctx, network, p.target.HostPort(p.ip))
		},
		MaxIdleConns:       1,
		DisableCompression: true,
	}
	if len(p.trusted) > 0 {
		leaf := p.trusted[0]
		transport.TLSClientConfig = &tls.Config{
			ServerName:         p.target.Host,
			InsecureSkipVerify: true, //nolint:gosec // VerifyConnection admits only the certificate that was verified
			VerifyConnection: func(state tls.ConnectionState) error {
				if !state.PeerCertificates[0].Equal(leaf) {
					return errors.New("the server shows another certificate now")
				}
				return nil
			},
		}
	}
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// roots returns the authorities that sccache trusts, those of the system for
// Mozilla's; nil means the system's own verification.
func (p *patient) roots() *x509.CertPool {
	store := sccache.Trust(p.cfg.Environ, p.sccache.Version, p.cfg.GOOS, p.cfg.Root)
	pool, err := x509.SystemCertPool()
	if store.System || err != nil {
		return nil
	}
	if data, err := os.ReadFile(store.File); err == nil {
		pool.AppendCertsFromPEM(data)
	}
	return pool
}

// containerKeys fetches credentials as sccache 0.18 and later does.
func (p *patient) containerKeys(ctx context.Context, c sccache.Credentials) (sccache.Credentials, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.URL, nil)
	if err != nil {
		return c, fmt.Errorf("%s is not a URL", c.Detail)
	}
	token := c.AuthToken.Reveal()
	if c.AuthFile != "" {
		data, err := os.ReadFile(c.AuthFile)
		if err != nil {
			return c, fmt.Errorf("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: %w", err)
		}
		token = strings.TrimSpace(string(data))
	}
	if token != "" {
		req.Header.Set("Authorization", token)
	}
	transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: p.roots()}}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return c, fmt.Errorf("%s: %w", c.Detail, err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxReply))
	if err != nil || resp.StatusCode != http.StatusOK {
		return c, fmt.Errorf("%s answers %s", c.URL, resp.Status)
	}
	var got struct{ AccessKeyID, SecretAccessKey, Token string }
	if json.Unmarshal(body, &got) != nil || got.AccessKeyID == "" || got.SecretAccessKey == "" {
		return c, fmt.Errorf("%s answers no credentials", c.URL)
	}
	c.AccessKey, c.Secret, c.Token = got.AccessKeyID, iam.Secret(got.SecretAccessKey), iam.Secret(got.Token)
	return c, nil
}
