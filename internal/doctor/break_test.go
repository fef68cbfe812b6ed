package doctor_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/doctor"
	"github.com/larder-cache/larder/internal/sccache"
)

// breakage is one way to break a sound set-up, and what must be said of it.
type breakage struct {
	name    string
	release string
	do      func(*bed)
	check   string        // that finds it, first
	status  doctor.Status // "" is Failed
	cause   []string      // parts of what it says
	fix     string        // part of the remedy
}

// set returns a breakage that changes variables of a sound set-up over HTTP.
func set(pairs ...string) func(*bed) {
	return func(b *bed) {
		b.http()
		for i := 0; i < len(pairs); i += 2 {
			b.cfg.Environ[pairs[i]] = pairs[i+1]
		}
	}
}

func unset(names ...string) func(*bed) {
	return func(b *bed) {
		b.http()
		for _, name := range names {
			delete(b.cfg.Environ, name)
		}
	}
}

func settingsBroken() []breakage {
	return []breakage{
		{"no sccache", v19, func(b *bed) { b.http(); b.cfg.Program = "sccache-none" }, "sccache", "", []string{"no program"}, "--sccache PATH"},
		{"not sccache", v19, func(b *bed) { b.http(); b.cfg.Program = "/bin/true" }, "sccache", "", []string{"is not sccache"}, "--sccache PATH"},
		{"no bucket variable", v16, unset("SCCACHE_BUCKET"), "settings", "", []string{"SCCACHE_BUCKET is not set", "SCCACHE_ENDPOINT", "local disk"}, "set SCCACHE_BUCKET"},
		{"nothing set", v19, unset("SCCACHE_BUCKET", "SCCACHE_ENDPOINT", "SCCACHE_REGION"), "settings", "", []string{"config says nothing of S3"}, "larder env"},
		{"no region", v19, unset("SCCACHE_REGION"), "settings", "", []string{"without a region"}, "SCCACHE_REGION=auto"},
		{"bad switch", v19, set("SCCACHE_S3_USE_SSL", "yes"), "settings", "", []string{"SCCACHE_S3_USE_SSL must be true"}, "correct"},
		{"bad file", v16, func(b *bed) { b.http(); b.file(".config/sccache/config", "[cache.s3]\nbuket = 'x'\n") }, "settings", "", []string{".config/sccache/config", "buket"}, "correct"},
		{"chain without s3", v19, set("SCCACHE_MULTILEVEL_CHAIN", "disk,redis", "SCCACHE_DIR", "/d"), "settings", "", []string{"disk, redis"}, "SCCACHE_MULTILEVEL_CHAIN=disk,s3"},
		{"chain without a folder", v16, set("SCCACHE_MULTILEVEL_CHAIN", "disk,s3"), "settings", "", []string{"level disk"}, "SCCACHE_DIR"},
		{"too old for a variable", "0.15.0", set("SCCACHE_S3_RW_MODE", "READ_ONLY"), "settings", doctor.Warning, []string{"SCCACHE_S3_RW_MODE", "0.16"}, "newer"},
		{"bad endpoint", v16, set("SCCACHE_ENDPOINT", "cache.example:9000/s3"), "address", "", []string{"path and no scheme"}, "SCCACHE_ENDPOINT"},
		{"proxy", v19, set("http_proxy", "http://proxy:3128"), "address", doctor.Warning, []string{"http_proxy"}, "NO_PROXY=cache.example"},
		{"no endpoint", v19, unset("SCCACHE_ENDPOINT"), "address", doctor.Warning, []string{"amazonaws.com"}, "SCCACHE_ENDPOINT"},
		{"bucket is the endpoint's first label", v16, func(b *bed) {
			b.file("etc/hosts", "127.0.0.1 sccache.corp\n")
			b.server.plain()
			b.cfg.Environ["SCCACHE_ENDPOINT"] = "http://sccache.corp:" + b.server.port()
		}, "address", doctor.Warning, []string{`deletes "sccache."`, "//corp:"}, "//sccache.sccache.corp:"},
		{"no fail open", v19, unset("SCCACHE_SKIP_CACHE_CHECK"), "fail open", doctor.Warning, []string{"stops every build"}, "SCCACHE_SKIP_CACHE_CHECK=1"},
		{"no fail open in an old release", v16, set(), "fail open", doctor.Warning, []string{"0.16.0 cannot"}, "0.18 or later"},
	}
}

