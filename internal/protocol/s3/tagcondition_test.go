package s3_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/object"
	"github.com/larder-cache/larder/internal/protocol/s3"
)

// tagXML is a set of one tag.
func tagXML(name, value string) string {
	return "<Tagging><TagSet><Tag><Key>" + name + "</Key><Value>" + value + "</Value></Tag></TagSet></Tagging>"
}

// taggers are the ways to give an object a tag; each writes /plain/new but
// tagging itself, which needs /plain/old.
var taggers = map[string]func(s *server, name, value string) reply{
	"PutObject": func(s *server, name, value string) reply {
		answer, _ := s.call(http.MethodPut, "/plain/new", "content", "X-Amz-Tagging", name+"="+value)
		return answer
	},
	"CreateMultipartUpload": func(s *server, name, value string) reply {
		answer, _ := s.call(http.MethodPost, "/plain/new?uploads", "", "X-Amz-Tagging", name+"="+value)
		return answer
	},
	"CopyObject, replacing": func(s *server, name, value string) reply {
		answer, _ := s.call(http.MethodPut, "/plain/new", "", "X-Amz-Copy-Source", "/plain/old",
			"X-Amz-Tagging-Directive", "REPLACE", "X-Amz-Tagging", name+"="+value)
		return answer
	},
	"CopyObject, keeping": func(s *server, name, value string) reply {
		if err := s.store.SetTags(s.t.Context(), "plain", "old", []object.Tag{{Key: name, Value: value}}); err != nil {
			s.t.Fatal(err)
		}
		answer, _ := s.call(http.MethodPut, "/plain/new", "", "X-Amz-Copy-Source", "/plain/old")
		return answer
	},
	"PutObjectTagging": func(s *server, name, value string) reply {
		answer, _ := s.call(http.MethodPut, "/plain/old?tagging", tagXML(name, value))
		return answer
	},
	"PutObjectVersionTagging": func(s *server, name, value string) reply {
		answer, _ := s.call(http.MethodPut, "/plain/old?tagging&versionId=null", tagXML(name, value))
		return answer
	},
	"POST": func(s *server, name, value string) reply {
		policy := base64.StdEncoding.EncodeToString([]byte(`{"expiration":"2026-11-23T13:00:00Z","conditions":[
			{"bucket":"plain"},{"key":"new"},["starts-with","$tagging",""],["starts-with","$x-amz-credential",""],
			{"x-amz-algorithm":"AWS4-HMAC-SHA256"},{"x-amz-date":"20261123T120000Z"}]}`))
		const boundary = "frontier"
		var b strings.Builder
		for _, f := range [][2]string{
			{"key", "new"},
			{"tagging", tagXML(name, value)},
			{"policy", policy},
			{"x-amz-algorithm", "AWS4-HMAC-SHA256"},
			{"x-amz-credential", string(rootKey.ID) + "/20261123/us-east-1/s3/aws4_request"},
			{"x-amz-date", "20261123T120000Z"},
			{"x-amz-signature", signPolicy(policy, rootKey.Secret)},
		} {
			fmt.Fprintf(&b, "--%s\r\nContent-Disposition: form-data; name=%q\r\n\r\n%s\r\n", boundary, f[0], f[1])
		}
		fmt.Fprintf(&b, "--%s\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\ncontent\r\n--%[1]s--\r\n", boundary)
		return s.do(request(http.MethodPost, "/plain", b.String(), "Content-Type", "multipart/form-data; boundary="+boundary))
	},
}

