package s3

import (
	"context"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"

	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/object"
	"github.com/larder-cache/larder/internal/protocol/edge"
	"github.com/larder-cache/larder/internal/protocol/sigv4"
)

// FormVerifier establishes who signed a form's policy. A sigv4.Verifier is one.
type FormVerifier interface {
	VerifyForm(ctx context.Context, form sigv4.PolicyForm) (sigv4.Signed, error)
}

// postObject is POST Object: a browser's form whose fields a policy allows, which
// is what is signed.
type postObject struct {
	protocol *Protocol
	boundary string
	request  request
	location string // of the bucket, as the client reached it

	// Found by login.
	put      object.PutRequest
	demand   demand
	limits   lengths
	facts    map[string][]string // of the operation; policies are asked after login
	status   int
	redirect *url.URL
}

// The limits of a form.
const (
	maxFormFile   = object.MaxPutSize // bytes
	maxFormFields = 128
	maxFormField  = 20 << 10 // bytes
	maxFormSize   = 64 << 10 // bytes of all fields
)

func parsePostObject(p *Protocol, r *request) (*edge.Operation, error) {
	if p.config.Form == nil {
		return nil, notOffered("A form upload")
	}
	kind, params, err := mime.ParseMediaType(r.header("Content-Type"))
	if err != nil || kind != "multipart/form-data" || params["boundary"] == "" {
		return nil, &Error{Code: PreconditionFailed, Message: "Bucket POST must be of the enclosure-type multipart/form-data"}
	}
	op := &postObject{protocol: p, boundary: params["boundary"], request: *r, location: strings.TrimSuffix(r.location(), "/"), facts: make(map[string][]string)}
	return &edge.Operation{
		Name: "s3.PostObject", Bucket: string(r.bucket), Auth: edge.Own, Facts: op.facts,
		MaxBody: object.MaxPutSize, Login: op.login, Handler: op,
	}, nil
}

