package s3_test

import (
	"context"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zeebo/xxh3"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/object"
	"github.com/larder-cache/larder/internal/protocol/edge"
	"github.com/larder-cache/larder/internal/protocol/s3"
	"github.com/larder-cache/larder/internal/protocol/sigv4"
)

// nasty are keys that somebody's server did not keep as they are.
var nasty = []string{
	"a", "a/b", "a/", "/", "//", "/a", "a//b", ".", "..", "../a", "./a", "a/../b", "a/./b", "a/..", " ", " a ", "a b", "a+b", "a%b",
	"a%2Fb", "a%252Fb", "%", "%zz", "a?b", "a?versionId=null", "a#b", "a&b=c", "a;b", "a\\b", "a\"b", "a'b", "<a>", "a&amp;b",
	"ü", "日本語", "\u202Egpj.exe", "a\tb", "a\nb", "a\r\nb", "\x01", "\x7f", "\uFFFE", "\uFFFD", "\U0001F600", "*", "~", "$", "{}",
	"|", "^", "`", "[a]", "@", ":", ",", "=", "!", "()", "con", "aux.txt", strings.Repeat("k", 1024), strings.Repeat("日", 341),
	"a/.sccache_check", "uploads", "policy",
}

// TestKeysRoundTrip sends every key through a real HTTP server and back, by
// path, in listings, in a copy source and in a deletion.
func TestKeysRoundTrip(t *testing.T) {
	s := newServer(t, s3.Config{})
	s.bucket("plain", object.BucketConfig{})
	s.bucket("copies", object.BucketConfig{})
	listener := httptest.NewServer(s.http)
	defer listener.Close()
	send := func(method, target, body string, headers ...string) (int, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, listener.URL+target, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		response, err := http.DefaultTransport.RoundTrip(sign(r, body))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = response.Body.Close() }()
		text, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, string(text)
	}
	for _, key := range nasty {
		path := "/plain/" + s3.Encode(key)
		if status, text := send("PUT", path, key); status != 200 {
			t.Errorf("PUT %q: %d %s", key, status, text)
		}
		if status, text := send("PUT", "/copies/"+s3.Encode(key), "", "X-Amz-Copy-Source", path); status != 200 {
			t.Errorf("copy %q: %d %s", key, status, text)
		}
	}
	for _, key := range nasty {
		for _, bucket := range []string{"/plain/", "/copies/"} {
			if status, text := send("GET", bucket+s3.Encode(key), ""); status != 200 || text != key {
				t.Errorf("GET %q: %d %q", key, status, text)
			}
		}
		_, text := send("GET", "/plain?encoding-type=url&prefix="+s3.Encode(key), "")
		if !strings.Contains(text, "<Key>"+s3.Encode(key)+"</Key>") {
			t.Errorf("%q is not listed: %s", key, text)
		}
		if _, ok := s3.Escape(key); !ok {
			continue
		}
		_, text = send("GET", "/plain?max-keys=1&list-type=2&prefix="+s3.Encode(key), "")
		var page struct{ Contents []struct{ Key string } }
		if err := xml.Unmarshal([]byte(text), &page); err != nil || len(page.Contents) != 1 || page.Contents[0].Key != key {
			t.Errorf("%q is listed as %+v, %v", key, page, err)
		}
		escaped, _ := s3.Escape(key)
		if _, text = send("POST", "/plain?delete", "<Delete><Object><Key>"+escaped+"</Key></Object></Delete>"); !strings.Contains(text, "<Deleted>") {
			t.Errorf("delete %q: %s", key, text)
		}
		if status, _ := send("GET", "/plain/"+s3.Encode(key), ""); status != 404 {
			t.Errorf("%q is still there", key)
		}
	}
}

// chunked is an unsigned aws-chunked body with a trailer.
func chunked(body, trailer string) string {
	return fmt.Sprintf("%x\r\n%s\r\n0\r\n%s\r\n\r\n", len(body), body, trailer)
}

