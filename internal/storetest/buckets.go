package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/google/go-cmp/cmp"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/object"
)

func bucketCases() []testCase {
	return []testCase{
		{"created, described and listed by name", createAndList},
		{"a name is taken once", createTwice},
		{"a missing bucket comes before all else", missingBucket},
		{"a configuration changes whole or not at all", updateBucket},
		{"changes do not overwrite each other", updateRace},
		{"what is returned is the caller's", bucketAliasing},
		{"only an empty one is deleted", deleteBucket},
		{"a second life knows nothing of the first", secondLife},
		{"many compete for a name", createRace},
		{"usage is exact", usage},
	}
}

func createAndList(f *fixture) {
	config := object.BucketConfig{
		Cache: true, Quota: 1 << 40, Policy: []byte(`{"Version":"2012-10-17"}`),
		Tags: []object.Tag{{Key: "team", Value: "build"}, {Key: "", Value: ""}},
	}
	created := map[object.BucketName]object.Bucket{}
	for _, name := range []object.BucketName{"b.2", "zzz", "a-1", "b-2", "000"} {
		b := f.newBucket(name, config)
		if b.Name != name || b.Created.IsZero() || b.Incarnation == 0 {
			f.Errorf("created as %+v", b)
		}
		if diff := cmp.Diff(config, b.Config); diff != "" {
			f.Errorf("configuration of %s (-want +got):\n%s", name, diff)
		}
		created[name] = b
	}
	all, err := f.ListBuckets(f.ctx)
	if err != nil {
		f.Fatal(err)
	}
	var names []object.BucketName
	for _, b := range all {
		names = append(names, b.Name)
		if diff := cmp.Diff(created[b.Name], b); diff != "" {
			f.Errorf("%s is listed otherwise than it was created (-want +got):\n%s", b.Name, diff)
		}
		one, err := f.Bucket(f.ctx, b.Name)
		if diff := cmp.Diff(b, one); err != nil || diff != "" {
			f.Errorf("%s is described otherwise than it is listed: %v (-want +got):\n%s", b.Name, err, diff)
		}
	}
	if want := []object.BucketName{"000", "a-1", "b-2", "b.2", "zzz"}; !slices.Equal(names, want) {
		f.Errorf("listed as %v, want %v", names, want)
	}
}

func createTwice(f *fixture) {
	first := f.newBucket(home, object.BucketConfig{Quota: 5})
	_, err := f.CreateBucket(f.ctx, home, object.BucketConfig{Quota: 7})
	f.wantFault(err, fault.Exists, fault.Bucket)
	got, err := f.Bucket(f.ctx, home)
	if diff := cmp.Diff(first, got); err != nil || diff != "" {
		f.Errorf("the refused creation changed the bucket: %v\n%s", err, diff)
	}
}

