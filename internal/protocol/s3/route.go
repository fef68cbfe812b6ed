package s3

import (
	"net/http"
	"strings"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/protocol/edge"
)

// level is what a request is about.
type level uint8

const (
	service level = iota
	bucket
	key
)

// route names an operation: what a request is about, its method, and the
// parameter that S3 calls a subresource ("" if there is none).
type route struct {
	level       level
	method      string
	subresource string
}

// parser makes an operation of a request.
type parser func(p *Protocol, r *request) (*edge.Operation, error)

// subresources are the parameters that choose an operation, whether or not it is
// offered here. All others never do.
var subresources = map[string]bool{
	"accelerate": true, "acl": true, "analytics": true, "attributes": true, "cors": true, "delete": true, "encryption": true,
	"events": true, "intelligent-tiering": true, "inventory": true, "legal-hold": true, "lifecycle": true, "location": true,
	"logging": true, "metadataConfiguration": true, "metadataTable": true, "metrics": true, "notification": true,
	"object-lock": true, "ownershipControls": true, "policy": true, "policyStatus": true, "publicAccessBlock": true,
	"renameObject": true, "replication": true, "replication-metrics": true, "requestPayment": true, "restore": true,
	"retention": true, "select": true, "session": true, "tagging": true, "torrent": true, "uploadId": true, "uploads": true,
	"versioning": true, "versions": true, "website": true,
}

// routes is every operation that is offered, in the order of S3's reference.
var routes = map[route]parser{
	{service, http.MethodGet, ""}: parseListBuckets,

	{bucket, http.MethodPut, ""}:         parseCreateBucket,
	{bucket, http.MethodHead, ""}:        parseHeadBucket,
	{bucket, http.MethodDelete, ""}:      parseDeleteBucket,
	{bucket, http.MethodGet, "location"}: parseGetBucketLocation,
	{bucket, http.MethodGet, ""}:         parseListObjects,

	{key, http.MethodGet, ""}:    parseGetObject,
	{key, http.MethodHead, ""}:   parseHeadObject,
	{key, http.MethodPut, ""}:    parsePutObject,
	{key, http.MethodDelete, ""}: parseDeleteObject,
}

// Route finds the operation of a request and parses its inputs.
func (p *Protocol) Route(req *edge.Request) (*edge.Operation, error) {
	where, err := p.locate(req)
	if err != nil {
		return nil, err
	}
	r := &request{req, where}
	if err := r.once(); err != nil {
		return nil, err
	}
	found := route{level: key, method: req.Method}
	switch {
	case where.bucket == "":
		found.level = service
	case where.key == "":
		found.level = bucket
	}
	if found.subresource, err = subresource(req.Query); err != nil {
		return nil, err
	}
	parse, ok := routes[found]
	if !ok {
		return nil, unrouted(found)
	}
	operation, err := parse(p, r)
	if err != nil {
		return nil, err
	}
	p.expectOwner(r, operation)
	return operation, nil
}

// subresource returns the parameter that chooses the operation. Two of them are
// an error: which one counts must not be a matter of taste.
func subresource(query edge.Query) (string, error) {
	if len(query) == 0 {
		return "", nil
	}
	if name := twice(query); name != "" {
		return "", invalid("The query parameter " + name + " was given more than once.")
	}
	found := ""
	for i := range query {
		if name := query[i].Name; subresources[name] {
			if found != "" {
				return "", invalid("Conflicting query string parameters: " + found + ", " + name)
			}
			found = name
		}
	}
	return found, nil
}

// unrouted says why a request has no operation.
func unrouted(r route) error {
	switch {
	case r.method == http.MethodOptions:
		return &Error{Code: AccessDenied, Message: "CORSResponse: CORS is not enabled for this bucket."}
	case r.subresource != "":
		return notOffered(r.method + " ?" + r.subresource)
	}
	return &Error{Code: MethodNotAllowed}
}

// expectOwner makes an operation refuse to run when the client expects the
// bucket to be somebody else's.
func (p *Protocol) expectOwner(r *request, operation *edge.Operation) {
	for _, name := range []string{"X-Amz-Expected-Bucket-Owner", "X-Amz-Source-Expected-Bucket-Owner"} {
		if owner := r.header(name); owner != "" && owner != p.config.Owner {
			operation.Handler = refusal{fault.New(fault.Denied, fault.Bucket, strings.ToLower(name))}
		}
	}
}
