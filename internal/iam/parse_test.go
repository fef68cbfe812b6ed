package iam_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/iam"
)

func TestParseRefuses(t *testing.T) {
	stmt := func(members string) string { return `{"Version":"2012-10-17","Statement":[{` + members + `}]}` }
	allow := func(action, condition string) string {
		return stmt(fmt.Sprintf(`"Effect":"Allow","Action":%s,"Resource":"arn:aws:s3:::b/*","Condition":%s`, action, condition))
	}
	tests := []struct{ name, doc, want string }{
		{"nothing", ``, "line 1, column 1: the document ends too early"},
		{"torn", `{"Version":`, "line 1, column 12: the document ends too early"},
		{"syntax", "{\n  \"Version\": x\n}", "line 2, column 14: invalid character 'x' looking for beginning of value"},
		{"trailing", `{"Statement":[]} {}`, "line 1, column 18: text after the end of the document"},
		{"utf8", "{\"Id\":\"\xff\"}", "line 1, column 8: the document is not valid UTF-8"},
		{"depth", strings.Repeat("[", 100), "line 1, column 9: the document is nested too deeply"},
		{"list", `[]`, "line 1, column 1: a policy is an object, not a list"},
		{"no statement", `{"Version":"2012-10-17"}`, "the policy has no Statement"},
		{"version", `{"Version":"2008-10-17","Statement":[]}`, `column 12: Version is "2012-10-17"`},
		{"member", `{"version":"","Statement":[]}`, `column 2: unknown member "version"; did you mean "Version"?`},
		{"twice", `{"Version":"","Version":"","Statement":[]}`, `column 15: "Version" is here twice`},
		{"statement member", stmt(`"Efect":"Allow"`), `unknown member "Efect" of a statement; did you mean "Effect"?`},
		{"effect", stmt(`"Effect":"allow"`), `Effect is "Allow" or "Deny"`},
		{"no action", stmt(`"Effect":"Allow"`), "neither Action nor NotAction"},
		{"too many ones", stmt(`"Effect":"Allow","Action":"s3:GetObject","Resource":["arn:aws:s3:::b/` + strings.Repeat("?", 60) + `","arn:aws:s3:::b/` + strings.Repeat("?", 41) + `"]`), `column 170: a policy has at most 100 "?"`},
		{"too many ones in conditions", stmt(`"Effect":"Allow","Action":"s3:GetObject","Resource":"*","Condition":{"StringLike":{"aws:username":"` + strings.Repeat("?*", 101) + `"}}`), `a policy has at most 100 "?"`},
		{"no action is left", stmt(`"Effect":"Deny","NotAction":["s3:*"],"Resource":"*"`), "NotAction is all other actions of s3, and none is left"},
		{"both actions", stmt(`"Effect":"Allow","Action":"s3:GetObject","NotAction":"s3:GetObject"`), "column 80: a statement has Action or NotAction, not both"},
		{"action", "{\"Statement\":[{\n\"Effect\":\"Allow\",\n\"Action\":[\"s3:GetObject\",\"s3:getobject\"]}]}", `line 3, column 26: unknown action "s3:getobject"; did you mean "s3:GetObject"?`},
		{"wild action", stmt(`"Effect":"Allow","Action":"s3:Gett*"`), `unknown action "s3:Gett*"`},
		{"variable action", stmt(`"Effect":"Allow","Action":"s3:${aws:username}"`), `an action has no variables`},
		{"several services", stmt(`"Effect":"Allow","Action":"*:Create*"`), "names actions of several services"},
		{"mixed", stmt(`"Effect":"Allow","Action":["admin:*","s3:*"]`), "a statement is about one service: admin and s3 actions need a statement each"},
		{"empty", stmt(`"Effect":"Allow","Action":[]`), "Action is empty"},
		{"number", stmt(`"Effect":"Allow","Action":["s3:GetObject",1]`), "not a list with a number"},
		{"no resource", stmt(`"Effect":"Allow","Action":"s3:GetObject"`), "neither Resource nor NotResource"},
		{"both resources", stmt(`"Effect":"Allow","Action":"s3:GetObject","Resource":"*","NotResource":"*"`), "not both"},
		{"resource", stmt(`"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3::b"`), "is not of the form"},
		{"slash", stmt(`"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::/b"`), "is not of the form"},
		{"variable", stmt(`"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/${aws:user}"`), `unknown variable "${aws:user}"`},
		{"variable of request", stmt(`"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/${s3:prefix}"`), `comes from the request and is no variable`},
		{"open variable", stmt(`"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/${aws:username"`), `has no closing`},
		{"principal", stmt(`"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"*"`), "Principal belongs in bucket policies"},
		{"operator", allow(`"s3:GetObject"`, `{"StringEqual":{"aws:username":"a"}}`), `unknown condition operator "StringEqual"; did you mean "StringEquals"?`},
		{"null if exists", allow(`"s3:GetObject"`, `{"NullIfExists":{"aws:username":"true"}}`), `"Null" takes neither`},
		{"two nulls", allow(`"s3:GetObject"`, `{"Null":{"aws:username":["true","false"]}}`), `needs one value`},
		{"key", allow(`"s3:GetObject"`, `{"StringEquals":{"aws:sourceip":"a"}}`), `unknown condition key "aws:sourceip"; did you mean "aws:SourceIp"?`},
		{"claim", allow(`"s3:GetObject"`, `{"StringEquals":{"jwt:nonsense":"a"}}`), `unknown condition key "jwt:nonsense"`},
		{"key of another action", allow(`"s3:GetObject"`, `{"StringEquals":{"s3:prefix":"a"}}`), `condition key "s3:prefix" has no value in any action of this statement`},
		{"key of one action", allow(`["s3:ListBucket","s3:GetObject"]`, `{"StringEquals":{"s3:prefix":"a"}}`), `condition key "s3:prefix" has no value in action "s3:GetObject"`},
		{"tag without name", allow(`"s3:GetObject"`, `{"StringEquals":{"s3:ExistingObjectTag":"a"}}`), `needs the name of a tag`},
		{"key with tag", allow(`"s3:GetObject"`, `{"StringEquals":{"aws:username/x":"a"}}`), `unknown condition key`},
		{"types", allow(`"s3:GetObject"`, `{"IpAddress":{"aws:username":"10.0.0.0/8"}}`), `IpAddress cannot compare aws:username`},
		{"address", allow(`"s3:GetObject"`, `{"IpAddress":{"aws:SourceIp":"10.0.0/8"}}`), `neither an address nor a network`},
		{"date", allow(`"s3:GetObject"`, `{"DateLessThan":{"aws:CurrentTime":"tomorrow"}}`), `"tomorrow" is not a date`},
		{"number value", allow(`"s3:GetObject"`, `{"NumericLessThan":{"jwt:run_id":"NaN"}}`), `"NaN" is not a number`},
		{"bool value", allow(`"s3:GetObject"`, `{"Bool":{"aws:SecureTransport":"yes"}}`), `neither "true" nor "false"`},
		{"base64", allow(`"s3:GetObject"`, `{"BinaryEquals":{"jwt:sub":"?"}}`), `is not base64`},
		{"no values", allow(`"s3:GetObject"`, `{"StringEquals":{"aws:username":[]}}`), `needs at least one value`},
		{"value type", allow(`"s3:GetObject"`, `{"StringEquals":{"aws:username":[null]}}`), `not null`},
		{"condition type", allow(`"s3:GetObject"`, `[]`), `Condition is an object, not a list`},
		{"kms key", stmt(`"Effect":"Allow","Action":"kms:CreateKey","Resource":"arn:minio:kms:::k"`), `single keys are not offered`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := iam.ParsePolicy([]byte(tt.doc))
			if !errors.Is(err, fault.Invalid) {
				t.Fatalf("got %v, want an invalid policy", err)
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %q, want %q in it", err, tt.want)
			}
		})
	}
}

