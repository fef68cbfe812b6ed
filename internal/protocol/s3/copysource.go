package s3

import (
	"errors"
	"net/url"
	"strings"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/object"
	"github.com/larder-cache/larder/internal/protocol/edge"
)

// copySource is what x-amz-copy-source names.
type copySource struct {
	bucket  object.BucketName
	key     object.Key
	version string // "" if none was named
	cond    object.Precondition
}

// copySource parses the headers that name the source of a copy.
func (r *request) copySource() (copySource, error) {
	source, err := parseCopySource(r.header("X-Amz-Copy-Source"))
	if err != nil {
		return source, err
	}
	source.cond = r.readCondition("X-Amz-Copy-Source-")
	return source, nil
}

// parseCopySource parses "bucket/key", "/bucket/key" and both with
// "?versionId=null". The version is split off before the path is decoded, once,
// so that an encoded "?" belongs to the key and to nothing else.
func parseCopySource(text string) (source copySource, err error) {
	path, query, hasQuery := strings.Cut(text, "?")
	bad := &Error{Code: InvalidArgument, Message: "Copy Source must mention the source bucket and key: sourcebucket/sourcekey"}
	if path, err = url.PathUnescape(path); err != nil {
		return source, bad
	}
	bucket, key, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if bucket == "" || key == "" {
		return source, bad
	}
	if source.bucket, err = object.ParseBucketName(bucket); err != nil {
		return source, err
	}
	if source.key, err = object.ParseKey(key); err != nil || !hasQuery {
		return source, err
	}
	switch version, ok := strings.CutPrefix(query, "versionId="); {
	case !ok:
		return source, bad
	case version == "":
		return source, errEmptyVersion
	default:
		source.version = version
	}
	return source, nil
}

// check is the right that reading the source needs.
func (s *copySource) check() iam.Check {
	return iam.Check{Action: readAction(s.version != ""), Resource: iam.Resource{Bucket: string(s.bucket), Key: string(s.key)}}
}

// facts is what policies may ask about the source.
func (s *copySource) facts() map[string][]string {
	facts := versionFacts(s.version)
	facts["s3:x-amz-copy-source"] = []string{string(s.bucket) + "/" + string(s.key)}
	return facts
}

// refuse makes a copy of a version that is not there answer so, once it is
// authorised.
func (s *copySource) refuse(operation *edge.Operation) {
	if s.version != "" && s.version != nullVersion {
		operation.Handler = refusal{&Error{Code: NoSuchVersion}}
	}
}

// refused turns what the condition of a read says into what it means for a copy,
// which is not made: NotModified is a condition that does not hold.
func refused(err error) error {
	if errors.Is(err, fault.NotModified) {
		return fault.Wrap(fault.Precondition, fault.Object, "If-None-Match or If-Modified-Since of the source", err)
	}
	return err
}
