package object

import (
	"strings"
	"time"
)

// Bucket is one bucket and its configuration.
type Bucket struct {
	Name        BucketName
	Incarnation uint64 // differs between two buckets that had one name after each other
	Created     time.Time
	Config      BucketConfig
}

// BucketConfig is what can be set on a bucket. The zero value is a plain bucket.
type BucketConfig struct {
	// Cache marks a build cache: contents may be evicted, and ETags need not be
	// MD5 (they take the form "<32 hex>-1", which no client mistakes for one).
	Cache bool `json:"cache,omitempty"`

	// Quota is the most bytes that the bucket may hold, 0 for no limit. The
	// store enforces it exactly, whatever writes run at once, with fault.Full
	// of noun Quota.
	Quota int64 `json:"quota,omitempty"`

	// Policy is the bucket policy document, nil if there is none. The store
	// keeps it and does not read it.
	Policy []byte `json:"policy,omitempty"`

	// Tags are the bucket's tags.
	Tags []Tag `json:"tags,omitempty"`
}

// Usage is what a bucket holds. It is exact.
type Usage struct {
	Objects int64
	Bytes   int64 // of current objects' bodies; uploads in progress do not count
}

// CheckFile is the last element of the key that sccache writes and reads when
// it starts, to find out whether it may.
const CheckFile = ".sccache_check"

// MaxCheckFile is how long a CheckFile may be to be exempt, in bytes; sccache's has
// 13.
const MaxCheckFile = 64

// QuotaExempt reports whether a write of size bytes to key is admitted whatever the
// quota and the disk's reserve say: CheckFile in a cache bucket, in any folder. A
// full cache thereby stays writable in the eyes of sccache, which otherwise would
// turn read-only for good.
func (c *BucketConfig) QuotaExempt(key Key, size int64) bool {
	return c.Cache && size <= MaxCheckFile && (key == CheckFile || strings.HasSuffix(string(key), "/"+CheckFile))
}
