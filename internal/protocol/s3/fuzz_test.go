package s3_test

import (
	"encoding/base64"
	"encoding/xml"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/object"
	"github.com/larder-cache/larder/internal/protocol/s3"
)

func FuzzRange(f *testing.F) {
	for _, seed := range []string{"bytes=0-1", "bytes=-5", "bytes=5-", "bytes=-0", "bytes=9999999999999999999-", "bytes=1-0", "bytes=a-b", "items=0-1", "bytes=0-1,2-3", "bytes=+1-2"} {
		f.Add(seed, int64(10))
	}
	f.Fuzz(func(t *testing.T, header string, size int64) {
		r := s3.ParseRange(header)
		if size = max(size, 0); r == nil {
			return
		}
		offset, length, err := r.Resolve(size)
		if err == nil && (offset < 0 || length <= 0 || offset+length > size) {
			t.Errorf("%q of %d bytes is %d+%d", header, size, offset, length)
		}
	})
}

func FuzzCopySource(f *testing.F) {
	for _, seed := range []string{"/bucket/key", "bucket/a%2Fb", "/bucket/k?versionId=null", "/bucket/k%3FversionId=x", "//k", "/b/k", "%2Fbucket%2Fkey", "/bucket/%"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		bucket, key, err := s3.ParseCopySource(text)
		if err != nil {
			return
		}
		if _, err := object.ParseBucketName(string(bucket)); err != nil {
			t.Errorf("%q names the bucket %q", text, bucket)
		}
		if _, err := object.ParseKey(string(key)); err != nil {
			t.Errorf("%q names the key %q", text, key)
		}
		decoded, err := url.PathUnescape(strings.SplitN(text, "?", 2)[0])
		if err != nil || strings.TrimPrefix(decoded, "/") != string(bucket)+"/"+string(key) {
			t.Errorf("%q reads %q of %q", text, key, bucket)
		}
	})
}

func FuzzXML(f *testing.F) {
	for _, seed := range []string{
		"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>\"a\"</ETag></Part></CompleteMultipartUpload>",
		"<CompleteMultipartUpload/>", "<a><b></a></b>", "<!DOCTYPE a><CompleteMultipartUpload/>", "\xff", "<CompleteMultipartUpload>&a;</CompleteMultipartUpload>",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(_ *testing.T, doc []byte) { _ = s3.DecodeXML(doc) })
}

func FuzzFormPolicy(f *testing.F) {
	for _, seed := range []string{`{"expiration":"2026-11-23T13:00:00Z","conditions":[{"bucket":"b"},["eq","$key","k"],["content-length-range",1,2]]}`, "{", "null", `{"conditions":[[1,2,3],{"a":1}]}`} {
		f.Add(seed)
	}
	f.Fuzz(func(_ *testing.T, doc string) {
		_ = s3.ParseFormPolicy(base64.StdEncoding.EncodeToString([]byte(doc)))
		_ = s3.ParseFormPolicy(doc)
	})
}

func FuzzForm(f *testing.F) {
	body, _ := form([][2]string{{"key", "a"}, {"x-amz-meta-b", "c"}}, "text")
	f.Add(body)
	f.Add("--xx--")
	f.Add("--xx\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\n")
	f.Fuzz(func(t *testing.T, body string) {
		s := newServer(t, s3.Config{})
		s.bucket("plain", object.BucketConfig{})
		s.allow = func(iam.Principal, iam.Check) bool { return true }
		response := s.do(request("POST", "/plain", body, "Content-Type", "multipart/form-data; boundary=xx"))
		if response.Code >= 500 && response.Code != http.StatusNotImplemented {
			t.Errorf("status %d", response.Code)
		}
	})
}

// FuzzQuery sends any query with any method to a bucket and an object.
func FuzzQuery(f *testing.F) {
	for _, seed := range []string{"", "list-type=2&prefix=a", "uploadId=x&partNumber=1", "policy&tagging", "partNumber=-1", "versionId=null", "max-keys=%30", "continuation-token=YQ", "delete", "uploads&x-id=1"} {
		f.Add("GET", seed)
		f.Add("PUT", seed)
		f.Add("POST", seed)
	}
	s := newServer(f, s3.Config{})
	s.bucket("plain", object.BucketConfig{})
	s.allow = func(iam.Principal, iam.Check) bool { return true }
	f.Fuzz(func(t *testing.T, method, query string) {
		for _, path := range []string{"/", "/plain", "/plain/key"} {
			r := request(http.MethodGet, path, "")
			r.Method, r.URL.RawQuery = method, query
			response := s.do(r)
			body := response.Body
			if response.Code >= 500 && response.Code != http.StatusNotImplemented {
				t.Errorf("%s %s?%s: %d %s", method, path, query, response.Code, body)
			}
			if response.Header.Get("Content-Type") == "application/xml" && method != http.MethodHead {
				if err := xml.Unmarshal([]byte(body), new(struct{})); err != nil {
					t.Errorf("%s %s?%s: %v: %s", method, path, query, err, body)
				}
			}
		}
	})
}

// FuzzEscape reads back with encoding/xml what was written by hand.
func FuzzEscape(f *testing.F) {
	for _, seed := range nasty {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if !utf8.ValidString(text) {
			return
		}
		escaped, whole := s3.Escape(text)
		var got string
		if err := xml.Unmarshal([]byte("<a>"+escaped+"</a>"), &got); err != nil {
			t.Fatalf("%q: %v", escaped, err)
		}
		if whole && got != text {
			t.Errorf("%q became %q", text, got)
		}
		if back, err := url.QueryUnescape(s3.Encode(text)); err != nil || back != text {
			t.Errorf("%q became %q, %v", text, back, err)
		}
	})
}
