package s3

import (
	"net"
	"strings"

	"github.com/larder-cache/larder/internal/object"
	"github.com/larder-cache/larder/internal/protocol/edge"
)

// domain is a host name below which the first label is a bucket.
type domain struct {
	suffix string // ".cache.example"
	port   string // "" fits any
}

func parseDomains(names []string) []domain {
	domains := []domain{{suffix: ".localhost"}}
	for _, name := range names {
		host, port, err := net.SplitHostPort(name)
		if err != nil {
			host, port = name, ""
		}
		domains = append(domains, domain{"." + strings.ToLower(strings.Trim(host, ".")), port})
	}
	return domains
}

// address is which bucket and key a request is about.
type address struct {
	bucket object.BucketName // "" for the service itself
	key    object.Key        // "" for the bucket
}

// label returns what stands before the longest domain that fits a request's host:
// a bucket. "" if none fits, or the name is the service's own.
func (p *Protocol) label(req *edge.Request) string {
	label, best := "", 0
	for _, d := range p.domains {
		if len(d.suffix) > best && len(req.Host) > len(d.suffix) && strings.HasSuffix(req.Host, d.suffix) &&
			(d.port == "" || d.port == req.Port) {
			label, best = req.Host[:len(req.Host)-len(d.suffix)], len(d.suffix)
		}
	}
	if edge.Reserved(label) {
		return ""
	}
	return label
}

// hosts is a Protocol that accepts what is sent to the host of a bucket, where
// every path is a key.
type hosts struct{ *Protocol }

// Accepts is true if the host names a bucket.
func (h hosts) Accepts(req *edge.Request) bool { return h.label(req) != "" }

// Hosts returns the part of the protocol that comes before all others: at a
// bucket's host "/minio/admin/v3/info" is a key like any other. Otherwise who
// chooses a key of somebody's signed request would choose what he administers.
func (p *Protocol) Hosts() edge.Protocol { return hosts{p} }

// locate finds bucket and key. Below a domain the bucket is in the host and the
// whole path is the key; anywhere else the path's first segment is the bucket.
func (p *Protocol) locate(req *edge.Request) (address, error) {
	path := req.Path[1:]
	if label := p.label(req); label != "" {
		bucket, err := object.ParseBucketName(label)
		if err != nil {
			// The client asks for a bucket that cannot exist.
			return address{}, &Error{Code: NoSuchBucket, Resource: label}
		}
		return withKey(bucket, path)
	}
	if path == "" {
		return address{}, nil
	}
	name, key, _ := strings.Cut(path, "/")
	bucket, err := object.ParseBucketName(name)
	if err != nil {
		return address{}, &Error{Code: InvalidBucketName, Resource: name, Err: err}
	}
	return withKey(bucket, key)
}

func withKey(bucket object.BucketName, key string) (address, error) {
	if key == "" {
		return address{bucket: bucket}, nil
	}
	parsed, err := object.ParseKey(key)
	return address{bucket, parsed}, err
}
