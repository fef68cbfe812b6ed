package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/protocol/admin/envelope"
	"github.com/larder-cache/larder/internal/protocol/edge"
	"github.com/larder-cache/larder/internal/protocol/sigv4"
)

// answer is how one class of error looks on the wire.
type answer struct {
	code    string
	status  int
	message string // for the caller; empty: the fault's own text
}

// faultKey is what the table is asked by.
type faultKey struct {
	kind fault.Kind
	noun fault.Noun
}

// answers is the table from faults to codes. A fault without a row of its own
// noun has the row of its kind alone (noun None).
var answers = map[faultKey]answer{
	{fault.NotFound, fault.User}:      {"XMinioAdminNoSuchUser", http.StatusNotFound, "The specified user does not exist."},
	{fault.NotFound, fault.Group}:     {"XMinioAdminNoSuchGroup", http.StatusNotFound, "The specified group does not exist."},
	{fault.NotFound, fault.Policy}:    {"XMinioAdminNoSuchPolicy", http.StatusNotFound, "The canned policy does not exist."},
	{fault.NotFound, fault.AccessKey}: {"XMinioInvalidIAMCredentials", http.StatusNotFound, "The specified service account is not found"}, // Terraform reads this text
	{fault.NotFound, fault.Session}:   {"XMinioInvalidIAMCredentials", http.StatusNotFound, "The specified service account is not found"},
	{fault.NotFound, fault.Bucket}:    {"NoSuchBucket", http.StatusNotFound, "The specified bucket does not exist."},
	{fault.NotFound, fault.Quota}:     {"XMinioAdminNoSuchQuotaConfiguration", http.StatusNotFound, "The bucket has no quota."},
	{fault.NotFound, fault.Setting}:   {"XMinioConfigNotFound", http.StatusNotFound, ""},
	{fault.NotFound, fault.Issuer}:    {"XMinioConfigNotFound", http.StatusNotFound, ""},
	{fault.NotFound, fault.None}:      {"XMinioAdminNotFound", http.StatusNotFound, ""},

	{fault.Exists, fault.Policy}:    {"XMinioAdminPolicyChangeAlreadyApplied", http.StatusBadRequest, "The specified policy change is already in effect."},
	{fault.Exists, fault.AccessKey}: {"XMinioIAMServiceAccountNotAllowed", http.StatusBadRequest, "The access key is taken."},
	{fault.Exists, fault.User}:      {"XMinioIAMServiceAccountNotAllowed", http.StatusBadRequest, "The name is taken."},
	{fault.Exists, fault.None}:      {"XMinioAdminExists", http.StatusConflict, ""},

	{fault.Conflict, fault.Policy}:    {"XMinioIAMPolicyInUse", http.StatusBadRequest, ""},
	{fault.Conflict, fault.Group}:     {"XMinioAdminGroupNotEmpty", http.StatusBadRequest, "The group is not empty."},
	{fault.Conflict, fault.AccessKey}: {"XMinioIAMServiceAccountNotAllowed", http.StatusBadRequest, "The access key is taken."},
	{fault.Conflict, fault.None}:      {"XMinioAdminConflict", http.StatusConflict, ""},

	{fault.Invalid, fault.User}:      {"XMinioAdminInvalidAccessKey", http.StatusBadRequest, ""},
	{fault.Invalid, fault.AccessKey}: {"XMinioAdminInvalidAccessKey", http.StatusBadRequest, ""},
	{fault.Invalid, fault.Secret}:    {"XMinioAdminInvalidSecretKey", http.StatusBadRequest, ""},
	{fault.Invalid, fault.Policy}:    {"XMinioMalformedIAMPolicy", http.StatusBadRequest, ""},
	{fault.Invalid, fault.None}:      {"XMinioAdminInvalidArgument", http.StatusBadRequest, ""},

	{fault.Unauthenticated, fault.AccessKey}: {"InvalidAccessKeyId", http.StatusForbidden, "The access key does not exist in our records."},
	{fault.Unauthenticated, fault.User}:      {"InvalidAccessKeyId", http.StatusForbidden, "The access key does not exist in our records."},
	{fault.Unauthenticated, fault.Secret}:    {"SignatureDoesNotMatch", http.StatusForbidden, "The signature does not match. Check the key and the signing method."},
	{fault.Unauthenticated, fault.Session}:   {"InvalidTokenId", http.StatusForbidden, "The session token is not valid."},
	{fault.Unauthenticated, fault.None}:      {"AccessDenied", http.StatusForbidden, "Access Denied."},

	{fault.Denied, fault.None}:       {"AccessDenied", http.StatusForbidden, "Access Denied."},
	{fault.Denied, fault.User}:       {"AccessDenied", http.StatusForbidden, ""}, // whatever policy he has: a rule that anybody may read
	{fault.Denied, fault.AccessKey}:  {"AccessDenied", http.StatusForbidden, ""},
	{fault.Denied, fault.Policy}:     {"AccessDenied", http.StatusForbidden, "Access Denied: nobody gives or takes over rights to administer that he does not have."},
	{fault.TooLarge, fault.None}:     {"EntityTooLarge", http.StatusBadRequest, ""},
	{fault.Precondition, fault.None}: {"PreconditionFailed", http.StatusPreconditionFailed, ""},
	{fault.NotModified, fault.None}:  {"NotModified", http.StatusNotModified, ""},
	{fault.Busy, fault.None}:         {"SlowDown", http.StatusServiceUnavailable, "Please reduce the request rate."},
	{fault.Unavailable, fault.None}:  {"XMinioServerNotInitialized", http.StatusServiceUnavailable, ""},
	{fault.Full, fault.None}:         {"XMinioStorageFull", http.StatusInsufficientStorage, "The storage has no room left."},
	{fault.Unsupported, fault.None}:  {"NotImplemented", http.StatusNotImplemented, ""},
	{fault.Corrupt, fault.None}:      {"InternalError", http.StatusInternalServerError, internalText},
	{fault.Internal, fault.None}:     {"InternalError", http.StatusInternalServerError, internalText},
}

