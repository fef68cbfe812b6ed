package index_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/larder-cache/larder/internal/engine/disk"
	"github.com/larder-cache/larder/internal/engine/index"
	"github.com/larder-cache/larder/internal/engine/segment"
)

const incarnation = 7

// filterTest is an index whose tables' reads are counted.
type filterTest struct {
	*testing.T
	*index.Index
	seq   uint64
	reads int
}

func newFilterTest(t *testing.T) *filterTest {
	t.Helper()
	f := &filterTest{T: t}
	fs := disk.Inject(disk.New(vfs.NewMem()), func(op disk.Op) disk.Outcome {
		if op.Kind == disk.OpRead && strings.HasSuffix(op.Path, ".sst") {
			f.reads++
		}
		return disk.Outcome{}
	})
	var err error
	if f.Index, err = index.Open(fs, "index", index.Config{Create: true, Cache: 1}); err != nil { // nothing stays cached
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

// apply applies one record for each key, a put or a delete.
func (f *filterTest) apply(kind segment.Kind, keys ...string) {
	f.Helper()
	group := &segment.Group{Segment: 1}
	for _, key := range keys {
		f.seq++
		r := &segment.Record{Header: segment.Header{Kind: kind, Seq: f.seq, Incarnation: incarnation, Key: []byte(key)}}
		r.Loc = segment.Location{Segment: 1, Offset: int64(f.seq) * 4096}
		if kind == segment.Put {
			r.Attrs = index.AppendBody(nil, &index.Body{})
		}
		group.Records, group.End = append(group.Records, r), r.Loc.Offset+4096
	}
	if err := f.Apply(group); err != nil {
		f.Fatal(err)
	}
}

// expect looks keys up.
func (f *filterTest) expect(there bool, keys ...string) {
	f.Helper()
	for _, key := range keys {
		if _, ok, err := f.Object(incarnation, []byte(key)); err != nil || ok != there {
			f.Errorf("%s: there %t, %v; want %t", key, ok, err, there)
		}
	}
}

func names(prefix string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprint(prefix, i)
	}
	return all
}

func TestFilterSparesReads(t *testing.T) {
	f := newFilterTest(t)
	f.apply(segment.Put, names("there", 2000)...)
	if err := f.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := f.Filter(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.expect(true, names("there", 2000)...)
	f.reads = 0
	f.expect(false, names("absent", 2000)...)
	if f.reads > 20 {
		t.Errorf("%d reads for 2000 keys that are not there", f.reads)
	}
}

// interrupted is a context whose every look does something.
type interrupted struct {
	context.Context //nolint:containedctx // it is one
	do              func()
}

func (i interrupted) Err() error {
	i.do()
	return i.Context.Err()
}

// What is applied while a filter is made is in it, wherever the visit of the keys
// has come by then.
func TestFilterMadeDuringChanges(t *testing.T) {
	f := newFilterTest(t)
	f.apply(segment.Put, names("b", 1000)...)
	if err := f.Flush(); err != nil {
		t.Fatal(err)
	}
	var during []string
	looks := 0
	change := func() { // while keys are counted, and while they are added
		if looks++; looks%10 == 0 && looks < 10_000 {
			keys := []string{fmt.Sprint("a", looks), fmt.Sprint("c", looks)}
			f.apply(segment.Put, keys...)
			during = append(during, keys...)
		}
	}
	if err := f.Filter(interrupted{t.Context(), change}); err != nil {
		t.Fatal(err)
	}
	if len(during) < 200 {
		t.Fatalf("only %d keys were written meanwhile", len(during))
	}
	f.expect(true, during...)
	f.expect(true, names("b", 1000)...)
}

// A filter that many keys have come into is made anew, without those that have
// gone; and what is in no filter yet is found by the old one.
func TestFilterMadeAnew(t *testing.T) {
	f := newFilterTest(t)
	if err := f.Filter(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i := range 40 {
		keys := names(fmt.Sprint("round", i, "-"), 1000)
		f.apply(segment.Put, keys...)
		f.expect(true, keys...)
		if i%2 == 0 {
			f.apply(segment.Delete, keys...)
			f.expect(false, keys...)
			f.apply(segment.Put, keys[:10]...)
			f.expect(true, keys[:10]...)
		}
		if err := f.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	measure := func() int {
		f.reads = 0
		f.expect(false, names("absent", 2000)...)
		return f.reads
	}
	before := measure()
	if err := f.Filter(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after := measure(); before == 0 || after > before/10 {
		t.Errorf("%d reads with the full filter, %d with the one made anew", before, after)
	}
}
