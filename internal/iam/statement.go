package iam

import "strings"

func (d *parser) action(s *statement, n node, at map[string]*member) error {
	m, not := at["Action"], at["NotAction"]
	switch {
	case m == nil && not == nil:
		return d.fault(n.offset, "the statement has neither Action nor NotAction")
	case m != nil && not != nil:
		return d.fault(max(m.offset, not.offset), "a statement has Action or NotAction, not both")
	case m == nil:
		m = not
	}
	names, err := d.strings(m.name, m.value)
	if err != nil {
		return err
	}
	for i, name := range names {
		set, svc, err := matchActions(name.text)
		switch {
		case err != nil:
			return d.fault(name.offset, "%s", err)
		case i > 0 && svc != s.service:
			return d.fault(name.offset, "a statement is about one service: %s and %s actions need a statement each", serviceNames[s.service], serviceNames[svc])
		case d.bucket != "" && svc != serviceS3:
			return d.fault(name.offset, "a bucket policy has only s3 actions")
		}
		s.service = svc
		s.actions.union(set)
	}
	if not != nil {
		all := serviceSet(s.service)
		for i := range all {
			all[i] &^= s.actions[i]
		}
		if s.actions = all; all.empty() {
			return d.fault(m.offset, "NotAction is all other actions of %s, and none is left: name the actions of the other service in a statement of their own", serviceNames[s.service])
		}
	} else if !s.deny && s.actions.has(actions.ids[actionGetObjectVersion]) {
		s.actions.add(actions.ids[actionGetObject])
	}
	return nil
}

const resourceHead = "arn:aws:s3:::"

func (d *parser) resource(s *statement, n node, at map[string]*member) error {
	m, not := at["Resource"], at["NotResource"]
	switch {
	case m != nil && not != nil:
		return d.fault(max(m.offset, not.offset), "a statement has Resource or NotResource, not both")
	case m == nil && not == nil && s.service == serviceS3:
		return d.fault(n.offset, "the statement has neither Resource nor NotResource")
	case m == nil && not == nil:
		return nil
	case m == nil:
		m, s.notResource = not, true
	}
	names, err := d.strings(m.name, m.value)
	if err != nil {
		return err
	}
	for _, name := range names {
		if s.service == serviceKMS {
			if name.text != "*" && name.text != "arn:minio:kms:::*" {
				return d.fault(name.offset, `a kms statement has no Resource, or "arn:minio:kms:::*": single keys are not offered`)
			}
			continue
		}
		p, err := d.resourcePattern(name)
		if err != nil {
			return err
		}
		s.resources = append(s.resources, p)
	}
	return nil
}

func (d *parser) resourcePattern(n node) (pattern, error) {
	text := n.text
	if text == "*" && d.bucket == "" {
		text = resourceHead + "*"
	}
	name, ok := strings.CutPrefix(text, resourceHead)
	if !ok || name == "" || name[0] == '/' {
		return pattern{}, d.fault(n.offset, `Resource %q is not of the form "arn:aws:s3:::bucket" or "arn:aws:s3:::bucket/key"`, n.text)
	}
	if d.bucket != "" && name != d.bucket && !strings.HasPrefix(name, d.bucket+"/") {
		return pattern{}, d.fault(n.offset, `Resource %q is not in the bucket of this policy: begin with %q`, n.text, resourceHead+d.bucket)
	}
	return d.pattern(n, name)
}

func (d *parser) condition(s *statement, _ node, at map[string]*member) error {
	m := at["Condition"]
	if m == nil || m.value.kind == nullNode {
		return nil
	}
	if m.value.kind != objectNode {
		return d.fault(m.value.offset, "Condition is an object, not %s", nodeText[m.value.kind])
	}
	for _, op := range m.value.members {
		operator, quantity, ifExists, err := lookupOperator(op.name)
		if err != nil {
			return d.fault(op.offset, "%s", err)
		}
		if op.value.kind != objectNode || len(op.value.members) == 0 {
			return d.fault(op.value.offset, "%s is an object of condition keys", op.name)
		}
		for _, k := range op.value.members {
			c := condition{op: operator, quantity: quantity, ifExists: ifExists}
			if c.key, err = d.conditionKey(s, &k, operator, at); err != nil {
				return err
			}
			if c.operands, err = d.operands(operator, &k); err != nil {
				return err
			}
			s.conditions = append(s.conditions, c)
		}
	}
	return nil
}

// conditionKey finds a key and checks that it can have a value in each of the
// statement's actions: a condition on a key that an action never has would
// refuse, or grant, without anybody noticing.
func (d *parser) conditionKey(s *statement, m *member, op *operator, at map[string]*member) (*key, error) {
	k, err := lookupKey(m.name)
	if err != nil {
		return nil, d.fault(m.offset, "%s", err)
	}
	if !op.accepts(k.rule.values) {
		return nil, d.fault(m.offset, "%s cannot compare %s", op.name, m.name)
	}
	if !k.applies(s.actions, s.service) {
		return nil, d.fault(m.offset, "condition key %q has no value in any action of this statement", m.name)
	}
	if action := at["Action"]; action != nil {
		names, err := d.strings("Action", action.value)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			if set, svc, _ := matchActions(name.text); !k.applies(set, svc) {
				return nil, d.fault(m.offset, "condition key %q has no value in action %q: give that action a statement of its own", m.name, name.text)
			}
		}
	}
	return k, nil
}

func (d *parser) operands(op *operator, m *member) ([]operand, error) {
	values := m.value.items
	if m.value.kind != listNode {
		values = []node{m.value}
	}
	if len(values) == 0 || op.kind == opNull && len(values) > 1 {
		return nil, d.fault(m.value.offset, "%s needs %s", m.name, map[bool]string{true: "one value", false: "at least one value"}[op.kind == opNull])
	}
	operands := make([]operand, len(values))
	for i, v := range values {
		if v.kind != stringNode && v.kind != numberNode && v.kind != boolNode {
			return nil, d.fault(v.offset, "a value of %s is a string, number or bool, not %s", m.name, nodeText[v.kind])
		}
		var err error
		if op.kind == opLike {
			if operands[i].pattern, err = d.pattern(v, v.text); err != nil {
				return nil, err
			}
			continue
		}
		if operands[i], err = op.operand(v.text); err != nil {
			return nil, d.fault(v.offset, "%s", err)
		}
	}
	return operands, nil
}
