package storetest

import (
	"io"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/object"
)

func copyCases() []testCase {
	return []testCase{
		{"a copy is an object of its own", copyObject},
		{"onto itself, to change what is known", copyOntoItself},
		{"with another checksum", copyRehashed},
		{"under preconditions of both sides", copyConditions},
		{"of what is not there", copyMissing},
		{"of a large object", copyLarge},
	}
}

func copyObject(f *fixture) {
	f.newBucket(home, object.BucketConfig{})
	f.newBucket("source", object.BucketConfig{})
	body := noise(1, 46_000)
	tags := []object.Tag{{Key: "a", Value: "b"}}
	source := f.putWith(object.PutRequest{Bucket: "source", Key: "s", Content: Body(body), Size: 46_000, Meta: fullMeta(), Tags: tags})
	info, err := f.Copy(f.ctx, object.CopyRequest{SourceBucket: "source", SourceKey: "s", Bucket: home, Key: "k"})
	if err != nil {
		f.Fatal(err)
	}
	if info.Bucket != home || info.Key != "k" || info.Version <= source.Version {
		f.Errorf("copied as %+v", info)
	}
	want := source
	want.Bucket, want.Key, want.Version, want.Modified = home, "k", info.Version, info.Modified
	f.wantInfo(want, info)
	f.wantInfo(info, f.wantBody("k", body))
	if err := f.Delete(f.ctx, object.DeleteRequest{Bucket: "source", Key: "s"}); err != nil {
		f.Fatal(err)
	}
	if err := f.DeleteBucket(f.ctx, "source"); err != nil {
		f.Fatal(err)
	}
	f.wantInfo(info, f.wantBody("k", body))
	none := []object.Tag{}
	meta := object.Meta{ContentType: "x/y"}
	if info, err = f.Copy(f.ctx, object.CopyRequest{
		SourceBucket: home, SourceKey: "k", Bucket: home, Key: "k2", Meta: &meta, Tags: &none,
	}); err != nil {
		f.Fatal(err)
	}
	if diff := cmp.Diff(meta, info.Meta); diff != "" || len(info.Tags) != 0 {
		f.Errorf("replaced: tags %v, metadata (-want +got):\n%s", info.Tags, diff)
	}
	f.wantInfo(info, f.wantBody("k2", body))
}

func copyOntoItself(f *fixture) {
	f.newBucket(home, object.BucketConfig{})
	for _, size := range []int{0, 100, 100_000} {
		body := noise(1, size)
		before := f.put("k", body)
		meta := fullMeta()
		after, err := f.Copy(f.ctx, object.CopyRequest{SourceBucket: home, SourceKey: "k", Bucket: home, Key: "k", Meta: &meta})
		if err != nil {
			f.Fatal(err)
		}
		want := before
		want.Meta, want.Version, want.Modified = meta, after.Version, after.Modified
		f.wantInfo(want, after)
		f.wantInfo(after, f.wantBody("k", body))
		f.wantUsage(home, 1, int64(size))
	}
}

func copyRehashed(f *fixture) {
	f.newBucket(home, object.BucketConfig{})
	body := noise(1, 100_000)
	f.put("k", body)
	info, err := f.Copy(f.ctx, object.CopyRequest{
		SourceBucket: home, SourceKey: "k", Bucket: home, Key: "k2",
		Digest: func(r io.Reader) object.Content { return NewContent(r, object.SHA256) },
	})
	if err != nil {
		f.Fatal(err)
	}
	h := object.SHA256.NewHash()
	h.Write(body)
	if diff := cmp.Diff(object.Checksum{Algorithm: object.SHA256, Value: h.Sum(nil)}, info.Digest.Checksum); diff != "" {
		f.Errorf("checksum (-want +got):\n%s", diff)
	}
	f.wantInfo(info, f.wantBody("k2", body))
}

func copyConditions(f *fixture) {
	f.newBucket(home, object.BucketConfig{})
	source := f.put("s", []byte("source"))
	target := f.put("k", []byte("target"))
	copyIf := func(sourceIf, targetIf object.Precondition) error {
		_, err := f.Copy(f.ctx, object.CopyRequest{
			SourceBucket: home, SourceKey: "s", SourceIf: sourceIf, Bucket: home, Key: "k", If: targetIf,
		})
		return err
	}
	if err := copyIf(ifTag(target.Digest.ETag), object.Precondition{}); fault.KindOf(err) != fault.Precondition {
		f.Errorf("source If-Match: %v", err)
	}
	switch err := copyIf(object.Precondition{IfNoneMatch: []object.ETag{source.Digest.ETag}}, object.Precondition{}); fault.KindOf(err) {
	case fault.Precondition, fault.NotModified:
	default:
		f.Errorf("source If-None-Match: %v", err)
	}
	if f.Caps().CreateOnce {
		if err := copyIf(object.Precondition{}, ifNone()); fault.KindOf(err) != fault.Precondition {
			f.Errorf("target If-None-Match: %v", err)
		}
	}
	f.wantInfo(target, f.wantBody("k", []byte("target")))
	if err := copyIf(ifTag(source.Digest.ETag), object.Precondition{}); err != nil {
		f.Error(err)
	}
	f.wantBody("k", []byte("source"))
}

func copyMissing(f *fixture) {
	f.newBucket(home, object.BucketConfig{})
	_, err := f.Copy(f.ctx, object.CopyRequest{SourceBucket: home, SourceKey: "none", Bucket: home, Key: "k"})
	f.wantFault(err, fault.NotFound, fault.Object)
	f.wantAbsent("k")
}

func copyLarge(f *fixture) {
	f.newBucket(home, object.BucketConfig{})
	body := noise(5, 17<<20+3)
	f.put("s", body)
	info, err := f.Copy(f.ctx, object.CopyRequest{SourceBucket: home, SourceKey: "s", Bucket: home, Key: "k"})
	if err != nil {
		f.Fatal(err)
	}
	f.delete("s")
	f.wantInfo(info, f.wantBody("k", body))
	f.wantRange("k", body, object.Range{First: 8<<20 - 1, Last: 8 << 20}, 8<<20-1, 8<<20+1)
}
