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

// locate finds bucket and key. Below a domain the bucket is in the host and the
// whole path is the key; anywhere else the path's first segment is the bucket.
// The longest domain that fits wins.
func (p *Protocol) locate(req *edge.Request) (address, error) {
	label, best := "", 0
	for _, d := range p.domains {
		if len(d.suffix) > best && len(req.Host) > len(d.suffix) && strings.HasSuffix(req.Host, d.suffix) &&
			(d.port == "" || d.port == req.Port) {
			label, best = req.Host[:len(req.Host)-len(d.suffix)], len(d.suffix)
		}
	}
	path := req.Path[1:]
	if label != "" {
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
