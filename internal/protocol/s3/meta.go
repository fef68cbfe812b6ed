package s3

import (
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/larder-cache/larder/internal/object"
)

// meta parses what a writer says about an object.
func (r *request) meta() (object.Meta, error) {
	m := object.Meta{
		ContentType:        r.header("Content-Type"),
		ContentEncoding:    withoutChunked(strings.Join(r.Header["Content-Encoding"], ",")),
		ContentDisposition: r.header("Content-Disposition"),
		ContentLanguage:    r.header("Content-Language"),
		CacheControl:       r.header("Cache-Control"),
		Expires:            r.header("Expires"),
	}
	var err error
	if m.StorageClass, err = parseStorageClass(r.header("X-Amz-Storage-Class")); err != nil {
		return m, err
	}
	size := 0
	for name, values := range r.Header {
		own, ok := strings.CutPrefix(name, "X-Amz-Meta-")
		if !ok || own == "" {
			continue
		}
		if m.User == nil {
			m.User = make(map[string]string)
		}
		value := strings.Join(values, ",")
		m.User[strings.ToLower(own)] = value
		size += len(own) + len(value)
	}
	if size > object.MaxMetaSize {
		return m, &Error{Code: MetadataTooLarge}
	}
	return m, nil
}

// withoutChunked removes the encoding that is Amazon's framing of the request
// and no property of the object.
func withoutChunked(encoding string) string {
	if !strings.Contains(strings.ToLower(encoding), "aws-chunked") {
		return encoding
	}
	var kept []string
	for token := range strings.SplitSeq(encoding, ",") {
		if token = strings.TrimSpace(token); token != "" && !strings.EqualFold(token, "aws-chunked") {
			kept = append(kept, token)
		}
	}
	return strings.Join(kept, ",")
}

// parseStorageClass returns "" for the standard class.
func parseStorageClass(name string) (string, error) {
	switch name {
	case "", "STANDARD":
		return "", nil
	case "REDUCED_REDUNDANCY":
		return name, nil
	}
	return "", &Error{Code: InvalidStorageClass}
}

// storageClass is a class as listings name it.
func storageClass(class string) string {
	if class == "" {
		return "STANDARD"
	}
	return class
}

// refuseUnkept refuses headers of a write that ask for what would not be kept.
func (r *request) refuseUnkept() error {
	switch acl := r.header("X-Amz-Acl"); acl {
	case "", "private", "bucket-owner-full-control", "bucket-owner-read":
	default:
		return &Error{Code: AccessControlListNotSupported}
	}
	for name := range r.Header {
		switch {
		case strings.HasPrefix(name, "X-Amz-Grant-"):
			return &Error{Code: AccessControlListNotSupported}
		case strings.HasPrefix(name, "X-Amz-Object-Lock-"):
			return &Error{Code: InvalidRequest, Message: "Bucket is missing Object Lock Configuration"}
		case name == "X-Amz-Website-Redirect-Location", name == "X-Amz-Write-Offset-Bytes":
			return notOffered(strings.ToLower(name))
		}
	}
	return r.noEncryption()
}

// tags parses x-amz-tagging, which is written like a query.
func (r *request) tags() ([]object.Tag, error) {
	text := r.header("X-Amz-Tagging")
	if text == "" {
		return nil, nil
	}
	var tags []object.Tag
	for element := range strings.SplitSeq(text, "&") {
		name, value, _ := strings.Cut(element, "=")
		name, errName := url.QueryUnescape(name)
		value, errValue := url.QueryUnescape(value)
		if errName != nil || errValue != nil {
			return nil, &Error{Code: InvalidTag, Message: "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name duplicates."}
		}
		tags = append(tags, object.Tag{Key: name, Value: value})
	}
	return tags, checkTags(tags, object.MaxTags)
}

// checkTags holds tags against S3's limits.
func checkTags(tags []object.Tag, most int) error {
	if len(tags) > most {
		return &Error{Code: BadRequest, Message: "Object tags cannot be greater than " + strconv.Itoa(most)}
	}
	seen := make(map[string]bool, len(tags))
	for _, tag := range tags {
		switch {
		case tag.Key == "" || utf8.RuneCountInString(tag.Key) > 128 || !utf8.ValidString(tag.Key) || !plain(tag.Key):
			return &Error{Code: InvalidTag, Message: "The TagKey you have provided is invalid"}
		case utf8.RuneCountInString(tag.Value) > 256 || !utf8.ValidString(tag.Value) || !plain(tag.Value):
			return &Error{Code: InvalidTag, Message: "The TagValue you have provided is invalid"}
		case seen[tag.Key]:
			return &Error{Code: InvalidTag, Message: "Cannot provide multiple Tags with the same key"}
		}
		seen[tag.Key] = true
	}
	return nil
}
