package iam_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-cache/larder/internal/iam"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares text with a file below testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
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
		t.Errorf("%s differs (-want +got); if the change is meant, run with -update:\n%s", file, diff)
	}
}

// named reads a policy of testdata/policies.
func named(tb testing.TB, name string) iam.NamedPolicy {
	tb.Helper()
	doc, err := os.ReadFile(filepath.Join("testdata", "policies", name+".json"))
	if err != nil {
		tb.Fatal(err)
	}
	p, err := iam.ParsePolicy(doc)
	if err != nil {
		tb.Fatal(err)
	}
	return iam.NamedPolicy{Name: iam.PolicyName(name), Policy: p}
}

// caller is one row of the decision table.
type caller struct {
	name      string
	principal iam.Principal
	grants    iam.Grants
}

func callers(t *testing.T) []caller {
	t.Helper()
	inline := func(name string) *iam.Policy { return named(t, name).Policy }
	grants := func(names ...string) (g iam.Grants) {
		for _, name := range names {
			g.Policies = append(g.Policies, named(t, name))
		}
		return g
	}
	narrowed := func(g iam.Grants, name string) iam.Grants { g.Inline = inline(name); return g }
	return []caller{
		{"anonymous", iam.Principal{}, iam.Grants{}},
		{"anonymous, given a policy by mistake", iam.Principal{}, grants("sccache-rw", "user-admin")},
		{"root", iam.Principal{Kind: iam.Root, User: "root"}, iam.Grants{}},
		{"a user named like root", iam.Principal{Kind: iam.User, User: "root"}, iam.Grants{}},
		{"user alice without policies", iam.Principal{Kind: iam.User, User: "alice"}, iam.Grants{}},
		{"user alice with sccache-rw, home", iam.Principal{Kind: iam.User, User: "alice"}, grants("sccache-rw", "home")},
		{"user * with home", iam.Principal{Kind: iam.User, User: "*"}, grants("home")},
		{"user bob with sccache-rw, no-main", iam.Principal{Kind: iam.User, User: "bob"}, grants("sccache-rw", "no-main")},
		{"user carol with versions, user-admin", iam.Principal{Kind: iam.User, User: "carol"}, grants("versions", "user-admin")},
		{"bob's service account", iam.Principal{Kind: iam.ServiceAccount, User: "bob", Parent: iam.User}, grants("sccache-rw", "no-main")},
		{"bob's service account, read-only", iam.Principal{Kind: iam.ServiceAccount, User: "bob", Parent: iam.User}, narrowed(grants("sccache-rw", "no-main"), "read-only")},
		{"bob's session, deny-only", iam.Principal{Kind: iam.Session, User: "bob", Parent: iam.User}, narrowed(grants("sccache-rw"), "deny-only")},
		{"bob's session, wider than bob", iam.Principal{Kind: iam.Session, User: "bob", Parent: iam.User}, narrowed(grants("read-only"), "sccache-rw")},
		{"root's service account", iam.Principal{Kind: iam.ServiceAccount, User: "root", Parent: iam.Root}, iam.Grants{}},
		{"root's service account, read-only", iam.Principal{Kind: iam.ServiceAccount, User: "root", Parent: iam.Root}, narrowed(iam.Grants{}, "read-only")},
		{"root's session, deny-only", iam.Principal{Kind: iam.Session, User: "root", Parent: iam.Root}, narrowed(iam.Grants{}, "deny-only")},
		{"session whose parent is a user named like root", iam.Principal{Kind: iam.Session, User: "root", Parent: iam.User}, iam.Grants{}},
		{"session of subject bob of an issuer", iam.Principal{Kind: iam.Session, User: "bob", Parent: iam.Subject}, grants("read-only")},
	}
}

func checks() []iam.Check {
	object := func(action iam.Action, bucket, key string) iam.Check {
		return iam.Check{Action: action, Resource: iam.Resource{Bucket: bucket, Key: key}}
	}
	about := func(action iam.Action, user iam.UserName) iam.Check { return iam.Check{Action: action, Target: user} }
	return []iam.Check{
		object("s3:ListAllMyBuckets", "", ""),
		object("s3:ListBucket", "sccache", ""),
		object("s3:ListBucket", "other", ""),
		object("s3:GetObject", "sccache", "main/k"),
		object("s3:PutObject", "sccache", "pr/k"),
		object("s3:PutObject", "sccache", "main/k"),
		object("s3:DeleteObject", "sccache", "pr/k"),
		object("s3:GetObject", "sccache-other", "k"),
		object("s3:PutBucketPolicy", "sccache", ""),
		object("s3:PutObject", "home", "alice/k"),
		object("s3:PutObject", "home", "*/k"),
		object("s3:GetObject", "archive", "k"),
		object("s3:GetObjectVersion", "archive", "k"),
		object("s3:ListBucketVersions", "archive", ""),
		object("s3:GetObject", "open", "k"),
		object("s3:GetObject", "open", "secret/k"),
		object("s3:PutObject", "open", "k"),
		about("admin:ListUsers", ""),
		about("admin:GetUser", "bob"),
		about("admin:GetUser", "alice"),
		about("admin:CreateUser", "bob"),
		about("admin:CreateServiceAccount", "bob"),
		about("admin:CreateServiceAccount", "carol"),
		about("admin:CreateServiceAccount", "root"),
		object("s3:NoSuchAction", "sccache", "k"),
	}
}

// TestDecisions writes principal × action × resource as a table to review.
func TestDecisions(t *testing.T) {
	doc, err := os.ReadFile("testdata/policies/bucket-open.json")
	if err != nil {
		t.Fatal(err)
	}
	open, err := iam.ParseBucketPolicy(doc, "open")
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("# Who may do what. The policies are in policies/; bucket-open.json is the bucket policy of \"open\".\n")
	for _, c := range callers(t) {
		fmt.Fprintf(&b, "\n%s\n", c.name)
		for _, check := range checks() {
			r := iam.Request{Principal: c.principal, Check: check, Facts: iam.Facts{Time: time.Unix(1, 0)}}
			if check.Resource.Bucket == "open" {
				r.BucketPolicy = open
			}
			d := iam.Evaluate(r, c.grants)
			verdict := "   -  "
			if d.Allowed {
				verdict = "ALLOW "
			} else if d.Denied {
				verdict = "DENY  "
			}
			what := check.Resource.Bucket
			if check.Resource.Key != "" {
				what += "/" + check.Resource.Key
			}
			if check.Target != "" {
				what = "of " + string(check.Target)
			}
			fmt.Fprintf(&b, "  %s %-27s %-16s %s\n", verdict, check.Action, what, d.Reason)
		}
	}
	golden(t, "decisions.golden", b.String())
}
