package s3

import (
	"context"
	"encoding/base64"
	"strconv"

	"github.com/larder-cache/larder/internal/object"
	"github.com/larder-cache/larder/internal/protocol/edge"
)

// listing is what ListObjects and ListObjectVersions have in common.
type listing struct {
	store Store
	list  object.ListRequest // Max may be 0
	names encoder
	owner string // account id
}

// listObjects is ListObjects, version 1 and 2.
type listObjects struct {
	listing
	v2     bool
	owned  bool   // entries name their owner
	marker string // of version 1, or start-after
	token  string // as the client sent it
}

func parseListObjects(p *Protocol, r *request) (*edge.Operation, error) {
	op := &listObjects{owned: true}
	var err error
	if op.listing, err = r.listing(p); err != nil {
		return nil, err
	}
	switch r.Query.Get("list-type") {
	case "":
		op.marker = r.Query.Get("marker")
		op.list.After = op.marker
	case "2":
		op.v2, op.owned = true, r.Query.Get("fetch-owner") == "true"
		op.marker, op.token = r.Query.Get("start-after"), r.Query.Get("continuation-token")
		op.list.After = op.marker
		if r.Query.Has("continuation-token") {
			if op.list.After, err = parseToken(op.token); err != nil {
				return nil, err
			}
		}
	default:
		return nil, invalid("Invalid List Type specified in Request")
	}
	operation := r.operation("s3.ListObjects", "s3:ListBucket", op)
	operation.Facts = r.listFacts()
	return operation, nil
}

// listing parses what all listings of keys have in common.
func (r *request) listing(p *Protocol) (l listing, err error) {
	l = listing{store: p.store, owner: p.config.Owner}
	l.list = object.ListRequest{Bucket: r.bucket, Prefix: r.Query.Get("prefix"), Delimiter: r.Query.Get("delimiter")}
	if l.list.Max, err = r.max("max-keys", object.MaxListEntries); err != nil {
		return l, err
	}
	l.names.url, err = r.encoding()
	return l, err
}

