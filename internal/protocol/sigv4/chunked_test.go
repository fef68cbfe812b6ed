package sigv4_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/larder-cache/larder/internal/protocol/sigv4"
)

// edit returns the documented upload with its body changed.
func edit(req *http.Request, from, to string) *http.Request {
	body, _ := io.ReadAll(req.Body)
	req.Body = io.NopCloser(bytes.NewReader(bytes.Replace(body, []byte(from), []byte(to), 1)))
	return req
}

// TestForgedChunks changes a signed stream in every way that must show, and
// counts what was delivered before it did.
func TestForgedChunks(t *testing.T) {
	tests := []struct {
		name string
		req  *http.Request
		want string
		most int // bytes delivered
	}{
		{"first chunk's content", edit(documentedChunks(), "aaa", "aba"), "SignatureDoesNotMatch", 0},
		{"second chunk's content", edit(documentedChunks(), "\r\na", "\r\nb"), "SignatureDoesNotMatch", 0},
		{"last signature", edit(documentedChunks(), "b6c6ea8a", "00000000"), "SignatureDoesNotMatch", 64 << 10},
		{"no signature", edit(documentedChunks(), ";chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648", ""), "SignatureDoesNotMatch", 0},
		{"no last chunk", edit(documentedChunks(), "0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n", ""), "InvalidRequest", 64 << 10},
		{"ends early", edit(documentedChunks(), "400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n"+strings.Repeat("a", 1024)+"\r\n", ""), "IncompleteBody", 64 << 10},
		{"size above the limit", edit(documentedChunks(), "10000;", "7fffffffffffffff;"), "InvalidRequest", 0},
		{"size that overflows", edit(documentedChunks(), "10000;", "ffffffffffffffff;"), "InvalidRequest", 0},
		{"size shorter", edit(documentedChunks(), "10000;", "ffff;"), "InvalidRequest", 0},
		{"endless line", edit(documentedChunks(), "10000;", strings.Repeat("0", 9000)+";"), "InvalidRequest", 0},
		{"content behind the end", edit(documentedChunks(), "9df9\r\n", "9df9\r\nx-amz-checksum-crc32c:AAAAAA==\r\n"), "MalformedTrailerError", 64 << 10},
		{"trailer's value", edit(documentedTrailer(), "sOO8/Q==", "AAAAAA=="), "SignatureDoesNotMatch", 64 << 10},
		{"trailer's signature", edit(documentedTrailer(), "d81f82fc", "00000000"), "SignatureDoesNotMatch", 64 << 10},
		{"no trailer signature", edit(documentedTrailer(), "x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n", ""), "SignatureDoesNotMatch", 64 << 10},
		{"trailer behind its signature", edit(documentedTrailer(), "e435\r\n", "e435\r\nx-amz-meta-a:b\r\n"), "MalformedTrailerError", 64 << 10},
		{"another trailer", edit(documentedTrailer(), "x-amz-checksum-crc32c", "x-amz-checksum-crc32"), "MalformedTrailerError", 64 << 10},
		{"no trailer", edit(documentedTrailer(), "x-amz-checksum-crc32c:sOO8/Q==\r\n", ""), "MalformedTrailerError", 64 << 10},
		{"endless trailer", edit(documentedTrailer(), "sOO8", strings.Repeat("s", 20<<10)), "MalformedTrailerError", 64 << 10},
	}
	v := newVerifier(t, exampleTime, sigv4.Config{})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			signed, err := v.Verify(t.Context(), tt.req)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(signed.Body)
			if c := code(t, err).String(); c != tt.want || len(got) > tt.most {
				t.Errorf("delivered %d bytes, then %v; want %s after at most %d", len(got), err, tt.want, tt.most)
			}
			if strings.Contains(string(got), "b") {
				t.Error("forged content was delivered")
			}
			if n, again := signed.Body.Read(make([]byte, 1)); n != 0 || again == nil {
				t.Errorf("after the error Read returns %d, %v", n, again)
			}
		})
	}
}

