package sigv4

import (
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/larder-cache/larder/internal/iam"
)

// Key is what a client signs with.
type Key struct {
	ID     iam.AccessKeyID
	Secret iam.Secret
	Token  string // of temporary credentials; "" otherwise
}

// UnsignedPayload is the payload hash of a request whose body is not signed.
const UnsignedPayload = unsignedPayload

// EmptyPayload is the payload hash of a request without a body.
const EmptyPayload = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// Sign signs an outgoing request with its Authorization header: host, Content-Type,
// Content-MD5 and every x-amz-* header are signed, so set them before. It sets
// X-Amz-Date, X-Amz-Security-Token and, for S3 and wherever a payload hash is
// given, X-Amz-Content-Sha256. payload is UnsignedPayload, EmptyPayload or the
// hexadecimal SHA-256 of the body.
func Sign(req *http.Request, key Key, region, service, payload string, at time.Time) {
	stamp := at.UTC().Format(timeFormat)
	req.Header.Del("Authorization")
	req.Header.Set("X-Amz-Date", stamp)
	req.Header.Set("X-Amz-Content-Sha256", payload)
	if key.Token != "" {
		req.Header.Set("X-Amz-Security-Token", key.Token)
	}
	sub := outgoing(req, stamp, region, service, payload)
	sub.signed = clientHeaders(req.Header, "content-md5", "content-type")
	sub.names = strings.Join(sub.signed, ";")
	signature := sub.signWith(key)
	req.Header.Set("Authorization", algorithm+" Credential="+string(key.ID)+"/"+string(sub.scope.appendTo(nil))+
		", SignedHeaders="+sub.names+", Signature="+signature)
}

// Presign signs an outgoing request with query parameters that it adds to
// req.URL, good for expires (whole seconds, at most 7 days). host and every
// x-amz-* header that is set are signed; whoever uses the URL must send them.
func Presign(req *http.Request, key Key, region, service string, at time.Time, expires time.Duration) {
	stamp := at.UTC().Format(timeFormat)
	sub := outgoing(req, stamp, region, service, unsignedPayload)
	sub.signed = clientHeaders(req.Header)
	sub.names = strings.Join(sub.signed, ";")
	sub.presigned = true
	parameters := url.Values{
		"X-Amz-Algorithm":     {algorithm},
		"X-Amz-Credential":    {string(key.ID) + "/" + string(sub.scope.appendTo(nil))},
		"X-Amz-Date":          {stamp},
		"X-Amz-Expires":       {strconv.FormatInt(int64(expires/time.Second), 10)},
		"X-Amz-SignedHeaders": {sub.names},
	}
	if key.Token != "" {
		parameters.Set("X-Amz-Security-Token", key.Token)
	}
	if req.URL.RawQuery != "" {
		req.URL.RawQuery += "&"
	}
	req.URL.RawQuery += parameters.Encode()
	req.URL.RawQuery += "&X-Amz-Signature=" + sub.signWith(key)
}

func outgoing(req *http.Request, stamp, region, service, payload string) *subject {
	host := req.Host
	if host == "" {
		host = req.URL.Host
	}
	return &subject{
		method: req.Method, url: req.URL, host: host, header: req.Header, length: req.ContentLength,
		payload: payload, time: stamp, scope: scope{stamp[:len(dateFormat)], region, service}, generic: service != serviceS3,
	}
}

// clientHeaders returns host, the x-amz-* headers and those of more that are set.
func clientHeaders(h http.Header, more ...string) []string {
	names := []string{"host"}
	for name := range h {
		name = strings.ToLower(name)
		if strings.HasPrefix(name, "x-amz-") || slices.Contains(more, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// signWith returns the signature in hexadecimal. A query that cannot be decoded
// gives a signature that no server accepts.
func (sub *subject) signWith(key Key) string {
	s := scratches.Get().(*scratch) //nolint:errcheck,forcetypeassert // the pool makes nothing else
	defer s.release()
	if s.canonical(sub) != nil {
		return strings.Repeat("0", 64)
	}
	s.stringToSign(sub)
	return hex.EncodeToString(deriveKey(key.Secret, sub.scope).sign(nil, s.buf))
}
