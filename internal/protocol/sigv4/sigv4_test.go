package sigv4_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/protocol/sigv4"
)

const (
	exampleID     = "AKIAIOSFODNN7EXAMPLE"
	exampleSecret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
	vectorID      = "AKIDEXAMPLE"
	vectorSecret  = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
	sessionToken  = "c2Vzc2lvbg/+="
)

// keyring knows the keys of AWS's documents, and one that needs a session token.
type keyring map[iam.AccessKeyID]iam.Secret

func (k keyring) Credential(_ context.Context, id iam.AccessKeyID, token string) (iam.Credential, error) {
	secret, ok := k[id]
	if !ok {
		return iam.Credential{}, fault.New(fault.Unauthenticated, fault.AccessKey, string(id))
	}
	if want := map[bool]string{true: sessionToken}[id == "SESSION"]; token != want {
		return iam.Credential{}, fault.New(fault.Unauthenticated, fault.Session, string(id))
	}
	return iam.Credential{Principal: iam.Principal{Kind: iam.User, User: "u", AccessKey: id}, Secret: secret}, nil
}

var keys = keyring{exampleID: exampleSecret, vectorID: vectorSecret, "SESSION": "session-secret", "a/b": "slashed-secret"}

// exampleTime is when the examples of S3's documents were signed.
var exampleTime = time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC)

func newVerifier(tb testing.TB, at time.Time, c sigv4.Config) *sigv4.Verifier {
	tb.Helper()
	c.Now = func() time.Time { return at }
	v, err := sigv4.New(keys, c)
	if err != nil {
		tb.Fatal(err)
	}
	return v
}

// request makes a request as net/http's server would; headers are "Name: value".
func request(method, target, host, body string, headers ...string) *http.Request {
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	req := httptest.NewRequest(method, "http://x/", r)
	req.URL.RawQuery = ""
	path, query, _ := strings.Cut(target, "?")
	req.URL.Path, req.URL.RawQuery = path, query
	req.Host = host
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ":")
		req.Header.Add(name, strings.TrimSpace(value))
	}
	return req
}

func authorization(scope, names, signature string) string {
	return "Authorization: AWS4-HMAC-SHA256 Credential=" + exampleID + "/20130524/" + scope + "/aws4_request,SignedHeaders=" + names + ",Signature=" + signature
}

