package admin

import (
	"context"
	"time"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/protocol/edge"
)

// explain says what somebody may and which statement decides. It is this
// server's own addition to the API, and tells as much as reading users and
// policies does.
func (p *Protocol) explain(in *input) (*edge.Operation, error) {
	q := iam.Question{
		User: in.query.Get("user"), Action: in.query.Get("action"), Resource: in.query.Get("resource"), Target: in.query.Get("target"),
		SourceIP: in.query.Get("sourceIP"), TLS: in.query.Get("tls") == "true", Facts: in.query.All("fact"),
		Claims: in.query.All("claim"),
	}
	if at := in.query.Get("at"); at != "" {
		var err error
		if q.At, err = time.Parse(time.RFC3339, at); err != nil {
			return nil, invalid(fault.None, "", "at is no time such as 2026-12-31T23:59:59Z")
		}
	}
	operation := in.operation("admin:GetPolicy", func(ctx context.Context, w *edge.Writer, _ *edge.Call) error {
		e, err := p.identity.Explain(ctx, q)
		if err != nil {
			return err
		}
		return writeJSON(w, e)
	})
	operation.Checks = append(operation.Checks, iam.Check{Action: "admin:GetUser"})
	return operation, nil
}
