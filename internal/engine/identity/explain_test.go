package identity_test

import (
	"errors"
	"testing"

	"github.com/larder-cache/larder/internal/engine/identity"
	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/iam"
)

func TestExplain(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.policy("p", "Allow", "s3:GetObject", "b/*")
	w.user("alice")
	w.user("bob", "p")
	must(t, w.AddMembers(ctx, root, "devs", []iam.UserName{"alice"}))
	must(t, w.SetPolicies(ctx, root, iam.Holder{Group: "devs"}, []iam.PolicyName{"p"}))
	key, _, err := w.CreateAccount(ctx, root, iam.AccountSpec{Parent: "bob", Policy: statement("Allow", "s3:PutObject", "b/*")})
	must(t, err)
	must(t, w.SetUser(ctx, root, "bob", iam.UserChange{Enabled: new(false)}))
	_, err = w.SubjectSession(ctx, iam.Actor{}, iam.Login{Issuer: "https://i", Sub: "s", Policies: []iam.PolicyName{"p"}}, iam.SessionSpec{})
	must(t, err)
	tests := []struct {
		user            string
		allowed         bool
		reason, refused string
	}{
		{"", false, "no policy allows it", ""},
		{rootName, true, "root is allowed everything", ""},
		{"alice", true, "allowed by statement 1 of policy p", ""},
		{"bob", false, "allowed by statement 1 of policy p", "the user is disabled"},
		{string(key.AccessKey), false, "no statement of the credential's own policy allows it", "the key's parent is disabled or gone"},
		{string(identity.SubjectName("https://i", "s")), true, "allowed by statement 1 of policy p", ""},
	}
	for _, tt := range tests {
		e, err := w.Explain(ctx, iam.Question{User: tt.user, Action: "s3:GetObject", Resource: "b/k"})
		must(t, err)
		if e.Allowed != tt.allowed || e.Reason != tt.reason || e.Refused != tt.refused {
			t.Errorf("%q: got %+v", tt.user, e)
		}
	}
	if _, err := w.Explain(ctx, iam.Question{User: "nobody", Action: "s3:GetObject"}); !errors.Is(err, fault.NotFound) {
		t.Errorf("an unknown user: %v", err)
	}
	if _, err := w.Explain(ctx, iam.Question{Action: "s3:Nonsense"}); !errors.Is(err, fault.Invalid) {
		t.Errorf("an unknown action: %v", err)
	}
}
