package local

import (
	"encoding/binary"
	"hash/maphash"
	"sync"
)

// keyLocks is one lock per key that somebody writes.
type keyLocks struct {
	seed   maphash.Seed
	shards [64]lockShard
}

type lockShard struct {
	mu    sync.Mutex // guards held
	held  map[string]*keyLock
	spare []*keyLock
}

type keyLock struct {
	mu    sync.RWMutex
	shard *lockShard
	name  string // of the key, while there are users
	users int    // that hold it or wait for it
}

func newKeyLocks() *keyLocks {
	l := &keyLocks{seed: maphash.MakeSeed()}
	for i := range l.shards {
		l.shards[i].held = map[string]*keyLock{}
	}
	return l
}

// lock locks a key and returns what unlocks it.
func (l *keyLocks) lock(incarnation uint64, key []byte) (unlock func()) {
	k := l.enter(incarnation, key)
	k.mu.Lock()
	return func() { k.mu.Unlock(); k.leave() }
}

// share locks a key together with others that share it.
func (l *keyLocks) share(incarnation uint64, key []byte) (unlock func()) {
	k := l.enter(incarnation, key)
	k.mu.RLock()
	return func() { k.mu.RUnlock(); k.leave() }
}

// enter counts a user of a key's lock, until leave.
func (l *keyLocks) enter(incarnation uint64, key []byte) *keyLock {
	name := string(append(binary.BigEndian.AppendUint64(make([]byte, 0, 8+len(key)), incarnation), key...))
	shard := &l.shards[maphash.String(l.seed, name)%uint64(len(l.shards))]
	shard.mu.Lock()
	defer shard.mu.Unlock()
	k := shard.held[name]
	if k == nil {
		k = shard.fresh()
		k.name = name
		shard.held[name] = k
	}
	k.users++
	return k
}

func (k *keyLock) leave() {
	k.shard.mu.Lock()
	defer k.shard.mu.Unlock()
	if k.users--; k.users == 0 {
		delete(k.shard.held, k.name)
		k.name = ""
		k.shard.spare = append(k.shard.spare, k)
	}
}

func (s *lockShard) fresh() *keyLock {
	if n := len(s.spare); n > 0 {
		k := s.spare[n-1]
		s.spare = s.spare[:n-1]
		return k
	}
	return &keyLock{shard: s}
}
