package storetest

import (
	"bytes"
	"crypto/md5" //nolint:gosec // ETags are MD5
	"fmt"
	"io"
	"strings"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/object"
)

func uploadCases() []testCase {
	return []testCase{
		{"an upload becomes an object", uploadWhole},
		{"an upload in progress is described", uploadDescribed},
		{"a part is replaced", partReplaced},
		{"parts are listed in order", partsListed},
		{"an aborted upload is gone", uploadAborted},
		{"an upload belongs to its key", uploadOfAnotherKey},
		{"a part is a range of another object", partCopied},
		{"an object's parts are found by number", objectParts},
		{"uploads of one key do not mix", uploadsApart},
		{"a refused part leaves the former", partRefused},
	}
}

// begin starts an upload.
func (f *fixture) begin(req object.UploadRequest) object.Upload {
	f.Helper()
	u, err := f.CreateUpload(f.ctx, req)
	if err != nil {
		f.Fatalf("create upload: %v", err)
	}
	return u
}

// part stores a part with the checksum that its upload announced.
func (f *fixture) part(u object.Upload, number int, body []byte) object.Part {
	f.Helper()
	p, err := f.PutPart(f.ctx, object.PartRequest{
		Bucket: u.Bucket, Key: u.Key, Upload: u.ID, Number: number,
		Content: NewContent(bytes.NewReader(body), u.Checksum), Size: int64(len(body)),
	})
	if err != nil {
		f.Fatalf("put part %d: %v", number, err)
	}
	if p.Number != number || p.Size != int64(len(body)) || p.Modified.IsZero() {
		f.Errorf("part %d is stored as %+v", number, p)
	}
	return p
}

// completion is a request that demands nothing but the parts.
func completion(u object.Upload, parts ...object.Part) object.CompleteRequest {
	req := object.CompleteRequest{Bucket: u.Bucket, Key: u.Key, Upload: u.ID, Size: -1}
	for _, p := range parts {
		req.Parts = append(req.Parts, object.CompletePart{Number: p.Number, ETag: p.Digest.ETag})
	}
	return req
}

// complete finishes an upload of home.
func (f *fixture) complete(req object.CompleteRequest) object.Info {
	f.Helper()
	info, err := f.CompleteUpload(f.ctx, req)
	if err != nil {
		f.Fatalf("complete: %v", err)
	}
	return info
}

// wantNoUpload checks that an upload is gone.
func (f *fixture) wantNoUpload(u object.Upload) {
	f.Helper()
	_, err := f.Upload(f.ctx, u.Bucket, u.Key, u.ID)
	f.wantFault(err, fault.NotFound, fault.Upload)
	_, err = f.PutPart(f.ctx, object.PartRequest{
		Bucket: u.Bucket, Key: u.Key, Upload: u.ID, Number: 1, Content: Body([]byte("x")), Size: 1,
	})
	f.wantFault(err, fault.NotFound, fault.Upload)
	_, err = f.UploadParts(f.ctx, u.Bucket, u.Key, u.ID, 0, 10)
	f.wantFault(err, fault.NotFound, fault.Upload)
	f.wantFault(f.AbortUpload(f.ctx, u.Bucket, u.Key, u.ID), fault.NotFound, fault.Upload)
}