const internalText = "We encountered an internal error, please try again."

// syntaxError is a mistake of the request that only this protocol knows.
type syntaxError struct {
	answer

	cause error
}

func (e *syntaxError) Error() string {
	text := e.code + ": " + e.message
	if e.cause != nil {
		text += ": " + e.cause.Error()
	}
	return text
}

// Unwrap returns the cause.
func (e *syntaxError) Unwrap() error { return e.cause }

// Is makes every mistake of the request fault.Invalid.
func (e *syntaxError) Is(target error) bool { return target == fault.Invalid }

// wrongVersion is the answer for a path that no client of this API has.
func wrongVersion(path string) error {
	return &syntaxError{answer{
		"XMinioAdminVersionMismatch", http.StatusUpgradeRequired,
		"This server does not know this API, or this version of it.",
	}, errors.New(path)}
}

// badJSON is a body that is not what the operation expects.
func badJSON(err error) error {
	return &syntaxError{answer{
		"XMinioAdminConfigBadJSON", http.StatusBadRequest,
		"The request body is not the JSON that is expected: " + err.Error(),
	}, nil}
}

// invalid is a fault about an argument.
func invalid(noun fault.Noun, name, format string, args ...any) error {
	return fault.Wrap(fault.Invalid, noun, name, fmt.Errorf(format, args...))
}

// unsupported is a fault about what is not offered, with what to do instead.
func unsupported(format string, args ...any) error {
	return fault.Wrap(fault.Unsupported, fault.None, "", fmt.Errorf(format, args...))
}

// lookup finds the answer to an error.
func lookup(err error) answer {
	if syntax, ok := errors.AsType[*syntaxError](err); ok {
		return syntax.answer
	}
	if errors.Is(err, envelope.ErrSealed) {
		return answer{
			"XMinioAdminConfigBadJSON", http.StatusBadRequest,
			"The request body is not encrypted with the secret key of the caller.",
		}
	}
	if signature, ok := errors.AsType[*sigv4.Error](err); ok {
		return answer{signature.Code.String(), signature.Code.Status(), signature.Message}
	}
	f := fault.As(err)
	a, ok := answers[faultKey{f.Kind, f.Noun}]
	if !ok {
		a, ok = answers[faultKey{f.Kind, fault.None}]
	}
	if !ok {
		a = answers[faultKey{fault.Internal, fault.None}]
	}
	if a.message == "" {
		a.message = f.Error()
		if f.Err != nil && (f.Kind == fault.Unsupported || f.Kind == fault.Invalid || f.Kind == fault.Conflict || f.Kind == fault.TooLarge || f.Kind == fault.Denied) {
			a.message = f.Err.Error()
		}
	}
	return a
}

// errorBody is the JSON of an error. It is never encrypted.
type errorBody struct {
	Code      string
	Message   string
	Resource  string
	RequestID string `json:"RequestId"`
	HostID    string `json:"HostId"`
}

// WriteError answers a failed request.
func (p *Protocol) WriteError(w *edge.Writer, failure edge.Failure) string {
	a := lookup(failure.Err)
	body, err := json.Marshal(errorBody{
		Code: a.code, Message: a.message, Resource: failure.Request.Path, RequestID: failure.Request.ID,
	})
	if err != nil {
		panic(fmt.Sprintf("an error body of strings does not encode: %v", err))
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(a.status)
	_, _ = w.Write(body) // the connection may be gone; the error is what counts
	return a.code
}
