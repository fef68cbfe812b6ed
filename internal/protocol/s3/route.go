package s3

import (
	"net/http"
	"strings"
	"unicode/utf8"

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

// routes is every operation that is offered.
var routes = map[route]parser{
	{service, http.MethodGet, ""}: parseListBuckets,

	{bucket, http.MethodPut, ""}:         parseCreateBucket,
	{bucket, http.MethodHead, ""}:        onBucket("s3.HeadBucket", "s3:ListBucket", edge.Anonymous, (*Protocol).headBucket),
	{bucket, http.MethodDelete, ""}:      onBucket("s3.DeleteBucket", "s3:DeleteBucket", edge.Signed, (*Protocol).deleteBucket),
	{bucket, http.MethodGet, "location"}: onBucket("s3.GetBucketLocation", "s3:GetBucketLocation", edge.Anonymous, (*Protocol).getBucketLocation),
	{bucket, http.MethodGet, ""}:         parseListObjects,
	{bucket, http.MethodGet, "versions"}: parseListVersions,
	{bucket, http.MethodGet, "uploads"}:  parseListUploads,
	{bucket, http.MethodPost, "delete"}:  parseDeleteObjects,
	{bucket, http.MethodPost, ""}:        parsePostObject,

	{bucket, http.MethodGet, "policy"}:       onBucket("s3.GetBucketPolicy", "s3:GetBucketPolicy", edge.Signed, (*Protocol).getPolicy),
	{bucket, http.MethodPut, "policy"}:       parsePutPolicy,
	{bucket, http.MethodDelete, "policy"}:    onBucket("s3.DeleteBucketPolicy", "s3:DeleteBucketPolicy", edge.Signed, (*Protocol).deletePolicy),
	{bucket, http.MethodGet, "policyStatus"}: onBucket("s3.GetBucketPolicyStatus", "s3:GetBucketPolicyStatus", edge.Signed, (*Protocol).getPolicyStatus),
	{bucket, http.MethodGet, "tagging"}:      parseGetTagging,
	{bucket, http.MethodPut, "tagging"}:      parsePutTagging,
	{bucket, http.MethodDelete, "tagging"}:   parseDeleteTagging,
	{bucket, http.MethodPut, "acl"}:          parsePutACL,

	{key, http.MethodGet, ""}:           parseGetObject,
	{key, http.MethodHead, ""}:          parseHeadObject,
	{key, http.MethodPut, ""}:           parsePutObject, // and CopyObject
	{key, http.MethodDelete, ""}:        parseDeleteObject,
	{key, http.MethodGet, "attributes"}: parseGetAttributes,
	{key, http.MethodGet, "tagging"}:    parseGetTagging,
	{key, http.MethodPut, "tagging"}:    parsePutTagging,
	{key, http.MethodDelete, "tagging"}: parseDeleteTagging,
	{key, http.MethodPut, "acl"}:        parsePutACL,

	{key, http.MethodPost, "uploads"}:    parseCreateUpload,
	{key, http.MethodPut, "uploadId"}:    parseUploadPart, // and UploadPartCopy
	{key, http.MethodPost, "uploadId"}:   parseCompleteUpload,
	{key, http.MethodDelete, "uploadId"}: parseAbortUpload,
	{key, http.MethodGet, "uploadId"}:    parseListParts,

	// What clients merely ask about. Where the policy engine knows no action of
	// its own, here and below the right to the bucket's policy counts.
	{bucket, http.MethodGet, "acl"}:               private("s3.GetBucketAcl", "s3:GetBucketPolicy"),
	{key, http.MethodGet, "acl"}:                  private("s3.GetObjectAcl", "s3:GetObject"),
	{bucket, http.MethodGet, "versioning"}:        fixed("s3.GetBucketVersioning", "s3:GetBucketVersioning", "VersioningConfiguration", ""),
	{bucket, http.MethodGet, "notification"}:      fixed("s3.GetBucketNotificationConfiguration", "s3:GetBucketNotification", "NotificationConfiguration", ""),
	{bucket, http.MethodGet, "logging"}:           fixed("s3.GetBucketLogging", "s3:GetBucketPolicy", "BucketLoggingStatus", ""),
	{bucket, http.MethodGet, "accelerate"}:        fixed("s3.GetBucketAccelerateConfiguration", "s3:GetBucketPolicy", "AccelerateConfiguration", ""),
	{bucket, http.MethodGet, "requestPayment"}:    fixed("s3.GetBucketRequestPayment", "s3:GetBucketPolicy", "RequestPaymentConfiguration", "<Payer>BucketOwner</Payer>"),
	{bucket, http.MethodGet, "lifecycle"}:         unset("s3.GetBucketLifecycleConfiguration", "s3:GetLifecycleConfiguration", NoSuchLifecycleConfiguration),
	{bucket, http.MethodGet, "cors"}:              unset("s3.GetBucketCors", "s3:GetBucketCors", NoSuchCORSConfiguration),
	{bucket, http.MethodGet, "encryption"}:        unset("s3.GetBucketEncryption", "s3:GetEncryptionConfiguration", ServerSideEncryptionConfigurationNotFound),
	{bucket, http.MethodGet, "publicAccessBlock"}: unset("s3.GetPublicAccessBlock", "s3:GetBucketPolicy", NoSuchPublicAccessBlockConfiguration),
	{bucket, http.MethodGet, "ownershipControls"}: unset("s3.GetBucketOwnershipControls", "s3:GetBucketPolicy", OwnershipControlsNotFound),
	{bucket, http.MethodGet, "object-lock"}:       unset("s3.GetObjectLockConfiguration", "s3:GetBucketObjectLockConfiguration", ObjectLockConfigurationNotFound),
	{bucket, http.MethodGet, "replication"}:       unset("s3.GetBucketReplication", "s3:GetReplicationConfiguration", ReplicationConfigurationNotFound),
	{bucket, http.MethodGet, "website"}:           unset("s3.GetBucketWebsite", "s3:GetBucketPolicy", NoSuchWebsiteConfiguration),
	{key, http.MethodGet, "retention"}:            unset("s3.GetObjectRetention", "s3:GetObjectRetention", NoSuchObjectLockConfiguration),
	{key, http.MethodGet, "legal-hold"}:           unset("s3.GetObjectLegalHold", "s3:GetObjectLegalHold", NoSuchObjectLockConfiguration),

	// Removing what is not there.
	{bucket, http.MethodDelete, "lifecycle"}:         onBucket("s3.DeleteBucketLifecycle", "s3:PutLifecycleConfiguration", edge.Signed, (*Protocol).remove),
	{bucket, http.MethodDelete, "cors"}:              onBucket("s3.DeleteBucketCors", "s3:DeleteBucketCors", edge.Signed, (*Protocol).remove),
	{bucket, http.MethodDelete, "encryption"}:        onBucket("s3.DeleteBucketEncryption", "s3:PutEncryptionConfiguration", edge.Signed, (*Protocol).remove),
	{bucket, http.MethodDelete, "publicAccessBlock"}: onBucket("s3.DeletePublicAccessBlock", "s3:PutBucketPolicy", edge.Signed, (*Protocol).remove),
	{bucket, http.MethodDelete, "ownershipControls"}: onBucket("s3.DeleteBucketOwnershipControls", "s3:PutBucketPolicy", edge.Signed, (*Protocol).remove),
	{bucket, http.MethodDelete, "replication"}:       onBucket("s3.DeleteBucketReplication", "s3:PutReplicationConfiguration", edge.Signed, (*Protocol).remove),
	{bucket, http.MethodDelete, "website"}:           onBucket("s3.DeleteBucketWebsite", "s3:PutBucketPolicy", edge.Signed, (*Protocol).remove),
	{bucket, http.MethodPut, "notification"}:         emptied("s3.PutBucketNotificationConfiguration", "s3:PutBucketNotification", "NotificationConfiguration"),
	{bucket, http.MethodPut, "logging"}:              emptied("s3.PutBucketLogging", "s3:PutBucketPolicy", "BucketLoggingStatus"),
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
	if name := twice(req.Query); name != "" {
		return nil, invalid("The query parameter " + name + " was given more than once.")
	}
	if err := misplaced(found, req.Query); err != nil {
		return nil, err
	}
	operation, err := parse(p, r)
	if err != nil {
		return nil, err
	}
	p.expectOwner(r, operation)
	if found.level == key && r.versioned() && req.Query.Get("versionId") != nullVersion {
		operation.Handler = refusal{&Error{Code: NoSuchVersion}}
	}
	return operation, nil
}

// subresource returns the parameter that chooses the operation. Two different ones
// are an error: which one counts must not be a matter of taste. So is a parameter
// that is not UTF-8, since answers repeat them.
func subresource(query edge.Query) (string, error) {
	found := ""
	for i := range query {
		if !utf8.ValidString(query[i].Value) {
			return "", invalid("The query parameter " + query[i].Name + " is not valid UTF-8.")
		}
		if name := query[i].Name; subresources[name] {
			if found != "" && found != name {
				return "", invalid("Conflicting query string parameters: " + found + ", " + name)
			}
			found = name
		}
	}
	return found, nil
}

// misplaced refuses an empty version, and to take a write of a part or of a version
// for one of the whole object.
func misplaced(r route, query edge.Query) error {
	if r.level == key && query.Has("versionId") && query.Get("versionId") == "" {
		return errEmptyVersion
	}
	if r.level != key || r.method != http.MethodPut && r.method != http.MethodPost {
		return nil
	}
	switch r.subresource {
	case "":
		if query.Has("partNumber") {
			return invalid("The query parameter partNumber needs uploadId.")
		}
		fallthrough
	case "uploads", "uploadId":
		if query.Has("versionId") {
			return invalid("This operation does not accept a version-id.")
		}
	}
	return nil
}

var errEmptyVersion = invalid("Version id cannot be the empty string")

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
