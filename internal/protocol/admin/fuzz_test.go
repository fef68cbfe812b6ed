package admin_test

import (
	"crypto/sha512"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/protocol/admin"
	"github.com/larder-cache/larder/internal/protocol/edge"
)

// FuzzArchive reads archives of whatever bytes.
func FuzzArchive(f *testing.F) {
	good, err := os.ReadFile("testdata/minio-export.zip")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Add([]byte("PK\x05\x06" + strings.Repeat("\x00", 18)))
	f.Fuzz(func(_ *testing.T, archive []byte) {
		_ = admin.ReadArchive(archive) // it must only not panic, and stay within bounds
	})
}

// FuzzRoute routes whatever path and query: an operation that may be served has
// somebody to authorise.
func FuzzRoute(f *testing.F) {
	for _, r := range samples {
		path, query, _ := strings.Cut(r.path, "?")
		name, value, _ := strings.Cut(query, "=")
		f.Add(r.method, "/minio/admin/v3/"+path, name, value)
	}
	f.Add("GET", "/minio/v2/metrics/cluster", "", "")
	f.Add("POST", "/minio/kms/v1/status", "", "")
	protocol, err := admin.New(nil, nil, admin.Config{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, method, path, name, value string) {
		req := &edge.Request{Method: method, Path: path, Query: edge.Query{{Name: name, Value: value}}, Header: http.Header{}}
		if !protocol.Accepts(req) {
			return
		}
		op, err := protocol.Route(req)
		if err != nil {
			return
		}
		switch {
		case op.Auth == edge.Signed && len(op.Checks) > 0, op.Auth == edge.Caller, op.Auth == edge.Own && op.Login != nil:
		default:
			t.Errorf("%s %s: nobody is authorised: %+v", method, path, op)
		}
	})
}

// FuzzToken offers tokens that nobody signed.
func FuzzToken(f *testing.F) {
	f.Add(token(sha512.New, hs512, claims(rootName, time.Now().Add(time.Hour)), "wrong"))
	f.Add("a.b.c")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		if admin.SignedHS512(text, "the secret that no input knows, 4c1a9be2") {
			t.Errorf("%q is signed", text)
		}
	})
}

// TestEveryKindHasAnAnswer holds the table of errors to all kinds of faults.
func TestEveryKindHasAnAnswer(t *testing.T) {
	for _, kind := range fault.Kinds() {
		code, status := admin.AnswerTo(fault.New(kind, fault.None, "x"))
		if code == "" || status < 300 || (code == "InternalError") != (kind == fault.Internal || kind == fault.Corrupt) {
			t.Errorf("%v is answered %d %s", kind, status, code)
		}
	}
}
