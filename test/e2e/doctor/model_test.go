package doctor_test

import (
	"maps"
	"strings"
	"testing"

	"github.com/larder-cache/larder/test/e2e/harness"
)

// situation is an environment whose outcome the doctor foretells.
type situation struct {
	name  string
	env   map[string]string // PORT stands for the recorder's
	files map[string]string // below the machine's home
}

func situations() []situation {
	const (
		config   = ".config/sccache/config"
		profile  = ".aws/credentials"
		settings = "[cache.s3]\nbucket = 'filed'\nendpoint = 'http://cache.test:PORT'\nregion = 'r'\nno_credentials = false\n"
		keys     = "[default]\naws_access_key_id = FILED\naws_secret_access_key = s\n"
	)
	at := func(endpoint string, more ...string) map[string]string {
		env := map[string]string{"SCCACHE_ENDPOINT": endpoint}
		for i := 0; i < len(more); i += 2 {
			env[more[i]] = more[i+1]
		}
		return env
	}
	return []situation{
		{"host and port", at("cache.test:PORT"), nil},
		{"URL", at("http://cache.test:PORT/"), nil},
		{"path in the endpoint", at("http://cache.test:PORT/s3"), nil},
		{"path without a scheme", at("cache.test:PORT/s3"), nil},
		{"no ssl overrides https", at("https://cache.test:PORT", "SCCACHE_S3_USE_SSL", "off"), nil},
		{"key prefix", at("cache.test:PORT", "SCCACHE_S3_KEY_PREFIX", "/team//a/"), nil},
		{"virtual host", at("cache.test:PORT", "SCCACHE_S3_ENABLE_VIRTUAL_HOST_STYLE", "true"), nil},
		{"bucket is the first label", at("http://sccache.cache.test:PORT"), nil},
		{"told twice", at("http://sccache.sccache.cache.test:PORT"), nil},
		{"first label, virtual host", at("http://sccache.cache.test:PORT", "SCCACHE_S3_ENABLE_VIRTUAL_HOST_STYLE", "1"), nil},
		{"AWS_ENDPOINT_URL", at("", "AWS_ENDPOINT_URL", "http://cache.test:PORT/"), nil},
		{"name in DNS", at("cache.dns.test:PORT"), nil},
		{"name with a final dot", at("http://cache.dns.test.:PORT"), nil},
		{"short name of the search list", at("short:PORT"), nil},
		{"name with a dot of the search list", at("a.b:PORT"), nil},
		{"name that nobody knows", at("cache.nowhere.invalid:PORT", "LOCALDOMAIN", "invalid"), nil},
		{"virtual host in DNS", at("cache.dns.test:PORT", "SCCACHE_S3_ENABLE_VIRTUAL_HOST_STYLE", "on"), nil},
		{"name in capitals", at("http://Cache.DNS.test:PORT"), nil},
		{"bad switch", at("cache.test:PORT", "SCCACHE_S3_USE_SSL", "yes"), nil},
		{"bad skip", at("cache.test:PORT", "SCCACHE_SKIP_CACHE_CHECK", "yes"), nil},
		{"no region", at("cache.test:PORT", "SCCACHE_REGION", ""), nil},
		{"AWS_DEFAULT_REGION", at("cache.test:PORT", "SCCACHE_REGION", "", "AWS_DEFAULT_REGION", "r"), nil},
		{"AWS_REGION", at("cache.test:PORT", "SCCACHE_REGION", "", "AWS_REGION", "r"), nil},
		{"region of a profile", at("cache.test:PORT", "SCCACHE_REGION", ""), map[string]string{".aws/config": "[default]\nregion = r\n"}},
		{"no bucket", at("cache.test:PORT", "SCCACHE_BUCKET", ""), nil},
		{"configuration file", map[string]string{"SCCACHE_BUCKET": ""}, map[string]string{config: settings}},
		{"environment over file", at("cache.test:PORT"), map[string]string{config: settings}},
		{"unknown key in file", at("cache.test:PORT"), map[string]string{config: settings + "colour = 'red'\n"}},
		{"newer key in file", map[string]string{"SCCACHE_BUCKET": ""}, map[string]string{config: settings + "server_side_encryption_aws_kms = false\n"}},
		{"file without no_credentials", map[string]string{"SCCACHE_BUCKET": ""}, map[string]string{config: strings.Replace(settings, "no_credentials = false\n", "", 1)}},
		{"broken file", at("cache.test:PORT"), map[string]string{config: "[cache.s3\n"}},
		{"anonymous with a key", at("cache.test:PORT", "SCCACHE_S3_NO_CREDENTIALS", "true"), nil},
		{"profile", at("cache.test:PORT", "AWS_ACCESS_KEY_ID", "-", "AWS_SECRET_ACCESS_KEY", "-"), map[string]string{profile: keys}},
		{"half a key", at("cache.test:PORT", "AWS_SECRET_ACCESS_KEY", "-"), map[string]string{profile: keys}},
		{"stale token of a profile", at("cache.test:PORT"), map[string]string{profile: keys + "aws_session_token = stale\n"}},
		{"token", at("cache.test:PORT", "AWS_SESSION_TOKEN", "fresh"), nil},
		{"read-only", at("cache.test:PORT", "SCCACHE_S3_RW_MODE", "READ_ONLY"), nil},
		{"chain without s3", at("cache.test:PORT", "SCCACHE_MULTILEVEL_CHAIN", "disk"), nil},
		{"chain", at("cache.test:PORT", "SCCACHE_MULTILEVEL_CHAIN", "disk,s3"), nil},
		{"chain without a folder", at("cache.test:PORT", "SCCACHE_MULTILEVEL_CHAIN", "disk,s3", "SCCACHE_DIR", "-"), nil},
		{"proxy", at("cache.test:PORT", "http_proxy", "http://127.0.0.1:1"), nil},
		{"proxy, spared", at("cache.test:PORT", "http_proxy", "http://127.0.0.1:1", "NO_PROXY", "test"), nil},
		{"localhost is not spared a proxy", at("localhost:1", "HTTP_PROXY", "http://"+harness.ServerAddr+":PORT"), nil},
		{"bucket in the host, on localhost", at("localhost:1", "SCCACHE_S3_ENABLE_VIRTUAL_HOST_STYLE", "true"), nil},
	}
}

