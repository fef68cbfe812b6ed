package sigv4

import (
	"context"
	"crypto/subtle"
	"fmt"

	"github.com/larder-cache/larder/internal/iam"
)

// PolicyForm holds the fields of a browser form that sign it: the policy, which
// lists what the other fields may be, is itself the string to sign.
// https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-authentication-HTTPPOST.html
type PolicyForm struct {
	Policy     string // "policy", in base64 as it came
	Algorithm  string // "x-amz-algorithm"
	Credential string // "x-amz-credential"
	Date       string // "x-amz-date"
	Signature  string // "x-amz-signature"
	Token      string // "x-amz-security-token", "" if absent
}

// VerifyForm establishes who signed a form's policy. The caller checks the
// policy's expiration and conditions. Body and Length of the result are unset.
func (v *Verifier) VerifyForm(ctx context.Context, form PolicyForm) (Signed, error) {
	var c claim
	switch {
	case form.Algorithm != algorithm:
		return Signed{}, fail(UnsupportedSignature, useV4+"(x-amz-algorithm)")
	case form.Policy == "" || !c.setCredential(form.Credential) || !c.setTime(form.Date) || !c.setSignature(form.Signature):
		return Signed{}, fail(AccessDenied, "The form needs well-formed policy, x-amz-credential, x-amz-date and x-amz-signature fields.")
	}
	if err := v.checkScope(&c, "", AuthorizationQueryParameters); err != nil {
		return Signed{}, err
	}
	now := v.config.Now()
	if age := now.Sub(c.at); age < -v.config.Skew || age > maxPresign {
		return Signed{}, &Error{
			Code: RequestTimeTooSkewed, Message: "The form was signed in the future or more than 7 days ago.",
			RequestTime: c.at, ServerTime: now,
		}
	}
	credential, err := v.credentials.Credential(ctx, c.id, form.Token)
	if err != nil {
		return Signed{}, err
	}
	if credential.Principal.Kind == iam.Anonymous || credential.Secret == "" {
		return Signed{}, fmt.Errorf("credentials of %q have no principal or no secret", c.id)
	}
	key, cached := v.keys.find(c.id, credential.Secret, c.scope)
	if subtle.ConstantTimeCompare(key.sign(nil, []byte(form.Policy)), c.signature[:]) != 1 {
		return Signed{}, &Error{
			Code:         SignatureDoesNotMatch,
			Message:      "The signature of the form's policy does not match. Check your key and signing method.",
			StringToSign: form.Policy,
		}
	}
	if !cached {
		v.keys.add(c.id, c.scope, key)
	}
	return Signed{
		Credential: credential, Type: Form, SignedAt: c.at,
		Region: c.scope.region, Service: c.scope.service,
	}, nil
}
