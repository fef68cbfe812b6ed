package app

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/larder-cache/larder/internal/iam"
)

// Setting is one thing that can be set: as the flag --Name, the variable
// LARDER_NAME, the MinIO variables, or the key of the configuration file.
type Setting struct {
	Name    string // "tls-cert"
	MinIO   []string
	Default string
	Usage   string
	Secret  bool   // never a flag
	File    bool   // LARDER_NAME_FILE, and MinIO's likewise, may name a file that holds it
	Switch  bool   // a flag without a value means true
	Short   string // one-letter flag, "" for none

	set func(*Config, string) error
}

// Env returns the setting's variable, "LARDER_TLS_CERT".
func (s *Setting) Env() string {
	return "LARDER_" + strings.ToUpper(strings.ReplaceAll(s.Name, "-", "_"))
}

// Settings lists every setting, in the order of the documentation.
func Settings() []Setting {
	return []Setting{
		{Name: "dir", MinIO: []string{"MINIO_VOLUMES"}, Usage: "data `directory` (also the first argument)", set: directory},
		{Name: "address", MinIO: []string{"MINIO_ADDRESS"}, Default: ":9000", Usage: "`host:port` of the API", set: address(func(c *Config) *string { return &c.Address })},
		{Name: "console-address", MinIO: []string{"MINIO_CONSOLE_ADDRESS"}, Default: ":9090", Usage: "`host:port` of the console", set: address(func(c *Config) *string { return &c.ConsoleAddress })},
		{Name: "metrics-address", Usage: "`host:port` of /metrics without authentication (default: none)", set: address(func(c *Config) *string { return &c.MetricsAddress })},
		{Name: "public-metrics", MinIO: []string{"MINIO_PROMETHEUS_AUTH_TYPE"}, Switch: true, Default: "false", Usage: "let anybody read /minio/v2/metrics, names of buckets included (MinIO's variable: public or jwt)", set: publicMetrics},
		{Name: "pprof", Usage: "private `host:port` of /debug/pprof (default: none)", set: address(func(c *Config) *string { return &c.PprofAddress })},
		{Name: "root-user", MinIO: []string{"MINIO_ROOT_USER", "MINIO_ACCESS_KEY"}, Usage: "`name` of the root user", File: true, set: rootUser},
		{Name: "root-password", MinIO: []string{"MINIO_ROOT_PASSWORD", "MINIO_SECRET_KEY"}, Usage: "secret of the root user (default: random, made on first start)", Secret: true, File: true, set: rootPassword},
		{Name: "url", MinIO: []string{"MINIO_SERVER_URL"}, Usage: "`URL` at which clients reach the API", set: link(func(c *Config) *string { return &c.URL })},
		{Name: "console-url", MinIO: []string{"MINIO_BROWSER_REDIRECT_URL"}, Usage: "`URL` at which browsers reach the console", set: link(func(c *Config) *string { return &c.ConsoleURL })},
		{Name: "domain", MinIO: []string{"MINIO_DOMAIN"}, Usage: "comma-separated `domains` below which a label names a bucket", set: domains},
		{Name: "region", MinIO: []string{"MINIO_REGION", "MINIO_REGION_NAME", "MINIO_SITE_REGION"}, Usage: "the only `region` accepted (default: any)", set: text(func(c *Config) *string { return &c.Region })},
		{Name: "trusted-proxy", Usage: "comma-separated `CIDRs` whose X-Forwarded-For and -Proto are believed (default: none)", set: prefixes},
		{Name: "tls", Usage: "`mode`: off, or auto to make an own authority (default: use files if there are any)", set: tlsMode},
		{Name: "tls-cert", Usage: "certificate `file`, PEM", set: text(func(c *Config) *string { return &c.TLSCert })},
		{Name: "tls-key", Usage: "key `file`, PEM", set: text(func(c *Config) *string { return &c.TLSKey })},
		{Name: "certs-dir", Short: "S", MinIO: []string{"MINIO_CERTS_DIR"}, Usage: "`directory` with public.crt, private.key, and subfolders for further names", set: text(func(c *Config) *string { return &c.CertsDir })},
		{Name: "http2", Switch: true, Default: "false", Usage: "offer HTTP/2 on the API (sccache is slower with it)", set: boolean(func(c *Config) *bool { return &c.HTTP2 })},
		{Name: "audience", Default: "larder", Usage: "`audience` of the identity tokens that builds exchange for keys", set: text(func(c *Config) *string { return &c.Audience })},
		{Name: "vault-address", Usage: "`URL` of Vault or OpenBao, whose Transit engine wraps the key in DIR/seal.key (default: none)", set: text(func(c *Config) *string { return &c.Vault.Address })},
		{Name: "vault-key", Usage: "`name` of the Transit key", set: text(func(c *Config) *string { return &c.Vault.Key })},
		{Name: "vault-mount", Usage: "`path` of the Transit engine (default: transit)", set: text(func(c *Config) *string { return &c.Vault.Mount })},
		{Name: "vault-token-file", Usage: "`file` that holds the token, as an agent writes it", set: text(func(c *Config) *string { return &c.Vault.TokenFile })},
		{Name: "vault-namespace", Usage: "`namespace` of the Transit engine", set: text(func(c *Config) *string { return &c.Vault.Namespace })},
		{Name: "vault-ca-file", Usage: "`file` of authorities to trust for vault-address, PEM (default: the system's)", set: text(func(c *Config) *string { return &c.Vault.CAFile })},
		{Name: "memory", Default: "512MiB", Usage: "`bytes` that bodies on their way in may occupy", set: size(func(c *Config) *int64 { return &c.Memory })},
		{Name: "reserve", Usage: "`bytes` of disk kept free; writes are refused below (default: 1GiB, or 5 % of a smaller disk)", set: size(func(c *Config) *int64 { return &c.Reserve })},
		{Name: "drain-timeout", Default: "20s", Usage: "`time` that a stop waits for requests under way", set: duration(func(c *Config) *time.Duration { return &c.DrainTimeout })},
		{Name: "log-level", Default: "info", Usage: "`level`: debug, info, warn or error", set: logLevel},
		{Name: "log-json", Switch: true, Default: "false", Usage: "log JSON lines", set: boolean(func(c *Config) *bool { return &c.LogJSON })},
		{Name: "access-log", Switch: true, Default: "true", Usage: "log one line a request", set: boolean(func(c *Config) *bool { return &c.AccessLog })},
	}
}

