package oidc_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/protocol/oidc"
)

func TestRefusedConfigurations(t *testing.T) {
	const github = "https://token.actions.githubusercontent.com"
	base := func(change func(*oidc.Issuer)) oidc.Issuer {
		i := oidc.Issuer{URL: "https://idp.example", Audiences: []string{"larder"}, Rules: []oidc.Rule{{Policies: []string{"p"}}}}
		change(&i)
		return i
	}
	rules := func(text string) func(*oidc.Issuer) {
		parsed, err := oidc.ParseRules(text)
		if err != nil {
			t.Fatal(err)
		}
		return func(i *oidc.Issuer) { i.URL, i.Rules = github, parsed }
	}
	tests := []struct {
		name   string
		issuer oidc.Issuer
		want   string // part of the error; "" for none
	}{
		{"good", base(func(*oidc.Issuer) {}), ""},
		{"loopback over http", base(func(i *oidc.Issuer) { i.URL = "http://127.0.0.1:8200" }), ""},
		{"no URL", base(func(i *oidc.Issuer) { i.URL = "" }), "no URL"},
		{"http", base(func(i *oidc.Issuer) { i.URL = "http://idp.example" }), "neither https"},
		{"not a URL", base(func(i *oidc.Issuer) { i.URL = "idp.example" }), "not the URL"},
		{"link-local", base(func(i *oidc.Issuer) { i.URL = "https://169.254.169.254" }), "link-local"},
		{"link-local, IPv6", base(func(i *oidc.Issuer) { i.URL = "https://[fe80::1]:8443" }), "link-local"},
		{"this machine by any name", base(func(i *oidc.Issuer) { i.URL = "https://0.0.0.0" }), "link-local"},
		{"user in URL", base(func(i *oidc.Issuer) { i.URL = "https://u:p@idp.example" }), "not the URL"},
		{"no audience", base(func(i *oidc.Issuer) { i.Audiences = nil }), "no audience"},
		{"audience is the issuer", base(func(i *oidc.Issuer) { i.Audiences = []string{"https://idp.example/"} }), "not ours"},
		{"audience is the API server", base(func(i *oidc.Issuer) { i.Audiences = []string{"https://kubernetes.default.svc"} }), "not ours"},
		{"none", base(func(i *oidc.Issuer) { i.Algorithms = []string{"none"} }), "algorithm"},
		{"HS256", base(func(i *oidc.Issuer) { i.Algorithms = []string{"HS256"} }), "algorithm"},
		{"longest session too short", base(func(i *oidc.Issuer) { i.MaxSession = 2 * time.Minute }), "not between 3m0s"},
		{"longest session too long", base(func(i *oidc.Issuer) { i.MaxSession = 366 * 24 * time.Hour }), "not between 3m0s"},
		{"longest session negative", base(func(i *oidc.Issuer) { i.MaxSession = -time.Hour }), "not between 3m0s"},
		{"shortest longest session", base(func(i *oidc.Issuer) { i.MaxSession = 3 * time.Minute }), ""},
		{"no mapping", base(func(i *oidc.Issuer) { i.Rules = nil }), "nothing maps"},
		{"claim without a list", base(func(i *oidc.Issuer) { i.PolicyClaim = "policy" }), "allowed policies"},
		{"rule without policy", base(func(i *oidc.Issuer) { i.Rules = []oidc.Rule{{}} }), "no policy"},
		{"open brace", base(func(i *oidc.Issuer) { i.Rules[0].Policies = []string{"a-{b"} }), "open brace"},
		{"GitHub, everybody", base(func(i *oidc.Issuer) { i.URL = github }), "signs for everybody"},
		{"GitHub, by name", base(rules("repository=acme/x -> p")), "signs for everybody"},
		{"GitHub, by subject", base(rules("sub=repo:acme/* -> p")), "signs for everybody"},
		{"GitHub, by any number", base(rules("repository_owner_id=* -> p")), "signs for everybody"},
		{"GitHub, one rule of two", base(rules("repository_owner_id=1 -> p; ref=refs/heads/main -> q")), "rule 2"},
		{"GitHub, an enterprise's URL", base(func(i *oidc.Issuer) { i.URL = github + "/acme" }), "signs for everybody"},
		{"GitHub, capitals", base(func(i *oidc.Issuer) { i.URL = "https://TOKEN.actions.githubusercontent.com" }), "signs for everybody"},
		{"GitHub, claim", base(func(i *oidc.Issuer) {
			rules("repository_owner_id=1 -> p")(i)
			i.PolicyClaim, i.AllowedPolicies = "policy", []string{"p"}
		}), "signs for everybody"},
		{"GitHub, by owner", base(rules("repository_owner_id=1|2 -> p")), ""},
		{"GitLab, by path", base(func(i *oidc.Issuer) {
			i.URL, i.Rules = "https://gitlab.com", []oidc.Rule{{Match: map[string][]string{"namespace_path": {"acme"}}, Policies: []string{"p"}}}
		}), "signs for everybody"},
		{"own GitLab", base(func(i *oidc.Issuer) { i.URL = "https://gitlab.acme.example" }), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := oidc.New(oidc.Config{Issuers: []oidc.Issuer{tt.issuer}})
			switch {
			case tt.want == "" && err != nil:
				t.Error(err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("got %v, want %q in it", err, tt.want)
			}
		})
	}
	twice := base(func(*oidc.Issuer) {})
	if _, err := oidc.New(oidc.Config{Issuers: []oidc.Issuer{twice, twice}}); err == nil {
		t.Error("one URL twice is accepted")
	}
}