func TestTrailer(t *testing.T) {
	tests := []struct {
		name, announced, trailer string
		status                   int
		want                     string
	}{
		{"good", "x-amz-checksum-crc32", "x-amz-checksum-crc32:7ErD0A==", 200, ""},
		{"wrong", "x-amz-checksum-crc32", "x-amz-checksum-crc32:AAAAAA==", 400, "BadDigest"},
		{"absent", "x-amz-checksum-crc32", "", 400, ""},
		{"another", "x-amz-checksum-crc32", "x-amz-checksum-crc32c:AAAAAA==", 400, ""},
		{"unknown", "x-amz-checksum-md4", "x-amz-checksum-md4:AAAA", 400, "InvalidRequest"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newServer(t, s3.Config{})
			s.bucket("plain", object.BucketConfig{})
			const body = "Hello, World!"
			r := request("PUT", "/plain/a", chunked(body, tt.trailer), "X-Amz-Trailer", tt.announced,
				"X-Amz-Decoded-Content-Length", fmt.Sprint(len(body)), "Content-Encoding", "aws-chunked")
			sigv4.Sign(r, rootKey, "us-east-1", "s3", "STREAMING-UNSIGNED-PAYLOAD-TRAILER", epoch)
			response := s.do(r)
			text := response.Body
			if response.Code != tt.status || !strings.Contains(text, tt.want) {
				t.Errorf("answer %d %s", response.Code, text)
			}
			got, body2 := s.call("GET", "/plain/a", "", "X-Amz-Checksum-Mode", "ENABLED")
			if tt.status != 200 && got.Code != 404 {
				t.Errorf("a refused body was stored: %q", body2)
			}
			if tt.status == 200 && (body2 != body || got.Header.Get("X-Amz-Checksum-Crc32") != "7ErD0A==" || got.Header.Get("Content-Encoding") != "") {
				t.Errorf("stored %q, header %v", body2, got.Header)
			}
		})
	}
}

// Every algorithm, in header and trailer, of an object and of a part, in a plain
// bucket and in a cache.
func TestChecksums(t *testing.T) {
	const body = "The quick brown fox jumps over the lazy dog"
	for name, want := range map[string]string{
		"Crc32": "QU+jOQ==", "Crc32c": "ImIEBA==", "Sha1": "L9ThxnotKPzthJ7hu3bnORuT6xI=",
		"Sha256": "16j7swfXgJRpypq8sAguT41WUeRtPNt2LQLQvzfJ5ZI=", "Crc64nvme": "12xUBUlUwUM=",
	} {
		for _, bucket := range []object.BucketName{"plain", "cache"} {
			s := newServer(t, s3.Config{})
			s.bucket(bucket, object.BucketConfig{Cache: bucket == "cache"})
			response, text := s.call("PUT", "/"+string(bucket)+"/a", body, "X-Amz-Checksum-"+name, want, "Content-Md5", "nhB9nTcrtoJr2B01QqQZ1g==")
			if response.Code != 200 || response.Header.Get("X-Amz-Checksum-"+name) != want {
				t.Errorf("%s: %d %s %v", name, response.Code, text, response.Header)
			}
			wrong := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", base64.StdEncoding.DecodedLen(len(want))-strings.Count(want, "="))))
			if response, text = s.call("PUT", "/"+string(bucket)+"/a", body, "X-Amz-Checksum-"+name, wrong); response.Code != 400 || !strings.Contains(text, "BadDigest") {
				t.Errorf("%s: %d %s", name, response.Code, text)
			}
			_, text = s.call("POST", "/"+string(bucket)+"/p?uploads", "", "X-Amz-Checksum-Algorithm", name)
			part := "/p?partNumber=1&uploadId=" + uploadID.FindStringSubmatch(text)[1]
			for _, target := range []string{"/a", part} {
				for sum, status := range map[string]int{want: 200, wrong: 400} {
					r := request("PUT", "/"+string(bucket)+target, chunked(body, "x-amz-checksum-"+strings.ToLower(name)+":"+sum),
						"X-Amz-Trailer", "x-amz-checksum-"+name, "X-Amz-Decoded-Content-Length", fmt.Sprint(len(body)), "Content-Encoding", "aws-chunked")
					sigv4.Sign(r, rootKey, "us-east-1", "s3", "STREAMING-UNSIGNED-PAYLOAD-TRAILER", epoch)
					if answer := s.do(r); answer.Code != status || status == 200 && answer.Header.Get("X-Amz-Checksum-"+name) != want {
						t.Errorf("%s in a trailer, %s: %d %s %v", name, target, answer.Code, answer.Body, answer.Header)
					}
				}
			}
			if response, text = s.call("PUT", "/"+string(bucket)+"/a", body, "Content-Md5", "nhB9nTcrtoJr2B01QqQZ1Q=="); response.Code != 400 || !strings.Contains(text, "BadDigest") {
				t.Errorf("%s: %d %s", name, response.Code, text)
			}
		}
	}
}

