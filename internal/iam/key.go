package iam

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// source says where the values of a condition key come from. Every key has
// exactly one, and none is a request header or query parameter as such: what a
// client sends under the name of a key reaches no policy.
type source uint8

const (
	fromTime        source = iota // Facts.Time
	fromEpoch                     // Facts.Time, in seconds
	fromReferer                   // Facts.Referer, a header by definition
	fromUserAgent                 // Facts.UserAgent, a header by definition
	fromTLS                       // Facts.TLS
	fromSourceIP                  // Facts.SourceIP
	fromGroups                    // Principal.Groups
	fromKind                      // Principal.Kind
	fromUser                      // Principal.User
	fromClaims                    // Principal.Claims
	fromNothing                   // a directory that is not offered here: always missing
	fromS3                        // Facts.S3: the request as its protocol parsed it
	fromExistingTag               // Facts.ExistingTag: the object's stored tags
)

// valueType says which operators can compare a key's values.
type valueType uint8

const (
	textType valueType = iota
	numberType
	timeType
	addressType
	boolType
	claimType // text, number or bool: whatever the issuer wrote
)

// keyRule is one row of the table of condition keys.
type keyRule struct {
	source source
	values valueType
	tagged bool      // takes a tag's name: "s3:ExistingObjectTag/team"
	only   actionSet // the actions it applies to, empty for all
	svc    int       // the service it applies to, -1 for all
}

// key is a condition key of a policy, ready to be evaluated.
type key struct {
	name string // in full: "s3:ExistingObjectTag/team"
	arg  string // the claim's or the tag's name
	rule keyRule
}

const everyService = -1

var (
	listActions   = setOf("s3:ListBucket", "s3:ListBucketVersions")
	writeActions  = setOf("s3:PutObject")
	customerKey   = setOf("s3:PutObject", "s3:GetObject", "s3:GetObjectVersion")
	createActions = setOf("s3:CreateBucket")
	tagWriters    = setOf("s3:PutObject", "s3:PutObjectTagging", "s3:PutObjectVersionTagging")
	lockActions   = setOf("s3:PutObject", "s3:PutObjectRetention", "s3:PutObjectLegalHold", "s3:BypassGovernanceRetention",
		"s3:GetObjectRetention", "s3:GetObjectLegalHold", "s3:DeleteObject", "s3:DeleteObjectVersion")
	taggedActions = setOf("s3:GetObject", "s3:GetObjectVersion", "s3:GetObjectAttributes", "s3:GetObjectVersionAttributes",
		"s3:GetObjectTagging", "s3:GetObjectVersionTagging", "s3:PutObjectTagging", "s3:PutObjectVersionTagging",
		"s3:DeleteObjectTagging", "s3:DeleteObjectVersionTagging", "s3:DeleteObject", "s3:DeleteObjectVersion",
		"s3:GetObjectRetention", "s3:PutObjectRetention", "s3:GetObjectLegalHold", "s3:PutObjectLegalHold")
	versionActions = setOf("s3:GetObject", "s3:GetObjectVersion", "s3:GetObjectVersionAttributes", "s3:GetObjectVersionTagging",
		"s3:PutObject", "s3:PutObjectVersionTagging", "s3:DeleteObject", "s3:DeleteObjectVersion",
		"s3:DeleteObjectVersionTagging", "s3:PutObjectRetention", "s3:GetObjectRetention", "s3:PutObjectLegalHold",
		"s3:GetObjectLegalHold", "s3:GetObjectTagging", "s3:PutObjectTagging", "s3:DeleteObjectTagging")
	durationActions = setOf("admin:CreateServiceAccount", "admin:UpdateServiceAccount")
)

