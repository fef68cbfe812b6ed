package local_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/larder-cache/larder/internal/engine/disk"
	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/object"
	"github.com/larder-cache/larder/internal/storetest"
)

// TestSlowSendersHangNobody lets senders that stopped hold all memory: another
// write is refused in time, reads go on, and when the senders are gone nothing of
// them is left.
func TestSlowSendersHangNobody(t *testing.T) {
	cfg := small()
	cfg.Memory, cfg.Patience = 16<<20, 20*time.Millisecond
	store := running(t, disk.New(vfs.NewMem()), "store", cfg)
	if _, err := store.CreateBucket(t.Context(), "plain", object.BucketConfig{}); err != nil {
		t.Fatal(err)
	}
	put := func(key string, size int64, r io.Reader) error {
		_, err := store.Put(t.Context(), object.PutRequest{Bucket: "plain", Key: object.Key(key), Size: size, Content: storetest.NewContent(r, object.NoChecksum)})
		return err
	}
	if err := put("before", 4, strings.NewReader("here")); err != nil {
		t.Fatal(err)
	}
	const senders = 64 // of 256 KiB each
	errGone := errors.New("gone")
	held, ended := make([]*io.PipeWriter, senders), make(chan error, senders)
	for i := range held {
		r, w := io.Pipe()
		held[i] = w
		go func() { ended <- put(fmt.Sprint("slow", i), 1<<20, r) }()
		_, _ = w.Write([]byte("x")) // returns when the sender has its memory
	}
	if err := put("after", 4, strings.NewReader("more")); !errors.Is(err, fault.Busy) {
		t.Errorf("a write without memory: %v", err)
	}
	if err := store.SetTags(t.Context(), "plain", "before", []object.Tag{{Key: "k", Value: "v"}}); !errors.Is(err, fault.Busy) {
		t.Errorf("tags, with which the body is written again, without memory: %v", err)
	}
	reader, err := store.Get(t.Context(), object.GetRequest{Bucket: "plain", Key: "before"})
	if err != nil {
		t.Fatal(err)
	}
	_ = reader.Body.Close()
	for _, w := range held {
		_ = w.CloseWithError(errGone)
	}
	for range held {
		if err := <-ended; !errors.Is(err, errGone) {
			t.Errorf("a sender that went: %v", err)
		}
	}
	if err := put("after", 4, strings.NewReader("more")); err != nil {
		t.Errorf("a write after them: %v", err)
	}
	page, err := store.List(t.Context(), object.ListRequest{Bucket: "plain", Max: 10})
	if err != nil || len(page.Entries) != 2 {
		t.Errorf("entries are %+v, error %v", page.Entries, err)
	}
}