func TestETags(t *testing.T) {
	const body = "The quick brown fox jumps over the lazy dog."
	quick := xxh3.HashString128(body).Bytes()
	s := newServer(t, s3.Config{})
	s.bucket("plain", object.BucketConfig{})
	s.bucket("cache", object.BucketConfig{Cache: true})
	for bucket, want := range map[string]string{
		"plain": `"e4d909c290d0fb1ca068ffaddf22cbd0"`, "cache": fmt.Sprintf("\"%x-1\"", quick),
	} {
		for _, method := range []string{"PUT", "HEAD", "GET"} {
			if response, _ := s.call(method, "/"+bucket+"/a", body); etag(response) != want {
				t.Errorf("%s in %s: %s, want %s", method, bucket, etag(response), want)
			}
		}
	}
}

// slow is a store whose copies take their time.
type slow struct {
	s3.Store
	takes time.Duration
	err   error
}

func (s *slow) Copy(ctx context.Context, req object.CopyRequest) (object.Info, error) {
	select {
	case <-time.After(s.takes):
	case <-ctx.Done():
	}
	if s.err != nil {
		return object.Info{}, s.err
	}
	return s.Store.Copy(ctx, req)
}

// A copy that takes long keeps its connection alive with white space, and puts a
// late error inside its 200.
func TestPatience(t *testing.T) {
	tests := []struct {
		name  string
		takes time.Duration
		err   error
		want  string // beginning
		has   string
		code  string // of the event
	}{
		{"quick", time.Second, nil, "200 <?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<CopyObjectResult", "", ""},
		{"quick error", time.Second, fault.New(fault.Busy, fault.Disk, ""), "503 <?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>SlowDown", "", "SlowDown"},
		{"slow", 35 * time.Second, nil, "200 <?xml version=\"1.0\" encoding=\"UTF-8\"?>\n   <CopyObjectResult", "", ""},
		{"slow error", 15 * time.Second, errors.New("disk on fire"), "200 <?xml version=\"1.0\" encoding=\"UTF-8\"?>\n <Error><Code>InternalError", "<RequestId>", "InternalError"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newServer(t, s3.Config{})
			s.bucket("plain", object.BucketConfig{})
			s.call("PUT", "/plain/a", "x")
			synctest.Test(t, func(t *testing.T) {
				pipeline := s.over(t, &slow{s.store, tt.takes, tt.err})
				w := httptest.NewRecorder()
				pipeline.ServeHTTP(w, sign(request("PUT", "/plain/b", "", "X-Amz-Copy-Source", "/plain/a"), ""))
				got := fmt.Sprint(w.Code, " ", w.Body)
				if !strings.HasPrefix(got, tt.want) || !strings.Contains(got, tt.has) || strings.Contains(got, "fire") {
					t.Errorf("answer %q", got)
				}
				if s.event.Code != tt.code {
					t.Errorf("event %+v", s.event)
				}
				if err := xml.Unmarshal(w.Body.Bytes(), new(struct{})); err != nil {
					t.Errorf("not XML: %v", err)
				}
			})
		})
	}
}

// damaged is a store whose bodies break off.
type damaged struct{ s3.Store }

func (d *damaged) Get(ctx context.Context, req object.GetRequest) (*object.Reader, error) {
	r, err := d.Store.Get(ctx, req)
	if err == nil {
		r.Body = io.NopCloser(io.MultiReader(io.LimitReader(r.Body, 10), failing{}))
	}
	return r, err
}

type failing struct{}

func (failing) Read([]byte) (int, error) {
	return 0, fault.New(fault.Corrupt, fault.Object, "plain/a")
}

