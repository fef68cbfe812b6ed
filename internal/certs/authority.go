package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/larder-cache/larder/internal/atomicfile"
)

// Authority is a certificate authority of our own, for teams without one. Its
// certificate, ca.crt, is what clients are told to trust; it never changes, so
// that trust is set up once.
type Authority struct {
	dir   string
	names []string
	now   func() time.Time
}

const (
	authorityLife = 10 * 365 * 24 * time.Hour
	leafLife      = 90 * 24 * time.Hour
	renewBefore   = 30 * 24 * time.Hour
)

// NewAuthority makes or finds the authority in dir, and a server certificate for
// names (DNS names, wildcards and IP addresses). The directory is made with mode
// 0700 and the keys in it with 0600.
func NewAuthority(dir string, names []string, now func() time.Time) (*Authority, error) {
	a := &Authority{dir: dir, names: names, now: now}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("certificate authority: %w", err)
	}
	if err := a.renew(); err != nil {
		return nil, fmt.Errorf("certificate authority: %w", err)
	}
	return a, nil
}

// CAFile is the path of the authority's certificate, in PEM.
func (a *Authority) CAFile() string { return filepath.Join(a.dir, "ca.crt") }

// Source is the server certificate, renewed in good time whenever it is asked
// for.
func (a *Authority) Source() Source {
	return func() ([]Pair, error) {
		if err := a.renew(); err != nil {
			return nil, fmt.Errorf("renew certificate: %w", err)
		}
		return []Pair{a.leaf()}, nil
	}
}

func (a *Authority) leaf() Pair {
	return Pair{filepath.Join(a.dir, "public.crt"), filepath.Join(a.dir, "private.key")}
}

func (a *Authority) renew() error {
	pair := a.leaf()
	if old, err := tls.LoadX509KeyPair(pair.Cert, pair.Key); err == nil && a.stillGood(old.Leaf) {
		return nil
	}
	ca, err := a.load()
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: "larder"},
		NotBefore:   a.now().Add(-time.Hour),
		NotAfter:    a.now().Add(leafLife),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, name := range a.names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	return issue(template, ca.Leaf, ca.PrivateKey, pair)
}

func (a *Authority) stillGood(leaf *x509.Certificate) bool {
	if a.now().Before(leaf.NotBefore) || a.now().Add(renewBefore).After(leaf.NotAfter) {
		return false
	}
	for _, name := range a.names {
		ip := net.ParseIP(name)
		switch {
		case ip == nil && !slices.Contains(leaf.DNSNames, name):
			return false
		case ip != nil && !slices.ContainsFunc(leaf.IPAddresses, ip.Equal):
			return false
		}
	}
	return true
}

func (a *Authority) load() (tls.Certificate, error) {
	pair := Pair{a.CAFile(), filepath.Join(a.dir, "ca.key")}
	ca, err := tls.LoadX509KeyPair(pair.Cert, pair.Key)
	if !errors.Is(err, fs.ErrNotExist) {
		return ca, err
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "Larder certificate authority"},
		NotBefore:             a.now().Add(-time.Hour),
		NotAfter:              a.now().Add(authorityLife),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	if err := issue(template, nil, nil, pair); err != nil {
		return tls.Certificate{}, err
	}
	return tls.LoadX509KeyPair(pair.Cert, pair.Key)
}

// issue makes a key and its certificate; without a parent it signs itself.
func issue(template, parent *x509.Certificate, parentKey any, to Pair) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)); err != nil {
		return err
	}
	if parent == nil {
		parent, parentKey = template, key
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, parentKey)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	// The key goes first: a certificate without its key would be used, and fail.
	if err := atomicfile.Replace(to.Key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600); err != nil {
		return err
	}
	return atomicfile.Replace(to.Cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), 0o644)
}
