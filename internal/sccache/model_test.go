package sccache_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-cache/larder/internal/sccache"
)

// The two releases that stand for the two generations.
var (
	v16 = sccache.Version{Minor: 16}
	v19 = sccache.Version{Minor: 19}
)

// environ returns an environment of pairs NAME=VALUE with an empty home.
func environ(t *testing.T, pairs ...string) sccache.Environ {
	t.Helper()
	return sccache.ParseEnviron(append([]string{"HOME=" + t.TempDir()}, pairs...))
}

func write(t *testing.T, path, content string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestParseVersion(t *testing.T) {
	for text, want := range map[string]string{
		"sccache 0.16.0": "0.16.0", "0.19.0": "0.19.0", "sccache v0.10.1-alpha.0": "0.10.1", "sccache 1.0.0\n": "1.0.0",
	} {
		if got, err := sccache.ParseVersion(text); err != nil || got.String() != want {
			t.Errorf("%q is %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "sccache", "0.16", "a.b.c", "0.-1.0"} {
		if got, err := sccache.ParseVersion(text); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
}

func TestUnread(t *testing.T) {
	env := environ(t, "SCCACHE_SKIP_CACHE_CHECK=1", "SCCACHE_S3_RW_MODE=READ_ONLY")
	if diff := cmp.Diff(map[string]int{"SCCACHE_SKIP_CACHE_CHECK": 18}, v16.Unread(env)); diff != "" {
		t.Error(diff)
	}
	if got := v19.Unread(env); len(got) != 0 {
		t.Error(got)
	}
}

func TestAddress(t *testing.T) {
	for name, tt := range map[string]struct {
		env     []string
		version sccache.Version
		want    string
		deleted bool
	}{
		"no scheme is http":         {[]string{"SCCACHE_ENDPOINT=h:9000"}, v16, "http://h:9000/cache", false},
		"ssl gives the scheme":      {[]string{"SCCACHE_ENDPOINT=h:9000", "SCCACHE_S3_USE_SSL=on"}, v16, "https://h:9000/cache", false},
		"ssl overrides http":        {[]string{"SCCACHE_ENDPOINT=http://h:9000", "SCCACHE_S3_USE_SSL=TRUE"}, v19, "https://h:9000/cache", false},
		"no ssl overrides https":    {[]string{"SCCACHE_ENDPOINT=https://h:9000", "SCCACHE_S3_USE_SSL=0"}, v19, "http://h:9000/cache", false},
		"port 80 goes":              {[]string{"SCCACHE_ENDPOINT=http://h:80/"}, v16, "http://h/cache", false},
		"port 443 goes":             {[]string{"SCCACHE_ENDPOINT=https://h:443"}, v16, "https://h/cache", false},
		"port 443 of http stays":    {[]string{"SCCACHE_ENDPOINT=http://h:443"}, v16, "http://h:443/cache", false},
		"path of the endpoint":      {[]string{"SCCACHE_ENDPOINT=http://h/s3/"}, v16, "http://h/s3/cache", false},
		"capitals":                  {[]string{"SCCACHE_ENDPOINT=http://Cache.Example:9000/S3"}, v16, "http://cache.example:9000/S3/cache", false},
		"IPv6":                      {[]string{"SCCACHE_ENDPOINT=http://[::1]:9000"}, v16, "http://[::1]:9000/cache", false},
		"virtual host":              {[]string{"SCCACHE_ENDPOINT=h:9000", "SCCACHE_S3_ENABLE_VIRTUAL_HOST_STYLE=true"}, v16, "http://cache.h:9000", false},
		"first label goes":          {[]string{"SCCACHE_ENDPOINT=http://cache.corp:9000"}, v16, "http://corp:9000/cache", true},
		"told twice":                {[]string{"SCCACHE_ENDPOINT=http://cache.cache.corp:9000"}, v19, "http://cache.corp:9000/cache", true},
		"first label, virtual host": {[]string{"SCCACHE_ENDPOINT=http://cache.corp", "SCCACHE_S3_ENABLE_VIRTUAL_HOST_STYLE=1"}, v19, "http://cache.corp", true},
		"AWS":                       {nil, v16, "https://s3.eu-1.amazonaws.com/cache", false},
		"AWS_ENDPOINT_URL":          {[]string{"AWS_ENDPOINT_URL=http://h:1/"}, v16, "http://h:1/cache", false},
		"AWS_ENDPOINT_URL, bare":    {[]string{"AWS_ENDPOINT_URL=h:1", "SCCACHE_S3_USE_SSL=false"}, v19, "https://h:1/cache", false},
		"AWS_ENDPOINT, old":         {[]string{"AWS_ENDPOINT=http://h:1"}, v16, "https://s3.eu-1.amazonaws.com/cache", false},
		"AWS_ENDPOINT, new":         {[]string{"AWS_ENDPOINT=http://h:1"}, v19, "http://h:1/cache", false},
	} {
		env := environ(t, append(tt.env, "SCCACHE_BUCKET=cache", "SCCACHE_REGION=eu-1")...)
		s, err := sccache.ReadSettings(env, tt.version, "linux")
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		a, err := s.Address()
		if err != nil || a.Base.String() != tt.want || a.Deleted != tt.deleted {
			t.Errorf("%s: %v (deleted %v), %v; want %s", name, a.Base, a.Deleted, err, tt.want)
		}
	}
}

func TestAddressRefuses(t *testing.T) {
	for _, endpoint := range []string{"h:9000/path", "ftp://h", "http://", "://", "http://a b"} {
		s := sccache.Settings{Bucket: "cache", Endpoint: endpoint, EndpointFrom: "SCCACHE_ENDPOINT", Region: "r"}
		if a, err := s.Address(); err == nil {
			t.Errorf("%q makes %v", endpoint, a.Base)
		}
	}
}

func TestAddressObject(t *testing.T) {
	s := sccache.Settings{Bucket: "cache", Endpoint: "http://h", EndpointFrom: "SCCACHE_ENDPOINT", Region: "r"}
	a, err := s.Address()
	if err != nil {
		t.Fatal(err)
	}
	for prefix, want := range map[string]string{
		"": "http://h/cache/.sccache_check", "a/b": "http://h/cache/a/b/.sccache_check", "/a//b/": "http://h/cache/a/b/.sccache_check",
	} {
		if got := a.Object(prefix, ".sccache_check"); got != want {
			t.Errorf("prefix %q: %s, want %s", prefix, got, want)
		}
	}
}

func TestReadSettings(t *testing.T) {
	const file = "[cache.s3]\nbucket = 'filed'\nendpoint = 'http://f'\nregion = 'r'\nno_credentials = false\nkey_prefix = 'p'\n"
	for name, tt := range map[string]struct {
		env     []string
		file    string
		version sccache.Version
		bucket  string // "" if S3 is not used
		err     string
	}{
		"environment":            {[]string{"SCCACHE_BUCKET=b", "SCCACHE_REGION=r"}, "", v16, "b", ""},
		"environment over file":  {[]string{"SCCACHE_BUCKET=b", "SCCACHE_REGION=r"}, file, v16, "b", ""},
		"file":                   {nil, file, v16, "filed", ""},
		"nothing":                {nil, "", v16, "", ""},
		"no bucket variable":     {[]string{"SCCACHE_ENDPOINT=h", "SCCACHE_REGION=r"}, "", v16, "", ""},
		"empty bucket variable":  {[]string{"SCCACHE_BUCKET="}, "", v16, "", ""},
		"no region":              {[]string{"SCCACHE_BUCKET=b"}, "", v16, "b", "no region"},
		"AWS_REGION":             {[]string{"SCCACHE_BUCKET=b", "AWS_REGION=r"}, "", v16, "b", ""},
		"AWS_DEFAULT_REGION":     {[]string{"SCCACHE_BUCKET=b", "AWS_DEFAULT_REGION=r"}, "", v19, "b", ""},
		"AWS_DEFAULT_REGION old": {[]string{"SCCACHE_BUCKET=b", "AWS_DEFAULT_REGION=r"}, "", v16, "b", "no region"},
		"bad switch":             {[]string{"SCCACHE_BUCKET=b", "SCCACHE_REGION=r", "SCCACHE_S3_USE_SSL=yes"}, "", v16, "b", "SCCACHE_S3_USE_SSL must be"},
		"bad skip":               {[]string{"SCCACHE_SKIP_CACHE_CHECK=yes"}, "", v19, "", "SCCACHE_SKIP_CACHE_CHECK must be"},
		"bad skip, old":          {[]string{"SCCACHE_SKIP_CACHE_CHECK=yes"}, "", v16, "", ""},
		"anonymous with a key":   {[]string{"SCCACHE_BUCKET=b", "SCCACHE_S3_NO_CREDENTIALS=1", "AWS_ACCESS_KEY_ID=a"}, "", v16, "b", "together with"},
		"chain without s3":       {[]string{"SCCACHE_BUCKET=b", "SCCACHE_REGION=r", "SCCACHE_MULTILEVEL_CHAIN=disk,redis", "SCCACHE_DIR=/d"}, "", v16, "", ""},
		"chain with s3":          {[]string{"SCCACHE_BUCKET=b", "SCCACHE_REGION=r", "SCCACHE_MULTILEVEL_CHAIN=disk, S3", "SCCACHE_DIR=/d"}, "", v16, "b", ""},
		"chain, disk not set":    {[]string{"SCCACHE_BUCKET=b", "SCCACHE_REGION=r", "SCCACHE_MULTILEVEL_CHAIN=disk,s3"}, "", v16, "b", "SCCACHE_DIR is not set"},
		"chain, disk in file":    {[]string{"SCCACHE_BUCKET=b", "SCCACHE_REGION=r", "SCCACHE_MULTILEVEL_CHAIN=disk,s3"}, "[cache.disk]\ndir='/d'\n", v16, "b", ""},
		"chain, s3 not set":      {[]string{"SCCACHE_MULTILEVEL_CHAIN=s3"}, "", v16, "", "SCCACHE_BUCKET is not set"},
		"file, syntax":           {nil, "[cache.s3\n", v16, "", "line 2"},
		"file, unknown key":      {nil, file + "colour = 'red'\n", v16, "", `"colour"`},
		"file, key too new":      {nil, file + "server_side_encryption_aws_kms = true\n", v16, "", "0.16.0 does not know"},
		"file, needs a key":      {nil, "[cache.s3]\nbucket = 'b'\nregion = 'r'\n", v16, "", "no_credentials"},
		"file, wrong type":       {nil, "[cache.s3]\nbucket = 1\n", v16, "", "configuration file"},
	} {
		env := environ(t, tt.env...)
		if tt.file != "" {
			write(t, filepath.Join(env["HOME"], ".config", "sccache", "config"), tt.file)
		}
		s, err := sccache.ReadSettings(env, tt.version, "linux")
		if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
			t.Errorf("%s: error %v, want %q", name, err, tt.err)
			continue
		}
		if uses := s.UsesS3(); uses != (tt.bucket != "") || uses && s.Bucket != tt.bucket {
			t.Errorf("%s: uses S3 %v, bucket %q, want %q", name, uses, s.Bucket, tt.bucket)
		}
	}
}

func TestConfigFilePlaces(t *testing.T) {
	for name, tt := range map[string]struct {
		goos string
		env  sccache.Environ
		want string
	}{
		"linux":         {"linux", sccache.Environ{"HOME": "/h"}, "/h/.config/sccache/config"},
		"xdg":           {"linux", sccache.Environ{"HOME": "/h", "XDG_CONFIG_HOME": "/x"}, "/x/sccache/config"},
		"xdg, relative": {"linux", sccache.Environ{"HOME": "/h", "XDG_CONFIG_HOME": "x"}, "/h/.config/sccache/config"},
		"macOS":         {"darwin", sccache.Environ{"HOME": "/h"}, "/h/Library/Application Support/Mozilla.sccache/config"},
		"windows":       {"windows", sccache.Environ{"APPDATA": "/a"}, "/a/Mozilla/sccache/config/config"},
		"told":          {"windows", sccache.Environ{"SCCACHE_CONF": "/c.toml"}, "/c.toml"},
	} {
		if s, _ := sccache.ReadSettings(tt.env, v16, tt.goos); s.File != tt.want {
			t.Errorf("%s: %s, want %s", name, s.File, tt.want)
		}
	}
}

func TestCredentials(t *testing.T) {
	const (
		shared = "[default]\naws_access_key_id = FILE\naws_secret_access_key = s\n[other]\naws_access_key_id=OTHER\naws_secret_access_key=s\n"
		stale  = "[default]\naws_access_key_id = FILE\naws_secret_access_key = s\naws_session_token = stale\n"
	)
	keys := []string{"AWS_ACCESS_KEY_ID=ENV", "AWS_SECRET_ACCESS_KEY=s"}
	container := []string{"AWS_CONTAINER_CREDENTIALS_FULL_URI=http://x/", "AWS_EC2_METADATA_DISABLED=true"}
	for name, tt := range map[string]struct {
		env      []string
		shared   string
		settings sccache.Settings
		version  sccache.Version
		source   sccache.CredentialSource
		key      string
		token    string
	}{
		"environment":              {keys, "", sccache.Settings{}, v16, sccache.FromEnviron, "ENV", ""},
		"environment over profile": {keys, shared, sccache.Settings{}, v19, sccache.FromEnviron, "ENV", ""},
		"profile":                  {nil, shared, sccache.Settings{}, v16, sccache.FromProfile, "FILE", ""},
		"other profile":            {[]string{"AWS_PROFILE=other"}, shared, sccache.Settings{}, v19, sccache.FromProfile, "OTHER", ""},
		"stale token of a file":    {keys, stale, sccache.Settings{}, v16, sccache.FromMixture, "ENV", "stale"},
		"stale token, new":         {keys, stale, sccache.Settings{}, v19, sccache.FromEnviron, "ENV", ""},
		"half a key":               {keys[:1], shared, sccache.Settings{}, v16, sccache.FromMixture, "ENV", ""},
		"half a key, new":          {keys[:1], shared, sccache.Settings{}, v19, sccache.FromProfile, "FILE", ""},
		"container":                {container, "", sccache.Settings{}, v19, sccache.FromEndpoint, "", ""},
		"container, old":           {container, "", sccache.Settings{}, v16, sccache.NoSource, "", ""},
		"container after keys":     {append(container, keys...), "", sccache.Settings{}, v19, sccache.FromEnviron, "ENV", ""},
		"web identity":             {[]string{"AWS_WEB_IDENTITY_TOKEN_FILE=/t", "AWS_ROLE_ARN=r"}, "", sccache.Settings{}, v16, sccache.WebIdentity, "", ""},
		"metadata":                 {nil, "", sccache.Settings{}, v16, sccache.FromMetadata, "", ""},
		"none":                     {[]string{"AWS_EC2_METADATA_DISABLED=true"}, "", sccache.Settings{}, v19, sccache.NoSource, "", ""},
		"anonymous":                {nil, shared, sccache.Settings{NoCredentials: true}, v16, sccache.Unsigned, "", ""},
	} {
		env := environ(t, tt.env...)
		if tt.shared != "" {
			write(t, filepath.Join(env["HOME"], ".aws", "credentials"), tt.shared)
		}
		c := tt.settings.Credentials(env, tt.version)
		if c.Source != tt.source || c.AccessKey != tt.key || c.Token.Reveal() != tt.token {
			t.Errorf("%s: %q key %q token %q, want %q %q %q", name, c.Source, c.AccessKey, c.Token.Reveal(), tt.source, tt.key, tt.token)
		}
	}
}

func TestTrust(t *testing.T) {
	root := t.TempDir()
	system := write(t, filepath.Join(root, "etc/ssl/certs/ca-certificates.crt"), "")
	mine := write(t, filepath.Join(root, "mine.crt"), "")
	dir := filepath.Dir(system)
	for name, tt := range map[string]struct {
		env     []string
		version sccache.Version
		want    sccache.TrustStore
	}{
		"default":      {nil, v16, sccache.TrustStore{File: system, Dir: dir}},
		"default, new": {nil, v19, sccache.TrustStore{File: system, Dir: dir, Mozilla: true}},
		"file":         {[]string{"SSL_CERT_FILE=" + mine}, v16, sccache.TrustStore{File: mine, Dir: dir}},
		"file, new":    {[]string{"SSL_CERT_FILE=" + mine}, v19, sccache.TrustStore{File: mine, Mozilla: true}},
		"missing":      {[]string{"SSL_CERT_FILE=/none"}, v16, sccache.TrustStore{File: system, Dir: dir, Missing: "/none"}},
		"missing, new": {[]string{"SSL_CERT_FILE=/none"}, v19, sccache.TrustStore{Missing: "/none", Mozilla: true}},
	} {
		got := sccache.Trust(environ(t, tt.env...), tt.version, "linux", root)
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if got := sccache.Trust(environ(t), v16, "darwin", root); !got.System {
		t.Errorf("darwin: %+v", got)
	}
}

func TestProgramRules(t *testing.T) {
	for name, tt := range map[string]struct {
		program sccache.Program
		goos    string
		want    sccache.Rules
	}{
		"glibc":       {sccache.Program{Version: v16, Libc: sccache.LibcGlibc}, "linux", sccache.Glibc},
		"static":      {sccache.Program{Version: v16, Libc: sccache.LibcStatic}, "linux", sccache.Musl},
		"new":         {sccache.Program{Version: v19, Libc: sccache.LibcGlibc}, "linux", sccache.Own},
		"new, static": {sccache.Program{Version: v19, Libc: sccache.LibcStatic}, "linux", sccache.Own},
		"macOS":       {sccache.Program{Version: v16}, "darwin", sccache.System},
	} {
		if got := tt.program.Rules(tt.goos); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}
