package admin

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/object"
	"github.com/larder-cache/larder/internal/protocol/edge"
)

// The files of an archive of bucket configurations that have a meaning here,
// each below the bucket's name. MinIO writes more; those are left alone.
const (
	filePolicy = "policy.json"
	fileQuota  = "quota.json"
	fileTags   = "tagging.xml"
)

// tagsBody is a bucket's tags as XML.
type tagsBody struct {
	XMLName xml.Name     `xml:"Tagging"`
	Tags    []object.Tag `xml:"TagSet>Tag"`
}

// xmlText is a document that goes into an archive as it is.
type xmlText []byte

// exportBuckets answers an archive of the configurations of one bucket or all.
func (p *Protocol) exportBuckets(in *input) (*edge.Operation, error) {
	only := object.BucketName(in.query.Get("bucket"))
	op := in.operation("admin:ExportBucketMetadata", func(ctx context.Context, w *edge.Writer, call *edge.Call) error {
		buckets, err := p.store.ListBuckets(ctx)
		if err != nil {
			return err
		}
		files := make(map[string]any)
		for _, bucket := range buckets {
			if only == "" || bucket.Name == only {
				if err := addBucket(files, bucket); err != nil {
					return err
				}
			}
		}
		if len(files) == 0 && only != "" {
			return fault.Missing(fault.Bucket, string(only))
		}
		w.Header().Set("Content-Type", "application/zip")
		return writeFiles(w, files, call.Time)
	})
	op.Checks[0].Resource.Bucket = string(only)
	return op, nil
}

func addBucket(files map[string]any, bucket object.Bucket) error {
	prefix := string(bucket.Name) + "/"
	files[prefix+fileQuota] = newQuota(bucket.Config.Quota)
	if len(bucket.Config.Policy) > 0 {
		files[prefix+filePolicy] = json.RawMessage(bucket.Config.Policy)
	}
	if len(bucket.Config.Tags) > 0 {
		text, err := xml.Marshal(tagsBody{Tags: bucket.Config.Tags})
		if err != nil {
			return err
		}
		files[prefix+fileTags] = xmlText(text)
	}
	return nil
}

// bucketFiles is what an archive says about one bucket.
type bucketFiles struct {
	policy []byte
	quota  *int64
	tags   []object.Tag
}

// bucketsOf reads an archive of bucket configurations.
func (p *Protocol) bucketsOf(files archiveFiles) (map[object.BucketName]*bucketFiles, error) {
	found := make(map[object.BucketName]*bucketFiles)
	for path, content := range files {
		dir, file, ok := strings.Cut(path, "/")
		if !ok {
			continue
		}
		name, err := object.ParseBucketName(dir)
		if err != nil {
			return nil, err
		}
		if edge.Reserved(dir) {
			return nil, badArchive("%q: paths below /%s/ are the server's own", path, dir)
		}
		if found[name] == nil {
			found[name] = &bucketFiles{}
		}
		if err := p.readBucketFile(found[name], name, file, content); err != nil {
			return nil, badArchive("%q: %v", path, err)
		}
	}
	return found, nil
}

func (p *Protocol) readBucketFile(b *bucketFiles, name object.BucketName, file string, content []byte) error {
	switch file {
	case filePolicy:
		if _, err := p.identity.CheckBucketPolicy(content, name); err != nil {
			return err
		}
		b.policy = content
	case fileQuota:
		var body quotaBody
		if err := decode(content, &body); err != nil {
			return err
		}
		quota, err := body.bytes()
		b.quota = &quota
		return err
	case fileTags:
		var body tagsBody
		if err := xml.Unmarshal(content, &body); err != nil {
			return err
		}
		if err := checkTags(body.Tags); err != nil {
			return err
		}
		b.tags = body.Tags
	}
	return nil
}

