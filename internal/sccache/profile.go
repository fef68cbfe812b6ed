package sccache

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"unicode"

	"github.com/larder-cache/larder/internal/atomicfile"
	"github.com/larder-cache/larder/internal/iam"
)

// Profile is what a client needs to know to use one bucket of one server.
type Profile struct {
	Endpoint     string // URL without a bucket, "https://cache.example:9000"
	Bucket       string
	Region       string     // any text; "" renders as "auto"
	KeyPrefix    string     // "" for none; otherwise without slashes at its ends
	AccessKey    string     // "" for an anonymous client
	Secret       iam.Secret // belongs to AccessKey
	SessionToken iam.Secret // "" for a key that does not expire
	Domain       string     // a domain that the server takes BUCKET.DOMAIN for, without port; "" for none
	VirtualHost  bool       // the bucket goes into the host name instead of the path; needs Domain
	CAFile       string     // PEM file of the authority to trust beside the system's; "" for none
}

// profileFile is a Profile on disk, the only place where its secrets are
// written as they are.
type profileFile struct {
	Endpoint     string `json:"endpoint"`
	Bucket       string `json:"bucket"`
	Region       string `json:"region,omitempty"`
	KeyPrefix    string `json:"key_prefix,omitempty"`
	AccessKey    string `json:"access_key,omitempty"`
	Secret       string `json:"secret,omitempty"`
	SessionToken string `json:"session_token,omitempty"`
	Domain       string `json:"domain,omitempty"`
	VirtualHost  bool   `json:"virtual_host,omitempty"`
	CAFile       string `json:"ca_file,omitempty"`
}

// LoadProfile reads a file that Save wrote. It reports fs.ErrNotExist if there
// is none, and an error that names the file if it is malformed.
func LoadProfile(path string) (Profile, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return Profile{}, fmt.Errorf("read profile: %w", err)
	}
	var f profileFile
	if err := json.Unmarshal(data, &f); err != nil {
		return Profile{}, fmt.Errorf("read profile %s: not the JSON it should be", path) // the cause may quote a secret
	}
	p := Profile{
		Endpoint: f.Endpoint, Bucket: f.Bucket, Region: f.Region, KeyPrefix: f.KeyPrefix,
		AccessKey: f.AccessKey, Secret: iam.Secret(f.Secret), SessionToken: iam.Secret(f.SessionToken),
		Domain: f.Domain, VirtualHost: f.VirtualHost, CAFile: f.CAFile,
	}
	if err := p.Check(); err != nil {
		return Profile{}, fmt.Errorf("read profile %s: %w", path, err)
	}
	return p, nil
}

// Save writes p to path with mode 0600, replacing what is there in one step.
func (p Profile) Save(path string) error {
	if err := p.Check(); err != nil {
		return fmt.Errorf("save profile: %w", err)
	}
	data, err := json.MarshalIndent(profileFile{ //nolint:gosec // this file is where the secret is kept
		Endpoint: p.Endpoint, Bucket: p.Bucket, Region: p.Region, KeyPrefix: p.KeyPrefix,
		AccessKey: p.AccessKey, Secret: p.Secret.Reveal(), SessionToken: p.SessionToken.Reveal(),
		Domain: p.Domain, VirtualHost: p.VirtualHost, CAFile: p.CAFile,
	}, "", "  ")
	if err != nil {
		return fmt.Errorf("save profile: %w", err)
	}
	if err := atomicfile.Replace(path, append(data, '\n'), 0o600); err != nil {
		return fmt.Errorf("save profile: %w", err)
	}
	return nil
}

// Check reports what makes p unusable, or unsafe to print.
func (p Profile) Check() error {
	u, err := url.Parse(p.Endpoint)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("endpoint %q is not an http or https URL", p.Endpoint)
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return errors.New("endpoint holds more than a scheme, a host and a path")
	case p.Bucket == "":
		return errors.New("no bucket")
	case p.VirtualHost && p.Domain == "":
		return errors.New("virtual-host style needs a domain")
	case p.AccessKey == "" && p.Secret != "", p.AccessKey != "" && p.Secret == "":
		return errors.New("access key and secret belong together")
	}
	for _, text := range []string{
		p.Endpoint, p.Bucket, p.Region, p.KeyPrefix, p.AccessKey, p.Secret.Reveal(), p.SessionToken.Reveal(), p.Domain, p.CAFile,
	} {
		if strings.ContainsFunc(text, unicode.IsControl) {
			return errors.New("a value holds a control character")
		}
	}
	return nil
}

// At returns p for a client that reaches the server by another URL. A host
// without a scheme takes p's.
func (p Profile) At(endpoint string) (Profile, error) {
	if !strings.Contains(endpoint, "://") {
		scheme, _, _ := strings.Cut(p.Endpoint, "://")
		endpoint = scheme + "://" + endpoint
	}
	p.Endpoint = strings.TrimRight(endpoint, "/")
	return p, p.Check()
}

// ChooseStyle returns p with the addressing style whose name the client finds:
// virtual-host style if the server has a domain and find knows
// BUCKET.DOMAIN, path style otherwise. find reports whether a name has an
// address by the rules of the client's resolver (see Resolver).
func (p Profile) ChooseStyle(find func(host string) bool) Profile {
	p.VirtualHost = p.Domain != "" && find(p.Bucket+"."+p.Domain)
	return p
}

// base is the endpoint to tell sccache. Under virtual-host style it is the
// domain's. sccache deletes "//BUCKET." from whatever it is told, in either
// style, so a host whose first label is the bucket's name is told twice.
func (p Profile) base() string {
	base := strings.TrimRight(p.Endpoint, "/")
	if u, err := url.Parse(base); err == nil && p.VirtualHost {
		port := u.Port()
		u.Host = p.Domain
		if port != "" {
			u.Host = net.JoinHostPort(p.Domain, port)
		}
		base = u.String()
	}
	if label := "//" + p.Bucket + "."; strings.Contains(base, label) {
		base = strings.Replace(base, label, label+p.Bucket+".", 1)
	}
	return base
}

// loopback reports whether only the server's own machine reaches the endpoint.
func (p Profile) loopback() bool {
	u, err := url.Parse(p.Endpoint)
	if err != nil {
		return false
	}
	host := u.Hostname()
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || ip != nil && ip.IsLoopback()
}
