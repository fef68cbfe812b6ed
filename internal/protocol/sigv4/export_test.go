package sigv4

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"time"

	"github.com/larder-cache/larder/internal/iam"
)

// Prove computes a signed request's canonical request for any service and
// reports whether the signature is right: AWS's vectors are signed for a service
// that Verify refuses.
func Prove(r *http.Request, secret iam.Secret, payload string, generic bool) (canonical string, ok bool, err error) {
	var c claim
	authorization, t := r.Header.Get("Authorization"), Header
	if authorization != "" {
		c, err = parseHeader(authorization, r.Header)
	} else {
		t = Presigned
		c, err = parseQuery(r.URL.RawQuery)
	}
	if err != nil {
		return "", false, err
	}
	s := &scratch{}
	if s.signed, ok = c.signedNames(nil); !ok {
		return "", false, fail(AccessDenied, "names")
	}
	sub := &subject{
		method: r.Method, url: r.URL, host: r.Host, header: r.Header, length: r.ContentLength, signed: s.signed,
		names: c.names, payload: payload, time: c.time, scope: c.scope, generic: generic, presigned: t == Presigned,
	}
	if err := s.canonical(sub); err != nil {
		return "", false, err
	}
	canonical = string(s.buf)
	ok, err = s.matches(sub, deriveKey(secret, c.scope), &c.signature)
	return canonical, ok, err
}

// CachedKeys returns how many signing keys are cached.
func (v *Verifier) CachedKeys() int { return len(v.keys.keys) }

// SignBody signs as clients of services other than S3 do: with the body's hash,
// which no header states.
func SignBody(req *http.Request, key Key, region, service string, body []byte, at time.Time) {
	stamp := at.UTC().Format(timeFormat)
	req.Header.Set("X-Amz-Date", stamp)
	sum := sha256.Sum256(body)
	sub := outgoing(req, stamp, region, service, hex.EncodeToString(sum[:]))
	sub.signed = clientHeaders(req.Header, "content-type")
	sub.names = strings.Join(sub.signed, ";")
	req.Header.Set("Authorization", algorithm+" Credential="+string(key.ID)+"/"+string(sub.scope.appendTo(nil))+
		", SignedHeaders="+sub.names+", Signature="+sub.signWith(key))
}