func networkBroken() []breakage {
	return []breakage{
		{"wrong endpoint", v16, set("SCCACHE_ENDPOINT", "http://wrong.example:9000"), "name", "", []string{"wrong.example is not found", "glibc"}, "correct the host in SCCACHE_ENDPOINT"},
		{"wrong port", v19, set("SCCACHE_ENDPOINT", "http://cache.example:1"), "tcp", "", []string{"nothing listens at 127.0.0.1:1"}, "SCCACHE_ENDPOINT"},
		{"http to a TLS port", v19, func(b *bed) {
			b.https(time.Now(), "cache.example")
			b.cfg.Environ["SCCACHE_ENDPOINT"] = "cache.example:" + b.server.port()
		}, "tls", "", []string{"the port speaks TLS and sccache plain HTTP"}, "SCCACHE_ENDPOINT=https://cache.example:"},
		{"TLS to an http port", v16, func(b *bed) { b.http(); b.cfg.Environ["SCCACHE_S3_USE_SSL"] = "true" }, "tls", "", []string{"the port speaks plain HTTP and sccache TLS"}, "and SCCACHE_S3_USE_SSL=false"},
		{"name that no libc finds", v16, func(b *bed) {
			b.virtualHost()
			b.server.domain = "localhost"
			b.server.plain()
			b.cfg.Environ["SCCACHE_ENDPOINT"] = "http://localhost:" + b.server.port()
		}, "name", "", []string{"sccache.localhost is not found", "it is found by those of sccache's own resolver"}, "SCCACHE_S3_ENABLE_VIRTUAL_HOST_STYLE=false"},
		{"name that only glibc finds", v19, func(b *bed) {
			b.http()
			b.onlyGlibc("nss.example")
			b.cfg.Environ["SCCACHE_ENDPOINT"] = "http://nss.example:" + b.server.port()
		}, "name", "", []string{"nss.example is not found by the rules of sccache's own resolver", "found by those of glibc"}, "/etc/hosts"},
		{"name server that does not answer", v19, func(b *bed) {
			b.http()
			b.cfg.Resolver.Dial = func(context.Context, string, string) (net.Conn, error) { return nil, os.ErrDeadlineExceeded }
		}, "name", doctor.Warning, []string{"no name server answers", "each new connection waits"}, "/etc/resolv.conf"},
		{"untrusted certificate", v19, func(b *bed) { b.https(time.Now(), "cache.example"); delete(b.cfg.Environ, "SSL_CERT_FILE") }, "tls", "", []string{"does not trust", "authority"}, "SSL_CERT_FILE="},
		{"untrusted certificate, 0.16", v16, func(b *bed) { b.https(time.Now(), "cache.example"); delete(b.cfg.Environ, "SSL_CERT_FILE") }, "tls", "", []string{"does not trust"}, "SSL_CERT_FILE="},
		{"trust file cannot be read", v16, func(b *bed) { b.https(time.Now(), "cache.example"); b.cfg.Environ["SSL_CERT_FILE"] = b.t.TempDir() }, "tls", "", []string{"does not trust", "is a directory"}, "SSL_CERT_FILE"},
		{"trust file is not there", v19, func(b *bed) { b.https(time.Now(), "cache.example"); b.cfg.Environ["SSL_CERT_FILE"] = "/nowhere/ca.crt" }, "tls", "", []string{"/nowhere/ca.crt is not there"}, "SSL_CERT_FILE"},
		{"expired certificate", v16, func(b *bed) { b.https(time.Now().AddDate(-1, 0, 0), "cache.example") }, "tls", "", []string{"the certificate is good from", "clock says"}, "renew"},
		{"certificate for another name", v19, func(b *bed) { b.https(time.Now(), "other.example") }, "tls", "", []string{"is for other.example, not for cache.example"}, "certificate for cache.example"},
		{"certificate without the bucket's name", v19, func(b *bed) { b.virtualHost(); b.https(time.Now(), "cache.example") }, "tls", "", []string{"not for sccache.cache.example"}, "VIRTUAL_HOST_STYLE=false"},
		{"skewed clock", v19, func(b *bed) { b.http(); b.cfg.Now = func() time.Time { return time.Now().Add(time.Hour) } }, "clock", "", []string{"ahead of the server's", "S3 allows"}, "timedatectl"},
		{"clock behind", v16, func(b *bed) { b.http(); b.cfg.Now = func() time.Time { return time.Now().Add(-7 * time.Minute) } }, "clock", doctor.Warning, []string{"behind the server's"}, "timedatectl"},
		{"not S3", v16, func(b *bed) {
			b.http()
			site := httptest.NewServer(http.NotFoundHandler())
			b.t.Cleanup(site.Close)
			b.cfg.Environ["SCCACHE_ENDPOINT"] = site.URL
		}, "style", "", []string{"is not S3", "404"}, "S3 API"},
		{"not HTTP", v19, func(b *bed) {
			b.http()
			b.cfg.Environ["SCCACHE_ENDPOINT"] = "http://" + b.mute()
		}, "clock", "", []string{"no HTTP answer"}, "S3 port"},
		{"virtual host without a domain", v19, func(b *bed) { b.virtualHost(); b.server.domain = ""; b.http() }, "style", "", []string{"does not know the domain cache.example"}, "VIRTUAL_HOST_STYLE=false"},
	}
}

