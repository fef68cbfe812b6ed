package app

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"net/url"
	"os"
	"path/filepath"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Process is what a server needs of the process it runs in.
type Process struct {
	Stdout   io.Writer // the block of a first start, once
	Stderr   io.Writer // the log
	Version  string
	Warnings []string // of the configuration, for the log
}

// newLogHandler writes to w in the configured form.
func newLogHandler(w io.Writer, cfg *Config) slog.Handler {
	options := &slog.HandlerOptions{Level: cfg.LogLevel}
	if cfg.LogJSON {
		return slog.NewJSONHandler(w, options)
	}
	return slog.NewTextHandler(w, options)
}

// prepareDir makes the data directory, and refuses one that belongs to somebody
// else.
func prepareDir(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, ".minio.sys")); err == nil {
		return ConfigError{fmt.Errorf("%s holds a MinIO server's data, in a format that is not read here: choose an empty directory, and copy what you need with mc mirror", dir)}
	}
	err := os.MkdirAll(dir, 0o700)
	if err != nil {
		return ConfigError{fmt.Errorf("data directory %s cannot be made: %w: make it for the user that the server runs as, or name another", dir, err)}
	}
	probe, err := os.CreateTemp(dir, ".writable-*")
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
		return ConfigError{fmt.Errorf("data directory %s cannot be written: %w: give it to the user that the server runs as, or name another", dir, err)}
	}
	if err != nil {
		return fmt.Errorf("data directory %s: %w", dir, err)
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}

// metricsHandler answers /metrics to whoever reaches the metrics address.
func metricsHandler(registry *prometheus.Registry) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	return mux
}

// pprofHandler answers /debug/pprof; Config.check allows it private addresses
// only.
func pprofHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}

// hostOf is a URL's host without port, "" if there is none.
func hostOf(link string) string {
	u, err := url.Parse(link)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// clientURL is where a client on this machine reaches the API: the configured
// URL, or one made of the address that was listened on.
func clientURL(cfg *Config, address string, secure bool) string {
	if cfg.URL != "" {
		return cfg.URL
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil || net.ParseIP(host).IsUnspecified() {
		host = "localhost"
	}
	scheme := "http"
	if secure {
		scheme = "https"
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}

// diskSpace is the size of a directory's file system, and what of it is free to
// this process, in bytes.
func diskSpace(dir string) (total, free uint64, err error) {
	var stat syscall.Statfs_t
	if err := syscall.Statfs(dir, &stat); err != nil {
		return 0, 0, fmt.Errorf("disk space of %s: %w", dir, err)
	}
	block := uint64(stat.Bsize)
	return stat.Blocks * block, stat.Bavail * block, nil
}
