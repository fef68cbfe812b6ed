package sigv4_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/object"
	"github.com/larder-cache/larder/internal/protocol/edge"
	"github.com/larder-cache/larder/internal/protocol/s3"
	"github.com/larder-cache/larder/internal/protocol/sigv4"
	"github.com/larder-cache/larder/internal/storetest"
)

// everybody may do everything, once he has proven who he is.
type everybody struct{}

func (everybody) Authorize(_ context.Context, who iam.Principal, _ iam.Check, _ iam.Facts) iam.Decision {
	return iam.Decision{Allowed: who.Kind != iam.Anonymous}
}

// s3Server is S3 behind the pipeline, with a bucket and an object.
func s3Server(t *testing.T) http.Handler {
	t.Helper()
	store := storetest.NewMemory(storetest.Config{})
	if _, err := store.CreateBucket(t.Context(), "bucket", object.BucketConfig{}); err != nil {
		t.Fatal(err)
	}
	verifier, err := sigv4.New(keys, sigv4.Config{})
	if err != nil {
		t.Fatal(err)
	}
	protocol, err := s3.New(store, s3.Config{Form: verifier})
	if err != nil {
		t.Fatal(err)
	}
	pipeline, err := edge.New(edge.Signatures(verifier), everybody{}, []edge.Protocol{protocol}, edge.Config{})
	if err != nil {
		t.Fatal(err)
	}
	put := httptest.NewRequest(http.MethodPut, "/bucket/key", strings.NewReader("content"))
	sigv4.Sign(put, exampleKey, "r", "s3", sigv4.UnsignedPayload, time.Now())
	if status, answer := serve(pipeline, put); status != http.StatusOK {
		t.Fatalf("%d %s", status, answer)
	}
	return pipeline
}

func serve(h http.Handler, r *http.Request) (status int, answer string) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

// routes is every method on every level with every subresource, so that a route
// that is added is here already.
func routes() (targets [][2]string) {
	subresources := strings.Fields(`- accelerate acl analytics attributes cors delete encryption events intelligent-tiering inventory
		legal-hold lifecycle location logging metrics notification object-lock ownershipControls policy policyStatus publicAccessBlock
		replication requestPayment restore retention select session tagging torrent uploadId=x uploadId=x&partNumber=1 uploads versioning
		versions website list-type=2`)
	for _, path := range []string{"/", "/bucket", "/bucket/key"} {
		for _, method := range []string{"GET", "HEAD", "PUT", "POST", "DELETE"} {
			for _, sub := range subresources {
				target := path
				if sub != "-" {
					target += "?" + sub
				}
				targets = append(targets, [2]string{method, target})
			}
		}
	}
	return targets
}

