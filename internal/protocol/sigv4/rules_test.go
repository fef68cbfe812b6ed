package sigv4_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/protocol/sigv4"
)

var exampleKey = sigv4.Key{ID: exampleID, Secret: exampleSecret}

// signedGet returns a GET signed at exampleTime, changed by each function after it was signed.
func signedGet(changes ...func(*http.Request)) *http.Request {
	req := request("GET", "/b/k?x=1", "cache.example", "")
	sigv4.Sign(req, exampleKey, "us-east-1", "s3", sigv4.EmptyPayload, exampleTime)
	for _, change := range changes {
		change(req)
	}
	return req
}

func presignedGet(changes ...func(*http.Request)) *http.Request {
	req := request("GET", "/b/k?x=1", "cache.example", "")
	sigv4.Presign(req, exampleKey, "us-east-1", "s3", exampleTime, time.Hour)
	for _, change := range changes {
		change(req)
	}
	return req
}

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

// replace edits the Authorization header.
func replace(from, to string) func(*http.Request) {
	return func(r *http.Request) {
		r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), from, to, 1))
	}
}

// query edits the query string.
func query(from, to string) func(*http.Request) {
	return func(r *http.Request) { r.URL.RawQuery = strings.Replace(r.URL.RawQuery, from, to, 1) }
}

// signedSTS returns a POST to path that carries the signature of one to "/".
func signedSTS(path, name, value string) *http.Request {
	req := request("POST", "/", "cache.example", "")
	sigv4.Sign(req, exampleKey, "us-east-1", "sts", sigv4.EmptyPayload, exampleTime)
	req.URL.Path = path
	if name != "" {
		req.Header.Set(name, value)
	}
	return req
}