// checkTags holds a bucket's tags against the limits that S3 has for them.
func checkTags(tags []object.Tag) error {
	if len(tags) > 50 {
		return errors.New("a bucket has at most 50 tags")
	}
	seen := make(map[string]bool, len(tags))
	for _, tag := range tags {
		if tag.Key == "" || utf8.RuneCountInString(tag.Key) > 128 || utf8.RuneCountInString(tag.Value) > 256 || seen[tag.Key] {
			return errors.New("a tag has a key of 1 to 128 characters, which no other has, and a value of up to 256")
		}
		seen[tag.Key] = true
	}
	return nil
}

// checks are what setting all of it singly would need.
func (b *bucketFiles) checks(name object.BucketName) []iam.Check {
	resource := iam.Resource{Bucket: string(name)}
	checks := []iam.Check{{Action: "s3:CreateBucket", Resource: resource}}
	if b.policy != nil {
		checks = append(checks, iam.Check{Action: "s3:PutBucketPolicy", Resource: resource})
	}
	if b.quota != nil {
		checks = append(checks, iam.Check{Action: "admin:SetBucketQuota", Resource: resource})
	}
	if b.tags != nil {
		checks = append(checks, iam.Check{Action: "s3:PutBucketTagging", Resource: resource})
	}
	return checks
}

// importBuckets takes an archive of bucket configurations: policies, quotas and
// tags. Buckets that do not exist are made. All is read and checked before the
// first bucket changes.
func (p *Protocol) importBuckets(in *input) (*edge.Operation, error) {
	only := object.BucketName(in.query.Get("bucket"))
	op := in.operation("admin:ImportBucketMetadata", func(ctx context.Context, w *edge.Writer, call *edge.Call) error {
		if !p.archives.TryLock() {
			return fault.New(fault.Busy, fault.None, "another archive is being read")
		}
		defer p.archives.Unlock()
		archive, err := readBody(call)
		if err != nil {
			return err
		}
		files, err := unpack(archive)
		if err != nil {
			return err
		}
		buckets, err := p.bucketsOf(files)
		if err != nil {
			return err
		}
		if only != "" {
			maps.DeleteFunc(buckets, func(name object.BucketName, _ *bucketFiles) bool { return name != only })
		}
		for name, b := range buckets {
			for _, check := range b.checks(name) {
				if err := call.Authorize(ctx, check); err != nil {
					return err
				}
			}
		}
		return p.setBuckets(ctx, w, buckets)
	})
	op.Checks[0].Resource.Bucket = string(only)
	op.MaxBody = maxArchive
	return op, nil
}

// bucketReport says what was set of a bucket, in the form that mc reads.
type bucketReport map[string]struct {
	IsSet bool `json:"isSet"`
}

func (r bucketReport) set(what string, isSet bool) {
	r[what] = struct {
		IsSet bool `json:"isSet"`
	}{isSet}
}

func (p *Protocol) setBuckets(ctx context.Context, w *edge.Writer, buckets map[object.BucketName]*bucketFiles) error {
	report := make(map[object.BucketName]bucketReport, len(buckets))
	for _, name := range slices.Sorted(maps.Keys(buckets)) {
		b := buckets[name]
		if err := p.setBucket(ctx, name, b); err != nil {
			return err
		}
		report[name] = bucketReport{}
		report[name].set("policy", b.policy != nil)
		report[name].set("quota", b.quota != nil)
		report[name].set("tagging", b.tags != nil)
	}
	return writeJSON(w, map[string]any{"buckets": report})
}

func (p *Protocol) setBucket(ctx context.Context, name object.BucketName, b *bucketFiles) error {
	if _, err := p.store.CreateBucket(ctx, name, object.BucketConfig{}); err != nil && !errors.Is(err, fault.Exists) {
		return err
	}
	_, err := p.store.UpdateBucket(ctx, name, func(config *object.BucketConfig) error {
		if b.policy != nil {
			config.Policy = b.policy
		}
		if b.quota != nil {
			config.Quota = *b.quota
		}
		if b.tags != nil {
			config.Tags = b.tags
		}
		return nil
	})
	return err
}
