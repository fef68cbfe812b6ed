package iam

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/larder-cache/larder/internal/fault"
)

// The lengths of names and secrets, in bytes.
const (
	MinAccessKeyLen = 3
	MinSecretLen    = 8
	MaxNameLen      = 128
)

// ParseUserName checks the name of a user, which is also his access key: 3 to
// 128 bytes of printable UTF-8 without "=" and ",", no space at either end. The
// error is fault.Invalid.
func ParseUserName(s string) (UserName, error) {
	if err := checkName(s, MinAccessKeyLen, "=,"); err != nil {
		return "", fault.Wrap(fault.Invalid, fault.User, "", err)
	}
	return UserName(s), nil
}

// ParseAccessKey checks an access key, by the rules of a user's name.
func ParseAccessKey(s string) (AccessKeyID, error) {
	if err := checkName(s, MinAccessKeyLen, "=,"); err != nil {
		return "", fault.Wrap(fault.Invalid, fault.AccessKey, "", err)
	}
	return AccessKeyID(s), nil
}

// ParseGroupName checks the name of a group: like a user's, of any length from 1.
func ParseGroupName(s string) (GroupName, error) {
	if err := checkName(s, 1, "=,"); err != nil {
		return "", fault.Wrap(fault.Invalid, fault.Group, "", err)
	}
	return GroupName(s), nil
}

// ParsePolicyName checks the name of a policy: lists of them are separated by
// commas.
func ParsePolicyName(s string) (PolicyName, error) {
	if err := checkName(s, 1, ","); err != nil {
		return "", fault.Wrap(fault.Invalid, fault.Policy, "", err)
	}
	return PolicyName(s), nil
}

// ParseSecret checks a secret key: 8 to 128 bytes. The error does not show it.
func ParseSecret(s string) (Secret, error) {
	if len(s) < MinSecretLen || len(s) > MaxNameLen {
		return "", fault.Wrap(fault.Invalid, fault.Secret, "", ruleError("a secret key has 8 to 128 bytes"))
	}
	return Secret(s), nil
}

func checkName(s string, shortest int, forbidden string) error {
	switch {
	case len(s) < shortest && shortest > 1:
		return ruleError("the name has at least 3 characters")
	case s == "":
		return ruleError("the name is empty")
	case len(s) > MaxNameLen:
		return ruleError("the name has at most 128 bytes")
	case !utf8.ValidString(s):
		return ruleError("the name is valid UTF-8")
	case strings.ContainsAny(s, forbidden):
		return ruleError(`the name has none of "` + forbidden + `"`)
	case strings.TrimSpace(s) != s:
		return ruleError("the name neither begins nor ends with a space")
	case strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }):
		return ruleError("the name has only printable characters")
	}
	return nil
}
