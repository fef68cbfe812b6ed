package storetest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/object"
)

func raceCases() []testCase {
	return []testCase{
		{"readers see whole bodies, and never an older one again", readersAndWriters},
		{"the last version is the last acknowledged", lastVersionWins},
		{"versions are unique in the whole store", uniqueVersions},
		{"a bucket is not deleted under a write", deleteBucketRace},
	}
}

// stamped makes a body that proves its own wholeness: a number, over and over.
func stamped(number uint64, size int) []byte {
	return bytes.Repeat(binary.BigEndian.AppendUint64(nil, number), size)
}

// stamp returns the number of a stamped body, false if it is not whole.
func stamp(body []byte) (uint64, bool) {
	if len(body) < 8 {
		return 0, false
	}
	number := binary.BigEndian.Uint64(body)
	return number, bytes.Equal(body, stamped(number, len(body)/8))
}

func readersAndWriters(f *fixture) {
	f.newBucket(home, object.BucketConfig{})
	f.put("k", stamped(0, 10))
	stop := make(chan struct{})
	var writers, readers sync.WaitGroup
	writers.Go(func() {
		for i := uint64(1); i <= 150; i++ {
			f.put("k", stamped(i, int(i*i)%20_000+1))
		}
	})
	for range 4 {
		readers.Go(func() {
			var last uint64
			for {
				select {
				case <-stop:
					return
				default:
				}
				r, err := f.Get(f.ctx, object.GetRequest{Bucket: home, Key: "k"})
				if err != nil {
					f.Errorf("get: %v", err)
					return
				}
				number, whole := stamp(f.drain(r))
				if !whole || number < last {
					f.Errorf("read %d after %d, whole: %v", number, last, whole)
					return
				}
				last = number
			}
		})
	}
	writers.Wait()
	close(stop)
	readers.Wait()
	f.wantBody("k", stamped(150, 150*150%20_000+1))
}

func lastVersionWins(f *fixture) {
	f.newBucket(home, object.BucketConfig{})
	const writers, rounds = 8, 10
	infos := make([]object.Info, writers*rounds)
	var group sync.WaitGroup
	for i := range writers {
		group.Go(func() {
			for j := range rounds {
				n := i*rounds + j
				infos[n] = f.put("k", stamped(uint64(n), n*50+1))
			}
		})
	}
	group.Wait()
	last := 0
	for i := range infos {
		if infos[i].Version > infos[last].Version {
			last = i
		}
	}
	f.wantInfo(infos[last], f.wantBody("k", stamped(uint64(last), last*50+1)))
	f.wantUsage(home, 1, infos[last].Size)
}

func uniqueVersions(f *fixture) {
	f.newBucket(home, object.BucketConfig{})
	f.newBucket("other", object.BucketConfig{})
	const writers, rounds = 8, 15
	var mu sync.Mutex
	seen := map[object.Version]object.Key{}
	var group sync.WaitGroup
	for i := range writers {
		group.Go(func() {
			for j := range rounds {
				key := object.Key(fmt.Sprintf("%d/%d", i, j))
				info := f.putWith(object.PutRequest{
					Bucket: []object.BucketName{home, "other"}[j%2], Key: key, Content: Body([]byte(key)), Size: int64(len(key)),
				})
				mu.Lock()
				if former, ok := seen[info.Version]; ok {
					f.Errorf("%s and %s have version %d both", former, key, info.Version)
				}
				seen[info.Version] = key
				mu.Unlock()
			}
		})
	}
	group.Wait()
}

// deleteBucketRace: whichever comes first, an acknowledged write is either in a
// bucket that could not be deleted, or refused for want of its bucket.
func deleteBucketRace(f *fixture) {
	for round := range 20 {
		f.newBucket(home, object.BucketConfig{})
		var putErr, deleteErr error
		var group sync.WaitGroup
		group.Go(func() { putErr = f.tryPut("k", 100) })
		group.Go(func() { deleteErr = f.DeleteBucket(f.ctx, home) })
		group.Wait()
		switch {
		case putErr == nil && errors.Is(deleteErr, fault.Conflict):
			f.wantBody("k", noise(1, 100))
			f.delete("k")
			if err := f.DeleteBucket(f.ctx, home); err != nil {
				f.Fatal(err)
			}
		case deleteErr == nil && errors.Is(putErr, fault.NotFound):
			_, err := f.Bucket(f.ctx, home)
			f.wantFault(err, fault.NotFound, fault.Bucket)
		default:
			f.Fatalf("round %d: put %v, delete %v", round, putErr, deleteErr)
		}
	}
}
