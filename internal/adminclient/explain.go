package adminclient

import (
	"context"
	"net/url"
	"time"

	"github.com/larder-cache/larder/internal/iam"
)

// Explain asks whether somebody may, and which statement decides. Only a larder
// answers this.
func (c *Client) Explain(ctx context.Context, q iam.Question) (e iam.Explanation, err error) {
	query := url.Values{
		"user": {q.User}, "action": {q.Action}, "resource": {q.Resource}, "target": {q.Target}, "sourceIP": {q.SourceIP}, "fact": q.Facts,
		"claim": q.Claims,
	}
	if q.TLS {
		query.Set("tls", "true")
	}
	if !q.At.IsZero() {
		query.Set("at", q.At.Format(time.RFC3339))
	}
	err = c.get(ctx, "larder/explain", query, &e)
	return e, err
}
