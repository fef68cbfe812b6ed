package clients_test

import (
	"bytes"
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/larder-cache/larder/test/e2e/harness"
	"github.com/larder-cache/larder/test/e2e/tools"
)

// TestBoto3 runs testdata/s3.py.
func TestBoto3(t *testing.T) {
	script, err := filepath.Abs("testdata/s3.py")
	ok(t, err)
	both(t, func(t *testing.T, s *harness.Server) {
		t.Helper()
		out := harness.NewProgram(t, tools.Boto3, s.AWSEnv(harness.RootUser, harness.RootPassword)).Run(script)
		wants(t, out, "boto3 is content")
	})
}

func wants(t *testing.T, text string, all ...string) {
	t.Helper()
	for _, want := range all {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in %q", want, text)
		}
	}
}

// tree makes files with awkward names below dir and returns their content.
func tree(p *harness.Program, dir string) map[string][]byte {
	files := map[string][]byte{
		"plain.txt": []byte("plain"), "empty": nil, "with space/a+b%c.txt": []byte("odd"), "deep/er/ümläut 日本.bin": random(100_000),
		"large.bin": random(11<<20 + 3),
	}
	for name, body := range files {
		p.File(filepath.Join(dir, name), body)
	}
	return files
}

func sameTree(t *testing.T, dir string, want map[string][]byte) {
	t.Helper()
	n := 0
	ok(t, filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		n++
		name, err := filepath.Rel(dir, path)
		ok(t, err)
		got, err := os.ReadFile(path)
		ok(t, err)
		if body, found := want[name]; !found || !bytes.Equal(got, body) {
			t.Errorf("%s came back wrong", name)
		}
		return nil
	}))
	if n != len(want) {
		t.Errorf("%d files came back, want %d", n, len(want))
	}
}

// TestAWSCLI drives the server with the AWS CLI.
func TestAWSCLI(t *testing.T) {
	both(t, func(t *testing.T, s *harness.Server) {
		t.Helper()
		p := harness.NewProgram(t, tools.AWS, s.AWSEnv(harness.RootUser, harness.RootPassword))
		p.File(".aws/config", []byte("[default]\ns3 =\n  signature_version = s3v4\n")) // it presigns with version 2 otherwise
		p.Run("s3", "mb", "s3://cli")
		files := tree(p, "in")
		p.Run("s3", "cp", "in/large.bin", "s3://cli/one.bin")
		p.Run("s3", "sync", "in", "s3://cli/tree/")
		wants(t, p.Run("s3", "ls", "--recursive", "s3://cli/"), "tree/with space/a+b%c.txt", "tree/empty", "one.bin")
		if again := p.Run("s3", "sync", "in", "s3://cli/tree/"); strings.Contains(again, "upload:") {
			t.Errorf("a second sync copies: %s", again)
		}
		p.Run("s3", "sync", "s3://cli/tree/", "out")
		sameTree(t, filepath.Join(p.Dir, "out"), files)
		p.Run("s3", "mv", "s3://cli/one.bin", "s3://cli/two.bin")
		link := strings.TrimSpace(p.Run("s3", "presign", "s3://cli/tree/plain.txt", "--expires-in", "60"))
		if u, err := url.Parse(link); err != nil || u.Query().Get("X-Amz-Signature") == "" {
			t.Errorf("presigned: %s", link)
		}
		var head struct{ ContentLength int64 }
		ok(t, json.Unmarshal([]byte(p.Run("s3api", "head-object", "--bucket", "cli", "--key", "two.bin")), &head))
		if head.ContentLength != int64(len(files["large.bin"])) {
			t.Errorf("two.bin has %d bytes", head.ContentLength)
		}
		wants(t, p.Run("s3api", "list-object-versions", "--bucket", "cli"), `"VersionId": "null"`)
		wants(t, p.Refused("s3", "rb", "s3://cli"), "BucketNotEmpty")
		p.Run("s3", "rb", "--force", "s3://cli")
		wants(t, p.Refused("s3", "ls", "s3://cli"), "NoSuchBucket")
	})
}

