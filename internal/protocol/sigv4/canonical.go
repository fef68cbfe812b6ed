package sigv4

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/textproto"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// subject is what a signature covers.
type subject struct {
	method      string
	url         *url.URL
	host        string
	header      http.Header
	length      int64    // Content-Length, -1 if unknown
	transfer    []string // Transfer-Encoding
	signed      []string // names of the signed headers: lower case, ascending
	names       string   // the same, joined by ";"
	payload     string   // the payload's hash, or its marker
	generic     bool     // path rules of services other than S3
	presigned   bool     // X-Amz-Signature is not part of the query
	time        string   // 20060102T150405Z
	scope       scope
	hostVariant string // replaces host if set
}

// scope is what a signing key is good for.
type scope struct {
	date    string // 20060102
	region  string
	service string
}

func (s scope) appendTo(b []byte) []byte {
	b = append(append(b, s.date...), '/')
	b = append(append(b, s.region...), '/')
	b = append(append(b, s.service...), '/')
	return append(b, terminator...)
}

const (
	algorithm  = "AWS4-HMAC-SHA256"
	terminator = "aws4_request"
	timeFormat = "20060102T150405Z"
	dateFormat = "20060102"
)

// scratch is the memory of one verification.
type scratch struct {
	buf    []byte
	pairs  []pair
	signed []string
}

type pair struct{ key, value string } // encoded as AWS encodes

var scratches = sync.Pool{New: func() any { return &scratch{buf: make([]byte, 0, 2048)} }}

func (s *scratch) release() {
	if cap(s.buf) > 64<<10 {
		return
	}
	clear(s.pairs[:cap(s.pairs)])
	clear(s.signed[:cap(s.signed)])
	s.buf, s.pairs, s.signed = s.buf[:0], s.pairs[:0], s.signed[:0]
	scratches.Put(s)
}

// canonical writes the canonical request into s.buf.
func (s *scratch) canonical(sub *subject) error {
	b := append(s.buf[:0], sub.method...)
	b = append(b, '\n')
	if sub.generic {
		b = appendGenericPath(b, sub.url)
	} else if p := sub.url.Path; p == "" {
		b = append(b, '/')
	} else {
		b = appendEncoded(b, p, true)
	}
	b = append(b, '\n')
	b, err := s.appendQuery(b, sub)
	if err != nil {
		return err
	}
	b = append(b, '\n')
	for _, name := range sub.signed {
		b = append(append(b, name...), ':')
		if b, err = sub.appendHeader(b, name); err != nil {
			return err
		}
		b = append(b, '\n')
	}
	b = append(b, '\n')
	b = append(append(b, sub.names...), '\n')
	s.buf = append(b, sub.payload...)
	return nil
}

// stringToSign replaces s.buf, a canonical request, by its string to sign.
func (s *scratch) stringToSign(sub *subject) {
	sum := sha256.Sum256(s.buf)
	b := append(s.buf[:0], algorithm+"\n"...)
	b = append(append(b, sub.time...), '\n')
	b = append(sub.scope.appendTo(b), '\n')
	s.buf = hex.AppendEncode(b, sum[:])
}

// appendGenericPath normalises the path as sent and encodes it once more.
func appendGenericPath(b []byte, u *url.URL) []byte {
	raw := u.RawPath
	if raw == "" {
		raw = u.EscapedPath()
	}
	clean := path.Clean("/" + raw)
	if clean != "/" && (strings.HasSuffix(raw, "/") || strings.HasSuffix(raw, "/.") || strings.HasSuffix(raw, "/..")) {
		clean += "/"
	}
	return appendEncoded(b, clean, true)
}

const upperHex = "0123456789ABCDEF"

// appendEncoded percent-encodes every byte but A–Z a–z 0–9 - _ . ~ and, in paths, /.
func appendEncoded(b []byte, s string, inPath bool) []byte {
	done := 0
	for i := range len(s) {
		if c := s[i]; !unreserved[c] && (!inPath || c != '/') {
			b = append(append(b, s[done:i]...), '%', upperHex[c>>4], upperHex[c&15])
			done = i + 1
		}
	}
	return append(b, s[done:]...)
}

var unreserved = func() (table [256]bool) {
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~") {
		table[c] = true
	}
	return table
}()

