package s3

import (
	"context"

	"github.com/larder-cache/larder/internal/object"
	"github.com/larder-cache/larder/internal/protocol/edge"
)

// listUploads is ListMultipartUploads.
type listUploads struct {
	store Store
	owner string
	list  object.UploadListRequest // Max may be 0
	names encoder
}

func parseListUploads(p *Protocol, r *request) (*edge.Operation, error) {
	op := &listUploads{store: p.store, owner: p.config.Owner, list: object.UploadListRequest{
		Bucket: r.bucket, Prefix: r.Query.Get("prefix"), Delimiter: r.Query.Get("delimiter"), AfterKey: r.Query.Get("key-marker"),
	}}
	if op.list.AfterKey != "" {
		op.list.AfterUpload = object.UploadID(r.Query.Get("upload-id-marker"))
	}
	var err error
	if op.list.Max, err = r.max("max-uploads", object.MaxListEntries); err != nil {
		return nil, err
	}
	if op.names.url, err = r.encoding(); err != nil {
		return nil, err
	}
	return r.operation("s3.ListMultipartUploads", "s3:ListBucketMultipartUploads", op), nil
}

// Serve answers one page of uploads.
func (op *listUploads) Serve(ctx context.Context, w *edge.Writer, _ *edge.Call) error {
	page, err := op.page(ctx)
	if err != nil {
		return err
	}
	doc := newDocument(1024 + 512*len(page.Entries))
	doc.root("ListMultipartUploadsResult")
	op.front(doc, &page)
	for i := range page.Entries {
		if entry := &page.Entries[i]; entry.Prefix == "" {
			op.entry(doc, &entry.Upload)
		}
	}
	for i := range page.Entries {
		if prefix := page.Entries[i].Prefix; prefix != "" {
			doc.open("CommonPrefixes")
			op.names.text(doc, "Prefix", prefix)
			doc.close("CommonPrefixes")
		}
	}
	doc.close("ListMultipartUploadsResult")
	if doc.foreign {
		return errForeign
	}
	return doc.send(w)
}

func (op *listUploads) page(ctx context.Context) (object.UploadPage, error) {
	if op.list.Max == 0 {
		_, err := op.store.Bucket(ctx, op.list.Bucket)
		return object.UploadPage{}, err
	}
	return op.store.ListUploads(ctx, op.list)
}

func (op *listUploads) front(doc *document, page *object.UploadPage) {
	doc.text("Bucket", string(op.list.Bucket))
	op.names.text(doc, "KeyMarker", op.list.AfterKey)
	doc.text("UploadIdMarker", string(op.list.AfterUpload))
	op.names.text(doc, "NextKeyMarker", page.NextKey)
	doc.text("NextUploadIdMarker", string(page.NextUpload))
	op.names.optional(doc, "Delimiter", op.list.Delimiter)
	op.names.text(doc, "Prefix", op.list.Prefix)
	op.names.declare(doc)
	doc.number("MaxUploads", int64(op.list.Max))
	doc.bool("IsTruncated", page.NextKey != "")
}

func (op *listUploads) entry(doc *document, upload *object.Upload) {
	doc.open("Upload")
	op.names.text(doc, "Key", string(upload.Key))
	doc.text("UploadId", string(upload.ID))
	doc.owner("Initiator", op.owner)
	doc.owner("Owner", op.owner)
	doc.text("StorageClass", storageClass(upload.Meta.StorageClass))
	doc.time("Initiated", upload.Initiated)
	if upload.Checksum != object.NoChecksum {
		doc.text("ChecksumAlgorithm", algorithms[upload.Checksum].name)
		doc.text("ChecksumType", checksumType(upload.Composite))
	}
	doc.close("Upload")
}
