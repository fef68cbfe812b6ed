package iam

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/larder-cache/larder/internal/fault"
)

// The longest policy documents, in bytes.
const (
	MaxPolicySize               = 64 << 10 // a named policy
	MaxBucketPolicySize         = 20 << 10
	MaxServiceAccountPolicySize = 4096
	MaxSessionPolicySize        = 2048
)

const policyVersion = "2012-10-17"

// ParsePolicy parses a policy that is attached to users, groups or credentials.
// Whatever it does not know, and whatever has no effect, is fault.Invalid of noun
// Policy, with a *SyntaxError that says where.
func ParsePolicy(doc []byte) (*Policy, error) {
	if len(doc) > MaxPolicySize {
		return nil, fault.New(fault.TooLarge, fault.Policy, "")
	}
	p, err := (&parser{document: document{text: doc}}).policy()
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, fault.Policy, "", err)
	}
	return p, nil
}

// ParseBucketPolicy parses the policy of a bucket: Version and Principal are
// required, and every Resource is the bucket or objects in it. Faults are those
// of ParsePolicy, of noun BucketPolicy. Whether the users exist that it names
// (Policy.Principals) is for the caller to check.
func ParseBucketPolicy(doc []byte, bucket string) (*Policy, error) {
	if len(doc) > MaxBucketPolicySize {
		return nil, fault.New(fault.TooLarge, fault.BucketPolicy, bucket)
	}
	p, err := (&parser{document: document{text: doc}, bucket: bucket}).policy()
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, fault.BucketPolicy, bucket, err)
	}
	return p, nil
}

// parser turns a document into a policy.
type parser struct {
	document
	bucket string // of a bucket policy, "" of any other
	ones   int    // "?" in patterns so far
}

// maxOnes is how many "?" a policy has at most. Everybody writes policies, of his
// own keys, that are evaluated for each of a thousand keys of a request; the time
// that takes grows with each "?" behind a "*".
const maxOnes = 100

// pattern compiles a text with wildcards.
func (d *parser) pattern(n node, text string) (pattern, error) {
	if d.ones += strings.Count(text, "?"); d.ones > maxOnes {
		return pattern{}, d.fault(n.offset, `a policy has at most %d "?": write "*"`, maxOnes)
	}
	p, err := compilePattern(text, true)
	if err != nil {
		return pattern{}, d.fault(n.offset, "%s", err)
	}
	return p, nil
}

func (d *parser) policy() (*Policy, error) {
	root, err := d.parse()
	if err != nil {
		return nil, err
	}
	if root.kind != objectNode {
		return nil, d.fault(root.offset, "a policy is an object, not %s", nodeText[root.kind])
	}
	p := &Policy{}
	statements, version := false, false
	for _, m := range root.members {
		switch m.name {
		case "Version":
			version = m.value.text != ""
			if m.value.kind != stringNode || version && m.value.text != policyVersion {
				return nil, d.fault(m.value.offset, "Version is %q", policyVersion)
			}
		case "Id", "ID":
			if m.value.kind != stringNode {
				return nil, d.fault(m.value.offset, "%s is a string, not %s", m.name, nodeText[m.value.kind])
			}
		case "Statement":
			statements = true
			if p.statements, err = d.statements(m.value); err != nil {
				return nil, err
			}
		default:
			return nil, d.fault(m.offset, "unknown member %q%s", m.name, suggest(m.name, []string{"Version", "Id", "Statement"}))
		}
	}
	if !statements {
		return nil, d.fault(root.offset, "the policy has no Statement")
	}
	if d.bucket != "" && !version {
		return nil, d.fault(root.offset, "a bucket policy has the Version %q", policyVersion)
	}
	return d.finish(p)
}

// finish computes what is known of the policy as a whole.
func (d *parser) finish(p *Policy) (*Policy, error) {
	var compact bytes.Buffer
	if err := json.Compact(&compact, d.text); err != nil {
		return nil, d.fault(0, "%s", err)
	}
	p.document = compact.Bytes()
	for i := range p.statements {
		s := &p.statements[i]
		s.label = "statement " + strconv.Itoa(i+1)
		if s.sid != "" {
			s.label += " (" + strconv.Quote(s.sid) + ")"
		}
		p.actions.union(s.actions)
		p.principals = append(p.principals, s.principals...)
	}
	slices.Sort(p.principals)
	p.principals = slices.Compact(p.principals)
	p.index()
	return p, nil
}

