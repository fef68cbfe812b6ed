package clients_test

import (
	"bytes"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/larder-cache/larder/test/e2e/harness"
)

func minioClient(t *testing.T, s *harness.Server, trailing bool) *minio.Client {
	t.Helper()
	c, err := minio.New(s.Addr, &minio.Options{
		Creds: credentials.NewStaticV4(harness.RootUser, harness.RootPassword, ""), Secure: s.CA != nil,
		Transport: s.HTTPClient().Transport, TrailingHeaders: trailing,
	})
	ok(t, err)
	return c
}

// TestMinioGo drives the server with MinIO's client: bodies signed chunk by chunk,
// with and without trailing checksums.
func TestMinioGo(t *testing.T) {
	both(t, func(t *testing.T, s *harness.Server) {
		t.Helper()
		for bucket, trailing := range map[string]bool{"signed": false, "trailing": true} {
			t.Run(bucket, func(t *testing.T) {
				c := minioClient(t, s, trailing)
				ok(t, c.MakeBucket(t.Context(), bucket, minio.MakeBucketOptions{}))
				err := c.MakeBucket(t.Context(), bucket, minio.MakeBucketOptions{})
				if minio.ToErrorResponse(err).Code != "BucketAlreadyOwnedByYou" {
					t.Errorf("made twice: %v", err)
				}
				minioObjects(t, c, bucket)
				minioStream(t, c, bucket)
				minioLinks(t, c, bucket, s.HTTPClient())
				minioRemove(t, c, bucket)
			})
		}
	})
}

func minioObjects(t *testing.T, c *minio.Client, bucket string) {
	t.Helper()
	for _, key := range oddKeys() {
		if strings.HasPrefix(key, "/") || strings.Contains("/"+key+"/", "/../") || strings.Contains("/"+key+"/", "/./") {
			continue // this client cleans such names itself
		}
		want := []byte("body of " + key)
		_, err := c.PutObject(t.Context(), bucket, key, bytes.NewReader(want), int64(len(want)), minio.PutObjectOptions{UserMetadata: map[string]string{"Colour": "green"}, ContentType: "text/x-test", ContentEncoding: "x-own"})
		if err != nil {
			t.Errorf("put %q: %v", key, err)
			continue
		}
		info, err := c.StatObject(t.Context(), bucket, key, minio.StatObjectOptions{Checksum: true})
		ok(t, err)
		if info.UserMetadata["Colour"] != "green" || info.ContentType != "text/x-test" || info.Metadata.Get("Content-Encoding") != "x-own" || info.Size != int64(len(want)) {
			t.Errorf("stat %q: %+v", key, info)
		}
		same(t, key, minioGet(t, c, bucket, key), want)
	}
	n := 0
	for o := range c.ListObjects(t.Context(), bucket, minio.ListObjectsOptions{Recursive: true}) {
		ok(t, o.Err)
		n++
	}
	if n < 20 {
		t.Errorf("listed %d", n)
	}
}

func minioGet(t *testing.T, c *minio.Client, bucket, key string) []byte {
	t.Helper()
	o, err := c.GetObject(t.Context(), bucket, key, minio.GetObjectOptions{})
	ok(t, err)
	defer func() { _ = o.Close() }()
	body, err := io.ReadAll(o)
	ok(t, err)
	return body
}

func minioStream(t *testing.T, c *minio.Client, bucket string) {
	t.Helper()
	want := random(12<<20 + 7)
	_, err := c.PutObject(t.Context(), bucket, "stream", io.MultiReader(bytes.NewReader(want)), -1, minio.PutObjectOptions{PartSize: 5 << 20})
	ok(t, err)
	same(t, "of unknown length", minioGet(t, c, bucket, "stream"), want)
	_, err = c.PutObject(t.Context(), bucket, "large", bytes.NewReader(want), int64(len(want)), minio.PutObjectOptions{PartSize: 6 << 20, NumThreads: 2})
	ok(t, err)
	same(t, "in parts", minioGet(t, c, bucket, "large"), want)
	_, err = c.PutObject(t.Context(), bucket, "single", bytes.NewReader(want), int64(len(want)), minio.PutObjectOptions{DisableMultipart: true})
	ok(t, err)
	same(t, "in one piece", minioGet(t, c, bucket, "single"), want)
	_, err = c.ComposeObject(t.Context(), minio.CopyDestOptions{Bucket: bucket, Object: "joined"}, minio.CopySrcOptions{Bucket: bucket, Object: "stream"}, minio.CopySrcOptions{Bucket: bucket, Object: "large"})
	ok(t, err)
	same(t, "composed", minioGet(t, c, bucket, "joined"), append(bytes.Clone(want), want...))
}

func minioLinks(t *testing.T, c *minio.Client, bucket string, client *http.Client) {
	t.Helper()
	link, err := c.PresignedGetObject(t.Context(), bucket, "stream", time.Minute, url.Values{"response-content-type": {"x/y"}})
	ok(t, err)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, link.String(), nil)
	ok(t, err)
	res, err := client.Do(req)
	ok(t, err)
	body, err := io.ReadAll(res.Body)
	ok(t, errors.Join(err, res.Body.Close()))
	if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "x/y" {
		t.Errorf("by link: %d %v", res.StatusCode, res.Header)
	}
	same(t, "by link", body, random(12<<20+7))

	policy := minio.NewPostPolicy()
	ok(t, errors.Join(policy.SetBucket(bucket), policy.SetKeyStartsWith("form/"), policy.SetExpires(time.Now().Add(time.Minute)), policy.SetContentLengthRange(1, 100)))
	to, fields, err := c.PresignedPostPolicy(t.Context(), policy)
	ok(t, err)
	for key, want := range map[string]int{"form/one": http.StatusNoContent, "elsewhere/one": http.StatusForbidden} {
		if status := post(t, client, to.String(), fields, key, "by form"); status != want {
			t.Errorf("form upload of %s: %d, want %d", key, status, want)
		}
	}
	same(t, "by form", minioGet(t, c, bucket, "form/one"), []byte("by form"))
}

func post(t *testing.T, client *http.Client, to string, fields map[string]string, key, text string) int {
	t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for k, v := range fields {
		if k != "key" {
			ok(t, form.WriteField(k, v))
		}
	}
	ok(t, form.WriteField("key", key))
	file, err := form.CreateFormFile("file", "x")
	ok(t, err)
	_, err = io.WriteString(file, text)
	ok(t, errors.Join(err, form.Close()))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, to, &body)
	ok(t, err)
	req.Header.Set("Content-Type", form.FormDataContentType())
	res, err := client.Do(req)
	ok(t, err)
	_ = res.Body.Close()
	return res.StatusCode
}

func minioRemove(t *testing.T, c *minio.Client, bucket string) {
	t.Helper()
	for e := range c.RemoveObjects(t.Context(), bucket, c.ListObjects(t.Context(), bucket, minio.ListObjectsOptions{Recursive: true}), minio.RemoveObjectsOptions{}) {
		t.Errorf("remove %s: %v", e.ObjectName, e.Err)
	}
	ok(t, c.RemoveBucket(t.Context(), bucket))
	exists, err := c.BucketExists(t.Context(), bucket)
	ok(t, err)
	if exists {
		t.Error("the bucket is still there")
	}
}