func TestRefusals(t *testing.T) {
	tests := []struct {
		name string
		req  *http.Request
		want sigv4.Code
	}{
		{"other path", signedGet(func(r *http.Request) { r.URL.Path = "/b/other" }), sigv4.SignatureDoesNotMatch},
		{"other method", signedGet(func(r *http.Request) { r.Method = "DELETE" }), sigv4.SignatureDoesNotMatch},
		{"other query", signedGet(query("x=1", "x=2")), sigv4.SignatureDoesNotMatch},
		{"added query", signedGet(query("x=1", "x=1&versionId=null")), sigv4.SignatureDoesNotMatch},
		{"other host", signedGet(func(r *http.Request) { r.Host = "other.example" }), sigv4.SignatureDoesNotMatch},
		{"other port", signedGet(func(r *http.Request) { r.Host = "cache.example:9000" }), sigv4.SignatureDoesNotMatch},
		{"other signature", signedGet(func(r *http.Request) {
			a := r.Header.Get("Authorization")
			r.Header.Set("Authorization", a[:len(a)-64]+strings.Repeat("0", 64))
		}), sigv4.SignatureDoesNotMatch},
		{"signature cut", signedGet(func(r *http.Request) {
			a := r.Header.Get("Authorization")
			r.Header.Set("Authorization", a[:len(a)-1])
		}), sigv4.AuthorizationHeaderMalformed},
		{"unsigned x-amz header", signedGet(header("X-Amz-Copy-Source", "/other/secret")), sigv4.AccessDenied},
		{"unsigned token", signedGet(header("X-Amz-Security-Token", "t")), sigv4.AccessDenied},
		{"host not signed", signedGet(replace("SignedHeaders=host;", "SignedHeaders=")), sigv4.AuthorizationHeaderMalformed},
		{"no signed headers", signedGet(replace("SignedHeaders=host;x-amz-content-sha256;x-amz-date", "SignedHeaders=")), sigv4.AuthorizationHeaderMalformed},
		{"name twice", signedGet(replace("host;", "host;host;")), sigv4.AuthorizationHeaderMalformed},
		{"signed header absent", signedGet(replace("host;", "host;range;")), sigv4.SignatureDoesNotMatch},
		{"later", signedGet(header("X-Amz-Date", "20130524T001501Z")), sigv4.RequestTimeTooSkewed},
		{"earlier", signedGet(header("X-Amz-Date", "20130523T234459Z")), sigv4.RequestTimeTooSkewed},
		{"no date", signedGet(func(r *http.Request) { r.Header.Del("X-Amz-Date") }), sigv4.AccessDenied},
		{"unsigned Date", signedGet(func(r *http.Request) { r.Header.Del("X-Amz-Date") }, header("Date", "Fri, 24 May 2013 00:00:00 GMT"), replace(";x-amz-date", "")), sigv4.AccessDenied},
		{"scope of another day", signedGet(replace("/20130524/", "/20130525/")), sigv4.AuthorizationHeaderMalformed},
		{"scope of another service", signedGet(replace("/s3/", "/ec2/")), sigv4.AuthorizationHeaderMalformed},
		{"scope too short", signedGet(replace("us-east-1/", "")), sigv4.AuthorizationHeaderMalformed},
		{"sts scope", signedGet(replace("/s3/", "/sts/")), sigv4.AuthorizationHeaderMalformed},
		{"sts scope, other payload", signedSTS("/", "X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD"), sigv4.SignatureDoesNotMatch},
		{"sts's normalised path", signedSTS("/bucket/..", "", ""), sigv4.AuthorizationHeaderMalformed},
		{"empty path, sts", signedSTS("", "", ""), sigv4.AuthorizationHeaderMalformed},
		{"no payload hash", signedGet(func(r *http.Request) { r.Header.Del("X-Amz-Content-Sha256") }), sigv4.InvalidRequest},
		{"two payload hashes", signedGet(func(r *http.Request) { r.Header.Add("X-Amz-Content-Sha256", "x") }), sigv4.InvalidRequest},
		{"two authorizations", signedGet(func(r *http.Request) { r.Header.Add("Authorization", "x") }), sigv4.SeveralSignatures},
		{"header and query", signedGet(query("x=1", "x=1&X-Amz-Signature=0")), sigv4.SeveralSignatures},
		{"version 2 header", request("GET", "/", "h", "", "Authorization: AWS AKID:c2ln"), sigv4.UnsupportedSignature},
		{"version 2 query", request("GET", "/?AWSAccessKeyId=a&Expires=1&Signature=s", "h", ""), sigv4.UnsupportedSignature},
		{"version 4A", request("GET", "/", "h", "", "Authorization: AWS4-ECDSA-P256-SHA256 Credential=a"), sigv4.UnsupportedSignature},
		{"bearer", request("GET", "/", "h", "", "Authorization: Bearer x"), sigv4.UnsupportedSignature},
		{"empty header", request("GET", "/", "h", "", "Authorization: "), sigv4.UnsupportedSignature},
		{"endless header", request("GET", "/", "h", "", "Authorization: AWS4-HMAC-SHA256 "+strings.Repeat("x", 9<<10)), sigv4.AuthorizationHeaderMalformed},

		{"presigned, expired", presignedGet(query("Expires=3600", "Expires=0"), query("000000Z", "235900Z")), sigv4.AccessDenied},
		{"presigned, future", presignedGet(query("T000000Z", "T001600Z")), sigv4.AccessDenied},
		{"presigned, longer than a week", presignedGet(query("Expires=3600", "Expires=604801")), sigv4.AuthorizationQueryParameters},
		{"presigned, negative", presignedGet(query("Expires=3600", "Expires=-1")), sigv4.AuthorizationQueryParameters},
		{"presigned, overflow", presignedGet(query("Expires=3600", "Expires=99999999999999999999")), sigv4.AuthorizationQueryParameters},
		{"presigned, expiry changed", presignedGet(query("Expires=3600", "Expires=7200")), sigv4.SignatureDoesNotMatch},
		{"presigned, unsigned header", presignedGet(header("X-Amz-Acl", "public-read")), sigv4.AccessDenied},
		{"presigned, unsigned metadata", presignedGet(header("X-Amz-Meta-A", "b")), sigv4.AccessDenied},
		{"presigned, unsigned payload hash", presignedGet(header("X-Amz-Content-Sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER")), sigv4.InvalidRequest},
		{"presigned, parameter twice", presignedGet(query("x=1", "x=1&X-Amz-Expires=9")), sigv4.AuthorizationQueryParameters},
		{"presigned, no signature", presignedGet(query("X-Amz-Signature", "X-Other")), sigv4.AuthorizationQueryParameters},
		{"credential alone", request("GET", "/?X-Amz-Credential="+exampleID, "h", ""), sigv4.AuthorizationQueryParameters},
		{"encoded name", request("GET", "/?X-Amz-Credentia%6C="+exampleID, "h", ""), sigv4.AuthorizationQueryParameters},
		{"lower-case name", request("GET", "/?x-amz-signature=0", "h", ""), sigv4.AuthorizationQueryParameters},
		{"token alone", request("GET", "/?X-Amz-Security-Token=t", "h", ""), sigv4.AuthorizationQueryParameters},

		{"anonymous with signed chunks", request("PUT", "/b/k", "h", "x", "X-Amz-Content-Sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "X-Amz-Decoded-Content-Length: 1"), sigv4.AccessDenied},
		{"no decoded length", request("PUT", "/b/k", "h", "x", "X-Amz-Content-Sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER"), sigv4.MissingContentLength},
		{"absurd decoded length", request("PUT", "/b/k", "h", "x", "X-Amz-Content-Sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER", "X-Amz-Decoded-Content-Length: 9223372036854775807"), sigv4.InvalidRequest},
		{"absurd payload hash", request("PUT", "/b/k", "h", "x", "X-Amz-Content-Sha256: nonsense"), sigv4.InvalidRequest},
	}
	v := newVerifier(t, exampleTime, sigv4.Config{})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			signed, err := v.Verify(t.Context(), tt.req)
			if err == nil {
				t.Fatalf("accepted: %+v", signed)
			}
			if got := code(t, err); got != tt.want {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if signed.Credential.Principal.Kind != iam.Anonymous || signed.Body != nil {
				t.Errorf("a refused request yields %+v", signed)
			}
		})
	}
}

