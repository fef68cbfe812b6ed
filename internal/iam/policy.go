package iam

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// Policy is a parsed policy document. It is immutable and may be shared.
type Policy struct {
	document   []byte // compact JSON, as it was written
	statements []statement
	actions    actionSet // of all statements
	principals []UserName

	// byBucket lists, in order, the statements that may concern a bucket that
	// some statement names in full; elsewhere lists those for any other.
	byBucket  map[string][]candidate
	elsewhere []candidate
}

// candidate is a statement that may concern a resource. What it is not about is
// known, nearly always, without a look at the statement.
type candidate struct {
	needle    string // occurs in every resource that the statement is about
	statement int
}

// statement is one statement, compiled.
type statement struct {
	label       string // `statement 2 ("sid")`
	sid         string
	line        int
	deny        bool
	service     service
	actions     actionSet
	everybody   bool       // of a bucket policy: Principal "*"
	principals  []UserName // of a bucket policy
	notResource bool
	resources   []pattern // of s3 statements; "bucket/key" without the ARN's head
	conditions  []condition
}

// Document returns the policy as compact JSON, with the members as they were
// written. The caller does not change it.
func (p *Policy) Document() json.RawMessage { return p.document }

// Principals returns the users that a bucket policy names, sorted, without "*".
func (p *Policy) Principals() []UserName { return p.principals }

// Administers returns the admin actions that some statement allows, whatever its
// conditions.
func (p *Policy) Administers() []Action {
	var set actionSet
	for i := range p.statements {
		if s := &p.statements[i]; !s.deny && s.service == serviceAdmin {
			set.union(s.actions)
		}
	}
	var found []Action
	for id, name := range actions.names {
		if set.has(actionID(id)) {
			found = append(found, name)
		}
	}
	return found
}

// Statements returns the number of statements.
func (p *Policy) Statements() int { return len(p.statements) }

// Equal reports whether two policies have the same document.
func (p *Policy) Equal(other *Policy) bool { return bytes.Equal(p.document, other.document) }

// Warnings tells what is valid and yet likely not meant: actions on a bucket
// whose resources are only objects, which then are allowed nowhere.
func (p *Policy) Warnings() []string {
	var warnings []string
	for i := range p.statements {
		s := &p.statements[i]
		if s.service != serviceS3 || s.notResource || slices.ContainsFunc(s.resources, func(p pattern) bool { return p.reachesBucket() }) {
			continue
		}
		for id, name := range actions.names {
			if s.actions.has(actionID(id)) && bucketLevel.has(actionID(id)) {
				warnings = append(warnings, "line "+strconv.Itoa(s.line)+": "+s.label+" names "+string(name)+
					", which is about a bucket, and has only objects as Resource: add \"arn:aws:s3:::BUCKET\" beside \"arn:aws:s3:::BUCKET/*\"")
				break
			}
		}
	}
	return warnings
}

// reachesBucket reports whether a resource can be a bucket.
func (p *pattern) reachesBucket() bool {
	for i := range len(p.source) {
		switch p.source[i] {
		case '*':
			return true
		case '/':
			return false
		}
	}
	return true
}

// effect is what a policy says to a request.
type effect uint8

const (
	silent effect = iota
	allows
	denies
)

// decide returns what the policy says, and the statement that says it: the first
// that denies, otherwise the first that allows.
func (p *Policy) decide(r *Request, id actionID, resource string) (effect, *statement) {
	if p == nil || !p.actions.has(id) {
		return silent, nil
	}
	candidates, ok := p.byBucket[r.Check.Resource.Bucket]
	if !ok {
		candidates = p.elsewhere
	}
	var allowing *statement
	for i := range candidates {
		if !strings.Contains(resource, candidates[i].needle) {
			continue
		}
		s := &p.statements[candidates[i].statement]
		if !s.actions.has(id) || allowing != nil && !s.deny || !s.applies(r, resource) {
			continue
		}
		if s.deny {
			return denies, s
		}
		allowing = s
	}
	if allowing != nil {
		return allows, allowing
	}
	return silent, nil
}

// applies evaluates everything but the action.
func (s *statement) applies(r *Request, resource string) bool {
	if !s.concerns(r.Principal) {
		return false
	}
	result := s.covers(r, resource)
	for i := 0; i < len(s.conditions) && result != no; i++ {
		if got := s.conditions[i].holds(r); got != yes {
			result = got
		}
	}
	return result == yes || result == unknown && s.deny
}

// index fills byBucket and elsewhere.
func (p *Policy) index() {
	p.byBucket = map[string][]candidate{}
	of := make([][]string, len(p.statements))
	all := make([]candidate, len(p.statements))
	for i := range p.statements {
		of[i] = p.statements[i].buckets()
		all[i] = candidate{p.statements[i].needle(), i}
		for _, bucket := range of[i] {
			p.byBucket[bucket] = nil
		}
		if of[i] == nil {
			p.elsewhere = append(p.elsewhere, all[i])
		}
	}
	for bucket := range p.byBucket {
		for i := range p.statements {
			if of[i] == nil || slices.Contains(of[i], bucket) {
				p.byBucket[bucket] = append(p.byBucket[bucket], all[i])
			}
		}
	}
}

// needle returns the longest text that occurs in every resource that the
// statement is about, "" if none is known.
func (s *statement) needle() string {
	if s.service != serviceS3 || s.notResource || len(s.resources) == 0 {
		return ""
	}
	longest := ""
	for _, text := range s.resources[0].literals() {
		if len(text) > len(longest) && !slices.ContainsFunc(s.resources, func(p pattern) bool { return !p.demands(text) }) {
			longest = text
		}
	}
	return longest
}

// buckets returns the buckets that the statement is about, nil for any.
func (s *statement) buckets() []string {
	if s.service != serviceS3 || s.notResource {
		return nil
	}
	var buckets []string
	for i := range s.resources {
		bucket, ok := s.resources[i].bucket()
		if !ok {
			return nil
		}
		buckets = append(buckets, bucket)
	}
	return buckets
}

// bucket returns the bucket that a resource lies in, if the resource names it in
// full.
func (p *pattern) bucket() (string, bool) {
	bucket, _, object := strings.Cut(p.source, "/")
	if strings.ContainsAny(bucket, "*?$") {
		return "", false
	}
	return bucket, object || p.kind == exact
}

// concerns reports whether a statement of a bucket policy is about a principal.
// Root, and whoever came from an issuer, are never taken for a user of that name.
func (s *statement) concerns(p Principal) bool {
	if s.everybody || s.principals == nil {
		return true
	}
	return p.source() == User && slices.Contains(s.principals, p.User)
}

// covers reports whether the statement is about the resource.
func (s *statement) covers(r *Request, resource string) verdict {
	if s.service != serviceS3 {
		return yes
	}
	blind := false
	for i := range s.resources {
		matched, unknown := s.resources[i].match(resource, r)
		if matched {
			return verdictOf(!s.notResource)
		}
		blind = blind || unknown
	}
	if blind && s.notResource {
		return unknown
	}
	return verdictOf(s.notResource)
}
