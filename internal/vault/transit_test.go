package vault_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/seal"
	"github.com/larder-cache/larder/internal/vault"
)

var _ seal.Wrapper = (*vault.Transit)(nil)

// engine answers as OpenBao 2.7.2 was recorded to.
type engine struct {
	mu       sync.Mutex // guards the fields below
	token    string
	version  int
	decrypts bool // the token may decrypt only
	fail     int  // answer 503 so many times
	calls    int
}

func (e *engine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.calls++
	refuse := func(status int, text string) {
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"errors":[%q]}`, text)
	}
	var body struct {
		Plaintext  string `json:"plaintext"`
		Ciphertext string `json:"ciphertext"`
		Associated string `json:"associated_data"`
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		refuse(400, "error parsing JSON")
		return
	}
	operation := strings.TrimPrefix(r.URL.Path, "/v1/transit/")
	switch {
	case e.fail > 0:
		e.fail--
		refuse(503, "Vault is sealed")
	case r.Header.Get("X-Vault-Token") != e.token, e.decrypts && operation != "decrypt/larder":
		refuse(403, "permission denied")
	case operation == "encrypt/larder":
		text := base64.StdEncoding.EncodeToString([]byte(body.Associated + "|" + body.Plaintext))
		fmt.Fprintf(w, `{"data":{"ciphertext":"vault:v%d:%s","key_version":%d}}`, e.version, text, e.version)
	case operation == "decrypt/larder":
		text, err := base64.StdEncoding.DecodeString(body.Ciphertext[strings.LastIndex(body.Ciphertext, ":")+1:])
		associated, plaintext, ok := strings.Cut(string(text), "|")
		if err != nil || !ok || associated != body.Associated {
			refuse(400, "cipher: message authentication failed")
			return
		}
		fmt.Fprintf(w, `{"data":{"plaintext":%q}}`, plaintext)
	default:
		refuse(404, "no handler for route")
	}
}

func start(t *testing.T, e *engine) (*vault.Transit, string) {
	t.Helper()
	server := httptest.NewServer(e)
	t.Cleanup(server.Close)
	tokenFile := filepath.Join(t.TempDir(), "token")
	write(t, tokenFile, e.token+"\n")
	transit, err := vault.New(vault.Config{Address: server.URL, TokenFile: tokenFile, Key: "larder", Patience: 500 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	return transit, tokenFile
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestTransit(t *testing.T) {
	e := &engine{token: "first", version: 1}
	transit, tokenFile := start(t, e)
	secret := []byte("thirty-two bytes of key material")
	wrapped, err := transit.Wrap(t.Context(), secret, "generation 1")
	if err != nil {
		t.Fatal(err)
	}
	unwrap := func(what, bind string, wantNewer bool) {
		t.Helper()
		got, newer, err := transit.Unwrap(t.Context(), wrapped, bind)
		if err != nil || !bytes.Equal(got, secret) || (newer != "") != wantNewer {
			t.Errorf("%s: got %q, newer %q, %v", what, got, newer, err)
		}
	}
	unwrap("at once", "generation 1", false)
	if _, _, err := transit.Unwrap(t.Context(), wrapped, "generation 2"); !errors.Is(err, fault.Invalid) {
		t.Errorf("bound to something else: %v", err)
	}
	e.token = "second"
	if _, _, err := transit.Unwrap(t.Context(), wrapped, "generation 1"); !errors.Is(err, fault.Denied) {
		t.Errorf("with a token that ended: %v", err)
	}
	write(t, tokenFile, "second")
	unwrap("with the agent's new token", "generation 1", false)
	e.version = 2
	unwrap("after a rotation", "generation 1", true)
	e.decrypts = true
	unwrap("with a token that only decrypts", "generation 1", false)
}

func TestPatience(t *testing.T) {
	e := &engine{token: "t", version: 1, fail: 2}
	transit, tokenFile := start(t, e)
	if _, err := transit.Wrap(t.Context(), []byte("x"), "b"); err != nil || e.calls != 3 {
		t.Errorf("a server that is unsealed after %d calls: %v", e.calls, err)
	}
	e.fail = 1000
	_, err := transit.Wrap(t.Context(), []byte("x"), "b")
	if !errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "sealed") {
		t.Errorf("a sealed server: %v", err)
	}
	e.fail = 0
	if err := os.Remove(tokenFile); err != nil {
		t.Fatal(err)
	}
	if _, err := transit.Wrap(t.Context(), []byte("x"), "b"); !errors.Is(err, fault.Unavailable) {
		t.Errorf("no token file: %v", err)
	}
}

func TestUnreachable(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	tokenFile := filepath.Join(t.TempDir(), "token")
	write(t, tokenFile, "t")
	transit, err := vault.New(vault.Config{Address: server.URL, TokenFile: tokenFile, Key: "larder", Patience: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	server.Close()
	_, err = seal.Open(t.Context(), filepath.Join(t.TempDir(), "seal.key"), transit, true)
	if !errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "key larder of the Transit engine transit at "+server.URL) {
		t.Errorf("got %v", err)
	}
}

// TestRedirect: a standby sends its callers to the active server, and the token
// goes along, but not off this machine in the clear.
func TestRedirect(t *testing.T) {
	e := &engine{token: "t", version: 1}
	active := httptest.NewServer(e)
	t.Cleanup(active.Close)
	for to, want := range map[string]string{
		active.URL:           "",
		"http://192.0.2.1:1": "in the clear",
		"ftp://127.0.0.1":    "in the clear",
	} {
		standby := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, to+r.URL.Path, http.StatusTemporaryRedirect)
		}))
		t.Cleanup(standby.Close)
		tokenFile := filepath.Join(t.TempDir(), "token")
		write(t, tokenFile, "t")
		transit, err := vault.New(vault.Config{Address: standby.URL, TokenFile: tokenFile, Key: "larder", Patience: time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		_, err = transit.Wrap(t.Context(), []byte("secret"), "b")
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("to %s: %v", to, err)
		}
	}
}

func TestConfig(t *testing.T) {
	good := vault.Config{Address: "https://vault.example:8200/", TokenFile: "token", Key: "larder"}
	if transit, err := vault.New(good); err != nil || transit.Name() != "key larder of the Transit engine transit at https://vault.example:8200" {
		t.Errorf("%v", err)
	}
	for name, spoil := range map[string]func(*vault.Config){
		"no address":    func(c *vault.Config) { c.Address = "" },
		"in the clear":  func(c *vault.Config) { c.Address = "http://vault.example:8200" },
		"a path":        func(c *vault.Config) { c.Address = "https://vault.example/v1" },
		"a password":    func(c *vault.Config) { c.Address = "https://a:b@vault.example" },
		"no token file": func(c *vault.Config) { c.TokenFile = "" },
		"no key":        func(c *vault.Config) { c.Key = "" },
		"a key's path":  func(c *vault.Config) { c.Key = "../../sys/seal" },
		"mount":         func(c *vault.Config) { c.Mount = "../sys" },
		"no authority":  func(c *vault.Config) { c.CAFile = "/nonexistent" },
	} {
		bad := good
		spoil(&bad)
		if _, err := vault.New(bad); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
