package storetest

import (
	"bytes"
	"context"
	"errors"
	"io"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/object"
)

func failureCases() []testCase {
	return []testCase{
		{"a refused body leaves nothing", bodyRefused},
		{"a broken body leaves nothing", bodyBroken},
		{"a body of another length is not stored as if whole", bodyLength},
		{"a context that has ended", contextEnded},
		{"a context that ends during a body", contextEnds},
	}
}

// refusing is a body whose check fails at its very end.
type refusing struct{ object.Content }

func (r *refusing) Read(p []byte) (int, error) {
	n, err := r.Content.Read(p)
	if errors.Is(err, io.EOF) {
		err = fault.New(fault.Invalid, fault.Digest, "body")
	}
	return n, err
}

func bodyRefused(f *fixture) {
	f.newBucket(home, object.BucketConfig{})
	before := f.put("old", []byte("before"))
	for _, size := range []int{0, 10, 16 << 10, 70_000, 8 << 20, 17 << 20} {
		for _, key := range []object.Key{"new", "old"} {
			for _, announced := range []int64{int64(size), -1} {
				_, err := f.Put(f.ctx, object.PutRequest{
					Bucket: home, Key: key, Size: announced, Content: &refusing{Content: Body(noise(1, size))},
				})
				f.wantFault(err, fault.Invalid, fault.Digest)
			}
		}
		f.wantAbsent("new")
		f.wantInfo(before, f.wantBody("old", []byte("before")))
		f.wantUsage(home, 1, before.Size)
	}
}

var errBroken = errors.New("the sender went away")

func bodyBroken(f *fixture) {
	f.newBucket(home, object.BucketConfig{})
	before := f.put("old", []byte("before"))
	for _, size := range []int{0, 10, 70_000, 9 << 20} {
		for _, key := range []object.Key{"new", "old"} {
			broken := io.MultiReader(bytes.NewReader(noise(1, size)), errorReader{})
			_, err := f.Put(f.ctx, object.PutRequest{
				Bucket: home, Key: key, Size: 20 << 20, Content: NewContent(broken, object.NoChecksum),
			})
			if !errors.Is(err, errBroken) {
				f.Errorf("got %v, want the body's own error", err)
			}
		}
		f.wantAbsent("new")
		f.wantInfo(before, f.wantBody("old", []byte("before")))
	}
	f.wantUsage(home, 1, before.Size)
}

type errorReader struct{}

func (errorReader) Read([]byte) (int, error) { return 0, errBroken }

// bodyLength: a Content that breaks its promise may be refused, and may be taken
// at its bytes; what it may not do is pass for what was announced.
func bodyLength(f *fixture) {
	f.newBucket(home, object.BucketConfig{})
	body := noise(1, 70_000)
	for _, announced := range []int64{69_999, 70_001, 0, 9 << 20} {
		_, err := f.Put(f.ctx, object.PutRequest{Bucket: home, Key: "k", Size: announced, Content: Body(body)})
		if err != nil {
			f.wantAbsent("k")
			continue
		}
		f.wantBody("k", body)
		f.delete("k")
	}
}

func contextEnded(f *fixture) {
	f.newBucket(home, object.BucketConfig{})
	f.put("old", []byte("before"))
	ctx, cancel := context.WithCancel(f.ctx)
	cancel()
	_, err := f.Put(ctx, object.PutRequest{Bucket: home, Key: "new", Content: Body([]byte("x")), Size: 1})
	f.wholeOrAbsent("new", []byte("x"), err)
	if err := f.Delete(ctx, object.DeleteRequest{Bucket: home, Key: "old"}); err == nil {
		f.wantAbsent("old")
	} else if _, headErr := f.Head(f.ctx, home, "old"); headErr == nil {
		f.wantBody("old", []byte("before"))
	}
	u := f.begin(object.UploadRequest{Bucket: home, Key: "upload"})
	req := completion(u, f.part(u, 1, []byte("x")))
	_, err = f.CompleteUpload(ctx, req)
	f.wholeOrAbsent("upload", []byte("x"), err)
	f.complete(req) // either again or for the first time
	f.wantBody("upload", []byte("x"))
}

// wholeOrAbsent checks what a write under an ended context left.
func (f *fixture) wholeOrAbsent(key object.Key, body []byte, err error) {
	f.Helper()
	if err == nil {
		f.wantBody(key, body)
		return
	}
	if _, headErr := f.Head(f.ctx, home, key); headErr == nil {
		f.wantBody(key, body)
		return
	}
	f.wantAbsent(key)
}

// ending is a body that ends its own context on the way.
type ending struct {
	object.Content
	cancel context.CancelFunc
	left   int // bytes until then
}

func (e *ending) Read(p []byte) (int, error) {
	n, err := e.Content.Read(p)
	if e.left -= n; e.left <= 0 {
		e.cancel()
	}
	return n, err
}

func contextEnds(f *fixture) {
	f.newBucket(home, object.BucketConfig{})
	body := noise(1, 9<<20+5)
	for _, at := range []int{1, 100_000, 8 << 20, len(body)} {
		ctx, cancel := context.WithCancel(f.ctx)
		_, err := f.Put(ctx, object.PutRequest{
			Bucket: home, Key: "k", Size: int64(len(body)), Content: &ending{Content: Body(body), cancel: cancel, left: at},
		})
		cancel()
		f.wholeOrAbsent("k", body, err)
		f.delete("k")
	}
	f.wantUsage(home, 0, 0)
}
