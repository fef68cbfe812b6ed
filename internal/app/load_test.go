package app_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-cache/larder/internal/app"
)

func TestPrecedence(t *testing.T) {
	file := filepath.Join(t.TempDir(), "larder.toml")
	write(t, file, "address = \":1\"\ndomain = [\"a.example\", \"b.example\"]\nhttp2 = true\nmemory = 33554432\n")
	minioFile := filepath.Join(t.TempDir(), "config.env")
	write(t, minioFile, "# comment\n\nexport MINIO_ROOT_USER=\"minio\"\nexport MINIO_ROOT_PASSWORD='minio123'\nMINIO_ADDRESS=:4\n")
	tests := []struct {
		name string
		src  app.Sources
		want string
	}{
		{"default", app.Sources{}, ":9000"},
		{"file", app.Sources{File: file}, ":1"},
		{"MinIO's variable over file", app.Sources{File: file, Environ: []string{"MINIO_ADDRESS=:2"}}, ":2"},
		{"own variable over MinIO's", app.Sources{File: file, Environ: []string{"MINIO_ADDRESS=:2", "LARDER_ADDRESS=:3"}}, ":3"},
		{"MinIO's file over MinIO's variable", app.Sources{Environ: []string{"MINIO_ADDRESS=:2", "MINIO_CONFIG_ENV_FILE=" + minioFile}}, ":4"},
		{"flag over all", app.Sources{Flags: map[string]string{"address": ":5"}, File: file, Environ: []string{"LARDER_ADDRESS=:3"}}, ":5"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.src.Environ = append(tt.src.Environ, "LARDER_DIR=/data")
			cfg, warnings, err := app.Load(tt.src)
			if err != nil || len(warnings) > 0 {
				t.Fatal(err, warnings)
			}
			if cfg.Address != tt.want {
				t.Errorf("address %s, want %s", cfg.Address, tt.want)
			}
		})
	}
}

func TestAMinIOEnvironmentIsTaken(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "password")
	write(t, secret, "minio123\n")
	user := filepath.Join(t.TempDir(), "user")
	write(t, user, "minio\n")
	src := app.Sources{MinIO: true, Environ: []string{
		"MINIO_ROOT_USER_FILE=" + user, "MINIO_ROOT_PASSWORD_FILE=" + secret, "MINIO_DOMAIN=minio.example:9000,other.example",
		"MINIO_SERVER_URL=https://minio.example/", "MINIO_REGION=eu", "MINIO_VOLUMES=/data", "MINIO_BROWSER=on", "MINIO_PROMETHEUS_AUTH_TYPE=public", "MINIO_FANCY=1", "MINIO_REGION_FILE=/region", "PATH=/bin", "HOME=/home/minio-user",
	}}
	cfg, warnings, err := app.Load(src)
	if err != nil {
		t.Fatal(err)
	}
	want := app.Config{
		Dir: "/data", Address: ":9000", ConsoleAddress: ":9090", RootUser: "minio", RootPassword: "minio123", Sources: src, URL: "https://minio.example",
		Domains: []string{"minio.example", "other.example"}, Region: "eu", CertsDir: "/home/minio-user/.minio/certs", Audience: "larder", Memory: 512 << 20, DrainTimeout: 20 * time.Second, AccessLog: true, PublicMetrics: true, MinIO: true,
	}
	if diff := cmp.Diff(want, cfg); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"MINIO_BROWSER has no effect: the console is always there", "MINIO_FANCY is not known and has no effect", "MINIO_REGION_FILE is not known and has no effect"}, warnings); diff != "" {
		t.Error(diff)
	}
}

func TestWhatIsSetAndDoesNotHelpIsNamed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "larder.toml")
	write(t, file, "root-password = \"minioadmin\"\n")
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	_, warnings, err := app.Load(app.Sources{File: file, Environ: []string{"LARDER_DIR=d", "LARDER_ROOT_USER=root", "LARDER_FANCY=:1", "MINIO_DOMAIN_FILE=d"}})
	want := []string{
		file + " holds the root user's secret and others may read it: chmod 600 it, or name a file in LARDER_ROOT_PASSWORD_FILE",
		"LARDER_FANCY is not known and has no effect", "MINIO_DOMAIN_FILE is not known and has no effect",
		"the root user's secret is the one that everybody knows from MinIO: choose another",
	}
	if diff := cmp.Diff(want, warnings); err != nil || diff != "" {
		t.Error(err, diff)
	}
}

func TestDirectoriesMinIOsWay(t *testing.T) {
	for volumes, want := range map[string]string{"/data": "/data", "/data{1...4}": "/data1", "/export{0...3}/x": "/export0/x", "/a /b": "/a"} {
		cfg, warnings, err := app.Load(app.Sources{Environ: []string{"MINIO_VOLUMES=" + volumes}})
		if err != nil {
			t.Fatal(err)
		}
		if cfg.Dir != want {
			t.Errorf("%s: using %s, want %s", volumes, cfg.Dir, want)
		}
		if several := volumes != "/data"; several != (len(warnings) == 1) {
			t.Errorf("%s: warnings %q", volumes, warnings)
		}
	}
}