// A body that turns out damaged half-way must not look whole.
func TestDamagedBodyAborts(t *testing.T) {
	s := newServer(t, s3.Config{})
	s.bucket("plain", object.BucketConfig{})
	s.call("PUT", "/plain/a", strings.Repeat("x", 1000))
	listener := httptest.NewServer(s.over(t, &damaged{s.store}))
	defer listener.Close()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, listener.URL+"/plain/a", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultTransport.RoundTrip(sign(r, ""))
	if err != nil {
		return // aborted before the header was flushed
	}
	defer func() { _ = response.Body.Close() }()
	if body, err := io.ReadAll(response.Body); err == nil {
		t.Errorf("a damaged body was served as whole: %d bytes", len(body))
	}
}

// Several parts, their numbers, and a part of the object they make.
func TestMultipartOfSeveral(t *testing.T) {
	s := newServer(t, s3.Config{})
	s.bucket("plain", object.BucketConfig{})
	_, text := s.call("POST", "/plain/big?uploads", "")
	id := uploadID.FindStringSubmatch(text)[1]
	parts := []string{strings.Repeat("a", object.MinPartSize), "tail"}
	var doc strings.Builder
	for i, part := range parts {
		response, text := s.call("PUT", fmt.Sprintf("/plain/big?uploadId=%s&partNumber=%d", id, 2*i+1), part)
		if response.Code != 200 {
			t.Fatal(text)
		}
		fmt.Fprintf(&doc, "<Part><PartNumber>%d</PartNumber><ETag>%s</ETag></Part>", 2*i+1, etag(response))
	}
	_, text = s.call("GET", "/plain/big?uploadId="+id+"&max-parts=1", "")
	if !strings.Contains(text, "<NextPartNumberMarker>1<") || !strings.Contains(text, "<IsTruncated>true<") {
		t.Errorf("page of parts %s", text)
	}
	_, text = s.call("POST", "/plain/big?uploadId="+id, "<CompleteMultipartUpload>"+doc.String()+"</CompleteMultipartUpload>")
	if !strings.Contains(text, "-2&#34;</ETag>") {
		t.Fatal(text)
	}
	response, body := s.call("GET", "/plain/big?partNumber=3", "")
	if response.Code != 206 || body != "tail" || response.Header.Get("Content-Range") != "bytes 5242880-5242883/5242884" ||
		response.Header.Get("X-Amz-Mp-Parts-Count") != "2" || response.Header.Get("X-Amz-Checksum-Crc64nvme") != "" {
		t.Errorf("part 3: %d %q %v", response.Code, body, response.Header)
	}
	if response, body := s.call("GET", "/plain/big", ""); response.Code != 200 || body != parts[0]+parts[1] {
		t.Errorf("whole: %d, %d bytes", response.Code, len(body))
	}
}

// A read of a part brings the part's checksum, of the object's algorithm and type.
func TestChecksumOfPart(t *testing.T) {
	for algorithm, kind := range map[string]string{"SHA256": "COMPOSITE", "CRC32": "FULL_OBJECT"} {
		s := newServer(t, s3.Config{})
		s.bucket("plain", object.BucketConfig{})
		_, text := s.call("POST", "/plain/big?uploads", "", "X-Amz-Checksum-Algorithm", algorithm, "X-Amz-Checksum-Type", kind)
		id := uploadID.FindStringSubmatch(text)[1]
		header := "X-Amz-Checksum-" + algorithm
		var doc strings.Builder
		sums := make(map[int]string)
		for number, part := range map[int]string{1: strings.Repeat("a", object.MinPartSize), 3: "tail"} {
			answer, _ := s.call("PUT", fmt.Sprintf("/plain/big?uploadId=%s&partNumber=%d", id, number), part)
			sums[number] = answer.Header.Get(header)
		}
		for _, part := range [][2]string{{"1", "79b281060d337b9b2b84ccf390adcf74"}, {"3", "7aea2552dfe7eb84b9443b6fc9ba6e01"}} {
			fmt.Fprintf(&doc, "<Part><PartNumber>%s</PartNumber><ETag>%s</ETag></Part>", part[0], part[1])
		}
		if answer, text := s.call("POST", "/plain/big?uploadId="+id, "<CompleteMultipartUpload>"+doc.String()+"</CompleteMultipartUpload>"); answer.Code != 200 {
			t.Fatal(text)
		}
		for _, method := range []string{"GET", "HEAD"} {
			for number, want := range sums {
				answer, _ := s.call(method, fmt.Sprintf("/plain/big?partNumber=%d", number), "", "X-Amz-Checksum-Mode", "ENABLED")
				if answer.Code != 206 || answer.Header.Get(header) != want || want == "" || answer.Header.Get("X-Amz-Checksum-Type") != kind {
					t.Errorf("%s of part %d: %d %v, want %s", method, number, answer.Code, answer.Header, want)
				}
			}
			answer, _ := s.call(method, "/plain/big", "", "X-Amz-Checksum-Mode", "ENABLED", "Range", fmt.Sprintf("bytes=0-%d", object.MinPartSize-1))
			if answer.Code != 206 || answer.Header.Get(header) != "" {
				t.Errorf("%s of a range: %d %v", method, answer.Code, answer.Header)
			}
		}
	}
}

