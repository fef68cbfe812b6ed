package object

import (
	"crypto/sha1" //nolint:gosec // S3 offers SHA-1 as an integrity checksum
	"crypto/sha256"
	"hash"
	"hash/crc32"

	"github.com/minio/crc64nvme"
)

// NewHash returns the algorithm's hash, whose Sum is a Checksum's Value. It is
// nil for NoChecksum and for an unknown number.
func (a Algorithm) NewHash() hash.Hash {
	switch a {
	case CRC32:
		return crc32.NewIEEE()
	case CRC32C:
		return crc32.New(crc32.MakeTable(crc32.Castagnoli))
	case CRC64NVME:
		return crc64nvme.New()
	case SHA1:
		return sha1.New() //nolint:gosec // see the import
	case SHA256:
		return sha256.New()
	case NoChecksum:
	}
	return nil
}

// Size returns the length of the algorithm's value in bytes, 0 for NoChecksum.
func (a Algorithm) Size() int {
	switch a {
	case CRC32, CRC32C:
		return 4
	case CRC64NVME:
		return 8
	case SHA1:
		return sha1.Size
	case SHA256:
		return sha256.Size
	case NoChecksum:
	}
	return 0
}

// Combinable reports whether the checksum of a whole follows from those of its
// parts, so that S3 offers the type FULL_OBJECT for it: true for the CRCs.
func (a Algorithm) Combinable() bool {
	return a == CRC32 || a == CRC32C || a == CRC64NVME
}