// appendQuery writes the query's parameters, each encoded anew, by name and value.
func (s *scratch) appendQuery(b []byte, sub *subject) ([]byte, error) {
	s.pairs = s.pairs[:0]
	for rest := sub.url.RawQuery; rest != ""; {
		var part string
		part, rest, _ = strings.Cut(rest, "&")
		if part == "" {
			continue
		}
		key, value, _ := strings.Cut(part, "=")
		key, err := reencode(key)
		if err != nil {
			return b, err
		}
		if sub.presigned && key == "X-Amz-Signature" {
			continue
		}
		if value, err = reencode(value); err != nil {
			return b, err
		}
		s.pairs = append(s.pairs, pair{key, value})
	}
	slices.SortFunc(s.pairs, func(x, y pair) int {
		if c := strings.Compare(x.key, y.key); c != 0 {
			return c
		}
		return strings.Compare(x.value, y.value)
	})
	for i, p := range s.pairs {
		if i > 0 {
			b = append(b, '&')
		}
		b = append(append(b, p.key...), '=')
		b = append(b, p.value...)
	}
	return b, nil
}

// reencode turns one name or value of a query into AWS's encoding. Most are in
// it already and cost nothing.
func reencode(s string) (string, error) {
	canonical := true
	for i := range len(s) {
		if !unreserved[s[i]] {
			canonical = false
			break
		}
	}
	if canonical {
		return s, nil
	}
	plain, err := url.QueryUnescape(s)
	if err != nil {
		return "", fail(InvalidURI, "The query string cannot be decoded.")
	}
	return string(appendEncoded(make([]byte, 0, len(s)+8), plain, false)), nil
}

// wireName spells the usual signed headers as net/http keeps them.
var wireName = map[string]string{ //nolint:gosec // names of headers, no credentials
	"x-amz-date": "X-Amz-Date", "x-amz-content-sha256": "X-Amz-Content-Sha256", "x-amz-security-token": "X-Amz-Security-Token",
	"x-amz-decoded-content-length": "X-Amz-Decoded-Content-Length", "x-amz-trailer": "X-Amz-Trailer",
	"x-amz-sdk-checksum-algorithm": "X-Amz-Sdk-Checksum-Algorithm", "x-amz-checksum-mode": "X-Amz-Checksum-Mode",
	"content-type": "Content-Type", "content-length": "Content-Length", "content-md5": "Content-Md5",
	"content-encoding": "Content-Encoding", "accept-encoding": "Accept-Encoding", "amz-sdk-invocation-id": "Amz-Sdk-Invocation-Id",
	"amz-sdk-request": "Amz-Sdk-Request", "range": "Range", "user-agent": "User-Agent", "expect": "Expect",
}

// appendHeader writes the value of one signed header: its lines trimmed, runs of
// spaces made one, joined by commas.
func (sub *subject) appendHeader(b []byte, name string) ([]byte, error) {
	key, ok := wireName[name]
	if !ok {
		key = textproto.CanonicalMIMEHeaderKey(name)
	}
	values := sub.header[key]
	switch {
	case name == "host":
		if sub.hostVariant != "" {
			return append(b, sub.hostVariant...), nil
		}
		return append(b, sub.host...), nil
	case len(values) > 0:
	case name == "content-length" && sub.length >= 0: // some stacks keep it apart
		return strconv.AppendInt(b, sub.length, 10), nil
	case name == "transfer-encoding" && len(sub.transfer) > 0: // net/http keeps it apart
		values = sub.transfer
	case name == "expect": // a proxy may have answered and removed it
		return append(b, "100-continue"...), nil
	default:
		return b, fail(SignatureDoesNotMatch, "The header "+strconv.Quote(name)+" is signed and did not arrive.")
	}
	for i, v := range values {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendTrimmed(b, v)
	}
	return b, nil
}

func appendTrimmed(b []byte, v string) []byte {
	v = strings.Trim(v, " \t")
	done := 0
	for i := 1; i < len(v); i++ {
		if v[i] == ' ' && v[i-1] == ' ' {
			b = append(b, v[done:i]...)
			done = i + 1
		}
	}
	return append(b, v[done:]...)
}
