package sts_test

import (
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/larder-cache/larder/test/e2e/harness"
	"github.com/larder-cache/larder/test/e2e/project"
	"github.com/larder-cache/larder/test/e2e/tools"
)

const credentialsPath = "/larder/v1/credentials"

// session is what the endpoint answers.
type session struct {
	AccessKeyID     string `json:"AccessKeyId"`
	SecretAccessKey string
	Token           string
	Expiration      time.Time
}

// hasty stands before a server's endpoint and makes time pass: it says that keys
// end in two minutes and three seconds, which makes sccache fetch new ones after
// three, and soon after it handed out new ones it revokes those before.
type hasty struct {
	*httptest.Server
	t      *testing.T
	server *harness.Server

	mu       sync.Mutex // guards what follows
	given    []session
	pending  sync.WaitGroup
	refusals int
}

func newHasty(t *testing.T, s *harness.Server) *hasty {
	t.Helper()
	h := &hasty{t: t, server: s}
	listener, err := net.Listen("tcp", harness.ServerAddr+":0")
	ok(t, err)
	cert, key := s.CA.Issue(t, harness.ServerAddr)
	pair, err := tls.LoadX509KeyPair(cert, key)
	ok(t, err)
	h.Server = &httptest.Server{Listener: listener, Config: &http.Server{Handler: h}, TLS: &tls.Config{Certificates: []tls.Certificate{pair}}}
	h.StartTLS()
	t.Cleanup(func() { h.Close(); h.pending.Wait() })
	return h
}

func (h *hasty) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	req, err := http.NewRequestWithContext(r.Context(), http.MethodGet, h.server.URL()+credentialsPath, nil)
	ok(h.t, err)
	req.Header.Set("Authorization", r.Header.Get("Authorization"))
	res, err := h.server.HTTPClient().Do(req)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer func() { _ = res.Body.Close() }()
	body, _ := io.ReadAll(res.Body)
	h.mu.Lock()
	defer h.mu.Unlock()
	var s session
	if res.StatusCode != http.StatusOK || json.Unmarshal(body, &s) != nil {
		h.refusals++
		w.WriteHeader(res.StatusCode)
		_, _ = w.Write(body)
		return
	}
	if n := len(h.given); n > 0 {
		old := h.given[n-1]
		h.pending.Add(1)
		time.AfterFunc(time.Second, func() { // requests that are on their way arrive
			defer h.pending.Done()
			revoke(h.t, h.server, old)
		})
	}
	h.given = append(h.given, s)
	s.Expiration = time.Now().Add(123 * time.Second)
	_ = json.NewEncoder(w).Encode(s)
}

