package s3

import (
	"github.com/larder-cache/larder/internal/object"
)

// Route is one route of the table, for tests that must see all of them.
type Route struct {
	Level               string // "service", "bucket" or "key"
	Method, Subresource string
}

// Routes returns the whole table.
func Routes() []Route {
	all := make([]Route, 0, len(routes))
	for r := range routes {
		all = append(all, Route{[...]string{service: "service", bucket: "bucket", key: "key"}[r.level], r.method, r.subresource})
	}
	return all
}

// Subresources returns every parameter that chooses an operation.
func Subresources() []string {
	var all []string
	for name := range subresources {
		all = append(all, name)
	}
	return all
}

// The parsers, for fuzzing.
var (
	ParseRange = parseRange
	DecodeXML  = func(doc []byte) error {
		var complete completeDocument
		if err := decodeXML(doc, "CompleteMultipartUpload", &complete); err != nil {
			return err
		}
		_, err := complete.parts()
		return err
	}
	ParseFormPolicy = func(text string) error {
		_, err := parseFormPolicy(text)
		return err
	}
)

// ParseCopySource returns what a copy reads.
func ParseCopySource(text string) (object.BucketName, object.Key, error) {
	source, err := parseCopySource(text)
	return source.bucket, source.key, err
}

// Escape writes text as XML, and says whether XML can hold it.
func Escape(text string) (string, bool) {
	d := &document{}
	d.escape(text)
	return string(d.b), !d.foreign
}

// Encode percent-encodes.
func Encode(text string) string { return string(appendEncoded(nil, text)) }
