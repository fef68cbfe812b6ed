package admin_test

import (
	"archive/zip"
	"bytes"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/protocol/sigv4"
)

// archive is a zip of files, as a string.
func archive(t *testing.T, files map[string]string) string {
	t.Helper()
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		file, err := w.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.Write([]byte(files[name])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.String()
}

// TestImportFromMinIO imports an archive that a real MinIO exported: its users
// and access keys sign with their secrets and have their policies.
func TestImportFromMinIO(t *testing.T) {
	export, err := os.ReadFile("testdata/minio-export.zip")
	if err != nil {
		t.Fatal(err)
	}
	for _, route := range []string{"import-iam", "import-iam-v2"} {
		t.Run(route, func(t *testing.T) {
			w := newWorld(t)
			got := w.must(request{"PUT", route, string(export), false, root})
			if route == "import-iam-v2" && !strings.Contains(got.body, `"added":{"policies":["consoleAdmin","diagnostics","p1",`) {
				t.Errorf("report is %s", got.body)
			}
			user := sigv4.Key{ID: "user1", Secret: "secretofu1"}
			if got := w.must(request{"GET", "user-info?accessKey=user1", "", false, user}).body; !strings.Contains(got, `"policyName":"p1","status":"enabled","memberOf":["g1"]`) {
				t.Errorf("user1 is %s", got)
			}
			if got := w.do(request{"GET", "accountinfo", "", false, sigv4.Key{ID: "svc1", Secret: "svcsecret1"}}); got.status != 200 {
				t.Errorf("svc1 signs: %d %s", got.status, got.body)
			}
			account, err := w.identity.Account("svc1")
			if err != nil || account.Parent != "user1" || len(account.Policy) == 0 || account.Name != "nm" || account.Expires.Year() != 2027 {
				t.Errorf("svc1 is %+v, error %v", account, err)
			}
			if account, err := w.identity.Account("TXCB5CRNLUDY7RXP24JF"); err != nil || account.ParentKind != iam.Root {
				t.Errorf("root's key is %+v, error %v", account, err)
			}
		})
	}
}

// TestRoundTrip imports what was exported.
func TestRoundTrip(t *testing.T) {
	w := newWorld(t)
	w.user("alice", allowing("admin:ServerInfo"))
	w.must(request{"PUT", "update-group-members", `{"group":"team","members":["alice"]}`, false, root})
	w.must(request{"PUT", "set-user-or-group-policy?isGroup=true&policyName=readonly,diagnostics&userOrGroup=team", "", false, root})
	w.must(request{"PUT", "set-group-status?group=team&status=disabled", "", false, root})
	w.must(request{"PUT", "add-service-account", `{"targetUser":"alice","accessKey":"alice-key","secretKey":"alice-key-secret","policy":` + allowing("admin:GetUser") + `}`, true, root})
	w.must(request{"PUT", "add-service-account", `{"accessKey":"root-key","secretKey":"root-key-secret"}`, true, root})
	w.must(request{"POST", "update-service-account?accessKey=alice-key", `{"newStatus":"off"}`, true, root})
	zipped := w.must(request{"GET", "export-iam", "", false, root})
	other := newWorld(t)
	other.must(request{"PUT", "import-iam", zipped.body, false, root})
	if diff := cmp.Diff(w.snapshot(), other.snapshot()); diff != "" {
		t.Errorf("identities differ (-exported +imported):\n%s", diff)
	}

	admin := w.user("admin", allowing("admin:*"))
	if got := w.must(request{"GET", "export-iam", "", false, admin}); strings.Contains(unzip(t, got.body), "root-key") {
		t.Error("root's keys are exported to one who is not root")
	}
}

func unzip(t *testing.T, archive string) string {
	t.Helper()
	r, err := zip.NewReader(strings.NewReader(archive), int64(len(archive)))
	if err != nil {
		t.Fatal(err)
	}
	var all bytes.Buffer
	for _, file := range r.File {
		content, err := file.Open()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := all.ReadFrom(content); err != nil {
			t.Fatal(err)
		}
	}
	return all.String()
}

// TestBadArchives changes nothing.
func TestBadArchives(t *testing.T) {
	w := newWorld(t)
	maker := w.user("maker", allowing("admin:ImportIAM", "admin:CreateUser", "admin:EnableUser", "admin:CreatePolicy", "admin:AttachUserOrGroupPolicy",
		"admin:AddUserToGroup", "admin:CreateServiceAccount", "admin:UpdateServiceAccount", "admin:DisableUser", "admin:EnableGroup", "admin:DisableGroup"))
	before := w.snapshot()
	const users = `{"new":{"secretKey":"new-secret","status":"enabled"}}`
	many := map[string]string{"iam-assets/users.json": users}
	for i := range 4096 {
		many[strconv.Itoa(i)] = ""
	}
	bomb := strings.Repeat(" ", 40<<20)
	tests := []struct {
		name    string
		archive string
		key     sigv4.Key
		status  int
	}{
		{"no zip", "PK\x03\x04 nothing", root, 400},
		{"a bomb", archive(t, map[string]string{"iam-assets/users.json": bomb}), root, 400},
		{"a bomb in a file that is not read", archive(t, map[string]string{"iam-assets/users.json": users, "other": bomb}), root, 400},
		{"many files", archive(t, many), root, 400},
		{"no JSON", archive(t, map[string]string{"iam-assets/users.json": users, "iam-assets/policies.json": "{"}), root, 400},
		{"JSON of another form", archive(t, map[string]string{"iam-assets/users.json": `[]`}), root, 400},
		{"a policy that does not parse", archive(t, map[string]string{"iam-assets/users.json": users, "iam-assets/policies.json": `{"p":{"Statement":"x"}}`}), root, 400},
		{"a policy that does not exist", archive(t, map[string]string{"iam-assets/users.json": users, "iam-assets/user_mappings.json": `{"new":{"policy":"absent"}}`}), root, 404},
		{"a member who does not exist", archive(t, map[string]string{"iam-assets/users.json": users, "iam-assets/groups.json": `{"g":{"members":["ghost"]}}`}), root, 404},
		{"a secret that is too short", archive(t, map[string]string{"iam-assets/users.json": `{"aaa":{"secretKey":"new-secret"},"bbb":{"secretKey":"short"}}`}), root, 400},
		{"a user named like root", archive(t, map[string]string{"iam-assets/users.json": `{"aaa":{"secretKey":"new-secret"},"minio":{"secretKey":"new-secret"}}`}), root, 400},
		{"a key that claims root as its parent", archive(t, map[string]string{
			"iam-assets/users.json":    users,
			"iam-assets/svcaccts.json": `{"forged":{"parent":"minio","accessKey":"forged","secretKey":"forged-secret","claims":{"parent":"minio"},"status":"on"}}`,
		}), maker, 403},
		{"the importer himself", archive(t, map[string]string{"iam-assets/users.json": `{"maker":{"secretKey":"new-secret"}}`}), maker, 403},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := w.do(request{"PUT", "import-iam-v2", tt.archive, false, tt.key})
			if got.status != tt.status {
				t.Errorf("got %d %s, want %d", got.status, got.body, tt.status)
			}
			if tt.status == 403 && !strings.Contains(got.body, "nobody imports himself") && !strings.Contains(got.body, "only root makes keys of root's") {
				t.Errorf("the answer does not say why: %s", got.body)
			}
			if after := w.snapshot(); after != before {
				t.Errorf("identities changed to %s", after)
			}
		})
	}
	t.Run("a key of a directory's user is skipped and said", func(t *testing.T) {
		got := w.must(request{"PUT", "import-iam-v2", archive(t, map[string]string{
			"iam-assets/svcaccts.json": `{"ldapkey":{"parent":"cn=somebody","secretKey":"forged-secret","status":"on"}}`,
		}), false, root})
		if !strings.Contains(got.body, `"skipped":{"serviceAccounts":["ldapkey"]}`) || w.snapshot() != before {
			t.Errorf("report %s", got.body)
		}
	})
}

