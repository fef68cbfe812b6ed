package iam_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/iam"
)

func parse(tb testing.TB, doc string) *iam.Policy {
	tb.Helper()
	p, err := iam.ParsePolicy([]byte(doc))
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func grant(policies ...*iam.Policy) (g iam.Grants) {
	for i, p := range policies {
		g.Policies = append(g.Policies, iam.NamedPolicy{Name: iam.PolicyName(fmt.Sprint("p", i)), Policy: p})
	}
	return g
}

// TestWildcards compares with regular expressions.
func TestWildcards(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	word := func(alphabet []string, n int) string {
		var b strings.Builder
		for range random.IntN(n) {
			b.WriteString(alphabet[random.IntN(len(alphabet))])
		}
		return b.String()
	}
	for range 5000 {
		subject := word([]string{"a", "b", "/", "é", "€"}, 12)
		matches := false
		var resources []string
		for range 1 + random.IntN(3) {
			text := word([]string{"a", "b", "/", "*", "?", "é", "€"}, 9)
			resources = append(resources, `"arn:aws:s3:::b/k`+text+`"`)
			expr := regexp.QuoteMeta("k" + text)
			expr = strings.NewReplacer(`\*`, `(?s:.*)`, `\?`, `(?s:.)`).Replace(expr)
			matches = matches || regexp.MustCompile("^"+expr+"$").MatchString("k"+subject)
		}
		element := []string{"Resource", "NotResource"}[random.IntN(2)]
		p := parse(t, fmt.Sprintf(`{"Statement":{"Effect":"Allow","Action":"s3:GetObject","%s":[%s]}}`, element, strings.Join(resources, ",")))
		r := iam.Request{Principal: iam.Principal{Kind: iam.User, User: "u"}, Check: iam.Check{Action: "s3:GetObject", Resource: iam.Resource{Bucket: "b", Key: "k" + subject}}}
		if got, want := iam.Evaluate(r, grant(p)).Allowed, matches == (element == "Resource"); got != want {
			t.Fatalf("%s %q on %q: got %v, want %v", element, resources, subject, got, want)
		}
	}
}

// TestOneIsACharacter: "?" never begins inside of one.
func TestOneIsACharacter(t *testing.T) {
	p := parse(t, `{"Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*??c"}}`)
	for key, want := range map[string]bool{"€c": false, "x€c": true, "€€c": true, "\U0001F600c": false} {
		r := iam.Request{Principal: iam.Principal{Kind: iam.User, User: "u"}, Check: iam.Check{Action: "s3:GetObject", Resource: iam.Resource{Bucket: "b", Key: key}}}
		if got := iam.Evaluate(r, grant(p)).Allowed; got != want {
			t.Errorf("%q: %v", key, got)
		}
	}
}

// BenchmarkHostile evaluates what a key's own policy may hold at worst, with a key
// that almost matches everywhere.
func BenchmarkHostile(b *testing.B) {
	var literal, ones []string
	for i := range 7 {
		literal = append(literal, fmt.Sprintf(`"arn:aws:s3:::b/*a?%sb%d"`, strings.Repeat("a", 500), i))
		ones = append(ones, fmt.Sprintf(`"arn:aws:s3:::b/*%sb%d"`, strings.Repeat("a?", 14), i))
	}
	for name, resources := range map[string][]string{"literal": literal, "ones": ones} {
		b.Run(name, func(b *testing.B) {
			g := grant(parse(b, fmt.Sprintf(`{"Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":[%s]}}`, strings.Join(resources, ","))))
			r := iam.Request{Principal: iam.Principal{Kind: iam.User, User: "u"}, Check: iam.Check{Action: "s3:GetObject", Resource: iam.Resource{Bucket: "b", Key: strings.Repeat("a", 1000)}}}
			for b.Loop() {
				iam.Evaluate(r, g)
			}
		})
	}
}

// TestVariables: a value is literal whatever it holds, and without a single
// value an Allow does not apply and a Deny does.
func TestVariables(t *testing.T) {
	tests := []struct {
		name      string
		statement string
		principal iam.Principal
		key       string
		want      bool
	}{
		{"value", `"Effect":"Allow","Resource":"arn:aws:s3:::b/${aws:username}/*"`, iam.Principal{User: "u"}, "u/k", true},
		{"prefix of another", `"Effect":"Allow","Resource":"arn:aws:s3:::b/${aws:username}/*"`, iam.Principal{User: "u"}, "uu/k", false},
		{"star is literal", `"Effect":"Allow","Resource":"arn:aws:s3:::b/${aws:username}/*"`, iam.Principal{User: "*"}, "u/k", false},
		{"star matches star", `"Effect":"Allow","Resource":"arn:aws:s3:::b/${aws:username}/*"`, iam.Principal{User: "*"}, "*/k", true},
		{"question mark is literal", `"Effect":"Allow","Resource":"arn:aws:s3:::b/${aws:username}"`, iam.Principal{User: "???"}, "abc", false},
		{"no second expansion", `"Effect":"Allow","Resource":"arn:aws:s3:::b/${jwt:sub}"`, iam.Principal{User: "u", Claims: map[string][]string{"sub": {"${aws:username}"}}}, "u", false},
		{"claim", `"Effect":"Allow","Resource":"arn:aws:s3:::b/${jwt:repository}/*"`, iam.Principal{User: "u", Claims: map[string][]string{"repository": {"o/r"}}}, "o/r/k", true},
		{"missing claim", `"Effect":"Allow","Resource":"arn:aws:s3:::b/${jwt:sub}*"`, iam.Principal{User: "u"}, "k", false},
		{"empty claim", `"Effect":"Allow","Resource":"arn:aws:s3:::b/${jwt:sub}*"`, iam.Principal{User: "u", Claims: map[string][]string{"sub": {""}}}, "k", false},
		{"two values", `"Effect":"Allow","Resource":"arn:aws:s3:::b/${aws:groups}/*"`, iam.Principal{User: "u", Groups: []iam.GroupName{"a", "b"}}, "a/k", false},
		{"raw wildcard byte", `"Effect":"Allow","Resource":"arn:aws:s3:::b/${jwt:sub}"`, iam.Principal{User: "u", Claims: map[string][]string{"sub": {"\xff"}}}, "k", false},
		{"missing, not resource", `"Effect":"Allow","NotResource":"arn:aws:s3:::b/${jwt:sub}"`, iam.Principal{User: "u"}, "k", false},
		{"escaped star", `"Effect":"Allow","Resource":"arn:aws:s3:::b/${*}"`, iam.Principal{User: "u"}, "k", false},
		{"missing in a negated condition", `"Effect":"Allow","Resource":"*","Condition":{"StringNotEquals":{"aws:username":"${jwt:sub}"}}`, iam.Principal{User: "u"}, "k", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.principal.Kind = iam.User
			p := parse(t, `{"Statement":{"Action":"s3:GetObject",`+tt.statement+`}}`)
			r := iam.Request{Principal: tt.principal, Check: iam.Check{Action: "s3:GetObject", Resource: iam.Resource{Bucket: "b", Key: tt.key}}}
			if got := iam.Evaluate(r, grant(p)).Allowed; got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// TestDenyWhenUnknown: a Deny whose condition cannot be established denies.
func TestDenyWhenUnknown(t *testing.T) {
	allow := parse(t, `{"Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}`)
	deny := parse(t, `{"Statement":{"Effect":"Deny","Action":"s3:GetObject","Resource":"*","Condition":{"StringEquals":{"s3:ExistingObjectTag/class":"secret"}}}}`)
	tests := []struct {
		name string
		tags func(string) ([]string, bool)
		want bool
	}{
		{"nobody can tell", nil, false},
		{"the store cannot tell", func(string) ([]string, bool) { return nil, false }, false},
		{"no such tag", func(string) ([]string, bool) { return nil, true }, true},
		{"other tag", func(string) ([]string, bool) { return []string{"public"}, true }, true},
		{"tag", func(name string) ([]string, bool) { return []string{"secret"}, name == "class" }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := iam.Request{
				Principal: iam.Principal{Kind: iam.User, User: "u"},
				Check:     iam.Check{Action: "s3:GetObject", Resource: iam.Resource{Bucket: "b", Key: "k"}},
				Facts:     iam.Facts{ExistingTag: tt.tags},
			}
			if got := iam.Evaluate(r, grant(allow, deny)).Allowed; got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// TestClientCannotName: what a client sends under the name of a condition key
// with another source reaches no policy.
func TestClientCannotName(t *testing.T) {
	injected := map[string][]string{
		"aws:username": {"admin"}, "aws:SourceIp": {"10.0.0.1"}, "aws:groups": {"admins"}, "jwt:sub": {"admin"},
		"aws:SecureTransport": {"true"}, "aws:principaltype": {"Account"}, "ldap:user": {"admin"}, "username": {"admin"},
		"s3:ExistingObjectTag/team": {"a"},
	}
	for key, values := range injected {
		if key == "username" {
			continue
		}
		operator := "StringEquals"
		p, err := iam.ParsePolicy(fmt.Appendf(nil, `{"Statement":{"Effect":"Allow","Action":"s3:GetObject","Resource":"*","Condition":{%q:{%q:%q}}}}`, operator, key, values[0]))
		if err != nil {
			t.Fatal(err)
		}
		r := iam.Request{
			Principal: iam.Principal{Kind: iam.User, User: "u"},
			Check:     iam.Check{Action: "s3:GetObject", Resource: iam.Resource{Bucket: "b", Key: "k"}},
			Facts:     iam.Facts{S3: injected, SourceIP: netip.MustParseAddr("192.0.2.1"), Referer: "admin", UserAgent: "admin"},
		}
		if iam.Evaluate(r, grant(p)).Allowed {
			t.Errorf("%s was taken from the request's values", key)
		}
	}
}

func TestNotAction(t *testing.T) {
	p := parse(t, `{"Statement":{"Effect":"Allow","NotAction":"s3:Delete*","Resource":"*"}}`)
	for action, want := range map[iam.Action]bool{"s3:GetObject": true, "s3:DeleteObject": false, "admin:CreateUser": false, "kms:Status": false} {
		r := iam.Request{Principal: iam.Principal{Kind: iam.User, User: "u"}, Check: iam.Check{Action: action, Resource: iam.Resource{Bucket: "b", Key: "k"}}}
		if got := iam.Evaluate(r, grant(p)).Allowed; got != want {
			t.Errorf("%s: got %v, want %v", action, got, want)
		}
	}
}

func TestBuiltinPolicies(t *testing.T) {
	r := iam.Request{Principal: iam.Principal{Kind: iam.User, User: "u"}, Check: iam.Check{Action: "s3:PutObject", Resource: iam.Resource{Bucket: "b", Key: "k"}}}
	for name, want := range map[iam.PolicyName]bool{"consoleAdmin": true, "diagnostics": false, "readonly": false, "readwrite": true, "writeonly": true} {
		if got := iam.Evaluate(r, grant(iam.BuiltinPolicies()[name])).Allowed; got != want {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
}

// BenchmarkEvaluate is 10 policies of 10 statements, of which the last one
// allows. Bucket names in full are found by index; wildcards are all tried.
func BenchmarkEvaluate(b *testing.B) {
	build := func(resource string) (policies []*iam.Policy) {
		for i := range 10 {
			var statements []string
			for j := range 10 {
				statements = append(statements, fmt.Sprintf(`{"Effect":"Allow","Action":["s3:GetObject","s3:PutObject","s3:List*"],"Resource":["`+resource+`"]}`, i, j))
			}
			policies = append(policies, parse(b, `{"Statement":[`+strings.Join(statements, ",")+`]}`))
		}
		return policies
	}
	named, heads, tails, inside := build("arn:aws:s3:::bucket-%d-%d/*"), build("arn:aws:s3:::bucket-%d-%d*"), build("arn:aws:s3:::*-%d-%d/*"), build("arn:aws:s3:::bucket-9-9/a/%d/*/%d/*")
	conditional := parse(b, `{"Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::home/${aws:username}/*","Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}}]}`)
	last := iam.Resource{Bucket: "bucket-9-9", Key: "a/b/c/0123456789abcdef"}
	for _, bb := range []struct {
		name     string
		resource iam.Resource
		grants   iam.Grants
	}{
		{"named bucket", last, grant(named...)},
		{"no policy", iam.Resource{Bucket: "other", Key: last.Key}, grant(named...)},
		{"bucket with wildcard behind", last, grant(heads...)},
		{"bucket with wildcard before", last, grant(tails...)},
		{"all in one bucket", iam.Resource{Bucket: "bucket-9-9", Key: "a/9/b/c/9/x"}, grant(inside...)},
		{"variable and address", iam.Resource{Bucket: "home", Key: "alice/k"}, grant(append(named[:9:9], conditional)...)},
	} {
		r := iam.Request{
			Principal: iam.Principal{Kind: iam.User, User: "alice"},
			Check:     iam.Check{Action: "s3:GetObject", Resource: bb.resource},
			Facts:     iam.Facts{Time: time.Unix(1, 0), SourceIP: netip.MustParseAddr("10.1.2.3")},
		}
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				iam.Evaluate(r, bb.grants)
			}
		})
	}
}
