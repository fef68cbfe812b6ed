package object

import "github.com/larder-cache/larder/internal/fault"

// Range asks for a part of a body. Either Suffix > 0: the last Suffix bytes; or
// First to Last, both inclusive, where Last < 0 means the end. The zero value is
// "bytes=0-0", so a missing range is a nil *Range.
//
// Source: RFC 9110, section 14.
type Range struct {
	First, Last int64
	Suffix      int64
}

// Resolve returns the offset and length, in bytes, that the range names in a
// body of the given size. A range that starts behind the end is fault.Invalid
// of noun Range; one that ends behind the end is cut.
func (r *Range) Resolve(size int64) (offset, length int64, err error) {
	if r == nil {
		return 0, size, nil
	}
	if r.Suffix > 0 {
		n := min(r.Suffix, size)
		if n == 0 {
			return 0, 0, fault.New(fault.Invalid, fault.Range, "")
		}
		return size - n, n, nil
	}
	last := r.Last
	if last < 0 || last >= size {
		last = size - 1
	}
	if r.First < 0 || r.First >= size || last < r.First {
		return 0, 0, fault.New(fault.Invalid, fault.Range, "")
	}
	return r.First, last - r.First + 1, nil
}