func TestParseEnvironment(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	write(t, secret, "hush\n")
	got, warnings, err := oidc.ParseEnvironment(map[string]string{
		"MINIO_IDENTITY_OPENID_CONFIG_URL":              "https://idp.example/realms/r/.well-known/openid-configuration",
		"MINIO_IDENTITY_OPENID_CLIENT_ID":               "minio",
		"MINIO_IDENTITY_OPENID_CLIENT_SECRET_FILE":      secret,
		"MINIO_IDENTITY_OPENID_SCOPES":                  "openid,groups",
		"MINIO_IDENTITY_OPENID_CLAIM_PREFIX":            "acme/",
		"MINIO_IDENTITY_OPENID_COMMENT":                 "x",
		"MINIO_IDENTITY_OPENID_REDIRECT_URI_DYNAMIC":    "on",
		"MINIO_IDENTITY_OPENID_CONFIG_URL_GH_ACTIONS":   "https://token.actions.githubusercontent.com/.well-known/openid-configuration",
		"LARDER_IDENTITY_OPENID_AUDIENCE_GH_ACTIONS":    "larder",
		"LARDER_IDENTITY_OPENID_RULES_GH_ACTIONS":       "repository_owner_id=1, ref=refs/heads/main|refs/tags/* -> ci-write\nrepository_owner_id=1 -> ci-read;",
		"LARDER_IDENTITY_OPENID_MAX_SESSION_GH_ACTIONS": "6h",
		"MINIO_IDENTITY_OPENID_CONFIG_URL_OFF":          "https://off.example/.well-known/openid-configuration",
		"MINIO_IDENTITY_OPENID_ENABLE_OFF":              "off",
		"MINIO_IDENTITY_OPENID_CONFIG_URL_ROLE":         "https://role.example/.well-known/openid-configuration",
		"LARDER_IDENTITY_OPENID_CONFIG_URL_ROLE":        "https://wins.example/.well-known/openid-configuration",
		"MINIO_IDENTITY_OPENID_CLIENT_ID_ROLE":          "c",
		"MINIO_IDENTITY_OPENID_ROLE_POLICY_ROLE":        "a,b",
		"MINIO_IDENTITY_OPENID_NONSENSE":                "x",
		"MINIO_ROOT_USER":                               "x",
	})
	if err != nil {
		t.Fatal(err)
	}
	const wellKnown = "/.well-known/openid-configuration"
	want := []oidc.Issuer{
		{
			URL: "https://idp.example/realms/r", Discovery: "https://idp.example/realms/r" + wellKnown, Audiences: []string{"minio"},
			PolicyClaim: "acme/policy", AllowedPolicies: []string{"*", "!consoleAdmin"},
			Client: oidc.Client{ID: "minio", SecretFile: secret, Scopes: []string{"openid", "groups"}},
		},
		{
			Name: "GH_ACTIONS", URL: "https://token.actions.githubusercontent.com", Discovery: "https://token.actions.githubusercontent.com" + wellKnown,
			Audiences: []string{"larder"}, MaxSession: 6 * time.Hour,
			Rules: []oidc.Rule{
				{Match: map[string][]string{"repository_owner_id": {"1"}, "ref": {"refs/heads/main", "refs/tags/*"}}, Policies: []string{"ci-write"}},
				{Match: map[string][]string{"repository_owner_id": {"1"}}, Policies: []string{"ci-read"}},
			},
		},
		{
			Name: "ROLE", URL: "https://wins.example", Discovery: "https://wins.example" + wellKnown, Audiences: []string{"c"},
			Rules: []oidc.Rule{{Policies: []string{"a", "b"}}}, Client: oidc.Client{ID: "c"},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"MINIO_IDENTITY_OPENID_NONSENSE is not known"}, warnings); diff != "" {
		t.Error(diff)
	}
	v, err := oidc.New(oidc.Config{Issuers: got})
	if err != nil {
		t.Fatal(err)
	}
	client := v.Issuers()[0].Client
	for _, want := range []iam.Secret{"hush", "hush, changed"} { // the file is read whenever the secret is needed
		write(t, secret, want.Reveal()+"\n")
		if got, err := client.ReadSecret(); err != nil || got != want {
			t.Errorf("the client's secret: %v, %v", got.Reveal(), err)
		}
	}
	check := func(env map[string]string, what string) {
		t.Helper()
		if _, _, err := oidc.ParseEnvironment(env); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("got %v, want %q in it", err, what)
		}
	}
	check(map[string]string{"LARDER_IDENTITY_OPENID_CLIENT_SECRET_X": "a", "LARDER_IDENTITY_OPENID_CLIENT_SECRET_FILE_X": secret}, "exclude one another")
	check(map[string]string{"LARDER_IDENTITY_OPENID_CLIENT_SECRET_FILE_X": secret + ".none"}, secret+".none")
	for _, rule := range []string{"a=b", "a=b -> ", "a -> p", "a= -> p", "=b -> p", "a=b,a=c -> p", "a=b -> {", "a=b -> x}"} {
		if _, err := oidc.ParseRules(rule); err == nil {
			t.Errorf("rule %q is accepted", rule)
		}
	}
}

func TestPolicyClaim(t *testing.T) {
	i, c, s := newIssuer(t), newClock(), newSigner(t, "k1")
	i.publish(s)
	config := i.config()
	config.Rules, config.PolicyClaim, config.AllowedPolicies = nil, "policy", []string{"ci-*", "!ci-admin*", "readonly"}
	v := newVerifier(t, c, config)
	for _, tt := range []struct {
		claim any
		want  string
	}{
		{"ci-read", "ci-read"},
		{"ci-read, readonly", "ci-read readonly"},
		{[]string{"ci-read", "consoleAdmin", "ci-admin1"}, "ci-read"},
		{"consoleAdmin", ""},
		{"ci-*", "ci-*"}, // names no policy that exists; nothing expands it
		{nil, ""},
		{map[string]any{"a": "ci-read"}, ""},
	} {
		got, err := v.Verify(t.Context(), s.token(t, i.good(c, map[string]any{"policy": tt.claim})))
		names := make([]string, len(got.Policies))
		for n, p := range got.Policies {
			names[n] = string(p)
		}
		if joined := strings.Join(names, " "); joined != tt.want || (err != nil) != (tt.want == "") {
			t.Errorf("%v: got %q, %v", tt.claim, joined, err)
		}
	}
}
