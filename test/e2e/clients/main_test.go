// Package clients_test drives the server with the S3 clients that people have.
package clients_test

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/larder-cache/larder/test/e2e/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// oddKeys are names that servers have cleaned, decoded twice or taken for paths.
func oddKeys() []string {
	return []string{
		"plain", "a", "a/b", "a//b", "/leading", "trailing/", "./dot", "../up", "a/../b", "a/./b", "with space", "plus+sign",
		"per%cent", "%2F", "%2e%2e/x", "q?x=y&z", "hash#x", "ümläut/ß", "日本語/キー", "emoji-🦀", "quote'\"", "<xml>&amp;", "back\\slash",
		"semi;colon", "star*", "tilde~", "comma,eq=", "colon:at@", "(paren)", "$dollar", "!bang", "pipe|", "[sq]", "{br}", "^caret", "`tick`",
	}
}

// random is n bytes that are the same at each run.
func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1, byte(n)}).Read(b)
	return b
}

func same(t *testing.T, what string, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Errorf("%s: got %d bytes that are not the %d bytes written", what, len(got), len(want))
	}
}

// both runs test over HTTP and over TLS, each with a server whose root it knows:
// some clients sign their bodies on plain HTTP only.
func both(t *testing.T, test func(t *testing.T, s *harness.Server)) {
	t.Helper()
	t.Run("http", func(t *testing.T) { test(t, harness.NewRootServer(t, harness.Options{})) })
	t.Run("https", func(t *testing.T) {
		test(t, harness.NewRootServer(t, harness.Options{CA: harness.NewAuthority(t)}))
	})
}
