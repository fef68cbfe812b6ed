package app

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"

	"github.com/larder-cache/larder/internal/engine/identity"
	"github.com/larder-cache/larder/internal/engine/local"
	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/protocol/admin"
	"github.com/larder-cache/larder/internal/protocol/edge"
	"github.com/larder-cache/larder/internal/protocol/health"
	"github.com/larder-cache/larder/internal/protocol/oidc"
	"github.com/larder-cache/larder/internal/protocol/s3"
	"github.com/larder-cache/larder/internal/protocol/sigv4"
	"github.com/larder-cache/larder/internal/protocol/sts"
	"github.com/larder-cache/larder/internal/seal"
)

// The proofs that what the protocols ask for is what the engines offer.
var (
	_ s3.Store          = (*recorded)(nil)
	_ admin.Store       = (*recorded)(nil)
	_ identity.Store    = (*local.Store)(nil)
	_ health.Status     = (*local.Store)(nil)
	_ identity.Sealer   = (*seal.Key)(nil)
	_ sigv4.Credentials = (*identity.Service)(nil)
	_ edge.Authorizer   = (*identity.Service)(nil)
	_ admin.Identity    = (*identity.Service)(nil)
	_ sts.Sessions      = (*identity.Service)(nil)
)

// openIdentities reads who there is.
func (s *server) openIdentities(ctx context.Context) error {
	root, made, err := rootKey(s.cfg)
	if err != nil {
		return err
	}
	if made && s.cfg.MinIO {
		s.log.WarnContext(ctx, "no root user is configured and one was made", "user", root.User, "file", rootPath(s.cfg.Dir))
	}
	sealer, err := s.sealKey(ctx)
	if err != nil {
		return err
	}
	s.identities, err = identity.Open(ctx, s.store, sealer, root.identity(), identity.Config{Logger: s.log})
	if err != nil {
		return err
	}
	s.tasks = append(s.tasks, task{"identities", s.identities.Run})
	change := func(key RootKey) error { return s.identities.SetRoot(key.identity()) }
	s.tasks = append(s.tasks, task{"root key", watchRoot(s.cfg, change, s.log).Run})
	return nil
}

// sealKey opens the key that identities are sealed with; it is made while
// nothing is sealed yet.
func (s *server) sealKey(ctx context.Context) (*seal.Key, error) {
	sealed, _, err := s.store.Log("iam").Latest(ctx)
	if err != nil {
		return nil, err
	}
	wrapper, err := s.cfg.wrapper()
	if err != nil {
		return nil, err
	}
	return seal.Open(ctx, sealPath(s.cfg.Dir), wrapper, sealed == 0)
}

func (k RootKey) identity() identity.Root {
	return identity.Root{AccessKey: iam.AccessKeyID(k.User), Secret: k.Secret}
}

// pipeline is the handler of the API: every protocol behind the one edge.
func (s *server) pipeline() (http.Handler, error) {
	verifier, err := sigv4.New(s.identities, sigv4.Config{Region: s.cfg.Region})
	if err != nil {
		return nil, err
	}
	buckets := &recorded{s.store, s.identities, s.log}
	objects, err := s3.New(buckets, s3.Config{
		Region: s.cfg.Region, Domains: s.cfg.Domains, Form: verifier, Logger: s.log,
		KnownUser: func(name iam.UserName) bool { _, err := s.identities.User(name); return err == nil },
	})
	if err != nil {
		return nil, err
	}
	issuers, err := oidc.New(oidc.Config{Issuers: s.cfg.Issuers})
	if err != nil {
		return nil, err
	}
	if err := issuers.CheckAudience(s.cfg.Audience); err != nil {
		return nil, fmt.Errorf("audience: %w", err)
	}
	sessions, err := sts.New(s.identities, issuers, sts.Config{Audience: s.cfg.Audience})
	if err != nil {
		return nil, err
	}
	trace := &admin.Trace{}
	administration, err := admin.New(buckets, s.identities, admin.Config{
		Status: s.status, Metrics: s.registry, PublicMetrics: s.cfg.PublicMetrics, Trace: trace, Logs: s.logs, Settings: s.settings, Logger: s.log,
	})
	if err != nil {
		return nil, err
	}
	s.administration = administration
	observer, err := s.observer()
	if err != nil {
		return nil, err
	}
	protocols := []edge.Protocol{objects.Hosts(), health.New(s.store), administration, sessions.Endpoint(), sessions.Query(), objects}
	return edge.New(edge.Signatures(verifier), s.identities, protocols, edge.Config{
		TrustedProxies: s.cfg.TrustedProxies,
		Observe:        func(e edge.Event) { observer.observe(e); trace.Observe(e) },
		Logger:         s.log,
	})
}

func (s *server) observer() (*observer, error) {
	metrics, err := newRequestMetrics(s.registry)
	if err != nil {
		return nil, err
	}
	o := &observer{metrics: metrics}
	if s.cfg.AccessLog && s.cfg.LogLevel <= slog.LevelInfo {
		s.access = newAccessLog(s.process.Stderr, s.cfg.LogJSON)
		s.tasks = append(s.tasks, task{"access log", s.access.Run})
		o.access = s.access
	}
	return o, nil
}

// status is what administrators see of the server.
func (s *server) status(context.Context) (admin.Status, error) {
	status := admin.Status{
		Version:      s.process.Version,
		DeploymentID: s.identities.Deployment(),
		Region:       s.cfg.Region,
		Started:      s.started,
		Endpoint:     s.listeners[0].address(),
	}
	if len(s.cfg.Domains) > 0 {
		status.Domain = s.cfg.Domains[0]
	}
	if u, err := url.Parse(s.cfg.URL); err == nil && u.Host != "" {
		status.Endpoint = u.Host
	}
	total, free, err := diskSpace(s.cfg.Dir)
	drive := admin.Drive{Path: s.cfg.Dir, State: "ok", Total: total, Used: total - free, Available: free}
	if err == nil {
		err = s.store.Ready()
	}
	if err != nil {
		drive.State = err.Error()
	}
	status.Drives = []admin.Drive{drive}
	return status, nil
}

// settings is the configuration, for reading; secrets show only that they are
// set.
func (s *server) settings() []admin.Setting {
	rows := []admin.Setting{
		{Subsystem: "region", Key: "name", Value: s.cfg.Region, Help: "the only region accepted; any if empty"},
		{Subsystem: "site", Key: "region", Value: s.cfg.Region, Help: "the only region accepted; any if empty"},
	}
	for _, issuer := range s.cfg.Issuers {
		for _, row := range [][2]string{
			{"config_url", issuer.Discovery}, {"client_id", issuer.Client.ID}, {"claim_name", issuer.PolicyClaim},
		} {
			rows = append(rows, admin.Setting{Subsystem: "identity_openid", Target: issuer.Name, Key: row[0], Value: row[1], Env: true})
		}
	}
	return rows
}
