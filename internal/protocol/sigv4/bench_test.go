package sigv4_test

import (
	"io"
	"testing"

	"github.com/larder-cache/larder/internal/protocol/sigv4"
)

// BenchmarkVerify measures a GET as sccache sends it.
func BenchmarkVerify(b *testing.B) {
	v := newVerifier(b, exampleTime, sigv4.Config{})
	req := request("GET", "/sccache/a/b/c/abc0123456789abcdef0123456789abcdef0123456789abcdef0123456789abc", "cache.example:9000", "", "User-Agent: sccache/0.19.0")
	sigv4.Sign(req, sigv4.Key{ID: exampleID, Secret: exampleSecret}, "auto", "s3", sigv4.UnsignedPayload, exampleTime)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(b.Context(), req); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkChunks measures the documented upload of 65 KiB in signed chunks.
func BenchmarkChunks(b *testing.B) {
	v := newVerifier(b, exampleTime, sigv4.Config{})
	b.ReportAllocs()
	b.SetBytes(66560)
	for b.Loop() {
		signed, err := v.Verify(b.Context(), documentedChunks())
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, signed.Body); err != nil {
			b.Fatal(err)
		}
	}
}
