package edge

import (
	"net/netip"
	"time"

	"github.com/larder-cache/larder/internal/iam"
)

// Event is one request after it ended: for the access log, metrics, trace and
// audit. It holds no credentials: neither the query nor any other header.
type Event struct {
	RequestID  string
	Op         string // Operation.Name, "" if the request was not routed
	Method     string
	Host       string
	Path       string // decoded; a log must quote it
	Bucket     string
	Key        string
	Status     int    // of HTTP; 499 if the client was gone before there was an answer
	Code       string // the protocol's code of an error, "" for success
	Err        error  // behind Code, with detail that was not sent; nil for success
	BytesIn    int64  // of the body as sent by the client
	BytesOut   int64  // of the body
	Start      time.Time
	Duration   time.Duration
	FirstByte  time.Duration // until the header was written
	Principal  iam.Principal
	RemoteAddr netip.Addr
	UserAgent  string
	TLS        bool
	Proto      string // "HTTP/1.1", "HTTP/2.0"
	Lookup     Lookup
}
