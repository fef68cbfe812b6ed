package admin_test

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-cache/larder/internal/protocol/admin"
	"github.com/larder-cache/larder/internal/protocol/sigv4"
)

var update = flag.Bool("update", false, "rewrite golden files")

// samples has one request for each route, in its order.
var samples = []request{
	{method: "GET", path: "info"},
	{method: "GET", path: "storageinfo"},
	{method: "GET", path: "datausageinfo?capacity=true"},
	{method: "PUT", path: "add-user?accessKey=alice", body: `{"secretKey":"another-secret","status":"enabled"}`, sealed: true},
	{method: "PUT", path: "set-user-status?accessKey=alice&status=disabled"},
	{method: "DELETE", path: "remove-user?accessKey=alice"},
	{method: "GET", path: "user-info?accessKey=alice"},
	{method: "GET", path: "list-users"},
	{method: "PUT", path: "update-group-members", body: `{"group":"team","members":["alice"],"groupStatus":"","isRemove":false}`},
	{method: "PUT", path: "set-group-status?group=team&status=disabled"},
	{method: "GET", path: "group?group=team"},
	{method: "GET", path: "groups"},
	{method: "PUT", path: "add-canned-policy?name=mine", body: allowing("admin:*")},
	{method: "GET", path: "info-canned-policy?name=readonly&v=2"},
	{method: "GET", path: "list-canned-policies"},
	{method: "DELETE", path: "remove-canned-policy?name=none"},
	{method: "PUT", path: "set-user-or-group-policy?isGroup=false&policyName=readwrite&userOrGroup=alice"},
	{method: "POST", path: "idp/builtin/policy/attach", body: `{"policies":["consoleAdmin"],"user":"alice"}`, sealed: true},
	{method: "GET", path: "idp/builtin/policy-entities"},
	{method: "PUT", path: "add-service-account", body: `{"targetUser":"alice"}`, sealed: true},
	{method: "POST", path: "update-service-account?accessKey=alice-key", body: `{"newSecretKey":"another-secret"}`, sealed: true},
	{method: "DELETE", path: "delete-service-account?accessKey=alice-key"},
	{method: "GET", path: "info-service-account?accessKey=alice-key"},
	{method: "GET", path: "list-service-accounts?user=alice"},
	{method: "GET", path: "list-access-keys-bulk?all=true&listType=all"},
	{method: "GET", path: "info-access-key?accessKey=alice-key"},
	{method: "GET", path: "temporary-account-info?accessKey=alice-key"},
	{method: "GET", path: "export-iam"},
	{method: "PUT", path: "import-iam", body: "no zip"},
	{method: "PUT", path: "import-iam-v2", body: "no zip"},
	{method: "GET", path: "accountinfo"},
	{method: "PUT", path: "set-bucket-quota?bucket=sccache", body: `{"quota":1000,"quotatype":"hard"}`},
	{method: "GET", path: "get-bucket-quota?bucket=sccache"},
	{method: "GET", path: "trace?threshold=nonsense"},
	{method: "GET", path: "log?limit=nonsense"},
	{method: "POST", path: "service?action=restart"},
	{method: "GET", path: "get-config-kv?key=site"},
	{method: "GET", path: "config"},
	{method: "GET", path: "help-config-kv?subSys=&key="},
	{method: "PUT", path: "set-config-kv"},
	{method: "DELETE", path: "del-config-kv"},
	{method: "PUT", path: "config"},
	{method: "GET", path: "idp-config/openid"},
	{method: "GET", path: "idp-config/openid/_"},
	{method: "PUT", path: "idp-config/openid/_"},
	{method: "POST", path: "idp-config/openid/_"},
	{method: "DELETE", path: "idp-config/openid/_"},
	{method: "GET", path: "larder/audit?limit=1"},
	{method: "GET", path: "larder/subjects"},
	{method: "GET", path: "larder/explain?user=alice&action=s3:GetObject&resource=sccache/k"},
	{method: "POST", path: "revoke-tokens/builtin?user=alice"},
	{method: "GET", path: "export-bucket-metadata?bucket=sccache"},
	{method: "PUT", path: "import-bucket-metadata?bucket=", body: "no zip"},
}

// callers are who tries each request.
var callers = []string{"anonymous", "forged", "nobody", "alice", "admin", "root"}