func uploadWhole(f *fixture) {
	f.newBucket(home, object.BucketConfig{})
	one, two, three := noise(1, object.MinPartSize), noise(2, 9<<20), noise(3, 77)
	whole := bytes.Join([][]byte{one, two, three}, nil)
	req := object.UploadRequest{Bucket: home, Key: "k", Meta: fullMeta(), Tags: []object.Tag{{Key: "a", Value: "b"}}}
	u := f.begin(req)
	third, first := f.part(u, 9000, three), f.part(u, 1, one) // in any order, with gaps
	second := f.part(u, 2, two)
	f.wantAbsent("k")
	f.wantUsage(home, 0, 0)
	info := f.complete(completion(u, first, second, third))
	var sums []byte
	for _, body := range [][]byte{one, two, three} {
		sum := md5.Sum(body) //nolint:gosec // see the import
		sums = append(sums, sum[:]...)
	}
	if want := object.ETag(fmt.Sprintf("%x-3", md5.Sum(sums))); info.Digest.ETag != want { //nolint:gosec // see the import
		f.Errorf("ETag %s, want %s", info.Digest.ETag, want)
	}
	if info.Parts != 3 || info.Size != int64(len(whole)) || info.Version == 0 {
		f.Errorf("completed as %+v", info)
	}
	if diff := cmp.Diff(req.Meta, info.Meta); diff != "" || len(info.Tags) != 1 {
		f.Errorf("tags %v, metadata (-want +got):\n%s", info.Tags, diff)
	}
	f.wantInfo(info, f.wantBody("k", whole))
	f.wantUsage(home, 1, int64(len(whole)))
	f.wantNoUpload(u)
	for _, first := range []int{0, object.MinPartSize - 1, object.MinPartSize, len(whole) - 78, len(whole) - 77} {
		f.wantRange("k", whole, object.Range{First: int64(first), Last: int64(first + 77)}, first, min(first+78, len(whole)))
	}
	f.delete("k")
	f.wantUsage(home, 0, 0)
}

func uploadDescribed(f *fixture) {
	f.newBucket(home, object.BucketConfig{})
	req := object.UploadRequest{
		Bucket: home, Key: "a/ü b", Meta: fullMeta(), Tags: []object.Tag{{Key: "a", Value: "b"}},
		Checksum: object.SHA256, Composite: true,
	}
	u := f.begin(req)
	want := object.Upload{
		Bucket: home, Key: req.Key, ID: u.ID, Initiated: u.Initiated, Meta: req.Meta, Tags: req.Tags,
		Checksum: object.SHA256, Composite: true,
	}
	if diff := cmp.Diff(want, u); diff != "" || u.Initiated.IsZero() {
		f.Errorf("begun as (-want +got):\n%s", diff)
	}
	if u.ID == "" || strings.ContainsAny(string(u.ID), "/+?&=% #") {
		f.Errorf("the id %q is not safe in a URL", u.ID)
	}
	got, err := f.Upload(f.ctx, home, req.Key, u.ID)
	if diff := cmp.Diff(u, got, cmpopts.EquateEmpty()); err != nil || diff != "" {
		f.Errorf("described otherwise: %v (-want +got):\n%s", err, diff)
	}
	_, err = f.Upload(f.ctx, home, req.Key, "nonsense")
	f.wantFault(err, fault.NotFound, fault.Upload)
	_, err = f.Upload(f.ctx, home, req.Key, "")
	f.wantFault(err, fault.NotFound, fault.Upload)
}

func partReplaced(f *fixture) {
	f.newBucket(home, object.BucketConfig{})
	u := f.begin(object.UploadRequest{Bucket: home, Key: "k"})
	old := f.part(u, 1, noise(1, 9<<20))
	if again := f.part(u, 1, noise(1, 9<<20)); again.Digest.ETag != old.Digest.ETag {
		f.Errorf("the same part again has another ETag: %s, %s", old.Digest.ETag, again.Digest.ETag)
	}
	replaced := f.part(u, 1, noise(2, 1000))
	_, err := f.CompleteUpload(f.ctx, completion(u, old))
	f.wantFault(err, fault.NotFound, fault.Part)
	f.wantAbsent("k")
	f.complete(completion(u, replaced))
	f.wantBody("k", noise(2, 1000))
	f.wantUsage(home, 1, 1000)
}

