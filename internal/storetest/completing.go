package storetest

import (
	"bytes"
	"fmt"
	"sync"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/object"
)

func completeCases() []testCase {
	return []testCase{
		{"wrong requests, after which the upload goes on", completeRefused},
		{"checksums over the parts and over the whole", completeChecksums},
		{"again, and nothing changes", completeAgain},
		{"many at once", completeRace},
		{"under a precondition", completeConditions},
		{"many parts", completeMany},
		{"some of the parts", completeSome},
	}
}

func completeRefused(f *fixture) {
	f.newBucket(home, object.BucketConfig{})
	u := f.begin(object.UploadRequest{Bucket: home, Key: "k", Checksum: object.CRC32})
	one, two, small := f.part(u, 1, noise(1, object.MinPartSize)), f.part(u, 2, noise(2, 10)), f.part(u, 3, noise(3, 10))
	wrong := func(change func(*object.CompleteRequest)) object.CompleteRequest {
		req := completion(u, one, two)
		change(&req)
		return req
	}
	absent := small
	absent.Number = 4
	tests := []struct {
		name string
		req  object.CompleteRequest
		kind fault.Kind
		noun fault.Noun
	}{
		{"no parts", completion(u), fault.Invalid, fault.Part},
		{"descending", completion(u, two, one), fault.Invalid, fault.Part},
		{"twice the same", completion(u, one, one), fault.Invalid, fault.Part},
		{"too small, not last", completion(u, one, two, small), fault.Invalid, fault.Part},
		{"absent", completion(u, one, absent), fault.NotFound, fault.Part},
		{"another ETag", wrong(func(r *object.CompleteRequest) { r.Parts[1].ETag = one.Digest.ETag }), fault.NotFound, fault.Part},
		{"another checksum of a part", wrong(func(r *object.CompleteRequest) {
			r.Parts[1].Checksum = one.Digest.Checksum
		}), fault.NotFound, fault.Part},
		{"another size", wrong(func(r *object.CompleteRequest) { r.Size = object.MinPartSize + 11 }), fault.Invalid, fault.Object},
		{"another checksum", wrong(func(r *object.CompleteRequest) { r.Checksum = one.Digest.Checksum }), fault.Invalid, fault.Digest},
		{"another algorithm", wrong(func(r *object.CompleteRequest) {
			r.Checksum = object.Checksum{Algorithm: object.SHA1, Value: make([]byte, 20)}
		}), fault.Invalid, fault.Digest},
	}
	for _, tt := range tests {
		_, err := f.CompleteUpload(f.ctx, tt.req)
		if got := fault.As(err); err == nil || got.Kind != tt.kind || got.Noun != tt.noun {
			f.Errorf("%s: got %v, want %v: %v", tt.name, err, tt.noun, tt.kind)
		}
		f.wantAbsent("k")
	}
	whole := append(noise(1, object.MinPartSize), noise(2, 10)...)
	h := object.CRC32.NewHash()
	h.Write(whole)
	req := completion(u, one, two)
	req.Size, req.Checksum = int64(len(whole)), object.Checksum{Algorithm: object.CRC32, Value: h.Sum(nil)}
	req.Parts[1].Checksum = two.Digest.Checksum
	f.complete(req)
	f.wantBody("k", whole)
}

func completeChecksums(f *fixture) {
	f.newBucket(home, object.BucketConfig{})
	one, two := noise(1, object.MinPartSize+3), noise(2, 1000)
	whole := append(bytes.Clone(one), two...)
	sum := func(a object.Algorithm, data []byte) []byte {
		h := a.NewHash()
		h.Write(data)
		return h.Sum(nil)
	}
	for _, a := range []object.Algorithm{object.CRC32, object.CRC32C, object.CRC64NVME, object.SHA1, object.SHA256} {
		for _, composite := range []bool{false, true} {
			if !composite && !a.Combinable() || composite && a == object.CRC64NVME {
				continue // S3 has no such type
			}
			u := f.begin(object.UploadRequest{Bucket: home, Key: "k", Checksum: a, Composite: composite})
			req := completion(u, f.part(u, 1, one), f.part(u, 2, two))
			want := object.Checksum{Algorithm: a, Value: sum(a, whole)}
			if composite {
				want = object.Checksum{Algorithm: a, Composite: true, Parts: 2, Value: sum(a, append(sum(a, one), sum(a, two)...))}
			}
			req.Checksum = want
			info := f.complete(req)
			if diff := cmp.Diff(want, info.Digest.Checksum); diff != "" {
				f.Errorf("algorithm %d, composite %v (-want +got):\n%s", a, composite, diff)
			}
			head, err := f.Head(f.ctx, home, "k")
			if err != nil {
				f.Fatal(err)
			}
			f.wantInfo(info, head)
		}
	}
}