func (d *parser) statements(n node) ([]statement, error) {
	items := n.items
	if n.kind == objectNode {
		items = []node{n}
	} else if n.kind != listNode {
		return nil, d.fault(n.offset, "Statement is a list of statements, not %s", nodeText[n.kind])
	}
	statements := make([]statement, 0, len(items))
	for _, item := range items {
		if item.kind != objectNode {
			return nil, d.fault(item.offset, "a statement is an object, not %s", nodeText[item.kind])
		}
		s, err := d.statement(item)
		if err != nil {
			return nil, err
		}
		statements = append(statements, s)
	}
	return statements, nil
}

var statementMembers = []string{
	"Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition",
}

// statement reads the members in the order of their meaning: what is allowed in
// Resource and Condition depends on the actions.
func (d *parser) statement(n node) (statement, error) {
	at := map[string]*member{}
	for i := range n.members {
		m := &n.members[i]
		if !slices.Contains(statementMembers, m.name) {
			return statement{}, d.fault(m.offset, "unknown member %q of a statement%s", m.name, suggest(m.name, statementMembers))
		}
		at[m.name] = m
	}
	s := statement{line: bytes.Count(d.text[:n.offset], []byte{'\n'}) + 1}
	if sid := at["Sid"]; sid != nil {
		if sid.value.kind != stringNode {
			return statement{}, d.fault(sid.value.offset, "Sid is a string, not %s", nodeText[sid.value.kind])
		}
		s.sid = sid.value.text
	}
	for _, read := range []func(*statement, node, map[string]*member) error{
		d.effect, d.principal, d.action, d.resource, d.condition,
	} {
		if err := read(&s, n, at); err != nil {
			return statement{}, err
		}
	}
	return s, nil
}

func (d *parser) effect(s *statement, n node, at map[string]*member) error {
	m := at["Effect"]
	if m == nil {
		return d.fault(n.offset, "the statement has no Effect")
	}
	if m.value.kind != stringNode || m.value.text != "Allow" && m.value.text != "Deny" {
		return d.fault(m.value.offset, `Effect is "Allow" or "Deny"`)
	}
	s.deny = m.value.text == "Deny"
	return nil
}

func (d *parser) principal(s *statement, n node, at map[string]*member) error {
	if m := at["NotPrincipal"]; m != nil {
		return d.fault(m.offset, "NotPrincipal is not offered: name the principals, or use a condition on aws:username")
	}
	m := at["Principal"]
	switch {
	case m == nil && d.bucket == "":
		return nil
	case m == nil:
		return d.fault(n.offset, "a statement of a bucket policy has a Principal")
	case d.bucket == "":
		return d.fault(m.offset, "Principal belongs in bucket policies: this policy counts for whom it is attached to")
	}
	value := m.value
	if value.kind == objectNode {
		if len(value.members) != 1 || value.members[0].name != "AWS" {
			return d.fault(value.offset, `Principal is "*" or {"AWS": …}`)
		}
		value = value.members[0].value
	}
	names, err := d.strings("Principal", value)
	if err != nil {
		return err
	}
	for _, name := range names {
		if name.text == "*" {
			s.everybody = true
			continue
		}
		user, ok := principalName(name.text)
		if !ok {
			return d.fault(name.offset, `Principal %q is neither "*" nor a user such as "arn:aws:iam:::user/alice"`, name.text)
		}
		s.principals = append(s.principals, user)
	}
	return nil
}

// principalName reads "arn:aws:iam::<account>:user/<name>"; the account, which
// does not exist here, is empty or digits.
func principalName(arn string) (UserName, bool) {
	rest, ok := strings.CutPrefix(arn, "arn:aws:iam::")
	account, user, found := strings.Cut(rest, ":user/")
	if !ok || !found || strings.Trim(account, "0123456789") != "" || user == "" || strings.ContainsAny(user, "*?$") {
		return "", false
	}
	return UserName(user), true
}