func missingBucket(f *fixture) {
	const none object.BucketName = "none"
	ctx, calls := f.ctx, map[string]func() error{}
	calls["Bucket"] = func() error { _, err := f.Bucket(ctx, none); return err }
	calls["UpdateBucket"] = func() error {
		_, err := f.UpdateBucket(ctx, none, func(*object.BucketConfig) error { return nil })
		return err
	}
	calls["DeleteBucket"] = func() error { return f.DeleteBucket(ctx, none) }
	calls["Usage"] = func() error { _, err := f.Usage(ctx, none); return err }
	calls["Head"] = func() error { _, err := f.Head(ctx, none, "k"); return err }
	calls["Get"] = func() error { _, err := f.Get(ctx, object.GetRequest{Bucket: none, Key: "k"}); return err }
	calls["Put"] = func() error {
		_, err := f.Put(ctx, object.PutRequest{Bucket: none, Key: "k", Content: Body([]byte("x")), Size: 1})
		return err
	}
	calls["Delete"] = func() error { return f.Delete(ctx, object.DeleteRequest{Bucket: none, Key: "k"}) }
	calls["SetTags"] = func() error { return f.SetTags(ctx, none, "k", nil) }
	calls["List"] = func() error { _, err := f.List(ctx, object.ListRequest{Bucket: none, Max: 1}); return err }
	calls["ObjectParts"] = func() error { _, err := f.ObjectParts(ctx, none, "k", 0, 1); return err }
	calls["Copy from"] = func() error {
		_, err := f.Copy(ctx, object.CopyRequest{SourceBucket: none, SourceKey: "k", Bucket: home, Key: "k"})
		return err
	}
	calls["Copy to"] = func() error {
		_, err := f.Copy(ctx, object.CopyRequest{SourceBucket: home, SourceKey: "source", Bucket: none, Key: "k"})
		return err
	}
	calls["CreateUpload"] = func() error {
		_, err := f.CreateUpload(ctx, object.UploadRequest{Bucket: none, Key: "k"})
		return err
	}
	calls["Upload"] = func() error { _, err := f.Upload(ctx, none, "k", "u"); return err }
	calls["PutPart"] = func() error {
		_, err := f.PutPart(ctx, object.PartRequest{Bucket: none, Key: "k", Upload: "u", Number: 1, Content: Body(nil)})
		return err
	}
	calls["CompleteUpload"] = func() error {
		_, err := f.CompleteUpload(ctx, object.CompleteRequest{Bucket: none, Key: "k", Upload: "u", Size: -1})
		return err
	}
	calls["AbortUpload"] = func() error { return f.AbortUpload(ctx, none, "k", "u") }
	calls["UploadParts"] = func() error { _, err := f.UploadParts(ctx, none, "k", "u", 0, 1); return err }
	calls["ListUploads"] = func() error {
		_, err := f.ListUploads(ctx, object.UploadListRequest{Bucket: none, Max: 1})
		return err
	}
	f.newBucket(home, object.BucketConfig{})
	f.put("source", []byte("x"))
	for name, call := range calls {
		if err := call(); !errors.Is(err, fault.NotFound) || fault.As(err).Noun != fault.Bucket {
			f.Errorf("%s: got %v, want a missing bucket", name, err)
		}
	}
}

func updateBucket(f *fixture) {
	before := f.newBucket(home, object.BucketConfig{Quota: 10, Policy: []byte("old")})
	after, err := f.UpdateBucket(f.ctx, home, func(c *object.BucketConfig) error {
		if c.Quota != 10 || string(c.Policy) != "old" {
			f.Errorf("the change is shown %+v", *c)
		}
		c.Cache, c.Policy = true, []byte("new")
		c.Tags = append(c.Tags, object.Tag{Key: "a", Value: "b"})
		return nil
	})
	want := before
	want.Config = object.BucketConfig{Cache: true, Quota: 10, Policy: []byte("new"), Tags: []object.Tag{{Key: "a", Value: "b"}}}
	if diff := cmp.Diff(want, after); err != nil || diff != "" {
		f.Fatalf("update: %v (-want +got):\n%s", err, diff)
	}
	refusal := errors.New("no")
	_, err = f.UpdateBucket(f.ctx, home, func(c *object.BucketConfig) error {
		c.Quota = 99
		c.Policy[0], c.Tags[0].Value = 'X', "changed"
		return refusal
	})
	if !errors.Is(err, refusal) {
		f.Errorf("got %v, want the change's own error", err)
	}
	got, err := f.Bucket(f.ctx, home)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		f.Errorf("the refused change left a trace: %v (-want +got):\n%s", err, diff)
	}
}

func updateRace(f *fixture) {
	const writers, rounds = 8, 8
	f.newBucket(home, object.BucketConfig{})
	var group sync.WaitGroup
	for range writers {
		group.Go(func() {
			for range rounds {
				_, err := f.UpdateBucket(f.ctx, home, func(c *object.BucketConfig) error { c.Quota++; return nil })
				if err != nil {
					f.Errorf("update: %v", err)
				}
			}
		})
	}
	group.Wait()
	if got, err := f.Bucket(f.ctx, home); err != nil || got.Config.Quota != writers*rounds {
		f.Errorf("got %d, %v after %d increments", got.Config.Quota, err, writers*rounds)
	}
}

func bucketAliasing(f *fixture) {
	config := object.BucketConfig{Policy: []byte("kept"), Tags: []object.Tag{{Key: "k", Value: "kept"}}}
	created := f.newBucket(home, config)
	config.Policy[0], config.Tags[0].Value = 'X', "X"
	created.Config.Policy[1], created.Config.Tags[0].Key = 'X', "X"
	got, err := f.Bucket(f.ctx, home)
	if err != nil || string(got.Config.Policy) != "kept" || got.Config.Tags[0] != (object.Tag{Key: "k", Value: "kept"}) {
		f.Errorf("got %+v, %v: the store shares memory with its caller", got.Config, err)
	}
}

