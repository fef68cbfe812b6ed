package sigv4

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/larder-cache/larder/internal/iam"
)

// Credentials finds the secret of an access key.
type Credentials interface {
	// Credential returns the credential that signs with id. sessionToken is ""
	// for keys that are not temporary. An unknown, disabled or revoked key and a
	// token that does not fit it are fault.Unauthenticated; Verify passes the
	// error on as it is.
	Credential(ctx context.Context, id iam.AccessKeyID, sessionToken string) (iam.Credential, error)
}

// Verifier establishes who signed a request.
type Verifier struct {
	credentials Credentials
	config      Config
	keys        keyCache
}

// New returns a Verifier that asks credentials for secrets.
func New(credentials Credentials, config Config) (*Verifier, error) {
	if err := config.check(); err != nil {
		return nil, err
	}
	if credentials == nil {
		return nil, errors.New("sigv4: no credentials")
	}
	v := &Verifier{credentials: credentials, config: config}
	v.keys = keyCache{max: config.Keys, keys: make(map[keyName]*signingKey)}
	return v, nil
}

// Type is how a request was signed.
type Type uint8

// The types.
const (
	Anonymous Type = iota // not signed at all
	Header                // Authorization header
	Presigned             // query parameters
	Form                  // policy of a browser form
)

// String returns the value of the condition key s3:authType, "" for Anonymous.
func (t Type) String() string {
	return [...]string{"", "REST-HEADER", "REST-QUERY-STRING", "POST"}[t&3]
}

// Signed is what Verify established.
type Signed struct {
	Credential iam.Credential // the zero value is the anonymous caller
	Type       Type
	SignedAt   time.Time // zero if anonymous
	Region     string    // as signed for
	Service    string    // as signed for: "s3" or "sts"

	// Headers are the names of the signed headers, in lower case, joined by ";".
	Headers string

	// Streaming is true if the body comes in aws-chunked framing, which Body
	// removes and which is no part of the object's Content-Encoding.
	Streaming bool

	// Body is the decoded body, verified as it is read; never nil. It reports
	// *Error if the content is not what was signed, in place of the last bytes.
	Body *Body

	// Length is the decoded body's length in bytes; -1 if unknown.
	Length int64
}

// Verify establishes who signed r. A request without any trace of credentials is
// Anonymous; everything else is verified or is an error: *Error, or what
// Credentials reports. Nothing of the body is read, except for services other
// than S3 (Config.MaxForm).
func (v *Verifier) Verify(ctx context.Context, r *http.Request) (Signed, error) {
	authorization := r.Header["Authorization"]
	query := queryAuth(r.URL.RawQuery)
	switch {
	case len(authorization) > 1 || len(authorization) == 1 && query:
		return Signed{}, fail(SeveralSignatures, "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter or the Authorization header should be specified")
	case len(authorization) == 1:
		return v.verifyHeader(ctx, r, authorization[0])
	case query:
		return v.verifyQuery(ctx, r)
	}
	return v.anonymous(r)
}

// queryAuth reports whether any parameter of the query belongs to a signature of
// version 2 or 4, so that half a signature is never taken for none.
func queryAuth(raw string) bool {
	for rest := raw; rest != ""; {
		var part string
		part, rest, _ = strings.Cut(rest, "&")
		name, _, _ := strings.Cut(part, "=")
		if strings.IndexByte(name, '%') >= 0 {
			name, _ = reencode(name)
		}
		switch {
		case len(name) > 6 && strings.EqualFold(name[:6], "X-Amz-"):
			switch strings.ToLower(name[6:]) {
			case "algorithm", "credential", "signature", "signedheaders", "expires", "security-token":
				return true
			}
		case name == "AWSAccessKeyId" || name == "Signature":
			return true
		}
	}
	return false
}

func (v *Verifier) anonymous(r *http.Request) (Signed, error) {
	signed := Signed{}
	if err := v.body(r, &signed, nil, &claim{payload: r.Header.Get("X-Amz-Content-Sha256")}); err != nil {
		return Signed{}, err
	}
	return signed, nil
}

const useV4 = "Signature Version 2 is not accepted: please use AWS4-HMAC-SHA256. "

