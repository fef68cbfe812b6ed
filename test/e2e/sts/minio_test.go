package sts_test

import (
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/larder-cache/larder/test/e2e/harness"
)

// TestMinioGo exchanges with MinIO's client for Go.
func TestMinioGo(t *testing.T) {
	bao := harness.NewBao(t)
	bao.NewIssuer(audience)
	s := newServer(t, bao, harness.Options{CA: harness.NewAuthority(t)})
	role, err := credentials.NewSTSAssumeRole(s.URL(), credentials.STSAssumeRoleOptions{AccessKey: "ann", SecretKey: "ann-secret", DurationSeconds: 900})
	ok(t, err)
	token := bao.Identity("build-1", "cooks")
	web, err := credentials.NewSTSWebIdentity(s.URL(), func() (*credentials.WebIdentityToken, error) {
		return &credentials.WebIdentityToken{Token: token, Expiry: 3600}, nil
	})
	ok(t, err)
	for name, creds := range map[string]*credentials.Credentials{"AssumeRole": role, "AssumeRoleWithWebIdentity": web} {
		t.Run(name, func(t *testing.T) {
			keys, err := creds.GetWithContext(&credentials.CredContext{Client: s.HTTPClient()})
			ok(t, err)
			check(t, name, may(t, s, keys.AccessKeyID, keys.SecretAccessKey, keys.SessionToken), rights{read: true, write: true})
			c, err := minio.New(s.Addr, &minio.Options{Creds: creds, Secure: true, Transport: s.HTTPClient().Transport})
			ok(t, err)
			_, err = c.PutObject(t.Context(), "shelf", "from minio-go", strings.NewReader("streamed"), -1, minio.PutObjectOptions{})
			ok(t, err)
		})
	}
}
