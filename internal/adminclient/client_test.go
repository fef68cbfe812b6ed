package adminclient_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/adminclient"
	"github.com/larder-cache/larder/internal/protocol/sigv4"
)

// answering is a client of a server that always answers the same.
func answering(t *testing.T, status int, body string) *adminclient.Client {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.Header.Get("Authorization"), "//s3/aws4_request") && strings.HasPrefix(r.URL.Path, "/minio/admin/") {
			t.Errorf("%s is signed for a region: %s", r.URL.Path, r.Header.Get("Authorization"))
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body) // the client sees what is missing
	}))
	t.Cleanup(server.Close)
	endpoint, err := adminclient.ParseEndpoint(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	client, err := adminclient.New(adminclient.Target{Endpoint: endpoint, Key: sigv4.Key{ID: "root", Secret: "root-secret"}})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// TestStrangeServers is asked of what is no such server, or a broken one.
func TestStrangeServers(t *testing.T) {
	tests := []struct {
		name   string
		status int
		body   string
		want   string
	}{
		{"admin error", 404, `{"Code":"XMinioAdminNoSuchUser","Message":"The specified user does not exist."}`, "The specified user does not exist (XMinioAdminNoSuchUser)"},
		{"S3 error", 403, `<?xml version="1.0"?><Error><Code>AccessDenied</Code><Message>Access Denied.</Message></Error>`, "Access Denied (AccessDenied)"},
		{"a proxy", 502, `<html>bad gateway</html>`, "the server answers 502 Bad Gateway"},
		{"nothing", 503, ``, "the server answers 503 Service Unavailable"},
		{"a web page", 200, `<html>`, "not the JSON that is expected"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := answering(t, tt.status, tt.body).User(t.Context(), "alice")
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
	if _, err := answering(t, 200, "no envelope").Users(t.Context()); err == nil {
		t.Error("an answer that is not encrypted was believed")
	}
	if err := answering(t, 404, `{"Code":"XMinioAdminNoSuchUser"}`).RemoveUser(t.Context(), "alice"); !adminclient.IsCode(err, "XMinioAdminNoSuchUser") {
		t.Errorf("got %v", err)
	}
}

// TestRedirects goes nowhere that the user has not named: a redirect would take
// the body of a request along.
func TestRedirects(t *testing.T) {
	asked := false
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	t.Cleanup(elsewhere.Close)
	server := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect))
	t.Cleanup(server.Close)
	endpoint, err := adminclient.ParseEndpoint(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	client, err := adminclient.New(adminclient.Target{Endpoint: endpoint, Key: sigv4.Key{ID: "root", Secret: "root-secret"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := client.SetPolicy(t.Context(), "p", []byte("{}")); err == nil || !strings.Contains(err.Error(), "307") || asked {
		t.Errorf("got %v, asked elsewhere: %t", err, asked)
	}
}

// TestTrace reads entries between the spaces that keep a connection alive.
func TestTrace(t *testing.T) {
	client := answering(t, 200, `  {"funcname":"s3.GetObject","path":"/a","http":{"response":{"statuscode":200}}}`+"\n   \n"+`{"funcname":"s3.PutObject"}`+" ")
	var names []string
	for entry, err := range client.Trace(t.Context(), false, time.Second) {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, entry.Function)
	}
	if strings.Join(names, " ") != "s3.GetObject s3.PutObject" {
		t.Errorf("got %v", names)
	}
	for _, err := range answering(t, 200, `{"funcname":`).Trace(t.Context(), false, 0) {
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("a stream cut short: %v", err)
		}
	}
}

func TestEndpoints(t *testing.T) {
	for _, bad := range []string{"", "cache:9000", "ftp://cache", "http://", "https://u:topsecret@cache", "https://cache/path", "https://cache?x", "http://cache:topsecret"} {
		if u, err := adminclient.ParseEndpoint(bad); err == nil {
			t.Errorf("%q is %v", bad, u)
		} else if strings.Contains(err.Error(), "topsecret") {
			t.Errorf("the error shows a secret: %v", err)
		}
	}
	if u, err := adminclient.ParseEndpoint("https://cache:9000/"); err != nil || u.String() != "https://cache:9000" {
		t.Errorf("got %v, %v", u, err)
	}
}

func TestAliases(t *testing.T) {
	dir := t.TempDir()
	write := func(content string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	none := func(string) string { return "" }
	write(`{"version":"10","aliases":{"a":{"url":"https://cache:9000","accessKey":"key","secretKey":"s3/cret+","sessionToken":"t"}}}`)
	target, err := adminclient.Alias("a", dir, none)
	if err != nil || target.Endpoint.Host != "cache:9000" || target.Key.ID != "key" || target.Key.Secret.Reveal() != "s3/cret+" || target.Key.Token != "t" {
		t.Errorf("got %+v, %v", target, err)
	}
	for _, content := range []string{`{"aliases": "topsecret"`, `[]`, `{"aliases":{"a":{"url":"topsecret","accessKey":"k","secretKey":"topsecret"}}}`} {
		write(content)
		if _, err := adminclient.Alias("a", dir, none); err == nil || strings.Contains(strings.ReplaceAll(err.Error(), `"topsecret" needs`, ""), "topsecret") {
			t.Errorf("%s: %v", content, err)
		}
	}
	variables := map[string]struct{ host, secret, token string }{
		"https://key:secret@cache:9000":            {"cache:9000", "secret", ""},
		"https://key:se%2Fcret:to:ken@cache":       {"cache", "se/cret", "to:ken"},
		"http://key:se@cret@cache":                 {"cache", "se@cret", ""},
		"https://key@cache":                        {},
		"https://cache":                            {},
		"key:secret@cache":                         {},
		"https://key:topsecret@cache/more/than/it": {},
	}
	for text, want := range variables {
		target, err := adminclient.Alias("v", dir, func(string) string { return text })
		switch {
		case want.host == "" && err == nil, want.host != "" && err != nil:
			t.Errorf("%s: %v", text, err)
		case err != nil && strings.Contains(err.Error(), "topsecret"):
			t.Errorf("the error shows a secret: %v", err)
		case err == nil && (target.Endpoint.Host != want.host || target.Key.Secret.Reveal() != want.secret || target.Key.Token != want.token):
			t.Errorf("%s: %+v", text, target)
		}
	}
}