// TestDocumentedExamples verifies every example of S3's documents.
func TestDocumentedExamples(t *testing.T) {
	const host = "examplebucket.s3.amazonaws.com"
	empty := "x-amz-content-sha256: " + sigv4.EmptyPayload
	date := "x-amz-date: 20130524T000000Z"
	tests := []struct {
		name string
		req  *http.Request
		want sigv4.Type
	}{
		{"get object", request("GET", "/test.txt", host, "", "Range: bytes=0-9", empty, date,
			authorization("us-east-1/s3", "host;range;x-amz-content-sha256;x-amz-date", "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41")), sigv4.Header},
		{"put object", request("PUT", "/test$file.text", host, "Welcome to Amazon S3.", "Date: Fri, 24 May 2013 00:00:00 GMT", date, "x-amz-storage-class: REDUCED_REDUNDANCY",
			"x-amz-content-sha256: 44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
			authorization("us-east-1/s3", "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class", "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd")), sigv4.Header},
		{"get bucket lifecycle", request("GET", "/?lifecycle", host, "", empty, date,
			authorization("us-east-1/s3", "host;x-amz-content-sha256;x-amz-date", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543")), sigv4.Header},
		{"list objects", request("GET", "/?max-keys=2&prefix=J", host, "", empty, date,
			authorization("us-east-1/s3", "host;x-amz-content-sha256;x-amz-date", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7")), sigv4.Header},
		{"presigned", request("GET", "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404", host, ""), sigv4.Presigned},
	}
	v := newVerifier(t, exampleTime, sigv4.Config{})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			signed, err := v.Verify(t.Context(), tt.req)
			if err != nil {
				t.Fatal(err)
			}
			if signed.Type != tt.want || signed.Credential.Principal.AccessKey != exampleID || signed.Region != "us-east-1" || signed.Service != "s3" {
				t.Errorf("got %+v", signed)
			}
			if _, err := io.ReadAll(signed.Body); err != nil {
				t.Errorf("body: %v", err)
			}
		})
	}
}

// chunked returns the documented streaming upload: 65 KiB of "a" in two chunks.
func chunked(seed string, signatures [3]string, trailer string, extra ...string) *http.Request {
	body := "10000;chunk-signature=" + signatures[0] + "\r\n" + strings.Repeat("a", 64<<10) + "\r\n" +
		"400;chunk-signature=" + signatures[1] + "\r\n" + strings.Repeat("a", 1<<10) + "\r\n" +
		"0;chunk-signature=" + signatures[2] + "\r\n" + trailer + "\r\n"
	names := "content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class"
	if len(extra) > 1 {
		names = "content-encoding;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class;x-amz-trailer"
	}
	return request("PUT", "/examplebucket/chunkObject.txt", "s3.amazonaws.com", body, append(extra,
		"Content-Encoding: aws-chunked", "x-amz-date: 20130524T000000Z", "x-amz-decoded-content-length: 66560",
		"x-amz-storage-class: REDUCED_REDUNDANCY", authorization("us-east-1/s3", names, seed))...)
}

func documentedChunks() *http.Request {
	return chunked("4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9", [3]string{
		"ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
		"0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
		"b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
	}, "", "x-amz-content-sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD")
}

func documentedTrailer() *http.Request {
	return chunked("106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e", [3]string{
		"b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
		"1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
		"2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992",
	}, "x-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n",
		"x-amz-content-sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", "x-amz-trailer: x-amz-checksum-crc32c")
}

func TestDocumentedStreaming(t *testing.T) {
	for name, req := range map[string]*http.Request{"chunks": documentedChunks(), "trailer": documentedTrailer()} {
		t.Run(name, func(t *testing.T) {
			signed, err := newVerifier(t, exampleTime, sigv4.Config{}).Verify(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			if !signed.Streaming || signed.Length != 66560 {
				t.Errorf("streaming %v, length %d", signed.Streaming, signed.Length)
			}
			got, err := io.ReadAll(signed.Body)
			if err != nil || string(got) != strings.Repeat("a", 66560) {
				t.Fatalf("got %d bytes, %v", len(got), err)
			}
			if sum := signed.Body.Trailer("x-amz-checksum-crc32c"); name == "trailer" && sum != "sOO8/Q==" {
				t.Errorf("trailer %q", sum)
			}
		})
	}
}

// code returns the code of a *sigv4.Error.
func code(tb testing.TB, err error) sigv4.Code {
	tb.Helper()
	e, ok := errors.AsType[*sigv4.Error](err)
	if !ok {
		tb.Fatalf("got %v, want a *sigv4.Error", err)
	}
	return e.Code
}

func TestSignVerifies(t *testing.T) {
	key := sigv4.Key{ID: "SESSION", Secret: "session-secret", Token: sessionToken}
	for _, target := range []string{
		"/", "/b/k", "/b//double//", "/b/./../dots", "/b/sp ace+plus%percent", "/b/ünï", "/b/k?list-type=2&prefix=a%20b&x=&empty",
		"/b/k?b=2&a=1&a=0&a-b=c", "/b/k?q=a+b", "/b/~tilde-_.", "/b/k?x=%E1%88%B4",
	} {
		for _, region := range []string{"us-east-1", "auto", ""} {
			req := request("GET", target, "cache.example:9000", "", "X-Amz-Meta-A:  a   b ", "Content-Type: text/plain")
			sigv4.Sign(req, key, region, "s3", sigv4.EmptyPayload, exampleTime)
			signed, err := newVerifier(t, exampleTime, sigv4.Config{}).Verify(t.Context(), req)
			if err != nil || signed.Credential.Principal.AccessKey != "SESSION" {
				t.Errorf("%s in %q: %v", target, region, err)
			}
			req = request("GET", target, "cache.example:9000", "")
			sigv4.Presign(req, key, region, "s3", exampleTime, time.Hour)
			if _, err = newVerifier(t, exampleTime.Add(time.Hour), sigv4.Config{}).Verify(t.Context(), req); err != nil {
				t.Errorf("presigned %s in %q: %v", target, region, err)
			}
		}
	}
}
