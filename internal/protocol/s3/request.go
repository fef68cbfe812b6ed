package s3

import (
	"strconv"
	"strings"

	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/object"
	"github.com/larder-cache/larder/internal/protocol/edge"
)

// request is a request whose bucket and key are known, while it is parsed.
type request struct {
	*edge.Request
	address
}

// resource is what the request is about.
func (r *request) resource() iam.Resource {
	return iam.Resource{Bucket: string(r.bucket), Key: string(r.key)}
}

// operation makes an operation on the request's resource, which callers without
// credentials may call where the bucket's policy lets them.
func (r *request) operation(name string, action iam.Action, h edge.Handler) *edge.Operation {
	var facts map[string][]string
	if r.versioned() {
		facts = versionFacts(r.Query.Get("versionId"))
	}
	made := &struct { // one allocation for both
		operation edge.Operation
		checks    [1]iam.Check
	}{
		edge.Operation{Name: name, Bucket: string(r.bucket), Key: string(r.key), Auth: edge.Anonymous, Facts: facts, Handler: h},
		[1]iam.Check{{Action: action, Resource: r.resource()}},
	}
	made.operation.Checks = made.checks[:]
	return &made.operation
}

// versionFacts is what policies may ask about the version that is named, "" if none
// is.
func versionFacts(version string) map[string][]string {
	facts := make(map[string][]string)
	if version != "" {
		facts["s3:versionid"] = []string{version}
	}
	return facts
}

// header returns a header that must not be repeated, "" if it is absent.
func (r *request) header(name string) string {
	if values := r.Header[name]; len(values) > 0 {
		return values[0]
	}
	return ""
}

// number returns a parameter that is a whole number between low and high;
// initial if it is absent or empty.
func (r *request) number(name string, initial, low, high int) (int, error) {
	text := r.Query.Get(name)
	if text == "" {
		return initial, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < low {
		return 0, invalid("Argument " + name + " must be an integer between " + strconv.Itoa(low) + " and " + strconv.Itoa(high))
	}
	if n > high {
		return 0, &Error{Code: InvalidArgument, Message: "Argument " + name + " must be an integer between " + strconv.Itoa(low) + " and " + strconv.Itoa(high)}
	}
	return n, nil
}

// encoding says whether names in the answer are to be percent-encoded.
func (r *request) encoding() (bool, error) {
	switch v := r.Query.Get("encoding-type"); {
	case v == "":
		return false, nil
	case strings.EqualFold(v, "url"):
		return true, nil
	}
	return false, invalid("Invalid Encoding Method specified in Request")
}

// versioned reports whether the request names a version of its object, which then
// is nullVersion: Route refuses all others.
func (r *request) versioned() bool { return r.Query.Has("versionId") }

// nullVersion is the only version of an object here.
const nullVersion = "null"

// once refuses a header of S3 that was sent twice: which one counts must not be
// a matter of taste between signer, policy and handler.
func (r *request) once() error {
	for name, values := range r.Header {
		if len(values) > 1 && strings.HasPrefix(name, "X-Amz-") && !strings.HasPrefix(name, "X-Amz-Meta-") && name != "X-Amz-Object-Attributes" {
			return &Error{Code: InvalidRequest, Message: "The header " + strings.ToLower(name) + " was sent more than once."}
		}
	}
	return nil
}

// twice returns the name of a parameter that occurs twice, "" if none does.
func twice(query edge.Query) string {
	for i := range query {
		for j := range i {
			if query[i].Name == query[j].Name {
				return query[i].Name
			}
		}
	}
	return ""
}

// bucketOnly is the address of a bucket.
func bucketOnly(name object.BucketName) iam.Resource { return iam.Resource{Bucket: string(name)} }
