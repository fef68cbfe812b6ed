package iam_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/iam"
)

// operatorCase is one operator with the values of a policy, and the values of
// the key in one request per column.
type operatorCase struct {
	operator string
	key      string
	values   string // JSON
	requests [][]string
}

// multi are values for keys that can have several; the first column is always
// the missing key.
func operatorCases() []operatorCase {
	text := [][]string{{"a"}, {"A"}, {"x"}, {"a", "x"}, {"a", "b"}, {"x", "y"}}
	number := [][]string{{"9"}, {"10"}, {"11"}, {"9", "11"}, {"ten"}}
	boolean := [][]string{{"true"}, {"false"}, {"true", "false"}, {"yes"}}
	var cases []operatorCase
	for _, op := range []string{"StringEquals", "StringNotEquals", "StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase", "StringLike", "StringNotLike"} {
		cases = append(cases, operatorCase{op, "jwt:groups", `["a","b"]`, text})
	}
	cases = append(cases, operatorCase{"StringLike", "jwt:groups", `"?"`, text}, operatorCase{"BinaryEquals", "jwt:groups", `"YQ=="`, text})
	for _, op := range []string{"NumericEquals", "NumericNotEquals", "NumericLessThan", "NumericLessThanEquals", "NumericGreaterThan", "NumericGreaterThanEquals"} {
		cases = append(cases, operatorCase{op, "jwt:run_id", `10`, number})
	}
	return append(cases, operatorCase{"Bool", "jwt:ref_protected", `true`, boolean})
}

// TestOperators writes operator × qualifier × values of the key as a table: +
// where the condition holds, - where it does not.
func TestOperators(t *testing.T) {
	var b strings.Builder
	b.WriteString("# Where a condition holds (+). Columns are the values of the key in the request.\n")
	for _, c := range operatorCases() {
		columns := append([][]string{nil}, c.requests...)
		fmt.Fprintf(&b, "\n%-46s", c.operator+" "+c.values)
		for _, values := range columns {
			fmt.Fprintf(&b, " %-10s", heading(values))
		}
		b.WriteString("\n")
		for _, form := range []string{"%s", "%sIfExists", "ForAllValues:%s", "ForAnyValue:%s", "ForAllValues:%sIfExists", "ForAnyValue:%sIfExists"} {
			op := fmt.Sprintf(form, c.operator)
			fmt.Fprintf(&b, "  %-44s", op)
			for _, values := range columns {
				claim := strings.TrimPrefix(c.key, "jwt:")
				r := iam.Request{Principal: iam.Principal{Kind: iam.Session, Parent: iam.User, Claims: map[string][]string{claim: values}}}
				fmt.Fprintf(&b, " %-10s", sign(holds(t, op, c.key, c.values, r)))
			}
			b.WriteString("\n")
		}
	}
	b.WriteString("\n" + single(t))
	golden(t, "operators.golden", trimLines(b.String()))
}

// single is the part of the table about keys that have one value at most.
func single(t *testing.T) string {
	t.Helper()
	at := func(s string) iam.Request {
		when, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return iam.Request{Facts: iam.Facts{Time: when}}
	}
	from := func(s string) iam.Request { return iam.Request{Facts: iam.Facts{SourceIP: netip.MustParseAddr(s)}} }
	prefix := func(values ...string) iam.Request {
		return iam.Request{Facts: iam.Facts{S3: map[string][]string{"s3:prefix": values}}}
	}
	type column struct {
		name    string
		request iam.Request
	}
	dates := []column{{"12-30", at("2026-12-30T00:00:00Z")}, {"12-31", at("2026-12-31T00:00:00Z")}, {"01-01", at("2027-01-01T00:00:00Z")}}
	addresses := []column{{"missing", iam.Request{}}, {"10.1.2.3", from("10.1.2.3")}, {"::ffff:10.1.2.3", from("::ffff:10.1.2.3")}, {"11.1.2.3", from("11.1.2.3")}, {"fe80::1%eth0", from("fe80::1%eth0")}}
	present := []column{{"missing", iam.Request{}}, {"empty", prefix("")}, {"a", prefix("a")}}
	tls := []column{{"http", iam.Request{}}, {"https", iam.Request{Facts: iam.Facts{TLS: true}}}}
	rows := []struct {
		operator, key, values string
		columns               []column
	}{
		{"DateEquals", "aws:CurrentTime", `"2026-12-31T00:00:00Z"`, dates},
		{"DateNotEquals", "aws:CurrentTime", `"2026-12-31"`, dates},
		{"DateLessThan", "aws:CurrentTime", `"2026-12-31T01:00:00+01:00"`, dates},
		{"DateLessThanEquals", "aws:CurrentTime", `"2026-12-31T00:00:00Z"`, dates},
		{"DateGreaterThan", "aws:CurrentTime", `"2026-12-31T00:00:00Z"`, dates},
		{"DateGreaterThanEquals", "aws:EpochTime", `1798675200`, dates},
		{"NumericLessThan", "aws:EpochTime", `"1798675200"`, dates},
		{"IpAddress", "aws:SourceIp", `["10.0.0.0/8","fe80::/10"]`, addresses},
		{"NotIpAddress", "aws:SourceIp", `["10.0.0.0/8"]`, addresses},
		{"IpAddressIfExists", "aws:SourceIp", `"10.1.2.3"`, addresses},
		{"Bool", "aws:SecureTransport", `"true"`, tls},
		{"Bool", "aws:SecureTransport", `false`, tls},
		{"Null", "s3:prefix", `true`, present},
		{"Null", "s3:prefix", `"false"`, present},
		{"StringEquals", "s3:prefix", `""`, present},
		{"StringLike", "s3:prefix", `"*"`, present},
		{"StringNotLikeIfExists", "s3:prefix", `"a*"`, present},
	}
	var b strings.Builder
	for _, row := range rows {
		fmt.Fprintf(&b, "%-70s", fmt.Sprintf("%s %s %s", row.operator, row.key, row.values))
		for _, c := range row.columns {
			fmt.Fprintf(&b, " %s:%s", c.name, sign(holds(t, row.operator, row.key, row.values, c.request)))
		}
		b.WriteString("\n")
	}
	return b.String()
}

// holds asks a policy of one statement with one condition.
func holds(t *testing.T, operator, key, values string, r iam.Request) bool {
	t.Helper()
	doc := fmt.Sprintf(`{"Statement":[{"Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:s3:::b","Condition":{%q:{%q:%s}}}]}`, operator, key, values)
	p, err := iam.ParsePolicy([]byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	if r.Principal.Kind == iam.Anonymous {
		r.Principal = iam.Principal{Kind: iam.User, User: "u"}
	}
	r.Check = iam.Check{Action: "s3:ListBucket", Resource: iam.Resource{Bucket: "b"}}
	return iam.Evaluate(r, iam.Grants{Policies: []iam.NamedPolicy{{Name: "p", Policy: p}}}).Allowed
}

func heading(values []string) string {
	if values == nil {
		return "missing"
	}
	return "{" + strings.Join(values, ",") + "}"
}

func sign(b bool) string {
	if b {
		return "+"
	}
	return "-"
}

func trimLines(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}
