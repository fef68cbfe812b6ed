package minio_test

import (
	"bufio"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/larder-cache/larder/test/e2e/harness"
	"github.com/larder-cache/larder/test/e2e/tools"
)

// newMC is mc with an alias "l" for the server's root.
func newMC(t *testing.T, s *harness.Server) *harness.Program {
	t.Helper()
	mc := harness.NewProgram(t, tools.MC, map[string]string{"MC_NO_COLOR": "1", "MC_UPDATE": "off"})
	if s.CA != nil {
		mc.File(".mc/certs/CAs/ca.crt", s.CA.PEM)
	}
	mc.Run("alias", "set", "l", s.HostURL(), harness.RootUser, harness.RootPassword)
	return mc
}

// mcEach runs test over TLS and over HTTP.
func mcEach(t *testing.T, test func(t *testing.T, s *harness.Server, mc *harness.Program)) {
	t.Helper()
	for name, o := range map[string]harness.Options{"https": {CA: harness.NewAuthority(t)}, "http": {}} {
		t.Run(name, func(t *testing.T) {
			s := harness.NewRootServer(t, o)
			test(t, s, newMC(t, s))
		})
	}
}

// TestMCObjects drives buckets and objects with mc.
func TestMCObjects(t *testing.T) {
	mcEach(t, func(t *testing.T, s *harness.Server, mc *harness.Program) {
		t.Helper()
		mc.Run("mb", "l/box")
		wants(t, mc.Refused("mb", "l/box"), "already own")
		mc.Run("mb", "--ignore-existing", "l/box")
		large := strings.Repeat("0123456789abcdef", 1<<20)
		mc.File("tree/one.txt", []byte("one"))
		mc.File("tree/a b/ü+%.txt", []byte("odd"))
		mc.File("tree/large.bin", []byte(large))
		mc.Run("cp", "tree/one.txt", "l/box/one.txt")
		wants(t, mc.Run("cat", "l/box/one.txt"), "one")
		mc.Run("cp", "l/box/one.txt", "l/box/copy.txt")
		wants(t, mc.Run("cat", "l/box/copy.txt"), "one")
		mc.Run("mirror", "tree", "l/box/tree")
		mc.Run("mirror", "l/box/tree", "back")
		got, err := os.ReadFile(filepath.Join(mc.Dir, "back/large.bin"))
		ok(t, err)
		if string(got) != large {
			t.Errorf("large.bin came back with %d bytes", len(got))
		}
		wants(t, mc.Run("ls", "-r", "l/box"), "tree/a b/ü+%.txt", "tree/large.bin", "one.txt")
		wants(t, mc.Run("ls", "l"), "box/")
		wants(t, mc.Run("stat", "l/box/one.txt"), "one.txt", "3 B")
		wants(t, mc.Run("stat", "l/box"), "box")
		wants(t, mc.Run("find", "l/box", "--name", "*.bin"), "large.bin")
		wants(t, mc.Run("du", "l/box"), "16MiB")
		wants(t, mc.Run("tree", "l/box"), "a b")
		mc.Run("mv", "l/box/copy.txt", "l/box/moved.txt")
		mc.Run("pipe", "l/box/empty.txt")
		mc.Run("tag", "set", "l/box/one.txt", "colour=green")
		wants(t, mc.Run("tag", "list", "l/box/one.txt"), "green")
		mcShare(t, s, mc)
		wants(t, mc.Refused("rb", "l/box"), "not empty")
		mc.Run("rm", "l/box/one.txt")
		mc.Run("rm", "-r", "--force", "l/box")
		if left := mc.Run("ls", "-r", "l/box"); left != "" {
			t.Errorf("left behind: %s", left)
		}
		mc.Run("cp", "tree/one.txt", "l/box/one.txt")
		mc.Run("rb", "--force", "l/box")
		wants(t, mc.Refused("ls", "l/box"), "does not exist")
	})
}

func mcShare(t *testing.T, s *harness.Server, mc *harness.Program) {
	t.Helper()
	link := regexp.MustCompile(`(?m)^Share: (\S+)`).FindStringSubmatch(mc.Run("share", "download", "--expire", "1h", "l/box/moved.txt"))
	if link == nil {
		t.Fatal("share download printed no link")
	}
	if status, text := get(t, s, link[1]); status != 200 || text != "one" {
		t.Errorf("shared: %d %s", status, text)
	}
	wants(t, mc.Run("share", "upload", "--expire", "1h", "l/box/up.txt"), "policy=", "x-amz-signature=")
}

