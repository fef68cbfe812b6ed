package s3_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/larder-cache/larder/internal/object"
	"github.com/larder-cache/larder/internal/protocol/s3"
)

// TestPolicyStatus calls public what everybody is allowed without a condition.
func TestPolicyStatus(t *testing.T) {
	for policy, public := range map[string]bool{
		`"Effect":"Allow","Principal":"*"`:                                                         true,
		`"Effect":"Allow","Principal":{"AWS":["*"]}`:                                               true,
		`"Effect":"Allow","Principal":"*","Condition":{}`:                                          true,
		`"Effect":"Allow","Principal":"*","Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}`: false,
		`"Effect":"Allow","Principal":{"AWS":"arn:aws:iam:::user/alice"}`:                          false,
		`"Effect":"Deny","Principal":"*"`:                                                          false,
	} {
		s := newServer(t, s3.Config{})
		s.bucket("plain", object.BucketConfig{})
		answer, body := s.call(http.MethodPut, "/plain?policy", `{"Version":"2012-10-17","Statement":{`+policy+`,"Action":"s3:GetObject","Resource":"arn:aws:s3:::plain/*"}}`)
		if answer.Code != http.StatusNoContent {
			t.Fatalf("%s: %s", policy, body)
		}
		want := "<IsPublic>false</IsPublic>"
		if public {
			want = "<IsPublic>true</IsPublic>"
		}
		if _, body := s.call(http.MethodGet, "/plain?policyStatus", ""); !strings.Contains(body, want) {
			t.Errorf("%s: %s", policy, body)
		}
	}
}
