package clients_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"github.com/larder-cache/larder/test/e2e/harness"
)

func awsClient(s *harness.Server) *s3.Client {
	return s3.New(s3.Options{
		BaseEndpoint: aws.String(s.URL()), Region: "us-east-1", UsePathStyle: true, HTTPClient: s.HTTPClient(),
		Credentials: credentials.NewStaticCredentialsProvider(harness.RootUser, harness.RootPassword, ""),
	})
}

// TestAWSSDK drives the server with the AWS SDK for Go.
func TestAWSSDK(t *testing.T) {
	both(t, func(t *testing.T, s *harness.Server) {
		t.Helper()
		c := awsClient(s)
		_, err := c.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("sdk")})
		ok(t, err)
		t.Run("checksums", func(t *testing.T) { awsChecksums(t, c) })
		t.Run("keys", func(t *testing.T) { awsKeys(t, c) })
		t.Run("multipart", func(t *testing.T) { awsMultipart(t, c) })
		t.Run("conditional", func(t *testing.T) { awsConditional(t, c) })
		t.Run("presigned", func(t *testing.T) { awsPresigned(t, c, s.HTTPClient()) })
		t.Run("pages", func(t *testing.T) { awsPages(t, c) })
		t.Run("copy and metadata", func(t *testing.T) { awsCopy(t, c) })
		t.Run("probes", func(t *testing.T) { awsProbes(t, c) })
	})
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// code wants err to be the service's error with that code.
func code(t *testing.T, err error, want string) {
	t.Helper()
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorCode() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func awsGet(t *testing.T, c *s3.Client, key string) []byte {
	t.Helper()
	out, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("sdk"), Key: &key, ChecksumMode: types.ChecksumModeEnabled})
	ok(t, err)
	defer func() { _ = out.Body.Close() }()
	body, err := io.ReadAll(out.Body) // the SDK verifies the checksum
	ok(t, err)
	return body
}

func awsChecksums(t *testing.T, c *s3.Client) {
	t.Helper()
	for _, algorithm := range []types.ChecksumAlgorithm{"", types.ChecksumAlgorithmCrc32, types.ChecksumAlgorithmCrc32c, types.ChecksumAlgorithmCrc64nvme, types.ChecksumAlgorithmSha1, types.ChecksumAlgorithmSha256} {
		for _, size := range []int{0, 1, 70_000, 3 << 20} {
			key, want := fmt.Sprintf("sum-%s-%d", algorithm, size), random(size)
			_, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("sdk"), Key: &key, Body: bytes.NewReader(want), ChecksumAlgorithm: algorithm})
			ok(t, err)
			same(t, key, awsGet(t, c, key), want)
		}
	}
	key := "wrong"
	_, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("sdk"), Key: &key, Body: strings.NewReader("x"), ChecksumSHA256: aws.String("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")})
	code(t, err, "BadDigest")
	_, err = c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String("sdk"), Key: &key})
	code(t, err, "NotFound")
	attributes, err := c.GetObjectAttributes(t.Context(), &s3.GetObjectAttributesInput{Bucket: aws.String("sdk"), Key: aws.String("sum-SHA256-70000"), ObjectAttributes: []types.ObjectAttributes{types.ObjectAttributesChecksum, types.ObjectAttributesObjectSize, types.ObjectAttributesEtag}})
	ok(t, err)
	if aws.ToInt64(attributes.ObjectSize) != 70_000 || attributes.Checksum == nil || attributes.Checksum.ChecksumSHA256 == nil {
		t.Errorf("attributes: %+v", attributes)
	}
}

func awsKeys(t *testing.T, c *s3.Client) {
	t.Helper()
	_, err := c.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("odd")})
	ok(t, err)
	for _, key := range oddKeys() {
		_, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("odd"), Key: &key, Body: strings.NewReader("body of " + key)})
		ok(t, err)
	}
	for _, key := range oddKeys() {
		out, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("odd"), Key: &key})
		if err != nil {
			t.Errorf("get %q: %v", key, err)
			continue
		}
		body, err := io.ReadAll(out.Body)
		ok(t, errors.Join(err, out.Body.Close()))
		same(t, key, body, []byte("body of "+key))
	}
	list, err := c.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String("odd")})
	ok(t, err)
	var got []string
	var doomed []types.ObjectIdentifier
	for _, o := range list.Contents {
		got = append(got, *o.Key)
		doomed = append(doomed, types.ObjectIdentifier{Key: o.Key})
	}
	want := oddKeys()
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("listed %q\nwant %q", got, want)
	}
	deleted, err := c.DeleteObjects(t.Context(), &s3.DeleteObjectsInput{Bucket: aws.String("odd"), Delete: &types.Delete{Objects: doomed}})
	ok(t, err)
	if len(deleted.Deleted) != len(want) || len(deleted.Errors) != 0 {
		t.Errorf("deleted %d of %d: %v", len(deleted.Deleted), len(want), deleted.Errors)
	}
	_, err = c.DeleteBucket(t.Context(), &s3.DeleteBucketInput{Bucket: aws.String("odd")})
	ok(t, err)
}

