package doctor_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/certs"
	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/protocol/sigv4"
)

const (
	accessKey = "AKIADOCTOR"
	secret    = "the-secret-nobody-may-see"
	expired   = "expired-token-nobody-may-see"
)

// s3 is a small S3 server: one bucket, one user, real signatures.
type s3 struct {
	*httptest.Server
	bucket     string
	domain     string // "" for path style alone
	mayRead    bool
	mayWrite   bool
	full       bool
	spares     string // what is written all the same to a full server
	brokenBody bool   // what is read is not what was written

	mu      sync.Mutex // guards the following
	objects map[string][]byte
	wrote   []string // keys, in order
	verify  *sigv4.Verifier
}

func newS3(t *testing.T) *s3 {
	t.Helper()
	s := &s3{bucket: "sccache", mayRead: true, mayWrite: true, objects: make(map[string][]byte)}
	verifier, err := sigv4.New(s, sigv4.Config{})
	if err != nil {
		t.Fatal(err)
	}
	s.verify = verifier
	s.Server = httptest.NewUnstartedServer(s)
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // it would tell of every probe for TLS
	t.Cleanup(s.Close)
	return s
}

// plain serves HTTP.
func (s *s3) plain() { s.Start() }

// secure serves TLS with a certificate for names that was made at the time made,
// and returns the file of the authority.
func (s *s3) secure(t *testing.T, made time.Time, names ...string) (caFile string) {
	t.Helper()
	dir := t.TempDir()
	authority, err := certs.NewAuthority(dir, names, func() time.Time { return made })
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "public.crt"), filepath.Join(dir, "private.key"))
	if err != nil {
		t.Fatal(err)
	}
	s.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	s.StartTLS()
	return authority.CAFile()
}

func (s *s3) port() string {
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	return port
}

// Credential implements sigv4.Credentials.
func (s *s3) Credential(_ context.Context, id iam.AccessKeyID, token string) (iam.Credential, error) {
	switch {
	case id != accessKey:
		return iam.Credential{}, fault.New(fault.Unauthenticated, fault.AccessKey, string(id))
	case token == expired:
		return iam.Credential{}, fault.New(fault.Unauthenticated, fault.Session, "expired")
	case token != "":
		return iam.Credential{}, fault.New(fault.Unauthenticated, fault.Token, "")
	}
	return iam.Credential{Principal: iam.Principal{Kind: iam.User, User: "builder", AccessKey: id}, Secret: secret}, nil
}

func (s *s3) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	bucket, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	host, _, _ := net.SplitHostPort(r.Host)
	if label, ok := strings.CutSuffix(host, "."+s.domain); ok && s.domain != "" {
		bucket, key = label, strings.TrimPrefix(r.URL.Path, "/")
	}
	signed, err := s.verify.Verify(r.Context(), r)
	switch signature, isSignature := errors.AsType[*sigv4.Error](err); {
	case isSignature:
		refuse(w, signature.Code.Status(), signature.Code.String(), bucket)
	case err != nil && strings.Contains(err.Error(), "expired"):
		refuse(w, 400, "ExpiredToken", bucket)
	case err != nil && strings.Contains(err.Error(), "token"):
		refuse(w, 400, "InvalidToken", bucket)
	case err != nil:
		refuse(w, 403, "InvalidAccessKeyId", bucket)
	case signed.Type == sigv4.Anonymous:
		refuse(w, 403, "AccessDenied", bucket)
	case strings.HasPrefix(bucket, "."):
		refuse(w, 400, "InvalidBucketName", bucket)
	case bucket != s.bucket:
		refuse(w, 404, "NoSuchBucket", bucket)
	default:
		s.object(w, r, key, signed.Body)
	}
}

func (s *s3) object(w http.ResponseWriter, r *http.Request, key string, body io.Reader) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch content, found := s.objects[key]; {
	case r.Method == http.MethodGet && !s.mayRead, r.Method != http.MethodGet && !s.mayWrite, r.Method == http.MethodDelete:
		refuse(w, 403, "AccessDenied", s.bucket)
	case r.Method == http.MethodPut && s.full && (s.spares == "" || !strings.HasSuffix(r.URL.Path, s.spares)):
		refuse(w, 507, "XMinioStorageFull", s.bucket)
	case r.Method == http.MethodPut:
		content, err := io.ReadAll(body)
		if err != nil {
			refuse(w, 400, "IncompleteBody", s.bucket)
			return
		}
		if s.brokenBody && len(content) > 100 {
			content = append([]byte("x"), content[1:]...)
		}
		s.objects[key] = content
		s.wrote = append(s.wrote, key)
	case !found:
		refuse(w, 404, "NoSuchKey", s.bucket)
	default:
		_, _ = w.Write(content)
	}
}

func refuse(w http.ResponseWriter, status int, code, bucket string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, "<?xml version=\"1.0\"?>\n<Error><Code>%s</Code><BucketName>%s</BucketName></Error>", code, bucket)
}
