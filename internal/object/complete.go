package object

import (
	"bytes"
	"fmt"

	"github.com/larder-cache/larder/internal/fault"
)

// Assemble checks the request against the upload and its stored parts, asked for
// by number, and returns the parts of the object in order, its digest and its
// size in bytes. All stores decide it here, so that they decide alike.
//
// The faults: NotFound of noun Part for a part that is absent or differs in ETag
// or checksum; Invalid of noun Part for none, a wrong order, or a part but the
// last below MinPartSize; TooLarge of noun Part above MaxPartSize, or MaxObjectSize
// for the whole; Invalid of noun Object if the whole has not the demanded Size,
// and of noun Digest if it has not the demanded Checksum.
func (r *CompleteRequest) Assemble(upload *Upload, stored func(number int) (Part, bool)) ([]Part, Digest, int64, error) {
	parts, size, err := r.choose(stored)
	if err != nil {
		return nil, Digest{}, 0, err
	}
	if r.Size >= 0 && r.Size != size {
		return nil, Digest{}, 0, fault.Wrap(fault.Invalid, fault.Object, string(r.Key),
			ruleError(fmt.Sprintf("the parts have %d bytes together, and %d were announced", size, r.Size)))
	}
	digest, err := Combine(parts, upload.Checksum, upload.Composite)
	if err != nil {
		return nil, Digest{}, 0, err
	}
	if r.Checksum.Algorithm != NoChecksum && !sameChecksum(r.Checksum, digest.Checksum) {
		return nil, Digest{}, 0, fault.Wrap(fault.Invalid, fault.Digest, string(r.Key),
			ruleError("the parts together do not have the checksum that was announced"))
	}
	return parts, digest, size, nil
}

func (r *CompleteRequest) choose(stored func(number int) (Part, bool)) ([]Part, int64, error) {
	if len(r.Parts) == 0 || len(r.Parts) > MaxParts {
		return nil, 0, partFault(fault.Invalid, 0, "an object is made of 1 to 10000 parts")
	}
	parts := make([]Part, 0, len(r.Parts))
	var size int64
	for i, wanted := range r.Parts {
		if i > 0 && wanted.Number <= r.Parts[i-1].Number {
			return nil, 0, partFault(fault.Invalid, wanted.Number, "parts are named in ascending order")
		}
		part, ok := stored(wanted.Number)
		if !ok || part.Digest.ETag != wanted.ETag ||
			wanted.Checksum.Algorithm != NoChecksum && !sameChecksum(wanted.Checksum, part.Digest.Checksum) {
			return nil, 0, partFault(fault.NotFound, wanted.Number, "it was not uploaded, or not with that content")
		}
		if part.Size < MinPartSize && i < len(r.Parts)-1 {
			return nil, 0, partFault(fault.Invalid, wanted.Number, "every part but the last has at least 5 MiB")
		}
		if size += part.Size; part.Size > MaxPartSize || size > MaxObjectSize {
			return nil, 0, partFault(fault.TooLarge, wanted.Number, "a part has at most 5 GiB, an object 5 TiB")
		}
		parts = append(parts, part)
	}
	return parts, size, nil
}

func sameChecksum(a, b Checksum) bool {
	return a.Algorithm == b.Algorithm && a.Composite == b.Composite && bytes.Equal(a.Value, b.Value)
}

func partFault(kind fault.Kind, number int, why string) error {
	return fault.Wrap(kind, fault.Part, fmt.Sprint(number), ruleError(why))
}