func get(t *testing.T, s *harness.Server, url string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	ok(t, err)
	res, err := s.HTTPClient().Do(req)
	ok(t, err)
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	ok(t, err)
	return res.StatusCode, string(text)
}

const readShelf = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:GetObject","s3:ListBucket"],"Resource":["arn:aws:s3:::shelf","arn:aws:s3:::shelf/*"]}]}`

// TestMCAdmin drives users, groups, policies and keys with mc.
func TestMCAdmin(t *testing.T) {
	mcEach(t, func(t *testing.T, s *harness.Server, mc *harness.Program) {
		t.Helper()
		mc.Run("mb", "l/shelf")
		mc.Run("cp", mc.File("x.txt", []byte("x")), "l/shelf/x.txt")
		mc.Run("admin", "policy", "create", "l", "reader", mc.File("reader.json", []byte(readShelf)))
		wants(t, mc.Run("admin", "policy", "ls", "l"), "reader", "readwrite", "consoleAdmin", "diagnostics", "readonly", "writeonly")
		wants(t, mc.Run("admin", "policy", "info", "l", "reader"), "s3:ListBucket")
		mc.Run("admin", "user", "add", "l", "ann", "ann-secret")
		may := func(key, secret string, want bool) {
			t.Helper()
			mc.Run("alias", "set", "u", s.HostURL(), key, secret)
			out, err := mc.Command("cat", "u/shelf/x.txt").CombinedOutput()
			if (err == nil) != want {
				t.Errorf("%s reads: %v %s, want %v", key, err, out, want)
			}
		}
		may("ann", "ann-secret", false)
		mc.Run("admin", "policy", "attach", "l", "reader", "--user", "ann")
		wants(t, mc.Refused("admin", "policy", "rm", "l", "reader"), "Unable to remove policy")
		may("ann", "ann-secret", true)
		wants(t, mc.Run("admin", "policy", "entities", "l", "--user", "ann"), "reader")
		wants(t, mc.Run("admin", "user", "info", "l", "ann"), "reader", "enabled")
		wants(t, mc.Run("admin", "user", "ls", "l"), "ann")
		mcKeys(t, mc, may)
		mc.Run("admin", "user", "disable", "l", "ann")
		wants(t, mc.Refused("cat", "u/shelf/x.txt"), "")
		mc.Run("admin", "user", "enable", "l", "ann")
		mc.Run("admin", "policy", "detach", "l", "reader", "--user", "ann")
		may("ann", "ann-secret", false)
		mc.Run("admin", "group", "add", "l", "cooks", "ann")
		mc.Run("admin", "policy", "attach", "l", "reader", "--group", "cooks")
		may("ann", "ann-secret", true)
		wants(t, mc.Run("admin", "group", "info", "l", "cooks"), "ann", "reader")
		wants(t, mc.Run("admin", "group", "ls", "l"), "cooks")
		mc.Run("admin", "group", "disable", "l", "cooks")
		may("ann", "ann-secret", false)
		mc.Run("admin", "group", "enable", "l", "cooks")
		mc.Run("admin", "policy", "detach", "l", "reader", "--group", "cooks")
		mc.Run("admin", "group", "rm", "l", "cooks", "ann")
		mc.Run("admin", "group", "rm", "l", "cooks")
		mc.Run("admin", "user", "rm", "l", "ann")
		mc.Run("admin", "policy", "rm", "l", "reader")
		wants(t, mc.Refused("admin", "user", "info", "l", "ann"), "not exist")
		wants(t, mc.Refused("admin", "policy", "info", "l", "reader"), "not exist")
	})
}

// mcKeys makes keys for ann in both of mc's spellings.
func mcKeys(t *testing.T, mc *harness.Program, may func(key, secret string, want bool)) {
	t.Helper()
	mc.Run("admin", "user", "svcacct", "add", "l", "ann", "--access-key", "annkey12345", "--secret-key", "annkeysecret")
	may("annkey12345", "annkeysecret", true)
	wants(t, mc.Run("admin", "user", "svcacct", "info", "l", "annkey12345"), "ann", "on")
	wants(t, mc.Run("admin", "user", "svcacct", "ls", "l", "ann"), "annkey12345")
	mc.Run("admin", "user", "svcacct", "disable", "l", "annkey12345")
	wants(t, mc.Run("admin", "user", "svcacct", "info", "l", "annkey12345"), "off")
	mc.Run("admin", "user", "svcacct", "enable", "l", "annkey12345")
	mc.Run("admin", "user", "svcacct", "edit", "l", "annkey12345", "--secret-key", "annkeysecret2")
	may("annkey12345", "annkeysecret2", true)
	mc.Run("admin", "user", "svcacct", "rm", "l", "annkey12345")

	mc.Run("admin", "accesskey", "create", "l/", "ann", "--access-key", "annkey67890", "--secret-key", "annkeysecret", "--name", "second", "--expiry-duration", "24h")
	may("annkey67890", "annkeysecret", true)
	wants(t, mc.Run("admin", "accesskey", "info", "l", "annkey67890"), "ann", "second")
	wants(t, mc.Run("admin", "accesskey", "ls", "l", "--all"), "annkey67890")
	mc.Run("admin", "accesskey", "edit", "l", "annkey67890", "--secret-key", "annkeysecret3")
	may("annkey67890", "annkeysecret3", true)
	mc.Run("admin", "accesskey", "disable", "l", "annkey67890")
	mc.Run("admin", "accesskey", "enable", "l", "annkey67890")
	mc.Run("admin", "accesskey", "rm", "l", "annkey67890")
	if left := mc.Run("admin", "accesskey", "ls", "l", "--all"); strings.Contains(left, "annkey67890") {
		t.Errorf("a removed key is listed: %s", left)
	}
}

// TestMCServer drives what mc asks of the server itself.
func TestMCServer(t *testing.T) {
	mcEach(t, func(t *testing.T, s *harness.Server, mc *harness.Program) {
		t.Helper()
		mc.Run("mb", "l/shelf")
		mc.Run("quota", "set", "l/shelf", "--size", "1MiB")
		wants(t, mc.Run("quota", "info", "l/shelf"), "1.0 MiB")
		wants(t, mc.Refused("cp", mc.File("big", make([]byte, 2<<20)), "l/shelf/big"), "uota")
		mc.Run("quota", "clear", "l/shelf")
		mc.Run("cp", "big", "l/shelf/big")
		mc.Run("anonymous", "set", "download", "l/shelf")
		wants(t, mc.Run("anonymous", "get", "l/shelf"), "download")
		if status, _ := get(t, s, s.URL()+"/shelf/big"); status != 200 {
			t.Errorf("a public object: %d", status)
		}
		mc.Run("anonymous", "set", "private", "l/shelf")
		if status, _ := get(t, s, s.URL()+"/shelf/big"); status != 403 {
			t.Errorf("a private object: %d", status)
		}
		wants(t, mc.Run("admin", "info", "l"), "1 drive online")
		mc.Run("ready", "l")
		mc.Run("ping", "--count", "2", "l")
		wants(t, mc.Run("admin", "config", "get", "l", "region"), "region")
		for _, kind := range []string{"cluster", "node", "bucket", "resource"} {
			wants(t, mc.Run("admin", "prometheus", "metrics", "l", kind, "--api-version", "v2"), "# TYPE")
		}
		wants(t, mc.Run("admin", "prometheus", "generate", "l"), "bearer_token")
		mcTrace(t, mc)
		for command, reason := range map[string]string{
			"admin heal l": "erasure coding", "admin service stop l": "restarted and stopped by what started it", "admin service restart l --json": "systemd",
			"admin config set l region name=x": "flags, its variables or its configuration file", "admin config reset l region": "not changed over the network",
			"idp openid add l client_id=x": "not changed over the network", "idp ldap ls l": "use an OpenID Connect issuer", "admin update l --yes": "install the new version",
			"admin kms key status l": "KMS", "admin replicate info l": "replication between sites", "ilm tier ls l": "tiers", "batch list l": "batch jobs",
			"admin decommission status l": "pools", "admin rebalance status l": "pools", "admin config history l": "larder admin audit",
			"support perf l": "larder bench", "support diag l": "larder doctor", "admin prometheus metrics l --api-version v3": "501 Not Implemented",
		} {
			wants(t, mc.Refused(strings.Fields(command)...), reason)
		}
	})
}

func mcTrace(t *testing.T, mc *harness.Program) {
	t.Helper()
	cmd := mc.Command("admin", "trace", "l")
	out, err := cmd.StdoutPipe()
	ok(t, err)
	ok(t, cmd.Start())
	lines := make(chan string, 1000)
	go func() {
		for scan := bufio.NewScanner(out); scan.Scan(); {
			lines <- scan.Text()
		}
		close(lines)
	}()
	seen := false
	harness.Await(t, "s3.ListBuckets in mc's trace", 20*time.Second, func() bool {
		mc.Run("ls", "l")
		for {
			select {
			case line := <-lines:
				seen = seen || strings.Contains(line, "ListBuckets")
				continue
			default:
			}
			return seen
		}
	})
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}
