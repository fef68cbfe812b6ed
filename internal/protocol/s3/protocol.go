package s3

import (
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/object"
	"github.com/larder-cache/larder/internal/protocol/edge"
)

// Store is what this package calls. Every object.Store is one.
type Store interface {
	object.Buckets
	object.Objects
	object.Uploads
}

// Config tunes a Protocol.
type Config struct {
	// Region is what GetBucketLocation and x-amz-bucket-region answer. "" means
	// us-east-1, whose location constraint is empty.
	Region string

	// Domains are the host names below which the first label is a bucket,
	// "cache.example" or "cache.example:9000"; without a port any port fits.
	// "localhost" always is one.
	Domains []string

	// Owner is the account id that x-amz-expected-bucket-owner must name. ""
	// means 000000000000.
	Owner string

	// KnownUser reports whether a user exists whom a bucket policy names. nil
	// believes every name.
	KnownUser func(iam.UserName) bool

	// Form authenticates browser form uploads. nil answers them NotImplemented.
	Form FormVerifier

	// KeepAlive is the pause between two spaces that a long CompleteMultipartUpload
	// or CopyObject sends before its answer. 0 means 10 seconds.
	KeepAlive time.Duration

	// Now is the clock; nil means time.Now.
	Now func() time.Time

	// Logger gets what the answers do not say; nil discards it.
	Logger *slog.Logger
}

func (c *Config) check() error {
	for _, domain := range c.Domains {
		if domain == "" || strings.ContainsAny(domain, "/ *") {
			return errors.New("s3: a domain is a host name, with or without a port: " + domain)
		}
	}
	if c.KeepAlive < 0 {
		return errors.New("s3: the pause of keep-alive spaces is negative")
	}
	if c.KeepAlive == 0 {
		c.KeepAlive = 10 * time.Second
	}
	if c.Region == "" {
		c.Region = defaultRegion
	}
	if c.Owner == "" {
		c.Owner = "000000000000"
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// defaultRegion is the region whose buckets have an empty location.
const defaultRegion = "us-east-1"

// Protocol is the S3 protocol over one store.
type Protocol struct {
	store   Store
	config  Config
	domains []domain
}

// New returns a Protocol over store.
func New(store Store, config Config) (*Protocol, error) {
	if err := config.check(); err != nil {
		return nil, err
	}
	return &Protocol{store: store, config: config, domains: parseDomains(config.Domains)}, nil
}

// Accepts is true of everything: S3 owns all paths that no other protocol took.
func (p *Protocol) Accepts(*edge.Request) bool { return true }
