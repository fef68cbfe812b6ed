package s3

import (
	"context"

	"github.com/larder-cache/larder/internal/protocol/sigv4"
)

// FormVerifier establishes who signed a form's policy. A sigv4.Verifier is one.
type FormVerifier interface {
	VerifyForm(ctx context.Context, form sigv4.PolicyForm) (sigv4.Signed, error)
}