// TestBucketTransfer carries quotas, policies and tags over.
func TestBucketTransfer(t *testing.T) {
	w := newWorld(t)
	w.bucket("sccache")
	w.must(request{"PUT", "set-bucket-quota?bucket=sccache", `{"quota":1000,"quotatype":"hard"}`, false, root})
	zipped := w.must(request{"GET", "export-bucket-metadata?bucket=", "", false, root}).body
	files := archive(t, map[string]string{
		"more/policy.json":   `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":["s3:GetObject"],"Resource":["arn:aws:s3:::more/*"]}]}`,
		"more/tagging.xml":   `<Tagging><TagSet><Tag><Key>team</Key><Value>build</Value></Tag></TagSet></Tagging>`,
		"more/lifecycle.xml": `<LifecycleConfiguration/>`,
	})
	other := newWorld(t)
	other.must(request{"PUT", "import-bucket-metadata?bucket=", zipped, false, root})
	other.must(request{"PUT", "import-bucket-metadata?bucket=", files, false, root})
	if b, err := other.store.Bucket(t.Context(), "sccache"); err != nil || b.Config.Quota != 1000 {
		t.Errorf("sccache is %+v, error %v", b, err)
	}
	if b, err := other.store.Bucket(t.Context(), "more"); err != nil || len(b.Config.Policy) == 0 || len(b.Config.Tags) != 1 || b.Config.Tags[0].Value != "build" {
		t.Errorf("more is %+v, error %v", b, err)
	}
	porter := other.user("porter", allowing("admin:ImportBucketMetadata"))
	for name, content := range map[string]string{
		"quota.json": `{"quota":1000}`, "tagging.xml": `<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>`,
		"policy.json": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":["s3:GetObject"],"Resource":["arn:aws:s3:::evil/*"]}]}`,
	} {
		if got := other.do(request{"PUT", "import-bucket-metadata?bucket=", archive(t, map[string]string{"evil/" + name: content}), false, porter}); got.status != 403 {
			t.Errorf("%s without the right to it: %d %s", name, got.status, got.body)
		}
	}
	long := archive(t, map[string]string{"evil/tagging.xml": `<Tagging><TagSet><Tag><Key>a</Key><Value>` + strings.Repeat("b", 257) + `</Value></Tag></TagSet></Tagging>`})
	if got := other.do(request{"PUT", "import-bucket-metadata?bucket=", long, false, root}); got.status != 400 {
		t.Errorf("a tag longer than S3 takes: %d %s", got.status, got.body)
	}
	for _, bad := range []string{"evil/policy.json", "evil/quota.json", "evil/tagging.xml", "../policy.json"} {
		if got := other.do(request{"PUT", "import-bucket-metadata?bucket=", archive(t, map[string]string{bad: "{nonsense"}), false, root}); got.status != 400 {
			t.Errorf("%s: %d %s", bad, got.status, got.body)
		}
	}
	if _, err := other.store.Bucket(t.Context(), "evil"); err == nil {
		t.Error("a refused import made a bucket")
	}
}
