package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/larder-cache/larder/internal/certs"
	"github.com/larder-cache/larder/internal/engine/disk"
	"github.com/larder-cache/larder/internal/engine/identity"
	"github.com/larder-cache/larder/internal/engine/local"
	"github.com/larder-cache/larder/internal/protocol/admin"
)

// Run serves until ctx ends. It returns nil after an orderly stop.
func Run(ctx context.Context, cfg Config, process Process) error {
	s := &server{cfg: &cfg, process: &process, registry: prometheus.NewRegistry(), logs: &admin.Logs{}, started: time.Now()}
	s.log = slog.New(s.logs.Handler(newLogHandler(process.Stderr, &cfg)))
	for _, warning := range process.Warnings {
		s.log.WarnContext(ctx, "configuration", "warning", warning)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	err := s.open(ctx)
	if err == nil {
		err = s.run(ctx)
	}
	return errors.Join(err, s.close())
}

// gcPercent lets the heap grow to three times what is in use, some 40
// MiB of caches and buffers whatever is stored, before garbage is collected: at
// Go's 100 the collector takes a fifth of a small request's time.
const gcPercent = 200

// server is everything that runs, in the order in which it is opened.
type server struct {
	cfg      *Config
	process  *Process
	log      *slog.Logger
	logs     *admin.Logs // what administrators see of the log
	registry *prometheus.Registry
	started  time.Time

	store      *local.Store
	identities *identity.Service
	certs      *certs.Store // nil for plain HTTP
	ca         string       // file of our own authority, "" if there is none
	access     *accessLog   // nil without one

	// tasks run as long as there are listeners, and a little longer.
	tasks     []task
	listeners []*endpoint

	administration *admin.Protocol
}

// task is background work: Run blocks until its context ends.
type task struct {
	name string
	run  func(context.Context) error
}

func (s *server) open(ctx context.Context) error {
	for _, step := range []func(context.Context) error{
		s.openStore, s.openIdentities, s.openCertificates, s.openListeners, s.setUp,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (s *server) openStore(context.Context) (err error) {
	if err := prepareDir(s.cfg.Dir); err != nil {
		return err
	}
	s.store, err = local.Open(disk.OS(), filepath.Join(s.cfg.Dir, "store"), local.Config{
		Memory:  s.cfg.Memory,
		Reserve: s.cfg.Reserve,
		Logger:  s.log,
	})
	if err != nil {
		return err
	}
	s.tasks = append(s.tasks, task{"store", s.store.Run})
	for _, c := range append(s.store.Collectors(), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})) {
		if err := s.registry.Register(c); err != nil {
			return fmt.Errorf("metrics: %w", err)
		}
	}
	return nil
}

func (s *server) openCertificates(context.Context) (err error) {
	s.certs, s.ca, err = certificates(s.cfg, s.log)
	if s.certs != nil {
		s.tasks = append(s.tasks, task{"certificates", s.certs.Run})
	}
	return err
}

func (s *server) openListeners(ctx context.Context) error {
	handler, err := s.pipeline()
	if err != nil {
		return ConfigError{err} // it is made of nothing else
	}
	var config *tls.Config
	if s.certs != nil {
		config = &tls.Config{GetCertificate: s.certs.Certificate, MinVersion: tls.VersionTLS12}
	}
	for _, l := range []struct {
		name, address string
		handler       http.Handler
		config        *tls.Config
	}{
		{"api", s.cfg.Address, handler, config},
		{"metrics", s.cfg.MetricsAddress, metricsHandler(s.registry), nil},
		{"pprof", s.cfg.PprofAddress, pprofHandler(), nil},
	} {
		if l.address == "" {
			continue
		}
		listener, err := listen(ctx, l.name, l.address, l.handler, l.config, s.cfg.HTTP2, s.log)
		if err != nil {
			return err
		}
		s.listeners = append(s.listeners, listener)
	}
	return nil
}

// run serves until ctx ends or a part fails. Listeners drain first, what they
// need ends after them.
func (s *server) run(ctx context.Context) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	behind, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var tasks, listeners sync.WaitGroup
	for _, t := range s.tasks {
		tasks.Go(func() {
			if err := t.run(behind); err != nil {
				fail(fmt.Errorf("%s: %w", t.name, err))
			}
		})
	}
	for _, l := range s.listeners {
		s.log.InfoContext(ctx, "listening", "listener", l.name, "address", l.address(), "tls", l.tls)
		listeners.Go(func() {
			if err := l.run(ctx, s.cfg.DrainTimeout); err != nil {
				fail(err)
			}
		})
	}
	<-ctx.Done()
	s.log.InfoContext(ctx, "stopping, once the requests under way are answered", "drain_timeout", s.cfg.DrainTimeout.String())
	s.administration.EndStreams()
	listeners.Wait()
	stop()
	tasks.Wait()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	s.log.InfoContext(ctx, "stopped")
	return nil
}

// close ends what open began, also after half of it.
func (s *server) close() error {
	for _, l := range s.listeners {
		_ = l.server.Close()
		_ = l.listener.Close() // of no use if it was served; the server closed it
	}
	if s.access != nil {
		_ = s.access.Flush()
	}
	if s.store == nil {
		return nil
	}
	return s.store.Close()
}
