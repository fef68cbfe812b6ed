package sts

import (
	"bytes"
	"encoding/xml"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"time"

	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/protocol/edge"
)

// The answers, as https://docs.aws.amazon.com/STS/latest/APIReference/ shows them.
type (
	assumeRoleResponse struct {
		XMLName  xml.Name         `xml:"https://sts.amazonaws.com/doc/2011-06-15/ AssumeRoleResponse"`
		Result   assumeRoleResult `xml:"AssumeRoleResult"`
		Metadata metadata         `xml:"ResponseMetadata"`
	}
	assumeRoleResult struct {
		User        assumedRoleUser `xml:"AssumedRoleUser"`
		Credentials credentials     `xml:"Credentials"`
	}
	webIdentityResponse struct {
		XMLName  xml.Name          `xml:"https://sts.amazonaws.com/doc/2011-06-15/ AssumeRoleWithWebIdentityResponse"`
		Result   webIdentityResult `xml:"AssumeRoleWithWebIdentityResult"`
		Metadata metadata          `xml:"ResponseMetadata"`
	}
	webIdentityResult struct {
		Audience    string          `xml:"Audience"`
		User        assumedRoleUser `xml:"AssumedRoleUser"`
		Credentials credentials     `xml:"Credentials"`
		Provider    string          `xml:"Provider"`
		Subject     string          `xml:"SubjectFromWebIdentityToken"`
	}
	callerResponse struct {
		XMLName  xml.Name     `xml:"https://sts.amazonaws.com/doc/2011-06-15/ GetCallerIdentityResponse"`
		Result   callerResult `xml:"GetCallerIdentityResult"`
		Metadata metadata     `xml:"ResponseMetadata"`
	}
	callerResult struct {
		Arn     string `xml:"Arn"`
		UserID  string `xml:"UserId"`
		Account string `xml:"Account"`
	}
	assumedRoleUser struct {
		Arn string `xml:"Arn"`
		ID  string `xml:"AssumedRoleId"`
	}
	credentials struct {
		AccessKeyID     string `xml:"AccessKeyId"`
		SecretAccessKey string `xml:"SecretAccessKey"`
		SessionToken    string `xml:"SessionToken"`
		Expiration      string `xml:"Expiration"`
	}
	metadata struct {
		RequestID string `xml:"RequestId"`
	}
	errorResponse struct {
		XMLName   xml.Name  `xml:"https://sts.amazonaws.com/doc/2011-06-15/ ErrorResponse"`
		Error     errorBody `xml:"Error"`
		RequestID string    `xml:"RequestId"`
	}
	errorBody struct {
		Type    string `xml:"Type"`
		Code    Code   `xml:"Code"`
		Message string `xml:"Message"`
	}
)

// account stands where AWS has an account's number.
const account = "000000000000"

var sessionName = regexp.MustCompile(`^[\w+=,.@-]{2,64}$`)

// assumedUser describes the session; a session's name is for the caller's own
// logs and no part of who he is.
func assumedUser(s iam.SessionKey, form url.Values) assumedRoleUser {
	name := form.Get("RoleSessionName")
	if !sessionName.MatchString(name) {
		name = string(s.AccessKey)
	}
	return assumedRoleUser{
		Arn: "arn:aws:sts::" + account + ":assumed-role/" + string(s.Parent) + "/" + name,
		ID:  string(s.AccessKey) + ":" + name,
	}
}

func wireCredentials(s iam.SessionKey) credentials {
	return credentials{string(s.AccessKey), s.Secret.Reveal(), s.Token, s.Expires.UTC().Format(time.RFC3339)}
}

// callerIdentity says who signed: `aws sts get-caller-identity` is how people ask
// which credentials their tools found.
func callerIdentity(call *edge.Call) any {
	p := call.Principal()
	arn := "arn:aws:iam::" + account + ":user/" + string(p.User)
	if p.Kind == iam.Session {
		arn = "arn:aws:sts::" + account + ":assumed-role/" + string(p.User) + "/" + string(p.AccessKey)
	}
	return &callerResponse{Result: callerResult{arn, string(p.AccessKey), account}, Metadata: metadata{call.ID}}
}

// writeXML answers with a document that no cache may keep.
func writeXML(w *edge.Writer, status int, document any) error {
	var b bytes.Buffer
	if err := xml.NewEncoder(&b).Encode(document); err != nil {
		return err
	}
	writeBody(w, status, "text/xml", b.Bytes())
	return nil
}

func writeBody(w *edge.Writer, status int, media string, body []byte) {
	h := w.Header()
	h["Content-Type"] = []string{media}
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	h["Cache-Control"] = []string{"no-store"}
	h["X-Content-Type-Options"] = []string{"nosniff"}
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
		h["Retry-After"] = []string{"1"}
	}
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client is gone: nobody is left to tell
}
