package s3

import (
	"context"
	"io"
	"maps"
	"strings"

	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/object"
	"github.com/larder-cache/larder/internal/protocol/edge"
)

// copyObject is CopyObject.
type copyObject struct {
	protocol  *Protocol
	copy      object.CopyRequest
	class     bool             // a storage class was asked for
	algorithm object.Algorithm // of the checksum that was asked for
}

func parseCopyObject(p *Protocol, r *request) (*edge.Operation, error) {
	if err := r.refuseUnkept(); err != nil {
		return nil, err
	}
	source, err := r.copySource()
	if err != nil {
		return nil, err
	}
	op := &copyObject{protocol: p, class: r.header("X-Amz-Storage-Class") != ""}
	op.copy = object.CopyRequest{
		SourceBucket: source.bucket, SourceKey: source.key, SourceIf: source.cond, Bucket: r.bucket, Key: r.key,
	}
	if op.copy.If, err = r.writeCondition(); err != nil {
		return nil, err
	}
	if op.algorithm, err = parseAlgorithm(r.header("X-Amz-Checksum-Algorithm")); err != nil {
		return nil, err
	}
	tags, err := op.directives(r)
	if err != nil {
		return nil, err
	}
	operation := r.operation("s3.CopyObject", "s3:PutObject", op)
	r.writeFacts(operation, tags)
	if operation.Facts == nil {
		operation.Facts = make(map[string][]string)
	}
	maps.Copy(operation.Facts, source.facts())
	if directive := r.header("X-Amz-Metadata-Directive"); directive != "" {
		operation.Facts["s3:x-amz-metadata-directive"] = []string{directive}
	}
	operation.Checks = append(operation.Checks, source.check())
	source.refuse(operation)
	return operation, nil
}

// directives parses what of the source is to be replaced; tags are the new ones.
func (op *copyObject) directives(r *request) (tags []object.Tag, err error) {
	replace, err := r.directive("X-Amz-Metadata-Directive")
	if err != nil {
		return nil, err
	}
	meta, err := r.meta()
	if err != nil {
		return nil, err
	}
	if replace {
		op.copy.Meta = &meta
	} else if op.class {
		op.copy.Meta = &object.Meta{StorageClass: meta.StorageClass} // completed by withClass
	}
	retag, err := r.directive("X-Amz-Tagging-Directive")
	if err != nil {
		return nil, err
	}
	if tags, err = r.tags(); err != nil {
		return nil, err
	}
	if retag {
		op.copy.Tags = &tags
	} else {
		tags = nil
	}
	op.class = op.class && !replace
	same := op.copy.SourceBucket == op.copy.Bucket && op.copy.SourceKey == op.copy.Key
	if same && op.copy.Meta == nil && !retag && op.algorithm == object.NoChecksum {
		return nil, &Error{Code: InvalidRequest, Message: "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes."}
	}
	return tags, nil
}

// directive parses COPY, which is also the default, and REPLACE.
func (r *request) directive(name string) (replace bool, err error) {
	switch value := r.header(name); value {
	case "", "COPY":
		return false, nil
	case "REPLACE":
		return true, nil
	}
	return false, invalid("Unknown value of " + strings.ToLower(name) + ": COPY and REPLACE are known")
}

// Serve copies.
func (op *copyObject) Serve(ctx context.Context, w *edge.Writer, call *edge.Call) error {
	store := op.protocol.store
	bucket, err := store.Bucket(ctx, op.copy.Bucket)
	if err != nil {
		return err
	}
	if op.copy.Tags == nil {
		if err := op.withTags(ctx, call); err != nil {
			return err
		}
	}
	if op.class {
		if err := op.withClass(ctx); err != nil {
			return err
		}
	}
	if op.algorithm != object.NoChecksum {
		op.copy.Digest = digester(op.algorithm, bucket.Config.Cache)
	}
	return op.protocol.patiently(ctx, w, call, func(ctx context.Context) (*document, error) {
		info, err := store.Copy(ctx, op.copy)
		if err != nil {
			return nil, refused(err)
		}
		return copyResult("CopyObjectResult", &object.Part{Modified: info.Modified, Digest: info.Digest}), nil
	})
}

// withTags makes the source's tags those of the copy. As on S3, that needs the
// rights to read tags there and to set them here, and policies are asked about
// the tags: a copy is no way around a policy that keeps somebody from a tag.
func (op *copyObject) withTags(ctx context.Context, call *edge.Call) error {
	source := iam.Resource{Bucket: string(op.copy.SourceBucket), Key: string(op.copy.SourceKey)}
	info, err := op.protocol.store.Head(ctx, op.copy.SourceBucket, op.copy.SourceKey)
	if err != nil {
		return err
	}
	op.copy.Tags = &info.Tags // what is asked about is what is written
	if len(info.Tags) == 0 {
		return nil
	}
	if err := call.Authorize(ctx, iam.Check{Action: "s3:GetObjectTagging", Resource: source}); err != nil {
		return err
	}
	facts := make(map[string][]string)
	tagFacts(facts, info.Tags)
	for _, action := range []iam.Action{"s3:PutObject", "s3:PutObjectTagging"} {
		target := iam.Resource{Bucket: string(op.copy.Bucket), Key: string(op.copy.Key)}
		if err := call.AuthorizeWith(ctx, iam.Check{Action: action, Resource: target}, facts); err != nil {
			return err
		}
	}
	return nil
}

// withClass completes the new metadata: the source's, with another storage class.
// That the source is still the same is a condition of the copy.
func (op *copyObject) withClass(ctx context.Context) error {
	info, err := op.protocol.store.Head(ctx, op.copy.SourceBucket, op.copy.SourceKey)
	if err != nil {
		return err
	}
	if err := op.copy.SourceIf.CheckRead(&info); err != nil {
		return refused(err)
	}
	info.Meta.StorageClass = op.copy.Meta.StorageClass
	op.copy.Meta = &info.Meta
	op.copy.SourceIf.IfMatch = []object.ETag{info.Digest.ETag}
	return nil
}

// digester returns how a store computes the digest of what it copies.
func digester(algorithm object.Algorithm, cache bool) func(io.Reader) object.Content {
	return func(r io.Reader) object.Content { return newContent(r, -1, demand{algorithm: algorithm}, cache) }
}

// copyResult is the answer to a copy.
func copyResult(root string, part *object.Part) *document {
	doc := newDocument(512)
	doc.root(root)
	doc.time("LastModified", part.Modified)
	doc.etag(part.Digest.ETag)
	doc.checksum(part.Digest.Checksum)
	if sum := &part.Digest.Checksum; sum.Algorithm != object.NoChecksum && root == "CopyObjectResult" {
		doc.text("ChecksumType", checksumType(sum.Composite))
	}
	doc.close(root)
	return doc
}
