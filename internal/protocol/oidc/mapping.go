package oidc

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/larder-cache/larder/internal/iam"
)

// Rule maps tokens with certain claims to policies.
type Rule struct {
	// Match holds, for each claim, the patterns of which its value (one of its
	// values) must match one. "*" stands for any characters. Empty matches every
	// token of the issuer.
	Match map[string][]string

	// Policies are the names that a matching token gets. "{claim}" in a name
	// stands for the claim's value; a token without it, or with a value that is
	// no part of a name, does not match.
	Policies []string
}

const maxRuleClaims = 16

func (r *Rule) check() error {
	if len(r.Policies) == 0 {
		return errors.New("it names no policy")
	}
	if len(r.Match) > maxRuleClaims {
		return fmt.Errorf("it matches more than %d claims", maxRuleClaims)
	}
	for claim, patterns := range r.Match {
		if claim == "" || len(patterns) == 0 || slices.Contains(patterns, "") {
			return fmt.Errorf("claim %q has no value to match", claim)
		}
	}
	for _, policy := range r.Policies {
		if _, err := templateClaims(policy); err != nil {
			return err
		}
	}
	return nil
}

// narrows reports whether the rule holds one of the claims to exact values.
func (r *Rule) narrows(claims []string) bool {
	return slices.ContainsFunc(claims, func(claim string) bool {
		patterns := r.Match[claim]
		return len(patterns) > 0 && !slices.ContainsFunc(patterns, func(p string) bool { return strings.Contains(p, "*") })
	})
}

// templateClaims returns the claims in the braces of a policy's name.
func templateClaims(policy string) (claims []string, err error) {
	for rest := policy; ; {
		before, after, found := strings.Cut(rest, "{")
		if strings.ContainsAny(before, "},") || policy == "" {
			return nil, fmt.Errorf("%q is not the name of a policy", policy)
		}
		if !found {
			return claims, nil
		}
		claim, after, closed := strings.Cut(after, "}")
		if !closed || claim == "" {
			return nil, fmt.Errorf("policy %q has an open brace", policy)
		}
		claims, rest = append(claims, claim), after
	}
}

// claims returns the claims that the rule looks at.
func (r *Rule) claims() []string {
	names := slices.Collect(maps.Keys(r.Match))
	for _, policy := range r.Policies {
		inside, _ := templateClaims(policy) // checked by New
		names = append(names, inside...)
	}
	return names
}

// apply returns the policies for a token's claims, and whether the rule matches.
func (r *Rule) apply(claims map[string][]string) ([]iam.PolicyName, bool) {
	for claim, patterns := range r.Match {
		if !slices.ContainsFunc(claims[claim], func(v string) bool { return matchesAny(patterns, v) }) {
			return nil, false
		}
	}
	policies := make([]iam.PolicyName, 0, len(r.Policies))
	for _, template := range r.Policies {
		policy, ok := expand(template, claims)
		if !ok {
			return nil, false
		}
		policies = append(policies, policy)
	}
	return policies, true
}

func expand(template string, claims map[string][]string) (iam.PolicyName, bool) {
	inside, err := templateClaims(template)
	if err != nil {
		return "", false
	}
	for _, claim := range inside {
		values := claims[claim]
		if len(values) != 1 || !namePart(values[0]) {
			return "", false
		}
		template = strings.Replace(template, "{"+claim+"}", values[0], 1)
	}
	return iam.PolicyName(template), true
}

// namePart reports whether a claim's value may be part of a policy's name. "/"
// may not: "acme/x" and "acme-x" must not meet in one policy.
func namePart(s string) bool {
	return s != "" && len(s) <= 64 && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-_.", r)
	})
}

// policies maps a verified token to its policies; none means no session.
func (i *Issuer) policies(claims map[string][]string) []iam.PolicyName {
	for n := range i.Rules {
		if policies, ok := i.Rules[n].apply(claims); ok {
			return policies
		}
	}
	if i.PolicyClaim == "" {
		return nil
	}
	var policies []iam.PolicyName
	for _, value := range claims[i.PolicyClaim] {
		for name := range strings.SplitSeq(value, ",") {
			if name = strings.TrimSpace(name); name != "" && i.allowed(name) && len(policies) < maxValues {
				policies = append(policies, iam.PolicyName(name))
			}
		}
	}
	return policies
}

func (i *Issuer) allowed(policy string) bool {
	ok := false
	for _, pattern := range i.AllowedPolicies {
		if exclude, is := strings.CutPrefix(pattern, "!"); is {
			if matchesAny([]string{exclude}, policy) {
				return false
			}
		} else {
			ok = ok || matchesAny([]string{pattern}, policy)
		}
	}
	return ok
}

func matchesAny(patterns []string, s string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool { return matches(pattern, s) })
}

// matches reports whether pattern, in which "*" stands for any characters, is
// the whole of s.
func matches(pattern, s string) bool {
	head, rest, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == s
	}
	s, ok := strings.CutPrefix(s, head)
	for ok {
		var part string
		if part, rest, star = strings.Cut(rest, "*"); !star {
			return strings.HasSuffix(s, part)
		}
		_, s, ok = strings.Cut(s, part)
	}
	return false
}
