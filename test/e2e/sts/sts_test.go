// Package sts_test gets keys without passwords: from OpenBao's identity tokens,
// with the clients that exchange them.
package sts_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/larder-cache/larder/test/e2e/harness"
	"github.com/larder-cache/larder/test/e2e/tools"
)

func TestMain(m *testing.M) { harness.Main(m) }

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wants(t *testing.T, text string, all ...string) {
	t.Helper()
	for _, want := range all {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in:\n%s", want, text)
		}
	}
}

const (
	audience = "larder"
	roleARN  = "arn:aws:iam::000000000000:role/any" // means nothing here, and clients insist on it
)

const useShelf = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:GetObject","s3:PutObject","s3:ListBucket"],"Resource":["arn:aws:s3:::shelf","arn:aws:s3:::shelf/*"]}]}`

const readOnly = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:GetObject"],"Resource":["arn:aws:s3:::shelf/*"]}]}`

// newServer is a server that trusts the OpenBao, with a bucket "shelf", a policy
// "use-shelf" that team cooks gets, and a user ann who has it too.
func newServer(t *testing.T, bao *harness.Bao, o harness.Options) *harness.Server {
	t.Helper()
	o.Env = append(o.Env,
		"LARDER_IDENTITY_OPENID_CONFIG_URL_BAO="+bao.Issuer()+"/.well-known/openid-configuration",
		"LARDER_IDENTITY_OPENID_AUDIENCE_BAO="+audience,
		"LARDER_IDENTITY_OPENID_RULES_BAO=team=cooks -> use-shelf",
	)
	s := harness.NewRootServer(t, o)
	mc := harness.NewProgram(t, tools.MC, map[string]string{"MC_NO_COLOR": "1"})
	if s.CA != nil {
		mc.File(".mc/certs/CAs/ca.crt", s.CA.PEM)
	}
	mc.Run("alias", "set", "l", s.HostURL(), harness.RootUser, harness.RootPassword)
	mc.Run("mb", "l/shelf", "l/other")
	mc.Run("cp", mc.File("x", []byte("x")), "l/shelf/x")
	mc.Run("admin", "policy", "create", "l", "use-shelf", mc.File("use-shelf.json", []byte(useShelf)))
	mc.Run("admin", "user", "add", "l", "ann", "ann-secret")
	mc.Run("admin", "policy", "attach", "l", "use-shelf", "--user", "ann")
	return s
}

func stsClient(s *harness.Server, key, secret string) *sts.Client {
	o := sts.Options{BaseEndpoint: aws.String(s.URL()), Region: "us-east-1", HTTPClient: s.HTTPClient(), RetryMaxAttempts: 1}
	if key != "" {
		o.Credentials = credentials.NewStaticCredentialsProvider(key, secret, "")
	}
	return sts.New(o)
}

// rights are what a session may do on bucket shelf.
type rights struct{ read, write, other bool }

func may(t *testing.T, s *harness.Server, key, secret, token string) (r rights) {
	t.Helper()
	c := s3.New(s3.Options{
		BaseEndpoint: aws.String(s.URL()), Region: "us-east-1", UsePathStyle: true, HTTPClient: s.HTTPClient(), RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(key, secret, token),
	})
	_, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("shelf"), Key: aws.String("x")})
	r.read = err == nil
	_, err = c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("shelf"), Key: aws.String("y"), Body: strings.NewReader("y")})
	r.write = err == nil
	_, err = c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("other"), Key: aws.String("y"), Body: strings.NewReader("y")})
	r.other = err == nil
	return r
}

func check(t *testing.T, what string, got, want rights) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %+v, want %+v", what, got, want)
	}
}

// TestSDK exchanges with the AWS SDK for Go.
func TestSDK(t *testing.T) {
	bao := harness.NewBao(t)
	bao.NewIssuer(audience)
	s := newServer(t, bao, harness.Options{CA: harness.NewAuthority(t)})
	user, nobody := stsClient(s, "ann", "ann-secret"), stsClient(s, "", "")

	out, err := user.AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: aws.String(roleARN), RoleSessionName: aws.String("e2e"), DurationSeconds: aws.Int32(900)})
	ok(t, err)
	c := out.Credentials
	check(t, "a user's session", may(t, s, *c.AccessKeyId, *c.SecretAccessKey, *c.SessionToken), rights{read: true, write: true})
	if left := time.Until(*c.Expiration); left < 14*time.Minute || left > 16*time.Minute {
		t.Errorf("a session of 900 s ends in %v", left)
	}
	check(t, "a session without its token", may(t, s, *c.AccessKeyId, *c.SecretAccessKey, ""), rights{})

	out, err = user.AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: aws.String(roleARN), RoleSessionName: aws.String("e2e"), Policy: aws.String(readOnly)})
	ok(t, err)
	c = out.Credentials
	check(t, "with a session policy", may(t, s, *c.AccessKeyId, *c.SecretAccessKey, *c.SessionToken), rights{read: true})
	_, err = sts.New(sts.Options{BaseEndpoint: aws.String(s.URL()), Region: "us-east-1", HTTPClient: s.HTTPClient(), RetryMaxAttempts: 1, Credentials: credentials.NewStaticCredentialsProvider(*c.AccessKeyId, *c.SecretAccessKey, *c.SessionToken)}).AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: aws.String(roleARN), RoleSessionName: aws.String("e2e")})
	if err == nil {
		t.Error("a session made a session")
	}

	exchange := func(token string, policy *string) (*sts.AssumeRoleWithWebIdentityOutput, error) {
		return nobody.AssumeRoleWithWebIdentity(t.Context(), &sts.AssumeRoleWithWebIdentityInput{RoleArn: aws.String(roleARN), RoleSessionName: aws.String("e2e"), WebIdentityToken: &token, Policy: policy})
	}
	web, err := exchange(bao.Identity("build-1", "cooks"), nil)
	ok(t, err)
	c = web.Credentials
	check(t, "team cooks", may(t, s, *c.AccessKeyId, *c.SecretAccessKey, *c.SessionToken), rights{read: true, write: true})
	web, err = exchange(bao.Identity("build-2", "cooks"), aws.String(readOnly))
	ok(t, err)
	c = web.Credentials
	check(t, "team cooks, with a session policy", may(t, s, *c.AccessKeyId, *c.SecretAccessKey, *c.SessionToken), rights{read: true})
	if _, err = exchange(bao.Identity("build-3", "guests"), nil); err == nil {
		t.Error("another team got a session")
	}
	old := bao.Identity("build-4", "cooks")
	bao.Rotate()
	_, err = exchange(bao.Identity("build-5", "cooks"), nil)
	ok(t, err) // a key that was not there when the server started
	_, err = exchange(old, nil)
	ok(t, err) // still published
}

// TestPrograms exchanges with boto3 and the AWS CLI.
func TestPrograms(t *testing.T) {
	bao := harness.NewBao(t)
	bao.NewIssuer(audience)
	s := newServer(t, bao, harness.Options{CA: harness.NewAuthority(t)})
	script, err := filepath.Abs("testdata/sts.py")
	ok(t, err)
	env := s.AWSEnv("ann", "ann-secret")
	env["WEB_TOKEN"] = bao.Identity("build-1", "cooks")
	wants(t, harness.NewProgram(t, tools.Boto3, env).Run(script), "boto3 is content")

	cli := harness.NewProgram(t, tools.AWS, s.AWSEnv("ann", "ann-secret"))
	wants(t, cli.Run("sts", "assume-role", "--role-arn", roleARN, "--role-session-name", "e2e"), "SessionToken")
	wants(t, cli.Run("sts", "get-caller-identity"), "ann")

	env = s.AWSEnv("", "")
	delete(env, "AWS_ACCESS_KEY_ID")
	delete(env, "AWS_SECRET_ACCESS_KEY")
	web := harness.NewProgram(t, tools.AWS, env)
	env["AWS_ROLE_ARN"] = roleARN
	env["AWS_WEB_IDENTITY_TOKEN_FILE"] = web.File("token", []byte(bao.Identity("build-2", "cooks")))
	wants(t, web.Run("s3", "ls", "s3://shelf"), "x") // it exchanges the file's token by itself
	wants(t, web.Refused("s3", "ls", "s3://other"), "AccessDenied")
}
