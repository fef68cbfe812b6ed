package vault_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/seal"
	"github.com/larder-cache/larder/internal/vault"
)

// openBao starts a real OpenBao in dev mode and returns its address; its root
// token is "root". It returns "" where the program is not installed.
func openBao(t *testing.T) string {
	t.Helper()
	programs, err := filepath.Glob(filepath.Join(os.Getenv("LARDER_CACHE"), "bao-*", "bin", "bao"))
	if err != nil || len(programs) == 0 || os.Getenv("LARDER_CACHE") == "" {
		t.Log("NOT RUN AGAINST OPENBAO: LARDER_CACHE names no folder with it; 'make tools' installs it")
		return ""
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, programs[len(programs)-1], "server", "-dev", "-dev-root-token-id=root", "-dev-no-store-token", "-dev-listen-address="+address)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait() // it was told to end
	})
	return "http://" + address
}

// bao sends one request as its administrator, until the server answers.
func bao(t *testing.T, address, method, path string, body any) {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(30 * time.Second)
	for {
		request, err := http.NewRequestWithContext(t.Context(), method, address+"/v1/"+path, bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("X-Vault-Token", "root")
		response, err := http.DefaultTransport.RoundTrip(request)
		if err == nil {
			response.Body.Close()
			if response.StatusCode < 300 {
				return
			}
			if response.StatusCode < 500 {
				t.Fatalf("%s %s: %s", method, path, response.Status)
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s %s: %v", method, path, err)
		}
		select {
		case <-t.Context().Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// TestOpenBao takes a seal key through the life of a Transit key: wrapped,
// unwrapped, rotated and wrapped again; an older file put back once the older
// version is refused; another deployment's.
func TestOpenBao(t *testing.T) {
	address := openBao(t)
	if address == "" {
		return
	}
	bao(t, address, "POST", "sys/mounts/transit", map[string]any{"type": "transit"})
	for name, settings := range map[string]map[string]any{"plain": {}, "derived": {"derived": true}, "chacha": {"type": "chacha20-poly1305"}} {
		t.Run(name, func(t *testing.T) {
			bao(t, address, "POST", "transit/keys/"+name, settings)
			tokenFile, file := filepath.Join(t.TempDir(), "token"), filepath.Join(t.TempDir(), "seal.key")
			write(t, tokenFile, "root")
			transit, err := vault.New(vault.Config{Address: address, TokenFile: tokenFile, Key: name, Patience: time.Second})
			if err != nil {
				t.Fatal(err)
			}
			made, err := seal.Open(t.Context(), file, transit, true)
			if err != nil {
				t.Fatal(err)
			}
			first, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			bao(t, address, "POST", "transit/keys/"+name+"/rotate", nil)
			again, err := seal.Open(t.Context(), file, transit, false)
			if err != nil || again.KeyID() != made.KeyID() {
				t.Fatalf("after the rotation: %v", err)
			}
			second, err := os.ReadFile(file)
			if err != nil || !strings.Contains(string(second), "vault:v2:") {
				t.Fatalf("the key was not wrapped again: %s, %v", second, err)
			}
			bao(t, address, "POST", "transit/keys/"+name+"/config", map[string]any{"min_decryption_version": 2})
			for what, text := range map[string]string{
				"an older file":        string(first),
				"another generation":   strings.Replace(string(second), `"generation": 1`, `"generation": 2`, 1),
				"another deployment's": strings.Replace(string(second), `"deployment": "`, `"deployment": "A`, 1),
			} {
				write(t, file, text)
				if _, err := seal.Open(t.Context(), file, transit, false); !errors.Is(err, fault.Invalid) {
					t.Errorf("%s: %v", what, err)
				}
			}
			write(t, file, string(second))
			write(t, tokenFile, "revoked")
			if _, err := seal.Open(t.Context(), file, transit, false); !errors.Is(err, fault.Denied) {
				t.Errorf("with a token that is none: %v", err)
			}
		})
	}
}
