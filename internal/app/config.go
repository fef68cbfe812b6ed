package app

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/protocol/oidc"
	"github.com/larder-cache/larder/internal/vault"
)

// Config is everything that can be set on a server. Load makes one from flags,
// variables and a file; settings lists each field's names.
type Config struct {
	Dir            string // data directory
	MoreDirs       bool   // more directories were named, MinIO's way; they are not used
	Address        string // of the API, "host:port"
	ConsoleAddress string // of the console, "host:port"
	MetricsAddress string // of /metrics without authentication; "" for none
	PublicMetrics  bool   // the metrics of the API's address need no token either
	PprofAddress   string // of /debug/pprof, private addresses only; "" for none

	RootUser     string
	RootPassword iam.Secret // "" makes a random one on first start

	// Sources are what the Config was made of. They are read again for the root
	// key, which thus changes in a running server with the file that it stands in.
	Sources Sources

	URL            string   // as clients reach the API, "https://cache.example:9000"; "" guesses
	ConsoleURL     string   // as browsers reach the console
	Domains        []string // bucket.DOMAIN addresses a bucket; *.localhost always does
	Region         string   // the only region accepted; "" accepts any
	TrustedProxies []netip.Prefix

	TLS      TLSMode
	TLSCert  string // PEM file
	TLSKey   string // PEM file
	CertsDir string // MinIO-style directory
	HTTP2    bool   // offer HTTP/2 on the API

	// Issuers are those whose identity tokens are exchanged for keys, from
	// LARDER_IDENTITY_OPENID_* and MINIO_IDENTITY_OPENID_*.
	Issuers  []oidc.Issuer
	Audience string // of tokens for the container-credentials endpoint

	Vault vault.Config // Transit key that wraps the seal key; the zero value keeps it in DIR/seal.key as it is

	Memory       int64         // bytes that bodies on their way in may occupy
	Reserve      int64         // bytes of disk kept free; writes are refused below. 0: as the store sees fit
	DrainTimeout time.Duration // how long a stop waits for requests under way

	LogLevel  slog.Level
	LogJSON   bool
	AccessLog bool

	// MinIO is set when the server was started MinIO's way: only root exists,
	// and nothing else is made.
	MinIO bool
}

// ConfigError is a mistake in a Config that shows only when the server starts,
// such as a certificate that is not there.
type ConfigError struct{ error }

// Unwrap returns what was found.
func (e ConfigError) Unwrap() error { return e.error }

// TLSMode is how the API gets its certificate.
type TLSMode string

// The modes of TLS.
const (
	TLSDetect TLSMode = ""     // files if they are named or found, else none
	TLSOff    TLSMode = "off"  // plain HTTP
	TLSAuto   TLSMode = "auto" // an own authority, made once
)

// minMemory is what the store needs, in bytes.
const minMemory = 16 << 20

func (c *Config) check() error {
	if c.Dir == "" {
		return errors.New("no data directory: name one, as in 'larder serve ./data'")
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		return errors.New("tls-cert and tls-key go together: set both or neither")
	}
	if c.TLS != TLSDetect && c.TLSCert != "" {
		return fmt.Errorf("tls %s and tls-cert exclude one another: drop one", c.TLS)
	}
	if (c.RootUser == "") != (c.RootPassword == "") {
		return errors.New("the root user's name and secret go together: set both (LARDER_ROOT_USER and LARDER_ROOT_PASSWORD, or MinIO's variables), or neither for a random secret")
	}
	if c.Memory < minMemory {
		return fmt.Errorf("memory of %d bytes: at least 16MiB are needed", c.Memory)
	}
	if c.PprofAddress != "" {
		if err := checkPrivate(c.PprofAddress); err != nil {
			return fmt.Errorf("pprof: %w", err)
		}
	}
	return nil
}

// checkPrivate refuses addresses that the outside could reach: a profile shows
// memory.
func checkPrivate(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	if host == "localhost" {
		return nil
	}
	addr, err := netip.ParseAddr(host)
	if err != nil || !addr.IsLoopback() && !addr.IsPrivate() {
		return fmt.Errorf("%s is not a private address: a profile shows secrets in memory; use 127.0.0.1:6060", address)
	}
	return nil
}
