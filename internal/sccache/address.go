package sccache

import (
	"fmt"
	"net"
	"net/url"
	"strings"
)

// Address is where a sccache sends its requests.
type Address struct {
	Base        *url.URL // scheme, host and the path up to the key; no trailing slash
	Host        string   // name or address to look up and connect to, without a port
	Port        string   // always set
	VirtualHost bool
	Told        string // the endpoint as it was told, with a scheme
	Deleted     bool   // sccache took "BUCKET." away from the front of the host it was told
}

// TLS reports whether requests go over TLS.
func (a Address) TLS() bool { return a.Base.Scheme == "https" }

// Object returns the URL of a key, which follows prefix.
func (a Address) Object(prefix, key string) string {
	u := *a.Base
	path := strings.Join(strings.FieldsFunc(prefix, func(r rune) bool { return r == '/' }), "/")
	if path != "" {
		path += "/"
	}
	return u.JoinPath(path + key).String()
}

// Address returns where s sends requests, made of the endpoint as sccache and
// the library below it, opendal, do that. An error is one that keeps the daemon
// from starting.
func (s Settings) Address() (Address, error) {
	told, err := s.told()
	if err != nil {
		return Address{}, err
	}
	a := Address{Told: told, VirtualHost: s.VirtualHost}
	endpoint := strings.ReplaceAll(told, "//"+s.Bucket+".", "//")
	a.Deleted = endpoint != told
	if u, err := url.Parse(endpoint); err == nil {
		u.Host = strings.ToLower(withoutDefaultPort(u))
		endpoint = strings.TrimRight(u.String(), "/")
	}
	if endpoint == "https://s3.amazonaws.com" && s.Region != "" {
		endpoint = "https://s3." + s.Region + ".amazonaws.com"
	}
	if s.VirtualHost {
		endpoint = strings.ReplaceAll(endpoint, "//", "//"+s.Bucket+".")
	} else {
		endpoint += "/" + s.Bucket
	}
	a.Base, err = url.Parse(endpoint)
	if err != nil || a.Base.Hostname() == "" {
		return Address{}, fmt.Errorf("endpoint %q makes no URL", s.Endpoint)
	}
	a.Host, a.Port = a.Base.Hostname(), a.Base.Port()
	if a.Port == "" {
		a.Port = map[string]string{"http": "80", "https": "443"}[a.Base.Scheme]
	}
	return a, nil
}

// told returns the endpoint with the scheme that sccache gives it: http unless
// one is written, and SCCACHE_S3_USE_SSL decides over both. What comes from AWS's
// own variables is read by the library instead, for which https is the rule.
func (s Settings) told() (string, error) {
	switch {
	case s.Endpoint == "":
		return "https://s3.amazonaws.com", nil
	case strings.HasPrefix(s.EndpointFrom, "AWS_"), strings.HasPrefix(s.EndpointFrom, "endpoint_url"):
		endpoint := strings.TrimRight(s.Endpoint, "/")
		if !strings.HasPrefix(endpoint, "http") {
			endpoint = "https://" + endpoint
		}
		return endpoint, nil
	}
	scheme, rest, written := strings.Cut(s.Endpoint, "://")
	if !written {
		scheme, rest = "http", s.Endpoint
		if strings.Contains(rest, "/") {
			return "", fmt.Errorf("endpoint %q has a path and no scheme", s.Endpoint)
		}
	}
	if s.UseSSL != nil {
		scheme = map[bool]string{true: "https", false: "http"}[*s.UseSSL]
	}
	told := strings.ToLower(scheme) + "://" + rest
	if u, err := url.Parse(told); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", fmt.Errorf("endpoint %q is not an http or https URL", s.Endpoint)
	}
	return told, nil
}

func withoutDefaultPort(u *url.URL) string {
	if u.Scheme == "http" && u.Port() == "80" || u.Scheme == "https" && u.Port() == "443" {
		host := u.Hostname()
		if strings.Contains(host, ":") {
			return "[" + host + "]"
		}
		return host
	}
	return u.Host
}

// HostPort is what to dial once Host is resolved to ip.
func (a Address) HostPort(ip string) string { return net.JoinHostPort(ip, a.Port) }