// ignoredMinIO are variables of MinIO that have no meaning here and may stand in
// an environment without harm.
var ignoredMinIO = map[string]string{
	"MINIO_BROWSER":                "the console is always there",
	"MINIO_UPDATE":                 "there is no self-update",
	"MINIO_OPTS":                   "an option line of systemd units: its words arrive as arguments",
	"MINIO_STORAGE_CLASS_STANDARD": "there is no erasure coding to choose",
	"MINIO_STORAGE_CLASS_RRS":      "there is no erasure coding to choose",
	"MINIO_CONFIG_ENV_FILE":        "read",
	"MINIO_CI_CD":                  "",
}

// directory takes what MinIO's units say: one directory, or several as words or
// as an ellipsis, of which the first is used.
func directory(c *Config, v string) error {
	words := strings.Fields(v)
	if len(words) == 0 {
		c.Dir = ""
		return nil
	}
	c.Dir, c.MoreDirs = words[0], len(words) > 1
	if open := strings.Index(c.Dir, "{"); open >= 0 {
		first, rest, ok := strings.Cut(c.Dir[open+1:], "...")
		_, tail, closed := strings.Cut(rest, "}")
		if !ok || !closed {
			return fmt.Errorf("%q is not a directory", v)
		}
		c.Dir, c.MoreDirs = c.Dir[:open]+first+tail, true
	}
	if strings.Contains(c.Dir, "://") {
		return fmt.Errorf("%q is a URL: name a directory of this machine", v)
	}
	return nil
}

type setter = func(*Config, string) error

func text(field func(*Config) *string) setter {
	return func(c *Config, v string) error { *field(c) = v; return nil }
}

func boolean(field func(*Config) *bool) setter {
	return func(c *Config, v string) (err error) {
		switch strings.ToLower(v) {
		case "on", "yes":
			*field(c) = true
		case "off", "no":
			*field(c) = false
		default:
			*field(c), err = strconv.ParseBool(v)
			if err != nil {
				return fmt.Errorf("%q is neither true nor false", v)
			}
		}
		return nil
	}
}

func duration(field func(*Config) *time.Duration) setter {
	return func(c *Config, v string) (err error) {
		*field(c), err = time.ParseDuration(v)
		if err != nil || *field(c) < 0 {
			return fmt.Errorf("%q is not a duration: write it like 20s or 5m", v)
		}
		return nil
	}
}

func address(field func(*Config) *string) setter {
	return func(c *Config, v string) error {
		if v != "" {
			_, port, err := net.SplitHostPort(v)
			if _, notNumber := strconv.ParseUint(port, 10, 16); err != nil || notNumber != nil {
				return fmt.Errorf("%q is not host:port: write it like :9000 or 127.0.0.1:9000", v)
			}
		}
		*field(c) = v
		return nil
	}
}

