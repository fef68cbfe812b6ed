package sccache_test

import (
	"context"
	"io"
	"net"
	"path/filepath"
	"testing"

	"github.com/larder-cache/larder/internal/sccache"
)

// FuzzFiles reads files that anybody may have written, and settings made of them.
func FuzzFiles(f *testing.F) {
	f.Add("[cache.s3]\nbucket='b'\nregion='r'\nno_credentials=false\nendpoint='http://b.h:80/x'\n")
	f.Add("[default]\naws_access_key_id = A\naws_secret_access_key=s\n[profile x]\n=\n[")
	f.Add("127.0.0.1 a b # c\n::1 a\n\n1 2 3\n")
	f.Add("nameserver ::1\nsearch . -- a.\noptions ndots:99 ndots: ndots:-1\nsearch\n")
	f.Add("[env]\nA = { value = 1, relative = true }\nSCCACHE_BUCKET = 'b'\n")
	f.Fuzz(func(t *testing.T, content string) {
		root := t.TempDir()
		for _, name := range []string{".config/sccache/config", ".aws/credentials", ".aws/config", ".cargo/config.toml", "etc/hosts", "etc/resolv.conf"} {
			write(t, filepath.Join(root, name), content)
		}
		env, _ := sccache.Environ{"HOME": root, "SCCACHE_ENDPOINT": content}.WithCargo(root)
		for _, version := range []sccache.Version{v16, v19} {
			s, err := sccache.ReadSettings(env, version, "linux")
			if err == nil && s.UsesS3() {
				if a, err := s.Address(); err == nil {
					_ = a.Object(s.KeyPrefix, ".sccache_check")
					_ = env.Proxy(a)
				}
				_ = s.Credentials(env, version)
			}
		}
		for _, rules := range []sccache.Rules{sccache.Glibc, sccache.Musl, sccache.Own} {
			r := sccache.Resolver{Rules: rules, Root: root, Getent: "-", Dial: func(context.Context, string, string) (net.Conn, error) { return nil, io.EOF }}
			_, _ = r.Find(t.Context(), "a.b")
		}
	})
}

// FuzzNameServer takes whatever a name server answers.
func FuzzNameServer(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("\x00\x00\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00\x01a\x00\x00\x01\x00\x01\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\x7f\x00\x00\x01"))
	f.Fuzz(func(t *testing.T, answer []byte) {
		r := sccache.Resolver{Rules: sccache.Musl, Root: t.TempDir(), Dial: func(context.Context, string, string) (net.Conn, error) {
			client, server := net.Pipe()
			go func() {
				defer func() { _ = server.Close() }()
				buf := make([]byte, 512)
				if n, err := server.Read(buf); err == nil && n > 1 && len(answer) > 1 {
					_, _ = server.Write(append(buf[:2:2], answer[2:]...))
				}
			}()
			return client, nil
		}}
		_, _ = r.Find(t.Context(), "a")
	})
}
