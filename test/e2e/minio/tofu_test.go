package minio_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/larder-cache/larder/test/e2e/harness"
	"github.com/larder-cache/larder/test/e2e/project"
	"github.com/larder-cache/larder/test/e2e/tools"
)

// provider is one build of terraform-provider-minio.
type provider struct{ version, path string }

// providers are the builds that LARDER_E2E_TF_PROVIDER names: one program, or a
// folder of programs or of folders of programs, each called
// terraform-provider-minio_vVERSION.
func providers(t *testing.T) []provider {
	t.Helper()
	at := os.Getenv("LARDER_E2E_TF_PROVIDER")
	if at == "" {
		text := `
*** NOT RUN: OpenTofu with MinIO's provider ***
LARDER_E2E_TF_PROVIDER is not set. It names a program terraform-provider-minio_vVERSION (or a folder of them);
the provider is in no package registry, so whoever wants this proof builds it. The calls it was seen to make
are replayed by TestReplay all the same.
`
		t.Log(text)
		fmt.Fprintln(os.Stderr, text)
		return nil
	}
	var found []string
	for _, pattern := range []string{"", "/terraform-provider-minio_v*", "/*/terraform-provider-minio_v*"} {
		some, err := filepath.Glob(at + pattern)
		ok(t, err)
		found = append(found, some...)
	}
	var all []provider
	for _, path := range found {
		info, err := os.Stat(path)
		ok(t, err)
		if _, version, named := strings.Cut(filepath.Base(path), "_v"); named && info.Mode().IsRegular() {
			all = append(all, provider{version: version, path: path})
		}
	}
	if len(all) == 0 {
		t.Fatalf("LARDER_E2E_TF_PROVIDER=%s holds no program terraform-provider-minio_vVERSION", at)
	}
	slices.SortFunc(all, func(a, b provider) int { return strings.Compare(a.version, b.version) })
	return all
}

// tofu is OpenTofu with one provider, in a folder with one configuration, offline.
type tofu struct {
	*harness.Program
	t *testing.T
}

func newTofu(t *testing.T, p provider, s *harness.Server, config string) *tofu {
	t.Helper()
	run := &tofu{Program: harness.NewProgram(t, tools.Tofu, nil), t: t}
	const mirror = "mirror.test/aminueza/minio"
	plugin := run.File(filepath.Join("mirror", mirror, p.version, runtime.GOOS+"_"+runtime.GOARCH, filepath.Base(p.path)), nil)
	binary, err := os.ReadFile(p.path)
	ok(t, err)
	ok(t, os.WriteFile(plugin, binary, 0o700))
	ok(t, os.Chmod(plugin, 0o700))
	run.Env = map[string]string{
		"TF_CLI_CONFIG_FILE": run.File("cli.tfrc", fmt.Appendf(nil, "provider_installation {\n  filesystem_mirror {\n    path = %q\n  }\n}\n", filepath.Join(run.Dir, "mirror"))),
		"CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1",
	}
	text, err := os.ReadFile(filepath.Join("testdata", config))
	ok(t, err)
	hcl := strings.Replace(string(text), ":443", ":"+s.Port(), 1)
	if s.CA == nil {
		hcl = strings.Replace(hcl, "= true", "= false", 1)
	} else {
		hcl = strings.Replace(hcl, "= true", fmt.Sprintf("= true\n  minio_cacert_file = %q", s.CA.File), 1)
	}
	run.File("main.tf", []byte(hcl))
	run.File("versions.tf", fmt.Appendf(nil, "terraform {\n  required_providers {\n    minio = {\n      source  = %q\n      version = %q\n    }\n  }\n}\n", mirror, p.version))
	run.Run("init", "-no-color")
	return run
}

// settled wants a plan without changes.
func (r *tofu) settled(args ...string) {
	r.t.Helper()
	out, err := r.Command(append([]string{"plan", "-no-color", "-detailed-exitcode"}, args...)...).CombinedOutput()
	if err != nil {
		r.t.Fatalf("a second plan is not empty: %v\n%s", err, out)
	}
}

// eachProvider runs test with every provider, over TLS and over HTTP, on the ports
// that the user's configuration has.
func eachProvider(t *testing.T, test func(t *testing.T, p provider, s *harness.Server)) {
	t.Helper()
	for _, p := range providers(t) {
		t.Run(p.version+"/https", func(t *testing.T) {
			test(t, p, harness.NewRootServer(t, harness.Options{Port: 443, CA: harness.NewAuthority(t), Names: []string{host, "*." + host}, Args: []string{"--domain", host}}))
		})
		t.Run(p.version+"/http", func(t *testing.T) { test(t, p, harness.NewRootServer(t, harness.Options{Port: 80})) })
	}
}

func s3Client(s *harness.Server, key, secret string) *s3.Client {
	return s3.New(s3.Options{
		BaseEndpoint: aws.String(s.URL()), Region: "us-east-1", UsePathStyle: true, HTTPClient: s.HTTPClient(),
		Credentials: credentials.NewStaticCredentialsProvider(key, secret, ""), RetryMaxAttempts: 1,
	})
}

