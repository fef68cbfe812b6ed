package s3

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// formPolicy is the document that a form's signature covers: until when, and what
// the fields may be.
//
// Source: Amazon S3 API Reference, "POST policy".
type formPolicy struct {
	expiration time.Time
	conditions []formCondition
	limits     *lengths
}

// formCondition is one condition on one field.
type formCondition struct {
	field  string // lower case
	prefix bool   // starts-with, otherwise equal
	value  string
}

func parseFormPolicy(text string) (*formPolicy, error) {
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, malformedPolicy("it is not base64")
	}
	var doc struct {
		Expiration string `json:"expiration"`
		Conditions []any  `json:"conditions"`
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	if err := decoder.Decode(&doc); err != nil {
		return nil, malformedPolicy("it is not JSON of the form {\"expiration\": …, \"conditions\": […]}")
	}
	policy := &formPolicy{}
	if policy.expiration, err = time.Parse(time.RFC3339Nano, doc.Expiration); err != nil {
		return nil, malformedPolicy("its expiration is not a time")
	}
	for _, condition := range doc.Conditions {
		if err := policy.add(condition); err != nil {
			return nil, err
		}
	}
	return policy, nil
}

func malformedPolicy(why string) error {
	return &Error{Code: InvalidPolicyDocument, Message: "Invalid Policy: " + why + "."}
}

// add parses one condition: {"field": "value"}, ["eq", "$field", "value"],
// ["starts-with", "$field", "prefix"] or ["content-length-range", low, high].
func (p *formPolicy) add(condition any) error {
	switch c := condition.(type) {
	case map[string]any:
		for field, value := range c {
			text, ok := value.(string)
			if !ok {
				return malformedPolicy("the value of " + strconv.Quote(field) + " is not a string")
			}
			p.conditions = append(p.conditions, formCondition{field: strings.ToLower(field), value: text})
		}
		return nil
	case []any:
		if len(c) == 3 {
			return p.addList(c)
		}
	}
	return malformedPolicy("a condition is neither an object nor a list of three")
}

func (p *formPolicy) addList(c []any) error {
	operator, _ := c[0].(string)
	if strings.EqualFold(operator, "content-length-range") {
		low, errLow := strconv.ParseInt(fmt.Sprint(c[1]), 10, 64)
		high, errHigh := strconv.ParseInt(fmt.Sprint(c[2]), 10, 64)
		if errLow != nil || errHigh != nil || low < 0 || high < low {
			return malformedPolicy("content-length-range needs two numbers")
		}
		p.limits = &lengths{low, high}
		return nil
	}
	field, ok := c[1].(string)
	value, isText := c[2].(string)
	name, dollar := strings.CutPrefix(field, "$")
	prefix := strings.EqualFold(operator, "starts-with")
	if !ok || !isText || !dollar || !prefix && !strings.EqualFold(operator, "eq") {
		return malformedPolicy("a condition is not of the form [\"eq\" or \"starts-with\", \"$field\", \"value\"]")
	}
	p.conditions = append(p.conditions, formCondition{field: strings.ToLower(name), prefix: prefix, value: value})
	return nil
}

// uncovered are the fields that need no condition.
var uncovered = map[string]bool{"policy": true, "x-amz-signature": true, "file": true, "submit": true}

// check holds the fields against the policy. The bucket is the one that the
// request is about, whatever a field of that name says.
func (p *formPolicy) check(fields url.Values, bucket string, now time.Time) (lengths, error) {
	failed := func(what string) (lengths, error) {
		return lengths{}, &Error{Code: AccessDenied, Message: "Invalid according to Policy: " + what}
	}
	if !now.Before(p.expiration) {
		return failed("Policy expired.")
	}
	covered := make(map[string]bool)
	for _, c := range p.conditions {
		value := fields.Get(c.field)
		if c.field == "bucket" {
			value = bucket
		}
		if c.prefix && !strings.HasPrefix(value, c.value) || !c.prefix && value != c.value {
			return failed("Policy Condition failed: [" + strconv.Quote(c.field) + ", " + strconv.Quote(c.value) + "]")
		}
		covered[c.field] = true
	}
	for field := range fields {
		if !covered[field] && !uncovered[field] && !strings.HasPrefix(field, "x-ignore-") && field != "bucket" {
			return failed("Extra input fields: " + field)
		}
	}
	if !covered["bucket"] || !covered["key"] {
		return failed("Policy has no condition on bucket or key.")
	}
	if p.limits == nil {
		return lengths{0, maxFormFile}, nil
	}
	return *p.limits, nil
}
