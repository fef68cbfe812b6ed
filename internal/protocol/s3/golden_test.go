package s3_test

import (
	"bufio"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-cache/larder/internal/object"
	"github.com/larder-cache/larder/internal/protocol/s3"
)

var update = flag.Bool("update", false, "rewrite the answers in testdata")

// TestExchanges replays testdata/*.http: lines that start with ">" are requests
// (the first line, headers, ">", body), signed unless a header "Anonymous" is
// there; lines with "<" are the answers. Anything else is a comment.
//
// $UPLOAD stands for the upload id that the last answer with one held.
func TestExchanges(t *testing.T) {
	files, err := filepath.Glob("testdata/*.http")
	if err != nil || len(files) == 0 {
		t.Fatalf("no exchanges: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".http"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s := newServer(t, s3.Config{Domains: []string{"cache.example:9000", "s3.example"}})
			s.bucket("plain", object.BucketConfig{})
			s.bucket("cache", object.BucketConfig{Cache: true})
			got := replay(t, s, string(want))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("answers differ; if they should, run with -update (-want +got):\n%s", diff)
			}
		})
	}
}

// replay sends the requests of a script and returns it with the answers.
func replay(t *testing.T, s *server, script string) string {
	t.Helper()
	var out strings.Builder
	upload := ""
	var lines []string
	flush := func() {
		if len(lines) == 0 {
			return
		}
		answer := exchange(t, s, lines, upload)
		if found := uploadID.FindStringSubmatch(answer); found != nil {
			upload = found[1]
		}
		if upload != "" {
			answer = strings.ReplaceAll(answer, upload, "$UPLOAD")
		}
		out.WriteString(answer)
		lines = nil
	}
	scanner := bufio.NewScanner(strings.NewReader(script))
	for scanner.Scan() {
		line := scanner.Text()
		switch {
		case strings.HasPrefix(line, ">"):
			lines = append(lines, strings.TrimPrefix(strings.TrimPrefix(line, ">"), " "))
		case strings.HasPrefix(line, "<"):
			continue
		default:
			flush()
		}
		if !strings.HasPrefix(line, "<") {
			out.WriteString(line + "\n")
		}
	}
	flush()
	return out.String()
}

var (
	uploadID  = regexp.MustCompile(`<UploadId>([^<]+)</UploadId>`)
	requestID = regexp.MustCompile(`<RequestId>[0-9A-F]{16}</RequestId>`)
)

// exchange sends one request and returns the answer as lines that start with "<".
func exchange(t *testing.T, s *server, lines []string, upload string) string {
	t.Helper()
	for i := range lines {
		lines[i] = strings.ReplaceAll(lines[i], "$UPLOAD", upload)
	}
	method, target, _ := strings.Cut(lines[0], " ")
	head, body := lines[1:], ""
	if i := slices.Index(head, ""); i >= 0 {
		head, body = head[:i], strings.Join(head[i+1:], "\n")
	}
	var headers []string
	anonymous := false
	for _, line := range head {
		name, value, _ := strings.Cut(line, ": ")
		if anonymous = anonymous || name == "Anonymous"; name != "Anonymous" {
			headers = append(headers, name, value)
		}
	}
	r := request(method, target, body, headers...)
	if !anonymous {
		sign(r, body)
	}
	response := s.do(r)
	return show(t, response)
}

func show(t *testing.T, response reply) string {
	t.Helper()
	var out strings.Builder
	fmt.Fprintf(&out, "< %d %s\n", response.Code, http.StatusText(response.Code))
	if response.Header.Get("X-Amz-Request-Id") == "" {
		t.Error("an answer without request id")
	}
	response.Header.Del("X-Amz-Request-Id")
	for _, name := range slices.Sorted(maps.Keys(response.Header)) {
		for _, value := range response.Header[name] {
			fmt.Fprintf(&out, "< %s: %s\n", name, value)
		}
	}
	if response.Body != "" {
		text := requestID.ReplaceAllString(response.Body, "<RequestId>$$REQUEST</RequestId>")
		text = strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "><", ">\n<")
		out.WriteString("<\n< " + strings.ReplaceAll(text, "\n", "\n< ") + "\n")
	}
	return out.String()
}