// TestUsersTerraform applies the user's configuration as it stands, builds with the
// user it makes, and takes it down.
func TestUsersTerraform(t *testing.T) {
	eachProvider(t, func(t *testing.T, p provider, s *harness.Server) {
		t.Helper()
		root := newMC(t, s)
		root.Run("mb", "l/other")
		run := newTofu(t, p, s, "user.tf")
		run.Run("plan", "-no-color")
		run.Run("apply", "-no-color", "-auto-approve")
		run.settled()

		buildAs(t, s, "sccache", "sccache123")
		confined(t, s3Client(s, "sccache", "sccache123"))

		before := root.Run("ls", "-r", "l/sccache")
		out := run.Refused("destroy", "-no-color", "-auto-approve")
		wants(t, out, "not empty")
		if after := root.Run("ls", "-r", "l/sccache"); after != before || before == "" {
			t.Errorf("a refused destroy changed the bucket: %q became %q", before, after)
		}
		root.Run("rm", "-r", "--force", "l/sccache")
		run.Run("destroy", "-no-color", "-auto-approve")
		wants(t, root.Refused("stat", "l/sccache"), "does not exist")
		wants(t, root.Refused("admin", "user", "info", "l", "sccache"), "does not exist")
	})
}

// buildAs builds on two machines with a key of the server.
func buildAs(t *testing.T, s *harness.Server, key, secret string) {
	t.Helper()
	program, err := tools.Path(tools.Sccache016)
	ok(t, err)
	var made int
	for i := range 2 {
		m := harness.NewMachine(t, fmt.Sprint("machine ", i+1), host)
		env := map[string]string{
			"SCCACHE_BUCKET": "sccache", "SCCACHE_REGION": "us-east-1", "SCCACHE_ENDPOINT": host + ":" + s.Port(),
			"SCCACHE_S3_USE_SSL": fmt.Sprint(s.CA != nil), "AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret,
		}
		if s.CA != nil {
			env["SSL_CERT_FILE"] = m.File(t, "ca.pem", s.CA.PEM)
		}
		b := (&harness.Sccache{Machine: m, Program: program, Env: env}).Build(t, project.C)
		if b.Stats.Errors+b.Stats.WriteErrors != 0 {
			t.Errorf("sccache counts errors: %+v", b.Stats)
		}
		if i == 0 {
			made = b.Stats.Misses
		} else if b.Stats.Hits != made || b.Stats.Misses != 0 {
			t.Errorf("the second machine: %+v, want %d hits", b.Stats, made)
		}
	}
}

// confined wants the user to do nothing outside its bucket.
func confined(t *testing.T, c *s3.Client) {
	t.Helper()
	ctx := t.Context()
	_, own := c.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: aws.String("sccache")})
	ok(t, own)
	_, list := c.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: aws.String("other")})
	_, absent := c.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: aws.String("absent")})
	_, remove := c.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: aws.String("other")})
	_, removeOwn := c.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: aws.String("sccache")})
	_, get := c.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String("other"), Key: aws.String("x")})
	_, create := c.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String("third")})
	for what, err := range map[string]error{"list another": list, "list what is not there": absent, "delete another": remove, "delete its own": removeOwn, "read another": get, "make one": create} {
		if err == nil || !strings.Contains(err.Error(), "AccessDenied") {
			t.Errorf("the user may %s bucket: %v", what, err)
		}
	}
}

// TestMoreTerraform has every other resource that administers users and buckets:
// apply, empty plan, change, empty plan, destroy.
func TestMoreTerraform(t *testing.T) {
	eachProvider(t, func(t *testing.T, p provider, s *harness.Server) {
		t.Helper()
		run := newTofu(t, p, s, "more.tf")
		run.Run("apply", "-no-color", "-auto-approve")
		run.settled()
		key, secret := strings.TrimSpace(run.Run("output", "-raw", "service_account")), strings.TrimSpace(run.Run("output", "-raw", "service_secret"))
		root := newMC(t, s)
		wants(t, root.Run("quota", "info", "l/shelf"), "977 KiB")
		wants(t, root.Run("admin", "group", "info", "l", "cooks"), "ann", "ben")
		wants(t, root.Run("admin", "policy", "info", "l", "cooks-policy"), "s3:GetObject")
		wants(t, root.Run("cat", "l/box/labels/one.txt"), "first")
		root.Run("cp", root.File("x.txt", []byte("x")), "l/shelf/x.txt")
		if _, err := s3Client(s, key, secret).GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("shelf"), Key: aws.String("x.txt")}); err != nil {
			t.Errorf("the service account cannot read: %v", err)
		}
		root.Run("rm", "l/shelf/x.txt")

		run.Run("apply", "-no-color", "-auto-approve", "-var", "changed=true")
		run.settled("-var", "changed=true")
		wants(t, root.Run("admin", "user", "info", "l", "ann"), "disabled")
		wants(t, root.Run("cat", "l/box/labels/one.txt"), "second")
		run.Run("destroy", "-no-color", "-auto-approve", "-var", "changed=true")
		if left := root.Run("ls", "l"); strings.Contains(left, "shelf") || strings.Contains(left, "box") {
			t.Errorf("buckets are left: %s", left)
		}
		if left := root.Run("admin", "user", "ls", "l"); strings.TrimSpace(left) != "" {
			t.Errorf("users are left: %s", left)
		}
	})
}
