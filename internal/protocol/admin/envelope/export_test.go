package envelope

import (
	"context"
	"io"

	"github.com/larder-cache/larder/internal/iam"
)

// NewWriterWith is NewWriter with a given salt and nonce.
func NewWriterWith(dst io.Writer, algorithm Algorithm, secret iam.Secret, salt [32]byte, nonce [8]byte) (*Writer, error) {
	return newWriter(dst, &header{salt: salt, algorithm: algorithm, nonce: nonce}, secret)
}

// Enter waits for the gate's turn.
func (g *Gate) Enter(ctx context.Context, line string) (leave func(), err error) {
	return g.enter(ctx, line)
}