func partsListed(f *fixture) {
	f.newBucket(home, object.BucketConfig{})
	u := f.begin(object.UploadRequest{Bucket: home, Key: "k", Checksum: object.CRC32C})
	stored := map[int]object.Part{}
	for _, number := range []int{10000, 3, 1, 256, 255, 2, 300, 9} {
		stored[number] = f.part(u, number, noise(uint64(number), number%100+1))
	}
	numbers := []int{1, 2, 3, 9, 255, 256, 300, 10000}
	for _, limit := range []int{1, 3, 8, 1000} {
		after := 0
		var got []int
		for {
			page, err := f.UploadParts(f.ctx, home, "k", u.ID, after, limit)
			if err != nil || len(page) > limit {
				f.Fatalf("a page of %d parts of %d, %v", len(page), limit, err)
			}
			for _, p := range page {
				got = append(got, p.Number)
				if diff := cmp.Diff(stored[p.Number], p); diff != "" {
					f.Errorf("part %d (-want +got):\n%s", p.Number, diff)
				}
				after = p.Number
			}
			if len(page) == 0 {
				break
			}
		}
		if diff := cmp.Diff(numbers, got); diff != "" {
			f.Errorf("in pages of %d (-want +got):\n%s", limit, diff)
		}
	}
}

func uploadAborted(f *fixture) {
	f.newBucket(home, object.BucketConfig{})
	before := f.put("k", []byte("before"))
	u := f.begin(object.UploadRequest{Bucket: home, Key: "k"})
	p := f.part(u, 1, noise(1, 9<<20))
	if err := f.AbortUpload(f.ctx, home, "k", u.ID); err != nil {
		f.Fatal(err)
	}
	f.wantNoUpload(u)
	_, err := f.CompleteUpload(f.ctx, completion(u, p))
	f.wantFault(err, fault.NotFound, fault.Upload)
	f.wantInfo(before, f.wantBody("k", []byte("before")))
}

func uploadOfAnotherKey(f *fixture) {
	f.newBucket(home, object.BucketConfig{})
	f.newBucket("other", object.BucketConfig{})
	u := f.begin(object.UploadRequest{Bucket: home, Key: "k"})
	p := f.part(u, 1, []byte("x"))
	for _, stray := range []object.Upload{
		{Bucket: home, Key: "k2", ID: u.ID}, {Bucket: "other", Key: "k", ID: u.ID}, {Bucket: home, Key: "k", ID: u.ID + "x"},
	} {
		f.wantNoUpload(stray)
		_, err := f.CompleteUpload(f.ctx, completion(stray, p))
		f.wantFault(err, fault.NotFound, fault.Upload)
	}
	f.complete(completion(u, p))
	f.wantBody("k", []byte("x"))
}

func partCopied(f *fixture) {
	f.newBucket(home, object.BucketConfig{})
	body := noise(1, 9<<20)
	source := f.put("s", body)
	u := f.begin(object.UploadRequest{Bucket: home, Key: "k"})
	req := object.CopyPartRequest{
		SourceBucket: home, SourceKey: "s", SourceIf: ifTag(source.Digest.ETag),
		SourceRange: &object.Range{First: 100, Last: 100 + object.MinPartSize - 1},
		Bucket:      home, Key: "k", Upload: u.ID, Number: 1,
		Digest: func(r io.Reader) object.Content { return NewContent(r, object.NoChecksum) },
	}
	first, err := f.CopyPart(f.ctx, req)
	if err != nil {
		f.Fatal(err)
	}
	req.Number, req.SourceRange = 2, nil
	second, err := f.CopyPart(f.ctx, req)
	if err != nil {
		f.Fatal(err)
	}
	bad := req
	bad.Number, bad.SourceRange = 3, &object.Range{First: 0, Last: 9 << 20}
	_, err = f.CopyPart(f.ctx, bad)
	f.wantFault(err, fault.Invalid, fault.Range)
	bad = req
	bad.SourceKey, bad.SourceIf = "none", object.Precondition{}
	_, err = f.CopyPart(f.ctx, bad)
	f.wantFault(err, fault.NotFound, fault.Object)
	bad = req
	bad.SourceIf = ifTag("00000000000000000000000000000000")
	_, err = f.CopyPart(f.ctx, bad)
	f.wantFault(err, fault.Precondition, fault.Object)
	bad = req
	bad.Upload = "nonsense"
	_, err = f.CopyPart(f.ctx, bad)
	f.wantFault(err, fault.NotFound, fault.Upload)
	f.delete("s")
	info := f.complete(completion(u, first, second))
	f.wantInfo(info, f.wantBody("k", append(bytes.Clone(body[100:100+object.MinPartSize]), body...)))
}