// login reads the fields before the file, verifies the policy's signature, holds
// the fields against the policy and names the key that is written.
func (op *postObject) login(ctx context.Context, call *edge.Call) (edge.Identity, []iam.Check, error) {
	reader := multipart.NewReader(call.Body, op.boundary)
	fields, name, file, err := readForm(reader)
	if err != nil {
		return edge.Identity{}, nil, err
	}
	if fields.Get("key") == "" {
		return edge.Identity{}, nil, invalid("Bucket POST must contain a field named 'key'. If it is specified, please check the order of the fields.")
	}
	key := strings.ReplaceAll(fields.Get("key"), "${filename}", path.Base(strings.ReplaceAll(name, `\`, "/")))
	fields.Set("key", key)
	op.limits = lengths{0, maxFormFile}
	identity, err := op.believe(ctx, fields, call)
	if err != nil {
		return edge.Identity{}, nil, err
	}
	if op.request.key, err = object.ParseKey(key); err != nil {
		return edge.Identity{}, nil, err
	}
	call.Operation.Key = key
	if err := op.fields(fields, identity.Type == sigv4.Form); err != nil {
		return edge.Identity{}, nil, err
	}
	identity.Body, identity.Length = file, -1
	classFacts(op.facts, op.request.header("X-Amz-Storage-Class"))
	tagFacts(op.facts, op.put.Tags)
	checks := []iam.Check{{Action: "s3:PutObject", Resource: op.request.resource()}}
	if len(op.put.Tags) > 0 {
		checks = append(checks, iam.Check{Action: "s3:PutObjectTagging", Resource: op.request.resource()})
	}
	return identity, checks, nil
}

// believe verifies the policy. A form without one is anonymous.
func (op *postObject) believe(ctx context.Context, fields url.Values, call *edge.Call) (edge.Identity, error) {
	if fields.Get("AWSAccessKeyId") != "" || fields.Get("signature") != "" {
		return edge.Identity{}, &Error{Code: InvalidRequest, Message: "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256 (s3v4)."}
	}
	if !fields.Has("policy") && !fields.Has("x-amz-signature") && !fields.Has("x-amz-credential") {
		return edge.Identity{}, nil
	}
	signed, err := op.protocol.config.Form.VerifyForm(ctx, sigv4.PolicyForm{
		Policy: fields.Get("policy"), Algorithm: fields.Get("x-amz-algorithm"), Credential: fields.Get("x-amz-credential"),
		Date: fields.Get("x-amz-date"), Signature: fields.Get("x-amz-signature"), Token: fields.Get("x-amz-security-token"),
	})
	if err != nil {
		return edge.Identity{}, err
	}
	policy, err := parseFormPolicy(fields.Get("policy"))
	if err != nil {
		return edge.Identity{}, err
	}
	if op.limits, err = policy.check(fields, string(op.request.bucket), call.Time); err != nil {
		return edge.Identity{}, err
	}
	return edge.Identity{Credential: signed.Credential, Type: signed.Type, SignedAt: signed.SignedAt}, nil
}

// fields reads the fields as what they would be as headers of PutObject.
func (op *postObject) fields(fields url.Values, signed bool) error {
	header := make(http.Header)
	for name, values := range fields {
		header[http.CanonicalHeaderKey(name)] = values
	}
	header["X-Amz-Acl"] = fields["acl"]
	op.request.Request = &edge.Request{Header: header}
	r := &op.request
	if err := r.refuseUnkept(); err != nil {
		return err
	}
	var err error
	op.put = object.PutRequest{Bucket: r.bucket, Key: r.key, Size: -1}
	if op.put.Meta, err = r.meta(); err != nil {
		return err
	}
	if op.demand, err = r.demand(); err != nil {
		return err
	}
	if text := fields.Get("tagging"); text != "" {
		var doc tagDocument
		if err := decodeXML([]byte(text), "Tagging", &doc); err != nil {
			return err
		}
		if err := checkTags(doc.Tags, object.MaxTags); err != nil {
			return err
		}
		op.put.Tags = doc.Tags
	}
	return op.success(fields, signed)
}

// success reads what the answer shall be. Only a signed policy may send browsers
// elsewhere.
func (op *postObject) success(fields url.Values, signed bool) error {
	op.status = http.StatusNoContent
	if status, err := strconv.Atoi(fields.Get("success_action_status")); err == nil && (status == http.StatusOK || status == http.StatusCreated) {
		op.status = status
	}
	target := fields.Get("success_action_redirect")
	if target == "" {
		target = fields.Get("redirect")
	}
	if target == "" || !signed {
		return nil
	}
	u, err := url.Parse(target)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return invalid("The redirect is not a URL.")
	}
	op.redirect = u
	return nil
}

// readForm reads the fields up to the file, whose name and content it returns.
// Names of fields are lower-cased but for AWSAccessKeyId, and must not repeat.
func readForm(reader *multipart.Reader) (fields url.Values, name string, file io.Reader, err error) {
	fields = make(url.Values)
	total := 0
	for range maxFormFields {
		part, err := reader.NextRawPart()
		switch {
		case errors.Is(err, io.EOF):
			return nil, "", nil, invalid("POST requires exactly one file upload per request.")
		case err != nil:
			return nil, "", nil, formError(err)
		}
		field := strings.ToLower(part.FormName())
		if field == "awsaccesskeyid" {
			field = "AWSAccessKeyId"
		}
		if field == "file" {
			return fields, part.FileName(), part, nil
		}
		value, err := io.ReadAll(io.LimitReader(part, maxFormField+1))
		if err != nil {
			return nil, "", nil, formError(err)
		}
		if total += len(field) + len(value); len(value) > maxFormField || total > maxFormSize {
			return nil, "", nil, &Error{Code: MaxPostPreDataLengthExceeded}
		}
		if fields.Has(field) {
			return nil, "", nil, invalid("The form field " + strconv.Quote(field) + " was sent more than once.")
		}
		fields.Set(field, string(value))
	}
	return nil, "", nil, &Error{Code: MaxPostPreDataLengthExceeded}
}

// formError is a form that cannot be read: what the connection reports stays.
func formError(err error) error {
	if errors.Is(err, edge.ErrSlow) || errors.Is(err, edge.ErrIncomplete) {
		return err
	}
	return &Error{Code: MalformedPOSTRequest, Err: err}
}

// Serve stores the file.
func (op *postObject) Serve(ctx context.Context, w *edge.Writer, call *edge.Call) error {
	bucket, err := op.protocol.store.Bucket(ctx, op.put.Bucket)
	if err != nil {
		return err
	}
	file := &bounded{r: call.Body, limits: op.limits}
	op.put.Content = newContent(file, -1, op.demand, bucket.Config.Cache)
	info, err := op.protocol.store.Put(ctx, op.put)
	if err != nil {
		return err
	}
	h := w.Header()
	h["ETag"] = []string{quote(info.Digest.ETag)}
	location := op.location + "/" + string(appendEncoded(nil, string(op.put.Key)))
	h["Location"] = []string{location}
	if op.redirect != nil {
		query := op.redirect.Query()
		query.Set("bucket", string(op.put.Bucket))
		query.Set("key", string(op.put.Key))
		query.Set("etag", quote(info.Digest.ETag))
		op.redirect.RawQuery = query.Encode()
		h["Location"] = []string{op.redirect.String()}
		w.WriteHeader(http.StatusSeeOther)
		return nil
	}
	if op.status != http.StatusCreated {
		w.WriteHeader(op.status)
		return nil
	}
	doc := newDocument(512)
	doc.open("PostResponse")
	doc.text("Location", location)
	doc.text("Bucket", string(op.put.Bucket))
	doc.text("Key", string(op.put.Key))
	doc.etag(info.Digest.ETag)
	doc.close("PostResponse")
	return doc.sendStatus(w, http.StatusCreated)
}

// lengths is a range of bytes, both inclusive.
type lengths struct{ low, high int64 }

// bounded refuses a file that is not within its limits.
type bounded struct {
	r      io.Reader
	limits lengths
	size   int64
}

// Read implements io.Reader.
func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	b.size += int64(n)
	switch {
	case b.size > b.limits.high:
		return n, &Error{Code: EntityTooLarge}
	case errors.Is(err, io.EOF) && b.size < b.limits.low:
		return n, &Error{Code: EntityTooSmall}
	case err != nil && !errors.Is(err, io.EOF):
		return n, formError(err)
	}
	return n, err
}
