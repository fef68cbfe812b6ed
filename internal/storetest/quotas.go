package storetest

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/object"
)

func quotaCases() []testCase {
	return []testCase{
		{"is exact to the byte", quotaExact},
		{"is exact whatever runs at once", quotaRace},
		{"overwrites at once count once", quotaOverwriteRace},
		{"is exact for puts, copies, uploads, deletions and failures at once", quotaMixedRace},
		{"counts uploads when they are completed", quotaUploads},
		{"the check file is always taken", quotaCheckFile},
		{"changes with the configuration", quotaChanges},
	}
}

// tryPut stores size bytes under a key of home.
func (f *fixture) tryPut(key object.Key, size int) error {
	_, err := f.Put(f.ctx, object.PutRequest{Bucket: home, Key: key, Content: Body(noise(1, size)), Size: int64(size)})
	return err
}

func quotaExact(f *fixture) {
	f.newBucket(home, object.BucketConfig{Quota: 100_000})
	f.put("a", noise(1, 60_000))
	f.wantFault(f.tryPut("b", 40_001), fault.Full, fault.Quota)
	f.wantAbsent("b")
	f.wantUsage(home, 1, 60_000)
	f.put("b", noise(1, 40_000))
	f.wantFault(f.tryPut("c", 1), fault.Full, fault.Quota)
	f.put("c", nil) // nothing needs no room
	f.put("a", noise(2, 60_000))
	f.wantFault(f.tryPut("a", 60_001), fault.Full, fault.Quota)
	f.wantBody("a", noise(2, 60_000))
	_, err := f.Copy(f.ctx, object.CopyRequest{SourceBucket: home, SourceKey: "a", Bucket: home, Key: "d"})
	f.wantFault(err, fault.Full, fault.Quota)
	f.wantAbsent("d")
	f.delete("b")
	f.put("e", noise(1, 40_000))
	f.wantFault(f.putUnknown("f", 1), fault.Full, fault.Quota)
	f.wantUsage(home, 3, 100_000)
}

// putUnknown stores a body without saying how long it is.
func (f *fixture) putUnknown(key object.Key, size int) error {
	_, err := f.Put(f.ctx, object.PutRequest{Bucket: home, Key: key, Content: Body(noise(1, size)), Size: -1})
	return err
}

func quotaRace(f *fixture) {
	const size, room, writers = 1000, 20, 64
	f.newBucket(home, object.BucketConfig{Quota: size*room + size/2})
	for round := range 3 {
		var won atomic.Int64
		var group sync.WaitGroup
		for i := range writers {
			group.Go(func() {
				if err := f.tryPut(object.Key(fmt.Sprint("k", i)), size); err != nil {
					f.wantFault(err, fault.Full, fault.Quota)
				} else {
					won.Add(1)
				}
			})
		}
		group.Wait()
		if won.Load() != room {
			f.Errorf("round %d: %d writes fitted, want %d", round, won.Load(), room)
		}
		f.wantUsage(home, room, size*room)
		for i := range writers {
			f.delete(object.Key(fmt.Sprint("k", i)))
		}
		f.wantUsage(home, 0, 0)
	}
}

func quotaOverwriteRace(f *fixture) {
	f.newBucket(home, object.BucketConfig{Quota: 5000})
	var group sync.WaitGroup
	for i := range 16 {
		group.Go(func() {
			for j := range 10 {
				if err := f.tryPut("k", 4000+(i*10+j)%1000); err != nil {
					f.Errorf("an overwrite that fits alone: %v", err)
				}
			}
		})
	}
	group.Wait()
	info, err := f.Head(f.ctx, home, "k")
	if err != nil {
		f.Fatal(err)
	}
	f.wantUsage(home, 1, info.Size)
}

