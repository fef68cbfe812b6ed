package minio_test

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/larder-cache/larder/test/e2e/harness"
	"github.com/larder-cache/larder/test/e2e/tools"
)

// startMinIO starts a real MinIO and returns its URL.
func startMinIO(t *testing.T) string {
	t.Helper()
	const addr = harness.ServerAddr + ":9700"
	p := harness.NewProgram(t, tools.MinIO, map[string]string{"MINIO_ROOT_USER": harness.RootUser, "MINIO_ROOT_PASSWORD": harness.RootPassword})
	cmd := p.Command("server", filepath.Join(p.Dir, "data"), "--address", addr, "--console-address", harness.ServerAddr+":9701", "--quiet")
	ok(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	url := "http://" + addr
	harness.Await(t, "MinIO", 60*time.Second, func() bool {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/minio/health/cluster", nil)
		ok(t, err)
		res, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			return false
		}
		_ = res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
	return url
}

// TestImport moves the users of a real MinIO here: what it exports is imported, and
// everybody may do what they might, with the secrets they had.
func TestImport(t *testing.T) {
	old := startMinIO(t)
	s := harness.NewRootServer(t, harness.Options{})
	mc := newMC(t, s)
	mc.Run("alias", "set", "old", old, harness.RootUser, harness.RootPassword)
	policy := mc.File("reader.json", []byte(readShelf))
	mc.Run("admin", "policy", "create", "old", "reader", policy)
	for _, user := range []string{"ann", "ben", "cem", "dan"} {
		mc.Run("admin", "user", "add", "old", user, user+"-secret")
	}
	mc.Run("admin", "policy", "attach", "old", "reader", "--user", "ann")
	mc.Run("admin", "group", "add", "old", "cooks", "ben")
	mc.Run("admin", "policy", "attach", "old", "reader", "--group", "cooks")
	mc.Run("admin", "policy", "attach", "old", "readwrite", "--user", "dan")
	mc.Run("admin", "user", "disable", "old", "dan")
	mc.Run("admin", "user", "svcacct", "add", "old", "ann", "--access-key", "annkey12345", "--secret-key", "annkeysecret")
	mc.Run("admin", "cluster", "iam", "export", "old")
	found, err := filepath.Glob(filepath.Join(mc.Dir, "*.zip"))
	ok(t, err)
	if len(found) != 1 {
		t.Fatalf("MinIO exported %q", found)
	}
	mc.Run("mb", "l/shelf")
	mc.Run("cp", policy, "l/shelf/x")
	mc.Run("admin", "cluster", "iam", "import", "l", found[0])
	for key, c := range map[string]struct {
		secret string
		read   bool
	}{
		"ann": {"ann-secret", true}, "ben": {"ben-secret", true}, "cem": {"cem-secret", false}, "dan": {"dan-secret", false},
		"annkey12345": {"annkeysecret", true},
	} {
		if got := reads(t, s, key, c.secret); got != c.read {
			t.Errorf("%s reads: %v, want %v", key, got, c.read)
		}
		if reads(t, s, key, "wrong-secret") {
			t.Errorf("%s is let in with any secret", key)
		}
	}
	wants(t, mc.Run("admin", "user", "info", "l", "dan"), "disabled")
	mc.Run("admin", "user", "enable", "l", "dan")
	if !reads(t, s, "dan", "dan-secret") {
		t.Error("dan, enabled again, does not read")
	}

	zip, err := os.ReadFile(found[0])
	ok(t, err)
	broken := mc.File("broken.zip", zip[:len(zip)/2])
	mc.Run("admin", "user", "rm", "l", "ann")
	_ = mc.Refused("admin", "cluster", "iam", "import", "l", broken)
	wants(t, mc.Refused("admin", "user", "info", "l", "ann"), "not exist") // nothing of it came

	mc.Run("admin", "cluster", "iam", "export", "l", "--output", "ours.zip")
	again := harness.NewRootServer(t, harness.Options{})
	mc.Run("alias", "set", "again", again.HostURL(), harness.RootUser, harness.RootPassword)
	mc.Run("admin", "cluster", "iam", "import", "again", "ours.zip")
	wants(t, mc.Run("admin", "user", "ls", "again"), "ben", "cem", "dan")
}

func reads(t *testing.T, s *harness.Server, key, secret string) bool {
	t.Helper()
	c := s3.New(s3.Options{
		BaseEndpoint: aws.String(s.URL()), Region: "us-east-1", UsePathStyle: true, HTTPClient: s.HTTPClient(), RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(key, secret, ""),
	})
	out, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("shelf"), Key: aws.String("x")})
	if err != nil {
		t.Logf("%s: %v", key, err)
		return false
	}
	_ = out.Body.Close()
	return true
}
