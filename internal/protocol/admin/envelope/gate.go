package envelope

import (
	"context"
	"fmt"
	"sync"

	"github.com/larder-cache/larder/internal/fault"
)

// DefaultWaiting is how many derivations of one principal may run or wait at
// once, unless Gate.Waiting says otherwise. Terraform sends ten requests at once.
const DefaultWaiting = 16

// Gate serialises the costly key derivations of a server. The zero value is
// ready for use and may be shared.
type Gate struct {
	// Waiting is how many derivations of one line may run or wait at once;
	// one more is fault.Busy. Zero means DefaultWaiting.
	Waiting int

	mu      sync.Mutex // guards turn's creation and waiting; nothing else is locked under it
	turn    chan struct{}
	waiting map[string]int
}

// enter waits for the turn of a line. The caller calls leave when it is done.
func (g *Gate) enter(ctx context.Context, line string) (leave func(), err error) {
	turn, err := g.queue(line)
	if err != nil {
		return nil, err
	}
	select {
	case turn <- struct{}{}:
		return func() { <-turn; g.unqueue(line) }, nil
	case <-ctx.Done():
		g.unqueue(line)
		return nil, fmt.Errorf("wait for key derivation: %w", ctx.Err())
	}
}

func (g *Gate) queue(line string) (chan struct{}, error) {
	limit := g.Waiting
	if limit == 0 {
		limit = DefaultWaiting
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.turn == nil {
		g.turn = make(chan struct{}, 1)
		g.waiting = make(map[string]int)
	}
	if g.waiting[line] >= limit {
		return nil, fault.New(fault.Busy, fault.AccessKey, line)
	}
	g.waiting[line]++
	return g.turn, nil
}

func (g *Gate) unqueue(line string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.waiting[line]--; g.waiting[line] <= 0 {
		delete(g.waiting, line)
	}
}
