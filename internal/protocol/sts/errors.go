package sts

import (
	"errors"
	"net/http"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/protocol/edge"
	"github.com/larder-cache/larder/internal/protocol/oidc"
	"github.com/larder-cache/larder/internal/protocol/sigv4"
)

// Code is an error code of AWS's Security Token Service.
//
// Source: AWS STS API Reference, "Common Errors" and the errors of each action.
type Code string

// The codes that are used here.
const (
	AccessDenied               Code = "AccessDenied"
	ExpiredCredentials         Code = "ExpiredToken"
	ExpiredToken               Code = "ExpiredTokenException"
	IDPCommunicationError      Code = "IDPCommunicationError"
	IDPRejectedClaim           Code = "IDPRejectedClaim"
	IncompleteSignature        Code = "IncompleteSignature"
	InternalFailure            Code = "InternalFailure"
	InvalidAction              Code = "InvalidAction"
	InvalidClientTokenID       Code = "InvalidClientTokenId"
	InvalidIdentityToken       Code = "InvalidIdentityToken"
	MalformedPolicyDocument    Code = "MalformedPolicyDocument"
	MissingAuthenticationToken Code = "MissingAuthenticationToken"
	PackedPolicyTooLarge       Code = "PackedPolicyTooLarge"
	RequestTimeTooSkewed       Code = "RequestTimeTooSkewed"
	ServiceUnavailable         Code = "ServiceUnavailable"
	SignatureDoesNotMatch      Code = "SignatureDoesNotMatch"
	Throttling                 Code = "Throttling"
	ValidationError            Code = "ValidationError"
)

// Error is a fault of this protocol.
type Error struct {
	Code    Code
	Message string // "" for the code's own
}

// Error returns the code and the message.
func (e *Error) Error() string { return string(e.Code) + ": " + e.Message }

func invalid(message string) error { return &Error{Code: ValidationError, Message: message} }

// described says what a code means and its HTTP status.
var described = map[Code]struct {
	status  int
	message string
}{
	AccessDenied:               {403, "Not authorized to perform this operation."},
	ExpiredCredentials:         {403, "The security token included in the request is expired."},
	ExpiredToken:               {400, "The web identity token that was passed is expired."},
	IDPCommunicationError:      {400, "The keys of the token's issuer could not be fetched. Try again."},
	IDPRejectedClaim:           {403, "No rule of this server maps the token to a policy."},
	IncompleteSignature:        {400, "The request signature does not conform to AWS standards."},
	InternalFailure:            {500, "The request processing has failed because of an internal error."},
	InvalidAction:              {400, "The action or operation requested is not offered by this server."},
	InvalidClientTokenID:       {403, "The security token included in the request is invalid."},
	InvalidIdentityToken:       {400, "The token that was passed could not be validated."},
	MalformedPolicyDocument:    {400, "The policy document is not well-formed."},
	MissingAuthenticationToken: {403, "Request is missing Authentication Token."},
	PackedPolicyTooLarge:       {400, "The session policy is longer than 2048 bytes."},
	RequestTimeTooSkewed:       {403, "The difference between the request time and the server's time is too large."},
	ServiceUnavailable:         {503, "The request has failed due to a temporary failure of the server."},
	SignatureDoesNotMatch:      {403, "The request signature we calculated does not match the signature you provided. Check your key and signing method."},
	Throttling:                 {429, "Rate exceeded: too many requests from this address failed."},
	ValidationError:            {400, "The input fails to satisfy the constraints specified by the service."},
}

// faults maps the domain's faults to codes; nouns come before kinds.
var (
	nouns = map[fault.Noun]map[fault.Kind]Code{
		fault.Token:   {fault.Unauthenticated: InvalidIdentityToken, fault.Denied: IDPRejectedClaim, fault.Invalid: InvalidIdentityToken},
		fault.Session: {fault.Unauthenticated: InvalidClientTokenID, fault.TooLarge: PackedPolicyTooLarge},
		fault.Policy:  {fault.Invalid: MalformedPolicyDocument, fault.TooLarge: PackedPolicyTooLarge},
		fault.Issuer:  {fault.Unavailable: IDPCommunicationError},

		fault.ExpiredSession: {fault.Unauthenticated: ExpiredCredentials},
	}
	kinds = map[fault.Kind]Code{
		fault.Internal: InternalFailure, fault.NotFound: InvalidAction, fault.Exists: InternalFailure, fault.Conflict: InternalFailure,
		fault.Denied: AccessDenied, fault.Unauthenticated: InvalidClientTokenID, fault.Invalid: ValidationError,
		fault.Precondition: InternalFailure, fault.TooLarge: ValidationError, fault.Busy: ServiceUnavailable,
		fault.Corrupt: InternalFailure, fault.Unavailable: ServiceUnavailable, fault.Full: ServiceUnavailable,
		fault.Unsupported: InvalidAction, fault.NotModified: InternalFailure,
	}
	signatures = map[sigv4.Code]Code{
		sigv4.AccessDenied: AccessDenied, sigv4.SignatureDoesNotMatch: SignatureDoesNotMatch,
		sigv4.RequestTimeTooSkewed: RequestTimeTooSkewed, sigv4.MissingContentLength: ValidationError,
		sigv4.AuthorizationHeaderMalformed: IncompleteSignature, sigv4.AuthorizationQueryParameters: IncompleteSignature,
		sigv4.UnsupportedSignature: IncompleteSignature, sigv4.SeveralSignatures: IncompleteSignature,
		sigv4.InvalidRequest: ValidationError, sigv4.InvalidURI: ValidationError,
		sigv4.ContentSHA256Mismatch: SignatureDoesNotMatch, sigv4.IncompleteBody: ValidationError,
		sigv4.MalformedChunk: ValidationError, sigv4.MalformedTrailer: ValidationError,
	}
)

// answer is an error as it goes out.
type answer struct {
	code    Code
	status  int
	message string
}

// describe turns an error into its answer, and counts it against the caller's
// address if it is a failure to prove who he is.
func (s *Service) describe(failure edge.Failure) answer {
	a := describe(failure.Err)
	if a.status == http.StatusForbidden || a.code == InvalidIdentityToken || a.code == ExpiredToken {
		if s.failures.add(failure.Request.SourceIP) {
			return codeAnswer(Throttling, "")
		}
	}
	return a
}

func describe(err error) answer {
	if e, ok := errors.AsType[*Error](err); ok {
		return codeAnswer(e.Code, e.Message)
	}
	if e, ok := errors.AsType[*sigv4.Error](err); ok {
		return codeAnswer(signatures[e.Code], e.Message)
	}
	f := fault.As(err)
	code, ok := nouns[f.Noun][f.Kind]
	if !ok {
		code = kinds[f.Kind]
	}
	switch {
	case errors.Is(err, oidc.ErrExpired):
		return codeAnswer(ExpiredToken, "")
	case f.Kind == fault.Invalid && f.Err != nil && f.Noun != fault.Token:
		return codeAnswer(code, f.Err.Error()) // a rule that the caller broke, in words for him
	}
	return codeAnswer(code, "")
}

func codeAnswer(code Code, message string) answer {
	d := described[code]
	if message == "" {
		message = d.message
	}
	return answer{code, d.status, message}
}
