package index

import (
	"context"
	"math/bits"
	"sync/atomic"

	"github.com/zeebo/xxh3"
)

// filter knows which keys of the object, history and extent spaces are certainly
// not there. That is every look-up of a cold build, and three for each new
// object; each would otherwise walk through Pebble's tables to find nothing.
//
// It is a Bloom filter whose keys set one bit in each word of one block, which is
// a cache line: Putze, Sanders, Singler, "Cache-, Hash- and Space-Efficient Bloom
// Filters", 2007. A key that was deleted stays in it until it is made anew.
type filter struct {
	blocks []filterBlock
	keys   atomic.Int64 // added, without those that were there as far as one can tell
}

type filterBlock [8]atomic.Uint64

const (
	roomyBlock = 16     // keys to a block of a new filter: one absent key in 10,000 and more is not known to be
	fullBlock  = 48     // keys to a block of one that is made anew: one in 50 and more
	minBlocks  = 1 << 9 // 32 KiB
)

func newFilter(keys int64) *filter {
	return &filter{blocks: make([]filterBlock, max(minBlocks, keys/roomyBlock+1))}
}

func (f *filter) full() bool { return f.keys.Load() > int64(len(f.blocks))*fullBlock }

// place is a key's block and the hash that chooses the bits in it, six for each
// word.
func (f *filter) place(key []byte) (*filterBlock, uint64) {
	h := xxh3.Hash128(key)
	n, _ := bits.Mul64(h.Hi, uint64(len(f.blocks)))
	return &f.blocks[n], h.Lo
}

func (f *filter) add(key []byte) {
	block, h := f.place(key)
	fresh := false
	for i := range block {
		bit := uint64(1) << (h & 63)
		fresh = block[i].Or(bit)&bit == 0 || fresh
		h >>= 6
	}
	if fresh {
		f.keys.Add(1)
	}
}

// mayHold reports whether a key may be there: false is certain.
func (f *filter) mayHold(key []byte) bool {
	block, h := f.place(key)
	for i := range block {
		if block[i].Load()&(1<<(h&63)) == 0 {
			return false
		}
		h >>= 6
	}
	return true
}

// filters reports whether the filter knows the keys of a space.
func filters(space byte) bool {
	return space == spaceObject || space == spaceHistory || space == spaceExtent
}

// absent reports whether a key is certainly not there.
func (x *Index) absent(key []byte) bool {
	f := x.filter.Load()
	return f != nil && filters(key[0]) && !f.mayHold(key)
}

// note tells the filters of a key that a transaction sets, before anybody can see
// it there. x.applying is held.
func (x *Index) note(key []byte) {
	if !filters(key[0]) {
		return
	}
	if f := x.filter.Load(); f != nil {
		f.add(key)
	}
	if x.filling != nil {
		x.filling.add(key)
	}
}

// Filter makes the filter of absent keys, or makes it anew when it has become
// full; otherwise it does nothing. Look-ups and changes go on meanwhile: among
// 10^7 keys it takes seconds.
func (x *Index) Filter(ctx context.Context) error {
	x.filtering.Lock()
	defer x.filtering.Unlock()
	if f := x.filter.Load(); f != nil && !f.full() {
		return nil
	}
	var keys int64
	count := func([]byte) { keys++ }
	if err := x.eachFiltered(ctx, count); err != nil {
		return err
	}
	// What is applied from here on is told to the new filter; what was applied
	// before is seen by the visit that begins now.
	next := newFilter(keys)
	x.fill(next)
	if err := x.eachFiltered(ctx, next.add); err != nil {
		x.fill(nil)
		return err
	}
	x.applying.Lock()
	defer x.applying.Unlock()
	x.filter.Store(next)
	x.filling = nil
	return nil
}

func (x *Index) fill(f *filter) {
	x.applying.Lock()
	defer x.applying.Unlock()
	x.filling = f
}

// eachFiltered visits every key that a filter knows.
func (x *Index) eachFiltered(ctx context.Context, visit func(key []byte)) error {
	for _, space := range []byte{spaceObject, spaceHistory, spaceExtent} {
		err := x.each([]byte{space}, func(key, _ []byte) error {
			visit(key)
			return ctx.Err()
		})
		if err != nil {
			return err
		}
	}
	return nil
}
