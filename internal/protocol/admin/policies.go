package admin

import (
	"context"
	"encoding/json"
	"time"

	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/protocol/edge"
)

// policyOperation starts an operation on the policy that the query names.
func policyOperation(in *input, action iam.Action) (*edge.Operation, iam.PolicyName, error) {
	name, err := iam.ParsePolicyName(in.query.Get("name"))
	if err != nil {
		return nil, "", err
	}
	return in.operation(action, nil), name, nil
}

// addPolicy makes a policy or replaces an existing one.
func (p *Protocol) addPolicy(in *input) (*edge.Operation, error) {
	op, name, err := policyOperation(in, "admin:CreatePolicy")
	if err != nil {
		return nil, err
	}
	op.MaxBody = maxBody
	op.Handler = edge.HandlerFunc(func(ctx context.Context, w *edge.Writer, call *edge.Call) error {
		document, err := readBody(call)
		if err != nil {
			return err
		}
		if err := mayGiveDocument(ctx, call, document); err != nil {
			return err
		}
		if err := p.identity.SetPolicy(ctx, actor(call), name, document); err != nil {
			return err
		}
		return writeOK(w)
	})
	return op, nil
}

// policyBody is a policy in the second form of info-canned-policy.
type policyBody struct {
	Name    iam.PolicyName  `json:"PolicyName"`
	Policy  json.RawMessage `json:"Policy"`
	Created *time.Time      `json:"CreateDate,omitempty"`
	Updated *time.Time      `json:"UpdateDate,omitempty"`
}

// policyInfo describes one policy: the document alone, or with v=2 its dates too.
func (p *Protocol) policyInfo(in *input) (*edge.Operation, error) {
	op, name, err := policyOperation(in, "admin:GetPolicy")
	if err != nil {
		return nil, err
	}
	dated := in.query.Get("v") == "2"
	op.Handler = edge.HandlerFunc(func(_ context.Context, w *edge.Writer, _ *edge.Call) error {
		policy, err := p.identity.Policy(name)
		if err != nil {
			return err
		}
		if !dated {
			return writeJSON(w, policy.Document)
		}
		body := policyBody{Name: name, Policy: policy.Document}
		if !policy.BuiltIn {
			body.Created, body.Updated = &policy.Created, &policy.Updated
		}
		return writeJSON(w, body)
	})
	return op, nil
}

// listPolicies lists all policies with their documents.
func (p *Protocol) listPolicies(in *input) (*edge.Operation, error) {
	return in.operation("admin:ListUserPolicies", func(_ context.Context, w *edge.Writer, _ *edge.Call) error {
		policies := p.identity.Policies()
		body := make(map[iam.PolicyName]json.RawMessage, len(policies))
		for _, policy := range policies {
			body[policy.Name] = policy.Document
		}
		return writeJSON(w, body)
	}), nil
}

// removePolicy removes a policy that nobody holds.
func (p *Protocol) removePolicy(in *input) (*edge.Operation, error) {
	op, name, err := policyOperation(in, "admin:DeletePolicy")
	if err != nil {
		return nil, err
	}
	op.Handler = edge.HandlerFunc(func(ctx context.Context, w *edge.Writer, call *edge.Call) error {
		if builtIn := iam.BuiltinPolicies()[name]; builtIn != nil { // it comes back for all who hold it
			if err := mayGiveDocument(ctx, call, builtIn.Document()); err != nil {
				return err
			}
		}
		if err := p.identity.RemovePolicy(ctx, actor(call), name); err != nil {
			return err
		}
		return writeOK(w)
	})
	return op, nil
}