// A listing of keys is what List says, page after page.
func TestPagesOfDeletion(t *testing.T) {
	s := newServer(t, s3.Config{})
	s.bucket("plain", object.BucketConfig{})
	var doc strings.Builder
	for i := range 1000 {
		s.call("PUT", fmt.Sprintf("/plain/k%03d", i), "")
		fmt.Fprintf(&doc, "<Object><Key>k%03d</Key></Object>", i)
	}
	s.allow = func(_ iam.Principal, c iam.Check) bool { return c.Resource.Key != "k007" }
	_, text := s.call("POST", "/plain?delete", "<Delete><Quiet>true</Quiet>"+doc.String()+"</Delete>")
	if strings.Count(text, "<Error>") != 1 || !strings.Contains(text, "<Key>k007</Key><Code>AccessDenied</Code>") {
		t.Errorf("answer %s", text)
	}
	if _, text := s.call("GET", "/plain", ""); strings.Count(text, "<Contents>") != 1 {
		t.Errorf("left: %s", text)
	}
}

// The event of a request is what log and metrics live on.
func TestEvent(t *testing.T) {
	s := newServer(t, s3.Config{})
	s.bucket("cache", object.BucketConfig{Cache: true})
	tests := []struct {
		method, target, body string
		want                 edge.Event
	}{
		{"GET", "/cache/k", "", edge.Event{Op: "s3.GetObject", Bucket: "cache", Key: "k", Status: 404, Code: "NoSuchKey", Lookup: edge.Miss}},
		{"GET", "/absent/k", "", edge.Event{Op: "s3.GetObject", Bucket: "absent", Key: "k", Status: 404, Code: "NoSuchBucket"}},
		{"PUT", "/cache/k", "body", edge.Event{Op: "s3.PutObject", Bucket: "cache", Key: "k", Status: 200, BytesIn: 4}},
		{"GET", "/cache/k", "", edge.Event{Op: "s3.GetObject", Bucket: "cache", Key: "k", Status: 200, BytesOut: 4, Lookup: edge.Hit}},
		{"GET", "/cache/p/.sccache_check", "", edge.Event{Op: "s3.GetObject", Bucket: "cache", Key: "p/.sccache_check", Status: 404, Code: "NoSuchKey"}},
		{"HEAD", "/cache/k", "", edge.Event{Op: "s3.HeadObject", Bucket: "cache", Key: "k", Status: 200}},
	}
	for _, tt := range tests {
		s.call(tt.method, tt.target, tt.body)
		got := edge.Event{
			Op: s.event.Op, Bucket: s.event.Bucket, Key: s.event.Key, Status: s.event.Status, Code: s.event.Code,
			BytesIn: s.event.BytesIn, Lookup: s.event.Lookup, BytesOut: tt.want.BytesOut,
		}
		if s.event.Status == 200 && s.event.BytesOut != tt.want.BytesOut {
			t.Errorf("%s %s: %d bytes out", tt.method, tt.target, s.event.BytesOut)
		}
		if fmt.Sprint(got) != fmt.Sprint(tt.want) {
			t.Errorf("%s %s:\n got %+v\nwant %+v", tt.method, tt.target, got, tt.want)
		}
		if s.event.Principal.User != "root" || s.event.RequestID == "" {
			t.Errorf("event %+v", s.event)
		}
	}
}
