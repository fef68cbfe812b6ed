package s3

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/object"
	"github.com/larder-cache/larder/internal/protocol/edge"
	"github.com/larder-cache/larder/internal/protocol/sigv4"
)

// Code is an error code of S3, as it stands in the answer.
//
// Source: Amazon S3 API Reference, "Error responses".
type Code string

// The codes that are used here.
const (
	AccessDenied                              Code = "AccessDenied"
	BadDigest                                 Code = "BadDigest"
	AccessControlListNotSupported             Code = "AccessControlListNotSupported"
	BadRequest                                Code = "BadRequest"
	BucketAlreadyOwnedByYou                   Code = "BucketAlreadyOwnedByYou"
	BucketNotEmpty                            Code = "BucketNotEmpty"
	ConditionalRequestConflict                Code = "ConditionalRequestConflict"
	EntityTooLarge                            Code = "EntityTooLarge"
	EntityTooSmall                            Code = "EntityTooSmall"
	ExpiredToken                              Code = "ExpiredToken"
	IncompleteBody                            Code = "IncompleteBody"
	InternalError                             Code = "InternalError"
	InvalidAccessKeyID                        Code = "InvalidAccessKeyId"
	InvalidArgument                           Code = "InvalidArgument"
	InvalidBucketName                         Code = "InvalidBucketName"
	InvalidDigest                             Code = "InvalidDigest"
	InvalidLocationConstraint                 Code = "InvalidLocationConstraint"
	InvalidPart                               Code = "InvalidPart"
	InvalidPartNumber                         Code = "InvalidPartNumber"
	InvalidPartOrder                          Code = "InvalidPartOrder"
	InvalidPolicyDocument                     Code = "InvalidPolicyDocument"
	InvalidRange                              Code = "InvalidRange"
	InvalidRequest                            Code = "InvalidRequest"
	InvalidStorageClass                       Code = "InvalidStorageClass"
	InvalidTag                                Code = "InvalidTag"
	InvalidToken                              Code = "InvalidToken"
	InvalidURI                                Code = "InvalidURI"
	KeyTooLong                                Code = "KeyTooLongError"
	MalformedPOSTRequest                      Code = "MalformedPOSTRequest"
	MalformedPolicy                           Code = "MalformedPolicy"
	MalformedXML                              Code = "MalformedXML"
	MaxMessageLengthExceeded                  Code = "MaxMessageLengthExceeded"
	MaxPostPreDataLengthExceeded              Code = "MaxPostPreDataLengthExceededError"
	MetadataTooLarge                          Code = "MetadataTooLarge"
	MethodNotAllowed                          Code = "MethodNotAllowed"
	MissingContentLength                      Code = "MissingContentLength"
	NoSuchBucket                              Code = "NoSuchBucket"
	NoSuchCORSConfiguration                   Code = "NoSuchCORSConfiguration"
	NoSuchLifecycleConfiguration              Code = "NoSuchLifecycleConfiguration"
	NoSuchObjectLockConfiguration             Code = "NoSuchObjectLockConfiguration"
	NoSuchPublicAccessBlockConfiguration      Code = "NoSuchPublicAccessBlockConfiguration"
	NoSuchWebsiteConfiguration                Code = "NoSuchWebsiteConfiguration"
	ObjectLockConfigurationNotFound           Code = "ObjectLockConfigurationNotFoundError"
	OwnershipControlsNotFound                 Code = "OwnershipControlsNotFoundError"
	ReplicationConfigurationNotFound          Code = "ReplicationConfigurationNotFoundError"
	ServerSideEncryptionConfigurationNotFound Code = "ServerSideEncryptionConfigurationNotFoundError"
	NoSuchBucketPolicy                        Code = "NoSuchBucketPolicy"
	NoSuchKey                                 Code = "NoSuchKey"
	NoSuchTagSet                              Code = "NoSuchTagSet"
	NoSuchUpload                              Code = "NoSuchUpload"
	NoSuchVersion                             Code = "NoSuchVersion"
	NotImplemented                            Code = "NotImplemented"
	NotModified                               Code = "NotModified"
	OperationAborted                          Code = "OperationAborted"
	PreconditionFailed                        Code = "PreconditionFailed"
	QuotaExceeded                             Code = "XMinioAdminBucketQuotaExceeded"
	RequestTimeout                            Code = "RequestTimeout"
	ServiceUnavailable                        Code = "ServiceUnavailable"
	SlowDown                                  Code = "SlowDown"
	StorageFull                               Code = "XMinioStorageFull"
)

