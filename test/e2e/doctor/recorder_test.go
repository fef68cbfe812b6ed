package doctor_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/larder-cache/larder/test/e2e/harness"
)

// recorder is an S3 server without a single object, which notes the first request.
type recorder struct {
	*httptest.Server
	port string

	mu      sync.Mutex
	first   *http.Request
	objects map[string][]byte
	answer  func(http.ResponseWriter, *http.Request) bool // instead of the usual answer; nil for that
}

func newRecorder(t *testing.T) *recorder {
	t.Helper()
	return newTLSRecorder(t, nil)
}

// newTLSRecorder speaks TLS with cert, if there is one.
func newTLSRecorder(t *testing.T, cert *tls.Certificate) *recorder {
	t.Helper()
	l, err := net.Listen("tcp", harness.ServerAddr+":0")
	if err != nil {
		t.Fatal(err)
	}
	r := &recorder{objects: make(map[string][]byte)}
	r.Server = &httptest.Server{Listener: l, Config: &http.Server{Handler: r, ErrorLog: log.New(io.Discard, "", 0)}}
	if cert != nil {
		r.TLS = &tls.Config{Certificates: []tls.Certificate{*cert}}
		r.StartTLS()
	} else {
		r.Start()
	}
	t.Cleanup(r.Close)
	_, r.port, _ = net.SplitHostPort(l.Addr().String())
	return r
}

func (r *recorder) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.first == nil && strings.HasSuffix(req.URL.Path, "/.sccache_check") {
		r.first = req
	}
	if r.answer != nil && r.answer(w, req) {
		return
	}
	if req.Method == http.MethodPut {
		r.objects[req.URL.Path], _ = io.ReadAll(req.Body)
		return
	}
	if content, ok := r.objects[req.URL.Path]; ok {
		_, _ = w.Write(content)
		return
	}
	refuse(w, http.StatusNotFound, "NoSuchKey")
}

func refuse(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, "<Error><Code>%s</Code></Error>", code)
}

// take returns the first request since the last call, "" if there was none: its
// URL, and the access key, with "+token" if a session token was sent.
func (r *recorder) take() (url, key string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	req := r.first
	r.first = nil
	if req == nil {
		return "", ""
	}
	if m := regexp.MustCompile(`Credential=([^/]*)/`).FindStringSubmatch(req.Header.Get("Authorization")); m != nil {
		key = m[1]
	}
	if token := req.Header.Get("X-Amz-Security-Token"); token != "" {
		key += "+" + token
	}
	return "http://" + req.Host + req.URL.Path, key
}