func (v *Verifier) verifyHeader(ctx context.Context, r *http.Request, authorization string) (Signed, error) {
	switch scheme, _, _ := strings.Cut(authorization, " "); scheme {
	case algorithm:
	case "AWS":
		return Signed{}, fail(UnsupportedSignature, useV4+"boto3: Config(signature_version='s3v4'); AWS CLI: aws configure set default.s3.signature_version s3v4; s3cmd: signature_v2 = False.")
	case "AWS4-ECDSA-P256-SHA256":
		return Signed{}, fail(UnsupportedSignature, "Signature Version 4A is not accepted: please use AWS4-HMAC-SHA256 (s3v4).")
	default:
		return Signed{}, fail(UnsupportedSignature, "Unsupported Authorization Type: please use AWS4-HMAC-SHA256 (s3v4).")
	}
	c, err := parseHeader(authorization, r.Header)
	if err != nil {
		return Signed{}, err
	}
	now := v.config.Now()
	if d := now.Sub(c.at); d > v.config.Skew || d < -v.config.Skew {
		return Signed{}, &Error{
			Code: RequestTimeTooSkewed, Message: "The difference between the request time and the server's time is too large.",
			RequestTime: c.at, ServerTime: now,
		}
	}
	payload := r.Header["X-Amz-Content-Sha256"]
	switch {
	case len(payload) > 1:
		return Signed{}, fail(InvalidRequest, "There are several x-amz-content-sha256 headers")
	case len(payload) == 1:
		c.payload = payload[0]
	case c.scope.service == serviceS3:
		return Signed{}, fail(InvalidRequest, "Missing required header for this request: x-amz-content-sha256")
	}
	return v.verify(ctx, r, &c, Header)
}

func (v *Verifier) verifyQuery(ctx context.Context, r *http.Request) (Signed, error) {
	if presignedV2(r.URL.RawQuery) {
		return Signed{}, fail(UnsupportedSignature, useV4+"boto3 and the AWS CLI presign with version 2 in us-east-1 unless told otherwise: Config(signature_version='s3v4'); aws configure set default.s3.signature_version s3v4.")
	}
	c, err := parseQuery(r.URL.RawQuery)
	if err != nil {
		return Signed{}, err
	}
	now := v.config.Now()
	if c.at.Sub(now) > v.config.Skew {
		return Signed{}, &Error{Code: AccessDenied, Message: "Request is not valid yet", RequestTime: c.at, ServerTime: now}
	}
	if end := c.at.Add(c.expires); now.After(end) {
		return Signed{}, &Error{Code: AccessDenied, Message: "Request has expired", RequestTime: end, ServerTime: now}
	}
	if h := r.Header["X-Amz-Content-Sha256"]; c.payload == "" && len(h) == 1 {
		c.payload = h[0]
	}
	if c.payload == "" && c.scope.service == serviceS3 {
		c.payload = unsignedPayload
	}
	if strings.HasPrefix(c.payload, "STREAMING-") {
		return Signed{}, fail(InvalidRequest, "A presigned request cannot have a streaming payload")
	}
	return v.verify(ctx, r, &c, Presigned)
}

func presignedV2(rawQuery string) bool {
	for part := range strings.SplitSeq(rawQuery, "&") {
		if strings.HasPrefix(part, "AWSAccessKeyId=") || strings.HasPrefix(part, "Signature=") {
			return true
		}
	}
	return false
}

const (
	serviceS3  = "s3"
	serviceSTS = "sts"
)

// checkScope holds the scope against the request's path and time and the
// configuration. What is signed for another service than S3 is good for "/" only:
// those sign a normalised path, and "/bucket/.." is a key here.
func (v *Verifier) checkScope(c *claim, path string, code Code) error {
	switch {
	case c.scope.service != serviceS3 && (c.scope.service != serviceSTS || path != "/"):
		return fail(code, "incorrect service "+strconv.Quote(c.scope.service)+"; this endpoint belongs to \"s3\".")
	case c.scope.date != c.time[:len(dateFormat)]:
		return fail(code, "Invalid credential date "+strconv.Quote(c.scope.date)+". This date is not the same as X-Amz-Date: "+strconv.Quote(c.time[:len(dateFormat)])+".")
	case v.config.Region != "" && c.scope.service == serviceS3 && c.scope.region != "" && c.scope.region != v.config.Region:
		return &Error{
			Code:    code,
			Message: "the region " + strconv.Quote(c.scope.region) + " is wrong; expecting " + strconv.Quote(v.config.Region),
			Region:  v.config.Region,
		}
	}
	return nil
}

// verify proves a claim and sets up the body.
func (v *Verifier) verify(ctx context.Context, r *http.Request, c *claim, t Type) (Signed, error) {
	code := AuthorizationHeaderMalformed
	if t == Presigned {
		code = AuthorizationQueryParameters
	}
	if err := v.checkScope(c, r.URL.Path, code); err != nil {
		return Signed{}, err
	}
	s := scratches.Get().(*scratch) //nolint:errcheck,forcetypeassert // the pool makes nothing else
	defer s.release()
	var ok bool
	if s.signed, ok = c.signedNames(s.signed[:0]); !ok {
		return Signed{}, fail(code, "the SignedHeaders are not lower-case names in ascending order that contain \"host\".")
	}
	if err := checkSigned(r.Header, s.signed, t); err != nil {
		return Signed{}, err
	}
	credential, err := v.credentials.Credential(ctx, c.id, c.token)
	if err != nil {
		return Signed{}, err
	}
	if credential.Principal.Kind == iam.Anonymous || credential.Secret == "" {
		return Signed{}, fmt.Errorf("credentials of %q have no principal or no secret", c.id)
	}
	signed := Signed{
		Credential: credential, Type: t, SignedAt: c.at,
		Region: c.scope.region, Service: c.scope.service, Headers: c.names,
	}
	form, err := v.readForm(r, c)
	if err != nil {
		return Signed{}, err
	}
	key, err := v.prove(r, c, s, credential.Secret, t)
	if err != nil {
		return Signed{}, err
	}
	if form != nil {
		signed.Body, signed.Length = &Body{src: bytes.NewReader(form), left: int64(len(form))}, int64(len(form))
		return signed, nil
	}
	if err := v.body(r, &signed, key, c); err != nil {
		return Signed{}, err
	}
	return signed, nil
}

