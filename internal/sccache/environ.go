package sccache

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
)

// Environ is the environment of a program, by name.
type Environ map[string]string

// ParseEnviron reads lines of the form NAME=VALUE, as os.Environ returns them.
func ParseEnviron(lines []string) Environ {
	env := make(Environ, len(lines))
	for _, line := range lines {
		if name, value, ok := strings.Cut(line, "="); ok && name != "" {
			env[name] = value
		}
	}
	return env
}

// first returns the value of the first of names that is set and not empty.
func (e Environ) first(names ...string) (value, name string) {
	for _, name := range names {
		if value := e[name]; value != "" {
			return value, name
		}
	}
	return "", ""
}

// boolean reads a switch as sccache does; ok is false if it is not set.
func (e Environ) boolean(name string) (value, ok bool, err error) {
	if e[name] == "" {
		return false, false, nil
	}
	switch strings.ToLower(e[name]) {
	case "true", "on", "1":
		return true, true, nil
	case "false", "off", "0":
		return false, true, nil
	}
	return false, false, fmt.Errorf("%s must be true, on, 1, false, off or 0", name)
}

// home expands a leading "~/"; ok is false if the home folder is not known.
func (e Environ) home(path string) (expanded string, ok bool) {
	rest, tilde := strings.CutPrefix(path, "~/")
	if !tilde {
		return path, true
	}
	home, _ := e.first("HOME", "USERPROFILE")
	return filepath.Join(home, rest), home != ""
}

// Variables lists the variables that decide where and how a daemon keeps its
// cache in S3.
func Variables() []string {
	return []string{
		"SCCACHE_BUCKET", "SCCACHE_ENDPOINT", "SCCACHE_REGION", "SCCACHE_S3_KEY_PREFIX", "SCCACHE_S3_USE_SSL",
		"SCCACHE_S3_ENABLE_VIRTUAL_HOST_STYLE", "SCCACHE_S3_NO_CREDENTIALS", "SCCACHE_S3_RW_MODE", "SCCACHE_S3_SERVER_SIDE_ENCRYPTION",
		"SCCACHE_MULTILEVEL_CHAIN", "SCCACHE_SKIP_CACHE_CHECK", "SCCACHE_CONF",
		"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_ENDPOINT_URL",
		"AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_WEB_IDENTITY_TOKEN_FILE", "SSL_CERT_FILE", "SSL_CERT_DIR",
	}
}

// Proxy returns the variable that sends requests to a through a proxy, "" if
// none does. Unlike other programs, sccache spares not even localhost.
func (e Environ) Proxy(a Address) string {
	if a.Base == nil {
		return ""
	}
	_, name := e.first(a.Base.Scheme+"_proxy", strings.ToUpper(a.Base.Scheme)+"_PROXY", "all_proxy", "ALL_PROXY")
	if name == "" {
		return ""
	}
	except, _ := e.first("no_proxy", "NO_PROXY")
	for rule := range strings.SplitSeq(except, ",") {
		rule = strings.ToLower(strings.TrimSpace(rule))
		bare := strings.TrimPrefix(rule, ".")
		if rule == "*" || rule != "" && (a.Host == bare || strings.HasSuffix(a.Host, "."+bare) || within(a.Host, rule)) {
			return ""
		}
	}
	return name
}

// within reports whether host is an address of a network such as 10.0.0.0/8.
func within(host, network string) bool {
	prefix, err := netip.ParsePrefix(network)
	ip, err2 := netip.ParseAddr(host)
	return err == nil && err2 == nil && prefix.Contains(ip)
}
