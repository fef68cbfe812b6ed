package doctor_test

import (
	"maps"
	"strings"
	"testing"

	"github.com/larder-cache/larder/test/e2e/harness"
)

// TestServer examines clients of a real server, set up by what larder env prints:
// sound ones in each style and transport, and ones with one value changed.
func TestServer(t *testing.T) {
	for _, secure := range []bool{false, true} {
		name, options := "http", harness.Options{Args: []string{"--domain", "cache.test"}}
		if secure {
			name, options.CA, options.Names = "https", harness.NewAuthority(t), []string{"cache.test", "*.cache.test"}
		}
		t.Run(name, func(t *testing.T) {
			server := harness.NewServer(t, options)
			for _, version := range versions() {
				p := newPatient(t, version, "cache.test", "sccache.cache.test", "absent.cache.test", "sccache.other.test", "other.test")
				for _, style := range []string{"path", "virtual-host"} {
					t.Run(version+"/"+style, func(t *testing.T) { p.in(t).client(server, style) })
				}
			}
		})
	}
}

// client examines a client of server, in good health and with one value changed.
func (p *patient) client(server *harness.Server, style string) {
	sound := server.SccacheEnv("cache.test", style)
	delete(sound, "SCCACHE_SKIP_CACHE_CHECK") // it would start whatever is wrong
	delete(sound, "RUSTC_WRAPPER")
	sound["AWS_EC2_METADATA_DISABLED"] = "true"
	scheme := "http"
	if server.CA != nil {
		sound["SSL_CERT_FILE"] = p.File(p.t, "ca.crt", server.CA.PEM)
		scheme = "https"
	}
	for _, tt := range []struct {
		name, variable, value string
		check, cause          string // "" for a sound one
	}{
		{"sound", "", "", "", ""},
		{"key prefix", "SCCACHE_S3_KEY_PREFIX", "/team/a/", "", ""},
		{"wrong key", "AWS_ACCESS_KEY_ID", "unknown", "credentials", "does not know that access key"},
		{"wrong secret", "AWS_SECRET_ACCESS_KEY", "0123456789abcdef", "credentials", "the secret is wrong"},
		{"a session of another server", "AWS_SESSION_TOKEN", "c2Vzc2lvbg==", "credentials", "AWS_SESSION_TOKEN"},
		{"bucket absent", "SCCACHE_BUCKET", "absent", "read check", `there is no bucket "absent"`},
		{"other scheme", "SCCACHE_S3_USE_SSL", map[bool]string{true: "false", false: "true"}[server.CA != nil], "tls", "the port speaks"},
		{"wrong port", "SCCACHE_ENDPOINT", scheme + "://cache.test:1", "tcp", "nothing listens"},
		{"other domain", "SCCACHE_ENDPOINT", scheme + "://other.test:" + server.Port(), "style", "does not know the domain"},
	} {
		env := maps.Clone(sound)
		env[tt.variable] = tt.value
		delete(env, "")
		check, cause := tt.check, tt.cause
		switch {
		case tt.name == "other domain" && style == "path" && server.CA == nil:
			check = "" // any name will do
		case tt.name == "other domain" && server.CA != nil:
			check, cause = "tls", "other.test"
		}
		p.newDaemon(env)
		r, well := p.examine(env)
		found, text := r.firstBad()
		if well != (check == "") || found != check || check != "" && !strings.Contains(text, cause) {
			p.t.Errorf("%s: the doctor says of %q: %s; want %q", tt.name, found, text, check)
		}
		if started, output := p.starts(env); started != (check == "") {
			p.t.Errorf("%s: the daemon starts: %v: %s", tt.name, started, output)
		}
	}
}
