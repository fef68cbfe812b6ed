package s3

import (
	"context"

	"github.com/larder-cache/larder/internal/protocol/edge"
)

// refusal is an operation that is authorised and then answers an error, so that
// only those who may ask learn even that.
type refusal struct{ err error }

// Serve returns the error.
func (r refusal) Serve(context.Context, *edge.Writer, *edge.Call) error { return r.err }
