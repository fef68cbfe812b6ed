package local_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/object"
)

// world is a machine in use: every write goes through the ledger.
type world struct {
	*machine
	ledger *ledger
	bodies *bodies
	ctx    context.Context //nolint:containedctx // the test's own
	errs   []error         // answers that are wrong whatever the disk does
	mu     sync.Mutex      // guards errs
}

func (w *world) wrong(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.errs = append(w.errs, err)
}

// verdict turns a write's error into what is known of it. A store that gave up
// is a crash: its last answers say nothing.
func (w *world) verdict(err error) outcome {
	switch {
	case err == nil:
		return acknowledged
	case w.broken():
		return unknown
	}
	return refused
}

// broken reports whether the store takes no writes any more, for another reason
// than a full disk.
func (w *world) broken() bool {
	probe := w.bodies.of(0, 1)
	for range 2 {
		_, err := w.store.Put(w.ctx, object.PutRequest{Bucket: "probe", Key: "probe", Content: probe.content(), Size: 1})
		if err == nil || errors.Is(err, fault.Full) {
			return false
		}
	}
	return true
}

func (w *world) put(key object.Key, size int, condition object.Precondition) error {
	b := w.bodies.of(uint64(len(key))*1000003+uint64(size), size)
	settle := w.ledger.attempt(objectName+string(key), &state{body: b, etag: b.digest.ETag})
	_, err := w.store.Put(w.ctx, object.PutRequest{
		Bucket: home, Key: key, Content: b.content(), Size: int64(size), If: condition,
	})
	settle(w.verdict(err))
	return err
}

func (w *world) delete(key object.Key) error {
	settle := w.ledger.attempt(objectName+string(key), nil)
	err := w.store.Delete(w.ctx, object.DeleteRequest{Bucket: home, Key: key})
	settle(w.verdict(err))
	return err
}

func (w *world) copy(from, to object.Key) error {
	source, known := w.ledger.sure(objectName + string(from))
	if !known || source == nil {
		return nil
	}
	settle := w.ledger.attempt(objectName+string(to), source)
	_, err := w.store.Copy(w.ctx, object.CopyRequest{SourceBucket: home, SourceKey: from, Bucket: home, Key: to})
	settle(w.verdict(err))
	return err
}

func (w *world) tag(key object.Key, n int) error {
	old, known := w.ledger.sure(objectName + string(key))
	if !known || old == nil {
		return nil
	}
	next := *old
	next.tags = n
	tags := make([]object.Tag, n)
	for i := range tags {
		tags[i] = object.Tag{Key: fmt.Sprint(i), Value: "v"}
	}
	settle := w.ledger.attempt(objectName+string(key), &next)
	err := w.store.SetTags(w.ctx, home, key, tags)
	settle(w.verdict(err))
	return err
}

// get reads a key and compares it with the ledger if that is sure. An error is
// right only where the disk may have failed.
func (w *world) get(key object.Key) {
	want, known := w.ledger.sure(objectName + string(key))
	r, err := w.store.Get(w.ctx, object.GetRequest{Bucket: home, Key: key})
	if err != nil {
		if known && want != nil && errors.Is(err, fault.NotFound) {
			w.wrong(fmt.Errorf("get %s: %w, and it is %v", key, err, want))
		}
		return
	}
	data, err := io.ReadAll(r.Body)
	_ = r.Body.Close()
	if err != nil || !known {
		return
	}
	if found := (&state{body: &body{data: data}, etag: r.Info.Digest.ETag, tags: len(r.Info.Tags)}); !want.equal(found) {
		w.wrong(fmt.Errorf("get %s: %v, want %v", key, found, want))
	}
}

func (w *world) append(name string) error {
	old, known := w.ledger.sure(logName + name)
	if !known {
		return nil
	}
	gen := uint64(1)
	if old != nil {
		gen = old.gen + 1
	}
	settle := w.ledger.attempt(logName+name, &state{gen: gen})
	err := w.store.Log(name).Append(w.ctx, gen, document(gen))
	settle(w.verdict(err))
	return err
}

func (w *world) setQuota(n uint64) error {
	settle := w.ledger.attempt(quota, &state{gen: n})
	_, err := w.store.UpdateBucket(w.ctx, home, func(c *object.BucketConfig) error { c.Quota = int64(n); return nil })
	settle(w.verdict(err))
	return err
}

// begin starts an upload, "" on error.
func (w *world) begin() object.UploadID {
	u, err := w.store.CreateUpload(w.ctx, object.UploadRequest{Bucket: home, Key: uploadKey})
	if err != nil {
		return ""
	}
	w.ledger.attempt(uploadName+string(u.ID), &state{})(acknowledged)
	return u.ID
}

func (w *world) part(id object.UploadID, number, size int) (object.Part, error) {
	b := w.bodies.of(uint64(number), size)
	settle := w.ledger.attempt(fmt.Sprint(partName, id, "/", number), &state{body: b, etag: b.digest.ETag})
	p, err := w.store.PutPart(w.ctx, object.PartRequest{
		Bucket: home, Key: uploadKey, Upload: id, Number: number, Content: b.content(), Size: int64(size),
	})
	settle(w.verdict(err))
	return p, err
}