// quotaMixedRace lets everything that takes or gives room run at once. The bucket
// is never above its quota meanwhile, and afterwards nothing is counted that is
// not there: what is left fits to the byte.
func quotaMixedRace(f *fixture) {
	const quota, workers, rounds = 20_000, 8, 12
	f.newBucket(home, object.BucketConfig{Quota: quota})
	f.put("seed", noise(1, 900))
	var finished [workers]object.CompleteRequest
	for i := range finished {
		u := f.begin(object.UploadRequest{Bucket: home, Key: object.Key(fmt.Sprint("upload", i))})
		finished[i] = completion(u, f.part(u, 1, noise(1, 1700+i)))
	}
	done, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		for {
			select {
			case <-done:
				return
			default:
			}
			if usage, err := f.Usage(f.ctx, home); err != nil || usage.Bytes > quota {
				f.Errorf("holds %d of %d bytes, %v", usage.Bytes, quota, err)
				return
			}
		}
	}()
	var group sync.WaitGroup
	for i := range workers {
		group.Go(func() {
			for j := range rounds {
				key := object.Key(fmt.Sprint("k", (i+j)%5))
				f.wantRoomOrFull(f.tryPut(key, 500+i*300+j*7))
				_, err := f.Copy(f.ctx, object.CopyRequest{SourceBucket: home, SourceKey: "seed", Bucket: home, Key: object.Key(fmt.Sprint("copy", i, j%3))})
				f.wantRoomOrFull(err)
				if _, err := f.Put(f.ctx, object.PutRequest{Bucket: home, Key: key, Content: Body(noise(1, 10)), Size: 11}); err == nil {
					f.Errorf("a body that is cut short was stored")
				}
				if j == i {
					_, err := f.CompleteUpload(f.ctx, finished[i])
					f.wantRoomOrFull(err)
				}
				if j%3 == 0 {
					f.wantRoomOrFull(f.Delete(f.ctx, object.DeleteRequest{Bucket: home, Key: key}))
				}
			}
		})
	}
	group.Wait()
	close(done)
	<-watched
	usage, err := f.Usage(f.ctx, home)
	var held int64
	for _, key := range f.keys(object.ListRequest{Bucket: home, Max: 1000}) {
		info, err := f.Head(f.ctx, home, object.Key(key))
		if err != nil {
			f.Fatal(err)
		}
		held += info.Size
	}
	if err != nil || usage.Bytes != held || held > quota {
		f.Fatalf("counts %d bytes and holds %d, %v", usage.Bytes, held, err)
	}
	f.wantFault(f.tryPut("rest", int(quota-usage.Bytes)+1), fault.Full, fault.Quota)
	if err := f.tryPut("rest", int(quota-usage.Bytes)); err != nil {
		f.Errorf("the last %d bytes: %v", quota-usage.Bytes, err)
	}
}

// wantRoomOrFull takes success, and a quota that is full.
func (f *fixture) wantRoomOrFull(err error) {
	if err != nil {
		f.wantFault(err, fault.Full, fault.Quota)
	}
}

func quotaUploads(f *fixture) {
	f.newBucket(home, object.BucketConfig{Quota: 1000})
	u := f.begin(object.UploadRequest{Bucket: home, Key: "k"})
	part := f.part(u, 1, noise(1, 1001))
	f.wantUsage(home, 0, 0)
	_, err := f.CompleteUpload(f.ctx, completion(u, part))
	f.wantFault(err, fault.Full, fault.Quota)
	f.wantAbsent("k")
	part = f.part(u, 1, noise(1, 1000)) // the upload goes on
	if _, err := f.CompleteUpload(f.ctx, completion(u, part)); err != nil {
		f.Fatal(err)
	}
	f.wantUsage(home, 1, 1000)
}

func quotaCheckFile(f *fixture) {
	f.newBucket(home, object.BucketConfig{Quota: 1000, Cache: true})
	f.put("full", noise(1, 1000))
	f.wantFault(f.tryPut("k", 1), fault.Full, fault.Quota)
	for _, key := range []object.Key{".sccache_check", "a/.sccache_check", "a/b/.sccache_check"} {
		if err := f.tryPut(key, 13); err != nil {
			f.Errorf("%s: %v", key, err)
		}
		f.wantBody(key, noise(1, 13))
		f.wantFault(f.tryPut(key, object.MaxCheckFile+1), fault.Full, fault.Quota) // or the name would be a way around the quota
		f.wantFault(f.putUnknown(key, 1<<20), fault.Full, fault.Quota)
		f.wantBody(key, noise(1, 13))
	}
	for _, key := range []object.Key{"x.sccache_check", ".sccache_check/k", ".sccache_checks"} {
		f.wantFault(f.tryPut(key, 13), fault.Full, fault.Quota)
	}
	f.wantFault(f.tryPut("b/.sccache_check", 1000), fault.Full, fault.Quota) // no name for what is not one
	f.delete("full")
}

func quotaChanges(f *fixture) {
	f.newBucket(home, object.BucketConfig{})
	f.put("a", noise(1, 5000))
	set := func(quota int64) {
		if _, err := f.UpdateBucket(f.ctx, home, func(c *object.BucketConfig) error { c.Quota = quota; return nil }); err != nil {
			f.Fatal(err)
		}
	}
	set(1000)
	f.wantFault(f.tryPut("b", 1), fault.Full, fault.Quota)
	f.wantBody("a", noise(1, 5000)) // what is there stays
	set(5001)
	f.put("b", noise(1, 1))
	set(0)
	f.put("c", noise(1, 100_000))
}
