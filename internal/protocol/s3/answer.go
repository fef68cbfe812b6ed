package s3

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/object"
	"github.com/larder-cache/larder/internal/protocol/edge"
)

// readAction is the action of reading an object, with or without naming a
// version: the right to the current one is not the right to name one.
func readAction(version bool) iam.Action {
	if version {
		return "s3:GetObjectVersion"
	}
	return "s3:GetObject"
}

// setter adds headers whose values share one allocation.
type setter struct {
	h      http.Header
	values []string
}

func (s *setter) add(name, value string) {
	s.values = append(s.values, value)
	n := len(s.values)
	s.h[name] = s.values[n-1 : n : n]
}

func (s *setter) optional(name, value string) {
	if value != "" {
		s.add(name, value)
	}
}

func (s *setter) remove(name string) { delete(s.h, name) }

var acceptRanges = []string{"bytes"}

// describeObject adds the headers that every answer with an object has.
func describeObject(h http.Header, info *object.Info) *setter {
	set := &setter{h, make([]string, 0, 8)}
	h["Accept-Ranges"] = acceptRanges
	set.add("ETag", quote(info.Digest.ETag))
	set.add("Last-Modified", info.Modified.UTC().Format(http.TimeFormat))
	m := &info.Meta
	if m.ContentType == "" {
		set.add("Content-Type", "binary/octet-stream")
	} else {
		set.add("Content-Type", m.ContentType)
	}
	set.optional("Content-Encoding", m.ContentEncoding)
	set.optional("Content-Disposition", m.ContentDisposition)
	set.optional("Content-Language", m.ContentLanguage)
	set.optional("Cache-Control", m.CacheControl)
	set.optional("Expires", m.Expires)
	set.optional("X-Amz-Storage-Class", m.StorageClass)
	for name, value := range m.User {
		set.add("x-amz-meta-"+strings.ToLower(name), value) // as S3 spells it: some clients keep the case
	}
	if len(info.Tags) > 0 {
		set.add("X-Amz-Tagging-Count", strconv.Itoa(len(info.Tags)))
	}
	return set
}

func quote(tag object.ETag) string { return `"` + string(tag) + `"` }

// overrides are the response-* parameters: header name → value.
type overrides map[string]string

var overridable = map[string]string{
	"response-content-type": "Content-Type", "response-content-language": "Content-Language",
	"response-expires": "Expires", "response-cache-control": "Cache-Control",
	"response-content-disposition": "Content-Disposition", "response-content-encoding": "Content-Encoding",
}

func parseOverrides(query edge.Query) overrides {
	var found overrides
	for i := range query {
		if header, ok := overridable[query[i].Name]; ok {
			if found == nil {
				found = make(overrides)
			}
			found[header] = query[i].Value
		}
	}
	return found
}

// allowed refuses overrides of callers who did not sign them: they would make
// the server say what it likes.
func (o overrides) allowed(call *edge.Call) error {
	if len(o) > 0 && call.Principal().Kind == iam.Anonymous {
		return &Error{Code: InvalidRequest, Message: "Request specific response headers cannot be used for anonymous GET requests."}
	}
	return nil
}

// apply sets the headers. net/http replaces line breaks in values.
func (o overrides) apply(h http.Header) {
	for name, value := range o {
		h[name] = []string{value}
	}
}

// noEncryption refuses the headers of encryption with the customer's own key, and
// of encryption here: an answer must not claim what is not so.
func (r *request) noEncryption() error {
	for name := range r.Header {
		switch {
		case !strings.HasPrefix(name, "X-Amz-"):
		case strings.HasPrefix(name, "X-Amz-Server-Side-Encryption"), strings.HasPrefix(name, "X-Amz-Copy-Source-Server-Side-Encryption"):
			return &Error{Code: NotImplemented, Message: "This server does not encrypt objects, so it does not accept " +
				strings.ToLower(name) + ". Leave the header out (sccache: SCCACHE_S3_SERVER_SIDE_ENCRYPTION=false)."}
		}
	}
	return nil
}
