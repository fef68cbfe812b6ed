package admin

import (
	"context"
	"strings"
	"time"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/protocol/edge"
)

// The two names of the right to attach and detach policies. Either is enough.
const (
	attachAction    = iam.Action("admin:AttachUserOrGroupPolicy")
	associateAction = iam.Action("admin:UpdatePolicyAssociation")
)

// setPolicies replaces the policies of a user or group: the old form, in which
// no policy detaches all.
func (p *Protocol) setPolicies(in *input) (*edge.Operation, error) {
	target, err := need(in.query, "userOrGroup")
	if err != nil {
		return nil, err
	}
	holder, err := parseHolder(target, in.query.Get("isGroup") == "true")
	if err != nil {
		return nil, err
	}
	policies, err := splitPolicies(in.query.Get("policyName"))
	if err != nil {
		return nil, err
	}
	return in.selfService(func(ctx context.Context, w *edge.Writer, call *edge.Call) error {
		if err := anyOf(ctx, call, attachAction, associateAction); err != nil {
			return err
		}
		if err := p.mayGive(ctx, call, policies...); err != nil {
			return err
		}
		if err := p.identity.SetPolicies(ctx, actor(call), holder, policies); err != nil {
			return err
		}
		return writeOK(w)
	}), nil
}

func parseHolder(name string, group bool) (iam.Holder, error) {
	if group {
		parsed, err := iam.ParseGroupName(name)
		return iam.Holder{Group: parsed}, err
	}
	parsed, err := iam.ParseUserName(name)
	return iam.Holder{User: parsed}, err
}

// splitPolicies parses a list of policies that is separated by commas.
func splitPolicies(list string) ([]iam.PolicyName, error) {
	var names []iam.PolicyName
	for s := range strings.SplitSeq(list, ",") {
		if s = strings.TrimSpace(s); s == "" {
			continue
		}
		name, err := iam.ParsePolicyName(s)
		if err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, nil
}

// attachBody is the request of the new form.
type attachBody struct {
	Policies []string `json:"policies"`
	User     string   `json:"user"`
	Group    string   `json:"group"`
}

func (b *attachBody) parse() (iam.Holder, []iam.PolicyName, error) {
	var holder iam.Holder
	if (b.User == "") == (b.Group == "") {
		return holder, nil, invalid(fault.None, "", "either a user or a group must be named")
	}
	name, group := b.User, false
	if b.Group != "" {
		name, group = b.Group, true
	}
	holder, err := parseHolder(name, group)
	if err != nil {
		return holder, nil, err
	}
	policies, err := splitPolicies(strings.Join(b.Policies, ","))
	if err == nil && len(policies) == 0 {
		err = invalid(fault.Policy, "", "no policy is named")
	}
	return holder, policies, err
}

// attachAnswer says what was changed.
type attachAnswer struct {
	Attached []iam.PolicyName `json:"policiesAttached,omitempty"`
	Detached []iam.PolicyName `json:"policiesDetached,omitempty"`
	Updated  time.Time        `json:"updatedAt"`
}

// attachPolicies attaches policies to a user or group, or detaches them.
func (p *Protocol) attachPolicies(in *input) (*edge.Operation, error) {
	var detach bool
	switch in.segments[0] {
	case "attach":
	case "detach":
		detach = true
	default:
		return nil, wrongVersion("idp/builtin/policy/" + in.segments[0])
	}
	op := in.selfService(func(ctx context.Context, w *edge.Writer, call *edge.Call) error {
		if err := anyOf(ctx, call, associateAction, attachAction); err != nil {
			return err
		}
		var body attachBody
		if err := p.openJSON(ctx, call, &body); err != nil {
			return err
		}
		answer, err := p.changePolicies(ctx, call, &body, detach)
		if err != nil {
			return err
		}
		return sealJSON(w, call, answer)
	})
	op.MaxBody = maxBody
	return op, nil
}

func (p *Protocol) changePolicies(ctx context.Context, call *edge.Call, body *attachBody, detach bool) (answer attachAnswer, err error) {
	holder, policies, err := body.parse()
	if err != nil {
		return answer, err
	}
	if detach {
		answer.Detached, answer.Updated, err = p.identity.Detach(ctx, actor(call), holder, policies)
		return answer, err
	}
	if err := p.mayGive(ctx, call, policies...); err != nil {
		return answer, err
	}
	answer.Attached, answer.Updated, err = p.identity.Attach(ctx, actor(call), holder, policies)
	return answer, err
}
