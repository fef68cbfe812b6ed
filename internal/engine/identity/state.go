package identity

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/larder-cache/larder/internal/iam"
)

// state is a published document with what follows from it. It is immutable.
type state struct {
	generation uint64
	doc        *document
	policies   map[iam.PolicyName]*iam.Policy // built in and stored
	inline     map[iam.AccessKeyID]*iam.Policy
	memberOf   map[iam.UserName][]iam.GroupName // sorted
	holders    map[iam.UserName]holder          // users and subjects
}

// holder is what a user or subject may now.
type holder struct {
	groups []iam.GroupName // whose policies count
	grants []iam.NamedPolicy
}

// newState compiles a document. It takes from prev what did not change.
func newState(generation uint64, doc *document, prev *state) (*state, error) {
	s := &state{
		generation: generation, doc: doc, policies: iam.BuiltinPolicies(), inline: map[iam.AccessKeyID]*iam.Policy{},
		memberOf: map[iam.UserName][]iam.GroupName{}, holders: make(map[iam.UserName]holder, len(doc.Users)+len(doc.Subjects)),
	}
	for name, record := range doc.Policies {
		var before *iam.Policy
		if prev != nil {
			before = prev.policies[name]
		}
		p, err := compile(record.Document, before)
		if err != nil {
			return nil, fmt.Errorf("policy %s: %w", name, err)
		}
		s.policies[name] = p
	}
	for key, record := range doc.Accounts {
		if record.Policy == nil {
			continue
		}
		var before *iam.Policy
		if prev != nil {
			before = prev.inline[key]
		}
		p, err := compile(record.Policy, before)
		if err != nil {
			return nil, fmt.Errorf("access key %s: %w", key, err)
		}
		s.inline[key] = p
	}
	for name, group := range doc.Groups {
		for _, member := range group.Members {
			s.memberOf[member] = append(s.memberOf[member], name)
		}
	}
	for name, user := range doc.Users {
		slices.Sort(s.memberOf[name])
		s.holders[name] = s.holder(user.Policies, s.memberOf[name])
	}
	for name, subject := range doc.Subjects {
		s.holders[name] = s.holder(subject.Policies, nil)
	}
	return s, nil
}

func compile(doc []byte, before *iam.Policy) (*iam.Policy, error) {
	if before != nil && bytes.Equal(before.Document(), doc) {
		return before, nil
	}
	return iam.ParsePolicy(doc)
}

// holder collects the policies of one user: his own and those of his groups that
// are not disabled, each once.
func (s *state) holder(own []iam.PolicyName, groups []iam.GroupName) holder {
	var h holder
	names := own
	for _, name := range groups {
		if group := s.doc.Groups[name]; !group.Disabled {
			h.groups = append(h.groups, name)
			names = with(names, group.Policies...)
		}
	}
	for _, name := range names {
		if p := s.policies[name]; p != nil {
			h.grants = append(h.grants, iam.NamedPolicy{Name: name, Policy: p})
		}
	}
	return h
}
