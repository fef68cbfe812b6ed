package sigv4

import (
	"net/http"
	"time"
)

// Code is the class of an Error, named as AWS names it on the wire.
type Code uint8

// The codes. Append only: the tables of the protocols are exhaustive over them.
const (
	AccessDenied                 Code = iota // 403: a rule of signing is broken, or a presigned URL expired
	SignatureDoesNotMatch                    // 403
	RequestTimeTooSkewed                     // 403: Error.ServerTime is set
	AuthorizationHeaderMalformed             // 400: Error.Region is set if the region is what is wrong
	AuthorizationQueryParameters             // 400 AuthorizationQueryParametersError
	UnsupportedSignature                     // 400 InvalidRequest: Signature Version 2, or an unknown scheme
	SeveralSignatures                        // 400 InvalidArgument: both header and query
	InvalidRequest                           // 400: a needed header is absent or makes no sense
	InvalidURI                               // 400: a path or query that cannot be decoded
	MissingContentLength                     // 411: no x-amz-decoded-content-length
	ContentSHA256Mismatch                    // 400 XAmzContentSHA256Mismatch
	IncompleteBody                           // 400: fewer or more bytes than announced
	MalformedChunk                           // 400 InvalidRequest: not aws-chunked, or a chunk above the limit
	MalformedTrailer                         // 400 MalformedTrailerError
	codes                                    // count; keep last
)

var codeText = [codes]string{
	AccessDenied: "AccessDenied", SignatureDoesNotMatch: "SignatureDoesNotMatch", RequestTimeTooSkewed: "RequestTimeTooSkewed",
	AuthorizationHeaderMalformed: "AuthorizationHeaderMalformed", AuthorizationQueryParameters: "AuthorizationQueryParametersError",
	UnsupportedSignature: "InvalidRequest", SeveralSignatures: "InvalidArgument", InvalidRequest: "InvalidRequest",
	InvalidURI: "InvalidURI", MissingContentLength: "MissingContentLength", ContentSHA256Mismatch: "XAmzContentSHA256Mismatch",
	IncompleteBody: "IncompleteBody", MalformedChunk: "InvalidRequest", MalformedTrailer: "MalformedTrailerError",
}

// String returns the code's name on the wire, "SignatureDoesNotMatch".
func (c Code) String() string {
	if c >= codes {
		return "InternalError"
	}
	return codeText[c]
}

// Status returns the HTTP status that AWS answers the code with.
func (c Code) Status() int {
	if status, ok := codeStatus[c]; ok {
		return status
	}
	return http.StatusBadRequest
}

// codeStatus holds the codes that are not answered with 400.
var codeStatus = map[Code]int{
	AccessDenied: http.StatusForbidden, SignatureDoesNotMatch: http.StatusForbidden,
	RequestTimeTooSkewed: http.StatusForbidden, MissingContentLength: http.StatusLengthRequired,
}

// Codes lists every code, for tables that must be exhaustive.
func Codes() []Code {
	all := make([]Code, codes)
	for i := range all {
		all[i] = Code(i)
	}
	return all
}

// Error is a request whose signature cannot be accepted. It holds no secret.
type Error struct {
	Code    Code
	Message string // for the caller: what is wrong, and where there is one, the remedy

	Region      string    // the region to sign for, if a wrong one was the fault
	RequestTime time.Time // RequestTimeTooSkewed: when the request says it was signed
	ServerTime  time.Time // RequestTimeTooSkewed and expired URLs: the server's clock

	// What the server computed, for SignatureDoesNotMatch: AWS shows both, and a
	// client's author finds the fault by comparing.
	StringToSign     string
	CanonicalRequest string
}

// Error returns "SignatureDoesNotMatch: …".
func (e *Error) Error() string { return e.Code.String() + ": " + e.Message }

// Is reports whether target is an *Error of the same code, so that
// errors.Is(err, &Error{Code: …}) reads as it should.
func (e *Error) Is(target error) bool {
	other, ok := target.(*Error)
	return ok && other.Code == e.Code
}

func fail(code Code, message string) error { return &Error{Code: code, Message: message} }