func awsMultipart(t *testing.T, c *s3.Client) {
	t.Helper()
	key, part := "parts", 5<<20
	for _, algorithm := range []types.ChecksumAlgorithm{"", types.ChecksumAlgorithmCrc32c, types.ChecksumAlgorithmSha256} {
		want := random(2*part + 123)
		up, err := c.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: aws.String("sdk"), Key: &key, ChecksumAlgorithm: algorithm, Metadata: map[string]string{"kind": "big"}})
		ok(t, err)
		var done []types.CompletedPart
		for i := range 3 {
			n := int32(i + 1)
			out, err := c.UploadPart(t.Context(), &s3.UploadPartInput{Bucket: aws.String("sdk"), Key: &key, UploadId: up.UploadId, PartNumber: &n, Body: bytes.NewReader(want[i*part : min(len(want), (i+1)*part)]), ChecksumAlgorithm: algorithm})
			ok(t, err)
			done = append(done, types.CompletedPart{PartNumber: &n, ETag: out.ETag, ChecksumCRC32C: out.ChecksumCRC32C, ChecksumSHA256: out.ChecksumSHA256, ChecksumCRC32: out.ChecksumCRC32, ChecksumCRC64NVME: out.ChecksumCRC64NVME})
		}
		parts, err := c.ListParts(t.Context(), &s3.ListPartsInput{Bucket: aws.String("sdk"), Key: &key, UploadId: up.UploadId})
		ok(t, err)
		if len(parts.Parts) != 3 {
			t.Errorf("listed %d parts", len(parts.Parts))
		}
		out, err := c.CompleteMultipartUpload(t.Context(), &s3.CompleteMultipartUploadInput{Bucket: aws.String("sdk"), Key: &key, UploadId: up.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: done}})
		ok(t, err)
		if !strings.HasSuffix(strings.Trim(*out.ETag, `"`), "-3") {
			t.Errorf("ETag %s", *out.ETag)
		}
		same(t, key, awsGet(t, c, key), want)
	}
	second := int32(2)
	head, err := c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String("sdk"), Key: &key, PartNumber: &second})
	ok(t, err)
	if aws.ToInt32(head.PartsCount) != 3 || aws.ToInt64(head.ContentLength) != int64(part) {
		t.Errorf("part 2: %d of %d parts", aws.ToInt64(head.ContentLength), aws.ToInt32(head.PartsCount))
	}
	up, err := c.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: aws.String("sdk"), Key: aws.String("copied")})
	ok(t, err)
	first := int32(1)
	copied, err := c.UploadPartCopy(t.Context(), &s3.UploadPartCopyInput{Bucket: aws.String("sdk"), Key: aws.String("copied"), UploadId: up.UploadId, PartNumber: &first, CopySource: aws.String("sdk/" + key), CopySourceRange: aws.String("bytes=10-6000009")})
	ok(t, err)
	_, err = c.CompleteMultipartUpload(t.Context(), &s3.CompleteMultipartUploadInput{Bucket: aws.String("sdk"), Key: aws.String("copied"), UploadId: up.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: []types.CompletedPart{{PartNumber: &first, ETag: copied.CopyPartResult.ETag}}}})
	ok(t, err)
	same(t, "copied part", awsGet(t, c, "copied"), random(2*part + 123)[10:6000010])
	up, err = c.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: aws.String("sdk"), Key: aws.String("given-up")})
	ok(t, err)
	uploads, err := c.ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: aws.String("sdk")})
	ok(t, err)
	if len(uploads.Uploads) != 1 || *uploads.Uploads[0].Key != "given-up" {
		t.Errorf("uploads under way: %+v", uploads.Uploads)
	}
	_, err = c.AbortMultipartUpload(t.Context(), &s3.AbortMultipartUploadInput{Bucket: aws.String("sdk"), Key: aws.String("given-up"), UploadId: up.UploadId})
	ok(t, err)
}