func accessBroken() []breakage {
	return []breakage{
		{"bucket absent", v16, func(b *bed) { b.server.bucket = "other"; b.http() }, "bucket", "", []string{`no bucket "sccache"`}, "SCCACHE_BUCKET"},
		{"bucket absent, virtual host", v19, func(b *bed) { b.virtualHost(); b.server.bucket = "other"; b.http() }, "bucket", "", []string{`no bucket "sccache"`}, "SCCACHE_BUCKET"},
		{"wrong key", v19, set("AWS_ACCESS_KEY_ID", "AKIAWRONG"), "credentials", "", []string{"AKIAWRONG", "does not know that access key"}, "larder env"},
		{"wrong secret", v16, set("AWS_SECRET_ACCESS_KEY", "wrong"), "credentials", "", []string{"the secret is wrong"}, "larder env"},
		{"secret with a line end", v19, set("AWS_SECRET_ACCESS_KEY", secret+"\r"), "credentials", "", []string{"white space"}, "without white space"},
		{"expired session", v19, set("AWS_SESSION_TOKEN", expired), "credentials", "", []string{"has expired"}, "new session"},
		{"foreign session token", v19, set("AWS_SESSION_TOKEN", "aws-sso"), "credentials", "", []string{"AWS_SESSION_TOKEN"}, "unset AWS_SESSION_TOKEN"},
		{"stale token of a profile", v16, func(b *bed) {
			b.http()
			b.file(".aws/credentials", "[default]\naws_access_key_id=A\naws_secret_access_key=B\naws_session_token=old\n")
		}, "credentials", "", []string{"session token left in", ".aws/credentials"}, "AWS_SHARED_CREDENTIALS_FILE"},
		{"no credentials", v19, func(b *bed) { unset("AWS_ACCESS_KEY_ID")(b); b.cfg.Environ["AWS_EC2_METADATA_DISABLED"] = "true" }, "credentials", "", []string{"no credentials are set"}, "set AWS_ACCESS_KEY_ID"},
		{"metadata only", v16, unset("AWS_ACCESS_KEY_ID"), "credentials", "", []string{"asks Amazon", "instance metadata"}, "set AWS_ACCESS_KEY_ID"},
		{"container credentials in an old release", v16, func(b *bed) {
			unset("AWS_ACCESS_KEY_ID")(b)
			b.cfg.Environ["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = "http://127.0.0.1:1/"
		}, "credentials", "", []string{"asks Amazon"}, "AWS_ACCESS_KEY_ID"},
		{"container credentials out of reach", v19, func(b *bed) {
			unset("AWS_ACCESS_KEY_ID")(b)
			b.cfg.Environ["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = "http://127.0.0.1:1/"
		}, "credentials", "", []string{"cannot be had"}, "AWS_CONTAINER_CREDENTIALS_FULL_URI"},
		{"anonymous and refused", v19, func(b *bed) {
			unset("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")(b)
			b.cfg.Environ["SCCACHE_S3_NO_CREDENTIALS"] = "true"
		}, "credentials", "", []string{"not signed"}, "unset SCCACHE_S3_NO_CREDENTIALS"},
		{"no read permission", v16, func(b *bed) { b.server.mayRead = false; b.http() }, "read check", "", []string{"may not read", "does not start"}, "s3:GetObject on sccache/*"},
		{"no write permission", v19, func(b *bed) { b.server.mayWrite = false; b.http() }, "write check", "", []string{"may not write", "silently writes nothing"}, "s3:PutObject on sccache/*"},
		{"server full", v19, func(b *bed) { b.server.full = true; b.http() }, "write check", "", []string{"full", "507"}, "make room"},
		{"server full but for the check", v16, func(b *bed) { b.server.full, b.server.spares = true, ".sccache_check"; b.http() }, "round trip", "", []string{"full", "507"}, "make room"},
		{"bodies are changed on the way", v19, func(b *bed) { b.server.brokenBody = true; b.http() }, "round trip", "", []string{"is not what is read"}, "proxies"},
	}
}

func daemonBroken() []breakage {
	says := func(location, version, more string) string {
		return `echo '{"stats":{"cache_write_errors":0,"cache_writes":0},"cache_location":"` + location + `","version":"` + version + `"` + more + `}'`
	}
	with := func(release, stats string, change func(*sccache.Daemon)) func(*bed) {
		return func(b *bed) {
			b.http()
			change(b.daemon(release, stats))
		}
	}
	as := func(*sccache.Daemon) {}
	const (
		s3      = "s3, name: sccache, prefix: /"
		noStats = "echo 'sccache: error: failed to get stats from server' >&2; exit 2"
	)
	return []breakage{
		{"daemon started before the variables", v16, with(v16, says(`Local disk: \"/root/.cache/sccache\"`, v16, ""), as), "daemon", "", []string{"uses Local disk", "before these settings"}, "--stop-server"},
		{"daemon with another bucket", v16, with(v16, says("s3, name: other, prefix: /", v16, ""), as), "daemon", "", []string{`"other", not "sccache"`}, "--stop-server"},
		{"daemon with another endpoint", v16, with(v16, says(s3, v16, ""), func(d *sccache.Daemon) {
			d.Environ["SCCACHE_ENDPOINT"], d.Environ["AWS_SECRET_ACCESS_KEY"] = "http://old", "old"
		}), "daemon", "", []string{"other values of SCCACHE_ENDPOINT, AWS_SECRET_ACCESS_KEY"}, "--stop-server"},
		{"daemon of another release", v19, with(v19, says(s3, v16, ""), as), "daemon", doctor.Warning, []string{"release 0.16.0 and this program 0.19.0"}, "--stop-server"},
		{"daemon of a release that is not understood", v19, with(v19, noStats, as), "daemon", "", []string{"another release"}, "kill 4711"},
		{"daemon of another user", v16, with(v16, says(s3, v16, ""), func(d *sccache.Daemon) { d.UID, d.PID, d.Environ = d.UID+1, 0, nil }), "daemon", "", []string{"belongs to user"}, "SCCACHE_SERVER_PORT"},
		{"another program on the port", v16, with(v16, noStats, func(d *sccache.Daemon) { d.Program = "/usr/sbin/other" }), "daemon", "", []string{"/usr/sbin/other (process 4711) holds 127.0.0.1:4226"}, "SCCACHE_SERVER_PORT=4227"},
		{"something unknown on the port", v19, with(v19, noStats, func(d *sccache.Daemon) { *d = sccache.Daemon{Address: d.Address, Running: true, UID: -1} }), "daemon", "", []string{"something holds"}, "SCCACHE_SERVER_PORT=4227"},
		{"daemon gone read-only", v19, with(v19, says(s3, v19, `,"effective_cache_mode":"ReadOnly"`), as), "daemon", "", []string{"writes nothing"}, "--stop-server"},
		{"daemon of an old release gone read-only", v16, with(v16, strings.Replace(says(s3, v16, ""), `"cache_write_errors":0`, `"cache_write_errors":7`, 1), as), "daemon", doctor.Warning, []string{"7 write errors"}, "--stop-server"},
	}
}

// TestBreakages breaks a sound set-up in one way at a time.
func TestBreakages(t *testing.T) {
	all := append(append(append(settingsBroken(), networkBroken()...), accessBroken()...), daemonBroken()...)
	for _, tt := range all {
		t.Run(tt.name, func(t *testing.T) {
			b := newBed(t, tt.release)
			tt.do(b)
			report := b.examine()
			want := tt.status
			if want == "" {
				want = doctor.Failed
			}
			for _, f := range report.Findings {
				if f.Check == tt.check {
					if f.Status != want || !strings.Contains(f.Fix, tt.fix) {
						t.Errorf("%s: %s: %s → %s", f.Check, f.Status, f.Cause, f.Fix)
					}
					for _, part := range tt.cause {
						if !strings.Contains(f.Cause, part) {
							t.Errorf("%s does not say %q: %s", f.Check, part, f.Cause)
						}
					}
					break
				}
				if f.Status != doctor.OK && (f.Check != "bucket" || f.Status != doctor.NotChecked) { // the bucket is known once the credentials are
					t.Errorf("before it, %s: %s: %s → %s", f.Check, f.Status, f.Cause, f.Fix)
				}
			}
			if report.Failed() != (want == doctor.Failed) && tt.check != "address" {
				t.Errorf("counts as failed: %v", report.Failed())
			}
		})
	}
}

// onlyGlibc has a libc know one more name, as an NSS module does.
func (b *bed) onlyGlibc(name string) {
	b.cfg.Resolver.Getent = b.file("bin/getent", "#!/bin/sh\n[ \"$2\" = "+name+" ] || exit 2\necho 127.0.0.1 STREAM\n")
}

// mute returns the address of a listener that ends each connection at once.
func (b *bed) mute() string {
	l, err := new(net.ListenConfig).Listen(b.t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = conn.Close()
		}
	}()
	return l.Addr().String()
}
