package s3

import (
	"context"
	"io"
	"net/http"

	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/object"
	"github.com/larder-cache/larder/internal/protocol/edge"
)

// tagging is the set of tags of an object, or of a bucket where key is empty:
// Get-, Put- and Delete{Object,Bucket}Tagging differ only in what they do with it.
type tagging struct {
	store   Store
	bucket  object.BucketName
	key     object.Key
	version bool // the version "null" was named
	demand  demand
}

// maxBucketTags is S3's limit.
const maxBucketTags = 50

// parse reads what all have in common.
func (t *tagging) parse(p *Protocol, r *request) (err error) {
	t.store, t.bucket, t.key = p.store, r.bucket, r.key
	t.version = r.versioned()
	t.demand, err = r.demand()
	return err
}

// object makes an operation on an object's tags.
func (t *tagging) object(r *request, verb string, h edge.Handler) *edge.Operation {
	action := iam.Action("s3:" + verb + "ObjectTagging")
	if t.version {
		action = iam.Action("s3:" + verb + "ObjectVersionTagging")
	}
	return r.operation("s3."+verb+"ObjectTagging", action, h)
}

// answer says which version is meant, if the request did.
func (t *tagging) answer(w *edge.Writer, status int) {
	if t.version {
		w.Header()["X-Amz-Version-Id"] = []string{"null"}
	}
	w.WriteHeader(status)
}

// set replaces the tags.
func (t *tagging) set(ctx context.Context, tags []object.Tag) error {
	if t.key != "" {
		return t.store.SetTags(ctx, t.bucket, t.key, tags)
	}
	_, err := t.store.UpdateBucket(ctx, t.bucket, func(config *object.BucketConfig) error {
		config.Tags = tags
		return nil
	})
	return err
}

// get returns the tags. That there are none is an error of a bucket only.
func (t *tagging) get(ctx context.Context) ([]object.Tag, error) {
	if t.key != "" {
		info, err := t.store.Head(ctx, t.bucket, t.key)
		return info.Tags, err
	}
	bucket, err := t.store.Bucket(ctx, t.bucket)
	if err == nil && len(bucket.Config.Tags) == 0 {
		err = &Error{Code: NoSuchTagSet}
	}
	return bucket.Config.Tags, err
}

type getTagging struct{ tagging }

func parseGetTagging(p *Protocol, r *request) (*edge.Operation, error) {
	op := &getTagging{}
	if err := op.parse(p, r); err != nil {
		return nil, err
	}
	if r.key == "" {
		return r.operation("s3.GetBucketTagging", "s3:GetBucketTagging", op), nil
	}
	return op.object(r, "Get", op), nil
}

// Serve answers the tags.
func (op *getTagging) Serve(ctx context.Context, w *edge.Writer, _ *edge.Call) error {
	tags, err := op.get(ctx)
	if err != nil {
		return err
	}
	doc := newDocument(512)
	doc.root("Tagging")
	doc.open("TagSet")
	for _, tag := range tags {
		doc.open("Tag")
		doc.text("Key", tag.Key)
		doc.text("Value", tag.Value)
		doc.close("Tag")
	}
	doc.close("TagSet")
	doc.close("Tagging")
	if op.version {
		w.Header()["X-Amz-Version-Id"] = []string{"null"}
	}
	return doc.send(w)
}

type putTagging struct {
	tagging
	check iam.Check // of an object
}

func parsePutTagging(p *Protocol, r *request) (*edge.Operation, error) {
	op := &putTagging{}
	if err := op.parse(p, r); err != nil {
		return nil, err
	}
	operation := op.object(r, "Put", op)
	if r.key == "" {
		operation = r.operation("s3.PutBucketTagging", "s3:PutBucketTagging", op)
	}
	operation.MaxBody = maxSmallDocument
	if r.key != "" { // what policies ask about the tags is in the body
		op.check, operation.Checks, operation.Auth = operation.Checks[0], nil, edge.Caller
	}
	return operation, nil
}

// tagDocument is the XML of a set of tags.
type tagDocument struct {
	Tags []object.Tag `xml:"TagSet>Tag"`
}

// Serve replaces the tags.
func (op *putTagging) Serve(ctx context.Context, w *edge.Writer, call *edge.Call) error {
	tags, malformed := op.tags(call)
	if op.key != "" {
		facts := make(map[string][]string)
		tagFacts(facts, tags)
		if err := call.AuthorizeWith(ctx, op.check, facts); err != nil {
			return err
		}
	}
	if malformed != nil {
		return malformed
	}
	if err := op.set(ctx, tags); err != nil {
		return err
	}
	if op.key == "" {
		op.answer(w, http.StatusNoContent)
	} else {
		op.answer(w, http.StatusOK)
	}
	return nil
}

// tags reads the body.
func (op *putTagging) tags(call *edge.Call) ([]object.Tag, error) {
	body, err := io.ReadAll(bodyContent(call, op.demand, false))
	if err != nil {
		return nil, err
	}
	var doc tagDocument
	if err := decodeXML(body, "Tagging", &doc); err != nil {
		return nil, err
	}
	most := object.MaxTags
	if op.key == "" {
		most = maxBucketTags
	}
	return doc.Tags, checkTags(doc.Tags, most)
}

type deleteTagging struct{ tagging }

func parseDeleteTagging(p *Protocol, r *request) (*edge.Operation, error) {
	op := &deleteTagging{}
	if err := op.parse(p, r); err != nil {
		return nil, err
	}
	if r.key == "" { // as on S3, whoever may set them may remove them
		return r.operation("s3.DeleteBucketTagging", "s3:PutBucketTagging", op), nil
	}
	return op.object(r, "Delete", op), nil
}

// Serve removes the tags.
func (op *deleteTagging) Serve(ctx context.Context, w *edge.Writer, _ *edge.Call) error {
	if err := op.set(ctx, nil); err != nil {
		return err
	}
	op.answer(w, http.StatusNoContent)
	return nil
}
