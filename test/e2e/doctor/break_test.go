package doctor_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"maps"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/larder-cache/larder/test/e2e/harness"
	"github.com/larder-cache/larder/test/e2e/tools"
)

// breakage is one way in which a server or its address does not fit. Real sccache
// must come to grief over it, and the doctor name it.
type breakage struct {
	name   string
	server func(*testing.T) *recorder
	env    map[string]string // on top of a sound one
	starts bool              // the daemon starts all the same
	check  string            // that names it
	cause  string            // a part of what it says
}

// sound is an environment for a recorder.
func sound(server *recorder) map[string]string {
	scheme := "http://"
	if server.TLS != nil {
		scheme = "https://"
	}
	return map[string]string{
		"SCCACHE_BUCKET": "sccache", "SCCACHE_REGION": "auto", "SCCACHE_ENDPOINT": scheme + "cache.test:" + server.port,
		"AWS_ACCESS_KEY_ID": "ENV", "AWS_SECRET_ACCESS_KEY": "env-secret", "AWS_EC2_METADATA_DISABLED": "true", "SCCACHE_IDLE_TIMEOUT": "0",
	}
}

// answering returns a server that answers requests of a method ("" for all) with an error.
func answering(method string, status int, code string) func(*testing.T) *recorder {
	return func(t *testing.T) *recorder {
		t.Helper()
		r := newRecorder(t)
		r.answer = func(w http.ResponseWriter, req *http.Request) bool {
			if method != "" && req.Method != method {
				return false
			}
			if code == "RequestTimeTooSkewed" {
				w.Header().Set("Date", time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat))
			}
			refuse(w, status, code)
			return true
		}
		return r
	}
}

// certified returns a server with a certificate for name, good until a time, and
// puts its authority where SSL_CERT_FILE=CA finds it.
func certified(name string, until time.Duration) func(*testing.T) *recorder {
	return func(t *testing.T) *recorder {
		t.Helper()
		cert := certificate(t, name, time.Now().Add(until))
		return newTLSRecorder(t, &cert)
	}
}

func breakages() []breakage {
	set := func(pairs ...string) map[string]string {
		env := map[string]string{}
		for i := 0; i < len(pairs); i += 2 {
			env[pairs[i]] = pairs[i+1]
		}
		return env
	}
	good := certified("cache.test", time.Hour)
	trusted := set("SSL_CERT_FILE", "CA")
	return []breakage{
		{"no bucket variable", newRecorder, set("SCCACHE_BUCKET", ""), true, "settings", "SCCACHE_BUCKET is not set"},
		{"wrong host", newRecorder, set("SCCACHE_ENDPOINT", "wrong.test:9000"), false, "name", "wrong.test is not found"},
		{"wrong port", newRecorder, set("SCCACHE_ENDPOINT", "cache.test:1"), false, "tcp", "nothing listens"},
		{"http to a TLS port", good, set("SCCACHE_S3_USE_SSL", "false"), false, "tls", "speaks TLS"},
		{"TLS to an http port", newRecorder, set("SCCACHE_S3_USE_SSL", "true"), false, "tls", "speaks plain HTTP"},
		{"name that does not exist in virtual-host style", newRecorder, set("SCCACHE_S3_ENABLE_VIRTUAL_HOST_STYLE", "true", "SCCACHE_BUCKET", "other"), false, "name", "other.cache.test is not found"},
		{"certificate of an unknown authority", good, nil, false, "tls", "does not trust"},
		{"certificate that has expired", certified("cache.test", -time.Minute), trusted, false, "tls", "the certificate is good from"},
		{"certificate for another name", certified("other.test", time.Hour), trusted, false, "tls", "other.test, not for cache.test"},
		{"skewed clock", answering("", 403, "RequestTimeTooSkewed"), nil, false, "clock", "ahead of the server's"},
		{"unknown key", answering("", 403, "InvalidAccessKeyId"), nil, false, "credentials", "does not know that access key"},
		{"wrong secret", answering("", 403, "SignatureDoesNotMatch"), nil, false, "credentials", "the secret is wrong"},
		{"expired session", answering("", 400, "ExpiredToken"), set("AWS_SESSION_TOKEN", "a-session-of-yesterday"), false, "credentials", "expired"},
		{"no credentials", newRecorder, set("AWS_ACCESS_KEY_ID", "-", "AWS_SECRET_ACCESS_KEY", "-"), false, "credentials", "no credentials"},
		{"bucket absent", answering("", 404, "NoSuchBucket"), nil, false, "bucket", "no bucket"},
		{"bucket is the endpoint's first label", newRecorder, set("SCCACHE_BUCKET", "cache"), false, "name", `deleted "cache."`},
		{"may not read", answering(http.MethodGet, 403, "AccessDenied"), nil, false, "read check", "may not read"},
		{"may not write", answering(http.MethodPut, 403, "AccessDenied"), nil, true, "write check", "may not write"},
		{"full", answering(http.MethodPut, 507, "XMinioStorageFull"), nil, true, "write check", "full"},
	}
}

// TestBreakages breaks a sound set-up in one way at a time.
func TestBreakages(t *testing.T) {
	for _, version := range versions() {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			machine := newPatient(t, version, "cache.test")
			for _, b := range breakages() {
				t.Run(b.name, func(t *testing.T) {
					machine.in(t).suffer(b)
				})
			}
			t.Run("sound", func(t *testing.T) {
				p := machine.in(t)
				server := certified("cache.test", time.Hour)(t)
				env := sound(server)
				p.newDaemon(env)
				env["SSL_CERT_FILE"] = p.trust(server)
				if started, output := p.starts(env); !started {
					t.Errorf("sccache does not start: %s", output)
				}
				if r, well := p.examine(env); !well {
					t.Errorf("the doctor finds fault: %+v", r)
				}
			})
		})
	}
}