func objectParts(f *fixture) {
	f.newBucket(home, object.BucketConfig{})
	u := f.begin(object.UploadRequest{Bucket: home, Key: "k", Checksum: object.CRC32, Composite: true})
	bodies := map[int][]byte{1: noise(1, object.MinPartSize), 3: noise(2, object.MinPartSize+9), 7: noise(3, 5)}
	parts := []object.Part{f.part(u, 1, bodies[1]), f.part(u, 3, bodies[3]), f.part(u, 7, bodies[7])}
	f.complete(completion(u, parts...))
	ignore := cmpopts.IgnoreFields(object.Digest{}, "MD5")
	got, err := f.ObjectParts(f.ctx, home, "k", 0, 1000)
	if diff := cmp.Diff(parts, got, ignore); err != nil || diff != "" {
		f.Errorf("%v (-want +got):\n%s", err, diff)
	}
	got, err = f.ObjectParts(f.ctx, home, "k", 1, 1)
	if diff := cmp.Diff(parts[1:2], got, ignore); err != nil || diff != "" {
		f.Errorf("one after 1: %v (-want +got):\n%s", err, diff)
	}
	var offset int64
	for _, p := range parts {
		r, body := f.read(object.GetRequest{Bucket: home, Key: "k", Part: p.Number})
		f.same(fmt.Sprint("part ", p.Number), bodies[p.Number], body)
		if r.Offset != offset || r.Length != p.Size {
			f.Errorf("part %d: offset %d, length %d; want %d, %d", p.Number, r.Offset, r.Length, offset, p.Size)
		}
		offset += p.Size
	}
	for _, absent := range []int{2, 8, 10000} {
		_, err = f.Get(f.ctx, object.GetRequest{Bucket: home, Key: "k", Part: absent})
		f.wantFault(err, fault.Invalid, fault.Range)
	}
	f.put("plain", []byte("x"))
	if got, err := f.ObjectParts(f.ctx, home, "plain", 0, 10); err != nil || len(got) != 0 {
		f.Errorf("a plain object has parts %v, %v", got, err)
	}
	f.put("k", []byte("plain again"))
	if got, err := f.ObjectParts(f.ctx, home, "k", 0, 10); err != nil || len(got) != 0 {
		f.Errorf("an overwritten object has parts %v, %v", got, err)
	}
}

func uploadsApart(f *fixture) {
	f.newBucket(home, object.BucketConfig{})
	one, two := f.begin(object.UploadRequest{Bucket: home, Key: "k"}), f.begin(object.UploadRequest{Bucket: home, Key: "k"})
	if one.ID == two.ID {
		f.Fatal("two uploads have one id")
	}
	first, second := f.part(one, 1, []byte("one")), f.part(two, 1, []byte("two"))
	f.put("k", []byte("put"))
	f.complete(completion(two, second))
	f.wantBody("k", []byte("two"))
	f.complete(completion(one, first))
	f.wantBody("k", []byte("one"))
	f.wantUsage(home, 1, 3)
}

func partRefused(f *fixture) {
	f.newBucket(home, object.BucketConfig{})
	u := f.begin(object.UploadRequest{Bucket: home, Key: "k"})
	p := f.part(u, 1, []byte("kept"))
	for _, size := range []int{10, 9 << 20} {
		_, err := f.PutPart(f.ctx, object.PartRequest{
			Bucket: home, Key: "k", Upload: u.ID, Number: 1, Size: int64(size),
			Content: &refusing{Content: Body(noise(2, size))},
		})
		f.wantFault(err, fault.Invalid, fault.Digest)
	}
	f.complete(completion(u, p))
	f.wantBody("k", []byte("kept"))
}