func awsConditional(t *testing.T, c *s3.Client) {
	t.Helper()
	key := "once"
	put := func(body string, match, noneMatch *string) (*s3.PutObjectOutput, error) {
		return c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("sdk"), Key: &key, Body: strings.NewReader(body), IfMatch: match, IfNoneMatch: noneMatch})
	}
	first, err := put("first", nil, aws.String("*"))
	ok(t, err)
	_, err = put("second", nil, aws.String("*"))
	code(t, err, "PreconditionFailed")
	second, err := put("second", first.ETag, nil)
	ok(t, err)
	_, err = put("third", first.ETag, nil)
	code(t, err, "PreconditionFailed")
	same(t, key, awsGet(t, c, key), []byte("second"))
	_, err = c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("sdk"), Key: &key, IfNoneMatch: second.ETag})
	if err == nil || !strings.Contains(err.Error(), "304") {
		t.Errorf("an unchanged object: %v", err)
	}
	part, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("sdk"), Key: &key, Range: aws.String("bytes=-3")})
	ok(t, err)
	body, err := io.ReadAll(part.Body)
	ok(t, errors.Join(err, part.Body.Close()))
	if string(body) != "ond" || aws.ToString(part.ContentRange) != "bytes 3-5/6" {
		t.Errorf("suffix: %q %s", body, aws.ToString(part.ContentRange))
	}
	_, err = c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("sdk"), Key: &key, Range: aws.String("bytes=100-")})
	code(t, err, "InvalidRange")
}

func awsPresigned(t *testing.T, c *s3.Client, client *http.Client) {
	t.Helper()
	presign := s3.NewPresignClient(c)
	key := "pre signed+"
	put, err := presign.PresignPutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("sdk"), Key: &key}, s3.WithPresignExpires(time.Minute))
	ok(t, err)
	send := func(method, url, body string, header http.Header) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
		ok(t, err)
		for k, v := range header {
			if k != "Host" {
				req.Header[k] = v
			}
		}
		res, err := client.Do(req)
		ok(t, err)
		text, err := io.ReadAll(res.Body)
		ok(t, errors.Join(err, res.Body.Close()))
		return res.StatusCode, string(text)
	}
	if status, text := send(put.Method, put.URL, "by link", put.SignedHeader); status != 200 {
		t.Fatalf("presigned put: %d %s", status, text)
	}
	get, err := presign.PresignGetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("sdk"), Key: &key, ResponseContentType: aws.String("text/x-test")})
	ok(t, err)
	if status, text := send(get.Method, get.URL, "", nil); status != 200 || text != "by link" {
		t.Errorf("presigned get: %d %s", status, text)
	}
	if status, text := send(get.Method, strings.Replace(get.URL, "pre", "prf", 1), "", nil); status != 403 || !strings.Contains(text, "SignatureDoesNotMatch") {
		t.Errorf("another key by the same link: %d %s", status, text)
	}
}

func awsPages(t *testing.T, c *s3.Client) {
	t.Helper()
	_, err := c.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("pages")})
	ok(t, err)
	for i := range 25 {
		_, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("pages"), Key: aws.String(fmt.Sprintf("d%d/k%02d", i%3, i)), Body: strings.NewReader("x")})
		ok(t, err)
	}
	var keys []string
	for pages := s3.NewListObjectsV2Paginator(c, &s3.ListObjectsV2Input{Bucket: aws.String("pages"), MaxKeys: aws.Int32(4)}); pages.HasMorePages(); {
		page, err := pages.NextPage(t.Context())
		ok(t, err)
		for _, o := range page.Contents {
			keys = append(keys, *o.Key)
		}
	}
	if len(keys) != 25 || !slices.IsSorted(keys) {
		t.Errorf("pages hold %d keys: %q", len(keys), keys)
	}
	top, err := c.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String("pages"), Delimiter: aws.String("/")})
	ok(t, err)
	if len(top.CommonPrefixes) != 3 || len(top.Contents) != 0 {
		t.Errorf("by folder: %+v", top.CommonPrefixes)
	}
	one, err := c.ListObjects(t.Context(), &s3.ListObjectsInput{Bucket: aws.String("pages"), Marker: aws.String("d2/"), MaxKeys: aws.Int32(2)})
	ok(t, err)
	if len(one.Contents) != 2 || !aws.ToBool(one.IsTruncated) {
		t.Errorf("version 1: %+v", one)
	}
	versions, err := c.ListObjectVersions(t.Context(), &s3.ListObjectVersionsInput{Bucket: aws.String("pages")})
	ok(t, err)
	if len(versions.Versions) != 25 || aws.ToString(versions.Versions[0].VersionId) != "null" {
		t.Errorf("versions: %d", len(versions.Versions))
	}
	_, err = c.DeleteBucket(t.Context(), &s3.DeleteBucketInput{Bucket: aws.String("pages")})
	code(t, err, "BucketNotEmpty")
}

