package sccache

import (
	"fmt"
	"strconv"
	"strings"
)

// Version is a release of sccache, 0.16.0 for example.
type Version struct{ Major, Minor, Patch int }

// ParseVersion reads "0.16.0", alone or as the last word of "sccache 0.16.0",
// with or without a suffix such as "-alpha.0".
func ParseVersion(text string) (Version, error) {
	words := strings.Fields(text)
	if len(words) == 0 {
		return Version{}, fmt.Errorf("%q holds no version", text)
	}
	number, _, _ := strings.Cut(strings.TrimPrefix(words[len(words)-1], "v"), "-")
	parts := strings.Split(number, ".")
	var v Version
	for i, field := range []*int{&v.Major, &v.Minor, &v.Patch} {
		if i >= len(parts) {
			return Version{}, fmt.Errorf("%q holds no version", text)
		}
		n, err := strconv.Atoi(parts[i])
		if err != nil || n < 0 {
			return Version{}, fmt.Errorf("%q holds no version", text)
		}
		*field = n
	}
	return v, nil
}

// String returns "0.16.0".
func (v Version) String() string { return fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Patch) }

// AtLeast reports whether v is 0.minor or later.
func (v Version) AtLeast(minor int) bool { return v.Major > 0 || v.Minor >= minor }

// Modern reports whether v is 0.18 or later. That release changed everything
// between sccache and a server: it brings its own name resolver and TLS (rustls)
// instead of the libc's and OpenSSL, takes credentials from containers, reads
// AWS_ENDPOINT and AWS_DEFAULT_REGION, and can skip the check at its start.
func (v Version) Modern() bool { return v.AtLeast(18) }

// since lists the release that first read a variable, as 0.N. A variable that is
// not listed is as old as S3 support itself.
var since = map[string]int{
	"SCCACHE_SKIP_CACHE_CHECK":                     18,
	"SCCACHE_S3_SERVER_SIDE_ENCRYPTION_AWS_KMS":    18,
	"SCCACHE_S3_SERVER_SIDE_ENCRYPTION_KMS_KEY_ID": 18,
	"AWS_CONTAINER_CREDENTIALS_FULL_URI":           18,
	"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI":       18,
	"SCCACHE_S3_RW_MODE":                           16,
	"SCCACHE_MULTILEVEL_CHAIN":                     15,
	"SCCACHE_S3_ENABLE_VIRTUAL_HOST_STYLE":         11,
}

// Unread lists the variables that env sets and v does not know, with the minor
// number of the release that first does.
func (v Version) Unread(env Environ) map[string]int {
	unread := make(map[string]int)
	for name, minor := range since {
		if env[name] != "" && !v.AtLeast(minor) {
			unread[name] = minor
		}
	}
	return unread
}