func (p *patient) suffer(b breakage) {
	server := b.server(p.t)
	env := sound(server)
	maps.Copy(env, b.env)
	p.newDaemon(env)
	for name, value := range env {
		if value == "-" {
			delete(env, name)
		}
	}
	if env["SSL_CERT_FILE"] != "" {
		env["SSL_CERT_FILE"] = p.trust(server)
	}
	r, well := p.examine(env)
	check, text := r.firstBad()
	if well || check != b.check || !strings.Contains(text, b.cause) {
		p.t.Errorf("the doctor says of %q: %s", check, text)
	}
	if started, output := p.starts(env); started != b.starts {
		p.t.Errorf("the daemon starts: %v: %s", started, output)
	}
}

// trust brings the authority of the server's certificate to the machine.
func (p *patient) trust(server *recorder) string {
	der := server.TLS.Certificates[0].Certificate
	return p.File(p.t, "ca.crt", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der[len(der)-1]}))
}

// certificate makes an authority and a certificate of it, in one chain.
func certificate(t *testing.T, name string, until time.Time) tls.Certificate {
	t.Helper()
	issue := func(template, parent *x509.Certificate, signer *ecdsa.PrivateKey) ([]byte, *ecdsa.PrivateKey) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if signer == nil {
			signer = key
		}
		der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
		if err != nil {
			t.Fatal(err)
		}
		return der, key
	}
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Authority of a test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().AddDate(0, 0, -2), NotAfter: time.Now().AddDate(0, 0, 2), KeyUsage: x509.KeyUsageCertSign,
	}
	caDER, caKey := issue(authority, authority, nil)
	leafDER, key := issue(&x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().AddDate(0, 0, -1), NotAfter: until, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, authority, caKey)
	return tls.Certificate{Certificate: [][]byte{leafDER, caDER}, PrivateKey: key}
}

// TestDaemon has real daemons run that do not fit the settings of now.
func TestDaemon(t *testing.T) {
	for _, version := range versions() {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			p := newPatient(t, version, "cache.test")
			server := newRecorder(t)
			now := sound(server)
			with := func(pairs ...string) map[string]string {
				env := maps.Clone(now)
				for i := 0; i < len(pairs); i += 2 {
					env[pairs[i]] = pairs[i+1]
				}
				return env
			}
			for _, tt := range []struct {
				name   string
				before map[string]string
				cause  string // "" for a daemon that is all right
			}{
				{"the same", now, ""},
				{"before the variables", map[string]string{"SCCACHE_IDLE_TIMEOUT": "0"}, "Local disk"},
				{"another bucket", with("SCCACHE_BUCKET", "another"), `bucket "another", not "sccache"`},
				{"another prefix", with("SCCACHE_S3_KEY_PREFIX", "another"), "other values of SCCACHE_S3_KEY_PREFIX"},
				{"another secret", with("AWS_SECRET_ACCESS_KEY", "another"), "other values of AWS_SECRET_ACCESS_KEY"},
			} {
				t.Run(tt.name, func(t *testing.T) {
					q := p.in(t)
					q.newDaemon(now)
					tt.before["SCCACHE_SERVER_PORT"] = now["SCCACHE_SERVER_PORT"]
					q.Run(t, tt.before, p.program, "--start-server")
					defer q.stop(tt.before)
					r, well := q.examine(now)
					status, cause, _ := r.find("daemon")
					if well != (tt.cause == "") || (status == "failed") != (tt.cause != "") || !strings.Contains(cause, tt.cause) {
						t.Errorf("%s: %s", status, cause)
					}
				})
			}
			t.Run("another program on the port", func(t *testing.T) {
				q := p.in(t)
				delete(now, "SCCACHE_SERVER_PORT")
				other := p.Command(t, harness.Home, nil, "python3", "-m", "http.server", "--bind", "127.0.0.1", "4226")
				if err := other.Start(); err != nil {
					t.Fatal(err)
				}
				defer func() { _ = other.Process.Kill(); _ = other.Wait() }()
				harness.Await(t, "a program on the port", 10*time.Second, func() bool {
					return p.Command(t, harness.Home, nil, "python3", "-c", "import socket; socket.create_connection(('127.0.0.1', 4226))").Run() == nil
				})
				r, well := q.examine(now)
				if _, cause, _ := r.find("daemon"); well || !strings.Contains(cause, "holds 127.0.0.1:4226") || !strings.Contains(cause, "python") {
					t.Error(cause)
				}
			})
		})
	}
}

// TestSelfSigned: a certificate that is its own authority and trusted is good
// enough for OpenSSL, and not for rustls.
func TestSelfSigned(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "cache.test"}, DNSNames: []string{"cache.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	server := newTLSRecorder(t, &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key})
	for _, version := range versions() {
		p := newPatient(t, version, "cache.test")
		env := sound(server)
		p.newDaemon(env)
		env["SSL_CERT_FILE"] = p.trust(server)
		started, output := p.starts(env)
		r, well := p.examine(env)
		check, text := r.firstBad()
		if modern := version != tools.Sccache016; started == modern || well == modern || modern && !strings.Contains(text, "its own authority") {
			t.Errorf("%s starts: %v; the doctor says of %q: %s\n%s", version, started, check, text, output)
		}
	}
}
