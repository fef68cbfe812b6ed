package index_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/larder-cache/larder/internal/engine/disk"
	"github.com/larder-cache/larder/internal/engine/index"
	"github.com/larder-cache/larder/internal/engine/segment"
)

const incarnation = 7

// filterTest is an index and what was applied to it.
type filterTest struct {
	*testing.T
	*index.Index
	seq uint64
}

func newFilterTest(t *testing.T) *filterTest {
	t.Helper()
	x, err := index.Open(disk.New(vfs.NewMem()), "index", index.Config{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := x.Close(); err != nil {
			t.Error(err)
		}
	})
	return &filterTest{T: t, Index: x}
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

// asked counts the keys of which the filter does not know that they are absent.
func (f *filterTest) asked(keys []string) (n int) {
	for _, key := range keys {
		if !f.Absent(incarnation, key) {
			n++
		}
	}
	return n
}

func names(prefix string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprint(prefix, i)
	}
	return all
}

func TestFilterKnowsWhatIsAbsent(t *testing.T) {
	f := newFilterTest(t)
	f.apply(segment.Put, names("there", 2000)...)
	absent := names("absent", 2000)
	if n := f.asked(absent); n != len(absent) {
		t.Errorf("without a filter %d of %d keys are looked up", n, len(absent))
	}
	if err := f.Filter(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.expect(true, names("there", 2000)...)
	f.expect(false, absent...)
	if n := f.asked(absent); n > 20 {
		t.Errorf("%d of %d absent keys are looked up", n, len(absent))
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
	}
	before := f.asked(names("absent", 2000))
	if err := f.Filter(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after := f.asked(names("absent", 2000)); before == 0 || after > before/10 {
		t.Errorf("%d absent keys are looked up with the full filter, %d with the one made anew", before, after)
	}
}
