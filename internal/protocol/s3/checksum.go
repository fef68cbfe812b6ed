package s3

import (
	"crypto/md5" //nolint:gosec // Content-MD5 and ETags are MD5
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"

	"github.com/larder-cache/larder/internal/object"
)

// algorithm is how S3 names a checksum algorithm.
type algorithm struct {
	name   string // in XML and in x-amz-checksum-algorithm
	header string // of the value
}

// algorithms are the names, by object.Algorithm.
var algorithms = [...]algorithm{
	object.NoChecksum: {},
	object.CRC32:      {"CRC32", "X-Amz-Checksum-Crc32"},
	object.CRC32C:     {"CRC32C", "X-Amz-Checksum-Crc32c"},
	object.CRC64NVME:  {"CRC64NVME", "X-Amz-Checksum-Crc64nvme"},
	object.SHA1:       {"SHA1", "X-Amz-Checksum-Sha1"},
	object.SHA256:     {"SHA256", "X-Amz-Checksum-Sha256"},
}

// parseAlgorithm finds an algorithm by name, in any case; NoChecksum for "".
func parseAlgorithm(name string) (object.Algorithm, error) {
	for i := range algorithms {
		if strings.EqualFold(algorithms[i].name, name) {
			return object.Algorithm(i), nil
		}
	}
	return 0, &Error{Code: InvalidRequest, Message: "Checksum algorithm provided is unsupported. Please try again with any of the valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]"}
}

// demand is what the sender promises of a body.
type demand struct {
	md5       []byte           // of Content-MD5; nil if there is none
	algorithm object.Algorithm // of the checksum; NoChecksum if there is none
	value     []byte           // nil if it comes in the trailer, or is not promised at all
	trailer   string           // name of the trailing header that has it, "" for none
}

// demand parses Content-MD5 and the checksum headers.
func (r *request) demand() (d demand, err error) {
	if sent := r.Header["Content-Md5"]; len(sent) > 0 {
		if d.md5, err = base64.StdEncoding.DecodeString(sent[0]); err != nil || len(d.md5) != md5.Size {
			return d, &Error{Code: InvalidDigest, Message: "The Content-MD5 you specified is not valid."}
		}
	}
	sum, err := r.checksum()
	if err != nil {
		return d, err
	}
	d.algorithm, d.value = sum.Algorithm, sum.Value
	if d.algorithm != object.NoChecksum {
		return d, nil
	}
	for name := range strings.SplitSeq(r.header("X-Amz-Trailer"), ",") {
		name = http.CanonicalHeaderKey(strings.TrimSpace(name))
		for i := range algorithms {
			if name != "" && algorithms[i].header == name {
				d.algorithm, d.trailer = object.Algorithm(i), name
				return d, nil
			}
		}
		if strings.HasPrefix(name, checksumPrefix) {
			return d, &Error{Code: InvalidRequest, Message: "The value specified in the x-amz-trailer header is not supported"}
		}
	}
	// Announced, and its value left out: compute it.
	d.algorithm, err = parseAlgorithm(r.header("X-Amz-Sdk-Checksum-Algorithm"))
	return d, err
}

// checksum parses the one x-amz-checksum-* header with a value.
func (r *request) checksum() (object.Checksum, error) {
	found := ""
	for name := range r.Header {
		if !strings.HasPrefix(name, checksumPrefix) {
			continue
		}
		switch name {
		case "X-Amz-Checksum-Mode", "X-Amz-Checksum-Type", "X-Amz-Checksum-Algorithm":
			continue
		}
		if found != "" {
			return object.Checksum{}, &Error{Code: InvalidRequest, Message: "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."}
		}
		found = name
	}
	if found == "" {
		return object.Checksum{}, nil
	}
	return parseChecksum(found[len(checksumPrefix):], r.header(found))
}

const checksumPrefix = "X-Amz-Checksum-"

// parseChecksum parses a value in base64, of a composite checksum with "-N".
func parseChecksum(name, text string) (object.Checksum, error) {
	a, err := parseAlgorithm(name)
	if err != nil {
		return object.Checksum{}, err
	}
	sum := object.Checksum{Algorithm: a}
	bad := &Error{Code: InvalidRequest, Message: "Value for x-amz-checksum-" + strings.ToLower(name) + " header is invalid."}
	if value, parts, ok := strings.Cut(text, "-"); ok {
		n, err := strconv.Atoi(parts)
		if err != nil || n < 1 || n > object.MaxParts {
			return sum, bad
		}
		sum.Composite, sum.Parts, text = true, n, value
	}
	sum.Value, err = base64.StdEncoding.DecodeString(text)
	if err != nil || len(sum.Value) != a.Size() {
		return sum, bad
	}
	return sum, nil
}

// checksumText is a checksum as S3 writes it. That of a part of a composite one has
// no number of parts.
func checksumText(sum object.Checksum) string {
	if sum.Composite && sum.Parts > 0 {
		return sum.Base64() + "-" + strconv.Itoa(sum.Parts)
	}
	return sum.Base64()
}

// checksumType is a checksum's type as S3 names it.
func checksumType(composite bool) string {
	if composite {
		return "COMPOSITE"
	}
	return "FULL_OBJECT"
}

// addChecksum adds the headers of a checksum, if there is one.
func addChecksum(h http.Header, sum object.Checksum) {
	if sum.Algorithm == object.NoChecksum {
		return
	}
	h[algorithms[sum.Algorithm].header] = []string{checksumText(sum)}
	h["X-Amz-Checksum-Type"] = []string{checksumType(sum.Composite)}
}

// checksum writes the elements of a checksum, if there is one.
func (d *document) checksum(sum object.Checksum) {
	if sum.Algorithm != object.NoChecksum {
		d.text("Checksum"+algorithms[sum.Algorithm].name, checksumText(sum))
	}
}
