package object

import (
	"encoding/base64"
	"io"
)

// ETag is an entity tag without quotes: 32 hex digits of MD5, "<32 hex>-<N>" for
// a multipart object of N parts, or "<32 hex>-1" in a bucket whose tags are not
// MD5. Two bodies of one key with equal tags are equal.
type ETag string

// Algorithm is a checksum algorithm of S3.
type Algorithm uint8

// The algorithms. Numbers are persisted: append only.
const (
	NoChecksum Algorithm = iota
	CRC32                // IEEE, 4 bytes, big-endian
	CRC32C               // Castagnoli, 4 bytes, big-endian
	CRC64NVME            // 8 bytes, big-endian
	SHA1                 // 20 bytes
	SHA256               // 32 bytes
)

// Checksum is one checksum of an object or a part. The zero value is none.
type Checksum struct {
	Algorithm Algorithm
	Composite bool   // computed over the parts' checksums, not over the whole body
	Parts     int    // number of parts of a composite checksum
	Value     []byte // raw bytes
}

// Base64 returns the value as S3 writes it, without the "-N" of a composite.
func (c Checksum) Base64() string { return base64.StdEncoding.EncodeToString(c.Value) }

// Digest identifies a body's content.
type Digest struct {
	ETag     ETag
	MD5      []byte   // 16 bytes, needed of parts to make the ETag of the whole; nil if not computed
	Checksum Checksum // zero if the writer neither sent nor computed one
}

// Content is a body on its way into a store. Read returns an error instead of
// io.EOF when the bytes do not match what the sender promised (length, MD5,
// SHA-256, checksum, chunk signature), so a store that commits only after io.EOF
// never keeps a body that was refused.
type Content interface {
	io.Reader

	// Digest returns what the body amounts to. It is valid only after Read
	// returned io.EOF.
	Digest() Digest
}