func TestAcceptances(t *testing.T) {
	tests := []struct {
		name string
		req  *http.Request
		want sigv4.Type
	}{
		{"anonymous", request("GET", "/b/k?x=1", "h", ""), sigv4.Anonymous},
		{"default port left out by the client's HTTP library", signedGet(func(r *http.Request) { r.Host = "cache.example:80" }), sigv4.Header},
		{"default port of TLS", signedGet(func(r *http.Request) { r.Host = "cache.example:443" }), sigv4.Header},
		{"presigned, unsigned payload said twice", presignedGet(header("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")), sigv4.Presigned},
		{"unsigned headers that AWS does not own", signedGet(header("X-Forwarded-For", "1.2.3.4"), header("X-Amzn-Trace-Id", "t")), sigv4.Header},
		{"spaces around commas", signedGet(replace(", ", " ,  ")), sigv4.Header},
	}
	v := newVerifier(t, exampleTime, sigv4.Config{})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			signed, err := v.Verify(t.Context(), tt.req)
			if err != nil || signed.Type != tt.want {
				t.Errorf("got %v, %v", signed.Type, err)
			}
		})
	}
}

func TestSkewTellsTheServersTime(t *testing.T) {
	_, err := newVerifier(t, exampleTime.Add(16*time.Minute), sigv4.Config{}).Verify(t.Context(), signedGet())
	e, ok := errors.AsType[*sigv4.Error](err)
	if !ok || !e.ServerTime.Equal(exampleTime.Add(16*time.Minute)) || !e.RequestTime.Equal(exampleTime) {
		t.Errorf("got %#v", err)
	}
}

