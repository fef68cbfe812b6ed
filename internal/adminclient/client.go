// Package adminclient administers a server over the network: the admin API that
// internal/protocol/admin serves, and the few S3 calls about buckets. It also
// finds out which server and whose key (target.go, alias.go).
//
// It is a client of its own, and works with a MinIO server as far as that has
// the same calls.
//
// A Client is safe for concurrent use.
package adminclient

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/larder-cache/larder/internal/protocol/admin/envelope"
	"github.com/larder-cache/larder/internal/protocol/sigv4"
)

// maxAnswer bounds what is read of one answer, in bytes.
const maxAnswer = 64 << 20

// Client administers one server.
type Client struct {
	target Target
	http   *http.Client
	gate   envelope.Gate
}

// New returns a client of a target. It starts nothing.
func New(target Target) (*Client, error) {
	if err := target.check(); err != nil {
		return nil, err
	}
	transport, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return nil, errors.New("net/http has another default transport")
	}
	transport = transport.Clone()
	transport.TLSClientConfig = &tls.Config{RootCAs: target.Authorities, MinVersion: tls.VersionTLS12}
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Client{target: target, http: &http.Client{Transport: transport, CheckRedirect: stay}}, nil
}

// Target returns what the client administers.
func (c *Client) Target() Target { return c.target }

// Error is a refusal by the server.
type Error struct {
	Status  int    // of HTTP
	Code    string // "XMinioAdminNoSuchUser"; "" if the answer was no error that is known
	Message string
}

// Error says what the server said.
func (e *Error) Error() string {
	if e.Message == "" {
		return fmt.Sprintf("the server answers %d %s", e.Status, http.StatusText(e.Status))
	}
	if e.Code == "" {
		return e.Message
	}
	return fmt.Sprintf("%s (%s)", strings.TrimSuffix(e.Message, "."), e.Code)
}

// IsCode reports whether err is a refusal of that code.
func IsCode(err error, code string) bool {
	refusal, ok := errors.AsType[*Error](err)
	return ok && refusal.Code == code
}

// call is one request.
type call struct {
	method string
	path   string // below /minio/admin/v3/, or absolute for S3
	query  url.Values
	body   []byte
	seal   bool // encrypt the body
}

// send makes a request and returns the answer's body, which the caller closes.
// A status of 300 and more is an *Error.
func (c *Client) send(ctx context.Context, r call) (*http.Response, error) {
	region := "" // what admin requests are signed for
	if strings.HasPrefix(r.path, "/") {
		region = c.target.Region
	} else {
		r.path = "/minio/admin/v3/" + r.path
	}
	body := r.body
	if r.seal {
		var err error
		if body, err = c.seal(body); err != nil {
			return nil, err
		}
	}
	where := *c.target.Endpoint
	where.Path, where.RawQuery = r.path, r.query.Encode()
	req, err := http.NewRequestWithContext(ctx, r.method, where.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(body)
	sigv4.Sign(req, c.target.Key, region, "s3", hex.EncodeToString(sum[:]), time.Now())
	res, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", c.target.Endpoint.Host, err)
	}
	if res.StatusCode >= http.StatusMultipleChoices {
		defer closeBody(res)
		return nil, refusal(res)
	}
	return res, nil
}

func (c *Client) seal(plain []byte) ([]byte, error) {
	var sealed bytes.Buffer
	w, err := envelope.NewWriter(&sealed, envelope.Argon2AES, c.target.Key.Secret)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(plain); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return sealed.Bytes(), nil
}

// closeBody ends an answer that was read, or is given up.
func closeBody(res *http.Response) { _ = res.Body.Close() }

// refusal reads an error, JSON of the admin API or XML of S3.
func refusal(res *http.Response) error {
	failed := &Error{Status: res.StatusCode}
	body, err := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	if err != nil {
		return failed
	}
	var text struct{ Code, Message string }
	if json.Unmarshal(body, &text) != nil {
		_ = xml.Unmarshal(body, &text) // what is neither has no code
	}
	failed.Code, failed.Message = text.Code, text.Message
	return failed
}

// do makes a request and returns what it answers.
func (c *Client) do(ctx context.Context, r call) ([]byte, error) {
	res, err := c.send(ctx, r)
	if err != nil {
		return nil, err
	}
	defer closeBody(res)
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	if len(body) > maxAnswer {
		return nil, fmt.Errorf("the answer has more than %d bytes", maxAnswer)
	}
	return body, nil
}

// get asks for JSON and decodes it into v.
func (c *Client) get(ctx context.Context, path string, query url.Values, v any) error {
	body, err := c.do(ctx, call{method: http.MethodGet, path: path, query: query})
	if err != nil {
		return err
	}
	return decode(body, v)
}

// getSealed asks for encrypted JSON and decodes it into v.
func (c *Client) getSealed(ctx context.Context, path string, query url.Values, v any) error {
	return c.exchange(ctx, call{method: http.MethodGet, path: path, query: query}, v)
}

// exchange makes a request whose answer is encrypted JSON.
func (c *Client) exchange(ctx context.Context, r call, v any) error {
	body, err := c.do(ctx, r)
	if err != nil {
		return err
	}
	opened, err := envelope.NewReader(ctx, &c.gate, bytes.NewReader(body), string(c.target.Key.ID), c.target.Key.Secret)
	if err != nil {
		return err
	}
	if body, err = io.ReadAll(opened); err != nil {
		return err
	}
	return decode(body, v)
}

func decode(body []byte, v any) error {
	if err := json.Unmarshal(body, v); err != nil {
		return fmt.Errorf("the answer is not the JSON that is expected: %w", err)
	}
	return nil
}

// encode makes JSON of what cannot fail to be.
func encode(v any) []byte {
	body, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("encode %T: %v", v, err))
	}
	return body
}
