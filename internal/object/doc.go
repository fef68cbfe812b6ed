// Package object is the vocabulary of stored things and the contract of every
// store: buckets, keys, versions, digests, ranges, preconditions, listings,
// multipart uploads and logs.
//
// The package holds nouns and rules. It does no I/O, reads no clock, logs
// nothing and starts no goroutine; whoever needs the time passes it in.
//
// The contract is object-level on purpose: a store that lives on S3 has no
// transactions to offer. internal/storetest is the executable form of it, and
// every store passes that suite, the in-memory one included.
package object