func awsCopy(t *testing.T, c *s3.Client) {
	t.Helper()
	_, err := c.PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: aws.String("sdk"), Key: aws.String("from ü"), Body: strings.NewReader("copied"), ContentType: aws.String("text/x-one"),
		CacheControl: aws.String("no-cache"), Metadata: map[string]string{"colour": "green"}, Tagging: aws.String("a=1&b=2"),
	})
	ok(t, err)
	_, err = c.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: aws.String("sdk"), Key: aws.String("kept"), CopySource: aws.String("sdk/from%20%C3%BC")})
	ok(t, err)
	_, err = c.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: aws.String("sdk"), Key: aws.String("replaced"), CopySource: aws.String("sdk/from%20%C3%BC"), MetadataDirective: types.MetadataDirectiveReplace, ContentType: aws.String("text/x-two")})
	ok(t, err)
	kept, err := c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String("sdk"), Key: aws.String("kept")})
	ok(t, err)
	if kept.Metadata["colour"] != "green" || aws.ToString(kept.ContentType) != "text/x-one" || aws.ToString(kept.CacheControl) != "no-cache" {
		t.Errorf("kept: %+v", kept)
	}
	replaced, err := c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String("sdk"), Key: aws.String("replaced")})
	ok(t, err)
	if len(replaced.Metadata) != 0 || aws.ToString(replaced.ContentType) != "text/x-two" {
		t.Errorf("replaced: %+v", replaced)
	}
	tags, err := c.GetObjectTagging(t.Context(), &s3.GetObjectTaggingInput{Bucket: aws.String("sdk"), Key: aws.String("kept")})
	ok(t, err)
	if len(tags.TagSet) != 2 {
		t.Errorf("tags: %+v", tags.TagSet)
	}
}

// awsProbes asks what clients ask of buckets that have nothing configured.
func awsProbes(t *testing.T, c *s3.Client) {
	t.Helper()
	b := aws.String("sdk")
	ctx := t.Context()
	ask := map[string]func() error{
		"NoSuchLifecycleConfiguration": func() error {
			_, err := c.GetBucketLifecycleConfiguration(ctx, &s3.GetBucketLifecycleConfigurationInput{Bucket: b})
			return err
		},
		"NoSuchCORSConfiguration": func() error { _, err := c.GetBucketCors(ctx, &s3.GetBucketCorsInput{Bucket: b}); return err },
		"NoSuchPublicAccessBlockConfiguration": func() error {
			_, err := c.GetPublicAccessBlock(ctx, &s3.GetPublicAccessBlockInput{Bucket: b})
			return err
		},
		"OwnershipControlsNotFoundError": func() error {
			_, err := c.GetBucketOwnershipControls(ctx, &s3.GetBucketOwnershipControlsInput{Bucket: b})
			return err
		},
		"ObjectLockConfigurationNotFoundError": func() error {
			_, err := c.GetObjectLockConfiguration(ctx, &s3.GetObjectLockConfigurationInput{Bucket: b})
			return err
		},
		"ReplicationConfigurationNotFoundError": func() error {
			_, err := c.GetBucketReplication(ctx, &s3.GetBucketReplicationInput{Bucket: b})
			return err
		},
		"NoSuchWebsiteConfiguration": func() error { _, err := c.GetBucketWebsite(ctx, &s3.GetBucketWebsiteInput{Bucket: b}); return err },
		"NoSuchTagSet":               func() error { _, err := c.GetBucketTagging(ctx, &s3.GetBucketTaggingInput{Bucket: b}); return err },
		"NoSuchBucketPolicy":         func() error { _, err := c.GetBucketPolicy(ctx, &s3.GetBucketPolicyInput{Bucket: b}); return err },
		"ServerSideEncryptionConfigurationNotFoundError": func() error {
			_, err := c.GetBucketEncryption(ctx, &s3.GetBucketEncryptionInput{Bucket: b})
			return err
		},
		"": func() error {
			_, acl := c.GetBucketAcl(ctx, &s3.GetBucketAclInput{Bucket: b})
			_, versioning := c.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: b})
			_, payment := c.GetBucketRequestPayment(ctx, &s3.GetBucketRequestPaymentInput{Bucket: b})
			_, accelerate := c.GetBucketAccelerateConfiguration(ctx, &s3.GetBucketAccelerateConfigurationInput{Bucket: b})
			_, location := c.GetBucketLocation(ctx, &s3.GetBucketLocationInput{Bucket: b})
			_, list := c.ListBuckets(ctx, &s3.ListBucketsInput{})
			return errors.Join(acl, versioning, payment, accelerate, location, list)
		},
	}
	for want, call := range ask {
		if err := call(); want == "" {
			ok(t, err)
		} else {
			code(t, err, want)
		}
	}
}