func TestSignedChunkLimit(t *testing.T) {
	signed, err := newVerifier(t, exampleTime, sigv4.Config{MaxChunk: 64<<10 - 1}).Verify(t.Context(), documentedChunks())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(signed.Body); len(got) != 0 || code(t, err) != sigv4.MalformedChunk {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
}

// unsigned returns an upload whose chunks are not signed, as the SDKs send it over TLS.
func unsigned(length, body string, headers ...string) *http.Request {
	req := request("PUT", "/b/k", "h", body, append(headers, "X-Amz-Decoded-Content-Length: "+length)...)
	sigv4.Sign(req, exampleKey, "r", "s3", "STREAMING-UNSIGNED-PAYLOAD-TRAILER", exampleTime)
	return req
}

func TestUnsignedTrailer(t *testing.T) {
	const announce, sum = "X-Amz-Trailer: x-amz-checksum-crc32", "x-amz-checksum-crc32:AAAAAA=="
	tests := []struct {
		name    string
		req     *http.Request
		want    string // content, or the error's code
		trailer string
	}{
		{"as the SDKs send it", unsigned("5", "5\r\nhello\r\n0\r\n"+sum+"\r\n\r\n", announce), "hello", "AAAAAA=="},
		{"several chunks", unsigned("5", "2\r\nhe\r\n3\r\nllo\r\n0\r\n"+sum+"\r\n\r\n", announce), "hello", "AAAAAA=="},
		{"no trailer announced", unsigned("5", "5\r\nhello\r\n0\r\n\r\n"), "hello", ""},
		{"empty", unsigned("0", "0\r\n"+sum+"\r\n\r\n", announce), "", "AAAAAA=="},
		{"newlines alone", unsigned("5", "5\nhello\n0\n"+sum+"\n\n", announce), "hello", "AAAAAA=="},
		{"blank line before the trailer", unsigned("5", "5\r\nhello\r\n0\r\n\r\n"+sum+"\r\n\r\n", announce), "hello", "AAAAAA=="},
		{"more than announced", unsigned("4", "5\r\nhello\r\n0\r\n\r\n"), "IncompleteBody", ""},
		{"less than announced", unsigned("6", "5\r\nhello\r\n0\r\n\r\n"), "IncompleteBody", ""},
		{"cut in a chunk", unsigned("5", "5\r\nhel"), "IncompleteBody", ""},
		{"cut behind the content", unsigned("5", "5\r\nhello\r\n"), "IncompleteBody", ""},
		{"no framing", unsigned("5", "hello"), "IncompleteBody", ""},
		{"negative size", unsigned("5", "-5\r\nhello\r\n0\r\n\r\n"), "InvalidRequest", ""},
		{"trailer not announced", unsigned("5", "5\r\nhello\r\n0\r\n"+sum+"\r\n\r\n"), "MalformedTrailerError", ""},
		{"trailer twice", unsigned("5", "5\r\nhello\r\n0\r\n"+sum+"\r\n"+sum+"\r\n\r\n", announce), "MalformedTrailerError", ""},
		{"trailer absent", unsigned("5", "5\r\nhello\r\n0\r\n\r\n", announce), "MalformedTrailerError", ""},
		{"not a header", unsigned("5", "5\r\nhello\r\n0\r\nnonsense\r\n\r\n", announce), "MalformedTrailerError", ""},
	}
	v := newVerifier(t, exampleTime, sigv4.Config{})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			signed, err := v.Verify(t.Context(), tt.req)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(iotest.OneByteReader(signed.Body))
			result := string(got)
			if err != nil {
				if int64(len(got)) >= max(signed.Length, 1) {
					t.Errorf("the last byte of a wrong body was delivered: %q", got)
				}
				result = code(t, err).String()
			}
			if result != tt.want {
				t.Errorf("got %q (%v), want %q", result, err, tt.want)
			}
			if tt.trailer != "" && signed.Body.Trailer("x-amz-checksum-crc32") != tt.trailer {
				t.Error("no trailer")
			}
		})
	}
}

