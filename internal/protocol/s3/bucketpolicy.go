package s3

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strconv"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/object"
	"github.com/larder-cache/larder/internal/protocol/edge"
)

// getPolicy answers the document as it was put.
func (p *Protocol) getPolicy(ctx context.Context, name object.BucketName, w *edge.Writer) error {
	policy, err := policyOf(ctx, p.store, name)
	if err != nil {
		return err
	}
	h := w.Header()
	h["Content-Type"] = []string{"application/json"}
	h["Content-Length"] = []string{strconv.Itoa(len(policy))}
	_, err = w.Write(policy)
	return err
}

func policyOf(ctx context.Context, store Store, name object.BucketName) ([]byte, error) {
	bucket, err := store.Bucket(ctx, name)
	if err != nil {
		return nil, err
	}
	if len(bucket.Config.Policy) == 0 {
		return nil, &Error{Code: NoSuchBucketPolicy}
	}
	return bucket.Config.Policy, nil
}

// putPolicy is PutBucketPolicy.
type putPolicy struct {
	protocol *Protocol
	bucket   object.BucketName
	demand   demand
}

func parsePutPolicy(p *Protocol, r *request) (*edge.Operation, error) {
	op := &putPolicy{protocol: p, bucket: r.bucket}
	var err error
	if op.demand, err = r.demand(); err != nil {
		return nil, err
	}
	operation := r.operation("s3.PutBucketPolicy", "s3:PutBucketPolicy", op)
	operation.Auth, operation.MaxBody = edge.Signed, iam.MaxBucketPolicySize
	return operation, nil
}

// Serve checks the document with the engine that will evaluate it, then keeps it.
func (op *putPolicy) Serve(ctx context.Context, w *edge.Writer, call *edge.Call) error {
	doc, err := io.ReadAll(bodyContent(call, op.demand, false))
	if err != nil {
		return err
	}
	policy, err := iam.ParseBucketPolicy(doc, string(op.bucket))
	if err != nil {
		return err
	}
	for _, user := range policy.Principals() {
		if known := op.protocol.config.KnownUser; known != nil && !known(user) {
			return &Error{Code: MalformedPolicy, Message: "Invalid principal in policy: there is no user " + strconv.Quote(string(user))}
		}
	}
	return setPolicy(ctx, op.protocol.store, w, op.bucket, doc)
}

// deletePolicy removes the policy; a bucket without one is as asked for.
func (p *Protocol) deletePolicy(ctx context.Context, name object.BucketName, w *edge.Writer) error {
	return setPolicy(ctx, p.store, w, name, nil)
}

func setPolicy(ctx context.Context, store Store, w *edge.Writer, name object.BucketName, doc []byte) error {
	_, err := store.UpdateBucket(ctx, name, func(config *object.BucketConfig) error {
		config.Policy = doc
		return nil
	})
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// getPolicyStatus says whether the policy lets everybody in.
func (p *Protocol) getPolicyStatus(ctx context.Context, name object.BucketName, w *edge.Writer) error {
	policy, err := policyOf(ctx, p.store, name)
	if err != nil {
		return err
	}
	public, err := isPublic(policy)
	if err != nil {
		return err
	}
	doc := newDocument(256)
	doc.root("PolicyStatus")
	doc.bool("IsPublic", public)
	doc.close("PolicyStatus")
	return doc.send(w)
}

// isPublic reports whether a policy, which was checked when it was put, has a
// statement that allows everybody something without a condition.
func isPublic(policy []byte) (bool, error) {
	var doc struct {
		Statement json.RawMessage
	}
	type statement struct {
		Effect    string
		Principal any
		Condition map[string]json.RawMessage
	}
	if err := json.Unmarshal(policy, &doc); err != nil {
		return false, fault.Wrap(fault.Corrupt, fault.BucketPolicy, "", err)
	}
	var statements []statement
	if json.Unmarshal(doc.Statement, &statements) != nil {
		statements = make([]statement, 1)
		if err := json.Unmarshal(doc.Statement, &statements[0]); err != nil {
			return false, fault.Wrap(fault.Corrupt, fault.BucketPolicy, "", err)
		}
	}
	return slices.ContainsFunc(statements, func(s statement) bool {
		return s.Effect == "Allow" && len(s.Condition) == 0 && everybody(s.Principal)
	}), nil
}

// everybody reports whether a Principal member names "*".
func everybody(principal any) bool {
	switch v := principal.(type) {
	case string:
		return v == "*"
	case []any:
		return slices.ContainsFunc(v, everybody)
	case map[string]any:
		return everybody(v["AWS"])
	}
	return false
}