func completeAgain(f *fixture) {
	f.newBucket(home, object.BucketConfig{})
	u := f.begin(object.UploadRequest{Bucket: home, Key: "k", Meta: fullMeta()})
	part := f.part(u, 1, []byte("body"))
	req := completion(u, part)
	if f.Caps().ConditionalComplete {
		req.If = ifNone() // a lost answer: the object is there because of this very upload
	}
	info := f.complete(req)
	for range 3 {
		f.wantInfo(info, f.complete(req))
	}
	f.wantInfo(info, f.wantBody("k", []byte("body")))
	f.wantUsage(home, 1, 4)
	other := req
	other.Parts = []object.CompletePart{{Number: 2, ETag: part.Digest.ETag}}
	if _, err := f.CompleteUpload(f.ctx, other); err == nil {
		f.Error("other parts complete the same upload again")
	}
	f.put("k", []byte("later"))
	_, _ = f.CompleteUpload(f.ctx, req) // whatever it answers
	f.wantBody("k", []byte("later"))
	f.delete("k")
	_, _ = f.CompleteUpload(f.ctx, req)
	f.wantAbsent("k")
	f.wantUsage(home, 0, 0)
}

func completeRace(f *fixture) {
	f.newBucket(home, object.BucketConfig{})
	for round := range 5 {
		u := f.begin(object.UploadRequest{Bucket: home, Key: "k"})
		body := fmt.Appendf(nil, "round %d", round)
		req := completion(u, f.part(u, 1, body))
		infos := make([]object.Info, 8)
		var group sync.WaitGroup
		for i := range infos {
			group.Go(func() {
				var err error
				if infos[i], err = f.CompleteUpload(f.ctx, req); err != nil {
					f.Errorf("complete: %v", err)
				}
			})
		}
		group.Wait()
		for _, info := range infos {
			f.wantInfo(infos[0], info)
		}
		f.wantInfo(infos[0], f.wantBody("k", body))
	}
}

func completeConditions(f *fixture) {
	f.newBucket(home, object.BucketConfig{})
	u := f.begin(object.UploadRequest{Bucket: home, Key: "k"})
	req := completion(u, f.part(u, 1, []byte("upload")))
	before := f.put("k", []byte("before"))
	req.If = ifNone()
	_, err := f.CompleteUpload(f.ctx, req)
	if f.lacks(f.Caps().ConditionalComplete, err) {
		return
	}
	f.wantFault(err, fault.Precondition, fault.Object)
	f.wantInfo(before, f.wantBody("k", []byte("before")))
	req.If = ifTag(before.Digest.ETag)
	f.complete(req)
	f.wantBody("k", []byte("upload"))

	errs := make([]error, 8)
	f.delete("k")
	var group sync.WaitGroup
	for i := range errs {
		u := f.begin(object.UploadRequest{Bucket: home, Key: "k"})
		req := completion(u, f.part(u, 1, fmt.Appendf(nil, "rival %d", i)))
		req.If = ifNone()
		group.Go(func() { _, errs[i] = f.CompleteUpload(f.ctx, req) })
	}
	group.Wait()
	won := -1
	for i, err := range errs {
		switch {
		case err == nil && won < 0:
			won = i
		case err == nil:
			f.Errorf("rivals %d and %d both created the object", won, i)
		default:
			f.wantFault(err, fault.Precondition, fault.Object)
		}
	}
	f.wantBody("k", fmt.Appendf(nil, "rival %d", won))
}

func completeMany(f *fixture) {
	f.newBucket(home, object.BucketConfig{})
	u := f.begin(object.UploadRequest{Bucket: home, Key: "k"})
	one := f.part(u, 1, noise(1, object.MinPartSize))
	last := f.part(u, object.MaxParts, []byte("end"))
	req := completion(u, one)
	const copies = 6
	body := noise(1, object.MinPartSize)
	whole := bytes.Clone(body)
	for number := 2; number <= copies; number++ {
		p := f.part(u, number*1000, body)
		req.Parts = append(req.Parts, object.CompletePart{Number: p.Number, ETag: p.Digest.ETag})
		whole = append(whole, body...)
	}
	req.Parts = append(req.Parts, object.CompletePart{Number: last.Number, ETag: last.Digest.ETag})
	if info := f.complete(req); info.Parts != copies+1 {
		f.Errorf("%d parts, want %d", info.Parts, copies+1)
	}
	f.wantBody("k", append(whole, "end"...))
}

func completeSome(f *fixture) {
	f.newBucket(home, object.BucketConfig{})
	u := f.begin(object.UploadRequest{Bucket: home, Key: "k"})
	f.part(u, 1, noise(1, 9<<20)) // uploaded, and left out
	two := f.part(u, 2, []byte("two"))
	f.part(u, 3, noise(3, 100))
	info := f.complete(completion(u, two))
	f.wantInfo(info, f.wantBody("k", []byte("two")))
	f.wantUsage(home, 1, 3)
	if parts, err := f.ObjectParts(f.ctx, home, "k", 0, 10); err != nil || len(parts) != 1 || parts[0].Number != 2 {
		f.Errorf("parts %+v, %v; want number 2 alone", parts, err)
	}
}