func TestRegion(t *testing.T) {
	v := newVerifier(t, exampleTime, sigv4.Config{Region: "eu-west-1"})
	for region, ok := range map[string]bool{"eu-west-1": true, "": true, "us-east-1": false, "auto": false} {
		req := request("GET", "/minio/admin/v3/info", "h", "")
		sigv4.Sign(req, exampleKey, region, "s3", sigv4.EmptyPayload, exampleTime)
		_, err := v.Verify(t.Context(), req)
		if (err == nil) != ok {
			t.Errorf("%q: %v", region, err)
		}
		if e, is := errors.AsType[*sigv4.Error](err); is && e.Region != "eu-west-1" {
			t.Errorf("%q: the error does not name the region to use: %v", region, err)
		}
	}
}

func TestCredentialFaultsPass(t *testing.T) {
	for _, id := range []iam.AccessKeyID{"UNKNOWN", "SESSION"} {
		req := request("GET", "/", "h", "")
		sigv4.Sign(req, sigv4.Key{ID: id, Secret: "x", Token: "wrong"}, "r", "s3", sigv4.EmptyPayload, exampleTime)
		if _, err := newVerifier(t, exampleTime, sigv4.Config{}).Verify(t.Context(), req); !errors.Is(err, fault.Unauthenticated) {
			t.Errorf("%s: got %v", id, err)
		}
	}
}

// TestTokenIsSigned: a token that is added to a request signed without it does
// not make the request one of the session.
func TestTokenIsSigned(t *testing.T) {
	req := request("GET", "/b/k", "h", "")
	sigv4.Presign(req, sigv4.Key{ID: "SESSION", Secret: "session-secret"}, "r", "s3", exampleTime, time.Hour)
	req.URL.RawQuery += "&X-Amz-Security-Token=" + url.QueryEscape(sessionToken)
	if _, err := newVerifier(t, exampleTime, sigv4.Config{}).Verify(t.Context(), req); code(t, err) != sigv4.SignatureDoesNotMatch {
		t.Errorf("got %v", err)
	}
}

func TestAccessKeyWithSlash(t *testing.T) {
	req := request("GET", "/", "h", "")
	sigv4.Sign(req, sigv4.Key{ID: "a/b", Secret: "slashed-secret"}, "r", "s3", sigv4.EmptyPayload, exampleTime)
	if _, err := newVerifier(t, exampleTime, sigv4.Config{}).Verify(t.Context(), req); err != nil {
		t.Error(err)
	}
}

// TestChangedSecret shows that a cached signing key dies with its secret.
func TestChangedSecret(t *testing.T) {
	ring := keyring{"id": "first secret"}
	v, err := sigv4.New(ring, sigv4.Config{Now: func() time.Time { return exampleTime }})
	if err != nil {
		t.Fatal(err)
	}
	verify := func(secret iam.Secret) error {
		req := request("GET", "/", "h", "")
		sigv4.Sign(req, sigv4.Key{ID: "id", Secret: secret}, "r", "s3", sigv4.EmptyPayload, exampleTime)
		_, err := v.Verify(t.Context(), req)
		return err
	}
	if err := verify("first secret"); err != nil {
		t.Fatal(err)
	}
	ring["id"] = "second secret"
	if err := verify("first secret"); err == nil {
		t.Error("the old secret still signs")
	}
	if err := verify("second secret"); err != nil {
		t.Error(err)
	}
}

// TestKeyCacheIsBounded signs with more scopes than are kept, at once.
func TestKeyCacheIsBounded(t *testing.T) {
	v := newVerifier(t, exampleTime, sigv4.Config{Keys: 8})
	for i := range 100 {
		req := request("GET", "/", "h", "")
		sigv4.Sign(req, exampleKey, strconv.Itoa(i), "s3", sigv4.EmptyPayload, exampleTime)
		if _, err := v.Verify(t.Context(), req); err != nil {
			t.Fatal(err)
		}
	}
	if n := v.CachedKeys(); n > 8 {
		t.Errorf("%d keys are cached", n)
	}
}

