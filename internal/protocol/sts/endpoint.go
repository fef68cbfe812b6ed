package sts

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/protocol/edge"
	"github.com/larder-cache/larder/internal/protocol/oidc"
)

// Path is where AWS_CONTAINER_CREDENTIALS_FULL_URI points.
const Path = "/larder/v1/credentials"

// Endpoint is the protocol of AWS's container credentials. It implements
// edge.Protocol.
//
//	GET /larder/v1/credentials[?duration=6h]
//	Authorization: <token of an outside issuer, or our session token>
//
//	{"AccessKeyId":…,"SecretAccessKey":…,"Token":…,"Expiration":"2026-11-23T12:00:00Z"}
//
// https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
type Endpoint struct{ service *Service }

var _ edge.Protocol = (*Endpoint)(nil)

// Endpoint returns the protocol of AWS's container credentials.
func (s *Service) Endpoint() *Endpoint { return &Endpoint{s} }

// Accepts takes the one path. No bucket can be read there: "larder/v1/credentials"
// is a key of bucket "larder" in path style, which is given up for it.
func (e *Endpoint) Accepts(req *edge.Request) bool { return req.Path == Path }

// Route tells an exchange from a revocation.
func (e *Endpoint) Route(req *edge.Request) (*edge.Operation, error) {
	switch req.Method {
	case http.MethodGet:
		return e.routeExchange(req)
	case http.MethodDelete:
		return &edge.Operation{Name: "sts.RevokeSession", Auth: edge.Caller, Handler: edge.HandlerFunc(e.revoke)}, nil
	}
	return nil, fault.New(fault.Unsupported, fault.None, req.Method)
}

var errClear = &Error{Code: AccessDenied, Message: "A token was sent in the clear and must be taken for known to others: this endpoint answers only over TLS, or on the machine itself."}

func (e *Endpoint) routeExchange(req *edge.Request) (*edge.Operation, error) {
	if !private(req) {
		return nil, errClear
	}
	tokens := req.Header["Authorization"]
	if len(tokens) != 1 || tokens[0] == "" {
		return nil, &Error{Code: MissingAuthenticationToken, Message: "The Authorization header holds no token: set AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE."}
	}
	raw := strings.TrimSpace(strings.TrimPrefix(tokens[0], "Bearer "))
	var duration time.Duration
	if text := req.Query.Get("duration"); text != "" {
		var err error
		if duration, err = time.ParseDuration(text); err != nil || duration < iam.MinSession || duration > iam.MaxSession {
			return nil, invalid("duration is not between 3m and 8760h.")
		}
	}
	return &edge.Operation{Name: "sts.Credentials", Auth: edge.Public, Handler: edge.HandlerFunc(
		func(ctx context.Context, w *edge.Writer, call *edge.Call) error {
			session, err := e.exchange(ctx, call, raw, duration)
			if err != nil {
				return err
			}
			return writeJSON(w, http.StatusOK, containerCredentials{
				AccessKeyID: string(session.AccessKey), SecretAccessKey: session.Secret.Reveal(),
				Token: session.Token, Expiration: session.Expires.UTC().Format(time.RFC3339),
			})
		})}, nil
}

// private reports whether nobody on the way can have read the request. A proxy on
// this machine that is not trusted may have had it in the clear.
func private(req *edge.Request) bool {
	forwarded := req.Header["Forwarded"] != nil || req.Header["Via"] != nil || req.Header["X-Forwarded-For"] != nil
	return req.TLS || req.SourceIP.IsLoopback() && !forwarded
}

// exchange takes a token of an outside issuer, which is a JWT, or one of ours.
func (e *Endpoint) exchange(ctx context.Context, call *edge.Call, raw string, duration time.Duration) (iam.SessionKey, error) {
	if strings.Count(raw, ".") != 2 {
		return e.service.sessions.Renew(ctx, raw, duration)
	}
	session, _, err := e.service.exchange(ctx, call, iam.SessionSpec{Duration: duration}, true, func() (oidc.Identity, error) {
		return e.service.tokens.VerifyFor(ctx, raw, e.service.config.Audience)
	})
	return session, err
}

// revoke ends the session that signed the request.
func (e *Endpoint) revoke(ctx context.Context, w *edge.Writer, call *edge.Call) error {
	if call.Principal().Kind != iam.Session {
		return invalid("Only a session can be revoked, and only by itself.")
	}
	if err := e.service.sessions.Revoke(ctx, actor(call), call.Principal()); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

type containerCredentials struct {
	AccessKeyID     string `json:"AccessKeyId"`
	SecretAccessKey string `json:"SecretAccessKey"`
	Token           string `json:"Token"`
	Expiration      string `json:"Expiration"`
}

// endpointError has both the fields that SDKs look for and a request's id.
type endpointError struct {
	Code      Code   `json:"code"`
	Message   string `json:"message"`
	RequestID string `json:"requestId"`
}

func writeJSON(w *edge.Writer, status int, document any) error {
	body, err := json.Marshal(document)
	if err != nil {
		return err
	}
	writeBody(w, status, "application/json", body)
	return nil
}

// WriteError answers a failed request.
func (e *Endpoint) WriteError(w *edge.Writer, failure edge.Failure) string {
	a := e.service.describe(failure)
	if f, ok := errors.AsType[*fault.Error](failure.Err); ok && f.Kind == fault.Unsupported {
		a.status = http.StatusMethodNotAllowed
		w.Header()["Allow"] = []string{"GET, DELETE"}
	}
	_ = writeJSON(w, a.status, endpointError{a.code, a.message, failure.Request.ID})
	return string(a.code)
}
