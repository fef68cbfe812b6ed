package admin

import (
	"context"
	"encoding/json"

	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/protocol/edge"
)

// maxAudit is the most records that one answer holds, the latest ones.
const maxAudit = 20_000

// audit answers the latest records of the audit trail, oldest first, one JSON
// document a line. It is this server's own addition to the API.
func (p *Protocol) audit(in *input) (*edge.Operation, error) {
	limit, err := number(in.query, "limit", maxAudit)
	if err != nil {
		return nil, err
	}
	limit = min(limit, maxAudit)
	return in.operation("admin:ConsoleLog", func(ctx context.Context, w *edge.Writer, _ *edge.Call) error {
		var records []iam.Record
		for record, err := range p.identity.Audit(ctx) {
			if err != nil {
				return err
			}
			records = append(records, record)
		}
		records = records[max(0, len(records)-limit):]
		w.Header().Set("Content-Type", "application/x-ndjson")
		encoder := json.NewEncoder(w)
		for i := range records {
			if err := encoder.Encode(&records[i]); err != nil { //nolint:gosec // G117: the name of a key, not its secret
				return err
			}
		}
		return nil
	}), nil
}
