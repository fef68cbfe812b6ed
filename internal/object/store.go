package object

import (
	"context"
	"io"
)

// Store is the contract of every object store. Faults carry the kinds named
// below; any other error is internal.
//
//   - A Put is atomic and durable when it returns. A Get or Head sees the last
//     acknowledged write; a List is in byte order and sees it too. No answer,
//     neither success nor NotFound nor Precondition, rests on an undurable write.
//   - Preconditions are decided by the store atomically, never check-then-act.
//   - Bodies are streams. Memory is bounded whatever the callers do.
//   - A missing bucket is NotFound of noun Bucket, before anything about keys.
//   - Corrupt content is fault.Corrupt and never served. No room is fault.Full
//     of noun Disk or Quota; the refused write left nothing behind.
//   - All methods may be called at once. A context that ends early leaves the
//     write either whole or absent.
type Store interface {
	Buckets
	Objects
	Uploads

	// Caps says what this store can really do.
	Caps() Caps

	// Log returns the log of that name; it need not exist yet.
	Log(name string) Log
}

// Caps are a store's capabilities, all true for the embedded one. What is false
// answers fault.Unsupported rather than an emulation with a race.
type Caps struct {
	CreateOnce          bool // Put with IfNoneMatch: *
	CompareAndSwap      bool // Put and Delete with IfMatch
	ConditionalComplete bool // CompleteUpload with a Precondition
	StrongList          bool // a List sees every acknowledged write
}

// Buckets is the part of the contract about buckets.
type Buckets interface {
	// CreateBucket makes a bucket. It is Exists if there is one of that name.
	CreateBucket(ctx context.Context, name BucketName, config BucketConfig) (Bucket, error)

	// Bucket returns one bucket. It is called for every request and must not
	// touch the disk.
	Bucket(ctx context.Context, name BucketName) (Bucket, error)

	// ListBuckets returns all buckets, ordered by name.
	ListBuckets(ctx context.Context) ([]Bucket, error)

	// UpdateBucket changes a bucket's configuration atomically. change may run
	// more than once; its error is returned as it is and changes nothing.
	UpdateBucket(ctx context.Context, name BucketName, change func(*BucketConfig) error) (Bucket, error)

	// DeleteBucket removes an empty bucket. It is Conflict while it holds
	// objects; uploads in progress are aborted.
	DeleteBucket(ctx context.Context, name BucketName) error

	// Usage returns what a bucket holds.
	Usage(ctx context.Context, name BucketName) (Usage, error)
}

// Objects is the part of the contract about objects.
type Objects interface {
	// Head describes an object.
	Head(ctx context.Context, bucket BucketName, key Key) (Info, error)

	// Get opens an object. The caller closes Reader.Body.
	Get(ctx context.Context, req GetRequest) (*Reader, error)

	// Put stores a body. On error nothing changed.
	Put(ctx context.Context, req PutRequest) (Info, error)

	// Copy stores a copy of another object, without reading its body through
	// the caller.
	Copy(ctx context.Context, req CopyRequest) (Info, error)

	// SetTags replaces an object's tags; its version, ETag and modification
	// time stay.
	SetTags(ctx context.Context, bucket BucketName, key Key, tags []Tag) error

	// Delete removes an object. Deleting an absent key is no error.
	Delete(ctx context.Context, req DeleteRequest) error

	// List returns one page of keys.
	List(ctx context.Context, req ListRequest) (Page, error)

	// ObjectParts returns the parts of a multipart object whose number is
	// greater than after, at most limit; none for any other object.
	ObjectParts(ctx context.Context, bucket BucketName, key Key, after, limit int) ([]Part, error)
}

// Uploads is the part of the contract about multipart uploads. An unknown upload
// is NotFound of noun Upload.
type Uploads interface {
	// CreateUpload begins an upload.
	CreateUpload(ctx context.Context, req UploadRequest) (Upload, error)

	// Upload describes an upload in progress.
	Upload(ctx context.Context, bucket BucketName, key Key, id UploadID) (Upload, error)

	// PutPart stores one part; the same number again replaces it.
	PutPart(ctx context.Context, req PartRequest) (Part, error)

	// CopyPart stores a part that is a range of another object.
	CopyPart(ctx context.Context, req CopyPartRequest) (Part, error)

	// CompleteUpload makes an object of parts, copying no data. Its faults are
	// those of CompleteRequest.Assemble; after any of them, and after a failed
	// Precondition, the upload goes on. Completing a completed upload with the
	// same parts returns the same Info again and changes nothing.
	CompleteUpload(ctx context.Context, req CompleteRequest) (Info, error)

	// AbortUpload ends an upload and frees its parts.
	AbortUpload(ctx context.Context, bucket BucketName, key Key, id UploadID) error

	// UploadParts returns parts whose number is greater than after, at most
	// limit, in order.
	UploadParts(ctx context.Context, bucket BucketName, key Key, id UploadID, after, limit int) ([]Part, error)

	// ListUploads returns one page of uploads in progress.
	ListUploads(ctx context.Context, req UploadListRequest) (UploadPage, error)
}

