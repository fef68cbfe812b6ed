package oidc

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/larder-cache/larder/internal/iam"
)

// The variables of an issuer are MINIO_IDENTITY_OPENID_<FIELD>[_<NAME>], as MinIO
// has them, or LARDER_IDENTITY_OPENID_<FIELD>[_<NAME>], which win. <NAME> tells
// several issuers apart.
const (
	minioPrefix  = "MINIO_IDENTITY_OPENID_"
	larderPrefix = "LARDER_IDENTITY_OPENID_"
)

// fields set an issuer from the value of a variable. nil: accepted without effect.
var fields = map[string]func(*Issuer, string) error{
	"CONFIG_URL":         func(i *Issuer, v string) error { i.Discovery = v; return nil },
	"ISSUER":             func(i *Issuer, v string) error { i.URL = v; return nil },
	"AUDIENCE":           func(i *Issuer, v string) error { i.Audiences = list(v); return nil },
	"CA_FILE":            func(i *Issuer, v string) error { i.CAFile = v; return nil },
	"TOKEN_FILE":         func(i *Issuer, v string) error { i.TokenFile = v; return nil },
	"JWKS_FILE":          func(i *Issuer, v string) error { i.JWKSFile = v; return nil },
	"ALGORITHMS":         func(i *Issuer, v string) error { i.Algorithms = list(v); return nil },
	"ALLOWED_POLICIES":   func(i *Issuer, v string) error { i.AllowedPolicies = list(v); return nil },
	"RULES":              func(i *Issuer, v string) (err error) { i.Rules, err = ParseRules(v); return err },
	"MAX_SESSION":        func(i *Issuer, v string) (err error) { i.MaxSession, err = time.ParseDuration(v); return err },
	"CLIENT_ID":          func(i *Issuer, v string) error { i.Client.ID = v; return nil },
	"CLIENT_SECRET":      func(i *Issuer, v string) error { i.Client.Secret = iam.Secret(v); return nil },
	"CLIENT_SECRET_FILE": func(i *Issuer, v string) error { i.Client.SecretFile = v; return nil },
	"CLAIM_NAME":         func(i *Issuer, v string) error { i.PolicyClaim = v; return nil },
	"SCOPES":             func(i *Issuer, v string) error { i.Client.Scopes = list(v); return nil },
	"REDIRECT_URI":       func(i *Issuer, v string) error { i.Client.RedirectURI = v; return nil },
	"DISPLAY_NAME":       func(i *Issuer, v string) error { i.Client.DisplayName = v; return nil },

	"CLAIM_PREFIX": nil, "ROLE_POLICY": nil, "ENABLE": nil, // parseIssuer reads these itself
	"COMMENT": nil, "VENDOR": nil, "REDIRECT_URI_DYNAMIC": nil, "CLAIM_USERINFO": nil, "KEYCLOAK_REALM": nil,
	"KEYCLOAK_ADMIN_URL": nil, "USER_READABLE_CLAIM": nil, "USER_ID_CLAIM": nil,
}

// ParseEnvironment returns the issuers that the variables of env configure, by
// name. Whatever New would refuse is left to New; warnings name variables that
// mean nothing here.
func ParseEnvironment(env map[string]string) (issuers []Issuer, warnings []string, err error) {
	values := make(map[string]map[string]string) // name → field → value
	for _, prefix := range []string{minioPrefix, larderPrefix} {
		for _, variable := range slices.Sorted(maps.Keys(env)) {
			rest, ok := strings.CutPrefix(variable, prefix)
			if !ok || env[variable] == "" {
				continue
			}
			field, name, ok := splitField(rest)
			if !ok {
				warnings = append(warnings, variable+" is not known")
				continue
			}
			if values[name] == nil {
				values[name] = make(map[string]string)
			}
			values[name][field] = env[variable]
		}
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if disabled(values[name]["ENABLE"]) {
			continue
		}
		issuer, err := parseIssuer(name, values[name])
		if err != nil {
			return nil, warnings, fmt.Errorf("identity issuer %s: %w", issuer.label(), err)
		}
		issuers = append(issuers, issuer)
	}
	return issuers, warnings, nil
}

