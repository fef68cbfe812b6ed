package app_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/protocol/sigv4"
)

// TestBucketHostsHaveKeysOnly sends what other protocols answer to the host of a
// bucket, where it is the bucket's, and what a bucket would hide to path style.
func TestBucketHostsHaveKeysOnly(t *testing.T) {
	i := start(t, t.TempDir(), false, nil, map[string]string{"domain": "cache.example"})
	ask := func(method, host, path string) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), method, "http://"+i.address+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		sigv4.Sign(req, i.root(), "", "s3", sigv4.UnsignedPayload, time.Now())
		return send(t, http.DefaultTransport, req)
	}
	for _, path := range []string{
		"/minio/health/live", "/minio/admin/v3/info", "/minio/admin/v3/list-users", "/minio/v2/metrics/cluster",
		"/minio/kms/v1/key/status", "/larder/v1/credentials",
	} {
		if status, body := ask(http.MethodGet, "sccache.cache.example", path); status != 404 || !strings.Contains(body, "<Code>NoSuchKey</Code>") {
			t.Errorf("key %s: %d %s", path, status, body)
		}
		if status, body := ask(http.MethodPut, "sccache.cache.example", path); status != 200 {
			t.Errorf("put key %s: %d %s", path, status, body)
		}
		if status, body := ask(http.MethodGet, "cache.example", path); strings.Contains(body, "NoSuchKey") || strings.Contains(body, "NoSuchBucket") {
			t.Errorf("path %s: %d %s", path, status, body)
		}
	}
	for _, name := range []string{"minio", "larder"} {
		for host, path := range map[string]string{"cache.example": "/" + name, name + ".cache.example": "/" + name} {
			if status, body := ask(http.MethodPut, host, path); status != 400 || !strings.Contains(body, "<Code>InvalidBucketName</Code>") || !strings.Contains(body, "server's own") {
				t.Errorf("make %s at %s: %d %s", name, host, status, body)
			}
		}
		if status, _ := ask(http.MethodGet, name+".cache.example", "/minio/health/live"); status != 200 {
			t.Errorf("host %s: %d", name, status)
		}
		if status, body := ask(http.MethodGet, name+".cache.example", "/sccache/absent"); status != 404 || !strings.Contains(body, "NoSuchKey") {
			t.Errorf("path style at host %s: %d %s", name, status, body)
		}
	}
}
