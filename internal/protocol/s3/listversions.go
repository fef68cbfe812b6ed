package s3

import (
	"context"

	"github.com/larder-cache/larder/internal/object"
	"github.com/larder-cache/larder/internal/protocol/edge"
)

// listVersions is ListObjectVersions of a bucket without versions: every object
// is the version "null" of itself.
type listVersions struct {
	listing
	marker string // the version-id-marker, echoed
}

func parseListVersions(p *Protocol, r *request) (*edge.Operation, error) {
	op := &listVersions{marker: r.Query.Get("version-id-marker")}
	var err error
	if op.listing, err = r.listing(p); err != nil {
		return nil, err
	}
	op.list.After = r.Query.Get("key-marker")
	if op.marker != "" && (op.marker != "null" || op.list.After == "") {
		return nil, invalid("Invalid version id specified")
	}
	operation := r.operation("s3.ListObjectVersions", "s3:ListBucketVersions", op)
	operation.Facts = r.listFacts()
	return operation, nil
}

// Serve answers one page.
func (op *listVersions) Serve(ctx context.Context, w *edge.Writer, _ *edge.Call) error {
	return op.send(ctx, w, "ListVersionsResult", op.front, op.entry)
}

func (op *listVersions) front(doc *document, page *object.Page) {
	doc.text("Name", string(op.list.Bucket))
	op.names.text(doc, "Prefix", op.list.Prefix)
	op.names.text(doc, "KeyMarker", op.list.After)
	doc.text("VersionIdMarker", op.marker)
	doc.number("MaxKeys", int64(op.list.Max))
	op.names.optional(doc, "Delimiter", op.list.Delimiter)
	op.names.declare(doc)
	doc.bool("IsTruncated", page.Next != "")
	if page.Next != "" {
		op.names.text(doc, "NextKeyMarker", page.Next)
		if last := page.Entries[len(page.Entries)-1]; last.Prefix == "" {
			doc.text("NextVersionIdMarker", "null")
		}
	}
}

func (op *listVersions) entry(doc *document, info *object.Info) {
	doc.open("Version")
	op.names.text(doc, "Key", string(info.Key))
	doc.text("VersionId", "null")
	doc.bool("IsLatest", true)
	doc.object(info)
	doc.owner("Owner", op.owner)
	doc.close("Version")
}
