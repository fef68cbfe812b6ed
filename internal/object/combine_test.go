package object_test

import (
	"bytes"
	"crypto/md5"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/object"
)

func sum(a object.Algorithm, data []byte) []byte {
	h := a.NewHash()
	h.Write(data)
	return h.Sum(nil)
}

func part(number int, data []byte, a object.Algorithm) object.Part {
	hash := md5.Sum(data)
	p := object.Part{Number: number, Size: int64(len(data)), Digest: object.Digest{
		ETag: object.ETag(fmt.Sprintf("%x", hash)), MD5: hash[:],
	}}
	if a != object.NoChecksum {
		p.Digest.Checksum = object.Checksum{Algorithm: a, Value: sum(a, data)}
	}
	return p
}

// The check values of the CRC catalogue, over "123456789".
func TestAlgorithmCheckValues(t *testing.T) {
	for a, want := range map[object.Algorithm]string{
		object.CRC32: "cbf43926", object.CRC32C: "e3069283", object.CRC64NVME: "ae8b14860a799888",
		object.SHA1:   "f7c3bc1d808e04732adf679965ccc34ca7ae3441",
		object.SHA256: "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
	} {
		got := sum(a, []byte("123456789"))
		if fmt.Sprintf("%x", got) != want || len(got) != a.Size() {
			t.Errorf("algorithm %d: got %x of %d bytes, want %s", a, got, a.Size(), want)
		}
	}
	if object.NoChecksum.NewHash() != nil || object.Algorithm(99).NewHash() != nil {
		t.Error("an unknown algorithm has a hash")
	}
}

func TestCombineFullObject(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	body := make([]byte, 1<<20)
	for i := range body {
		body[i] = byte(random.Uint32())
	}
	splits := [][]int{{len(body)}, {1, 1, 1}, {0, 7, 0}, {4096, 65536, 5}, {524288, 524287, 1}}
	for _, a := range []object.Algorithm{object.CRC32, object.CRC32C, object.CRC64NVME} {
		for _, split := range splits {
			t.Run(fmt.Sprintf("%d/%v", a, split), func(t *testing.T) {
				var parts []object.Part
				end := 0
				for i, size := range split {
					parts = append(parts, part(i+1, body[end:end+size], a))
					end += size
				}
				got, err := object.Combine(parts, a, false)
				want := object.Checksum{Algorithm: a, Value: sum(a, body[:end])}
				if diff := cmp.Diff(want, got.Checksum); err != nil || diff != "" {
					t.Errorf("error %v, difference (-want +got):\n%s", err, diff)
				}
			})
		}
	}
}

// A length that no test body reaches: appending zeros doubles, which the CRC of
// 5 TiB of zeros must follow.
func TestCombineHugeParts(t *testing.T) {
	zeros := make([]byte, 1<<20)
	for _, a := range []object.Algorithm{object.CRC32, object.CRC32C, object.CRC64NVME} {
		one := part(1, zeros, a)
		for one.Size < 1<<42 {
			digest, err := object.Combine([]object.Part{one, one}, a, false)
			if err != nil {
				t.Fatal(err)
			}
			whole := object.Part{Number: 1, Size: 2 * one.Size, Digest: one.Digest}
			whole.Digest.Checksum = digest.Checksum
			if whole.Size == 1<<24 && !bytes.Equal(digest.Checksum.Value, sum(a, make([]byte, 1<<24))) {
				t.Errorf("algorithm %d: wrong at 16 MiB", a)
			}
			// three and one quarter must give the same as two halves
			halves := digest.Checksum
			tail, err := object.Combine([]object.Part{one, {Size: 0, Digest: object.Digest{
				ETag:     one.Digest.ETag,
				Checksum: object.Checksum{Algorithm: a, Value: sum(a, nil)},
			}}, one}, a, false)
			if diff := cmp.Diff(halves, tail.Checksum); err != nil || diff != "" {
				t.Errorf("an empty part changes the checksum: %v %s", err, diff)
			}
			one = whole
		}
	}
}

func TestCombineComposite(t *testing.T) {
	one, two := []byte("the first part"), []byte("and the second")
	for _, a := range []object.Algorithm{object.CRC32, object.CRC32C, object.SHA1, object.SHA256} {
		got, err := object.Combine([]object.Part{part(1, one, a), part(2, two, a)}, a, true)
		want := object.Checksum{
			Algorithm: a, Composite: true, Parts: 2,
			Value: sum(a, append(sum(a, one), sum(a, two)...)),
		}
		if diff := cmp.Diff(want, got.Checksum); err != nil || diff != "" {
			t.Errorf("algorithm %d: error %v, difference (-want +got):\n%s", a, err, diff)
		}
	}
}

func TestCombineETag(t *testing.T) {
	one, two := []byte("one"), []byte("two")
	first, second := md5.Sum(one), md5.Sum(two)
	all := md5.Sum(append(first[:], second[:]...))
	want := object.ETag(fmt.Sprintf("%x-2", all))
	parts := []object.Part{part(1, one, object.NoChecksum), part(7, two, object.NoChecksum)}
	parts[1].Digest.MD5 = nil
	parts[1].Digest.ETag += "-1" // as in a bucket whose tags are not MD5
	got, err := object.Combine(parts, object.NoChecksum, false)
	if diff := cmp.Diff(object.Digest{ETag: want}, got); err != nil || diff != "" {
		t.Errorf("error %v, difference (-want +got):\n%s", err, diff)
	}
}

func TestCombineDefaultsToCRC64NVME(t *testing.T) {
	parts := []object.Part{part(1, []byte("one"), object.CRC64NVME), part(2, []byte("two"), object.CRC64NVME)}
	got, err := object.Combine(parts, object.NoChecksum, false)
	want := object.Checksum{Algorithm: object.CRC64NVME, Value: sum(object.CRC64NVME, []byte("onetwo"))}
	if diff := cmp.Diff(want, got.Checksum); err != nil || diff != "" {
		t.Errorf("error %v, difference (-want +got):\n%s", err, diff)
	}
}

func TestCombineRefuses(t *testing.T) {
	tests := []struct {
		name      string
		part      object.Part
		algorithm object.Algorithm
		composite bool
	}{
		{"a part without the checksum", part(1, []byte("x"), object.NoChecksum), object.CRC32, false},
		{"a part with another checksum", part(1, []byte("x"), object.CRC32C), object.CRC32, true},
		{"full object of a hash that does not combine", part(1, []byte("x"), object.SHA256), object.SHA256, false},
		{"an ETag that is not hexadecimal", object.Part{Digest: object.Digest{ETag: "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz"}}, object.NoChecksum, false},
		{"no ETag", object.Part{}, object.NoChecksum, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := object.Combine([]object.Part{tt.part}, tt.algorithm, tt.composite)
			if f := fault.As(err); !errors.Is(err, fault.Invalid) || f.Noun != fault.Digest {
				t.Errorf("got %v, want an invalid digest", err)
			}
		})
	}
}