// revoke ends a session as a client would that signs with AWS's own signer.
func revoke(t *testing.T, server *harness.Server, s session) {
	t.Helper()
	const empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	req, err := http.NewRequest(http.MethodDelete, server.URL()+credentialsPath, nil)
	if err != nil {
		t.Error(err)
		return
	}
	req.Header.Set("X-Amz-Content-Sha256", empty)
	keys := aws.Credentials{AccessKeyID: s.AccessKeyID, SecretAccessKey: s.SecretAccessKey, SessionToken: s.Token}
	err = v4.NewSigner().SignHTTP(req.Context(), keys, req, empty, "s3", "us-east-1", time.Now())
	if err != nil {
		t.Error(err)
		return
	}
	res, err := server.HTTPClient().Do(req)
	if err != nil {
		t.Error(err)
		return
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusNoContent {
		t.Errorf("revoke: %s", res.Status)
	}
}

// tokenOnly is sccache 0.19 on a new machine that has nothing but a token file and
// the endpoint's URL.
func tokenOnly(t *testing.T, s *harness.Server, name, token, endpoint string) *harness.Sccache {
	t.Helper()
	program, err := tools.Path(tools.Sccache019)
	ok(t, err)
	m := harness.NewMachine(t, name)
	return &harness.Sccache{Machine: m, Program: program, Env: map[string]string{
		"SCCACHE_BUCKET": "shelf", "SCCACHE_ENDPOINT": s.URL(), "SCCACHE_REGION": "auto", "SCCACHE_S3_USE_SSL": "true",
		"SSL_CERT_FILE":                          m.File(t, "ca.pem", s.CA.PEM),
		"AWS_CONTAINER_CREDENTIALS_FULL_URI":     endpoint + credentialsPath,
		"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": m.File(t, "token", []byte(token)),
	}}
}

// TestSccacheWithATokenFile builds with keys that end several times within the
// build; a second machine, with another identity, finds everything.
func TestSccacheWithATokenFile(t *testing.T) {
	bao := harness.NewBao(t)
	bao.NewIssuer(audience)
	s := newServer(t, bao, harness.Options{CA: harness.NewAuthority(t)})
	h := newHasty(t, s)
	mark := s.Mark()
	cold := tokenOnly(t, s, "cold", bao.Identity("build-1", "cooks"), h.URL).Build(t, project.C)
	h.pending.Wait()
	keys := map[string]bool{}
	for _, a := range s.Requests(mark) {
		if strings.HasPrefix(a.Path, "/shelf/") && a.Status < 300 {
			keys[a.AccessKey] = true
		}
	}
	t.Logf("%v, %d keys handed out, %d used; %+v", cold.Took.Round(time.Millisecond), len(h.given), len(keys), cold.Stats)
	if cold.Stats.Misses == 0 || cold.Stats.Errors+cold.Stats.WriteErrors+cold.Stats.Timeouts != 0 || cold.Stats.Writes != cold.Stats.Misses {
		t.Errorf("the first build: %+v", cold.Stats)
	}
	if len(keys) < 3 || h.refusals != 0 {
		t.Errorf("%d keys were used and %d exchanges refused: the build did not outlive its keys", len(keys), h.refusals)
	}
	warm := tokenOnly(t, s, "warm", bao.Identity("build-2", "cooks"), s.URL()).Build(t, project.C)
	if warm.Stats.Misses != 0 || warm.Stats.Hits != cold.Stats.Misses || warm.Stats.Errors != 0 {
		t.Errorf("the second build: %+v", warm.Stats)
	}
}

// TestLogin builds with sccache 0.16, which knows static keys only, and finds
// those keys dead when the build has ended.
func TestLogin(t *testing.T) {
	bao := harness.NewBao(t)
	bao.NewIssuer(audience)
	s := newServer(t, bao, harness.Options{CA: harness.NewAuthority(t)})
	program, err := tools.Path(tools.Sccache016)
	ok(t, err)
	m := harness.NewMachine(t, "login")
	env := map[string]string{
		"SCCACHE_IDLE_TIMEOUT": "0", "CARGO_TARGET_DIR": harness.Home + "/target", "CARGO_INCREMENTAL": "0", "RUSTC_WRAPPER": program,
		"SSL_CERT_FILE": m.File(t, "ca.pem", s.CA.PEM), "LARDER_ENDPOINT": s.URL(),
	}
	build := `"$RUSTC_WRAPPER" --start-server >&2 && cargo build --offline --locked >&2
status=$?
"$RUSTC_WRAPPER" --show-stats --stats-format=json
"$RUSTC_WRAPPER" --stop-server >&2
printf '%s\n%s\n%s\n' "$AWS_ACCESS_KEY_ID" "$AWS_SECRET_ACCESS_KEY" "$AWS_SESSION_TOKEN" > "$HOME/keys"
exit $((status + 3))`
	token := m.File(t, "token", []byte(bao.Identity("build-1", "cooks")))
	cmd := m.Command(t, "/mnt/c", env, harness.Larder, "login", "--oidc-token-file", token, "--bucket", "shelf", "--", "sh", "-c", build)
	out, err := cmd.Output()
	if err == nil || cmd.ProcessState.ExitCode() != 3 {
		t.Fatalf("the command's exit code is not passed on: %v\n%s", err, out)
	}
	var stats struct {
		Stats struct {
			Writes int `json:"cache_writes"`
			Errors int `json:"cache_write_errors"`
		} `json:"stats"`
	}
	ok(t, json.Unmarshal(out, &stats))
	if stats.Stats.Writes == 0 || stats.Stats.Errors != 0 {
		t.Errorf("sccache: %s", out)
	}
	keys := strings.Fields(m.Run(t, nil, "cat", harness.Home+"/keys"))
	if len(keys) != 3 {
		t.Fatalf("%d keys", len(keys))
	}
	check(t, "after the build", may(t, s, keys[0], keys[1], keys[2]), rights{})
}

// TestEndpointInTheClear: over plain HTTP from another machine a token is not
// taken, and login does not send it.
func TestEndpointInTheClear(t *testing.T) {
	bao := harness.NewBao(t)
	bao.NewIssuer(audience)
	s := newServer(t, bao, harness.Options{})
	token := bao.Identity("build-1", "cooks")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL()+credentialsPath, nil)
	ok(t, err)
	req.Header.Set("Authorization", token)
	res, err := s.HTTPClient().Do(req)
	ok(t, err)
	body, _ := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if res.StatusCode != http.StatusForbidden {
		t.Errorf("%s %s", res.Status, body)
	}
	u, err := url.Parse(s.URL())
	ok(t, err)
	env := map[string]string{"LARDER_ID_TOKEN": token}
	refused := harness.NewProgram(t, tools.MC, env)
	refused.Path = harness.Binary(t)
	_ = s.Requests(s.Mark()) // the log is written a moment late
	mark := s.Mark()
	wants(t, refused.Refused("login", "--endpoint", "http://"+u.Host, "--", "true"), "in the clear")
	if requests := s.Requests(mark); len(requests) != 0 {
		t.Errorf("login sent %+v", requests)
	}
}
