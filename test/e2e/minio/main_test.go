// Package minio_test drives the server with the programs that administered MinIO:
// OpenTofu with MinIO's provider, mc, and a MinIO that exports its users.
package minio_test

import (
	"strings"
	"testing"

	"github.com/larder-cache/larder/test/e2e/harness"
)

// host is the server's name in the user's configuration; it resolves to loopback
// in the world, and to the server on machines.
const host = harness.Host

func TestMain(m *testing.M) { harness.Main(m) }

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wants(t *testing.T, text string, all ...string) {
	t.Helper()
	for _, want := range all {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in:\n%s", want, text)
		}
	}
}
