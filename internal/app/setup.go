package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path/filepath"
	"strings"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/object"
	"github.com/larder-cache/larder/internal/sccache"
)

// What a first start makes for sccache.
const (
	cacheBucket = "sccache"
	cacheUser   = "sccache"
	cachePolicy = "sccache-read-write"
)

// cachePolicyDocument allows just what sccache does: read and write entries. It
// neither lists nor deletes.
const cachePolicyDocument = `{
  "Version": "2012-10-17",
  "Statement": [
    {"Effect": "Allow", "Action": ["s3:GetBucketLocation"], "Resource": ["arn:aws:s3:::sccache"]},
    {"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"], "Resource": ["arn:aws:s3:::sccache/*"]}
  ]
}`

// setupLog is the log whose first generation says that the first start is over,
// whatever is removed later.
const setupLog = "setup"

func profilePath(dir string) string { return filepath.Join(dir, "sccache.json") }

// setUp makes what a first start makes, and says so. A start that was cut off
// goes on where it was; a finished one changes nothing but the address in the
// profile, when the server moved.
func (s *server) setUp(ctx context.Context) error {
	log := s.store.Log(setupLog)
	done, _, err := log.Latest(ctx)
	if err != nil {
		return err
	}
	if done > 0 || s.cfg.MinIO {
		return s.refreshProfile(ctx)
	}
	profile, err := s.makeProfile(ctx)
	if err != nil {
		return err
	}
	if err := s.makeCache(ctx, profile.Secret); err != nil {
		return fmt.Errorf("first start: %w", err)
	}
	if err := log.Append(ctx, 1, []byte("first start\n")); err != nil {
		return fmt.Errorf("first start: %w", err)
	}
	return s.greet(profile)
}

// makeCache makes the bucket, the policy and the user. Each step may have been
// made before.
func (s *server) makeCache(ctx context.Context, secret iam.Secret) error {
	if _, err := s.store.CreateBucket(ctx, cacheBucket, object.BucketConfig{Cache: true}); err != nil && !errors.Is(err, fault.Exists) {
		return err
	}
	by := iam.Actor{Server: true}
	if err := s.identities.SetPolicy(ctx, by, cachePolicy, []byte(cachePolicyDocument)); err != nil {
		return err
	}
	if err := s.identities.SetUser(ctx, by, cacheUser, iam.UserChange{Secret: &secret}); err != nil {
		return err
	}
	return s.identities.SetPolicies(ctx, by, iam.Holder{User: cacheUser}, []iam.PolicyName{cachePolicy})
}

// makeProfile keeps the profile of the cache user, with a new secret unless a
// start that was cut off made one.
func (s *server) makeProfile(ctx context.Context) (sccache.Profile, error) {
	profile, err := sccache.LoadProfile(profilePath(s.cfg.Dir))
	if errors.Is(err, fs.ErrNotExist) {
		profile = sccache.Profile{Bucket: cacheBucket, AccessKey: cacheUser, Secret: randomSecret()}
	} else if err != nil {
		return profile, err
	}
	profile = s.locate(ctx, profile)
	return profile, profile.Save(profilePath(s.cfg.Dir))
}

// refreshProfile keeps the address in the profile true. Nobody needs a profile
// who has none.
func (s *server) refreshProfile(ctx context.Context) error {
	old, err := sccache.LoadProfile(profilePath(s.cfg.Dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if profile := s.locate(ctx, old); profile != old {
		return profile.Save(profilePath(s.cfg.Dir))
	}
	return nil
}

// locate sets where and how the server is reached.
func (s *server) locate(ctx context.Context, profile sccache.Profile) sccache.Profile {
	profile.Endpoint = clientURL(s.cfg, s.listeners[0].address(), s.certs != nil)
	profile.Region = s.cfg.Region
	profile.CAFile, _ = filepath.Abs(s.ca)
	if s.ca == "" {
		profile.CAFile = ""
	}
	profile.Domain = ""
	if len(s.cfg.Domains) > 0 {
		profile.Domain = s.cfg.Domains[0]
	}
	return profile.ChooseStyle(func(host string) bool {
		addresses, err := net.DefaultResolver.LookupHost(ctx, host)
		return err == nil && len(addresses) > 0
	})
}

// trustHint says how clients come to trust our own authority.
const trustHint = `Clients have to trust this authority: %s
  sccache            SSL_CERT_FILE, as below      AWS CLI, boto3   AWS_CA_BUNDLE
  mc                 copy to ~/.mc/certs/CAs/     Terraform        minio_cacert_file
  the whole machine  copy to /usr/local/share/ca-certificates/larder.crt, run update-ca-certificates

`

// greet prints, once, what the first start made.
func (s *server) greet(profile sccache.Profile) error {
	var text strings.Builder
	text.WriteString("Larder is running. This is printed once.\n\n")
	if root, err := LoadRoot(s.cfg.Dir); err == nil && s.cfg.RootUser == "" {
		fmt.Fprintf(&text, "Root user: %s\nRoot secret: %s\n(kept in %s, readable by its owner alone; for administration, not for builds)\n\n", root.User, root.Secret.Reveal(), rootPath(s.cfg.Dir))
	}
	if s.ca != "" {
		fmt.Fprintf(&text, trustHint, profile.CAFile)
	}
	fmt.Fprintf(&text, "Paste this where sccache runs ('larder env %s' prints it again, for other shells too):\n\n", s.cfg.Dir)
	if err := profile.Render(&text, sccache.ForSccache, sccache.Sh); err != nil {
		return err
	}
	text.WriteString("\n")
	_, err := s.process.Stdout.Write([]byte(text.String()))
	return err
}