// max parses the size of a page; a larger one than S3 has is cut.
func (r *request) max(name string, most int) (int, error) {
	text := r.Query.Get(name)
	if text == "" {
		return most, nil
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < 0 {
		return 0, invalid("Argument " + name + " must be an integer between 0 and 2147483647")
	}
	return min(int(n), most), nil
}

// listFacts are what policies may ask about a listing.
func (r *request) listFacts() map[string][]string {
	facts := make(map[string][]string)
	for _, name := range []string{"prefix", "delimiter", "max-keys"} {
		if r.Query.Has(name) {
			facts["s3:"+name] = []string{r.Query.Get(name)}
		}
	}
	return facts
}

// A continuation token is where the listing goes on, in base64.
func makeToken(after string) string { return base64.RawURLEncoding.EncodeToString([]byte(after)) }

func parseToken(token string) (string, error) {
	after, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || token == "" {
		return "", invalid("The continuation token provided is incorrect")
	}
	return string(after), nil
}

// Serve answers one page.
func (op *listObjects) Serve(ctx context.Context, w *edge.Writer, _ *edge.Call) error {
	return op.send(ctx, w, "ListBucketResult", op.front, op.entry)
}

// send answers one page: a document of that root with front, an entry for each
// key, and the common prefixes.
func (l *listing) send(ctx context.Context, w *edge.Writer, root string, front func(*document, *object.Page), entry func(*document, *object.Info)) error {
	page, err := l.page(ctx)
	if err != nil {
		return err
	}
	doc := newDocument(1024 + 448*len(page.Entries))
	doc.root(root)
	front(doc, &page)
	for i := range page.Entries {
		if e := &page.Entries[i]; e.Prefix == "" {
			entry(doc, &e.Info)
		}
	}
	l.names.prefixes(doc, page.Entries)
	doc.close(root)
	if doc.foreign {
		return errForeign
	}
	return doc.send(w)
}

// page asks for a page; one of no entries says only that the bucket exists.
func (l *listing) page(ctx context.Context) (object.Page, error) {
	if l.list.Max == 0 {
		_, err := l.store.Bucket(ctx, l.list.Bucket)
		return object.Page{}, err
	}
	return l.store.List(ctx, l.list)
}

// errForeign refuses a listing that XML cannot express.
var errForeign = &Error{Code: InvalidArgument, Message: "The listing holds names with characters that XML 1.0 cannot express. List with encoding-type=url."}

// front writes all but the entries.
func (op *listObjects) front(doc *document, page *object.Page) {
	doc.text("Name", string(op.list.Bucket))
	op.names.text(doc, "Prefix", op.list.Prefix)
	if op.v2 {
		doc.number("KeyCount", int64(len(page.Entries)))
		doc.optional("ContinuationToken", op.token)
		op.names.optional(doc, "StartAfter", op.marker)
	} else {
		op.names.text(doc, "Marker", op.marker)
	}
	doc.number("MaxKeys", int64(op.list.Max))
	op.names.optional(doc, "Delimiter", op.list.Delimiter)
	op.names.declare(doc)
	doc.bool("IsTruncated", page.Next != "")
	switch {
	case page.Next == "":
	case op.v2:
		doc.text("NextContinuationToken", makeToken(page.Next))
	default:
		op.names.text(doc, "NextMarker", page.Next)
	}
}

// entry writes one object.
func (op *listObjects) entry(doc *document, info *object.Info) {
	doc.raw("<Contents>")
	op.names.text(doc, "Key", string(info.Key))
	doc.object(info)
	if op.owned {
		doc.owner("Owner", op.owner)
	}
	doc.raw("</Contents>")
}

// object writes the elements that all listings of objects have in common. A page
// has a thousand of them, so neighbouring tags are written at once.
func (d *document) object(info *object.Info) {
	d.raw("<LastModified>")
	d.b = appendTime(d.b, info.Modified)
	d.raw("</LastModified><ETag>&#34;")
	d.escape(string(info.Digest.ETag))
	if sum := &info.Digest.Checksum; sum.Algorithm != object.NoChecksum {
		d.raw("&#34;</ETag><ChecksumAlgorithm>")
		d.raw(algorithms[sum.Algorithm].name)
		d.raw("</ChecksumAlgorithm><ChecksumType>")
		d.raw(checksumType(sum.Composite))
		d.raw("</ChecksumType><Size>")
	} else {
		d.raw("&#34;</ETag><Size>")
	}
	d.b = strconv.AppendInt(d.b, info.Size, 10)
	d.raw("</Size><StorageClass>")
	d.escape(storageClass(info.Meta.StorageClass))
	d.raw("</StorageClass>")
}

// owner writes an account.
func (d *document) owner(name, id string) {
	d.open(name)
	d.text("ID", id)
	d.text("DisplayName", ownerName)
	d.close(name)
}

const ownerName = "larder"

// encoder writes names of objects: percent-encoded where the client asked for it.
type encoder struct{ url bool }

func (e encoder) text(doc *document, name, value string) {
	doc.open(name)
	if e.url {
		doc.b = appendEncoded(doc.b, value)
	} else {
		doc.escape(value)
	}
	doc.close(name)
}

func (e encoder) optional(doc *document, name, value string) {
	if value != "" {
		e.text(doc, name, value)
	}
}

func (e encoder) declare(doc *document) {
	if e.url {
		doc.text("EncodingType", "url")
	}
}

// prefixes writes the common prefixes of a page.
func (e encoder) prefixes(doc *document, entries []object.Entry) {
	for i := range entries {
		if prefix := entries[i].Prefix; prefix != "" {
			doc.open("CommonPrefixes")
			e.text(doc, "Prefix", prefix)
			doc.close("CommonPrefixes")
		}
	}
}

// appendEncoded percent-encodes all but unreserved characters and slashes. Both
// decoders that clients use, for paths and for forms, read it back.
func appendEncoded(b []byte, s string) []byte {
	const digits = "0123456789ABCDEF"
	for i := range len(s) {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '/' || c == '-' || c == '_' || c == '.' || c == '~' {
			b = append(b, c)
		} else {
			b = append(b, '%', digits[c>>4], digits[c&15])
		}
	}
	return b
}