// TestCountingReader takes exactly the decoded length: trailers are there
// without a further read, and a forged end is noticed.
func TestCountingReader(t *testing.T) {
	v := newVerifier(t, exampleTime, sigv4.Config{})
	for forged, req := range map[bool]*http.Request{false: documentedTrailer(), true: edit(documentedTrailer(), "sOO8", "AAAA")} {
		signed, err := v.Verify(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.ReadFull(signed.Body, make([]byte, signed.Length))
		if (err != nil) != forged {
			t.Errorf("forged %v: %v", forged, err)
		}
		if got := signed.Body.Trailer("x-amz-checksum-crc32c"); !forged && got == "" {
			t.Error("the trailer is not there with the last byte")
		}
	}
}

func TestAnnouncedTrailers(t *testing.T) {
	v := newVerifier(t, exampleTime, sigv4.Config{})
	for _, names := range []string{"", ",", "x y", "x-amz-trailer-signature", strings.Repeat("a,", 9) + "a"} {
		if _, err := v.Verify(t.Context(), unsigned("0", "0\r\n\r\n", "X-Amz-Trailer: "+names)); code(t, err) != sigv4.MalformedTrailer {
			t.Errorf("%q: %v", names, err)
		}
	}
}

func FuzzAuthorization(f *testing.F) {
	f.Add(signedGet().Header.Get("Authorization"), "20130524T000000Z")
	f.Add("AWS4-HMAC-SHA256 Credential=/////,SignedHeaders=host,Signature="+strings.Repeat("0", 64), "")
	f.Add("AWS4-HMAC-SHA256", "20130524T000000Z")
	f.Fuzz(func(t *testing.T, authorization, date string) {
		req := signedGet(header("X-Amz-Date", date))
		same := authorization == req.Header.Get("Authorization") && date == "20130524T000000Z"
		req.Header["Authorization"] = []string{authorization}
		_, err := newVerifier(t, exampleTime, sigv4.Config{}).Verify(t.Context(), req)
		if err == nil && !same && !strings.Contains(authorization, signedGet().Header.Get("Authorization")[100:]) {
			t.Errorf("accepted %q", authorization)
		}
	})
}

func FuzzPresigned(f *testing.F) {
	f.Add(presignedGet().URL.RawQuery)
	f.Add("X-Amz-Signature&X-Amz-Expires=%zz&=&&;")
	f.Fuzz(func(t *testing.T, query string) {
		req := presignedGet()
		req.URL.RawQuery = query
		signed, err := newVerifier(t, exampleTime, sigv4.Config{}).Verify(t.Context(), req)
		if err == nil && signed.Type != sigv4.Anonymous && !strings.Contains(query, "Signature") {
			t.Errorf("accepted %q", query)
		}
	})
}

func FuzzChunks(f *testing.F) {
	f.Add([]byte("5\r\nhello\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n"), int64(5), false)
	f.Add([]byte("5;chunk-signature="+strings.Repeat("0", 64)+"\r\nhello\r\n0;chunk-signature=\r\n\r\n"), int64(5), true)
	f.Fuzz(func(t *testing.T, body []byte, length int64, chunkSigned bool) {
		kind := "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
		if chunkSigned {
			kind = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
		}
		req := request("PUT", "/b/k", "h", string(body), fmt.Sprintf("X-Amz-Decoded-Content-Length: %d", length), "X-Amz-Trailer: x-amz-checksum-crc32")
		sigv4.Sign(req, exampleKey, "r", "s3", kind, exampleTime)
		signed, err := newVerifier(t, exampleTime, sigv4.Config{}).Verify(t.Context(), req)
		if err != nil {
			return
		}
		got, err := io.ReadAll(signed.Body)
		if int64(len(got)) > length || err == nil && int64(len(got)) != length {
			t.Errorf("%d bytes of %d, %v", len(got), length, err)
		}
		if chunkSigned && len(got) > 0 {
			t.Error("bytes without a signature were delivered")
		}
	})
}
