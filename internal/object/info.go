package object

import "time"

// Version orders the versions of all keys of a store: a 64-bit store-wide
// counter, never the clock. The highest version of a key wins. The zero value
// asks for the current version.
type Version uint64

// Meta is what a writer says about a body. Stores keep it and do not read it.
type Meta struct {
	ContentType        string
	ContentEncoding    string // without "aws-chunked"
	ContentDisposition string
	ContentLanguage    string
	CacheControl       string
	Expires            string
	StorageClass       string            // "" for STANDARD
	User               map[string]string // x-amz-meta-*: lower-case name without prefix → value
}

// Tag is one tag of an object or a bucket.
type Tag struct{ Key, Value string }

// Info describes one version of an object.
type Info struct {
	Bucket   BucketName
	Key      Key
	Version  Version
	Size     int64 // bytes
	Modified time.Time
	Digest   Digest
	Meta     Meta
	Tags     []Tag
	Parts    int // number of parts of a multipart object, 0 otherwise
}

// Part is one part of an upload, or of the object it became.
type Part struct {
	Number   int   // 1 to MaxParts
	Size     int64 // bytes
	Modified time.Time
	Digest   Digest
}

// The limits of S3's multipart uploads.
const (
	MaxParts       = 10_000
	MinPartSize    = 5 << 20 // bytes, every part but the last
	MaxPartSize    = 5 << 30 // bytes
	MaxPutSize     = 5 << 30 // bytes, an object in one request
	MaxObjectSize  = 5 << 40 // bytes
	MaxMetaSize    = 2 << 10 // bytes of user metadata, names and values
	MaxTags        = 10      // of an object; a bucket has 50
	MaxListEntries = 1000    // entries of a page
)
