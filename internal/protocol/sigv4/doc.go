// Package sigv4 verifies and makes AWS Signature Version 4, for S3 and for the
// services beside it.
//
// A Verifier answers who signed a request, before anything of it is believed:
// header and query ("presigned") signatures, payloads that are hashed, unsigned,
// or sent as aws-chunked with and without chunk signatures and trailers, and the
// policies of browser forms. It promises:
//
//   - a route cannot choose a weaker check: one entry, Verify, looks at the
//     request alone; credentials that are half there are an error, not anonymous;
//   - every x-amz-* header of a signed request is signed, the session token too;
//   - the bytes of a signed chunk are released after its signature was verified,
//     and the last bytes of any body after all that follows them was;
//   - every length is bounded before memory is taken for it;
//   - signatures are compared in constant time, and the clock decides with a skew
//     of 15 minutes.
//
// It leaves to others whether a credential is alive (Credentials), what the
// caller may do (edge and iam), and the wire form of errors: syntax errors and
// bad signatures are *Error, whose Code is AWS's; what Credentials reports passes
// through unchanged.
//
// # aws-chunked
//
//	chunk    = hex-size [";chunk-signature=" 64 hex] CRLF bytes CRLF
//	body     = *chunk last [trailer] CRLF        last is a chunk of size 0 without bytes
//	trailer  = *(name ":" value CRLF) ["x-amz-trailer-signature:" 64 hex CRLF]
//
// https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html and
// sigv4-streaming-trailers.html.
//
// A Verifier is safe for concurrent use; a Body belongs to one reader.
package sigv4