func TestParseBucketPolicyRefuses(t *testing.T) {
	stmt := func(principal, action, resource string) string {
		return fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow",%s"Action":%q,"Resource":%q}]}`, principal, action, resource)
	}
	tests := []struct{ name, doc, want string }{
		{"no version", `{"Statement":[]}`, "has the Version"},
		{"no principal", stmt("", "s3:GetObject", "arn:aws:s3:::b/*"), "has a Principal"},
		{"principal", stmt(`"Principal":{"AWS":"alice"},`, "s3:GetObject", "arn:aws:s3:::b/*"), `Principal "alice" is neither`},
		{"wild principal", stmt(`"Principal":{"AWS":"arn:aws:iam:::user/a*"},`, "s3:GetObject", "arn:aws:s3:::b/*"), `is neither`},
		{"not principal", stmt(`"NotPrincipal":"*",`, "s3:GetObject", "arn:aws:s3:::b/*"), `NotPrincipal is not offered`},
		{"federated", stmt(`"Principal":{"Federated":"*"},`, "s3:GetObject", "arn:aws:s3:::b/*"), `or {"AWS": …}`},
		{"other bucket", stmt(`"Principal":"*",`, "s3:GetObject", "arn:aws:s3:::bb/*"), "is not in the bucket of this policy"},
		{"all buckets", stmt(`"Principal":"*",`, "s3:GetObject", "arn:aws:s3:::*"), "is not in the bucket of this policy"},
		{"admin", stmt(`"Principal":"*",`, "admin:*", "arn:aws:s3:::b/*"), "only s3 actions"},
		{"too large", strings.Repeat(" ", iam.MaxBucketPolicySize+1), "larger"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := iam.ParseBucketPolicy([]byte(tt.doc), "b")
			if err == nil {
				t.Fatal("accepted")
			}
			if !strings.Contains(err.Error(), tt.want) && !errors.Is(err, fault.TooLarge) {
				t.Errorf("got %q, want %q in it", err, tt.want)
			}
		})
	}
}