// checkSigned refuses x-amz-* headers that are not signed: whoever holds a
// presigned URL, or sits on the path, could change the request's meaning.
func checkSigned(h http.Header, signed []string, t Type) error {
	for name, values := range h {
		if len(name) < 6 || !strings.EqualFold(name[:6], "X-Amz-") {
			continue
		}
		if slices.ContainsFunc(signed, func(s string) bool { return strings.EqualFold(s, name) }) {
			continue
		}
		if t == Presigned && name == "X-Amz-Content-Sha256" && len(values) == 1 && values[0] == unsignedPayload {
			continue // says what holds without it
		}
		return fail(AccessDenied, "There were headers present in the request which were not signed: "+strings.ToLower(name))
	}
	if len(h["X-Amz-Date"]) == 0 && t == Header && !slices.Contains(signed, "date") {
		return fail(AccessDenied, "The Date header that dates the request is not signed")
	}
	return nil
}

// readForm hashes the body of a request that does not say its payload's hash,
// which is how clients sign for services other than S3.
func (v *Verifier) readForm(r *http.Request, c *claim) ([]byte, error) {
	if c.payload != "" {
		return nil, nil
	}
	form := []byte{}
	if r.Body != nil {
		var err error
		form, err = io.ReadAll(io.LimitReader(r.Body, int64(v.config.MaxForm)+1))
		if err != nil {
			return nil, incomplete(err)
		}
		if len(form) > v.config.MaxForm {
			return nil, fail(InvalidRequest, "The body is longer than "+strconv.Itoa(v.config.MaxForm)+" bytes")
		}
	}
	sum := sha256.Sum256(form)
	c.payload = hex.EncodeToString(sum[:])
	return form, nil
}

// prove compares the signature with the one that the secret gives. Clients and
// proxies disagree whether a default port belongs into Host, so a mismatch is
// tried again with and without it: the resource stays the same.
func (v *Verifier) prove(r *http.Request, c *claim, s *scratch, secret iam.Secret, t Type) (*signingKey, error) {
	key, cached := v.keys.find(c.id, secret, c.scope)
	sub := &subject{
		method: r.Method, url: r.URL, host: r.Host, header: r.Header, length: r.ContentLength, transfer: r.TransferEncoding,
		signed: s.signed, names: c.names, payload: c.payload, time: c.time, scope: c.scope,
		generic: c.scope.service != serviceS3, presigned: t == Presigned,
	}
	if ok, err := s.matches(sub, key, &c.signature); err != nil {
		return nil, err
	} else if !ok && !s.matchesVariant(sub, key, &c.signature) {
		return nil, s.mismatch(sub)
	}
	if !cached {
		v.keys.add(c.id, c.scope, key)
	}
	return key, nil
}

func (s *scratch) matches(sub *subject, key *signingKey, want *[32]byte) (bool, error) {
	if err := s.canonical(sub); err != nil {
		return false, err
	}
	s.stringToSign(sub)
	n := len(s.buf)
	s.buf = key.sign(s.buf, s.buf)
	return subtle.ConstantTimeCompare(s.buf[n:], want[:]) == 1, nil
}

func (s *scratch) matchesVariant(sub *subject, key *signingKey, want *[32]byte) bool {
	host := strings.TrimSuffix(strings.TrimSuffix(sub.host, ":80"), ":443")
	if host == sub.host && strings.LastIndexByte(host, ':') > strings.LastIndexByte(host, ']') {
		return false // another port
	}
	for _, port := range []string{"", ":80", ":443"} {
		sub.hostVariant = host + port
		if ok, err := s.matches(sub, key, want); ok && err == nil {
			return true
		}
	}
	return false
}

func (s *scratch) mismatch(sub *subject) error {
	e := &Error{
		Code:    SignatureDoesNotMatch,
		Message: "The request signature we calculated does not match the signature you provided. Check your key and signing method.",
	}
	sub.hostVariant = ""
	if s.canonical(sub) == nil && !slices.Contains(sub.signed, "x-amz-security-token") && !sub.presigned {
		e.CanonicalRequest = string(s.buf)
		s.stringToSign(sub)
		e.StringToSign = string(s.buf)
	}
	return e
}
