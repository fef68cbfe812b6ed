// Package s3 speaks Amazon S3's REST protocol over an object store.
//
// Protocol is an edge.Protocol: Route finds bucket and key in the host and the
// path (address.go), looks the operation up in one table (route.go) and parses
// all that is not in the body; the pipeline authenticates and authorises; the
// operation's Serve does the rest. One operation is one file, and get.go is the
// one to read first.
//
// What this package promises beside S3's own rules:
//
//   - A key is the decoded rest of the path as it came, never cleaned. A query
//     parameter that is not S3's never changes which operation runs; a parameter
//     of S3 that is not offered here answers 501 NotImplemented and never falls
//     back to another operation.
//   - Faults of syntax are born here (Error); faults of the store are looked up
//     in one table (errors.go).
//   - In a bucket that is a cache, ETags are XXH3-128 in the form "<32 hex>-1",
//     which no client takes for an MD5; in any other bucket they are MD5.
//   - A listing whose keys hold characters that XML 1.0 cannot express is refused
//     with an error that names the remedy, encoding-type=url; Amazon sends
//     references that XML parsers refuse instead.
//
// A Protocol is safe for concurrent use.
package s3