// keys is the table of condition keys. "jwt:" keys are in claimNames.
var keys = map[string]keyRule{
	"aws:CurrentTime":     {source: fromTime, values: timeType, svc: everyService},
	"aws:EpochTime":       {source: fromEpoch, values: timeType, svc: everyService},
	"aws:Referer":         {source: fromReferer, svc: everyService},
	"aws:UserAgent":       {source: fromUserAgent, svc: everyService},
	"aws:SecureTransport": {source: fromTLS, values: boolType, svc: everyService},
	"aws:SourceIp":        {source: fromSourceIP, values: addressType, svc: everyService},
	"aws:groups":          {source: fromGroups, svc: everyService},
	"aws:principaltype":   {source: fromKind, svc: everyService},
	"aws:userid":          {source: fromUser, svc: everyService},
	"aws:username":        {source: fromUser, svc: everyService},
	"ldap:groups":         {source: fromNothing, svc: everyService},
	"ldap:user":           {source: fromNothing, svc: everyService},
	"ldap:username":       {source: fromNothing, svc: everyService},

	"s3:prefix":             {source: fromS3, only: listActions},
	"s3:delimiter":          {source: fromS3, only: listActions},
	"s3:max-keys":           {source: fromS3, values: numberType, only: listActions},
	"s3:versionid":          {source: fromS3, only: versionActions},
	"s3:LocationConstraint": {source: fromS3, only: createActions},
	"s3:authType":           {source: fromS3},
	"s3:signatureAge":       {source: fromS3, values: numberType},
	"s3:signatureversion":   {source: fromS3},

	"s3:ExistingObjectTag":    {source: fromExistingTag, tagged: true, only: taggedActions},
	"s3:RequestObjectTag":     {source: fromS3, tagged: true, only: tagWriters},
	"s3:RequestObjectTagKeys": {source: fromS3, only: tagWriters},

	"s3:object-lock-legal-hold":               {source: fromS3, only: lockActions},
	"s3:object-lock-mode":                     {source: fromS3, only: lockActions},
	"s3:object-lock-remaining-retention-days": {source: fromS3, values: numberType, only: lockActions},
	"s3:object-lock-retain-until-date":        {source: fromS3, values: timeType, only: lockActions},

	"s3:x-amz-copy-source":                               {source: fromS3, only: writeActions},
	"s3:x-amz-metadata-directive":                        {source: fromS3, only: writeActions},
	"s3:x-amz-server-side-encryption":                    {source: fromS3, only: writeActions},
	"s3:x-amz-server-side-encryption-aws-kms-key-id":     {source: fromS3, only: writeActions},
	"s3:x-amz-server-side-encryption-customer-algorithm": {source: fromS3, only: customerKey},
	"s3:x-amz-storage-class":                             {source: fromS3, only: writeActions},

	"svc:DurationSeconds": {source: fromS3, values: numberType, only: durationActions, svc: int(serviceAdmin)},
	"sts:DurationSeconds": {source: fromS3, values: numberType, svc: int(serviceSTS)},
}

// claimNames are the claims of a token that "jwt:" keys may name: those of
// OpenID Connect, and those of the tokens that GitHub, GitLab and Kubernetes
// give to their jobs.
const claimNames = `
	address aud birthdate client_id email family_name gender given_name groups iss jti middle_name name nickname
	phone_number picture preferred_username profile scope sub upn website
	actor actor_id base_ref enterprise enterprise_id environment event_name head_ref job_workflow_ref ref ref_protected
	ref_type repository repository_id repository_owner repository_owner_id repository_visibility run_id runner_environment
	workflow workflow_ref
	ci_config_ref_uri deployment_tier environment_protected job_id namespace_id namespace_path pipeline_id pipeline_source
	project_id project_path project_visibility runner_id user_email user_id user_login
	kubernetes.io.namespace kubernetes.io.node.name kubernetes.io.pod.name kubernetes.io.serviceaccount.name
`

var claims = strings.Fields(claimNames)

// KnownClaim reports whether a policy may name a claim, as "jwt:claim".
func KnownClaim(name string) bool { return slices.Contains(claims, name) }

