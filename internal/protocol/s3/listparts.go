package s3

import (
	"context"

	"github.com/larder-cache/larder/internal/object"
	"github.com/larder-cache/larder/internal/protocol/edge"
)

// listParts is ListParts.
type listParts struct {
	store      Store
	owner      string
	bucket     object.BucketName
	key        object.Key
	id         object.UploadID
	after, max int
	names      encoder
}

func parseListParts(p *Protocol, r *request) (*edge.Operation, error) {
	op := &listParts{store: p.store, owner: p.config.Owner, bucket: r.bucket, key: r.key, id: object.UploadID(r.Query.Get("uploadId"))}
	var err error
	if op.after, err = r.max("part-number-marker", object.MaxParts); err != nil {
		return nil, err
	}
	if r.Query.Get("part-number-marker") == "" {
		op.after = 0
	}
	if op.max, err = r.max("max-parts", object.MaxListEntries); err != nil {
		return nil, err
	}
	if op.names.url, err = r.encoding(); err != nil {
		return nil, err
	}
	return r.operation("s3.ListParts", "s3:ListMultipartUploadParts", op), nil
}

// Serve answers one page of parts.
func (op *listParts) Serve(ctx context.Context, w *edge.Writer, _ *edge.Call) error {
	upload, err := op.store.Upload(ctx, op.bucket, op.key, op.id)
	if err != nil {
		return err
	}
	parts, err := op.store.UploadParts(ctx, op.bucket, op.key, op.id, op.after, op.max+1)
	if err != nil {
		return err
	}
	more := len(parts) > op.max
	parts = parts[:min(len(parts), op.max)]
	doc := newDocument(1024 + 256*len(parts))
	doc.root("ListPartsResult")
	op.front(doc, &upload)
	if more && len(parts) > 0 {
		doc.number("NextPartNumberMarker", int64(parts[len(parts)-1].Number))
	}
	doc.bool("IsTruncated", more && len(parts) > 0)
	for i := range parts {
		doc.part(&parts[i])
	}
	doc.close("ListPartsResult")
	if doc.foreign {
		return errForeign
	}
	return doc.send(w)
}

func (op *listParts) front(doc *document, upload *object.Upload) {
	doc.text("Bucket", string(op.bucket))
	op.names.declare(doc)
	op.names.text(doc, "Key", string(op.key))
	doc.text("UploadId", string(op.id))
	doc.owner("Initiator", op.owner)
	doc.owner("Owner", op.owner)
	doc.text("StorageClass", storageClass(upload.Meta.StorageClass))
	if upload.Checksum != object.NoChecksum {
		doc.text("ChecksumAlgorithm", algorithms[upload.Checksum].name)
		doc.text("ChecksumType", checksumType(upload.Composite))
	}
	doc.number("PartNumberMarker", int64(op.after))
	doc.number("MaxParts", int64(op.max))
}

// part writes one part.
func (d *document) part(part *object.Part) {
	d.open("Part")
	d.number("PartNumber", int64(part.Number))
	d.time("LastModified", part.Modified)
	d.etag(part.Digest.ETag)
	d.number("Size", part.Size)
	d.checksum(part.Digest.Checksum)
	d.close("Part")
}
