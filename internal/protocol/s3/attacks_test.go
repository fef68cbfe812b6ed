package s3_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/object"
	"github.com/larder-cache/larder/internal/protocol/s3"
	"github.com/larder-cache/larder/internal/protocol/sigv4"
)

// victim is a server with something to lose: an object, one that is tagged, an
// upload with a part, a bucket policy, and a bucket that nobody else may read.
func victim(t *testing.T) (s *server, upload string) {
	t.Helper()
	s = newServer(t, s3.Config{})
	const policy = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::plain/public"}]}`
	s.bucket("plain", object.BucketConfig{Policy: []byte(policy), Tags: []object.Tag{{Key: "a", Value: "b"}}})
	s.bucket("secret", object.BucketConfig{})
	s.call(http.MethodPut, "/plain/kept", "kept")
	s.call(http.MethodPut, "/plain/tagged", "tagged", "X-Amz-Tagging", "class=trusted")
	s.call(http.MethodPut, "/secret/key", "secret")
	_, body := s.call(http.MethodPost, "/plain/whole?uploads", "")
	upload = uploadID.FindStringSubmatch(body)[1]
	s.call(http.MethodPut, "/plain/whole?partNumber=1&uploadId="+upload, "part")
	return s, upload
}

// state is all that the store holds.
func state(t *testing.T, s *server) string {
	t.Helper()
	var b strings.Builder
	ctx := t.Context()
	buckets, err := s.store.ListBuckets(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, bucket := range buckets {
		fmt.Fprintf(&b, "%s %s %v\n", bucket.Name, bucket.Config.Policy, bucket.Config.Tags)
		page, err := s.store.List(ctx, object.ListRequest{Bucket: bucket.Name, Max: 100})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page.Entries {
			fmt.Fprintf(&b, "  %q %s %v %v %d\n", e.Info.Key, e.Info.Digest.ETag, e.Info.Meta, e.Info.Tags, e.Info.Version)
		}
		uploads, err := s.store.ListUploads(ctx, object.UploadListRequest{Bucket: bucket.Name, Max: 100})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range uploads.Entries {
			parts, err := s.store.UploadParts(ctx, bucket.Name, e.Upload.Key, e.Upload.ID, 0, 100)
			fmt.Fprintf(&b, "  upload %q %+v %v\n", e.Upload.Key, parts, err)
		}
	}
	return b.String()
}

// attack is a request that must not do what it asks for.
type attack struct {
	name, method, target, body string
	headers                    []string
	sign                       func(r *http.Request, body string) // nil: a good signature in the header
	status                     int
	want                       string // in the answer
}

// launch sends an attack and holds answer and state against what they must be.
func (a *attack) launch(t *testing.T, s *server, upload string) {
	t.Helper()
	before := state(t, s)
	body := strings.ReplaceAll(a.body, "$UPLOAD", upload)
	r := request(a.method, strings.ReplaceAll(a.target, "$UPLOAD", upload), body, a.headers...)
	if a.sign == nil {
		sign(r, body)
	} else {
		a.sign(r, body)
	}
	answer := s.do(r)
	if answer.Code != a.status || !strings.Contains(answer.Body, a.want) {
		t.Errorf("status %d %s, want %d with %q", answer.Code, answer.Body, a.status, a.want)
	}
	s.policy = nil
	if diff := cmp.Diff(before, state(t, s)); diff != "" {
		t.Errorf("something changed (-before +after):\n%s", diff)
	}
}

// at signs as if it were another time.
func at(when time.Time) func(*http.Request, string) {
	return func(r *http.Request, _ string) {
		sigv4.Sign(r, rootKey, "us-east-1", "s3", sigv4.UnsignedPayload, when)
	}
}

// presign presigns; headers are then what its holder adds.
func presign(when time.Time, expires time.Duration, headers ...string) func(*http.Request, string) {
	return func(r *http.Request, _ string) {
		sigv4.Presign(r, rootKey, "us-east-1", "s3", when, expires)
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
	}
}

// TestAttacksOnSignatures replays, stretches and extends good signatures.
func TestAttacksOnSignatures(t *testing.T) {
	chunk := func(size string) string { return size + ";chunk-signature=" + strings.Repeat("0", 64) + "\r\n" }
	chunks := func(payload string) func(*http.Request, string) {
		return func(r *http.Request, _ string) {
			r.Header.Set("X-Amz-Decoded-Content-Length", "6")
			sigv4.Sign(r, rootKey, "us-east-1", "s3", payload, epoch)
		}
	}
	const overwrite, poison = "/plain/kept", "poison"
	for _, a := range []attack{
		{name: "replayed late", method: "PUT", target: overwrite, body: poison, sign: at(epoch.Add(-15*time.Minute - time.Second)), status: 403, want: "RequestTimeTooSkewed"},
		{name: "signed ahead", method: "DELETE", target: overwrite, sign: at(epoch.Add(15*time.Minute + time.Second)), status: 403, want: "RequestTimeTooSkewed"},
		{name: "presigned, expired", method: "PUT", target: overwrite, body: poison, sign: presign(epoch.Add(-time.Hour-time.Second), time.Hour), status: 403, want: "Request has expired"},
		{name: "presigned, ahead", method: "PUT", target: overwrite, body: poison, sign: presign(epoch.Add(16*time.Minute), time.Hour), status: 403, want: "not valid yet"},
		{name: "presigned, for more than a week", method: "PUT", target: overwrite, body: poison, sign: presign(epoch, 7*24*time.Hour+time.Second), status: 400, want: "AuthorizationQueryParametersError"},
		{name: "presigned, made a copy", method: "PUT", target: overwrite, sign: presign(epoch, time.Hour, "X-Amz-Copy-Source", "/secret/key"), status: 403, want: "not signed"},
		{name: "presigned, tagged", method: "PUT", target: overwrite, body: poison, sign: presign(epoch, time.Hour, "X-Amz-Tagging", "class=trusted"), status: 403, want: "not signed"},
		{name: "presigned, another bucket's owner", method: "PUT", target: overwrite, body: poison, sign: presign(epoch, time.Hour, "X-Amz-Expected-Bucket-Owner", "000000000000"), status: 403, want: "not signed"},
		{name: "presigned for another method", method: "DELETE", target: overwrite, sign: func(r *http.Request, _ string) {
			r.Method = http.MethodGet
			presign(epoch, time.Hour)(r, "")
			r.Method = http.MethodDelete
		}, status: 403, want: "SignatureDoesNotMatch"},
		{name: "presigned, another subresource", method: "PUT", target: overwrite, body: tagXML("a", "b"), sign: func(r *http.Request, _ string) {
			presign(epoch, time.Hour)(r, "")
			addQuery(r, "tagging")
		}, status: 403, want: "SignatureDoesNotMatch"},
		{name: "forged chunks", method: "PUT", target: overwrite, body: chunk("6") + poison + "\r\n" + chunk("0") + "\r\n", sign: chunks("STREAMING-AWS4-HMAC-SHA256-PAYLOAD"), status: 403, want: "SignatureDoesNotMatch"},
		{name: "chunks without signatures", method: "PUT", target: overwrite, body: "6\r\n" + poison + "\r\n0\r\n\r\n", sign: chunks("STREAMING-AWS4-HMAC-SHA256-PAYLOAD"), status: 403, want: "SignatureDoesNotMatch"},
		{name: "another body", method: "PUT", target: overwrite, body: poison, sign: func(r *http.Request, _ string) { sign(r, "kept") }, status: 400, want: "XAmzContentSHA256Mismatch"},
		{name: "a part of another body", method: "PUT", target: "/plain/whole?partNumber=1&uploadId=$UPLOAD", body: poison, sign: func(r *http.Request, _ string) { sign(r, "part") }, status: 400, want: "XAmzContentSHA256Mismatch"},
		{name: "deletions of another body", method: "POST", target: "/plain?delete", body: "<Delete><Object><Key>kept</Key></Object></Delete>", sign: func(r *http.Request, _ string) { sign(r, "") }, status: 400, want: "XAmzContentSHA256Mismatch"},
		{name: "headers that only servers set", method: "DELETE", target: overwrite, headers: []string{
			"X-Minio-Source-Replication-Request", "true", "X-Minio-Replication-Request", "true", "X-Larder-Principal", "root",
			"X-Forwarded-User", "root", "Username", "root",
		}, sign: func(*http.Request, string) {}, status: 403, want: "AccessDenied"},
	} {
		t.Run(a.name, func(t *testing.T) {
			s, upload := victim(t)
			a.launch(t, s, upload)
		})
	}
}

// TestAttacksOnResources has rights on one thing and reaches for another.
func TestAttacksOnResources(t *testing.T) {
	const (
		free    = `{"Effect":"Allow","Action":["s3:PutObject","s3:GetObject","s3:DeleteObject"],"Resource":"arn:aws:s3:::plain/free/*"}`
		inPlain = `{"Effect":"Allow","Action":["s3:PutObject","s3:PutObjectTagging","s3:GetObject","s3:DeleteObject"],"Resource":"arn:aws:s3:::plain/*"}`
		local   = `{"Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.1"}}}`
		named   = `{"Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{"StringEquals":{"aws:username":"admin"}}}`
		create  = `{"Effect":"Allow","Action":"s3:CreateBucket","Resource":"*"}`
		own     = `{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::plain/${aws:username}"}`
	)
	const source = "X-Amz-Copy-Source"
	for _, a := range []struct {
		attack
		statements string
	}{
		{attack{name: "dots", method: "DELETE", target: "/plain/free/../kept", status: 204}, free}, // the key of that name
		{attack{name: "encoded dots", method: "DELETE", target: "/plain/free/%2e%2e/kept", status: 204}, free},
		{attack{name: "backslash", method: "DELETE", target: "/plain/free/..%5C..%5Ckept", status: 204}, free},
		{attack{name: "encoded slash", method: "DELETE", target: "/plain/free%2F..%2Fkept", status: 204}, free},
		{attack{name: "encoded slash behind the bucket", method: "DELETE", target: "/plain%2Fkept", status: 403, want: "AccessDenied"}, free},
		{attack{name: "two slashes", method: "DELETE", target: "//plain/kept", status: 400, want: "InvalidBucketName"}, free},
		{attack{name: "no key", method: "DELETE", target: "/plain/", status: 403, want: "AccessDenied"}, free},
		{attack{name: "NUL", method: "PUT", target: "/plain/free/..%00kept", body: "x", status: 400, want: "NUL"}, free},
		{attack{name: "overlong UTF-8", method: "PUT", target: "/plain/free/%c0%ae%c0%ae/kept", body: "x", status: 400, want: "UTF-8"}, free},
		{attack{name: "dots for a bucket", method: "PUT", target: "/plain/../secret/key", body: "x", status: 403, want: "AccessDenied"}, free},
		{attack{name: "another host's bucket", method: "DELETE", target: "/free/key", headers: []string{"Host", "secret.localhost"}, status: 403, want: "AccessDenied"}, free},
		{attack{name: "a version", method: "GET", target: "/plain/kept?versionId=null", status: 403, want: "AccessDenied"}, inPlain},
		{attack{name: "a version that is not there", method: "GET", target: "/secret/key?versionId=abc", status: 403, want: "AccessDenied"}, inPlain},
		{attack{name: "copy, a version that is not there", method: "PUT", target: "/plain/new", headers: []string{source, "secret/key?versionId=abc"}, status: 403, want: "AccessDenied"}, inPlain},
		{attack{name: "deletion of a version", method: "DELETE", target: "/plain/kept?versionId=null", status: 403, want: "AccessDenied"}, inPlain},
		{attack{name: "deletions of versions", method: "POST", target: "/plain?delete", body: "<Delete><Object><Key>kept</Key><VersionId>null</VersionId></Object></Delete>", status: 200, want: "<Code>AccessDenied</Code>"}, inPlain},
		{attack{name: "the bucket's policy", method: "PUT", target: "/plain?policy", body: `{"Version":"2012-10-17","Statement":[]}`, status: 403, want: "AccessDenied"}, inPlain},
		{attack{name: "the bucket's tags", method: "DELETE", target: "/plain?tagging", status: 403, want: "AccessDenied"}, inPlain},
		{attack{name: "copy of what may not be read", method: "PUT", target: "/plain/new", headers: []string{source, "/secret/key"}, status: 403, want: "AccessDenied"}, inPlain},
		{attack{name: "copy, source dotted", method: "PUT", target: "/plain/new", headers: []string{source, "/plain/../secret/key"}, status: 404, want: "NoSuchKey"}, inPlain},
		{attack{name: "copy, source encoded", method: "PUT", target: "/plain/new", headers: []string{source, "secret%2Fkey"}, status: 403, want: "AccessDenied"}, inPlain},
		{attack{name: "copy, source encoded twice", method: "PUT", target: "/plain/new", headers: []string{source, "plain/%252e%252e/secret/key"}, status: 404, want: "NoSuchKey"}, inPlain},
		{attack{name: "copy, a version", method: "PUT", target: "/plain/new", headers: []string{source, "plain/kept?versionId=null"}, status: 403, want: "AccessDenied"}, inPlain},
		{attack{name: "copy, an encoded version", method: "PUT", target: "/plain/new", headers: []string{source, "plain/kept%3FversionId=null"}, status: 404, want: "NoSuchKey"}, inPlain},
		{attack{name: "copy of nothing", method: "PUT", target: "/plain/kept", headers: []string{source, ""}, status: 400, want: "InvalidArgument"}, inPlain},
		{attack{name: "copy with tags that may not be read", method: "PUT", target: "/plain/new", headers: []string{source, "plain/tagged"}, status: 403, want: "AccessDenied"}, inPlain},
		{attack{name: "part of what may not be read", method: "PUT", target: "/plain/whole?partNumber=2&uploadId=$UPLOAD", headers: []string{source, "/secret/key"}, status: 403, want: "AccessDenied"}, inPlain},
		{attack{name: "part of nothing", method: "PUT", target: "/plain/whole?partNumber=1&uploadId=$UPLOAD", headers: []string{source, ""}, status: 400, want: "InvalidArgument"}, inPlain},
		{attack{name: "another key's upload", method: "PUT", target: "/plain/free/x?partNumber=1&uploadId=$UPLOAD", body: "poison", status: 404, want: "NoSuchUpload"}, free},
		{attack{name: "completion of another key's upload", method: "POST", target: "/plain/free/x?uploadId=$UPLOAD", body: "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>x</ETag></Part></CompleteMultipartUpload>", status: 404, want: "NoSuchUpload"}, free},
		{attack{name: "abortion of another key's upload", method: "DELETE", target: "/plain/whole?uploadId=$UPLOAD", status: 403, want: "AccessDenied"}, inPlain},
		{attack{name: "address from a header", method: "DELETE", target: "/plain/kept", headers: []string{"X-Forwarded-For", "10.0.0.1", "X-Real-Ip", "10.0.0.1", "Forwarded", "for=10.0.0.1"}, status: 403, want: "AccessDenied"}, local},
		{attack{name: "name from a header", method: "DELETE", target: "/plain/kept", headers: []string{"Username", "admin", "Aws-Username", "admin", "X-Amz-Username", "admin"}, status: 403, want: "AccessDenied"}, named},
		{attack{name: "name from the query", method: "DELETE", target: "/plain/kept?aws:username=admin&username=admin", status: 403, want: "AccessDenied"}, named},
		{attack{name: "tags of a new bucket", method: "PUT", target: "/fresh", body: "<CreateBucketConfiguration><Tags><Tag><Key>a</Key></Tag></Tags></CreateBucketConfiguration>", status: 403, want: "AccessDenied"}, create},
		{attack{name: "a variable's prefix", method: "PUT", target: "/plain/alice2", body: "x", status: 403, want: "AccessDenied"}, own},
		{attack{name: "a variable in the key", method: "PUT", target: "/plain/$%7Baws:username%7D", body: "x", status: 403, want: "AccessDenied"}, own},
	} {
		t.Run(a.name, func(t *testing.T) {
			s, upload := victim(t)
			var err error
			if s.policy, err = iam.ParsePolicy([]byte(`{"Version":"2012-10-17","Statement":[` + a.statements + `]}`)); err != nil {
				t.Fatal(err)
			}
			a.launch(t, s, upload)
		})
	}
}

// TestNothingShowsWithoutRights asks for what is there and for what is not, with
// everything that could tell them apart, and must get the same answer.
func TestNothingShowsWithoutRights(t *testing.T) {
	conditions := [][]string{
		nil,
		{"If-None-Match", "*"},
		{"If-Match", `"no"`},
		{"If-Modified-Since", "Mon, 23 Nov 2037 12:00:00 GMT"},
		{"If-Unmodified-Since", "Mon, 23 Nov 2015 12:00:00 GMT"},
		{"Range", "bytes=999999-"},
		{"X-Amz-Object-Attributes", "ETag"},
		{"X-Amz-Copy-Source", "/plain/kept", "X-Amz-Copy-Source-If-Match", `"no"`},
	}
	for _, target := range []string{
		"/secret/$KEY", "/secret/$KEY?partNumber=7", "/secret/$KEY?tagging", "/secret/$KEY?acl", "/secret/$KEY?attributes", "/secret/$KEY?uploadId=x",
		"/secret/$KEY?uploadId=x&partNumber=1", "/secret/$KEY?retention",
	} {
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete} {
			for _, headers := range conditions {
				s, _ := victim(t)
				before := state(t, s)
				s.allow = func(_ iam.Principal, c iam.Check) bool { return c.Resource.Bucket == "plain" }
				there := answerTo(s, method, strings.ReplaceAll(target, "$KEY", "key"), "", headers...)
				gone := strings.ReplaceAll(answerTo(s, method, strings.ReplaceAll(target, "$KEY", "nope"), "", headers...), "nope", "key")
				if there != gone {
					t.Errorf("%s %s %v shows whether the object exists:\n%s\n%s", method, target, headers, there, gone)
				}
				if diff := cmp.Diff(before, state(t, s)); diff != "" {
					t.Errorf("%s %s %v: something changed (-before +after):\n%s", method, target, headers, diff)
				}
			}
		}
	}
}

