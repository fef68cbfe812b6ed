package oidc_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/larder-cache/larder/internal/protocol/oidc"
)

// TestDocumentation configures what docs/ci.md tells people to configure.
func TestDocumentation(t *testing.T) {
	page, err := os.ReadFile("../../../docs/ci.md")
	if err != nil {
		t.Fatal(err)
	}
	assignment := regexp.MustCompile(`(?m)^(LARDER_IDENTITY_OPENID_\w+)=('[^']*'|\S*)$`)
	env := make(map[string]string)
	for _, m := range assignment.FindAllStringSubmatch(string(page), -1) {
		env[m[1]] = strings.Trim(m[2], "'")
	}
	issuers, warnings, err := oidc.ParseEnvironment(env)
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	if len(issuers) != 3 {
		t.Fatalf("%d issuers, want GitHub, GitLab and Kubernetes", len(issuers))
	}
	for _, issuer := range issuers {
		if len(issuer.Rules) != 2 {
			t.Errorf("%s has %d rules", issuer.Name, len(issuer.Rules))
		}
	}
	if _, err := oidc.New(oidc.Config{Issuers: issuers}); err != nil {
		t.Error(err)
	}
	field := regexp.MustCompile("`(?:LARDER_IDENTITY_OPENID|MINIO_IDENTITY_OPENID|…)_([A-Z_]+)_X`")
	for _, m := range field.FindAllStringSubmatch(string(page), -1) {
		_, warnings, _ := oidc.ParseEnvironment(map[string]string{"LARDER_IDENTITY_OPENID_" + m[1]: "x"})
		if len(warnings) > 0 {
			t.Errorf("%s is documented and not known", m[1])
		}
	}
}
