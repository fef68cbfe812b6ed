package storetest

import (
	"bytes"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/object"
)

func logCases() []testCase {
	return []testCase{
		{"a chain without gaps, each created once", logChain},
		{"logs do not mix", logsApart},
		{"large documents", logLarge},
		{"of many that append, one wins each generation", logRace},
	}
}

// wantLatest checks the newest document.
func (f *fixture) wantLatest(l object.Log, gen uint64, doc []byte) {
	f.Helper()
	got, body, err := l.Latest(f.ctx)
	if err != nil || got != gen || !bytes.Equal(body, doc) {
		f.Errorf("latest is %d with %d bytes, %v; want %d with %d", got, len(body), err, gen, len(doc))
	}
}

func logChain(f *fixture) {
	l := f.Log("iam")
	f.wantLatest(l, 0, nil)
	f.wantFault(l.Append(f.ctx, 2, []byte("x")), fault.Conflict, fault.Log)
	for gen := uint64(1); gen <= 20; gen++ {
		doc := fmt.Appendf(nil, "document %d", gen)
		if err := l.Append(f.ctx, gen, doc); err != nil {
			f.Fatalf("append %d: %v", gen, err)
		}
		want := bytes.Clone(doc)
		doc[0] = 'X' // the caller's own again
		f.wantLatest(f.Log("iam"), gen, want)
		f.wantFault(l.Append(f.ctx, gen, []byte("again")), fault.Exists, fault.Log)
		f.wantFault(l.Append(f.ctx, 1, []byte("again")), fault.Exists, fault.Log)
		f.wantFault(l.Append(f.ctx, gen+2, []byte("gap")), fault.Conflict, fault.Log)
		f.wantLatest(l, gen, want)
	}
	_, doc, err := l.Latest(f.ctx)
	if err != nil {
		f.Fatal(err)
	}
	doc[0] = 'X'
	f.wantLatest(l, 20, []byte("document 20"))
}

func logsApart(f *fixture) {
	names := []string{"iam", "iam2", "ia", "settings", "iam/nested"}
	for i, name := range names {
		for gen := 1; gen <= i+1; gen++ {
			if err := f.Log(name).Append(f.ctx, uint64(gen), fmt.Appendf(nil, "%s %d", name, gen)); err != nil {
				f.Fatal(err)
			}
		}
	}
	for i, name := range names {
		f.wantLatest(f.Log(name), uint64(i+1), fmt.Appendf(nil, "%s %d", name, i+1))
	}
	if all, err := f.ListBuckets(f.ctx); err != nil || len(all) != 0 {
		f.Errorf("logs show up as buckets: %v, %v", all, err)
	}
}

func logLarge(f *fixture) {
	l := f.Log("iam")
	if err := l.Append(f.ctx, 1, nil); err != nil {
		f.Fatalf("an empty document: %v", err)
	}
	f.wantLatest(l, 1, nil)
	doc := noise(1, 16<<20)
	f.wantFault(l.Append(f.ctx, 2, append(bytes.Clone(doc), 0)), fault.TooLarge, fault.Log)
	if err := l.Append(f.ctx, 2, doc); err != nil {
		f.Fatal(err)
	}
	f.wantLatest(l, 2, doc)
}

func logRace(f *fixture) {
	const rivals, gens = 8, 15
	var won [gens + 1]atomic.Int64
	var group sync.WaitGroup
	for i := range rivals {
		group.Go(func() {
			l := f.Log("iam")
			for {
				gen, _, err := l.Latest(f.ctx)
				if err != nil {
					f.Errorf("latest: %v", err)
					return
				}
				if gen >= gens {
					return
				}
				if err := l.Append(f.ctx, gen+1, fmt.Appendf(nil, "rival %d generation %d", i, gen+1)); err != nil {
					f.wantFault(err, fault.Exists, fault.Log)
				} else {
					won[gen+1].Add(1)
				}
				if f.Failed() {
					return
				}
			}
		})
	}
	group.Wait()
	for gen := 1; gen <= gens; gen++ {
		if n := won[gen].Load(); n != 1 {
			f.Errorf("generation %d was created %d times", gen, n)
		}
	}
}
