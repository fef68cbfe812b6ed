package s3

import (
	"context"
	"net/http"
	"strings"

	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/object"
	"github.com/larder-cache/larder/internal/protocol/edge"
)

// probe answers a question about a feature that is not configured, since it is
// not offered: clients ask and want S3's answer, not an error.
type probe struct {
	store  Store
	bucket object.BucketName
	key    object.Key
	code   Code   // answer this error; "" answers the document
	root   string // of the document, whose content is inside
	inside string
}

// unset answers a question of that name with an error.
func unset(name string, action iam.Action, code Code) parser {
	return func(p *Protocol, r *request) (*edge.Operation, error) {
		return r.probe(name, action, &probe{store: p.store, code: code}), nil
	}
}

// fixed answers a question of that name with a document.
func fixed(name string, action iam.Action, root, inside string) parser {
	return func(p *Protocol, r *request) (*edge.Operation, error) {
		return r.probe(name, action, &probe{store: p.store, root: root, inside: inside}), nil
	}
}

// private answers a question for an access control list: the owner alone.
func private(name string, action iam.Action) parser {
	return func(p *Protocol, r *request) (*edge.Operation, error) {
		doc := newDocument(512)
		doc.b = doc.b[:0]
		doc.owner("Owner", p.config.Owner)
		doc.open("AccessControlList")
		doc.open("Grant")
		doc.b = append(doc.b, `<Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser">`...)
		doc.text("ID", p.config.Owner)
		doc.text("DisplayName", ownerName)
		doc.close("Grantee")
		doc.text("Permission", "FULL_CONTROL")
		doc.close("Grant")
		doc.close("AccessControlList")
		return r.probe(name, action, &probe{store: p.store, root: "AccessControlPolicy", inside: string(doc.b)}), nil
	}
}

func (r *request) probe(name string, action iam.Action, op *probe) *edge.Operation {
	op.bucket, op.key = r.bucket, r.key
	return r.operation(name, action, op)
}

// Serve answers, if what is asked about exists.
func (op *probe) Serve(ctx context.Context, w *edge.Writer, _ *edge.Call) error {
	if err := exists(ctx, op.store, op.bucket, op.key); err != nil {
		return err
	}
	if op.code != "" {
		return &Error{Code: op.code}
	}
	doc := newDocument(512)
	doc.root(op.root)
	doc.b = append(doc.b, op.inside...)
	doc.close(op.root)
	return doc.send(w)
}

// remove removes a setting that no bucket has, so that nothing is to be done:
// clients remove whatever there may be before they remove a bucket.
func (p *Protocol) remove(ctx context.Context, name object.BucketName, w *edge.Writer) error {
	if _, err := p.store.Bucket(ctx, name); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// putNothing removes a setting by PUT of an empty document, of which root is the
// root.
type putNothing struct {
	store  Store
	bucket object.BucketName
	root   string
}

// emptied is a PUT that may only say that nothing is configured.
func emptied(name string, action iam.Action, root string) parser {
	return func(p *Protocol, r *request) (*edge.Operation, error) {
		operation := r.operation(name, action, &putNothing{p.store, r.bucket, root})
		operation.Auth, operation.MaxBody = edge.Signed, maxSmallDocument
		return operation, nil
	}
}

// Serve answers that it is so already.
func (op *putNothing) Serve(ctx context.Context, w *edge.Writer, call *edge.Call) error {
	if _, err := op.store.Bucket(ctx, op.bucket); err != nil {
		return err
	}
	var doc struct {
		Inside string `xml:",innerxml"`
	}
	if err := readXML(call, op.root, &doc); err != nil {
		return err
	}
	if strings.TrimSpace(doc.Inside) != "" {
		return notOffered("A " + op.root)
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

func exists(ctx context.Context, store Store, bucket object.BucketName, key object.Key) error {
	if key != "" {
		_, err := store.Head(ctx, bucket, key)
		return err
	}
	_, err := store.Bucket(ctx, bucket)
	return err
}

// putACL is PutBucketAcl and PutObjectAcl, of which "private" alone is true.
type putACL struct {
	store  Store
	bucket object.BucketName
	key    object.Key
	owner  string // the one grantee of the list in the body, "" if there is none
}

func parsePutACL(p *Protocol, r *request) (*edge.Operation, error) {
	if err := r.refuseUnkept(); err != nil {
		return nil, err
	}
	name, action := "s3.PutBucketAcl", iam.Action("s3:PutBucketPolicy")
	if r.key != "" {
		name, action = "s3.PutObjectAcl", "s3:PutObject"
	}
	op := &putACL{store: p.store, bucket: r.bucket, key: r.key}
	if r.header("X-Amz-Acl") == "" {
		op.owner = p.config.Owner
	}
	operation := r.operation(name, action, op)
	operation.Auth = edge.Signed
	operation.MaxBody = maxSmallDocument
	return operation, nil
}

// Serve answers that it is so already. A list that gives the owner everything and
// others nothing is what GET answers; clients send it back after a copy.
func (op *putACL) Serve(ctx context.Context, w *edge.Writer, call *edge.Call) error {
	if err := exists(ctx, op.store, op.bucket, op.key); err != nil {
		return err
	}
	if op.owner != "" {
		var list struct {
			Grants []struct {
				ID         string `xml:"Grantee>ID"`
				Permission string
			} `xml:"AccessControlList>Grant"`
		}
		if err := readXML(call, "AccessControlPolicy", &list); err != nil {
			return err
		}
		for _, grant := range list.Grants {
			if grant.ID != op.owner || grant.Permission != "FULL_CONTROL" {
				return &Error{Code: AccessControlListNotSupported}
			}
		}
	}
	w.WriteHeader(http.StatusOK)
	return nil
}