func TestPayloadHash(t *testing.T) {
	const body = "Welcome to Amazon S3."
	const sum = "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"
	tests := []struct {
		name, sent string
		length     int64
		want       string // code; "" for success
	}{
		{"right", body, int64(len(body)), ""},
		{"right, length unknown", body, -1, ""},
		{"other content", "Welcome to Amazon S4.", int64(len(body)), "XAmzContentSHA256Mismatch"},
		{"other content, length unknown", "Welcome to Amazon S4.", -1, "XAmzContentSHA256Mismatch"},
		{"shorter", "Welcome", int64(len(body)), "IncompleteBody"},
		{"empty", "", 0, "XAmzContentSHA256Mismatch"},
	}
	v := newVerifier(t, exampleTime, sigv4.Config{})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			req := request("PUT", "/b/k", "h", tt.sent)
			req.ContentLength = tt.length
			sigv4.Sign(req, exampleKey, "r", "s3", sum, exampleTime)
			signed, err := v.Verify(t.Context(), req)
			n := 0
			if err == nil {
				// A reader that counts must not get the last byte of a wrong body.
				n, err = io.ReadFull(signed.Body, make([]byte, len(body)))
				if err == nil && tt.length < 0 {
					n, err = signed.Body.Read(make([]byte, 1))
				}
			}
			if tt.want == "" {
				if err != nil && !errors.Is(err, io.EOF) {
					t.Error(err)
				}
				return
			}
			if code(t, err).String() != tt.want || n == len(body) {
				t.Errorf("got %d bytes, %v; want %s", n, err, tt.want)
			}
		})
	}
}