// TestS3cmd drives the server with s3cmd.
func TestS3cmd(t *testing.T) {
	both(t, func(t *testing.T, s *harness.Server) {
		t.Helper()
		p := harness.NewProgram(t, tools.S3cmd, nil)
		config := "[default]\naccess_key = " + harness.RootUser + "\nsecret_key = " + harness.RootPassword + "\nhost_base = " + s.Addr + "\nhost_bucket = " + s.Addr + "\n"
		if s.CA == nil {
			config += "use_https = False\n"
		} else {
			config += "use_https = True\nca_certs_file = " + s.CA.File + "\n"
		}
		p.File(".s3cfg", []byte(config))
		files := tree(p, "in")
		p.Run("mb", "s3://s3cmd")
		p.Run("sync", "--multipart-chunk-size-mb=5", "in/", "s3://s3cmd/tree/")
		wants(t, p.Run("ls", "-r", "s3://s3cmd"), "tree/with space/a+b%c.txt", "tree/large.bin")
		p.Run("sync", "s3://s3cmd/tree/", "out/")
		sameTree(t, filepath.Join(p.Dir, "out"), files)
		p.Run("cp", "s3://s3cmd/tree/plain.txt", "s3://s3cmd/copy.txt")
		p.Run("modify", "--add-header=x-amz-meta-colour:green", "s3://s3cmd/copy.txt")
		wants(t, p.Run("info", "s3://s3cmd/copy.txt"), "x-amz-meta-colour: green", "File size: 5")
		p.Run("del", "s3://s3cmd/copy.txt")
		wants(t, p.Run("du", "s3://s3cmd"), "5 objects")
		p.Run("rb", "--recursive", "--force", "s3://s3cmd")
	})
}

// TestRclone drives the server with rclone, as a MinIO and as an AWS.
func TestRclone(t *testing.T) {
	for _, provider := range []string{"Minio", "AWS", "Other"} {
		t.Run(provider, func(t *testing.T) {
			both(t, func(t *testing.T, s *harness.Server) {
				t.Helper()
				if provider == "AWS" && s.CA == nil {
					return // rclone cannot sign a stream for AWS over plain HTTP
				}
				env := map[string]string{
					"RCLONE_CONFIG_L_TYPE": "s3", "RCLONE_CONFIG_L_PROVIDER": provider, "RCLONE_CONFIG_L_ENDPOINT": s.URL(),
					"RCLONE_CONFIG_L_ACCESS_KEY_ID": harness.RootUser, "RCLONE_CONFIG_L_SECRET_ACCESS_KEY": harness.RootPassword,
					"RCLONE_CONFIG_L_REGION": "us-east-1", "RCLONE_CONFIG_L_FORCE_PATH_STYLE": "true",
					"RCLONE_S3_UPLOAD_CUTOFF": "5Mi", "RCLONE_S3_CHUNK_SIZE": "5Mi",
				}
				if s.CA != nil {
					env["RCLONE_CA_CERT"] = s.CA.File
				}
				p := harness.NewProgram(t, tools.Rclone, env)
				files := tree(p, "in")
				p.Run("mkdir", "l:rclone")
				p.Run("sync", "in", "l:rclone/tree")
				p.Run("check", "--download", "in", "l:rclone/tree")
				p.Run("check", "in", "l:rclone/tree")
				wants(t, p.Run("lsf", "-R", "l:rclone"), "tree/with space/a+b%c.txt")
				p.Run("sync", "l:rclone/tree", "out")
				sameTree(t, filepath.Join(p.Dir, "out"), files)
				p.Run("moveto", "l:rclone/tree/plain.txt", "l:rclone/moved.txt")
				wants(t, p.Run("cat", "l:rclone/moved.txt"), "plain")
				wants(t, p.Run("size", "l:rclone"), "Total objects: 5")
				p.Run("purge", "l:rclone")
			})
		})
	}
}

// TestRestic keeps backups on the server: backup, check, restore, forget.
func TestRestic(t *testing.T) {
	both(t, func(t *testing.T, s *harness.Server) {
		t.Helper()
		env := s.AWSEnv(harness.RootUser, harness.RootPassword)
		env["RESTIC_REPOSITORY"], env["RESTIC_PASSWORD"] = "s3:"+s.URL()+"/backups/repo", "secret"
		p := harness.NewProgram(t, tools.Restic, env)
		if s.CA != nil {
			p.Args = []string{"--cacert", s.CA.File}
		}
		files := tree(p, "in")
		p.Run("init")
		p.Run("backup", "in")
		p.File("in/second.txt", []byte("second"))
		p.Run("backup", "in")
		wants(t, p.Run("check", "--read-data"), "no errors were found")
		p.Run("restore", "latest", "--target", "out")
		files["second.txt"] = []byte("second")
		sameTree(t, filepath.Join(p.Dir, "out/in"), files)
		p.Run("forget", "--keep-last", "1", "--prune")
		wants(t, p.Run("check"), "no errors were found")
	})
}
