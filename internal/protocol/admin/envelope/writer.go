package envelope

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"

	"github.com/larder-cache/larder/internal/iam"
)

// Writer seals what is written to it. Close writes the last chunk; without it
// the envelope does not open.
type Writer struct {
	dst    io.Writer
	chunks *chunks
	plain  []byte // not sealed yet; a full chunk is kept until it is known whether it is the last
	sealed []byte
	err    error
}

// NewWriter writes the header of a new envelope to dst.
//
// Servers answer with PBKDF2AES: a reply needs no more protection from guesses
// than the signature of its request, which is a few HMACs away from the secret
// for whoever sees it, and 64 MiB for each reply would be a gift to a flood.
func NewWriter(dst io.Writer, algorithm Algorithm, secret iam.Secret) (*Writer, error) {
	h := header{algorithm: algorithm}
	rand.Read(h.salt[:])
	rand.Read(h.nonce[:])
	return newWriter(dst, &h, secret)
}

func newWriter(dst io.Writer, h *header, secret iam.Secret) (*Writer, error) {
	aead, err := h.aead(secret.Reveal())
	if err != nil {
		return nil, err
	}
	if _, err := dst.Write(h.append(nil)); err != nil {
		return nil, fmt.Errorf("write envelope header: %w", err)
	}
	return &Writer{dst: dst, chunks: newChunks(h, aead), plain: make([]byte, 0, chunkSize)}, nil
}

// Write seals p, buffering up to 16 KiB.
func (w *Writer) Write(p []byte) (int, error) {
	written := 0
	for len(p) > 0 && w.err == nil {
		if len(w.plain) == chunkSize {
			w.flush(false)
			continue
		}
		n := min(len(p), chunkSize-len(w.plain))
		w.plain = append(w.plain, p[:n]...)
		p, written = p[n:], written+n
	}
	return written, w.err
}

// Close writes the last chunk. It does not close the destination.
func (w *Writer) Close() error {
	if w.err != nil {
		return w.err
	}
	w.flush(true)
	if w.err != nil {
		return w.err
	}
	w.err = errors.New("write to a closed envelope")
	return nil
}

func (w *Writer) flush(last bool) {
	w.sealed, w.err = w.chunks.seal(w.sealed[:0], w.plain, last)
	if w.err == nil {
		if _, err := w.dst.Write(w.sealed); err != nil {
			w.err = fmt.Errorf("write envelope: %w", err)
		}
	}
	w.plain = w.plain[:0]
}
