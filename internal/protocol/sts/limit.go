package sts

import (
	"context"
	"net/netip"
	"sync"
	"time"
)

const (
	maxAddresses = 8192 // whose failures are remembered
	forgiven     = time.Second
)

// failures counts failed exchanges by address (IPv6: by /64). It never refuses
// what is right: an address above its limit takes the slow lane, where tokens are
// verified one after the other.
type failures struct {
	limit int
	now   func() time.Time
	slow  chan struct{} // held by the one that verifies in the slow lane

	mu    sync.Mutex // guards until; no lock is taken under it
	until map[netip.Addr]time.Time
}

func newFailures(limit int, now func() time.Time) *failures {
	return &failures{
		limit: limit, now: now, slow: make(chan struct{}, 1), until: make(map[netip.Addr]time.Time),
	}
}

func group(addr netip.Addr) netip.Addr {
	if addr.Is6() && !addr.Is4In6() {
		if prefix, err := addr.Prefix(64); err == nil {
			return prefix.Addr()
		}
	}
	return addr.Unmap()
}

// add counts one failure and reports whether the address is above its limit. Each
// failure moves the time at which all are forgiven on by a second.
func (f *failures) add(addr netip.Addr) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now()
	if len(f.until) >= maxAddresses {
		f.forget(now)
	}
	until := f.until[group(addr)]
	if until.Before(now) {
		until = now
	}
	ceiling := now.Add(time.Duration(2*f.limit) * forgiven) // a storm is forgiven soon after it ends
	if until = until.Add(forgiven); until.After(ceiling) {
		until = ceiling
	}
	f.until[group(addr)] = until
	return until.Sub(now) > time.Duration(f.limit)*forgiven
}

// forget makes room: those whose failures are forgiven, else any half.
func (f *failures) forget(now time.Time) {
	for addr, until := range f.until {
		if until.Before(now) {
			delete(f.until, addr)
		}
	}
	for addr := range f.until {
		if len(f.until) <= maxAddresses/2 {
			return
		}
		delete(f.until, addr)
	}
}

func (f *failures) above(addr netip.Addr) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.until[group(addr)].Sub(f.now()) > time.Duration(f.limit)*forgiven
}

// enter lets a verification begin, and returns what ends it. One from an address
// above its limit waits for its turn, however many are before it: to refuse it
// would lock out whoever is right there. How many can wait is how many connections
// the server takes.
func (f *failures) enter(ctx context.Context, addr netip.Addr) (leave func(), err error) {
	if !f.above(addr) {
		return func() {}, nil
	}
	select {
	case f.slow <- struct{}{}:
		return func() { <-f.slow }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