func deleteBucket(f *fixture) {
	f.newBucket(home, object.BucketConfig{})
	f.put("k", []byte("x"))
	f.wantFault(f.DeleteBucket(f.ctx, home), fault.Conflict, fault.Bucket)
	f.wantBody("k", []byte("x"))
	f.delete("k")
	upload, err := f.CreateUpload(f.ctx, object.UploadRequest{Bucket: home, Key: "k"})
	if err != nil {
		f.Fatal(err)
	}
	if err := f.DeleteBucket(f.ctx, home); err != nil {
		f.Fatalf("delete an empty bucket: %v", err)
	}
	_, err = f.Upload(f.ctx, home, "k", upload.ID)
	f.wantFault(err, fault.NotFound, fault.Bucket)
	if all, err := f.ListBuckets(f.ctx); err != nil || len(all) != 0 {
		f.Errorf("listed: %v, %v", all, err)
	}
}

func secondLife(f *fixture) {
	seen := map[uint64]bool{}
	var upload object.Upload
	for life := range 3 {
		b := f.newBucket(home, object.BucketConfig{Quota: int64(100 + life)})
		if seen[b.Incarnation] || b.Config.Quota != int64(100+life) {
			f.Errorf("life %d is %+v", life, b)
		}
		seen[b.Incarnation] = true
		f.wantAbsent("k")
		f.wantUsage(home, 0, 0)
		if life > 0 {
			_, err := f.Upload(f.ctx, home, "k", upload.ID)
			f.wantFault(err, fault.NotFound, fault.Upload)
		}
		var err error
		if upload, err = f.CreateUpload(f.ctx, object.UploadRequest{Bucket: home, Key: "k"}); err != nil {
			f.Fatal(err)
		}
		page, err := f.ListUploads(f.ctx, object.UploadListRequest{Bucket: home, Max: 10})
		if err != nil || len(page.Entries) != 1 {
			f.Errorf("life %d lists %d uploads, %v; want its own alone", life, len(page.Entries), err)
		}
		f.put("k", fmt.Appendf(nil, "life %d", life))
		f.delete("k")
		if err := f.DeleteBucket(f.ctx, home); err != nil {
			f.Fatal(err)
		}
	}
}

func createRace(f *fixture) {
	const rivals = 16
	won := make([]error, rivals)
	var group sync.WaitGroup
	for i := range rivals {
		group.Go(func() {
			_, won[i] = f.CreateBucket(context.WithoutCancel(f.ctx), home, object.BucketConfig{Quota: int64(i + 1)})
		})
	}
	group.Wait()
	winner := slices.Index(won, nil)
	for i, err := range won {
		if i != winner {
			f.wantFault(err, fault.Exists, fault.Bucket)
		}
	}
	if got, err := f.Bucket(f.ctx, home); err != nil || winner < 0 || got.Config.Quota != int64(winner+1) {
		f.Errorf("rival %d won, and the bucket is %+v, %v", winner, got, err)
	}
}

func usage(f *fixture) {
	f.newBucket(home, object.BucketConfig{})
	f.newBucket("other", object.BucketConfig{})
	f.wantUsage(home, 0, 0)
	f.put("a", noise(1, 1000))
	f.put("b", noise(2, 70_000))
	f.put("empty", nil)
	f.wantUsage(home, 3, 71_000)
	f.put("a", noise(3, 10)) // smaller
	f.put("b", noise(4, 70_001))
	f.wantUsage(home, 3, 70_011)
	if err := f.SetTags(f.ctx, home, "a", []object.Tag{{Key: "k", Value: "v"}}); err != nil {
		f.Fatal(err)
	}
	if _, err := f.Copy(f.ctx, object.CopyRequest{SourceBucket: home, SourceKey: "b", Bucket: home, Key: "c"}); err != nil {
		f.Fatal(err)
	}
	f.wantUsage(home, 4, 140_012)
	f.delete("b")
	f.delete("b")
	f.delete("never")
	f.wantUsage(home, 3, 70_011)
	f.wantUsage("other", 0, 0)
}