func TestMistakesAreNamed(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.toml")
	write(t, bad, "listen-on = \":1\"\n")
	yaml := filepath.Join(t.TempDir(), "larder.yaml")
	write(t, yaml, "address: \":1\"\n")
	table := filepath.Join(t.TempDir(), "table.toml")
	write(t, table, "[server]\naddress = \":1\"\n")
	badEnv := filepath.Join(t.TempDir(), "config.env")
	write(t, badEnv, "export MINIO_ROOT_USER=\"minio\nnonsense\n")
	tests := []struct {
		name string
		src  app.Sources
		want string
	}{
		{"no directory", app.Sources{}, "larder serve ./data"},
		{"address", app.Sources{Flags: map[string]string{"address": "9000"}}, "--address: \"9000\" is not host:port"},
		{"no port", app.Sources{Flags: map[string]string{"address": "localhost:http"}}, "--address: \"localhost:http\" is not host:port"},
		{"unknown key", app.Sources{File: bad}, "unknown key \"listen-on\": keys are named as the flags"},
		{"YAML", app.Sources{File: yaml}, "the file is TOML, with lines like address ="},
		{"table", app.Sources{File: table}, "[server] is not known"},
		{"absent file", app.Sources{File: "absent.toml"}, "absent.toml"},
		{"quote", app.Sources{Environ: []string{"MINIO_CONFIG_ENV_FILE=" + badEnv}}, "config.env:1: MINIO_ROOT_USER: the quote is not closed"},
		{"half a root", app.Sources{Environ: []string{"LARDER_DIR=d", "MINIO_ROOT_USER=minio"}}, "name and secret go together"},
		{"short secret", app.Sources{Environ: []string{"LARDER_DIR=d", "MINIO_ROOT_USER=minio", "MINIO_ROOT_PASSWORD=short"}}, "MINIO_ROOT_PASSWORD: too short: a secret has at least 8"},
		{"short name", app.Sources{Environ: []string{"LARDER_DIR=d", "LARDER_ROOT_USER=me", "LARDER_ROOT_PASSWORD=long enough"}}, "LARDER_ROOT_USER: \"me\" is too short"},
		{"name with a comma", app.Sources{Environ: []string{"LARDER_DIR=d", "LARDER_ROOT_USER=you,me", "LARDER_ROOT_PASSWORD=long enough"}}, "no ','"},
		{"absent secret", app.Sources{Environ: []string{"LARDER_ROOT_USER=root", "LARDER_ROOT_PASSWORD_FILE=absent"}}, "LARDER_ROOT_PASSWORD_FILE: open absent"},
		{"secret twice", app.Sources{Environ: []string{"MINIO_ROOT_PASSWORD=a", "MINIO_ROOT_PASSWORD_FILE=b"}}, "exclude one another"},
		{"half a certificate", app.Sources{Flags: map[string]string{"dir": "d", "tls-cert": "c"}}, "tls-cert and tls-key go together"},
		{"tls mode", app.Sources{Flags: map[string]string{"tls": "maybe"}}, "neither off nor auto"},
		{"public pprof", app.Sources{Flags: map[string]string{"dir": "d", "pprof": "0.0.0.0:6060"}}, "not a private address"},
		{"remote directory", app.Sources{Flags: map[string]string{"dir": "http://node{1...4}/data"}}, "name a directory of this machine"},
		{"open ellipsis", app.Sources{Flags: map[string]string{"dir": "/data{1...4"}}, "is not a directory"},
		{"domain", app.Sources{Flags: map[string]string{"domain": "https://x"}}, "is not a domain"},
		{"proxy", app.Sources{Flags: map[string]string{"trusted-proxy": "all"}}, "is not a network"},
		{"metrics", app.Sources{Environ: []string{"MINIO_PROMETHEUS_AUTH_TYPE=none"}}, "\"none\" is neither true (public) nor false (jwt)"},
		{"boolean", app.Sources{Environ: []string{"LARDER_HTTP2=perhaps"}}, "LARDER_HTTP2: \"perhaps\" is neither true nor false"},
		{"duration", app.Sources{Flags: map[string]string{"drain-timeout": "soon"}}, "--drain-timeout: \"soon\" is not a duration: write it like 20s"},
		{"negative duration", app.Sources{Flags: map[string]string{"drain-timeout": "-1s"}}, "is not a duration"},
		{"memory", app.Sources{Flags: map[string]string{"dir": "d", "memory": "1MiB"}}, "at least 16MiB"},
		{"level", app.Sources{Environ: []string{"LARDER_LOG_LEVEL=loud"}}, "LARDER_LOG_LEVEL: \"loud\" is none of debug, info, warn and error"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, _, err := app.Load(tt.src); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestParseSize(t *testing.T) {
	for text, want := range map[string]int64{"0": 0, "512": 512, "10K": 10 << 10, "10k": 10 << 10, "1KB": 1000, "2MiB": 2 << 20, "1.5 GB": 1_500_000_000, "3Gi": 3 << 30, "1TiB": 1 << 40} {
		if got, err := app.ParseSize(text); err != nil || got != want {
			t.Errorf("%q: got %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "ten", "-1", "10X", "10MMB", "1e300G", "B10"} {
		if got, err := app.ParseSize(text); err == nil {
			t.Errorf("%q: got %d, want an error", text, got)
		}
	}
}

func write(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
