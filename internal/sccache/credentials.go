package sccache

import (
	"strings"

	"github.com/larder-cache/larder/internal/iam"
)

// CredentialSource is where credentials come from.
type CredentialSource string

// The sources of credentials, in the order in which they win.
const (
	NoSource     CredentialSource = ""                      // none; the daemon does not start
	Unsigned     CredentialSource = "none, by setting"      // SCCACHE_S3_NO_CREDENTIALS
	FromEnviron  CredentialSource = "environment"           // AWS_ACCESS_KEY_ID and so on
	FromProfile  CredentialSource = "profile"               // ~/.aws/credentials, ~/.aws/config
	FromMixture  CredentialSource = "several sources"       // up to 0.17 each value comes from where it is found
	WebIdentity  CredentialSource = "web identity"          // AWS_WEB_IDENTITY_TOKEN_FILE: Amazon's STS, always
	FromEndpoint CredentialSource = "container credentials" // AWS_CONTAINER_CREDENTIALS_*: from 0.18 on
	FromMetadata CredentialSource = "instance metadata"     // IMDS, when nothing else is set
)

// Credentials are what a sccache signs with.
type Credentials struct {
	Source CredentialSource
	Detail string // the file, URL or variable; never a secret

	AccessKey string
	Secret    iam.Secret
	Token     iam.Secret // of a session; "" for none
	TokenFrom string     // the variable or file the token is from

	URL       string     // of FromEndpoint: the answer holds the credentials
	AuthToken iam.Secret // of FromEndpoint: sent as Authorization, when AuthFile is not set
	AuthFile  string     // of FromEndpoint: a file that holds what is sent
}

// Static reports whether the key itself is known here, and not only where it is
// to be had.
func (c Credentials) Static() bool { return c.AccessKey != "" || c.Secret != "" }

// Credentials returns which credentials a daemon of version v with settings s
// would use if it started with env.
func (s Settings) Credentials(env Environ, v Version) Credentials {
	if s.NoCredentials {
		return Credentials{Source: Unsigned, Detail: "SCCACHE_S3_NO_CREDENTIALS"}
	}
	found := mixed(env)
	if v.Modern() {
		found = chained(env)
	}
	if found.Source != NoSource {
		return found
	}
	if file := env["AWS_WEB_IDENTITY_TOKEN_FILE"]; file != "" && env["AWS_ROLE_ARN"] != "" {
		return Credentials{Source: WebIdentity, Detail: file}
	}
	if v.Modern() {
		if c, ok := container(env); ok {
			return c
		}
	}
	if strings.EqualFold(env["AWS_EC2_METADATA_DISABLED"], "true") {
		return Credentials{}
	}
	return Credentials{Source: FromMetadata, Detail: "nothing else is set"}
}

// chained is the rule from 0.18 on: the first source that has both a key and a
// secret wins whole. A variable that is set and empty counts as set.
func chained(env Environ) Credentials {
	key, hasKey := env["AWS_ACCESS_KEY_ID"]
	secret, hasSecret := env["AWS_SECRET_ACCESS_KEY"]
	if hasKey && hasSecret {
		return Credentials{ //nolint:gosec // the names of variables, not their values
			Source: FromEnviron, Detail: "AWS_ACCESS_KEY_ID", AccessKey: key, Secret: iam.Secret(secret),
			Token: iam.Secret(env["AWS_SESSION_TOKEN"]), TokenFrom: "AWS_SESSION_TOKEN",
		}
	}
	shared, path := awsCredentials(env)
	for _, p := range []struct {
		section
		path string
	}{{shared, path}, {awsConfig(env), "~/.aws/config"}} {
		if p.section["aws_access_key_id"] != "" && p.section["aws_secret_access_key"] != "" {
			return Credentials{
				Source: FromProfile, Detail: p.path,
				AccessKey: p.section["aws_access_key_id"], Secret: iam.Secret(p.section["aws_secret_access_key"]),
				Token: iam.Secret(p.section["aws_session_token"]), TokenFrom: p.path,
			}
		}
	}
	return Credentials{}
}

// mixed is the rule up to 0.17: key, secret and token are looked for one by one,
// in the environment, the credentials file and the configuration file, so that a
// token left in a file is sent along with a key of the environment.
func mixed(env Environ) Credentials {
	shared, path := awsCredentials(env)
	config := awsConfig(env)
	find := func(variable, key string) (value, from string) {
		if v, set := env[variable]; set {
			return v, variable
		}
		if v := shared[key]; v != "" {
			return v, path
		}
		return config[key], "~/.aws/config"
	}
	key, keyFrom := find("AWS_ACCESS_KEY_ID", "aws_access_key_id")
	secret, secretFrom := find("AWS_SECRET_ACCESS_KEY", "aws_secret_access_key")
	token, tokenFrom := find("AWS_SESSION_TOKEN", "aws_session_token")
	if key == "" || secret == "" {
		return Credentials{}
	}
	c := Credentials{
		Source: FromProfile, Detail: keyFrom, AccessKey: key, Secret: iam.Secret(secret), Token: iam.Secret(token), TokenFrom: tokenFrom,
	}
	inEnviron := func(from string) bool { return strings.HasPrefix(from, "AWS_") }
	if inEnviron(keyFrom) {
		c.Source = FromEnviron
	}
	if inEnviron(keyFrom) != inEnviron(secretFrom) || token != "" && inEnviron(keyFrom) != inEnviron(tokenFrom) {
		c.Source = FromMixture
	}
	return c
}

func container(env Environ) (Credentials, bool) {
	c := Credentials{
		Source: FromEndpoint, URL: env["AWS_CONTAINER_CREDENTIALS_FULL_URI"], Detail: "AWS_CONTAINER_CREDENTIALS_FULL_URI",
		AuthToken: iam.Secret(env["AWS_CONTAINER_AUTHORIZATION_TOKEN"]), AuthFile: env["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"],
	}
	if relative := env["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"]; c.URL == "" && relative != "" {
		base := env["ECS_CONTAINER_METADATA_URI"]
		if base == "" {
			base = "http://169.254.170.2"
		}
		c.URL, c.Detail = base+relative, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"
	}
	if c.AuthToken != "" {
		c.AuthFile = ""
	}
	return c, c.URL != ""
}
