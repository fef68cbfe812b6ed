// Package certs keeps the certificates of a listener: from one pair of files,
// from a MinIO-style directory, or made by an own authority. Files are read
// again when they change, without a restart and without dropping a connection.
//
// A directory holds public.crt and private.key for the default certificate, any
// number of subfolders with the same pair for further names (picked by SNI), and
// CAs/ with authorities to trust, which this package leaves to others.
//
// A change that cannot be read (a half-written file, a key that does not match)
// is reported and the certificate before it stays in use.
package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"
)

// Pair names the two PEM files of a certificate.
type Pair struct{ Cert, Key string }

// Source finds the pairs that should be in use now; the first is the default.
type Source func() ([]Pair, error)

// Files is the source of one fixed pair.
func Files(cert, key string) Source {
	return func() ([]Pair, error) { return []Pair{{cert, key}}, nil }
}

// Directory is the source of a MinIO-style certificates directory.
func Directory(dir string) Source {
	return func() ([]Pair, error) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return nil, fmt.Errorf("read certificates directory: %w", err)
		}
		var pairs []Pair
		for _, folder := range folders(dir, entries) {
			pair, ok, err := pairIn(folder)
			if err != nil {
				return nil, err
			}
			if ok {
				pairs = append(pairs, pair)
			}
		}
		if len(pairs) == 0 {
			return nil, fmt.Errorf("%s holds no public.crt with its private.key: put both there", dir)
		}
		return pairs, nil
	}
}

// folders are those that may hold a pair, the default's first.
func folders(dir string, entries []fs.DirEntry) []string {
	all := []string{dir}
	for _, entry := range entries {
		name := filepath.Join(dir, entry.Name())
		if entry.Name() == "CAs" || entry.Name()[0] == '.' {
			continue
		}
		if info, err := os.Stat(name); err == nil && info.IsDir() {
			all = append(all, name)
		}
	}
	return all
}

// Wanted reports whether dir holds a default certificate, or what was meant to be
// one, which is how a MinIO-style directory says that TLS is wanted.
func Wanted(dir string) bool {
	_, ok, err := pairIn(dir)
	return ok || err != nil
}

// pairIn is the pair in dir, if there is one. Half of one is an error.
func pairIn(dir string) (pair Pair, ok bool, err error) {
	pair = Pair{filepath.Join(dir, "public.crt"), filepath.Join(dir, "private.key")}
	_, certErr := os.Stat(pair.Cert)
	_, keyErr := os.Stat(pair.Key)
	switch noCert, noKey := errors.Is(certErr, fs.ErrNotExist), errors.Is(keyErr, fs.ErrNotExist); {
	case noCert && noKey:
		return Pair{}, false, nil
	case noKey:
		return Pair{}, false, fmt.Errorf("%s has no private.key beside its public.crt", dir)
	case noCert:
		return Pair{}, false, fmt.Errorf("%s has no public.crt beside its private.key", dir)
	}
	return pair, true, errors.Join(certErr, keyErr)
}

// Store holds the certificates in use. Its methods may be called at once.
type Store struct {
	source Source
	log    *slog.Logger
	loaded atomic.Pointer[loaded]
}

type loaded struct {
	stamps []stamp
	certs  []*tls.Certificate
}

// stamp tells one state of a file from another. Kubernetes swaps a symbolic
// link, which os.Stat follows, so size and time of the target show it.
type stamp struct {
	name     string
	size     int64
	modified time.Time
}

// Open reads the certificates of source for the first time.
func Open(source Source, log *slog.Logger) (*Store, error) {
	s := &Store{source: source, log: log}
	if _, err := s.reload(); err != nil {
		return nil, err
	}
	return s, nil
}

// pollInterval is how soon a changed file is noticed. Polling sees what change
// notification misses: network file systems and swapped links.
const pollInterval = 2 * time.Second

// Run looks for changed files until ctx ends.
func (s *Store) Run(ctx context.Context) error {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	var lastErr string
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		changed, err := s.reload()
		switch {
		case err != nil && err.Error() != lastErr:
			lastErr = err.Error()
			s.log.WarnContext(ctx, "certificates not reloaded, the ones before stay in use", "error", err)
		case err == nil && changed:
			lastErr = ""
			s.log.InfoContext(ctx, "certificates reloaded", "count", len(s.loaded.Load().certs))
		}
	}
}

// Certificate picks the certificate for a handshake; it is a
// tls.Config.GetCertificate.
func (s *Store) Certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	certs := s.loaded.Load().certs
	for _, cert := range certs {
		if hello.SupportsCertificate(cert) == nil && hello.ServerName != "" {
			return cert, nil
		}
	}
	return certs[0], nil
}

// Names lists the DNS names and addresses of the default certificate.
func (s *Store) Names() []string {
	leaf := s.loaded.Load().certs[0].Leaf
	names := slices.Clone(leaf.DNSNames)
	for _, ip := range leaf.IPAddresses {
		names = append(names, ip.String())
	}
	return names
}

func (s *Store) reload() (changed bool, err error) {
	pairs, err := s.source()
	if err != nil {
		return false, err
	}
	stamps, err := stampsOf(pairs)
	if err != nil {
		return false, err
	}
	if old := s.loaded.Load(); old != nil && slices.Equal(old.stamps, stamps) {
		return false, nil
	}
	certs := make([]*tls.Certificate, 0, len(pairs))
	for _, pair := range pairs {
		cert, err := tls.LoadX509KeyPair(pair.Cert, pair.Key)
		if err != nil {
			return false, fmt.Errorf("certificate %s: %w", pair.Cert, err)
		}
		if err := warnExpiry(cert.Leaf, time.Now()); err != nil {
			s.log.Warn("certificate", "file", pair.Cert, "error", err)
		}
		certs = append(certs, &cert)
	}
	s.loaded.Store(&loaded{stamps, certs})
	return true, nil
}

func stampsOf(pairs []Pair) ([]stamp, error) {
	var stamps []stamp
	for _, pair := range pairs {
		for _, name := range []string{pair.Cert, pair.Key} {
			info, err := os.Stat(name)
			if err != nil {
				return nil, fmt.Errorf("certificate: %w", err)
			}
			stamps = append(stamps, stamp{name, info.Size(), info.ModTime()})
		}
	}
	return stamps, nil
}

func warnExpiry(leaf *x509.Certificate, now time.Time) error {
	switch {
	case now.Before(leaf.NotBefore):
		return fmt.Errorf("not valid before %s: is this machine's clock right?", leaf.NotBefore.Format(time.RFC3339))
	case now.After(leaf.NotAfter):
		return errors.New("expired on " + leaf.NotAfter.Format(time.RFC3339) + ": clients will refuse it")
	}
	return nil
}
