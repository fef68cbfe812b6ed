package sccache

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"regexp"
)

// TrustStore is what a sccache on Linux verifies a server's certificate with. On
// other systems it asks the system's own store and no variable changes that.
type TrustStore struct {
	File    string // PEM file; "" for none
	Dir     string // folder of PEM files that are named by hash; "" for none
	Missing string // what SSL_CERT_FILE or SSL_CERT_DIR names and is not there
	Mozilla bool   // Mozilla's authorities are trusted besides
	System  bool   // the system's store, by the system's rules; File and Dir are empty
}

// Trust returns the trust store of sccache of version v started with env on
// system goos, with root ("" for /) as the root of the file system.
//
// Up to 0.17 OpenSSL takes the file and the folder of SSL_CERT_FILE and
// SSL_CERT_DIR, and for each that is not set, or not there, the system's. From
// 0.18 on, if either is set only what is set counts, with Mozilla's authorities.
func Trust(env Environ, v Version, goos, root string) TrustStore {
	if goos != "linux" {
		return TrustStore{System: true}
	}
	store := TrustStore{File: env["SSL_CERT_FILE"], Dir: env["SSL_CERT_DIR"], Mozilla: v.Modern()}
	told := store.File != "" || store.Dir != ""
	for _, path := range []*string{&store.File, &store.Dir} {
		if *path == "" {
			continue
		}
		if _, err := os.Stat(*path); err != nil {
			store.Missing, *path = *path, ""
		}
	}
	if told && v.Modern() {
		return store
	}
	file, dir := probe(root)
	if store.File == "" {
		store.File = file
	}
	if store.Dir == "" {
		store.Dir = dir
	}
	return store
}

// probe finds the system's store where the openssl-probe library looks for it.
func probe(root string) (file, dir string) {
	for _, base := range []string{
		"/var/ssl", "/usr/share/ssl", "/usr/local/ssl", "/usr/local/openssl", "/usr/local/etc/openssl", "/usr/local/share",
		"/usr/lib/ssl", "/usr/ssl", "/etc/openssl", "/etc/pki/ca-trust/extracted/pem", "/etc/pki/tls", "/etc/ssl", "/etc/certs", "/opt/etc/ssl",
	} {
		base = filepath.Join(root, base)
		for _, name := range []string{
			"cert.pem", "certs.pem", "ca-bundle.pem", "cacert.pem", "ca-certificates.crt", "certs/ca-certificates.crt",
			"certs/ca-root-nss.crt", "certs/ca-bundle.crt", "CARootCertificates.pem", "tls-ca-bundle.pem",
		} {
			if path := filepath.Join(base, name); file == "" && exists(path) {
				file = path
			}
		}
		if path := filepath.Join(base, "certs"); dir == "" && exists(path) {
			dir = path
		}
	}
	return file, dir
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// Pool returns the authorities of s, Mozilla's aside, and how many there are. A
// nil pool means the system's own verification.
func (s TrustStore) Pool() (*x509.CertPool, int) {
	if s.System {
		return nil, 0
	}
	pool, n := x509.NewCertPool(), 0
	files := []string{}
	if s.File != "" {
		files = append(files, s.File)
	}
	if s.Dir != "" {
		hashed := regexp.MustCompile(`^[0-9a-fA-F]{8}\.[0-9]$`) // as "openssl rehash" names them
		entries, _ := os.ReadDir(s.Dir)
		for _, entry := range entries {
			if hashed.MatchString(entry.Name()) {
				files = append(files, filepath.Join(s.Dir, entry.Name()))
			}
		}
	}
	for _, path := range files {
		if data, err := os.ReadFile(path); err == nil && pool.AppendCertsFromPEM(data) {
			n++
		}
	}
	return pool, n
}

// String says where the authorities come from.
func (s TrustStore) String() string {
	var text string
	switch {
	case s.System:
		return "the system's trust store"
	case s.File != "" && s.Dir != "":
		text = s.File + " and " + s.Dir
	default:
		text = s.File + s.Dir
	}
	if s.Mozilla {
		if text != "" {
			text += " and "
		}
		text += "Mozilla's authorities"
	}
	if text == "" {
		return "no authority at all"
	}
	return text
}