// TestTagConditions holds every way to tag an object against policies about
// tags, wherever in a request the tags are.
func TestTagConditions(t *testing.T) {
	const all = `{"Effect":"Allow","Action":"s3:*","Resource":"*"}`
	const writers = `"Action":["s3:PutObject","s3:PutObjectTagging","s3:PutObjectVersionTagging"],"Resource":"*"`
	policies := []struct {
		name, statements string
		value            string
		allowed          bool
	}{
		{"denied value", all + `,{"Effect":"Deny",` + writers + `,"Condition":{"StringEquals":{"s3:RequestObjectTag/class":"trusted"}}}`, "trusted", false},
		{"other value", all + `,{"Effect":"Deny",` + writers + `,"Condition":{"StringEquals":{"s3:RequestObjectTag/class":"trusted"}}}`, "fork", true},
		{"denied key", all + `,{"Effect":"Deny",` + writers + `,"Condition":{"ForAnyValue:StringEquals":{"s3:RequestObjectTagKeys":["class"]}}}`, "fork", false},
		{"allowed value", `{"Effect":"Allow","Action":["s3:GetObject","s3:GetObjectTagging"],"Resource":"*"},{"Effect":"Allow",` + writers + `,"Condition":{"StringEquals":{"s3:RequestObjectTag/class":"fork"}}}`, "fork", true},
		{"value not allowed", `{"Effect":"Allow","Action":["s3:GetObject","s3:GetObjectTagging"],"Resource":"*"},{"Effect":"Allow",` + writers + `,"Condition":{"StringEquals":{"s3:RequestObjectTag/class":"fork"}}}`, "trusted", false},
		{"no right to tag", `{"Effect":"Allow","Action":["s3:PutObject","s3:GetObject","s3:GetObjectTagging"],"Resource":"*"}`, "fork", false},
	}
	for name, tag := range taggers {
		for _, tt := range policies {
			t.Run(name+"/"+tt.name, func(t *testing.T) {
				s := newServer(t, s3.Config{})
				s.bucket("plain", object.BucketConfig{})
				s.call(http.MethodPut, "/plain/old", "content")
				if name == "CopyObject, keeping" && tt.name == "allowed value" {
					tt.allowed = false // as on S3: the request itself, which is asked about first, has no tag
				}
				var err error
				if s.policy, err = iam.ParsePolicy([]byte(`{"Version":"2012-10-17","Statement":[` + tt.statements + `]}`)); err != nil {
					t.Fatal(err)
				}
				answer := tag(s, "class", tt.value)
				if allowed := answer.Code < 300; allowed != tt.allowed || !allowed && answer.Code != http.StatusForbidden {
					t.Fatalf("status %d %s, allowed: want %t", answer.Code, answer.Body, tt.allowed)
				}
				s.policy = nil
				if _, body := s.call(http.MethodGet, "/plain/new?tagging", ""); !tt.allowed && strings.Contains(body, "class") {
					t.Errorf("tagged all the same: %s", body)
				}
			})
		}
	}
}

// TestTagBodyOfNobody reads no tags of callers without credentials.
func TestTagBodyOfNobody(t *testing.T) {
	s := newServer(t, s3.Config{})
	s.bucket("plain", object.BucketConfig{})
	s.call(http.MethodPut, "/plain/old", "content")
	s.allow = func(iam.Principal, iam.Check) bool { return true }
	if answer := s.do(request(http.MethodPut, "/plain/old?tagging", tagXML("a", "b"))); answer.Code != http.StatusForbidden {
		t.Errorf("status %d %s", answer.Code, answer.Body)
	}
}

// TestVersionCondition holds the version that a request names against policies.
func TestVersionCondition(t *testing.T) {
	for _, tt := range [][3]string{
		{"GET", "/plain/old?versionId=null", ""},
		{"DELETE", "/plain/old?versionId=null", ""},
		{"PUT", "/plain/old?tagging&versionId=null", tagXML("a", "b")},
		{"POST", "/plain?delete", "<Delete><Object><Key>old</Key><VersionId>null</VersionId></Object></Delete>"},
	} {
		s := newServer(t, s3.Config{})
		s.bucket("plain", object.BucketConfig{})
		s.call(http.MethodPut, "/plain/old", "content")
		s.policy, _ = iam.ParsePolicy([]byte(`{"Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"},
			{"Effect":"Deny","Action":["s3:GetObjectVersion","s3:DeleteObjectVersion","s3:PutObjectVersionTagging"],"Resource":"*","Condition":{"StringEquals":{"s3:versionid":"null"}}}]}`))
		if answer, body := s.call(tt[0], tt[1], tt[2]); !strings.Contains(body, "AccessDenied") {
			t.Errorf("%s %s: %d %s", tt[0], tt[1], answer.Code, body)
		}
	}
}

// TestLocationCondition holds the region that a new bucket is to have against
// policies.
func TestLocationCondition(t *testing.T) {
	s := newServer(t, s3.Config{})
	s.policy, _ = iam.ParsePolicy([]byte(`{"Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"},
		{"Effect":"Deny","Action":"s3:CreateBucket","Resource":"*","Condition":{"StringEquals":{"s3:LocationConstraint":"mars"}}}]}`))
	const body = "<CreateBucketConfiguration><LocationConstraint>%s</LocationConstraint></CreateBucketConfiguration>"
	if answer, text := s.call(http.MethodPut, "/plain", fmt.Sprintf(body, "mars")); answer.Code != http.StatusForbidden {
		t.Errorf("denied: %d %s", answer.Code, text)
	}
	if answer, text := s.call(http.MethodPut, "/plain", fmt.Sprintf(body, "venus")); answer.Code != http.StatusOK {
		t.Errorf("another: %d %s", answer.Code, text)
	}
}