// splitField splits "CONFIG_URL_KEYCLOAK": the longest field that fits is meant.
func splitField(s string) (field, name string, ok bool) {
	for candidate := range fields {
		rest, is := strings.CutPrefix(s, candidate)
		if is && (rest == "" || rest[0] == '_' && len(rest) > 1) && len(candidate) > len(field) {
			field, name = candidate, strings.TrimPrefix(rest, "_")
		}
	}
	return field, name, field != ""
}

func disabled(v string) bool {
	switch strings.ToLower(v) {
	case "off", "false", "no", "0":
		return true
	}
	return false
}

func parseIssuer(name string, values map[string]string) (Issuer, error) {
	i := Issuer{Name: name}
	for field, v := range values {
		if set := fields[field]; set != nil {
			if err := set(&i, strings.TrimSpace(v)); err != nil {
				return i, fmt.Errorf("%s: %w", field, err)
			}
		}
	}
	if i.Client.Secret != "" && i.Client.SecretFile != "" {
		return i, errors.New("CLIENT_SECRET and CLIENT_SECRET_FILE exclude one another: unset one")
	}
	if _, err := i.Client.ReadSecret(); err != nil {
		return i, err
	}
	if i.URL == "" {
		i.URL = strings.TrimSuffix(i.Discovery, wellKnown)
	}
	switch {
	case len(i.Audiences) > 0:
	case i.Client.ID != "":
		i.Audiences = []string{i.Client.ID} // as MinIO
	default:
		i.Audiences = []string{"larder"}
	}
	if role := list(values["ROLE_POLICY"]); len(role) > 0 {
		i.Rules = append(i.Rules, Rule{Policies: role})
	}
	if len(i.Rules) == 0 && i.PolicyClaim == "" {
		i.PolicyClaim = "policy" // MinIO's default
	}
	if i.PolicyClaim != "" {
		i.PolicyClaim = values["CLAIM_PREFIX"] + i.PolicyClaim
		if len(i.AllowedPolicies) == 0 {
			i.AllowedPolicies = []string{"*", "!consoleAdmin"} // as MinIO, but for its administrators
		}
	}
	return i, nil
}

func list(v string) (elements []string) {
	for element := range strings.SplitSeq(v, ",") {
		if element = strings.TrimSpace(element); element != "" {
			elements = append(elements, element)
		}
	}
	return elements
}

// ParseRules reads rules as the variable RULES holds them: separated by ";" or
// lines, each "claim=value,claim=value -> policy,policy". A value may be several,
// separated by "|", each with "*" for any characters. "-> policy" alone matches
// every token.
func ParseRules(text string) (rules []Rule, err error) {
	for _, line := range strings.FieldsFunc(text, func(r rune) bool { return r == ';' || r == '\n' }) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		left, right, ok := strings.Cut(line, "->")
		if !ok {
			return nil, fmt.Errorf("rule %q has no \"->\": write claim=value -> policy", line)
		}
		rule := Rule{Match: make(map[string][]string), Policies: list(right)}
		for _, condition := range list(left) {
			claim, value, ok := strings.Cut(condition, "=")
			claim = strings.TrimSpace(claim)
			if _, twice := rule.Match[claim]; !ok || twice {
				return nil, fmt.Errorf("rule %q: %q is not claim=value, or is there twice", line, condition)
			}
			for alternative := range strings.SplitSeq(value, "|") {
				rule.Match[claim] = append(rule.Match[claim], strings.TrimSpace(alternative))
			}
		}
		if err := rule.check(); err != nil {
			return nil, fmt.Errorf("rule %q: %w", line, err)
		}
		rules = append(rules, rule)
	}
	return rules, nil
}
