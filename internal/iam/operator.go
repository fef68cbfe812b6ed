package iam

import (
	"encoding/base64"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// operator is how a condition compares. Each is positive ("some value of the
// policy compares true") or the exact negation of a positive one.
type operator struct {
	name    string
	kind    operatorKind
	negated bool
	compare func(cmp int) bool // of ordered kinds
}

type operatorKind uint8

const (
	opString operatorKind = iota
	opFold
	opLike
	opBinary
	opAddress
	opNull
	opBool
	opNumber
	opDate
)

func equal(cmp int) bool        { return cmp == 0 }
func less(cmp int) bool         { return cmp < 0 }
func lessEqual(cmp int) bool    { return cmp <= 0 }
func greater(cmp int) bool      { return cmp > 0 }
func greaterEqual(cmp int) bool { return cmp >= 0 }

// operators is the table of condition operators, without prefix and suffix.
var operators = [...]operator{
	{name: "StringEquals", kind: opString},
	{name: "StringNotEquals", kind: opString, negated: true},
	{name: "StringEqualsIgnoreCase", kind: opFold},
	{name: "StringNotEqualsIgnoreCase", kind: opFold, negated: true},
	{name: "StringLike", kind: opLike},
	{name: "StringNotLike", kind: opLike, negated: true},
	{name: "BinaryEquals", kind: opBinary},
	{name: "IpAddress", kind: opAddress},
	{name: "NotIpAddress", kind: opAddress, negated: true},
	{name: "Null", kind: opNull},
	{name: "Bool", kind: opBool},
	{name: "NumericEquals", kind: opNumber, compare: equal},
	{name: "NumericNotEquals", kind: opNumber, negated: true, compare: equal},
	{name: "NumericLessThan", kind: opNumber, compare: less},
	{name: "NumericLessThanEquals", kind: opNumber, compare: lessEqual},
	{name: "NumericGreaterThan", kind: opNumber, compare: greater},
	{name: "NumericGreaterThanEquals", kind: opNumber, compare: greaterEqual},
	{name: "DateEquals", kind: opDate, compare: equal},
	{name: "DateNotEquals", kind: opDate, negated: true, compare: equal},
	{name: "DateLessThan", kind: opDate, compare: less},
	{name: "DateLessThanEquals", kind: opDate, compare: lessEqual},
	{name: "DateGreaterThan", kind: opDate, compare: greater},
	{name: "DateGreaterThanEquals", kind: opDate, compare: greaterEqual},
}

// quantifier is the prefix of an operator for keys with several values.
type quantifier uint8

const (
	noQuantifier quantifier = iota
	forAllValues
	forAnyValue
)

// lookupOperator reads "ForAnyValue:StringLikeIfExists".
func lookupOperator(name string) (op *operator, q quantifier, ifExists bool, err error) {
	base := name
	if rest, ok := strings.CutPrefix(base, "ForAllValues:"); ok {
		base, q = rest, forAllValues
	} else if rest, ok := strings.CutPrefix(base, "ForAnyValue:"); ok {
		base, q = rest, forAnyValue
	}
	base, ifExists = strings.CutSuffix(base, "IfExists")
	i := slices.IndexFunc(operators[:], func(op operator) bool { return op.name == base })
	if i < 0 {
		names := make([]string, len(operators))
		for i := range operators {
			names[i] = operators[i].name
		}
		return nil, 0, false, fmt.Errorf("unknown condition operator %q%s", name, suggest(base, names))
	}
	op = &operators[i]
	if op.kind == opNull && (ifExists || q != noQuantifier) {
		return nil, 0, false, ruleError(`"Null" takes neither IfExists nor ForAllValues nor ForAnyValue`)
	}
	return op, q, ifExists, nil
}

// accepts reports whether the operator can compare values of a type.
func (op *operator) accepts(t valueType) bool {
	switch op.kind {
	case opAddress:
		return t == addressType
	case opDate:
		return t == timeType
	case opNumber:
		return t == numberType || t == claimType || t == timeType
	case opBool:
		return t == boolType || t == claimType
	case opString, opFold, opLike, opBinary, opNull:
	}
	return true
}

// operand is one value of a policy, parsed for its operator.
type operand struct {
	pattern pattern      // of opString, opFold, opLike
	text    string       // of opBinary and opBool
	network netip.Prefix // of opAddress
	number  float64      // of opNumber
	date    time.Time    // of opDate
}

// operand parses a value as it is written in a policy, but that of opLike, which
// is the parser's to compile.
func (op *operator) operand(text string) (operand, error) {
	switch op.kind {
	case opString, opFold:
		p, err := compilePattern(text, false)
		return operand{pattern: p}, err
	case opBinary:
		raw, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return operand{}, fmt.Errorf("%q is not base64", text)
		}
		return operand{text: string(raw)}, nil
	case opBool, opNull:
		if text != "true" && text != "false" {
			return operand{}, fmt.Errorf(`%q is neither "true" nor "false"`, text)
		}
		return operand{text: text}, nil
	case opAddress:
		network, err := parseNetwork(text)
		return operand{network: network}, err
	case opNumber:
		number, ok := parseNumber(text)
		if !ok {
			return operand{}, fmt.Errorf("%q is not a number", text)
		}
		return operand{number: number}, nil
	case opDate:
		date, ok := parseDate(text)
		if !ok {
			return operand{}, fmt.Errorf("%q is not a date such as 2026-12-31T23:59:59Z", text)
		}
		return operand{date: date}, nil
	case opLike:
	}
	return operand{}, ruleError("unknown operator")
}

// matches compares one value of the request with one of the policy, positively.
func (op *operator) matches(v string, o *operand, r *Request) (matched, unknown bool) {
	switch op.kind {
	case opLike:
		return o.pattern.match(v, r)
	case opString:
		text, ok := o.pattern.expand(r)
		return ok && text == v, !ok
	case opFold:
		text, ok := o.pattern.expand(r)
		return ok && strings.EqualFold(text, v), !ok
	case opBinary, opBool:
		return o.text == v, false
	case opAddress:
		addr, err := netip.ParseAddr(v)
		return err == nil && o.network.Contains(addr.Unmap()), false
	case opNumber:
		number, ok := parseNumber(v)
		return ok && op.compare(compareFloat(number, o.number)), false
	case opDate:
		date, ok := parseDate(v)
		return ok && op.compare(date.Compare(o.date)), false
	case opNull:
	}
	return false, false
}

func compareFloat(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func parseNumber(text string) (float64, bool) {
	n, err := strconv.ParseFloat(text, 64)
	return n, err == nil && !math.IsNaN(n) && !math.IsInf(n, 0)
}

// parseDate reads RFC 3339, a date alone (midnight UTC), or seconds since 1970.
func parseDate(text string) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02T15:04Z07:00", time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, true
		}
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	return time.Unix(seconds, 0), err == nil
}

func parseNetwork(text string) (netip.Prefix, error) {
	if network, err := netip.ParsePrefix(text); err == nil {
		if network.Addr().Is4In6() {
			return netip.Prefix{}, fmt.Errorf("%q: write the IPv4 network itself", text)
		}
		return network, nil
	}
	addr, err := netip.ParseAddr(text)
	if err != nil || addr.Zone() != "" {
		return netip.Prefix{}, fmt.Errorf("%q is neither an address nor a network such as 10.0.0.0/8", text)
	}
	addr = addr.Unmap()
	return netip.PrefixFrom(addr, addr.BitLen()), nil
}