func rootUser(c *Config, v string) error {
	switch {
	case v != "" && len(v) < 3:
		return fmt.Errorf("%q is too short: a user's name has at least 3 characters", v)
	case strings.ContainsAny(v, "=,"):
		return fmt.Errorf("%q: a user's name has no '=' and no ','", v)
	}
	c.RootUser = v
	return nil
}

func rootPassword(c *Config, v string) error {
	if v != "" && len(v) < 8 {
		return errors.New("too short: a secret has at least 8 characters")
	}
	c.RootPassword = iam.Secret(v)
	return nil
}

func logLevel(c *Config, v string) error {
	if err := c.LogLevel.UnmarshalText([]byte(v)); err != nil {
		return fmt.Errorf("%q is none of debug, info, warn and error", v)
	}
	return nil
}

func link(field func(*Config) *string) setter {
	return func(c *Config, v string) error {
		u, err := url.Parse(v)
		if v != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
			return fmt.Errorf("%q is not a URL: write it like https://cache.example:9000", v)
		}
		*field(c) = strings.TrimSuffix(v, "/")
		return nil
	}
}

// publicMetrics also takes the values of MinIO's variable.
func publicMetrics(c *Config, v string) error {
	switch strings.ToLower(v) {
	case "public":
		v = "true"
	case "jwt":
		v = "false"
	}
	if err := boolean(func(c *Config) *bool { return &c.PublicMetrics })(c, v); err != nil {
		return fmt.Errorf("%q is neither true (public) nor false (jwt)", v)
	}
	return nil
}

// size reads "1073741824", "1GiB", "512 MB", "10G" (powers of 1024 unless the
// unit ends in B without i).
func size(field func(*Config) *int64) setter {
	return func(c *Config, v string) error {
		if v == "" {
			return nil
		}
		n, err := ParseSize(v)
		if err != nil {
			return err
		}
		*field(c) = n
		return nil
	}
}

// ParseSize reads a number of bytes: "512", "10K", "512MiB", "1.5GB". KB, MB and
// so on are powers of 1000; K, Ki and KiB are powers of 1024.
func ParseSize(s string) (int64, error) {
	number := strings.TrimRight(s, "BbiIkKmMgGtTpP ")
	unit := strings.ToLower(strings.TrimSpace(s[len(number):]))
	n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%q is not a size: write it like 512MiB or 10GB", s)
	}
	base := 1024.0
	if strings.HasSuffix(unit, "b") && !strings.HasSuffix(unit, "ib") {
		base = 1000
	}
	prefix := strings.TrimSuffix(strings.TrimSuffix(unit, "b"), "i")
	power := strings.Index("kmgtp", prefix) + 1
	if prefix == "" {
		power = 0
	}
	if len(prefix) > 1 || prefix != "" && power == 0 {
		return 0, fmt.Errorf("%q is not a size: write it like 512MiB or 10GB", s)
	}
	bytes := n * math.Pow(base, float64(power))
	if bytes > math.MaxInt64 {
		return 0, fmt.Errorf("%q is more than this machine can count", s)
	}
	return int64(bytes), nil
}

func domains(c *Config, v string) error {
	c.Domains = nil
	for _, domain := range fields(v) {
		host := domain
		if h, _, err := net.SplitHostPort(domain); err == nil {
			host = h // MINIO_DOMAIN may carry a port; the Host header is matched without one
		}
		if host == "" || strings.ContainsAny(domain, "/* ") || strings.Contains(host, ":") {
			return fmt.Errorf("%q is not a domain: write it like cache.example", domain)
		}
		c.Domains = append(c.Domains, strings.ToLower(strings.TrimSuffix(host, ".")))
	}
	return nil
}

func prefixes(c *Config, v string) error {
	c.TrustedProxies = nil
	for _, word := range fields(v) {
		prefix, err := netip.ParsePrefix(word)
		if err != nil {
			addr, addrErr := netip.ParseAddr(word)
			if addrErr != nil {
				return fmt.Errorf("%q is not a network: write it like 10.0.0.0/8", word)
			}
			prefix = netip.PrefixFrom(addr, addr.BitLen())
		}
		c.TrustedProxies = append(c.TrustedProxies, prefix)
	}
	return nil
}

func tlsMode(c *Config, v string) error {
	switch mode := TLSMode(v); mode {
	case TLSDetect, TLSOff, TLSAuto:
		c.TLS = mode
		return nil
	}
	return fmt.Errorf("%q is neither off nor auto", v)
}

func fields(v string) []string {
	return strings.FieldsFunc(v, func(r rune) bool { return r == ',' || r == ' ' || r == '\n' })
}
