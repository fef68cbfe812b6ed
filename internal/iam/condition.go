package iam

// condition is one (operator, key, values) of a statement. All of a statement's
// conditions must hold.
type condition struct {
	op       *operator
	quantity quantifier
	ifExists bool
	key      *key
	operands []operand
}

// verdict is what a condition or pattern comes to.
type verdict uint8

const (
	no verdict = iota
	yes
	unknown // a value it needs cannot be had: an Allow does not apply, a Deny does
)

// holds evaluates the condition.
//
//	key missing:       positive operators fail, negated ones hold, IfExists and
//	                   ForAllValues hold, ForAnyValue fails
//	several values:    without quantifier, a positive operator asks for one value
//	                   that matches, a negated one is its exact negation
//	ForAllValues:      each value compares true
//	ForAnyValue:       at least one value compares true
func (c *condition) holds(r *Request) verdict {
	var buf [4]string
	values, known := c.key.values(r, buf[:0])
	if !known {
		return unknown
	}
	if c.op.kind == opNull {
		return verdictOf((len(values) == 0) == (c.operands[0].text == "true"))
	}
	if len(values) == 0 {
		return c.missing()
	}
	switch c.quantity {
	case forAllValues:
		return c.every(values, r)
	case forAnyValue:
		return c.some(values, r)
	case noQuantifier:
	}
	if c.op.negated { // no value matches: that is, every value compares true
		return c.every(values, r)
	}
	return c.some(values, r)
}

func (c *condition) missing() verdict {
	switch {
	case c.ifExists, c.quantity == forAllValues:
		return yes
	case c.quantity == forAnyValue:
		return no
	}
	return verdictOf(c.op.negated)
}

func (c *condition) every(values []string, r *Request) verdict {
	for _, v := range values {
		if got := c.one(v, r); got != yes {
			return got
		}
	}
	return yes
}

func (c *condition) some(values []string, r *Request) verdict {
	result := no
	for _, v := range values {
		switch c.one(v, r) {
		case yes:
			return yes
		case unknown:
			result = unknown
		case no:
		}
	}
	return result
}

// one compares one value of the request with all of the policy.
func (c *condition) one(v string, r *Request) verdict {
	blind := false
	for i := range c.operands {
		matched, unknown := c.op.matches(v, &c.operands[i], r)
		if matched {
			return verdictOf(!c.op.negated)
		}
		blind = blind || unknown
	}
	if blind {
		return unknown
	}
	return verdictOf(c.op.negated)
}

func verdictOf(b bool) verdict {
	if b {
		return yes
	}
	return no
}