// TestModel starts the daemon of each release in situations that the doctor
// foretells: whether it starts, which URL it asks first, and with which key.
func TestModel(t *testing.T) {
	for _, version := range versions() {
		t.Run(version, func(t *testing.T) {
			t.Parallel() // most of the time goes into daemons that end
			p := newPatient(t, version, "cache.test", "sccache.cache.test")
			server := newRecorder(t)
			for _, s := range situations() {
				t.Run(s.name, func(t *testing.T) {
					p.in(t).compare(server, s)
				})
			}
		})
	}
}

func (p *patient) compare(server *recorder, s situation) {
	t := p.t
	env := map[string]string{
		"SCCACHE_DIR": harness.Home + "/disk", "SCCACHE_BUCKET": "sccache", "SCCACHE_REGION": "auto", "AWS_ACCESS_KEY_ID": "ENV", "AWS_SECRET_ACCESS_KEY": "env-secret",
		"AWS_EC2_METADATA_DISABLED": "true", "SCCACHE_IDLE_TIMEOUT": "0",
	}
	maps.Copy(env, s.env)
	p.newDaemon(env)
	for name, value := range env {
		env[name] = strings.ReplaceAll(value, "PORT", server.port)
		if value == "-" {
			delete(env, name)
		}
	}
	for name, content := range s.files {
		p.File(t, name, []byte(strings.ReplaceAll(content, "PORT", server.port)))
		defer p.Remove(t, name)
	}
	told, _ := p.examine(env)
	server.take() // the doctor's own
	started, output := p.starts(env)
	url, key := server.take()

	check, why := told.firstBad()
	_, credentials, _ := told.find("credentials")
	_, address, _ := told.find("address")
	blind := strings.Contains(address, "through the proxy")
	if !told.local() && !blind && started != (check == "") {
		t.Errorf("the daemon starts: %v; the doctor says of %q: %s\n%s", started, check, why, output)
	}
	if url != "" && !strings.HasPrefix(url, told.Address+"/") {
		t.Errorf("sccache asks %s, the doctor says %s", url, told.Address)
	}
	if started && url == "" && told.Address != "" && check == "" {
		t.Errorf("sccache asks nothing, the doctor says %s", told.Address)
	}
	if status, _, _ := told.find("credentials"); status == "not checked" {
		return
	}
	bare, token, _ := strings.Cut(key, "+")
	if key != "" && !strings.Contains(credentials, bare) {
		t.Errorf("sccache signs with %s, the doctor says %s", key, credentials)
	}
	if token == "stale" && !strings.Contains(credentials, "several sources") {
		t.Errorf("sccache sends a token of a profile, the doctor says %s", credentials)
	}
	if t.Failed() {
		t.Logf("url %q key %q started %v\n%s", url, key, started, output)
	}
}
