package object

import (
	"crypto/md5" //nolint:gosec // ETags are MD5
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"

	"github.com/larder-cache/larder/internal/fault"
)

// Combine returns the digest of the object that parts make, in their order,
// from the digests of the parts alone. The ETag is "<MD5 of the MD5s>-<N>"; a
// part whose MD5 was not computed counts with the 16 bytes in its ETag.
//
// The checksum has the announced algorithm and type. Without one (NoChecksum)
// it is CRC64NVME over the whole if every part has that, else none. A part that
// lacks what is needed is fault.Invalid of noun Digest.
//
// Source: Amazon S3 User Guide, "Checking object integrity", multipart uploads.
func Combine(parts []Part, algorithm Algorithm, composite bool) (Digest, error) {
	tag, err := combineETags(parts)
	if err != nil {
		return Digest{}, err
	}
	if algorithm == NoChecksum {
		algorithm, composite = CRC64NVME, false
		for _, part := range parts {
			if !usable(part.Digest.Checksum, algorithm) {
				return Digest{ETag: tag}, nil
			}
		}
	}
	sum, err := combineChecksums(parts, algorithm, composite)
	if err != nil {
		return Digest{}, err
	}
	return Digest{ETag: tag, Checksum: sum}, nil
}

func combineETags(parts []Part) (ETag, error) {
	all := md5.New() //nolint:gosec // see the import
	for _, part := range parts {
		sum := part.Digest.MD5
		if len(sum) != md5.Size {
			tag := part.Digest.ETag
			if len(tag) < 2*md5.Size {
				return "", partDigest(part, "has neither MD5 nor ETag")
			}
			var err error
			if sum, err = hex.DecodeString(string(tag[:2*md5.Size])); err != nil {
				return "", partDigest(part, "has an ETag that is not hexadecimal")
			}
		}
		all.Write(sum)
	}
	return ETag(fmt.Sprintf("%x-%d", all.Sum(nil), len(parts))), nil
}

func combineChecksums(parts []Part, algorithm Algorithm, composite bool) (Checksum, error) {
	for _, part := range parts {
		if !usable(part.Digest.Checksum, algorithm) {
			return Checksum{}, partDigest(part, "lacks the checksum that its upload announced")
		}
	}
	if composite {
		all := algorithm.NewHash()
		for _, part := range parts {
			all.Write(part.Digest.Checksum.Value)
		}
		return Checksum{Algorithm: algorithm, Composite: true, Parts: len(parts), Value: all.Sum(nil)}, nil
	}
	field, ok := fieldOf(algorithm)
	if !ok {
		return Checksum{}, fault.Wrap(fault.Invalid, fault.Digest, "",
			ruleError("a checksum over the whole object follows from its parts only for CRC32, CRC32C and CRC64NVME"))
	}
	var sum uint64 // the CRC of nothing is 0
	for _, part := range parts {
		sum = field.concat(sum, field.decode(part.Digest.Checksum.Value), part.Size)
	}
	return Checksum{Algorithm: algorithm, Value: field.encode(sum)}, nil
}

// usable reports whether c is a checksum of that algorithm over one whole part.
func usable(c Checksum, algorithm Algorithm) bool {
	return c.Algorithm == algorithm && !c.Composite && len(c.Value) == algorithm.Size()
}

func partDigest(part Part, why string) error {
	return fault.Wrap(fault.Invalid, fault.Digest, "", ruleError(fmt.Sprintf("part %d %s", part.Number, why)))
}

// field is arithmetic modulo a CRC's polynomial over GF(2). Polynomials are
// reflected: the highest of the width bits is the coefficient of x^0.
type field struct {
	poly  uint64 // without the leading term
	width int    // bits
}

// crc64NVME is the reflected polynomial of CRC-64/NVME.
const crc64NVME = 0x9a6c9329ac4bc9b5

func fieldOf(algorithm Algorithm) (field, bool) {
	switch algorithm {
	case CRC32:
		return field{crc32.IEEE, 32}, true
	case CRC32C:
		return field{crc32.Castagnoli, 32}, true
	case CRC64NVME:
		return field{crc64NVME, 64}, true
	default: // not linear
		return field{}, false
	}
}

// concat returns the CRC of a||b, where b has size bytes: crc(a)·x^(8·size) +
// crc(b). That both start from and end with all ones cancels out.
func (f field) concat(a, b uint64, size int64) uint64 {
	return f.multiply(f.power(8*uint64(size)), a) ^ b
}

// multiply returns a·b modulo the polynomial.
func (f field) multiply(a, b uint64) uint64 {
	var product uint64
	for bit := uint64(1) << (f.width - 1); a != 0; bit >>= 1 {
		if a&bit != 0 {
			product ^= b
			a &^= bit
		}
		carry := b & 1 // the coefficient of x^(width-1), about to become x^width
		b >>= 1
		if carry != 0 {
			b ^= f.poly
		}
	}
	return product
}

// power returns x^n modulo the polynomial, by squaring.
func (f field) power(n uint64) uint64 {
	result := uint64(1) << (f.width - 1) // x^0
	for square := uint64(1) << (f.width - 2); n != 0; n >>= 1 {
		if n&1 != 0 {
			result = f.multiply(square, result)
		}
		square = f.multiply(square, square)
	}
	return result
}

func (f field) decode(value []byte) uint64 {
	if f.width == 64 {
		return binary.BigEndian.Uint64(value)
	}
	return uint64(binary.BigEndian.Uint32(value))
}

func (f field) encode(sum uint64) []byte {
	if f.width == 64 {
		return binary.BigEndian.AppendUint64(nil, sum)
	}
	return binary.BigEndian.AppendUint32(nil, uint32(sum))
}
