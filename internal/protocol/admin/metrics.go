package admin

import (
	"context"
	"crypto/hmac"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/protocol/edge"
)

const (
	prefixMetrics    = "/minio/v2/metrics/"
	prefixMetricsV3  = "/minio/metrics/v3"
	prometheusIssuer = "prometheus"
	maxToken         = 4096 // bytes
)

// metricsOf says which families each route shows. Every family is on exactly one
// route, so that scraping several counts nothing twice.
var metricsOf = map[string]func(family string) bool{
	"cluster":  func(f string) bool { return !ofProcess(f) && !ofRuntime(f) && !ofBucket(f) },
	"node":     ofRuntime,
	"bucket":   ofBucket,
	"resource": ofProcess,
}

func ofProcess(family string) bool { return strings.HasPrefix(family, "process_") }
func ofRuntime(family string) bool { return strings.HasPrefix(family, "go_") }
func ofBucket(family string) bool {
	return strings.HasPrefix(family, "larder_bucket_") || strings.HasPrefix(family, "minio_bucket_")
}

// metrics answers Prometheus. Its callers have a bearer token that mc made: a
// JWT signed with a secret key, which opens nothing but these routes.
func (p *Protocol) metrics(req *edge.Request, kind string) (*edge.Operation, error) {
	wanted, ok := metricsOf[kind]
	if !ok || req.Method != http.MethodGet {
		return nil, wrongVersion(req.Path)
	}
	op := &edge.Operation{Name: "admin.Prometheus"}
	op.Handler = edge.HandlerFunc(func(_ context.Context, w *edge.Writer, _ *edge.Call) error {
		return p.writeMetrics(w, wanted)
	})
	if p.config.PublicMetrics {
		op.Auth = edge.Public
		return op, nil
	}
	token, bearer := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer ")
	if !bearer {
		op.Checks = []iam.Check{{Action: "admin:Prometheus"}}
		return op, checkSignature(req, op)
	}
	op.Auth = edge.Own
	op.Login = func(ctx context.Context, call *edge.Call) (edge.Identity, []iam.Check, error) {
		credential, err := p.bearer(ctx, token, call.Time)
		return edge.Identity{Credential: credential}, []iam.Check{{Action: "admin:Prometheus"}}, err
	}
	return op, nil
}

// newerMetrics says to whoever asks where the metrics are.
func newerMetrics() *edge.Operation {
	return &edge.Operation{Name: "admin.Prometheus", Auth: edge.Public, Handler: edge.HandlerFunc(func(context.Context, *edge.Writer, *edge.Call) error {
		return unsupported("Larder does not offer this: metrics in version 3; ask %scluster, bucket, node or resource.", prefixMetrics)
	})}
}

// bearer verifies a token and returns whose it is.
//
// go-jose reads the token, and refuses every algorithm but HS512; the signature
// is computed here, because go-jose takes no key of fewer than 64 bytes, and
// secret keys are shorter than that.
func (p *Protocol) bearer(ctx context.Context, token string, now time.Time) (iam.Credential, error) {
	if len(token) > maxToken {
		return iam.Credential{}, badToken(errors.New("too long"))
	}
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.HS512})
	if err != nil {
		return iam.Credential{}, badToken(err)
	}
	var claims jwt.Claims
	if err := parsed.UnsafeClaimsWithoutVerification(&claims); err != nil {
		return iam.Credential{}, badToken(err)
	}
	credential, err := p.identity.Credential(ctx, iam.AccessKeyID(claims.Subject), "")
	if errors.Is(err, fault.Unauthenticated) {
		return iam.Credential{}, badToken(err)
	}
	if err != nil {
		return iam.Credential{}, err
	}
	if !signedHS512(token, credential.Secret) {
		return iam.Credential{}, badToken(errors.New("the signature does not match"))
	}
	if claims.Expiry == nil {
		return iam.Credential{}, badToken(errors.New("no expiry"))
	}
	if err := claims.ValidateWithLeeway(jwt.Expected{Issuer: prometheusIssuer, Time: now}, 0); err != nil {
		return iam.Credential{}, badToken(err)
	}
	return credential, nil
}

// signedHS512 reports whether the text of a token is signed with secret.
func signedHS512(token string, secret iam.Secret) bool {
	end := strings.LastIndexByte(token, '.')
	if end < 0 {
		return false
	}
	signature, err := base64.RawURLEncoding.DecodeString(token[end+1:])
	if err != nil {
		return false
	}
	mac := hmac.New(sha512.New, []byte(secret.Reveal()))
	mac.Write([]byte(token[:end]))
	return hmac.Equal(mac.Sum(nil), signature)
}

// badToken is the one answer to every token that is not good, so that it does
// not tell which keys exist.
func badToken(err error) error { return fault.Wrap(fault.Unauthenticated, fault.Token, "", err) }

// writeMetrics writes the families that are wanted as text.
func (p *Protocol) writeMetrics(w *edge.Writer, wanted func(string) bool) error {
	families, err := p.config.Metrics.Gather()
	if err != nil {
		return fmt.Errorf("gather metrics: %w", err)
	}
	format := expfmt.NewFormat(expfmt.TypeTextPlain)
	w.Header().Set("Content-Type", string(format))
	encoder := expfmt.NewEncoder(w, format)
	for _, family := range families {
		if wanted(family.GetName()) {
			if err := encode(encoder, family); err != nil {
				return err
			}
		}
	}
	return nil
}

func encode(encoder expfmt.Encoder, family *dto.MetricFamily) error {
	if err := encoder.Encode(family); err != nil {
		return fmt.Errorf("encode metrics: %w", err)
	}
	return nil
}
