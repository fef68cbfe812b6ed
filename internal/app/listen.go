package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/larder-cache/larder/internal/certs"
	"github.com/larder-cache/larder/internal/protocol/edge"
)

// spareFiles is how many descriptors are kept for segments and the index.
const spareFiles = 512

// endpoint is one listener and what answers on it.
type endpoint struct {
	name     string // for the log: "api", "metrics"
	listener net.Listener
	server   *http.Server
	tls      bool
}

// listen opens address. A nil tls.Config means plain HTTP. Open connections are
// limited by the file descriptors that the process may have.
func listen(ctx context.Context, name, address string, handler http.Handler, config *tls.Config, http2 bool, log *slog.Logger) (*endpoint, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("listen on %s: another process has this port: stop it, or choose another with --%s", address, flagOf(name))
	}
	if err != nil {
		return nil, ConfigError{fmt.Errorf("listen on %s: %w: choose another with --%s", address, err, flagOf(name))}
	}
	server := edge.NewServer(handler, log.With("listener", name))
	server.TLSConfig = config
	server.Protocols = new(http.Protocols)
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetHTTP2(http2 && config != nil)
	return &endpoint{name, edge.NewListener(listener, maxConnections()), server, config != nil}, nil
}

// flagOf is the flag that sets a listener's address.
func flagOf(name string) string {
	switch name {
	case "api":
		return "address"
	case "pprof":
		return "pprof"
	}
	return name + "-address"
}

func maxConnections() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 1024
	}
	return max(64, min(int(limit.Cur)-spareFiles, 100_000))
}

// run serves until ctx ends, then stops taking connections and waits for the
// requests under way, at most drain.
func (e *endpoint) run(ctx context.Context, drain time.Duration) error {
	served := make(chan error, 1)
	go func() {
		if e.tls {
			served <- e.server.ServeTLS(e.listener, "", "")
			return
		}
		served <- e.server.Serve(e.listener)
	}()
	select {
	case err := <-served:
		return fmt.Errorf("serve %s: %w", e.name, err)
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	err := e.server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = e.server.Close()
	}
	if end := <-served; !errors.Is(end, http.ErrServerClosed) {
		err = errors.Join(err, end)
	}
	return err
}

// address is the one that the kernel gave, which matters when port 0 was asked
// for.
func (e *endpoint) address() string { return e.listener.Addr().String() }

// certificates opens what the configuration says of TLS; nil for plain HTTP. ca
// is the file that clients have to trust, if it is one of ours.
func certificates(cfg *Config, log *slog.Logger) (store *certs.Store, ca string, err error) {
	open := func(setting string, source certs.Source) (*certs.Store, error) {
		store, err := certs.Open(source, log)
		if err != nil {
			return nil, ConfigError{fmt.Errorf("%s: %w", setting, err)}
		}
		return store, nil
	}
	switch {
	case cfg.TLS == TLSOff:
		return nil, "", nil
	case cfg.TLS == TLSAuto:
		authority, err := certs.NewAuthority(filepath.Join(cfg.Dir, "tls"), names(cfg), time.Now)
		if err != nil {
			return nil, "", err
		}
		store, err = open("tls", authority.Source())
		return store, authority.CAFile(), err
	case cfg.TLSCert != "":
		store, err = open("tls-cert and tls-key", certs.Files(cfg.TLSCert, cfg.TLSKey))
	case cfg.CertsDir != "" && (!cfg.MinIO || certs.Wanted(cfg.CertsDir)):
		store, err = open("certs-dir", certs.Directory(cfg.CertsDir))
	}
	return store, "", err
}

// names are what the own authority's certificate is for: every name under which
// this machine may be reached as far as it knows.
func names(cfg *Config) []string {
	all := []string{"localhost", "*.localhost", "127.0.0.1", "::1"}
	if host, err := os.Hostname(); err == nil && host != "" && host != "localhost" {
		all = append(all, host)
	}
	if host := hostOf(cfg.URL); host != "" {
		all = append(all, host)
	}
	for _, domain := range cfg.Domains {
		all = append(all, domain, "*."+domain)
	}
	if host, _, err := net.SplitHostPort(cfg.Address); err == nil && host != "" && host != "0.0.0.0" && host != "::" {
		all = append(all, host)
	} else if addresses, err := net.InterfaceAddrs(); err == nil {
		for _, address := range addresses {
			if ip, ok := address.(*net.IPNet); ok && ip.IP.IsGlobalUnicast() {
				all = append(all, ip.IP.String())
			}
		}
	}
	return unique(all)
}

func unique(words []string) []string {
	seen := make(map[string]bool, len(words))
	kept := words[:0]
	for _, word := range words {
		if !seen[word] {
			seen[word] = true
			kept = append(kept, word)
		}
	}
	return kept
}
