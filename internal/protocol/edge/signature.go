package edge

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/larder-cache/larder/internal/protocol/sigv4"
)

// Signatures returns an Authenticator that believes Signature Version 4.
func Signatures(verifier *sigv4.Verifier) Authenticator { return signatures{verifier} }

type signatures struct{ verifier *sigv4.Verifier }

// Authenticate implements Authenticator.
func (s signatures) Authenticate(ctx context.Context, r *http.Request) (Identity, error) {
	signed, err := s.verifier.Verify(ctx, r)
	if err != nil {
		return Identity{}, err
	}
	identity := Identity{
		Credential: signed.Credential, Type: signed.Type, SignedAt: signed.SignedAt,
		Body: signed.Body, Length: signed.Length,
	}
	if signed.Streaming {
		identity.Trailer = signed.Body.Trailer
	}
	return identity, nil
}

// Facts that are the same for every request signed in the header. Never changed.
var headerFacts = map[string][]string{
	"s3:authType": {"REST-HEADER"}, "s3:signatureversion": {"AWS4-HMAC-SHA256"},
}

// signatureFacts adds what policies may ask about the signature. A request
// without other facts, which is nearly every one, shares a map.
func signatureFacts(facts map[string][]string, kind sigv4.Type, signedAt, now time.Time) map[string][]string {
	switch {
	case kind == sigv4.Anonymous:
		return facts
	case kind == sigv4.Header && facts == nil:
		return headerFacts
	case facts == nil:
		facts = make(map[string][]string, 3)
	}
	facts["s3:authType"] = []string{kind.String()}
	facts["s3:signatureversion"] = headerFacts["s3:signatureversion"]
	if kind == sigv4.Presigned {
		facts["s3:signatureAge"] = []string{strconv.FormatInt(now.Sub(signedAt).Milliseconds(), 10)}
	}
	return facts
}
