package object

import (
	"net/netip"
	"strings"
	"unicode/utf8"

	"github.com/larder-cache/larder/internal/fault"
)

// BucketName is a valid bucket name. Make one with ParseBucketName.
type BucketName string

// Key is a valid object key: 1 to MaxKeyLen bytes of UTF-8 without NUL. It is
// opaque: "//", ".", ".." and spaces mean nothing and are never cleaned. Make
// one with ParseKey.
type Key string

// MaxKeyLen is the longest key, in bytes.
const MaxKeyLen = 1024

// ParseBucketName checks s against S3's rules for general purpose buckets: 3 to
// 63 bytes of a-z, 0-9, "-" and ".", starting and ending with a letter or
// digit, without "..", ".-" or "-.", and not formatted as an IPv4 address. The
// error is fault.Invalid.
//
// Source: Amazon S3 User Guide, "General purpose bucket naming rules".
func ParseBucketName(s string) (BucketName, error) {
	reject := func(why string) (BucketName, error) {
		return "", fault.Wrap(fault.Invalid, fault.Bucket, s, ruleError(why))
	}
	if len(s) < 3 || len(s) > 63 {
		return reject("a bucket name has 3 to 63 characters")
	}
	for i := range len(s) {
		c := s[i]
		if alphanumeric := c >= 'a' && c <= 'z' || c >= '0' && c <= '9'; alphanumeric {
			continue
		}
		if c != '-' && c != '.' {
			return reject("a bucket name has only lower-case letters, digits, hyphens and dots")
		}
		if i == 0 || i == len(s)-1 {
			return reject("a bucket name starts and ends with a letter or digit")
		}
	}
	if strings.Contains(s, "..") || strings.Contains(s, ".-") || strings.Contains(s, "-.") {
		return reject("a bucket name has no two dots, and no dot beside a hyphen")
	}
	if c := s[len(s)-1]; c <= '9' { // spare the many the parser, whose error costs more than all above
		if addr, err := netip.ParseAddr(s); err == nil && addr.Is4() {
			return reject("a bucket name is not an IP address")
		}
	}
	return BucketName(s), nil
}

// ParseKey checks s. The error is fault.TooLarge for an over-long key and
// fault.Invalid for an empty one, invalid UTF-8 or NUL.
func ParseKey(s string) (Key, error) {
	switch {
	case s == "":
		return "", fault.Wrap(fault.Invalid, fault.Object, s, ruleError("a key has at least one byte"))
	case len(s) > MaxKeyLen:
		return "", fault.Wrap(fault.TooLarge, fault.Object, s[:32]+"…", ruleError("a key has at most 1024 bytes"))
	case !utf8.ValidString(s):
		return "", fault.Wrap(fault.Invalid, fault.Object, "", ruleError("a key is valid UTF-8"))
	case strings.IndexByte(s, 0) >= 0:
		return "", fault.Wrap(fault.Invalid, fault.Object, "", ruleError("a key has no NUL byte"))
	}
	return Key(s), nil
}

// ruleError is a broken rule, as a sentence for whoever broke it.
type ruleError string

func (e ruleError) Error() string { return string(e) }
