// Package local is the object store on one machine's disk: content in segments,
// order in an index, both under one directory that one process owns.
//
// An object is durable when its Put returns, and every answer, NotFound and
// Precondition included, rests on durable writes only: the key is locked until
// the segment is synced and the index applied. Versions come from one store-wide
// counter. Bodies are staged in memory, at most 8 MiB at a time under one global
// budget, before the key is locked, so no client's speed holds up another's write.
// Every block is verified before a byte of it is returned.
//
// The directory:
//
//	FORMAT      the format's version and the store's identity; text
//	LOCK        held while a process has the store open
//	CLEAN       written by Close, removed by Open
//	BALLAST     preallocated; given up when the disk is full
//	segments/   the content (package segment draws it)
//	index/      the index (package index), which can be deleted
//
// # Attributes of a put
//
// What package index draws comes first; then, uv being a uvarint:
//
//	1       format, 1
//	uv      version
//	8       modification time, Unix nanoseconds
//	1       ETag's form: 0 text, 1 MD5, 2 MD5 and number of parts
//	…       ETag: uv length and text, or 16 bytes, or 16 bytes and uv
//	1       MD5: 0 none, 1 the ETag's 16 bytes, 2 the 16 bytes that follow
//	1       checksum algorithm, 0 none: then composite 1, parts uv, length uv, value
//	uv      parts
//	7 ×     length uv, text: content type, encoding, disposition, language, cache control, expires, storage class
//	uv      number of user metadata, then for each: length uv, name, length uv, value
//	uv      number of tags, then for each: length uv, name, length uv, value
//
// All methods of Store may be called at once. Locks are taken in this order:
// bucket gate, upload, key; nothing is locked while a caller's body is read.
package local
