package s3_test

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/object"
	"github.com/larder-cache/larder/internal/protocol/s3"
	"github.com/larder-cache/larder/internal/protocol/sigv4"
)

// untouched fails if a request is read or a store asked that must not be.
type untouched struct{ read bool }

func (u *untouched) Read([]byte) (int, error) { u.read = true; return 0, io.EOF }
func (u *untouched) Close() error             { return nil }

// forgeries are the ways to sign, each with a signature that is none.
var forgeries = map[string]func(r *http.Request, body string){
	"anonymous": func(*http.Request, string) {},
	"header": func(r *http.Request, body string) {
		sign(r, body)
		forgeHeader(r)
	},
	"header of an unknown key": func(r *http.Request, _ string) {
		sigv4.Sign(r, sigv4.Key{ID: "AKIDNOBODY", Secret: "x"}, "us-east-1", "s3", sigv4.UnsignedPayload, epoch)
	},
	"presigned": func(r *http.Request, _ string) {
		sigv4.Presign(r, sigv4.Key{ID: rootKey.ID, Secret: "guessed"}, "us-east-1", "s3", epoch, time.Hour)
	},
	"streaming signed":                streaming("STREAMING-AWS4-HMAC-SHA256-PAYLOAD"),
	"streaming signed with trailer":   streaming("STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"),
	"streaming unsigned with trailer": streaming("STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
	"half a presigned URL":            func(r *http.Request, _ string) { addQuery(r, "X-Amz-Credential="+string(rootKey.ID)) },
	"signature version 2":             func(r *http.Request, _ string) { r.Header.Set("Authorization", "AWS AKIDROOT:AAAA") },
	"presigned with version 2": func(r *http.Request, _ string) {
		addQuery(r, "AWSAccessKeyId=AKIDROOT&Signature=AAAA&Expires=9999999999")
	},
	"a header that only the server sets": func(r *http.Request, _ string) { r.Header.Set("X-Amz-Principal", "root") },
}

func forgeHeader(r *http.Request) {
	authorization := r.Header.Get("Authorization")
	r.Header.Set("Authorization", authorization[:len(authorization)-64]+strings.Repeat("0", 64))
}

func streaming(payload string) func(r *http.Request, body string) {
	return func(r *http.Request, body string) {
		r.Header.Set("X-Amz-Decoded-Content-Length", fmt.Sprint(len(body)))
		if strings.HasSuffix(payload, "TRAILER") {
			r.Header.Set("X-Amz-Trailer", "x-amz-checksum-crc32")
		}
		sigv4.Sign(r, rootKey, "us-east-1", "s3", payload, epoch)
		forgeHeader(r)
	}
}

func addQuery(r *http.Request, more string) {
	if r.URL.RawQuery != "" {
		more = r.URL.RawQuery + "&" + more
	}
	r.URL.RawQuery = more
}

// TestForgedSignatures sends every route with every form of a forged signature,
// and expects that nothing of it is believed, read or done.
func TestForgedSignatures(t *testing.T) {
	routes := s3.Routes()
	if len(routes) < 49 {
		t.Fatalf("only %d routes", len(routes))
	}
	slices.SortFunc(routes, func(a, b s3.Route) int {
		return cmp.Compare(a.Level+a.Method+a.Subresource, b.Level+b.Method+b.Subresource)
	})
	for _, route := range routes {
		for form, forge := range forgeries {
			t.Run(route.Level+" "+route.Method+" "+route.Subresource+" "+form, func(t *testing.T) {
				s := newServer(t, s3.Config{})
				s.bucket("plain", object.BucketConfig{})
				body := &untouched{}
				r := request(route.Method, target(route), "")
				if route.Level == "bucket" && route.Method == http.MethodPost && route.Subresource == "" {
					return // a form, whose signature is in its body: TestForm
				}
				if route.Subresource == "attributes" {
					r.Header.Set("X-Amz-Object-Attributes", "ETag")
				}
				forge(r, "")
				r.Body, r.ContentLength = body, 5
				response := s.do(r)
				text := response.Body
				wants := []int{http.StatusForbidden}
				if strings.Contains(form, "version 2") || strings.HasPrefix(form, "half") {
					wants = []int{http.StatusBadRequest, http.StatusForbidden}
				}
				if !slices.Contains(wants, response.Code) {
					t.Errorf("answer %d %s", response.Code, text)
				}
				if body.read {
					t.Error("the body was read")
				}
				assertUnchanged(t, s)
			})
		}
	}
}

func target(route s3.Route) string {
	target := map[string]string{"service": "/", "bucket": "/plain", "key": "/plain/key"}[route.Level]
	switch route.Subresource {
	case "":
	case "uploadId":
		target += "?uploadId=x&partNumber=1"
	default:
		target += "?" + route.Subresource
	}
	return target
}

// assertUnchanged checks that the store holds the empty bucket "plain" alone.
func assertUnchanged(t *testing.T, s *server) {
	t.Helper()
	buckets, err := s.store.ListBuckets(t.Context())
	if err != nil || len(buckets) != 1 || buckets[0].Config.Policy != nil || buckets[0].Config.Tags != nil {
		t.Errorf("buckets are %+v, %v", buckets, err)
	}
	page, err := s.store.List(t.Context(), object.ListRequest{Bucket: "plain", Max: 10})
	if err != nil || len(page.Entries) != 0 {
		t.Errorf("entries are %+v, %v", page.Entries, err)
	}
	uploads, err := s.store.ListUploads(t.Context(), object.UploadListRequest{Bucket: "plain", Max: 10})
	if err != nil || len(uploads.Entries) != 0 {
		t.Errorf("uploads are %+v, %v", uploads.Entries, err)
	}
}

// TestEveryRouteIsAuthorised calls every route with good credentials and no
// rights: nothing may happen, and nothing about what exists may show.
func TestEveryRouteIsAuthorised(t *testing.T) {
	for _, route := range s3.Routes() {
		if route.Level == "bucket" && route.Method == http.MethodPost && route.Subresource == "" {
			continue // TestForm
		}
		t.Run(route.Level+" "+route.Method+" "+route.Subresource, func(t *testing.T) {
			s := newServer(t, s3.Config{})
			s.bucket("plain", object.BucketConfig{})
			s.allow = func(iam.Principal, iam.Check) bool { return false }
			body, headers := "", []string{"If-None-Match", "*"}
			switch route.Subresource {
			case "delete":
				body = "<Delete><Object><Key>key</Key></Object></Delete>"
			case "attributes":
				headers = append(headers, "X-Amz-Object-Attributes", "ETag")
			}
			there := answerTo(s, route.Method, target(route), body, headers...)
			gone := strings.ReplaceAll(answerTo(s, route.Method, strings.ReplaceAll(target(route), "plain", "nosuch"), body, headers...), "nosuch", "plain")
			if there != gone {
				t.Errorf("the answer shows whether the bucket exists:\n%s\n%s", there, gone)
			}
			if !strings.Contains(there, "403") && !strings.Contains(there, "<Code>AccessDenied</Code>") {
				t.Errorf("answer %s", there)
			}
			assertUnchanged(t, s)
		})
	}
}

// answerTo is status and body of a signed request, without its id.
func answerTo(s *server, method, target, body string, headers ...string) string {
	response, text := s.call(method, target, body, headers...)
	return fmt.Sprint(response.Code, " ", requestID.ReplaceAllString(text, ""))
}

// TestChecks pins which rights an operation needs: what is authorised is what is
// touched, however the request spells it.
func TestChecks(t *testing.T) {
	tests := []struct {
		method, target string
		headers        []string
		want           string
	}{
		{method: "GET", target: "/plain/a/../b", want: "s3:GetObject plain/a/../b"},
		{method: "GET", target: "/plain/%2e%2e/x", want: "s3:GetObject plain/../x"},
		{method: "GET", target: "/plain//x", want: "s3:GetObject plain//x"},
		{method: "GET", target: "/plain/a%2Fb", want: "s3:GetObject plain/a/b"},
		{method: "GET", target: "/plain/a%5C..%5Cb", want: `s3:GetObject plain/a\..\b`},
		{method: "GET", target: "/plain%2Fa", want: "s3:GetObject plain/a"},
		{method: "GET", target: "/plain/a%3FversionId=null", want: "s3:GetObject plain/a?versionId=null"},
		{method: "GET", target: "/plain/a?versionId=null", want: "s3:GetObjectVersion plain/a"},
		{method: "HEAD", target: "/plain/a", want: "s3:GetObject plain/a"},
		{method: "DELETE", target: "/plain/a", want: "s3:DeleteObject plain/a"},
		{method: "DELETE", target: "/plain/a?versionId=null", want: "s3:DeleteObjectVersion plain/a"},
		{method: "PUT", target: "/plain/a", want: "s3:PutObject plain/a"},
		{method: "PUT", target: "/plain/a", headers: []string{"X-Amz-Tagging", "a=b"}, want: "s3:PutObject plain/a, s3:PutObjectTagging plain/a"},
		{method: "PUT", target: "/plain/a", headers: []string{"X-Amz-Copy-Source", "/other/b"}, want: "s3:PutObject plain/a, s3:GetObject other/b"},
		{method: "PUT", target: "/plain/a", headers: []string{"X-Amz-Copy-Source", "/other/b?versionId=null"}, want: "s3:PutObject plain/a, s3:GetObjectVersion other/b"},
		{method: "PUT", target: "/plain/a", headers: []string{"X-Amz-Copy-Source", "/other/b%3FversionId=null"}, want: "s3:PutObject plain/a, s3:GetObject other/b?versionId=null"},
		{method: "PUT", target: "/plain/a", headers: []string{"X-Amz-Copy-Source", "/other/../plain/b"}, want: "s3:PutObject plain/a, s3:GetObject other/../plain/b"},
		{method: "PUT", target: "/plain/a?uploadId=x&partNumber=1", headers: []string{"X-Amz-Copy-Source", "/other/b"}, want: "s3:PutObject plain/a, s3:GetObject other/b"},
		{method: "GET", target: "/plain/a?attributes", headers: []string{"X-Amz-Object-Attributes", "ETag"}, want: "s3:GetObjectAttributes plain/a, s3:GetObject plain/a"},
		{method: "PUT", target: "/plain?policy", want: "s3:PutBucketPolicy plain"},
		{method: "GET", target: "/plain?versions", want: "s3:ListBucketVersions plain"},
		{method: "GET", target: "/a/b", headers: []string{"Host", "plain.localhost"}, want: "s3:GetObject plain/a/b"},
		{method: "GET", target: "/", headers: []string{"Host", "plain.localhost"}, want: "s3:ListBucket plain"},
	}
	for _, tt := range tests {
		t.Run(tt.method+" "+tt.target, func(t *testing.T) {
			s := newServer(t, s3.Config{})
			s.bucket("plain", object.BucketConfig{})
			for denied := range strings.SplitSeq(tt.want, ", ") {
				s.allow = func(_ iam.Principal, c iam.Check) bool { return describeCheck(c) != denied }
				response, _ := s.call(tt.method, tt.target, "", tt.headers...)
				if response.Code != http.StatusForbidden {
					t.Errorf("without %s: status %d", denied, response.Code)
				}
			}
			s.asked = nil
			s.allow = func(iam.Principal, iam.Check) bool { return true }
			s.call(tt.method, tt.target, "", tt.headers...)
			var got []string
			for _, c := range s.asked {
				got = append(got, describeCheck(c))
			}
			if strings.Join(got, ", ") != tt.want {
				t.Errorf("asked for %q, want %q", got, tt.want)
			}
		})
	}
}

func describeCheck(c iam.Check) string {
	return string(c.Action) + " " + strings.TrimPrefix(c.Resource.ARN(), "arn:aws:s3:::")
}

func TestBadKeys(t *testing.T) {
	s := newServer(t, s3.Config{})
	s.bucket("plain", object.BucketConfig{})
	for target, want := range map[string]string{
		"/plain/a%00b":                        "a key has no NUL byte",
		"/plain/a%ff":                         "a key is valid UTF-8",
		"/plain/%c0%ae%c0%ae/x":               "a key is valid UTF-8",
		"/plain/" + strings.Repeat("k", 1025): "KeyTooLongError",
		"/pla%00in/a":                         "InvalidBucketName",
		"/../a":                               "InvalidBucketName",
		"//plain/a":                           "InvalidBucketName",
		"/plain/%zz":                          "InvalidURI",
	} {
		if strings.Contains(target, "%zz") {
			continue // net/http refuses it before us
		}
		response, body := s.call(http.MethodGet, target, "")
		if response.Code != http.StatusBadRequest || !strings.Contains(body, want) {
			t.Errorf("%.40s: %d %s", target, response.Code, body)
		}
	}
}

// A parameter of S3 never falls back to the operation without it, and one that
// is not S3's never changes anything.
func TestSubresourcesNeverFallBack(t *testing.T) {
	offered := make(map[s3.Route]bool)
	for _, r := range s3.Routes() {
		offered[r] = true
	}
	for _, name := range s3.Subresources() {
		for _, level := range []string{"bucket", "key"} {
			for _, method := range []string{"GET", "PUT", "DELETE", "POST", "HEAD"} {
				route := s3.Route{Level: level, Method: method, Subresource: name}
				if offered[route] {
					continue
				}
				s := newServer(t, s3.Config{})
				s.bucket("plain", object.BucketConfig{})
				if response, _ := s.call(method, target(route), ""); response.Code != http.StatusNotImplemented {
					t.Errorf("%v: status %d", route, response.Code)
				}
				assertUnchanged(t, s)
			}
		}
	}
}

// A parameter that is not S3's never changes which operation runs, nor its answer.
func TestUnknownParametersChangeNothing(t *testing.T) {
	for _, route := range s3.Routes() {
		answers := make(map[string]string)
		for _, more := range []string{"", "x-id=DeleteBucket", "X-Id=a&foo&Policy&UPLOADS&acl%20=&=", "prefix%00=x"} {
			s := newServer(t, s3.Config{})
			s.bucket("plain", object.BucketConfig{})
			s.call(http.MethodPut, "/plain/key", "x")
			where := target(route)
			switch {
			case more == "":
			case strings.Contains(where, "?"):
				where += "&" + more
			default:
				where += "?" + more
			}
			answer, body := s.call(route.Method, where, "")
			answers[fmt.Sprint(s.event.Op, " ", answer.Code, " ", uploadID.ReplaceAllString(requestID.ReplaceAllString(body, ""), ""))] = where
		}
		if len(answers) != 1 {
			t.Errorf("%v answers differ: %v", route, answers)
		}
	}
}

func TestLimits(t *testing.T) {
	s := newServer(t, s3.Config{})
	s.bucket("plain", object.BucketConfig{})
	tests := []struct {
		name, method, target, body, want string
		headers                          []string
	}{
		{"max-keys", "GET", "/plain?max-keys=99999999999999999999", "", "InvalidArgument", nil},
		{"max-keys at the limit", "GET", "/plain?max-keys=2147483647", "", "<MaxKeys>1000</MaxKeys>", nil},
		{"a prefix that no key has", "GET", "/plain?prefix=%ff", "", "valid UTF-8", nil},
		{"a marker that no version has", "GET", "/plain?versions&key-marker=%ff", "", "valid UTF-8", nil},
		{"a delimiter that no key has", "GET", "/plain?delimiter=%ff&encoding-type=url", "", "valid UTF-8", nil},
		{"a marker that no upload has", "GET", "/plain?uploads&key-marker=%ff", "", "valid UTF-8", nil},
		{"an upload that is none", "GET", "/plain/a?uploadId=%ff", "", "valid UTF-8", nil},
		{"a prefix that no bucket has", "GET", "/?prefix=%ff", "", "valid UTF-8", nil},
		{"part number of a read", "GET", "/plain/a?partNumber=99999999999", "", "InvalidArgument", nil},
		{"an empty Content-MD5", "PUT", "/plain/a", "x", "InvalidDigest", []string{"Content-Md5", ""}},
		{"number of tags", "PUT", "/plain/a", "", "BadRequest", []string{"X-Amz-Tagging", "a&b&c&d&e&f&g&h&i&j&k"}},
		{"length of a tag", "PUT", "/plain/a", "", "InvalidTag", []string{"X-Amz-Tagging", strings.Repeat("k", 129)}},
		{"two checksums", "PUT", "/plain/a", "", "Expecting a single", []string{"X-Amz-Checksum-Crc32", "AAAAAA==", "X-Amz-Checksum-Sha1", "AAAA"}},
		{"an unknown checksum", "PUT", "/plain/a", "", "unsupported", []string{"X-Amz-Checksum-Md4", "AAAA"}},
		{"a checksum of a wrong length", "PUT", "/plain/a", "", "is invalid", []string{"X-Amz-Checksum-Crc32", "AAAA"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, body := s.call(tt.method, tt.target, tt.body, tt.headers...); !strings.Contains(body, tt.want) {
				t.Errorf("answer %s", body)
			}
		})
	}
}

// TestDeletionsOfNobody: a bucket's policy may let callers without credentials
// delete, each key for itself; without a policy nothing of the body is read.
func TestDeletionsOfNobody(t *testing.T) {
	s := newServer(t, s3.Config{})
	const policy = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:DeleteObject","Resource":"arn:aws:s3:::plain/tmp/*"}]}`
	s.bucket("plain", object.BucketConfig{Policy: []byte(policy)})
	s.bucket("closed", object.BucketConfig{})
	parsed, err := iam.ParseBucketPolicy([]byte(policy), "plain")
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"/plain/tmp/a", "/plain/tmp/b", "/plain/kept"} {
		s.call(http.MethodPut, key, "x")
	}
	s.allow = func(who iam.Principal, c iam.Check) bool {
		r := iam.Request{Principal: who, Check: c}
		if c.Resource.Bucket == "plain" {
			r.BucketPolicy = parsed
		}
		return iam.Evaluate(r, iam.Grants{}).Allowed
	}
	const doc = "<Delete><Object><Key>tmp/a</Key></Object><Object><Key>tmp/b</Key><VersionId>null</VersionId></Object><Object><Key>kept</Key></Object></Delete>"
	answer := s.do(request(http.MethodPost, "/plain?delete", doc))
	if answer.Code != http.StatusOK || strings.Count(answer.Body, "<Deleted>") != 1 || strings.Count(answer.Body, "<Code>AccessDenied</Code>") != 2 {
		t.Errorf("status %d %s", answer.Code, answer.Body)
	}
	for key, want := range map[object.Key]bool{"tmp/a": false, "tmp/b": true, "kept": true} {
		if _, err := s.store.Head(t.Context(), "plain", key); (err == nil) != want {
			t.Errorf("%s: %v", key, err)
		}
	}
	for _, bucket := range []string{"/closed", "/nosuch"} {
		r, body := request(http.MethodPost, bucket+"?delete", ""), &untouched{}
		r.Body, r.ContentLength = body, 5
		if answer := s.do(r); answer.Code != http.StatusForbidden || !strings.Contains(answer.Body, "AccessDenied") || body.read {
			t.Errorf("%s: status %d %s, read: %t", bucket, answer.Code, answer.Body, body.read)
		}
	}
}

func TestHeaderSentTwice(t *testing.T) {
	s := newServer(t, s3.Config{})
	s.bucket("plain", object.BucketConfig{})
	_, body := s.call("PUT", "/plain/a", "", "X-Amz-Copy-Source", "/plain/x", "X-Amz-Copy-Source", "/plain/y")
	if !strings.Contains(body, "more than once") {
		t.Errorf("answer %s", body)
	}
}

// Whoever did not sign must not make the server say what it likes.
func TestOverridesNeedASignature(t *testing.T) {
	s := newServer(t, s3.Config{})
	s.bucket("plain", object.BucketConfig{})
	s.call("PUT", "/plain/a", "x")
	s.allow = func(iam.Principal, iam.Check) bool { return true }
	for target, want := range map[string]int{"/plain/a": 200, "/plain/a?response-content-type=text/html": 400} {
		response := s.do(request("GET", target, ""))
		if response.Code != want {
			t.Errorf("%s: status %d, want %d", target, response.Code, want)
		}
	}
	presigned := request("GET", "/plain/a?response-content-type=text/plain%0d%0aSet-Cookie:+a", "")
	sigv4.Presign(presigned, rootKey, "us-east-1", "s3", epoch, time.Hour)
	response := s.do(presigned)
	if response.Code != 200 || response.Header.Get("Set-Cookie") != "" {
		t.Errorf("status %d, header %v", response.Code, response.Header)
	}
}

// form is a multipart form; fields in order, the file last.
func form(fields [][2]string, file string) (body, contentType string) {
	var b strings.Builder
	for _, f := range fields {
		fmt.Fprintf(&b, "--xx\r\nContent-Disposition: form-data; name=%q\r\n\r\n%s\r\n", f[0], f[1])
	}
	if file != "" {
		fmt.Fprintf(&b, "--xx\r\nContent-Disposition: form-data; name=\"file\"; filename=\"dir/photo.txt\"\r\n\r\n%s\r\n", file)
	}
	b.WriteString("--xx--\r\n")
	return b.String(), "multipart/form-data; boundary=xx"
}

// signForm adds a signed policy to fields.
func signForm(fields [][2]string, policy string, secret iam.Secret) [][2]string {
	const scope = "20261123/us-east-1/s3/aws4_request"
	encoded := base64.StdEncoding.EncodeToString([]byte(policy))
	return append(fields, [][2]string{
		{"policy", encoded},
		{"x-amz-algorithm", "AWS4-HMAC-SHA256"},
		{"x-amz-credential", string(rootKey.ID) + "/" + scope},
		{"x-amz-date", "20261123T120000Z"},
		{"x-amz-signature", signPolicy(encoded, secret)},
	}...)
}

func TestForm(t *testing.T) {
	const head = `{"expiration":"2026-11-23T13:00:00.000Z","conditions":[{"bucket":"plain"},{"x-amz-algorithm":"AWS4-HMAC-SHA256"},` +
		`["starts-with","$x-amz-credential",""],{"x-amz-date":"20261123T120000Z"},["starts-with","$key","up/"]`
	const policy = head + `,["content-length-range",2,8]]}`
	type fields = [][2]string
	key := fields{{"key", "up/${filename}"}}
	tests := []struct {
		name   string
		fields fields
		policy string
		secret iam.Secret
		target string
		file   string
		status int
		want   string
	}{
		{name: "good", fields: key, policy: policy, file: "text", status: 204},
		{name: "created", fields: fields{{"key", "up/a&b"}, {"success_action_status", "201"}}, policy: head + `,{"success_action_status":"201"}]}`, file: "text", status: 201, want: "<Key>up/a&amp;b</Key>"},
		{name: "redirected", fields: fields{{"key", "up/a"}, {"success_action_redirect", "http://example.com/done"}}, policy: head + `,["starts-with","$success_action_redirect","http://example.com/"]]}`, file: "text", status: 303},
		{name: "forged", fields: key, policy: policy, secret: "guessed", file: "text", status: 403, want: "SignatureDoesNotMatch"},
		{name: "no policy", fields: key, file: "text", status: 403, want: "AccessDenied"},
		{name: "expired", fields: key, policy: strings.Replace(policy, "13:00", "11:00", 1), file: "text", status: 403, want: "expired"},
		{name: "another key", fields: fields{{"key", "down/a"}}, policy: policy, file: "text", status: 403, want: "Condition failed"},
		{name: "another bucket in the path", fields: key, policy: policy, target: "/other", file: "text", status: 403, want: "Condition failed"},
		{name: "another bucket in a field", fields: fields{{"key", "up/a"}, {"bucket", "plain"}}, policy: policy, target: "/other", file: "text", status: 403, want: "Condition failed"},
		{name: "a field without condition", fields: fields{{"key", "up/a"}, {"x-amz-meta-a", "b"}}, policy: policy, file: "text", status: 403, want: "Extra input fields"},
		{name: "a field twice", fields: fields{{"key", "up/a"}, {"key", "down/a"}}, policy: policy, file: "text", status: 400, want: "more than once"},
		{name: "a policy without bucket", fields: key, policy: strings.Replace(policy, `{"bucket":"plain"},`, "", 1), file: "text", status: 403, want: "no condition on bucket"},
		{name: "too long", fields: key, policy: policy, file: "123456789", status: 400, want: "EntityTooLarge"},
		{name: "too short", fields: key, policy: policy, file: "1", status: 400, want: "EntityTooSmall"},
		{name: "no file", fields: key, policy: policy, status: 400, want: "exactly one file"},
		{name: "no key", fields: fields{}, policy: policy, file: "text", status: 400, want: "field named 'key'"},
		{name: "policy that is no JSON", fields: key, policy: "{", file: "text", status: 400, want: "InvalidPolicyDocument"},
		{name: "a long field", fields: fields{{"key", strings.Repeat("k", 21<<10)}}, policy: policy, file: "text", status: 400, want: "MaxPostPreData"},
		{name: "version 2", fields: fields{{"key", "up/a"}, {"AWSAccessKeyId", "AKIDROOT"}, {"signature", "x"}}, file: "text", status: 400, want: "s3v4"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newServer(t, s3.Config{})
			s.bucket("plain", object.BucketConfig{})
			fields := slices.Clone(tt.fields)
			if tt.policy != "" {
				fields = signForm(fields, tt.policy, cmp.Or(tt.secret, rootKey.Secret))
			}
			body, kind := form(fields, tt.file)
			response := s.do(request("POST", cmp.Or(tt.target, "/plain"), body, "Content-Type", kind))
			text := response.Body
			if response.Code != tt.status || !strings.Contains(text, tt.want) {
				t.Errorf("answer %d %s", response.Code, text)
			}
			if tt.status >= 400 {
				assertUnchanged(t, s)
			}
			if tt.name == "good" {
				if _, got := s.call("GET", "/plain/up/photo.txt", ""); got != "text" {
					t.Errorf("stored %q", got)
				}
			}
		})
	}
}

// The answer to a form says where the object is, as the browser reached the bucket.
func TestFormLocation(t *testing.T) {
	const policy = `{"expiration":"2026-11-23T13:00:00Z","conditions":[{"bucket":"plain"},{"key":"a b"},{"success_action_status":"201"},` +
		`["starts-with","$x-amz-algorithm",""],["starts-with","$x-amz-credential",""],["starts-with","$x-amz-date",""]]}`
	fields := signForm([][2]string{{"key", "a b"}, {"success_action_status", "201"}}, policy, rootKey.Secret)
	for _, tt := range [][3]string{
		{"/plain", "server.test:9000", "http://server.test:9000/plain/a%20b"},
		{"/plain/", "server.test", "http://server.test/plain/a%20b"},
		{"/", "plain.localhost:9000", "http://plain.localhost:9000/a%20b"},
	} {
		s := newServer(t, s3.Config{})
		s.bucket("plain", object.BucketConfig{})
		body, kind := form(fields, "text")
		answer := s.do(request(http.MethodPost, tt[0], body, "Content-Type", kind, "Host", tt[1]))
		if answer.Header.Get("Location") != tt[2] || !strings.Contains(answer.Body, "<Location>"+tt[2]+"</Location>") {
			t.Errorf("%s at %s: %d %v %s", tt[0], tt[1], answer.Code, answer.Header, answer.Body)
		}
	}
}

// A form that is cut off stores nothing.
func TestFormCutOff(t *testing.T) {
	s := newServer(t, s3.Config{})
	s.bucket("plain", object.BucketConfig{})
	s.allow = func(iam.Principal, iam.Check) bool { return true }
	body, kind := form([][2]string{{"key", "a"}}, "text")
	for n := range len(body) - len("\r\n--xx--\r\n") + 5 {
		response := s.do(request("POST", "/plain", body[:n], "Content-Type", kind))
		if response.Code < 400 {
			t.Errorf("cut at %d: status %d", n, response.Code)
		}
	}
	assertUnchanged(t, s)
}
