package storetest_test

import (
	"errors"
	"testing"
	"time"

	"github.com/larder-cache/larder/internal/object"
	"github.com/larder-cache/larder/internal/storetest"
)

var _ object.Store = (*storetest.Memory)(nil)

func TestMemoryFault(t *testing.T) {
	broken := errors.New("broken")
	var ops []string
	now := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	store := storetest.NewMemory(storetest.Config{
		Now: func() time.Time { return now },
		Fault: func(op string) error {
			ops = append(ops, op)
			if op == "Put" {
				return broken
			}
			return nil
		},
	})
	bucket, err := store.CreateBucket(t.Context(), "sccache", object.BucketConfig{})
	if err != nil || !bucket.Created.Equal(now) {
		t.Fatalf("got %v created %v, want %v", err, bucket.Created, now)
	}
	_, err = store.Put(t.Context(), object.PutRequest{Bucket: "sccache", Key: "k", Content: storetest.Body([]byte("x")), Size: 1})
	if !errors.Is(err, broken) {
		t.Errorf("got %v, want the fault", err)
	}
	if len(ops) != 2 || ops[1] != "Put" {
		t.Errorf("asked about %v, want CreateBucket and Put", ops)
	}
}

func TestMemoryConforms(t *testing.T) {
	storetest.Run(t, func(*testing.T) object.Store { return storetest.NewMemory(storetest.Config{}) })
}