// newCast makes a world with everybody whom the samples name: alice may nothing
// but manage what is hers, admin has consoleAdmin.
func newCast(t *testing.T) (*world, map[string]sigv4.Key) {
	t.Helper()
	w := newWorld(t)
	w.bucket("sccache")
	keys := map[string]sigv4.Key{"root": root, "anonymous": {}, "nobody": w.user("nobody"), "alice": w.user("alice"), "admin": w.user("admin")}
	keys["forged"] = sigv4.Key{ID: root.ID, Secret: "not the secret"}
	w.must(request{"PUT", "set-user-or-group-policy?isGroup=false&policyName=consoleAdmin&userOrGroup=admin", "", false, root})
	w.must(request{"PUT", "update-group-members", `{"group":"team","members":["nobody"]}`, false, root})
	w.must(request{"PUT", "add-service-account", `{"targetUser":"alice","accessKey":"alice-key","secretKey":"alice-key-secret"}`, true, root})
	return w, keys
}

// TestRights writes who may call what as a table, to be read and compared. Every
// route is in it, those that are not offered as one row each.
func TestRights(t *testing.T) {
	requests := append([]request(nil), samples...)
	routes := admin.Routes()
	for _, route := range routes[len(samples):] {
		method, pattern, _ := strings.Cut(route, " ")
		path := strings.ReplaceAll(strings.ReplaceAll(pattern, "{}", "x"), "*", "x")
		requests = append(requests, request{method: method, path: path})
	}
	shared, sharedKeys := newCast(t) // for all that change nothing
	var table strings.Builder
	for i, r := range requests {
		if path, _, _ := strings.Cut(r.path, "?"); !admin.Matches(i, r.method, path) {
			t.Fatalf("sample %s %s is not on route %q", r.method, r.path, routes[i])
		}
		fmt.Fprintf(&table, "%s %s\n", r.method, r.path)
		w, keys := shared, sharedKeys
		for _, caller := range callers {
			if i < len(samples) && r.method != http.MethodGet && (caller == "alice" || caller == "admin" || caller == "root") {
				w, keys = newCast(t)
			}
			r.key = keys[caller]
			if r.key.ID == "" && r.sealed {
				r.key.Secret = "anything"
			}
			got := w.do(r)
			fmt.Fprintf(&table, "\t%-10s %d %s\n", caller, got.status, got.code())
		}
	}
	golden(t, "testdata/rights.txt", table.String())
}

// TestVersionsAreAlike asks every route by both versions of the API. Those that
// change something are asked by somebody who may not.
func TestVersionsAreAlike(t *testing.T) {
	w, keys := newCast(t)
	for i, route := range admin.Routes() {
		method, path, _ := strings.Cut(route, " ")
		r := request{method: method, path: strings.ReplaceAll(strings.ReplaceAll(path, "{}", "x"), "*", "x")}
		if i < len(samples) {
			r = samples[i]
		}
		r.key = keys["root"]
		if i < len(samples) && r.method != http.MethodGet {
			r.key = keys["nobody"]
		}
		third := w.do(r)
		r.path = "/minio/admin/v4/" + r.path
		fourth := w.do(r)
		if third.status != fourth.status || third.code() != fourth.code() || third.status == http.StatusUpgradeRequired {
			t.Errorf("%s: v3 answers %d %s, v4 %d %s", route, third.status, third.code(), fourth.status, fourth.code())
		}
	}
}

// TestSettingsOfNothing asks for settings of what is not there. Those of subnet are
// what every command of "mc support" asks for first.
func TestSettingsOfNothing(t *testing.T) {
	w := newWorld(t)
	if got := w.do(request{"GET", "get-config-kv?key=subnet", "", false, root}); got.status != http.StatusNotImplemented || !strings.Contains(got.body, "larder doctor") {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := w.must(request{"GET", "get-config-kv?key=identity_openid", "", false, root}); got.body != "identity_openid enable=off \n" {
		t.Errorf("issuers, of which there are none: %q", got.body)
	}
	if got := w.do(request{"GET", "get-config-kv?key=subnets", "", false, root}); got.status != http.StatusNotFound {
		t.Errorf("settings that nobody knows: %d %s", got.status, got.body)
	}
}

// TestSignatureForms sends each request signed in other ways than the header with
// a signed checksum, by root, whose every right is beyond doubt.
func TestSignatureForms(t *testing.T) {
	w := newWorld(t)
	for _, r := range samples {
		r.key = root
		presigned := w.build(r)
		presigned.Header.Del("Authorization")
		sigv4.Presign(presigned, root, "", "s3", time.Now(), time.Minute)
		if got := w.send(presigned); got.status != http.StatusForbidden {
			t.Errorf("presigned %s %s: %d %s", r.method, r.path, got.status, got.body)
		}
		if r.body == "" {
			continue
		}
		unsigned := w.build(r)
		sigv4.Sign(unsigned, root, "", "s3", sigv4.UnsignedPayload, time.Now())
		if got := w.send(unsigned); got.status != http.StatusForbidden {
			t.Errorf("unsigned body %s %s: %d %s", r.method, r.path, got.status, got.body)
		}
	}
	if users := w.identity.Users(); len(users) != 0 {
		t.Errorf("there are users: %v", users)
	}
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}