// Log is a create-once chain of small documents (at most 16 MiB each), on which
// identities and settings live. Generations count from 1 without gaps.
type Log interface {
	// Append adds the document of that generation, durably. It is Exists if
	// another writer was first, and Conflict if gen is not the one after the
	// latest.
	Append(ctx context.Context, gen uint64, doc []byte) error

	// Latest returns the newest document; gen is 0 if there is none.
	Latest(ctx context.Context) (gen uint64, doc []byte, err error)
}

// GetRequest names what to read.
type GetRequest struct {
	Bucket BucketName
	Key    Key
	Range  *Range // nil for the whole body; out of bounds is Invalid of noun Range
	Part   int    // > 0: that part of a multipart object instead of a Range; part 1 of any other object is all of it; an absent one is Invalid of noun Range

	// If is checked with Precondition.CheckRead before a body is opened. On
	// Precondition or NotModified the Reader is returned beside the error, with
	// its Info and no Body.
	If Precondition
}

// Reader is an open object: one version, however long the reading takes.
type Reader struct {
	Info   Info
	Offset int64 // of the first byte of Body in the object
	Length int64 // bytes in Body

	// Body yields exactly Length bytes, each verified before it is returned, or
	// an error of kind Corrupt. It may implement io.WriterTo.
	Body io.ReadCloser
}

// PutRequest is a body and what is to be known of it.
type PutRequest struct {
	Bucket  BucketName
	Key     Key
	Content Content
	Size    int64 // bytes that Content yields, -1 if unknown
	Meta    Meta
	Tags    []Tag
	If      Precondition // IfMatch and IfNoneMatch
}

// DeleteRequest names what to delete.
type DeleteRequest struct {
	Bucket BucketName
	Key    Key
	If     Precondition // IfMatch
}

// CopyRequest copies one object onto another key, or onto itself to change what
// is known of it.
type CopyRequest struct {
	SourceBucket BucketName
	SourceKey    Key
	SourceIf     Precondition

	Bucket BucketName
	Key    Key
	If     Precondition

	Meta *Meta  // nil keeps the source's
	Tags *[]Tag // nil keeps the source's

	// Digest recomputes the content's digest when the copy shall have another
	// checksum than the source; nil keeps the source's digest. The store reads
	// the source through it.
	Digest func(io.Reader) Content
}

// UploadRequest begins a multipart upload.
type UploadRequest struct {
	Bucket    BucketName
	Key       Key
	Meta      Meta
	Tags      []Tag
	Checksum  Algorithm
	Composite bool
}

// PartRequest is one part of an upload.
type PartRequest struct {
	Bucket  BucketName
	Key     Key
	Upload  UploadID
	Number  int
	Content Content
	Size    int64 // bytes that Content yields, -1 if unknown
}

// CopyPartRequest is one part that is a range of another object.
type CopyPartRequest struct {
	SourceBucket BucketName
	SourceKey    Key
	SourceIf     Precondition
	SourceRange  *Range // must lie inside the source

	Bucket BucketName
	Key    Key
	Upload UploadID
	Number int
	Digest func(io.Reader) Content // computes the part's digest while it is read
}

// CompletePart is a part as its sender names it.
type CompletePart struct {
	Number   int
	ETag     ETag
	Checksum Checksum // compared where it has a value
}

// CompleteRequest makes an object of an upload's parts.
type CompleteRequest struct {
	Bucket   BucketName
	Key      Key
	Upload   UploadID
	Parts    []CompletePart // in ascending order of Number
	Size     int64          // demanded of the whole, -1 if nothing is
	Checksum Checksum       // demanded of the whole where it has a value
	If       Precondition
}
