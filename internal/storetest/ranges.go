package storetest

import (
	"fmt"
	"io"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/object"
)

func rangeCases() []testCase {
	return []testCase{
		{"every kind of range", ranges},
		{"ranges across blocks and extents", longRanges},
		{"a body that is copied out", writeTo},
	}
}

func ranges(f *fixture) {
	f.newBucket(home, object.BucketConfig{})
	body := noise(1, 1000)
	f.put("k", body)
	f.put("empty", nil)
	tests := []struct {
		key        object.Key
		r          object.Range
		first, end int // first < 0: refused
	}{
		{"k", object.Range{}, 0, 1},
		{"k", object.Range{First: 0, Last: -1}, 0, 1000},
		{"k", object.Range{First: 10, Last: 19}, 10, 20},
		{"k", object.Range{First: 999, Last: 999}, 999, 1000},
		{"k", object.Range{First: 990, Last: 5000}, 990, 1000},
		{"k", object.Range{First: 500, Last: -1}, 500, 1000},
		{"k", object.Range{Suffix: 1}, 999, 1000},
		{"k", object.Range{Suffix: 1000}, 0, 1000},
		{"k", object.Range{Suffix: 5000}, 0, 1000},
		{"k", object.Range{First: 1000, Last: -1}, -1, 0},
		{"k", object.Range{First: 1000, Last: 2000}, -1, 0},
		{"empty", object.Range{First: 0, Last: -1}, -1, 0},
		{"empty", object.Range{Suffix: 5}, -1, 0},
	}
	for _, tt := range tests {
		f.wantRange(tt.key, body, tt.r, tt.first, tt.end)
	}
	r, got := f.read(object.GetRequest{Bucket: home, Key: "k", Part: 1})
	f.same("part 1 of an object that has none", body, got)
	if r.Offset != 0 || r.Length != 1000 {
		f.Errorf("part 1: offset %d, length %d", r.Offset, r.Length)
	}
	_, err := f.Get(f.ctx, object.GetRequest{Bucket: home, Key: "k", Part: 2})
	f.wantFault(err, fault.Invalid, fault.Range)
}

// wantRange reads a range and compares it with body[first:end].
func (f *fixture) wantRange(key object.Key, body []byte, r object.Range, first, end int) {
	f.Helper()
	what := fmt.Sprintf("%s %+v", key, r)
	got, err := f.Get(f.ctx, object.GetRequest{Bucket: home, Key: key, Range: &r})
	if first < 0 {
		f.wantFault(err, fault.Invalid, fault.Range)
		return
	}
	if err != nil {
		f.Fatalf("%s: %v", what, err)
	}
	if got.Offset != int64(first) || got.Length != int64(end-first) || got.Info.Size != int64(len(body)) {
		f.Errorf("%s: offset %d, length %d, size %d", what, got.Offset, got.Length, got.Info.Size)
	}
	f.same(what, body[first:end], f.drain(got))
}

func longRanges(f *fixture) {
	f.newBucket(home, object.BucketConfig{})
	const block, extent = 64 << 10, 8 << 20
	body := noise(2, 2*extent+block+5)
	f.put("k", body)
	edges := []int{0, 1, block - 1, block, block + 1, extent - 1, extent, extent + 1, 2 * extent, len(body) - 1, len(body)}
	for _, first := range edges {
		for _, end := range edges {
			if first < end {
				f.wantRange("k", body, object.Range{First: int64(first), Last: int64(end - 1)}, first, end)
			}
		}
	}
}

func writeTo(f *fixture) {
	f.newBucket(home, object.BucketConfig{})
	body := noise(3, 9<<20+7)
	f.put("k", body)
	for _, first := range []int{0, 12_345, 8 << 20} {
		r, err := f.Get(f.ctx, object.GetRequest{Bucket: home, Key: "k", Range: &object.Range{First: int64(first), Last: -1}})
		if err != nil {
			f.Fatal(err)
		}
		sink := &sink{}
		n, err := io.Copy(sink, r.Body) // takes the WriterTo if there is one
		if err != nil || n != r.Length {
			f.Errorf("copied %d of %d bytes, %v", n, r.Length, err)
		}
		f.same("copied out", body[first:], sink.got)
		if err := r.Body.Close(); err != nil {
			f.Error(err)
		}
	}
}

// sink collects; it has no ReadFrom, so that io.Copy asks the reader.
type sink struct{ got []byte }

func (s *sink) Write(p []byte) (int, error) {
	s.got = append(s.got, p...)
	return len(p), nil
}
