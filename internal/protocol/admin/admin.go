package admin

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/larder-cache/larder/internal/object"
	"github.com/larder-cache/larder/internal/protocol/admin/envelope"
	"github.com/larder-cache/larder/internal/protocol/edge"
)

// Store is what the admin API needs of an object store. It records what is changed
// of buckets in the audit trail, with the actor of the context.
type Store interface {
	Bucket(ctx context.Context, name object.BucketName) (object.Bucket, error)
	CreateBucket(ctx context.Context, name object.BucketName, config object.BucketConfig) (object.Bucket, error)
	ListBuckets(ctx context.Context) ([]object.Bucket, error)
	UpdateBucket(ctx context.Context, name object.BucketName, change func(*object.BucketConfig) error) (object.Bucket, error)
	Usage(ctx context.Context, name object.BucketName) (object.Usage, error)
}

// Config tunes a Protocol.
type Config struct {
	// Status says what the server is and how it does. nil: only the version of
	// the zero Status.
	Status func(context.Context) (Status, error)

	// Metrics is what the Prometheus routes show; nil: nothing.
	Metrics prometheus.Gatherer

	// PublicMetrics shows them to anybody.
	PublicMetrics bool

	// Trace is where live traces come from; nil: no request is ever traced.
	Trace *Trace

	// Logs is where live logs come from; nil: there are none.
	Logs *Logs

	// Settings lists what the server was configured with, for reading. nil: none.
	Settings func() []Setting

	// Gate bounds costly key derivations; nil: one of this protocol's own.
	Gate *envelope.Gate

	// KeepAlive is how often a live stream sends a space to show that it is
	// alive, and asks again whether its caller may still see it. 0 means 500 ms.
	KeepAlive time.Duration

	// Logger gets what goes wrong behind an answer; nil discards it.
	Logger *slog.Logger
}

func (c *Config) check() error {
	if c.KeepAlive < 0 {
		return errors.New("admin: the keep-alive is negative")
	}
	if c.KeepAlive == 0 {
		c.KeepAlive = 500 * time.Millisecond
	}
	if c.Status == nil {
		c.Status = func(context.Context) (Status, error) { return Status{}, nil }
	}
	if c.Settings == nil {
		c.Settings = func() []Setting { return nil }
	}
	if c.Metrics == nil {
		c.Metrics = prometheus.NewRegistry()
	}
	if c.Trace == nil {
		c.Trace = &Trace{}
	}
	if c.Logs == nil {
		c.Logs = &Logs{}
	}
	if c.Gate == nil {
		c.Gate = &envelope.Gate{}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// Protocol is the admin API as a protocol of the edge.
type Protocol struct {
	store    Store
	identity Identity
	config   Config

	ending   chan struct{} // closed when live streams have to end
	endOnce  sync.Once
	archives sync.Mutex // held while an archive is read, which takes up to 48 MiB
}

var _ edge.Protocol = (*Protocol)(nil)

// New returns the protocol. It starts nothing.
func New(store Store, identity Identity, config Config) (*Protocol, error) {
	if err := config.check(); err != nil {
		return nil, err
	}
	return &Protocol{store: store, identity: identity, config: config, ending: make(chan struct{})}, nil
}

// EndStreams ends all live streams, and those that begin later at once: a server
// that stops waits for its requests, and these would never end by themselves.
func (p *Protocol) EndStreams() { p.endOnce.Do(func() { close(p.ending) }) }

// Accepts reports whether the path is one of this API's.
func (p *Protocol) Accepts(req *edge.Request) bool {
	return strings.HasPrefix(req.Path, "/minio/admin/") || strings.HasPrefix(req.Path, prefixMetrics) ||
		strings.HasPrefix(req.Path, prefixKMS) || strings.HasPrefix(req.Path, prefixMetricsV3)
}

// Route finds the operation.
func (p *Protocol) Route(req *edge.Request) (*edge.Operation, error) {
	if kind, ok := strings.CutPrefix(req.Path, prefixMetrics); ok {
		return p.metrics(req, kind)
	}
	if strings.HasPrefix(req.Path, prefixMetricsV3) {
		return newerMetrics(), nil
	}
	if strings.HasPrefix(req.Path, prefixKMS) {
		return notOffered(noKMS)(p, &input{name: "admin.KMS"})
	}
	path, ok := strings.CutPrefix(req.Path, prefixV3)
	if !ok {
		path, ok = strings.CutPrefix(req.Path, prefixV4)
	}
	if !ok {
		return nil, wrongVersion(req.Path)
	}
	row, segments := findRoute(req.Method, path)
	if row == nil {
		return nil, wrongVersion(req.Path)
	}
	op, err := row.parse(p, &input{query: req.Query, segments: segments, name: "admin." + row.name})
	if err != nil {
		return nil, err
	}
	return op, checkSignature(req, op)
}
