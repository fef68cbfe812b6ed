package s3

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/object"
	"github.com/larder-cache/larder/internal/protocol/edge"
)

// getAttributes is GetObjectAttributes.
type getAttributes struct {
	store      Store
	bucket     object.BucketName
	key        object.Key
	cond       object.Precondition
	version    bool
	wanted     map[string]bool
	after, max int // of the parts
}

func parseGetAttributes(p *Protocol, r *request) (*edge.Operation, error) {
	op := &getAttributes{store: p.store, bucket: r.bucket, key: r.key, cond: r.readCondition("")}
	var err error
	op.version = r.versioned()
	if op.wanted, err = parseAttributes(r.Header["X-Amz-Object-Attributes"]); err != nil {
		return nil, err
	}
	if op.max, err = r.headerNumber("X-Amz-Max-Parts", object.MaxListEntries); err != nil {
		return nil, err
	}
	op.max = min(op.max, object.MaxListEntries)
	if op.after, err = r.headerNumber("X-Amz-Part-Number-Marker", 0); err != nil {
		return nil, err
	}
	if err := r.noEncryption(); err != nil {
		return nil, err
	}
	action := iam.Action("s3:GetObjectAttributes")
	if op.version {
		action = "s3:GetObjectVersionAttributes"
	}
	operation := r.operation("s3.GetObjectAttributes", action, op)
	operation.Checks = append(operation.Checks, iam.Check{Action: readAction(op.version), Resource: r.resource()})
	return operation, nil
}

func parseAttributes(headers []string) (map[string]bool, error) {
	wanted := make(map[string]bool)
	for name := range strings.SplitSeq(strings.Join(headers, ","), ",") {
		switch name = strings.TrimSpace(name); name {
		case "ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize":
			wanted[name] = true
		default:
			return nil, invalid("Invalid attribute name specified.")
		}
	}
	return wanted, nil
}

// headerNumber parses a header that is a whole number and not negative.
func (r *request) headerNumber(name string, initial int) (int, error) {
	text := r.header(name)
	if text == "" {
		return initial, nil
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < 0 {
		return 0, invalid("Argument " + strings.ToLower(name) + " must be an integer between 0 and 2147483647")
	}
	return int(n), nil
}

// Serve answers the attributes that were asked for.
func (op *getAttributes) Serve(ctx context.Context, w *edge.Writer, _ *edge.Call) error {
	info, err := op.store.Head(ctx, op.bucket, op.key)
	if err != nil {
		return err
	}
	if err := op.cond.CheckRead(&info); err != nil {
		return err
	}
	doc := newDocument(1024)
	doc.root("GetObjectAttributesResponse")
	if op.wanted["ETag"] {
		doc.text("ETag", string(info.Digest.ETag)) // without quotes, here alone
	}
	if sum := info.Digest.Checksum; op.wanted["Checksum"] && sum.Algorithm != object.NoChecksum {
		doc.open("Checksum")
		doc.checksum(sum)
		doc.text("ChecksumType", checksumType(sum.Composite))
		doc.close("Checksum")
	}
	if op.wanted["ObjectParts"] && info.Parts > 0 {
		if err := op.parts(ctx, doc, &info); err != nil {
			return err
		}
	}
	if op.wanted["StorageClass"] {
		doc.text("StorageClass", storageClass(info.Meta.StorageClass))
	}
	if op.wanted["ObjectSize"] {
		doc.number("ObjectSize", info.Size)
	}
	doc.close("GetObjectAttributesResponse")
	set := &setter{w.Header(), make([]string, 0, 2)}
	set.add("Last-Modified", info.Modified.UTC().Format(http.TimeFormat))
	if op.version {
		set.add("X-Amz-Version-Id", "null")
	}
	return doc.send(w)
}

// parts writes one page of the object's parts.
func (op *getAttributes) parts(ctx context.Context, doc *document, info *object.Info) error {
	parts, err := op.store.ObjectParts(ctx, op.bucket, op.key, op.after, op.max+1)
	if err != nil {
		return err
	}
	more := len(parts) > op.max && op.max > 0
	parts = parts[:min(len(parts), op.max)]
	doc.open("ObjectParts")
	doc.number("PartsCount", int64(info.Parts))
	doc.number("PartNumberMarker", int64(op.after))
	if more {
		doc.number("NextPartNumberMarker", int64(parts[len(parts)-1].Number))
	}
	doc.number("MaxParts", int64(op.max))
	doc.bool("IsTruncated", more)
	for i := range parts {
		doc.open("Part")
		doc.checksum(parts[i].Digest.Checksum)
		doc.number("PartNumber", int64(parts[i].Number))
		doc.number("Size", parts[i].Size)
		doc.close("Part")
	}
	doc.close("ObjectParts")
	return nil
}