// Error is a fault of this protocol: of syntax, or one that has no noun in the
// domain.
type Error struct {
	Code     Code
	Message  string // "" for the code's own
	Resource string // "" for the request's path
	Status   int    // 0 for the code's own
	Err      error  // for the log; not sent
	extra    []pair // further elements
}

// Error returns the code and what is known beside it.
func (e *Error) Error() string {
	text := string(e.Code)
	if e.Message != "" {
		text += ": " + e.Message
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

func invalid(message string) error { return &Error{Code: InvalidArgument, Message: message} }

func notOffered(what string) error {
	return &Error{Code: NotImplemented, Message: what + " is not offered by this server."}
}

// described says what a code means and its HTTP status.
var described = map[Code]struct {
	status  int
	message string
}{
	AccessDenied:                              {403, "Access Denied"},
	BadDigest:                                 {400, "The Content-MD5 or checksum value that you specified did not match what the server received."},
	AccessControlListNotSupported:             {400, "The bucket does not allow ACLs: private is what every object is, and bucket policies grant the rest."},
	BadRequest:                                {400, "Bad Request"},
	BucketAlreadyOwnedByYou:                   {409, "Your previous request to create the named bucket succeeded and you already own it."},
	BucketNotEmpty:                            {409, "The bucket you tried to delete is not empty"},
	ConditionalRequestConflict:                {409, "A conflicting operation occurred during the conditional request. Try again."},
	EntityTooLarge:                            {400, "Your proposed upload exceeds the maximum allowed size"},
	EntityTooSmall:                            {400, "Your proposed upload is smaller than the minimum allowed size"},
	ExpiredToken:                              {400, "The provided token has expired."},
	IncompleteBody:                            {400, "You did not provide the number of bytes specified by the Content-Length HTTP header"},
	InternalError:                             {500, "We encountered an internal error. Please try again."},
	InvalidAccessKeyID:                        {403, "The AWS Access Key Id you provided does not exist in our records."},
	InvalidArgument:                           {400, "Invalid Argument"},
	InvalidBucketName:                         {400, "The specified bucket is not valid."},
	InvalidDigest:                             {400, "The Content-MD5 or checksum value that you specified is not valid."},
	InvalidLocationConstraint:                 {400, "The specified location-constraint is not valid"},
	InvalidPart:                               {400, "One or more of the specified parts could not be found. The part may not have been uploaded, or the specified entity tag may not match the part's entity tag."},
	InvalidPartNumber:                         {416, "The requested partnumber is not satisfiable"},
	InvalidPartOrder:                          {400, "The list of parts was not in ascending order. Parts must be ordered by part number."},
	InvalidPolicyDocument:                     {400, "The content of the form does not meet the conditions specified in the policy document."},
	InvalidRange:                              {416, "The requested range is not satisfiable"},
	InvalidRequest:                            {400, "Invalid Request"},
	InvalidStorageClass:                       {400, "The storage class you specified is not valid: STANDARD and REDUCED_REDUNDANCY are."},
	InvalidTag:                                {400, "The tag provided was not a valid tag."},
	InvalidToken:                              {400, "The provided token is malformed or otherwise not valid."},
	InvalidURI:                                {400, "Could not parse the specified URI."},
	KeyTooLong:                                {400, "Your key is too long"},
	MalformedPOSTRequest:                      {400, "The body of your POST request is not well-formed multipart/form-data."},
	MalformedPolicy:                           {400, "Policies must be valid JSON and follow the policy grammar"},
	MalformedXML:                              {400, "The XML you provided was not well-formed or did not validate against our published schema"},
	MaxMessageLengthExceeded:                  {400, "Your request was too big."},
	MaxPostPreDataLengthExceeded:              {400, "Your POST request fields preceding the upload file were too large."},
	MetadataTooLarge:                          {400, "Your metadata headers exceed the maximum allowed metadata size"},
	MethodNotAllowed:                          {405, "The specified method is not allowed against this resource."},
	MissingContentLength:                      {411, "You must provide the Content-Length HTTP header."},
	NoSuchBucket:                              {404, "The specified bucket does not exist"},
	NoSuchCORSConfiguration:                   {404, "The CORS configuration does not exist"},
	NoSuchLifecycleConfiguration:              {404, "The lifecycle configuration does not exist"},
	NoSuchObjectLockConfiguration:             {404, "The specified object does not have a ObjectLock configuration"},
	NoSuchPublicAccessBlockConfiguration:      {404, "The public access block configuration was not found"},
	NoSuchWebsiteConfiguration:                {404, "The specified bucket does not have a website configuration"},
	ObjectLockConfigurationNotFound:           {404, "Object Lock configuration does not exist for this bucket"},
	OwnershipControlsNotFound:                 {404, "The bucket ownership controls were not found"},
	ReplicationConfigurationNotFound:          {404, "The replication configuration was not found"},
	ServerSideEncryptionConfigurationNotFound: {404, "The server side encryption configuration was not found"},
	NoSuchBucketPolicy:                        {404, "The bucket policy does not exist"},
	NoSuchKey:                                 {404, "The specified key does not exist."},
	NoSuchTagSet:                              {404, "The TagSet does not exist"},
	NoSuchUpload:                              {404, "The specified multipart upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed."},
	NoSuchVersion:                             {404, "The specified version does not exist."},
	NotImplemented:                            {501, "A header or query you provided implies functionality that is not offered by this server."},
	NotModified:                               {304, ""},
	OperationAborted:                          {409, "A conflicting conditional operation is currently in progress against this resource. Try again."},
	PreconditionFailed:                        {412, "At least one of the pre-conditions you specified did not hold"},
	QuotaExceeded:                             {400, "Bucket quota exceeded"},
	RequestTimeout:                            {400, "Your socket connection to the server was not read from or written to within the timeout period."},
	ServiceUnavailable:                        {503, "Service is unable to handle request. Please try again."},
	SlowDown:                                  {503, "Please reduce your request rate."},
	StorageFull:                               {507, "Storage backend has reached its minimum free drive threshold. Please delete a few objects to proceed."},
}

// subject is what a fault is, for the table.
type subject struct {
	kind fault.Kind
	noun fault.Noun
}

// table maps the domain's faults to codes; fallback holds the kinds whose noun
// does not matter. What neither has is an internal error.
var (
	table = map[subject]Code{
		{fault.NotFound, fault.Bucket}:       NoSuchBucket,
		{fault.NotFound, fault.BucketPolicy}: NoSuchBucketPolicy,
		{fault.NotFound, fault.Object}:       NoSuchKey,
		{fault.NotFound, fault.Version}:      NoSuchVersion,
		{fault.NotFound, fault.Upload}:       NoSuchUpload,
		{fault.NotFound, fault.Part}:         InvalidPart,
		{fault.Exists, fault.Bucket}:         BucketAlreadyOwnedByYou,
		{fault.Conflict, fault.Bucket}:       BucketNotEmpty,

		{fault.Invalid, fault.Bucket}:       InvalidBucketName,
		{fault.Invalid, fault.BucketPolicy}: MalformedPolicy,
		{fault.Invalid, fault.Policy}:       MalformedPolicy,
		{fault.Invalid, fault.Object}:       InvalidRequest,
		{fault.Invalid, fault.Digest}:       BadDigest,
		{fault.Invalid, fault.Part}:         EntityTooSmall,
		{fault.Invalid, fault.Range}:        InvalidRange,
		{fault.Invalid, fault.Upload}:       NoSuchUpload,

		{fault.TooLarge, fault.None}:         MaxMessageLengthExceeded,
		{fault.TooLarge, fault.BucketPolicy}: MaxMessageLengthExceeded,
		{fault.TooLarge, fault.Object}:       KeyTooLong,

		{fault.Unauthenticated, fault.Session}:        InvalidToken,
		{fault.Unauthenticated, fault.ExpiredSession}: ExpiredToken,
		{fault.Unauthenticated, fault.Token}:          InvalidToken,

		{fault.Full, fault.Quota}: QuotaExceeded,
	}
	fallback = map[fault.Kind]Code{
		fault.Internal:        InternalError,
		fault.NotFound:        NoSuchKey,
		fault.Exists:          OperationAborted,
		fault.Conflict:        ConditionalRequestConflict,
		fault.Denied:          AccessDenied,
		fault.Unauthenticated: InvalidAccessKeyID,
		fault.Invalid:         InvalidArgument,
		fault.Precondition:    PreconditionFailed,
		fault.TooLarge:        EntityTooLarge,
		fault.Busy:            SlowDown,
		fault.Corrupt:         InternalError,
		fault.Unavailable:     ServiceUnavailable,
		fault.Full:            StorageFull,
		fault.Unsupported:     NotImplemented,
		fault.NotModified:     NotModified,
	}
)

// answer is an error as it goes out.
type answer struct {
	code     Code
	status   int
	message  string
	resource string
	extra    []pair // further elements
}

type pair struct{ name, value string }

// describe turns an error into its answer.
func describe(err error) answer {
	if f, ok := err.(*fault.Error); ok && f.Err == nil { //nolint:errorlint // the short way for a miss; the long one says the same
		return describeFault(f)
	}
	if e, ok := errors.AsType[*Error](err); ok {
		a := describeCode(e.Code)
		if e.Message != "" {
			a.message = e.Message
		}
		if e.Status != 0 {
			a.status = e.Status
		}
		a.resource, a.extra = e.Resource, e.extra
		return a
	}
	if e, ok := errors.AsType[*sigv4.Error](err); ok {
		return describeSignature(e)
	}
	switch {
	case errors.Is(err, edge.ErrSlow):
		return describeCode(RequestTimeout)
	case errors.Is(err, edge.ErrIncomplete):
		return describeCode(IncompleteBody)
	case errors.Is(err, edge.ErrPath), errors.Is(err, edge.ErrQuery):
		return describeCode(InvalidURI)
	}
	return describeFault(fault.As(err))
}

func describeCode(code Code) answer {
	d := described[code]
	return answer{code: code, status: d.status, message: d.message}
}

func describeFault(f *fault.Error) answer {
	code, ok := table[subject{f.Kind, f.Noun}]
	if !ok {
		code = fallback[f.Kind]
	}
	a := describeCode(code)
	switch {
	case f.Kind == fault.Invalid && f.Err != nil:
		// The cause of Invalid is a rule that the caller broke, in words for him.
		a.message = f.Err.Error()
	case code == PreconditionFailed:
		a.extra = []pair{{"Condition", f.Name}}
	}
	return a
}

func describeSignature(e *sigv4.Error) answer {
	a := answer{code: Code(e.Code.String()), status: e.Code.Status(), message: e.Message}
	if e.Region != "" {
		a.extra = append(a.extra, pair{"Region", e.Region})
	}
	if !e.RequestTime.IsZero() {
		a.extra = append(a.extra, pair{"RequestTime", e.RequestTime.UTC().Format(time.RFC3339)})
	}
	if !e.ServerTime.IsZero() {
		a.extra = append(a.extra, pair{"ServerTime", e.ServerTime.UTC().Format(time.RFC3339)})
	}
	if e.StringToSign != "" {
		a.extra = append(a.extra, pair{"StringToSign", e.StringToSign}, pair{"CanonicalRequest", e.CanonicalRequest})
	}
	return a
}

// WriteError answers a failed request. The answer to HEAD, and NotModified, have
// no body.
func (p *Protocol) WriteError(w *edge.Writer, failure edge.Failure) string {
	a := describe(failure.Err)
	if o := failure.Operation; a.code == MaxMessageLengthExceeded && o != nil && o.MaxBody >= object.MaxPutSize {
		a = describeCode(EntityTooLarge) // it is not a message, but content
	}
	h := w.Header()
	if a.status == http.StatusServiceUnavailable {
		h["Retry-After"] = []string{"1"}
	}
	if a.code == NotModified || failure.Request.Method == http.MethodHead {
		w.WriteHeader(a.status)
		return string(a.code)
	}
	if a.code == InvalidRange || a.code == PreconditionFailed {
		// Set for the success that did not come about.
		delete(h, "Content-Range")
	}
	doc := p.errorDocument(failure.Request, failure.Operation, a)
	h["Content-Type"] = xmlType
	h["Content-Length"] = []string{strconv.Itoa(len(doc.b))}
	w.WriteHeader(a.status)
	_, _ = w.Write(doc.b) // the client is gone: nobody is left to tell
	doc.release()
	return string(a.code)
}

// errorDocument is the XML of an error. Texts may come from the client as they
// are.
func (p *Protocol) errorDocument(req *edge.Request, operation *edge.Operation, a answer) *document {
	doc := newDocument(pooledSize)
	text := func(name, value string) { doc.text(name, strings.ToValidUTF8(value, "\uFFFD")) }
	doc.open("Error")
	text("Code", string(a.code))
	text("Message", a.message)
	if operation != nil && operation.Key != "" {
		text("Key", operation.Key)
	}
	if operation != nil && operation.Bucket != "" {
		text("BucketName", operation.Bucket)
	}
	for _, e := range a.extra {
		text(e.name, e.value)
	}
	if a.resource == "" {
		a.resource = req.Path
	}
	text("Resource", a.resource)
	text("RequestId", req.ID)
	text("HostId", hostID)
	doc.close("Error")
	return doc
}

// hostID is what Amazon names the machine with; clients print it.
const hostID = "larder"
