// Package health answers the probes of load balancers, Kubernetes and `mc
// ready`, at MinIO's paths: live says that the process runs, ready that it can
// serve, cluster that it can also write.
//
// Nobody has to sign a probe, and nobody learns more from one than yes or no.
package health

import (
	"context"
	"net/http"
	"strings"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/protocol/edge"
)

const root = "/minio/health/"

// Status is what the probes ask. Both answer at once, from memory.
type Status interface {
	Ready() error    // nil if reads are served
	Writable() error // nil if writes are, too
}

// Protocol answers probes.
type Protocol struct{ status Status }

var _ edge.Protocol = (*Protocol)(nil)

// New returns a protocol that asks status.
func New(status Status) *Protocol { return &Protocol{status} }

// Accepts takes everything below /minio/health/. A bucket cannot be named
// "minio/health", and an object of a bucket "minio" cannot be reached there in
// path style, as with MinIO.
func (p *Protocol) Accepts(req *edge.Request) bool { return strings.HasPrefix(req.Path, root) }

// Route names the probe.
func (p *Protocol) Route(req *edge.Request) (*edge.Operation, error) {
	if req.Method != http.MethodGet && req.Method != http.MethodHead {
		return nil, fault.New(fault.Unsupported, fault.None, req.Method)
	}
	switch probe := strings.TrimPrefix(req.Path, root); probe {
	case "live":
		return p.operation("health.Live", func() error { return nil }), nil
	case "ready":
		return p.operation("health.Ready", p.status.Ready), nil
	case "cluster":
		return p.operation("health.Cluster", p.status.Writable), nil
	case "cluster/read":
		return p.operation("health.ClusterRead", p.status.Ready), nil
	}
	return nil, fault.Missing(fault.None, req.Path)
}

func (p *Protocol) operation(name string, ask func() error) *edge.Operation {
	return &edge.Operation{Name: name, Auth: edge.Public, Handler: edge.HandlerFunc(
		func(_ context.Context, w *edge.Writer, _ *edge.Call) error {
			if err := ask(); err != nil {
				return fault.Wrap(fault.Unavailable, fault.Store, "", err)
			}
			w.Header().Set("Content-Length", "0")
			w.WriteHeader(http.StatusOK)
			return nil
		})}
}

// WriteError answers with a status alone.
func (p *Protocol) WriteError(w *edge.Writer, failure edge.Failure) string {
	var status int
	var code string
	switch fault.KindOf(failure.Err) {
	case fault.NotFound:
		status, code = http.StatusNotFound, "NotFound"
	case fault.Unavailable:
		status, code = http.StatusServiceUnavailable, "ServiceUnavailable"
	case fault.Invalid:
		status, code = http.StatusBadRequest, "BadRequest"
	case fault.Unsupported:
		status, code = http.StatusMethodNotAllowed, "MethodNotAllowed"
	default:
		status, code = http.StatusInternalServerError, "InternalError"
	}
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(status)
	return code
}
