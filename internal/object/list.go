package object

import "time"

// ListRequest asks for one page of a bucket, in byte order of keys.
type ListRequest struct {
	Bucket    BucketName
	Prefix    string // only keys that start with it
	Delimiter string // keys that share a prefix up to and including it are rolled up
	After     string // only keys (or common prefixes) greater than it; "" starts at the front
	Max       int    // entries, 1 to MaxListEntries
}

// Entry is a key or a common prefix of a page.
type Entry struct {
	Prefix string // a common prefix, ends with the delimiter; Info is zero
	Info   Info   // a key; Tags and user metadata may be missing
}

// Page is one page of a listing.
type Page struct {
	Entries []Entry
	// Next is the After that continues the listing, "" if this was the last
	// page. A rolled-up prefix as After skips everything below it.
	Next string
}

// UploadListRequest asks for one page of uploads in progress, ordered by key,
// then by upload.
type UploadListRequest struct {
	Bucket      BucketName
	Prefix      string
	Delimiter   string
	AfterKey    string
	AfterUpload UploadID // only with AfterKey: uploads of that key greater than it
	Max         int
}

// UploadEntry is an upload or a common prefix of a page.
type UploadEntry struct {
	Prefix string
	Upload Upload
}

// UploadPage is one page of uploads.
type UploadPage struct {
	Entries    []UploadEntry
	NextKey    string // "" if this was the last page
	NextUpload UploadID
}

// UploadID names a multipart upload. It is opaque, unguessable and URL-safe.
type UploadID string

// Upload is a multipart upload in progress.
type Upload struct {
	Bucket    BucketName
	Key       Key
	ID        UploadID
	Initiated time.Time
	Meta      Meta
	Tags      []Tag
	Checksum  Algorithm // announced at creation, NoChecksum if none was
	Composite bool      // the announced checksum type
}
