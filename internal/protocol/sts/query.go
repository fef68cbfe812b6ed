package sts

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/protocol/edge"
	"github.com/larder-cache/larder/internal/protocol/oidc"
)

// Query is AWS's Security Token Service. It implements edge.Protocol.
type Query struct{ service *Service }

var _ edge.Protocol = (*Query)(nil)

// Query returns the protocol of AWS's Security Token Service.
func (s *Service) Query() *Query { return &Query{s} }

// Accepts takes forms posted to "/", and whatever names one of our actions. S3
// has no request of that form: its own forms are multipart, its POSTs to "/"
// carry a sub-resource.
func (q *Query) Accepts(req *edge.Request) bool {
	if req.Path != "/" || req.Method != http.MethodPost && req.Method != http.MethodGet {
		return false
	}
	if req.Query.Has("Action") && req.Query.Has("Version") {
		return true
	}
	media, _, _ := strings.Cut(req.Header.Get("Content-Type"), ";")
	return req.Method == http.MethodPost && len(req.Query) == 0 && strings.EqualFold(strings.TrimSpace(media), "application/x-www-form-urlencoded")
}

// Route tells apart what is signed from what is not: the action itself is in the
// body, which nobody reads before a signature was verified.
func (q *Query) Route(req *edge.Request) (*edge.Operation, error) {
	if len(req.Header["Authorization"]) > 0 || req.Query.Has("X-Amz-Credential") || req.Query.Has("X-Amz-Signature") {
		return &edge.Operation{Name: "sts.Signed", Auth: edge.Caller, MaxBody: maxForm, Handler: q.handler(req.Query, q.signed)}, nil
	}
	return &edge.Operation{Name: "sts.Unsigned", Auth: edge.Public, MaxBody: maxForm, Handler: q.handler(req.Query, q.unsigned)}, nil
}

// actions are those of the protocol; an operation is named after its action once
// that is known.
var actions = map[string]bool{"AssumeRole": true, "AssumeRoleWithWebIdentity": true, "GetCallerIdentity": true}

type action func(ctx context.Context, form url.Values, call *edge.Call) (any, error)

// handler reads the form and answers with what act returns.
func (q *Query) handler(query edge.Query, act action) edge.Handler {
	return edge.HandlerFunc(func(ctx context.Context, w *edge.Writer, call *edge.Call) error {
		form, err := readForm(query, call.Body)
		if err != nil {
			return err
		}
		if name := form.Get("Action"); actions[name] {
			call.Operation.Name = "sts." + name
		}
		result, err := act(ctx, form, call)
		if err != nil {
			return err
		}
		return writeXML(w, http.StatusOK, result)
	})
}

// readForm merges query and body. A parameter that is there twice is refused:
// which one counts must not be a matter of the reader.
func readForm(query edge.Query, body io.Reader) (url.Values, error) {
	raw, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(raw))
	if err != nil {
		return nil, invalid("The form cannot be decoded.")
	}
	for _, p := range query {
		form.Add(p.Name, p.Value)
	}
	for name, values := range form {
		if len(values) > 1 {
			return nil, invalid("The parameter " + strconv.Quote(name) + " is there twice.")
		}
	}
	if version := form.Get("Version"); version != "2011-06-15" {
		return nil, invalid("The Version is not 2011-06-15.")
	}
	return form, nil
}

func (q *Query) signed(ctx context.Context, form url.Values, call *edge.Call) (any, error) {
	switch form.Get("Action") {
	case "AssumeRole":
		return q.assumeRole(ctx, form, call)
	case "AssumeRoleWithWebIdentity":
		return q.assumeWithWebIdentity(ctx, form, call)
	case "GetCallerIdentity":
		return callerIdentity(call), nil
	}
	return nil, &Error{Code: InvalidAction}
}

func (q *Query) unsigned(ctx context.Context, form url.Values, call *edge.Call) (any, error) {
	switch form.Get("Action") {
	case "AssumeRoleWithWebIdentity":
		return q.assumeWithWebIdentity(ctx, form, call)
	case "AssumeRole", "GetCallerIdentity":
		return nil, &Error{Code: MissingAuthenticationToken}
	}
	return nil, &Error{Code: InvalidAction}
}

func (q *Query) assumeRole(ctx context.Context, form url.Values, call *edge.Call) (any, error) {
	spec, err := specOf(form)
	if err != nil {
		return nil, err
	}
	session, err := q.service.sessions.AssumeRole(ctx, call.Principal(), spec)
	if err != nil {
		return nil, err
	}
	return &assumeRoleResponse{
		Result:   assumeRoleResult{User: assumedUser(session, form), Credentials: wireCredentials(session)},
		Metadata: metadata{call.ID},
	}, nil
}

func (q *Query) assumeWithWebIdentity(ctx context.Context, form url.Values, call *edge.Call) (any, error) {
	raw := form.Get("WebIdentityToken")
	if raw == "" {
		return nil, invalid("WebIdentityToken is missing.")
	}
	spec, err := specOf(form)
	if err != nil {
		return nil, err
	}
	session, identity, err := q.service.exchange(ctx, call, spec, false, func() (oidc.Identity, error) {
		return q.service.tokens.Verify(ctx, raw)
	})
	if err != nil {
		return nil, err
	}
	return &webIdentityResponse{
		Result: webIdentityResult{
			Audience: identity.Audience, User: assumedUser(session, form), Credentials: wireCredentials(session),
			Provider: identity.Issuer, Subject: identity.Subject,
		},
		Metadata: metadata{call.ID},
	}, nil
}

// specOf reads what an exchange asks for.
func specOf(form url.Values) (spec iam.SessionSpec, err error) {
	for name := range form {
		if strings.HasPrefix(name, "PolicyArns.") || strings.HasPrefix(name, "Tags.") || strings.HasPrefix(name, "TransitiveTagKeys.") {
			return spec, invalid("Session tags and managed session policies are not offered by this server; use Policy.")
		}
	}
	if text := form.Get("DurationSeconds"); text != "" {
		if spec.Duration, err = parseDuration(text); err != nil {
			return spec, err
		}
	}
	text := form.Get("Policy")
	if len(text) > maxPolicy {
		return spec, &Error{Code: PackedPolicyTooLarge}
	}
	if text != "" {
		if _, err := iam.ParsePolicy([]byte(text)); err != nil {
			return spec, &Error{Code: MalformedPolicyDocument, Message: plain(err)}
		}
		spec.Policy = []byte(text)
	}
	return spec, nil
}

// plain returns the cause of a fault, which says where a document is wrong.
func plain(err error) string {
	if cause := errors.Unwrap(err); cause != nil {
		return cause.Error()
	}
	return err.Error()
}

func parseDuration(text string) (time.Duration, error) {
	seconds, err := strconv.ParseUint(text, 10, 31)
	d := time.Duration(seconds) * time.Second
	if err != nil || d < MinDuration || d > iam.MaxSession {
		return 0, invalid("DurationSeconds is not a number from 900 to 31536000.")
	}
	return d, nil
}

// WriteError answers a failed request.
func (q *Query) WriteError(w *edge.Writer, failure edge.Failure) string {
	a := q.service.describe(failure)
	kind := "Sender"
	if a.status >= http.StatusInternalServerError {
		kind = "Receiver"
	}
	_ = writeXML(w, a.status, &errorResponse{Error: errorBody{kind, a.code, a.message}, RequestID: failure.Request.ID})
	return string(a.code)
}
