package sts_test

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

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

// recorder stands before a server's endpoint, changes nothing, and remembers what
// was answered.
type recorder struct {
	*httptest.Server

	mu    sync.Mutex // guards what follows
	given []session
	other []string // answers that hold no session
}

func newRecorder(t *testing.T, s *harness.Server) *recorder {
	t.Helper()
	to, err := url.Parse(s.URL())
	ok(t, err)
	r := &recorder{}
	proxy := &httputil.ReverseProxy{
		Rewrite:        func(p *httputil.ProxyRequest) { p.SetURL(to) },
		Transport:      s.HTTPClient().Transport,
		ModifyResponse: r.record,
	}
	listener, err := net.Listen("tcp", harness.ServerAddr+":0")
	ok(t, err)
	cert, key := s.CA.Issue(t, harness.ServerAddr)
	pair, err := tls.LoadX509KeyPair(cert, key)
	ok(t, err)
	r.Server = &httptest.Server{Listener: listener, Config: &http.Server{Handler: proxy}, TLS: &tls.Config{Certificates: []tls.Certificate{pair}}}
	r.StartTLS()
	t.Cleanup(r.Close)
	return r
}

func (r *recorder) record(res *http.Response) error {
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	res.Body = io.NopCloser(bytes.NewReader(body))
	r.mu.Lock()
	defer r.mu.Unlock()
	var s session
	if res.StatusCode != http.StatusOK || json.Unmarshal(body, &s) != nil {
		r.other = append(r.other, res.Status+" "+string(body))
		return nil
	}
	r.given = append(r.given, s)
	return nil
}

func (r *recorder) sessions() (given []session, other []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.given), slices.Clone(r.other)
}

// tokenOnly is sccache 0.19 on a new machine that has nothing but a token file and
// the endpoint's URL.
func tokenOnly(t *testing.T, s *harness.Server, name, token, endpoint, query string) *harness.Sccache {
	t.Helper()
	program, err := tools.Path(tools.Sccache019)
	ok(t, err)
	m := harness.NewMachine(t, name)
	return &harness.Sccache{Machine: m, Program: program, Env: map[string]string{
		"SCCACHE_BUCKET": "shelf", "SCCACHE_ENDPOINT": s.URL(), "SCCACHE_REGION": "auto", "SCCACHE_S3_USE_SSL": "true",
		"SSL_CERT_FILE":                          m.File(t, "ca.pem", s.CA.PEM),
		"AWS_CONTAINER_CREDENTIALS_FULL_URI":     endpoint + credentialsPath + query,
		"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": m.File(t, "token", []byte(token)),
	}}
}

// TestSccacheWithATokenFile builds for longer than the keys live that it began
// with: real ones, of the shortest length that there is, which sccache renews by
// itself. None of its requests fails, and the first keys are worth nothing when
// their end has come. A second machine, with another identity, finds everything.
func TestSccacheWithATokenFile(t *testing.T) {
	bao := harness.NewBao(t)
	bao.NewIssuer(audience)
	s := newServer(t, bao, harness.Options{CA: harness.NewAuthority(t)})
	r := newRecorder(t, s)
	mark := s.Mark()
	sccache := tokenOnly(t, s, "cold", bao.Identity("build-1", "cooks"), r.URL, "?duration=3m")
	cold := sccache.BuildWhile(t, project.C, func() bool { // until it asked for keys after the first ones' end
		given, _ := r.sessions()
		return len(given) == 0 || given[len(given)-1].Expiration.Sub(given[0].Expiration) < 3*time.Minute
	})
	given, other := r.sessions()
	keys := map[string]int{}
	for _, a := range sccache.Objects(s.Requests(mark)) {
		if a.Status != http.StatusOK && (a.Status != http.StatusNotFound || a.Code != "NoSuchKey") {
			t.Errorf("a request of the build failed: %+v", a)
		}
		keys[a.AccessKey]++
	}
	t.Logf("%v, %d keys handed out, used so often: %v; %+v", cold.Took.Round(time.Second), len(given), keys, cold.Stats)
	if cold.Stats.Misses == 0 || cold.Stats.Errors+cold.Stats.WriteErrors+cold.Stats.Timeouts != 0 || cold.Stats.Writes != cold.Stats.Misses {
		t.Errorf("the first build: %+v", cold.Stats)
	}
	first, last := given[0], given[len(given)-1]
	outlived := slices.ContainsFunc(given, func(k session) bool {
		return keys[k.AccessKeyID] > 0 && k.Expiration.Sub(first.Expiration) >= 3*time.Minute
	})
	if len(other) != 0 || keys[first.AccessKeyID] == 0 || !outlived {
		t.Errorf("the build did not outlive its keys: refused exchanges %q", other)
	}
	check(t, "the first keys after their end", may(t, s, first.AccessKeyID, first.SecretAccessKey, first.Token), rights{})
	check(t, "the last keys", may(t, s, last.AccessKeyID, last.SecretAccessKey, last.Token), rights{read: true, write: true})
	warm := tokenOnly(t, s, "warm", bao.Identity("build-2", "cooks"), s.URL(), "").Build(t, project.C)
	if warm.Stats.Misses != 0 || warm.Stats.Hits == 0 || warm.Stats.Errors != 0 {
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
	refused := harness.NewLarder(t, env)
	_ = s.Requests(s.Mark()) // the log is written a moment late
	mark := s.Mark()
	wants(t, refused.Refused("login", "--endpoint", "http://"+u.Host, "--", "true"), "in the clear")
	if requests := s.Requests(mark); len(requests) != 0 {
		t.Errorf("login sent %+v", requests)
	}
}