// forms are the ways to sign, or not to.
var forms = map[string]func(r *http.Request, key sigv4.Key){
	"header": func(r *http.Request, key sigv4.Key) {
		sigv4.Sign(r, key, "r", "s3", sigv4.UnsignedPayload, time.Now())
	},
	"hashed": func(r *http.Request, key sigv4.Key) {
		sigv4.Sign(r, key, "r", "s3", sigv4.EmptyPayload, time.Now())
	},
	"presigned": func(r *http.Request, key sigv4.Key) {
		sigv4.Presign(r, key, "r", "s3", time.Now(), time.Hour)
	},
	"signed chunks":           streamed("STREAMING-AWS4-HMAC-SHA256-PAYLOAD"),
	"signed chunks, trailer":  streamed("STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"),
	"unsigned chunks":         streamed("STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
	"credential in the query": func(r *http.Request, key sigv4.Key) { addQuery(r, "X-Amz-Credential="+string(key.ID)) },
	"signature in the query":  func(r *http.Request, _ sigv4.Key) { addQuery(r, "X-Amz-Signature="+strings.Repeat("0", 64)) },
	"token in the query":      func(r *http.Request, _ sigv4.Key) { addQuery(r, "X-Amz-Security-Token=t") },
	"version 2":               func(r *http.Request, key sigv4.Key) { r.Header.Set("Authorization", "AWS "+string(key.ID)+":AAAA") },
	"version 2, query": func(r *http.Request, key sigv4.Key) {
		addQuery(r, "AWSAccessKeyId="+string(key.ID)+"&Signature=AAAA&Expires=9999999999")
	},
	"anonymous":                  func(*http.Request, sigv4.Key) {},
	"anonymous, unsigned chunks": func(r *http.Request, _ sigv4.Key) { chunkHeaders(r, "STREAMING-UNSIGNED-PAYLOAD-TRAILER") },
	"anonymous, signed chunks":   func(r *http.Request, _ sigv4.Key) { chunkHeaders(r, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD") },
	"a header of our own": func(r *http.Request, _ sigv4.Key) {
		for _, name := range []string{"X-Larder-Principal", "X-Minio-Source-Replication-Request", "X-Minio-Replication-Request", "Username", "X-Forwarded-User"} {
			r.Header.Set(name, exampleID)
		}
	},
}

func addQuery(r *http.Request, q string) {
	r.URL.RawQuery = strings.TrimPrefix(r.URL.RawQuery+"&"+q, "&")
}

func chunkHeaders(r *http.Request, kind string) {
	r.Header.Set("X-Amz-Decoded-Content-Length", "0")
	r.Header.Set("X-Amz-Content-Sha256", kind)
}

func streamed(kind string) func(*http.Request, sigv4.Key) {
	return func(r *http.Request, key sigv4.Key) {
		chunkHeaders(r, kind)
		sigv4.Sign(r, key, "r", "s3", kind, time.Now())
	}
}

// TestEveryRouteEveryForm sends every request that S3 knows with a wrong
// signature of every form, and without one. None succeeds, and nothing changes.
func TestEveryRouteEveryForm(t *testing.T) {
	guess := sigv4.Key{ID: exampleID, Secret: "a guess"}
	server := s3Server(t)
	before := state(t, server)
	reached, sent := 0, 0
	for _, route := range routes() {
		right := httptest.NewRequest(route[0], route[1], strings.NewReader("0\r\n\r\n"))
		forms["header"](right, exampleKey)
		status, _ := serve(s3Server(t), right)
		offered := status != http.StatusNotImplemented && status != http.StatusMethodNotAllowed && status != http.StatusBadRequest &&
			status != http.StatusPreconditionFailed // a form that is none: refused for its syntax
		if offered {
			reached++
		}
		for name, sign := range forms {
			r := httptest.NewRequest(route[0], route[1], strings.NewReader("0\r\n\r\n"))
			sign(r, guess)
			sent++
			got, answer := serve(server, r)
			if got < 400 || offered && got != http.StatusForbidden && got != http.StatusBadRequest || got >= 500 && got != http.StatusNotImplemented {
				t.Errorf("%s %s, %s: %d %s", route[0], route[1], name, got, answer)
			}
			if offered && got == http.StatusBadRequest && !strings.Contains(name, "query") && !strings.HasPrefix(name, "version 2") && !strings.Contains(name, "chunks") {
				t.Errorf("%s %s, %s: %d %s, want 403", route[0], route[1], name, got, answer)
			}
		}
	}
	if after := state(t, server); after != before {
		t.Errorf("something changed:\n%s\n%s", before, after)
	}
	if reached < 40 {
		t.Errorf("only %d routes were reached with a right signature", reached)
	}
	t.Logf("%d requests; %d routes answer a right signature", sent, reached)
}

// state is what root sees: buckets, objects, uploads, content.
func state(t *testing.T, server http.Handler) string {
	t.Helper()
	var seen strings.Builder
	for _, target := range []string{"/", "/bucket?list-type=2", "/bucket?uploads", "/bucket?tagging", "/bucket/key", "/bucket/key?tagging"} {
		r := httptest.NewRequest(http.MethodGet, target, nil)
		forms["header"](r, exampleKey)
		_, answer := serve(server, r)
		if id := strings.Index(answer, "<RequestId>"); id > 0 {
			answer = answer[:id]
		}
		seen.WriteString(answer + "\n")
	}
	return seen.String()
}

// TestForgedForm: a form whose policy was signed with another secret stores nothing.
func TestForgedForm(t *testing.T) {
	for name, change := range map[string]func(fields map[string]string){
		"forged":       func(f map[string]string) { f["x-amz-signature"] = strings.Repeat("0", 64) },
		"no signature": func(f map[string]string) { delete(f, "x-amz-signature") },
		"no policy":    func(f map[string]string) { delete(f, "policy") },
		"version 2": func(f map[string]string) {
			f["AWSAccessKeyId"], f["signature"] = exampleID, "AAAA"
			delete(f, "x-amz-signature")
		},
		"nothing signed": func(f map[string]string) { clear(f); f["key"] = "key" },
	} {
		t.Run(name, func(t *testing.T) {
			server := s3Server(t)
			before := state(t, server)
			now := time.Now().UTC()
			fields := map[string]string{
				"key": "key", "policy": "eyJleHBpcmF0aW9uIjoiMjA5OS0wMS0wMVQwMDowMDowMFoiLCJjb25kaXRpb25zIjpbXX0=",
				"x-amz-algorithm": "AWS4-HMAC-SHA256", "x-amz-credential": exampleID + "/" + now.Format("20060102") + "/r/s3/aws4_request",
				"x-amz-date": now.Format("20060102T150405Z"), "x-amz-signature": strings.Repeat("1", 64),
			}
			change(fields)
			var body bytes.Buffer
			form := multipart.NewWriter(&body)
			for field, value := range fields {
				_ = form.WriteField(field, value)
			}
			file, _ := form.CreateFormFile("file", "f")
			_, _ = io.WriteString(file, "poison")
			_ = form.Close()
			r := httptest.NewRequest(http.MethodPost, "/bucket", &body)
			r.Header.Set("Content-Type", form.FormDataContentType())
			if status, answer := serve(server, r); status != http.StatusForbidden && status != http.StatusBadRequest {
				t.Errorf("%d %s", status, answer)
			}
			if state(t, server) != before {
				t.Error("something changed")
			}
		})
	}
}

// TestForgedBodies: a right signature over the headers and a wrong body stores
// nothing, whatever the form.
func TestForgedBodies(t *testing.T) {
	server := s3Server(t)
	before := state(t, server)
	chunk := func(size string) string { return size + ";chunk-signature=" + strings.Repeat("0", 64) + "\r\n" }
	for name, tt := range map[string]struct {
		kind, body, length string
	}{
		"signed chunks":          {"STREAMING-AWS4-HMAC-SHA256-PAYLOAD", chunk("6") + "poison\r\n" + chunk("0") + "\r\n", "6"},
		"signed chunks, trailer": {"STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", chunk("6") + "poison\r\n" + chunk("0") + "\r\n", "6"},
		"no chunk signatures":    {"STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "6\r\npoison\r\n0\r\n\r\n", "6"},
		"shorter than announced": {"STREAMING-UNSIGNED-PAYLOAD-TRAILER", "6\r\npoison\r\n0\r\n\r\n", "7"},
		"longer than announced":  {"STREAMING-UNSIGNED-PAYLOAD-TRAILER", "6\r\npoison\r\n0\r\n\r\n", "5"},
		"another hash":           {sigv4.EmptyPayload, "poison", ""},
	} {
		r := httptest.NewRequest(http.MethodPut, "/bucket/key", strings.NewReader(tt.body))
		if tt.length != "" {
			r.Header.Set("X-Amz-Decoded-Content-Length", tt.length)
		}
		sigv4.Sign(r, exampleKey, "r", "s3", tt.kind, time.Now())
		if status, answer := serve(server, r); status != http.StatusForbidden && status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", name, status, answer)
		}
		if state(t, server) != before {
			t.Fatalf("%s: something changed", name)
		}
	}
}

// TestUnsignedMeaning: whoever holds a presigned URL may not make a copy of it.
func TestUnsignedMeaning(t *testing.T) {
	server := s3Server(t)
	before := state(t, server)
	for name, value := range map[string]string{
		"X-Amz-Copy-Source": "/bucket/key", "X-Amz-Meta-Owner": "me", "X-Amz-Tagging": "a=b", "X-Amz-Metadata-Directive": "REPLACE",
	} {
		r := httptest.NewRequest(http.MethodPut, "/bucket/other", strings.NewReader("x"))
		sigv4.Presign(r, exampleKey, "r", "s3", time.Now(), time.Hour)
		r.Header.Set(name, value)
		if status, answer := serve(server, r); status != http.StatusForbidden {
			t.Errorf("%s: %d %s", name, status, answer)
		}
	}
	if state(t, server) != before {
		t.Error("something changed")
	}
	u, _ := url.Parse("/bucket/key")
	r := &http.Request{Method: http.MethodGet, URL: u, Host: "h", Header: http.Header{}}
	sigv4.Presign(r, exampleKey, "r", "s3", time.Now().Add(-2*time.Hour), time.Hour)
	if status, answer := serve(server, httptest.NewRequest(http.MethodGet, "http://h"+r.URL.String(), nil)); status != http.StatusForbidden || !strings.Contains(answer, "expired") {
		t.Errorf("expired URL: %d %s", status, fmt.Sprint(answer))
	}
}
