package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/protocol/edge"
)

// The bounds of live streams.
const (
	maxWatchers = 16  // of one kind of stream, over all callers
	maxOwn      = 4   // of those, of one caller: others want to watch too
	watchBuffer = 512 // entries that a slow watcher may lag behind before some are left out
)

// feed hands entries to whoever watches at the moment. A watcher that is too
// slow misses entries; nobody waits for it. The zero value is ready for use.
type feed[T any] struct {
	mu       sync.RWMutex // guards watchers; nothing else is locked under it
	watchers map[chan T]string
}

// watched reports whether anybody watches, so that entries need not be made.
func (f *feed[T]) watched() bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return len(f.watchers) > 0
}

func (f *feed[T]) publish(entry T) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	for watcher := range f.watchers {
		select {
		case watcher <- entry:
		default:
		}
	}
}

// watch begins to watch for somebody. It is fault.Busy when too many do, or he
// too often.
func (f *feed[T]) watch(who string) (entries <-chan T, stop func(), err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	own := 0
	for _, other := range f.watchers {
		if other == who {
			own++
		}
	}
	if len(f.watchers) >= maxWatchers || own >= maxOwn {
		return nil, nil, fault.Wrap(fault.Busy, fault.None, "", fmt.Errorf("%d streams are open, %d of them the caller's", len(f.watchers), own))
	}
	if f.watchers == nil {
		f.watchers = make(map[chan T]string)
	}
	watcher := make(chan T, watchBuffer)
	f.watchers[watcher] = who
	return watcher, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.watchers, watcher)
	}, nil
}

// stream sends entries as JSON until the client goes away or loses the right to
// see them, beginning with those of first. encode returns nil for an entry that
// the client did not ask for.
func stream[T any](ctx context.Context, p *Protocol, w *edge.Writer, call *edge.Call, action iam.Action, source *feed[T], encode func(T) any, first ...T) error {
	entries, stop, err := source.watch(line(call.Principal()))
	if err != nil {
		return err
	}
	defer stop()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no")
	ticker := time.NewTicker(p.config.KeepAlive)
	defer ticker.Stop()
	encoder := json.NewEncoder(w)
	for _, entry := range first {
		if err := encoder.Encode(encode(entry)); err != nil {
			return fmt.Errorf("send stream: %w", err)
		}
	}
	w.WriteHeader(http.StatusOK)
	w.Flush()
	for {
		select {
		case <-ctx.Done():
			return nil // the client is gone
		case <-p.ending:
			return nil
		case entry := <-entries:
			if v := encode(entry); v != nil {
				if err := encoder.Encode(v); err != nil {
					return fmt.Errorf("send stream: %w", err)
				}
				w.Flush()
			}
		case <-ticker.C:
			if p.lapsed(ctx, call, action) {
				return nil
			}
			if _, err := w.Write([]byte(" ")); err != nil {
				return nil // the client is gone, which is how every stream ends
			}
			w.Flush()
		}
	}
}

// lapsed reports whether the caller of a running stream could not start it now:
// the key is gone, disabled or expired, or its policies changed.
func (p *Protocol) lapsed(ctx context.Context, call *edge.Call, action iam.Action) bool {
	who := call.Principal()
	if !who.Expires.IsZero() && time.Now().After(who.Expires) {
		return true
	}
	return call.Authorize(ctx, iam.Check{Action: action}) != nil
}
