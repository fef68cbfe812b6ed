package s3

import (
	"context"
	"io"

	"golang.org/x/sync/errgroup"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/object"
	"github.com/larder-cache/larder/internal/protocol/edge"
)

// deleteObjects is DeleteObjects. Its resources are in the body, so each is
// authorised here, before anything is looked at.
type deleteObjects struct {
	store  Store
	bucket object.BucketName
	demand demand
	names  encoder
}

// deletesAtOnce is how many deletions of one request run at a time: they share
// the store's group commits.
const deletesAtOnce = 64

func parseDeleteObjects(p *Protocol, r *request) (*edge.Operation, error) {
	op := &deleteObjects{store: p.store, bucket: r.bucket}
	var err error
	if op.demand, err = r.demand(); err != nil {
		return nil, err
	}
	if op.names.url, err = r.encoding(); err != nil {
		return nil, err
	}
	operation := r.operation("s3.DeleteObjects", "s3:DeleteObject", op)
	operation.Auth, operation.Checks, operation.MaxBody = edge.Anyone, nil, maxKeysDocument
	return operation, nil
}

// deleteDocument is the body of the request.
type deleteDocument struct {
	Quiet   bool `xml:"Quiet"`
	Objects []struct {
		Key     string `xml:"Key"`
		Version string `xml:"VersionId"`
		ETag    string `xml:"ETag"`

		// Conditions that are not offered.
		Size     *string `xml:"Size"`
		Modified *string `xml:"LastModifiedTime"`
	} `xml:"Object"`
}

// deletion is one object of the request and what became of it.
type deletion struct {
	name    string
	version string
	request object.DeleteRequest
	err     error
}

// Serve deletes what the caller may delete and reports the rest.
func (op *deleteObjects) Serve(ctx context.Context, w *edge.Writer, call *edge.Call) error {
	if call.Principal().Kind == iam.Anonymous && !op.open(ctx) {
		return fault.New(fault.Denied, fault.Bucket, string(op.bucket))
	}
	var doc deleteDocument
	body, err := io.ReadAll(bodyContent(call, op.demand, false))
	if err != nil {
		return err
	}
	if err := decodeXML(body, "Delete", &doc); err != nil {
		return err
	}
	if len(doc.Objects) == 0 || len(doc.Objects) > object.MaxListEntries {
		return &Error{Code: MalformedXML}
	}
	deletions := make([]deletion, len(doc.Objects))
	allowed := 0
	for i := range doc.Objects {
		o := &doc.Objects[i]
		deletions[i] = op.prepare(ctx, call, o.Key, o.Version, o.ETag)
		if deletions[i].err == nil && (o.Size != nil || o.Modified != nil) {
			deletions[i].err = errDeleteCondition
		}
		if deletions[i].err == nil {
			allowed++
		}
	}
	if allowed > 0 {
		if _, err := op.store.Bucket(ctx, op.bucket); err != nil {
			return err
		}
		op.run(ctx, deletions)
	}
	return op.report(w, deletions, doc.Quiet)
}

// open reports whether the bucket has a policy, without which nobody may do
// anything without credentials, and the body need not be read to know it.
func (op *deleteObjects) open(ctx context.Context) bool {
	bucket, err := op.store.Bucket(ctx, op.bucket)
	return err == nil && len(bucket.Config.Policy) > 0
}

// prepare checks and authorises one deletion.
func (op *deleteObjects) prepare(ctx context.Context, call *edge.Call, name, version, tag string) deletion {
	d := deletion{name: name, version: version}
	key, err := object.ParseKey(name)
	if err != nil {
		d.err = err
		return d
	}
	check := iam.Check{Action: deleteAction(version != ""), Resource: iam.Resource{Bucket: string(op.bucket), Key: name}}
	if d.err = call.AuthorizeWith(ctx, check, versionFacts(version)); d.err != nil {
		return d
	}
	if version != "" && version != nullVersion {
		d.err = &Error{Code: NoSuchVersion}
	}
	d.request = object.DeleteRequest{Bucket: op.bucket, Key: key, If: object.Precondition{IfMatch: parseETags(tag)}}
	return d
}

func (op *deleteObjects) run(ctx context.Context, deletions []deletion) {
	var group errgroup.Group
	group.SetLimit(deletesAtOnce)
	for i := range deletions {
		if d := &deletions[i]; d.err == nil {
			group.Go(func() error {
				d.err = op.store.Delete(ctx, d.request)
				return nil
			})
		}
	}
	_ = group.Wait() // each error stands beside its key
}

func (op *deleteObjects) report(w *edge.Writer, deletions []deletion, quiet bool) error {
	doc := newDocument(256 + 128*len(deletions))
	doc.root("DeleteResult")
	for i := range deletions {
		d := &deletions[i]
		switch {
		case d.err != nil:
			a := describe(d.err)
			doc.open("Error")
			op.names.text(doc, "Key", d.name)
			doc.optional("VersionId", d.version)
			doc.text("Code", string(a.code))
			doc.text("Message", a.message)
			doc.close("Error")
		case !quiet:
			doc.open("Deleted")
			op.names.text(doc, "Key", d.name)
			doc.optional("VersionId", d.version)
			doc.close("Deleted")
		}
	}
	doc.close("DeleteResult")
	return doc.send(w)
}
