package envelope

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/larder-cache/larder/internal/iam"
)

// Reader opens an envelope as it is read. Errors of a wrong or damaged envelope
// wrap ErrSealed.
type Reader struct {
	src    *bufio.Reader
	chunks *chunks
	buf    [chunkSize + tagSize]byte
	plain  []byte // what of the current chunk is not read yet; lies in buf
	last   bool   // the current chunk is the last one
	err    error
}

// NewReader reads the header of an envelope from src and derives its key from
// secret, in turn with all others of the gate. It is fault.Busy when too many
// derivations of the same caller, whatever names it, wait.
func NewReader(ctx context.Context, gate *Gate, src io.Reader, caller string, secret iam.Secret) (*Reader, error) {
	var raw [headerSize]byte
	if _, err := io.ReadFull(src, raw[:]); err != nil {
		return nil, short("read envelope header", err)
	}
	h, err := parseHeader(&raw)
	if err != nil {
		return nil, err
	}
	leave, err := gate.enter(ctx, caller)
	if err != nil {
		return nil, err
	}
	defer leave()
	aead, err := h.aead(secret.Reveal())
	if err != nil {
		return nil, err
	}
	return &Reader{src: bufio.NewReader(src), chunks: newChunks(&h, aead)}, nil
}

// Read returns verified plaintext.
func (r *Reader) Read(p []byte) (int, error) {
	for len(r.plain) == 0 && r.err == nil {
		r.err = r.open()
	}
	if len(r.plain) == 0 {
		return 0, r.err
	}
	n := copy(p, r.plain)
	r.plain = r.plain[n:]
	return n, nil
}

// open reads and verifies the next chunk.
func (r *Reader) open() error {
	if r.last {
		return io.EOF
	}
	n, err := io.ReadFull(r.src, r.buf[:])
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		r.last = true
	case err != nil:
		return short("read envelope", err)
	default:
		if _, err := r.src.Peek(1); errors.Is(err, io.EOF) {
			r.last = true
		} else if err != nil {
			return fmt.Errorf("read envelope: %w", err)
		}
	}
	r.plain, err = r.chunks.open(r.buf[:0], r.buf[:n], r.last)
	return err
}

// short turns an end that came too early into ErrSealed.
func short(doing string, err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%s: cut short: %w", doing, ErrSealed)
	}
	return fmt.Errorf("%s: %w", doing, err)
}
