package sigv4_test

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/larder-cache/larder/internal/protocol/sigv4"
)

// TestVectors runs AWS's vectors: those with unnormalised paths by S3's rules,
// those with normalised ones by the other services', the rest by both.
func TestVectors(t *testing.T) {
	archive, err := txtar.ParseFile("testdata/aws-v4.txtar")
	if err != nil {
		t.Fatal(err)
	}
	files := make(map[string]string)
	for _, f := range archive.Files {
		files[f.Name] = strings.TrimSuffix(string(f.Data), "\n")
	}
	ran := 0
	for name, text := range files {
		test, ok := strings.CutSuffix(name, "-signed-request")
		if !ok {
			continue
		}
		ran++
		t.Run(test, func(t *testing.T) {
			req, body := parseVector(t, text)
			sum := sha256.Sum256(nil)
			if strings.Contains(test, "+body/") {
				sum = sha256.Sum256([]byte(body))
			}
			for _, generic := range rules(test) {
				canonical, ok, err := sigv4.Prove(req, vectorSecret, hex.EncodeToString(sum[:]), generic)
				if err != nil {
					t.Fatal(err)
				}
				// This token was added to the URL behind the signature, which has to show.
				if test == "post-sts-header-after/query" {
					if ok {
						t.Error("a token that is not signed is accepted")
					}
					continue
				}
				if diff := cmp.Diff(files[test+"-canonical-request"], canonical); diff != "" || !ok {
					t.Errorf("generic %v: signature ok: %v\n%s", generic, ok, diff)
				}
			}
		})
	}
	if ran < 70 {
		t.Errorf("only %d vectors ran", ran)
	}
}

// rules returns whether the vector holds for the generic path rules, for S3's, or both.
func rules(test string) []bool {
	switch {
	case strings.Contains(test, "-unnormalized"):
		return []bool{false}
	case strings.Contains(test, "-normalized"):
		return []bool{true}
	}
	return []bool{true, false}
}

// parseVector reads a request as the vectors write it: bytes that no client
// would send unencoded included.
func parseVector(t *testing.T, text string) (req *http.Request, body string) {
	t.Helper()
	head, body, _ := strings.Cut(text, "\n\n")
	line, headers, _ := strings.Cut(head, "\n")
	method, rest, _ := strings.Cut(line, " ")
	target := strings.TrimSuffix(rest, " HTTP/1.1")
	path, query, _ := strings.Cut(target, "?")
	req = &http.Request{Method: method, Header: make(http.Header), ContentLength: -1}
	req.URL = &url.URL{Path: path, RawPath: path, RawQuery: query}
	var name string
	for s := bufio.NewScanner(strings.NewReader(headers)); s.Scan(); {
		value := s.Text()
		if strings.HasPrefix(value, " ") { // a folded line, which net/http joins like this
			values := req.Header[name]
			values[len(values)-1] += " " + strings.TrimSpace(value)
			continue
		}
		name, value, _ = strings.Cut(value, ":")
		name = http.CanonicalHeaderKey(name)
		req.Header.Add(name, value)
	}
	req.Host = req.Header.Get("Host")
	return req, body
}