// lookupKey finds a key by its name in full.
func lookupKey(name string) (*key, error) {
	if claim, ok := strings.CutPrefix(name, "jwt:"); ok {
		if !slices.Contains(claims, claim) {
			return nil, fmt.Errorf("unknown condition key %q%s", name, suggest(name, keyNames()))
		}
		return &key{name: name, arg: claim, rule: keyRule{source: fromClaims, values: claimType, svc: everyService}}, nil
	}
	base, tag, hasTag := strings.Cut(name, "/")
	rule, ok := keys[base]
	switch {
	case !ok:
		return nil, fmt.Errorf("unknown condition key %q%s", name, suggest(name, keyNames()))
	case rule.tagged && tag == "":
		return nil, fmt.Errorf("condition key %q needs the name of a tag: %q", name, base+"/team")
	case !rule.tagged && hasTag:
		return nil, fmt.Errorf("unknown condition key %q%s", name, suggest(base, keyNames()))
	}
	return &key{name: name, arg: tag, rule: rule}, nil
}

// lookupVariable finds the key of a policy variable.
func lookupVariable(name string) (*key, error) {
	k, err := lookupKey(name)
	if err != nil {
		return nil, fmt.Errorf("unknown variable \"${%s}\"%s", name, suggest(name, keyNames()))
	}
	switch k.rule.source {
	case fromUser, fromGroups, fromClaims, fromNothing, fromSourceIP, fromKind, fromTime, fromEpoch, fromTLS:
		return k, nil
	case fromReferer, fromUserAgent, fromS3, fromExistingTag:
	}
	return nil, fmt.Errorf("\"${%s}\" comes from the request and is no variable", name)
}

func keyNames() []string {
	names := make([]string, 0, len(keys)+len(claims))
	for name := range keys {
		names = append(names, name)
	}
	for _, claim := range claims {
		names = append(names, "jwt:"+claim)
	}
	slices.Sort(names)
	return names
}

// applies reports whether a key can have a value in any of the actions.
func (k *key) applies(set actionSet, svc service) bool {
	if k.rule.svc != everyService && k.rule.svc != int(svc) {
		return false
	}
	return k.rule.only.empty() || k.rule.only.intersects(set)
}

// values appends the key's values to buf; none if it is missing. known is false
// where the pipeline cannot tell, which is not the same as missing.
func (k *key) values(r *Request, buf []string) (values []string, known bool) {
	if r == nil {
		return nil, false
	}
	one := func(s string) ([]string, bool) {
		if s == "" {
			return nil, true
		}
		return append(buf, s), true
	}
	switch k.rule.source {
	case fromTime:
		return one(r.Facts.Time.UTC().Format(time.RFC3339Nano))
	case fromEpoch:
		return one(strconv.FormatInt(r.Facts.Time.Unix(), 10))
	case fromReferer:
		return one(r.Facts.Referer)
	case fromUserAgent:
		return one(r.Facts.UserAgent)
	case fromTLS:
		return one(strconv.FormatBool(r.Facts.TLS))
	case fromSourceIP:
		if !r.Facts.SourceIP.IsValid() {
			return nil, true
		}
		return one(r.Facts.SourceIP.Unmap().WithZone("").String())
	case fromGroups:
		for _, group := range r.Principal.Groups {
			buf = append(buf, string(group))
		}
		return buf, true
	case fromKind:
		return one(principalTypes[r.Principal.Kind])
	case fromUser:
		return one(string(r.Principal.User))
	case fromClaims:
		return r.Principal.Claims[k.arg], true
	case fromS3:
		return r.Facts.S3[k.name], true
	case fromExistingTag:
		if r.Facts.ExistingTag == nil {
			return nil, false
		}
		return r.Facts.ExistingTag(k.arg)
	case fromNothing:
	}
	return nil, true
}

// principalTypes are the values of "aws:principaltype".
var principalTypes = [...]string{
	Anonymous: "Anonymous", Root: "Account", User: "User", ServiceAccount: "User", Session: "AssumedRole",
}
