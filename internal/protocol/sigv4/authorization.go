package sigv4

import (
	"encoding/hex"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/larder-cache/larder/internal/iam"
)

// claim is what a request says about its own signature, parsed and unproven.
type claim struct {
	id        iam.AccessKeyID
	scope     scope
	names     string // of the signed headers, joined by ";"
	signature [32]byte
	time      string
	at        time.Time
	token     string
	expires   time.Duration // presigned only
	payload   string        // presigned only: X-Amz-Content-Sha256 of the query
}

const (
	maxAuthorization = 8 << 10 // bytes of an Authorization header; AWS's own are below 1 KiB
	maxSignedHeaders = 128
	maxPresign       = 7 * 24 * time.Hour
)

// parseHeader reads "AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…".
func parseHeader(authorization string, h http.Header) (c claim, err error) {
	malformed := func(what string) (claim, error) {
		return claim{}, fail(AuthorizationHeaderMalformed, "The authorization header is malformed; "+what+".")
	}
	if len(authorization) > maxAuthorization {
		return malformed("it is longer than 8 KiB")
	}
	var credential, signature string
	var seen int
	for rest := authorization[len(algorithm):]; rest != ""; {
		var part string
		part, rest, _ = strings.Cut(rest, ",")
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch name {
		case "Credential":
			credential = value
			seen |= 1
		case "SignedHeaders":
			c.names = value
			seen |= 2
		case "Signature":
			signature = value
			seen |= 4
		default:
			return malformed("it has an unknown part " + strconv.Quote(name))
		}
	}
	if seen != 1|2|4 {
		return malformed("it needs Credential, SignedHeaders and Signature")
	}
	if !c.setCredential(credential) {
		return malformed(`the Credential is not of the form "<access key>/YYYYMMDD/REGION/SERVICE/aws4_request"`)
	}
	if !c.setSignature(signature) {
		return malformed("the Signature is not 64 hexadecimal digits")
	}
	if err := c.setHeaderTime(h); err != nil {
		return claim{}, err
	}
	if tokens := h["X-Amz-Security-Token"]; len(tokens) > 1 {
		return malformed("there are several x-amz-security-token headers")
	} else if len(tokens) == 1 {
		c.token = tokens[0]
	}
	return c, nil
}

// setHeaderTime takes x-amz-date, or Date if it is signed.
func (c *claim) setHeaderTime(h http.Header) error {
	if v := h["X-Amz-Date"]; len(v) > 0 {
		if len(v) > 1 || !c.setTime(v[0]) {
			return fail(AccessDenied, "The x-amz-date header is not of the form YYYYMMDD'T'HHMMSS'Z'.")
		}
		return nil
	}
	date := h.Get("Date")
	if date == "" {
		return fail(AccessDenied, "AWS authentication requires a valid Date or x-amz-date header")
	}
	if c.setTime(date) {
		return nil
	}
	at, err := http.ParseTime(date)
	if err != nil {
		return fail(AccessDenied, "The Date header cannot be read.")
	}
	c.at = at.UTC()
	c.time = c.at.Format(timeFormat)
	return nil
}

// parseQuery reads the X-Amz-… parameters of a presigned URL, each exactly once.
func parseQuery(rawQuery string) (c claim, err error) {
	malformed := func(what string) (claim, error) {
		return claim{}, fail(AuthorizationQueryParameters, what)
	}
	q, err := presignParameters(rawQuery)
	if err != nil {
		return claim{}, err
	}
	for _, name := range []string{"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature", "X-Amz-Date", "X-Amz-SignedHeaders", "X-Amz-Expires"} {
		if _, ok := q[name]; !ok {
			return malformed("Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters; " + name + " is absent.")
		}
	}
	if q["X-Amz-Algorithm"] != algorithm {
		return malformed("X-Amz-Algorithm only supports " + algorithm)
	}
	if !c.setCredential(q["X-Amz-Credential"]) {
		return malformed(`Error parsing the X-Amz-Credential parameter; it is not of the form "<access key>/YYYYMMDD/REGION/SERVICE/aws4_request".`)
	}
	if !c.setSignature(q["X-Amz-Signature"]) {
		return malformed("X-Amz-Signature is not 64 hexadecimal digits")
	}
	if !c.setTime(q["X-Amz-Date"]) {
		return malformed(`X-Amz-Date must be in the ISO8601 Long Format "yyyyMMdd'T'HHmmss'Z'"`)
	}
	seconds, err := strconv.ParseUint(q["X-Amz-Expires"], 10, 31)
	if err != nil {
		return malformed("X-Amz-Expires should be a number of seconds")
	}
	if c.expires = time.Duration(seconds) * time.Second; c.expires > maxPresign {
		return malformed("X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than 604800 seconds")
	}
	c.names, c.token, c.payload = q["X-Amz-SignedHeaders"], q["X-Amz-Security-Token"], q["X-Amz-Content-Sha256"]
	return c, nil
}

// presignParameters decodes the parameters that authenticate, and refuses one
// that is there twice: which one counts must not be a matter of the reader.
func presignParameters(rawQuery string) (map[string]string, error) {
	q := make(map[string]string, 8)
	for part := range strings.SplitSeq(rawQuery, "&") {
		key, value, _ := strings.Cut(part, "=")
		key, err := url.QueryUnescape(key)
		if err != nil {
			return nil, fail(InvalidURI, "The query string cannot be decoded.")
		}
		if !presignParameter(key) {
			continue
		}
		if _, twice := q[key]; twice {
			return nil, fail(AuthorizationQueryParameters, "The parameter "+key+" is there twice.")
		}
		if q[key], err = url.QueryUnescape(value); err != nil {
			return nil, fail(InvalidURI, "The query string cannot be decoded.")
		}
	}
	return q, nil
}

func presignParameter(key string) bool {
	switch key {
	case "X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature", "X-Amz-Date", "X-Amz-SignedHeaders", "X-Amz-Expires",
		"X-Amz-Security-Token", "X-Amz-Content-Sha256":
		return true
	}
	return false
}

// setCredential splits from the right: an access key may contain slashes.
func (c *claim) setCredential(s string) bool {
	var part [4]string
	for i := 3; i >= 0; i-- {
		at := strings.LastIndexByte(s, '/')
		if at < 0 {
			return false
		}
		s, part[i] = s[:at], s[at+1:]
	}
	c.id = iam.AccessKeyID(s)
	c.scope = scope{date: part[0], region: part[1], service: part[2]}
	return s != "" && len(part[0]) == len(dateFormat) && part[3] == terminator
}

func (c *claim) setSignature(s string) bool {
	if len(s) != 64 {
		return false
	}
	_, err := hex.Decode(c.signature[:], []byte(s))
	return err == nil
}

func (c *claim) setTime(s string) bool {
	if len(s) != len(timeFormat) {
		return false
	}
	at, err := time.Parse(timeFormat, s)
	c.time, c.at = s, at
	return err == nil
}

// signedNames splits c.names into dst, and checks that names are in lower case,
// ascending (so none is there twice) and contain host.
func (c *claim) signedNames(dst []string) ([]string, bool) {
	host, last := false, ""
	for name := range strings.SplitSeq(c.names, ";") {
		if name <= last || len(dst) == maxSignedHeaders || strings.ContainsFunc(name, notHeaderName) {
			return dst, false
		}
		host = host || name == "host"
		dst, last = append(dst, name), name
	}
	return dst, host
}

func notHeaderName(r rune) bool {
	return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '_' && r != '.'
}