// TestAttacksOnMemory sends what is too long, too deep or without end.
func TestAttacksOnMemory(t *testing.T) {
	const complete = "/plain/whole?uploadId=$UPLOAD"
	chunked := func(r *http.Request, _ string) {
		r.Header.Set("X-Amz-Decoded-Content-Length", "4")
		r.Header.Set("X-Amz-Trailer", "x-amz-checksum-crc32")
		sigv4.Sign(r, rootKey, "us-east-1", "s3", "STREAMING-UNSIGNED-PAYLOAD-TRAILER", epoch)
	}
	for _, a := range []attack{
		{name: "a body without length", method: "PUT", target: "/plain/kept", body: "x", sign: func(r *http.Request, _ string) {
			r.ContentLength, r.TransferEncoding = -1, []string{"chunked"}
			sigv4.Sign(r, rootKey, "us-east-1", "s3", sigv4.UnsignedPayload, epoch)
		}, status: 411, want: "MissingContentLength"},
		{name: "a part without length", method: "PUT", target: "/plain/whole?partNumber=1&uploadId=$UPLOAD", body: "x", sign: func(r *http.Request, _ string) {
			r.ContentLength = -1
			sigv4.Sign(r, rootKey, "us-east-1", "s3", sigv4.UnsignedPayload, epoch)
		}, status: 411, want: "MissingContentLength"},
		{name: "a trailer without end", method: "PUT", target: "/plain/kept", body: "4\r\nevil\r\n0\r\nx-amz-checksum-crc32:" + strings.Repeat("A", 1<<20), sign: chunked, status: 400, want: "MalformedTrailerError"},
		{name: "a chunk's line without end", method: "PUT", target: "/plain/kept", body: strings.Repeat("0", 1<<20), sign: chunked, status: 400, want: "InvalidRequest"},
		{name: "a chunk larger than the body", method: "PUT", target: "/plain/kept", body: "7fffffffffffffff\r\nevil", sign: chunked, status: 400, want: "IncompleteBody"},
		{name: "an object above 5 GiB", method: "PUT", target: "/plain/kept", body: "x", sign: func(r *http.Request, _ string) {
			r.ContentLength = 5<<30 + 1
			sigv4.Sign(r, rootKey, "us-east-1", "s3", sigv4.UnsignedPayload, epoch)
		}, status: 400, want: "EntityTooLarge"},
		{name: "a part above 5 GiB", method: "PUT", target: "/plain/whole?partNumber=1&uploadId=$UPLOAD", body: "x", sign: func(r *http.Request, _ string) {
			r.ContentLength = 5<<30 + 1
			sigv4.Sign(r, rootKey, "us-east-1", "s3", sigv4.UnsignedPayload, epoch)
		}, status: 400, want: "EntityTooLarge"},
		{name: "entities that grow", method: "POST", target: "/plain?delete", body: `<!DOCTYPE D [<!ENTITY a "aaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><Delete><Object><Key>&b;</Key></Object></Delete>`, status: 400, want: "MalformedXML"},
		{name: "depth of XML", method: "POST", target: "/plain?delete", body: "<Delete>" + strings.Repeat("<a>", 10_000), status: 400, want: "MalformedXML"},
		{name: "elements of XML", method: "POST", target: complete, body: "<CompleteMultipartUpload>" + strings.Repeat("<Part/>", 200_001) + "</CompleteMultipartUpload>", status: 400, want: "MalformedXML"},
		{name: "length of XML", method: "POST", target: complete, body: strings.Repeat(" ", 4<<20+1), status: 400, want: "MaxMessageLengthExceeded"},
		{name: "parts", method: "POST", target: complete, body: "<CompleteMultipartUpload>" + strings.Repeat("<Part><PartNumber>1</PartNumber></Part>", 10_001) + "</CompleteMultipartUpload>", status: 400, want: "MalformedXML"},
		{name: "keys", method: "POST", target: "/plain?delete", body: "<Delete>" + strings.Repeat("<Object><Key>kept</Key></Object>", 1001) + "</Delete>", status: 400, want: "MalformedXML"},
		{name: "tags", method: "PUT", target: "/plain/kept?tagging", body: "<Tagging><TagSet>" + strings.Repeat("<Tag><Key>a</Key><Value>b</Value></Tag>", 11) + "</TagSet></Tagging>", status: 400, want: "BadRequest"},
		{name: "length of tags", method: "PUT", target: "/plain/kept?tagging", body: strings.Repeat(" ", 64<<10+1), status: 400, want: "MaxMessageLengthExceeded"},
		{name: "policy", method: "PUT", target: "/plain?policy", body: strings.Repeat(" ", 20<<10+1), status: 400, want: "MaxMessageLengthExceeded"},
		{name: "part number", method: "PUT", target: "/plain/whole?partNumber=10001&uploadId=$UPLOAD", body: "x", status: 400, want: "InvalidArgument"},
		{name: "metadata", method: "PUT", target: "/plain/kept", body: "x", headers: []string{"X-Amz-Meta-A", strings.Repeat("m", 2048)}, status: 400, want: "MetadataTooLarge"},
		{name: "parameters", method: "PUT", target: "/plain/kept?" + strings.Repeat("a&", 300), body: "x", status: 400, want: "InvalidURI"},
	} {
		t.Run(a.name, func(t *testing.T) {
			s, upload := victim(t)
			a.launch(t, s, upload)
		})
	}
}