func TestFormOfOtherService(t *testing.T) {
	const form = "Action=AssumeRole&Version=2011-06-15"
	sign := func(body string) *http.Request {
		req := request("POST", "/", "h", body, "Content-Type: application/x-www-form-urlencoded")
		sigv4.SignBody(req, exampleKey, "us-east-1", "sts", []byte(form), exampleTime)
		return req
	}
	v := newVerifier(t, exampleTime, sigv4.Config{MaxForm: 64})
	signed, err := v.Verify(t.Context(), sign(form))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(signed.Body); err != nil || string(got) != form || signed.Service != "sts" {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := v.Verify(t.Context(), sign(form+"&DurationSeconds=9")); code(t, err) != sigv4.SignatureDoesNotMatch {
		t.Errorf("other body: %v", err)
	}
	if _, err := v.Verify(t.Context(), sign(strings.Repeat("x", 65))); code(t, err) != sigv4.InvalidRequest {
		t.Errorf("long body: %v", err)
	}
}

func TestPolicyForm(t *testing.T) {
	// The example of "POST Policy": sigv4-post-example.html.
	const policy = "eyAiZXhwaXJhdGlvbiI6ICIyMDE1LTEyLTMwVDEyOjAwOjAwLjAwMFoiLA0KICAiY29uZGl0aW9ucyI6IFsNCiAgICB7ImJ1Y2tldCI6ICJzaWd2NGV4YW1wbGVidWNrZXQifSwNCiAgICBbInN0YXJ0cy13aXRoIiwgIiRrZXkiLCAidXNlci91c2VyMS8iXSwNCiAgICB7ImFjbCI6ICJwdWJsaWMtcmVhZCJ9LA0KICAgIHsic3VjY2Vzc19hY3Rpb25fcmVkaXJlY3QiOiAiaHR0cDovL3NpZ3Y0ZXhhbXBsZWJ1Y2tldC5zMy5hbWF6b25hd3MuY29tL3N1Y2Nlc3NmdWxfdXBsb2FkLmh0bWwifSwNCiAgICBbInN0YXJ0cy13aXRoIiwgIiRDb250ZW50LVR5cGUiLCAiaW1hZ2UvIl0sDQogICAgeyJ4LWFtei1tZXRhLXV1aWQiOiAiMTQzNjUxMjM2NTEyNzQifSwNCiAgICB7IngtYW16LXNlcnZlci1zaWRlLWVuY3J5cHRpb24iOiAiQUVTMjU2In0sDQogICAgWyJzdGFydHMtd2l0aCIsICIkeC1hbXotbWV0YS10YWciLCAiIl0sDQoNCiAgICB7IngtYW16LWNyZWRlbnRpYWwiOiAiQUtJQUlPU0ZPRE5ON0VYQU1QTEUvMjAxNTEyMjkvdXMtZWFzdC0xL3MzL2F3czRfcmVxdWVzdCJ9LA0KICAgIHsieC1hbXotYWxnb3JpdGhtIjogIkFXUzQtSE1BQy1TSEEyNTYifSwNCiAgICB7IngtYW16LWRhdGUiOiAiMjAxNTEyMjlUMDAwMDAwWiIgfQ0KICBdDQp9"
	form := sigv4.PolicyForm{
		Policy: policy, Algorithm: "AWS4-HMAC-SHA256", Credential: exampleID + "/20151229/us-east-1/s3/aws4_request",
		Date: "20151229T000000Z", Signature: "8afdbf4008c03f22c2cd3cdb72e4afbb1f6a588f3255ac628749a66d7f09699e",
	}
	v := newVerifier(t, time.Date(2015, 12, 29, 1, 0, 0, 0, time.UTC), sigv4.Config{})
	signed, err := v.VerifyForm(t.Context(), form)
	if err != nil || signed.Type != sigv4.Form || signed.Credential.Principal.AccessKey != exampleID {
		t.Fatalf("got %+v, %v", signed, err)
	}
	for name, change := range map[string]func(*sigv4.PolicyForm){
		"policy":      func(f *sigv4.PolicyForm) { f.Policy += "IA==" },
		"signature":   func(f *sigv4.PolicyForm) { f.Signature = strings.Repeat("0", 64) },
		"no policy":   func(f *sigv4.PolicyForm) { f.Policy = "" },
		"algorithm":   func(f *sigv4.PolicyForm) { f.Algorithm = "" },
		"version 2":   func(f *sigv4.PolicyForm) { f.Signature = "c2ln" },
		"key":         func(f *sigv4.PolicyForm) { f.Credential = "x" + f.Credential },
		"no date":     func(f *sigv4.PolicyForm) { f.Date = "" },
		"date":        func(f *sigv4.PolicyForm) { f.Date = "20151228T000000Z" },
		"token":       func(f *sigv4.PolicyForm) { f.Token = "t" },
		"long before": func(f *sigv4.PolicyForm) { f.Date = "20151201T000000Z" },
	} {
		changed := form
		change(&changed)
		if signed, err := v.VerifyForm(t.Context(), changed); err == nil || signed.Credential.Secret != "" {
			t.Errorf("changed %s: accepted", name)
		}
	}
}

// TestNoPrincipal: a store that answers nothing and no error opens nothing.
func TestNoPrincipal(t *testing.T) {
	v, err := sigv4.New(empty{}, sigv4.Config{Now: func() time.Time { return exampleTime }})
	if err != nil {
		t.Fatal(err)
	}
	req := request("GET", "/", "h", "")
	sigv4.Sign(req, sigv4.Key{ID: "id"}, "r", "s3", sigv4.EmptyPayload, exampleTime)
	if _, err := v.Verify(t.Context(), req); err == nil {
		t.Error("an empty secret signs")
	}
}

type empty struct{}

func (empty) Credential(context.Context, iam.AccessKeyID, string) (iam.Credential, error) {
	return iam.Credential{}, nil
}
