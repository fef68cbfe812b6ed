package envelope_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"testing"
	"testing/iotest"
	"testing/synctest"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/protocol/admin/envelope"
)

// vector is one envelope that secure-io/sio-go 0.3.1 made.
type vector struct {
	algorithm int
	secret    string
	salt      [32]byte
	nonce     [8]byte
	size      int
	sum       string
}

func vectors(t *testing.T) []vector {
	t.Helper()
	file, err := os.Open("testdata/sio-go-0.3.1.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var all []vector
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if lines.Text()[0] == '#' {
			continue
		}
		var v vector
		var salt, nonce string
		if _, err := fmt.Sscan(lines.Text(), &v.algorithm, &v.secret, &salt, &nonce, &v.size, &v.sum); err != nil {
			t.Fatal(err)
		}
		hex.Decode(v.salt[:], []byte(salt))
		hex.Decode(v.nonce[:], []byte(nonce))
		all = append(all, v)
	}
	return all
}

func plaintext(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(7 * i % 251)
	}
	return b
}

func open(t *testing.T, sealed []byte, secret string) ([]byte, error) {
	t.Helper()
	r, err := envelope.NewReader(t.Context(), &envelope.Gate{}, bytes.NewReader(sealed), "caller", iam.Secret(secret))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

func seal(t *testing.T, algorithm envelope.Algorithm, secret string, plain []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	w, err := envelope.NewWriter(&buf, algorithm, iam.Secret(secret))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func TestVectors(t *testing.T) {
	for _, v := range vectors(t) {
		t.Run(fmt.Sprintf("algorithm %d size %d", v.algorithm, v.size), func(t *testing.T) {
			var buf bytes.Buffer
			w, err := envelope.NewWriterWith(&buf, envelope.Algorithm(v.algorithm), iam.Secret(v.secret), v.salt, v.nonce)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(w, iotest.HalfReader(bytes.NewReader(plaintext(v.size)))); err != nil {
				t.Fatal(err)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprintf("%x", sha256.Sum256(buf.Bytes())); got != v.sum {
				t.Errorf("envelope has SHA-256 %s, want %s", got, v.sum)
			}
			if got, want := int64(buf.Len()), envelope.Size(int64(v.size)); got != want {
				t.Errorf("envelope has %d bytes, Size says %d", got, want)
			}
			plain, err := open(t, buf.Bytes(), v.secret)
			if err != nil || !bytes.Equal(plain, plaintext(v.size)) {
				t.Errorf("opened to %d bytes, error %v", len(plain), err)
			}
		})
	}
}

func TestWhatDoesNotOpen(t *testing.T) {
	good := seal(t, envelope.PBKDF2AES, "secret", plaintext(40000))
	flip := func(at int) []byte {
		b := bytes.Clone(good)
		b[at] ^= 1
		return b
	}
	const first, second = 41, 41 + 16400
	tests := []struct {
		name   string
		sealed []byte
		secret string
	}{
		{"empty", nil, "secret"},
		{"header only", good[:41], "secret"},
		{"header cut", good[:40], "secret"},
		{"other secret", good, "Secret"},
		{"salt altered", flip(3), "secret"},
		{"unknown algorithm", append(append(bytes.Clone(good[:32]), 3), good[33:]...), "secret"},
		{"nonce altered", flip(34), "secret"},
		{"first chunk altered", flip(first), "secret"},
		{"last tag altered", flip(len(good) - 1), "secret"},
		{"cut at a chunk's end", good[:second], "secret"},
		{"cut in a chunk", good[:len(good)-1], "secret"},
		{"cut in a tag", good[:second+5], "secret"},
		{"more behind the end", append(bytes.Clone(good), 0), "secret"},
		{"first chunk left out", append(bytes.Clone(good[:first]), good[second:]...), "secret"},
		{"first chunk twice", append(bytes.Clone(good[:second]), good[first:]...), "secret"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := open(t, tt.sealed, tt.secret); !errors.Is(err, envelope.ErrSealed) {
				t.Errorf("got %v, want ErrSealed", err)
			}
		})
	}
}

func TestReaderReleasesOnlyVerifiedChunks(t *testing.T) {
	sealed := seal(t, envelope.PBKDF2AES, "secret", plaintext(40000))
	sealed[41+16400] ^= 1
	plain, err := open(t, sealed, "secret")
	if !errors.Is(err, envelope.ErrSealed) || len(plain) != 16<<10 {
		t.Errorf("got %d bytes and %v, want the first chunk and ErrSealed", len(plain), err)
	}
}

func TestReaderPassesOtherErrors(t *testing.T) {
	broken := errors.New("connection lost")
	_, err := envelope.NewReader(t.Context(), &envelope.Gate{}, iotest.ErrReader(broken), "caller", "secret")
	if !errors.Is(err, broken) || errors.Is(err, envelope.ErrSealed) {
		t.Errorf("got %v, want the connection's error", err)
	}
}

func TestWriteAfterClose(t *testing.T) {
	w, err := envelope.NewWriter(io.Discard, envelope.PBKDF2AES, "secret")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("x")); err == nil {
		t.Error("a closed envelope took another byte")
	}
	if err := w.Close(); err == nil {
		t.Error("an envelope was closed twice")
	}
}

// TestGate holds the only turn and looks at who else may wait for it.
func TestGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := &envelope.Gate{Waiting: 2}
		leave, err := gate.Enter(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		got := make(chan error, 2)
		wait := func(ctx context.Context, key string) {
			leave, err := gate.Enter(ctx, key)
			if err == nil {
				leave()
			}
			got <- err
		}
		go wait(ctx, "a")
		synctest.Wait()
		if _, err := gate.Enter(t.Context(), "a"); !errors.Is(err, fault.Busy) {
			t.Errorf("a third derivation of one key: %v, want busy", err)
		}
		cancel()
		if err := <-got; !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled derivation: %v", err)
		}
		go wait(t.Context(), "b")
		synctest.Wait()
		if len(got) != 0 {
			t.Error("two derivations ran at once")
		}
		leave()
		if err := <-got; err != nil {
			t.Errorf("another key's derivation: %v", err)
		}
	})
}

func FuzzReader(f *testing.F) {
	var buf bytes.Buffer
	w, err := envelope.NewWriterWith(&buf, envelope.PBKDF2AES, "secret", [32]byte{1}, [8]byte{2})
	if err != nil {
		f.Fatal(err)
	}
	w.Write(plaintext(100))
	w.Close()
	good := buf.Bytes()
	f.Add(good)
	f.Add(good[:41])
	f.Fuzz(func(t *testing.T, sealed []byte) {
		if len(sealed) > 32 {
			sealed[32] = byte(envelope.PBKDF2AES) // the costly derivations say nothing more
		}
		r, err := envelope.NewReader(t.Context(), &envelope.Gate{}, bytes.NewReader(sealed), "caller", "secret")
		if err != nil {
			return
		}
		if _, err := io.ReadAll(r); err == nil && !bytes.Equal(sealed, good) {
			t.Error("an envelope opened that nobody sealed")
		}
	})
}

func BenchmarkArgon2Open(b *testing.B) {
	var buf bytes.Buffer
	w, err := envelope.NewWriter(&buf, envelope.Argon2AES, "secret")
	if err != nil {
		b.Fatal(err)
	}
	w.Close()
	gate := &envelope.Gate{}
	for b.Loop() {
		if _, err := envelope.NewReader(b.Context(), gate, bytes.NewReader(buf.Bytes()), "caller", "secret"); err != nil {
			b.Fatal(err)
		}
	}
}