func (w *world) complete(id object.UploadID, parts ...object.Part) error {
	req := object.CompleteRequest{Bucket: home, Key: uploadKey, Upload: id, Size: -1}
	whole := &body{}
	for _, p := range parts {
		req.Parts = append(req.Parts, object.CompletePart{Number: p.Number, ETag: p.Digest.ETag})
		if s, known := w.ledger.sure(fmt.Sprint(partName, id, "/", p.Number)); known && s != nil {
			whole.data = append(whole.data, s.body.data...)
		}
	}
	digest, err := object.Combine(parts, object.NoChecksum, false)
	if err != nil {
		return err
	}
	object, upload := w.ledger.attempt(objectName+string(uploadKey), &state{body: whole, etag: digest.ETag}),
		w.ledger.attempt(uploadName+string(id), nil)
	_, err = w.store.CompleteUpload(w.ctx, req)
	o := w.verdict(err)
	object(o)
	upload(o)
	return err
}

func (w *world) abort(id object.UploadID) error {
	settle := w.ledger.attempt(uploadName+string(id), nil)
	err := w.store.AbortUpload(w.ctx, home, uploadKey, id)
	settle(w.verdict(err))
	return err
}

// key returns one of the workload's keys: long and short, nested, beside one
// another in order.
func key(n int) object.Key {
	if n%10 == 3 {
		return object.Key(fmt.Sprintf("dir%d/%0200d", n%7, n))
	}
	return object.Key(fmt.Sprintf("k%03d", n))
}

// phase is a stretch of the workload between two starts of the store.
type phase struct {
	name string
	run  func(w *world)
}

// thin reports whether the n-th operation may be left out: a large body is the
// same thing many times over.
func (p phase) thin(n int64) bool {
	return p.name == "large" && n%16 != 0 || testing.Short() && n%7 != 0
}

// phases cross all that a store does: small and large bodies, overwrites,
// deletes, multipart, logs, settings, segment roll, index flush, compaction,
// punching, a full disk, and the starts between them.
func phases() []phase {
	return []phase{
		{"small", smallPhase},
		{"mixed", mixedPhase},
		{"multipart", multipartPhase},
		{"compaction", compactionPhase},
		{"concurrent", concurrentPhase},
		{"full", fullPhase},
		{"large", largePhase},
	}
}

func smallPhase(w *world) {
	random := rand.New(rand.NewPCG(1, 1))
	for i := range 110 {
		_ = w.put(key(i%60), random.IntN(3000), object.Precondition{})
		if i%7 == 6 {
			_ = w.delete(key(i % 40))
		}
		if i%9 == 8 {
			_ = w.put(key(i%60), random.IntN(100), object.Precondition{IfNoneMatch: []object.ETag{object.AnyETag}})
		}
		w.get(key(i % 60))
	}
	_ = w.append("iam")
	_ = w.setQuota(1 << 40)
}

func mixedPhase(w *world) {
	sizes := []int{0, 1, 4096, 16 << 10, 20_000, 40_000, 64<<10 + 1, 150_000}
	for i := range 60 {
		_ = w.put(key(i%50), sizes[i%len(sizes)], object.Precondition{})
		switch i % 6 {
		case 1:
			_ = w.copy(key(i%50), key(100+i%10))
		case 3:
			_ = w.tag(key(i%50), i%4)
		case 5:
			_ = w.delete(key((i - 2) % 50))
		}
	}
	for range 4 {
		_ = w.append("iam")
		_ = w.append("settings")
	}
	_ = w.maintain()
}

func multipartPhase(w *world) {
	for round := range 3 {
		id := w.begin()
		if id == "" {
			continue
		}
		one, err1 := w.part(id, 1, 70_000+round)
		_, err2 := w.part(id, 2, 100)
		if round == 1 {
			_ = w.abort(id)
			continue
		}
		if one2, err := w.part(id, 1, 1000+round); err == nil && err2 == nil {
			one, err1 = one2, nil
		}
		if err1 == nil && round == 0 {
			_ = w.complete(id, one)
			w.get(uploadKey)
		}
	}
	for i := range 30 {
		_ = w.put(key(i), 500+i, object.Precondition{})
	}
	_ = w.delete(uploadKey)
}

// largePhase is an object of two parts, the first as small as S3 lets it be. It
// is the last phase, since what it stores makes every check of a store slow.
func largePhase(w *world) {
	id := w.begin()
	if big, err := w.part(id, 1, object.MinPartSize); err == nil {
		if tail, err := w.part(id, 5, 33_000); err == nil {
			_ = w.complete(id, big, tail)
		}
	}
}

func compactionPhase(w *world) {
	for i := range 45 {
		_ = w.delete(key(i))
		if i%3 == 0 {
			_ = w.put(key(i), 18_000, object.Precondition{})
		}
	}
	_ = w.maintain()
	for i := range 30 {
		w.get(key(i))
		_ = w.put(key(i), 17_000+i, object.Precondition{})
	}
	_ = w.maintain()
	_ = w.maintain()
}

func concurrentPhase(w *world) {
	var group sync.WaitGroup
	for worker := range 4 {
		group.Go(func() {
			for i := range 25 {
				k := key(200 + worker*10 + i%10)
				_ = w.put(k, 100*worker+i*300, object.Precondition{})
				if i%5 == 4 {
					_ = w.delete(k)
				}
				w.get(k)
			}
		})
	}
	group.Go(func() { _ = w.maintain() })
	group.Wait()
}

func fullPhase(w *world) {
	for i := range 20 {
		_ = w.put(key(i), 2000, object.Precondition{})
	}
	w.full.Store(true)
	for i := range 6 {
		if err := w.put(key(i), 5000, object.Precondition{}); err == nil {
			w.wrong(errors.New("a full disk took a write"))
		}
		w.get(key(i))
	}
	w.full.Store(false)
	for i := range 40 {
		_ = w.put(key(i), 3000, object.Precondition{})
		if i%8 == 7 {
			_ = w.delete(key(i - 3))
		}
	}
	_ = w.maintain()
}