// TestParseAccepts covers forms that real clients send.
func TestParseAccepts(t *testing.T) {
	for _, doc := range []string{
		`{"Version":"","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`,
		`{"Id":"x","Statement":[{"Sid":"s","Effect":"Deny","NotAction":["s3:Get*","s3:List*"],"NotResource":"arn:aws:s3:::b/*"}]}`,
		`{"Statement":[{"Effect":"Allow","Action":["admin:CreateUser"],"Resource":["arn:aws:s3:::*"]}]}`,
		`{"Statement":[{"Effect":"Allow","Action":["sts:AssumeRoleWithWebIdentity"],"Condition":{"NumericLessThan":{"sts:DurationSeconds":"3600"}}}]}`,
		`{"Statement":[{"Effect":"Allow","Action":["s3:*"],"Resource":"arn:aws:s3:::b","Condition":{"StringLike":{"s3:prefix":["a","b*"],"aws:username":"x"},"NumericLessThanEquals":{"s3:max-keys":10}}}]}`,
		`{"Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/${*}${?}${$}","Condition":null}]}`,
		`{"Statement":[{"Effect":"Allow","Action":"s3:PutObject","Resource":"arn:aws:s3:::b/*","Condition":{"ForAllValues:StringEquals":{"s3:RequestObjectTagKeys":["a"]},"StringEquals":{"s3:RequestObjectTag/a":"b"}}}]}`,
		`{"Statement":[]}`,
	} {
		p, err := iam.ParsePolicy([]byte(doc))
		if err != nil {
			t.Errorf("%s: %v", doc, err)
			continue
		}
		again, err := iam.ParsePolicy(p.Document())
		if err != nil || !again.Equal(p) {
			t.Errorf("%s: its own document parses to another policy: %v", doc, err)
		}
	}
}

func TestWarnings(t *testing.T) {
	p, err := iam.ParsePolicy([]byte("{\"Statement\":[\n{\"Effect\":\"Allow\",\"Action\":\"s3:*\",\"Resource\":\"arn:aws:s3:::b/*\"}]}"))
	if err != nil {
		t.Fatal(err)
	}
	if w := p.Warnings(); len(w) != 1 || !strings.HasPrefix(w[0], "line 2: statement 1 names s3:CreateBucket") {
		t.Errorf("got %q", w)
	}
}

func FuzzParsePolicy(f *testing.F) {
	f.Add(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:*"],"Resource":"arn:aws:s3:::b/${aws:username}/*","Condition":{"ForAnyValue:StringLikeIfExists":{"jwt:groups":["a*"]}}}]}`)
	f.Add(`{"Statement":{"Effect":"Deny","NotAction":"s3:Get*","NotResource":"*","Principal":{"AWS":["*"]}}}`)
	f.Fuzz(func(t *testing.T, doc string) {
		r := iam.Request{Principal: iam.Principal{Kind: iam.User, User: "*"}, Check: iam.Check{Action: "s3:GetObject", Resource: iam.Resource{Bucket: "b", Key: "k"}}}
		if p, err := iam.ParsePolicy([]byte(doc)); err == nil {
			again, err := iam.ParsePolicy(p.Document())
			if err != nil || again.Statements() != p.Statements() {
				t.Fatalf("the policy's own document is refused or differs: %v", err)
			}
			iam.Evaluate(r, iam.Grants{Policies: []iam.NamedPolicy{{Name: "p", Policy: p}}})
		}
		if p, err := iam.ParseBucketPolicy([]byte(doc), "b"); err == nil {
			r.BucketPolicy = p
			iam.Evaluate(r, iam.Grants{})
		}
	})
}
