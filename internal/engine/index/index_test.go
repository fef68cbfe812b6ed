package index_test

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/larder-cache/larder/internal/engine/index"
	"github.com/larder-cache/larder/internal/engine/segment"
)

// Buckets that come and go leave no ledger behind.
func TestEmptyLedgersGo(t *testing.T) {
	mem := vfs.NewMem()
	if err := mem.MkdirAll("index", 0o700); err != nil {
		t.Fatal(err)
	}
	x, err := index.Open(mem, "index", index.Config{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	attrs := index.AppendBody(nil, &index.Body{Size: 7})
	at := int64(128)
	apply := func(kind segment.Kind, incarnation, seq uint64) {
		t.Helper()
		r := &segment.Record{
			Header: segment.Header{Kind: kind, Incarnation: incarnation, Seq: seq, Key: []byte("key"), Attrs: attrs},
			Loc:    segment.Location{Segment: 1, Offset: at, HeaderLen: 72},
		}
		at += 72
		if err := x.Apply(&segment.Group{Segment: 1, Records: []*segment.Record{r}, End: at}); err != nil {
			t.Fatal(err)
		}
	}
	for incarnation := range uint64(10) {
		apply(segment.Put, incarnation+1, 2*incarnation+1)
		if got := x.Ledger(incarnation + 1); got != (index.Ledger{Objects: 1, Bytes: 7}) {
			t.Errorf("%+v", got)
		}
		apply(segment.Delete, incarnation+1, 2*incarnation+2)
	}
	if all := x.Ledgers(); len(all) > 0 {
		t.Errorf("%d ledgers are left", len(all))
	}
}
