package adminclient

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/larder-cache/larder/internal/protocol/sigv4"
)

// Target is a server and the key to administer it with.
type Target struct {
	Endpoint    *url.URL // scheme and host
	Key         sigv4.Key
	Region      string         // that S3 requests are signed for; "" means us-east-1
	Authorities *x509.CertPool // nil: the system's
}

func (t *Target) check() error {
	switch {
	case t.Endpoint == nil:
		return errors.New("no endpoint")
	case t.Key.ID == "" || t.Key.Secret == "":
		return errors.New("no access key, or no secret for it")
	}
	if t.Region == "" {
		t.Region = "us-east-1"
	}
	return nil
}

// ParseEndpoint parses the URL of a server. What is no http or https URL, or
// has more than a host, is refused.
func ParseEndpoint(s string) (*url.URL, error) {
	if !strings.Contains(s, "://") {
		return nil, fmt.Errorf("the endpoint %q needs http:// or https:// in front", s)
	}
	u, err := url.Parse(s)
	if err != nil {
		return nil, errors.New("the endpoint is no URL") // the cause would repeat it, with credentials it may hold
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return nil, fmt.Errorf("the endpoint is no http or https URL with a host: %s", u.Redacted())
	case u.User != nil:
		return nil, fmt.Errorf("credentials do not belong into the endpoint: %s", u.Redacted())
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("the endpoint has more than a host: %s", u)
	}
	u.Path = ""
	return u, nil
}

// Authorities returns the system's authorities and those in PEM files.
func Authorities(files ...string) (*x509.CertPool, error) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool() // a system without any
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("certificate authority: %w", err)
		}
		if !pool.AppendCertsFromPEM(content) {
			return nil, fmt.Errorf("certificate authority: %s holds no certificate", file)
		}
	}
	return pool, nil
}
