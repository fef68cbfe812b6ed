package bench

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"sync"
	"time"
)

// Call is one rendered request and what a right answer to it is.
type Call struct {
	Kind   string // "get", "put", "miss", "list", …
	Head   []byte // request line and headers, with the empty line
	Body   []byte
	Status int // the expected status
}

// Load is a number of connections that send calls one after the other.
type Load struct {
	Server   *url.URL
	TLS      *tls.Config
	Workers  int
	Duration time.Duration                 // how long to go on; 0 until Calls are used up
	Calls    []Call                        // sent in order, each worker its own share, when Next is nil
	Next     func(random *rand.Rand) *Call // picks a call
}

// Result is what a load amounted to.
type Result struct {
	Elapsed  time.Duration
	Requests int
	Errors   int
	Bytes    int64 // of bodies, both ways
	FirstErr error
	latency  map[string][]time.Duration // by kind of call
}

// Kinds lists the kinds of calls that were sent.
func (r *Result) Kinds() []string {
	var kinds []string
	for kind := range r.latency {
		kinds = append(kinds, kind)
	}
	slices.Sort(kinds)
	return kinds
}

// Count is how many calls of a kind were answered as expected.
func (r *Result) Count(kind string) int { return len(r.latency[kind]) }

// Latency is the q-quantile of a kind's time from the first byte sent to the
// last byte read.
func (r *Result) Latency(kind string, q float64) time.Duration {
	sorted := r.latency[kind]
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// PerSecond is the rate of calls that were answered as expected.
func (r *Result) PerSecond() float64 {
	return float64(r.Requests-r.Errors) / r.Elapsed.Seconds()
}

// Run sends the load. A wrong answer is counted and the first one kept; only a
// connection that cannot be opened at all is an error.
func Run(ctx context.Context, load Load) (*Result, error) {
	conns := make([]*conn, load.Workers)
	for i := range conns {
		c, err := dial(ctx, load.Server, load.TLS)
		if err != nil {
			return nil, err
		}
		conns[i] = c
	}
	if load.Duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, load.Duration)
		defer cancel()
	}
	parts := make([]Result, load.Workers)
	start := time.Now()
	var group sync.WaitGroup
	for i := range conns {
		group.Go(func() { load.work(ctx, i, conns[i], &parts[i]) })
	}
	group.Wait()
	total := &Result{Elapsed: time.Since(start), latency: map[string][]time.Duration{}}
	for i := range parts {
		total.add(&parts[i])
	}
	for _, times := range total.latency {
		slices.Sort(times)
	}
	return total, nil
}

func (r *Result) add(part *Result) {
	r.Requests += part.Requests
	r.Errors += part.Errors
	r.Bytes += part.Bytes
	if r.FirstErr == nil {
		r.FirstErr = part.FirstErr
	}
	for kind, times := range part.latency {
		r.latency[kind] = append(r.latency[kind], times...)
	}
}

// work is one worker: it reconnects after a broken connection.
func (l *Load) work(ctx context.Context, worker int, c *conn, out *Result) {
	defer func() {
		if c != nil {
			_ = c.Close()
		}
	}()
	out.latency = map[string][]time.Duration{}
	random := rand.New(rand.NewPCG(uint64(worker), 46))
	for n := worker; ctx.Err() == nil; n += l.Workers {
		call := l.pick(n, random)
		if call == nil {
			return
		}
		if c == nil {
			fresh, err := dial(ctx, l.Server, l.TLS)
			if err != nil {
				if ctx.Err() == nil {
					out.fail(err)
				}
				return
			}
			c = fresh
		}
		start := time.Now()
		answer, err := c.do(call.Head, call.Body)
		out.Requests++
		switch {
		case err != nil:
			out.fail(fmt.Errorf("%s: %w", call.Kind, err))
			_ = c.Close()
			c = nil
		case answer.status != call.Status:
			out.fail(fmt.Errorf("%s: status %d instead of %d: %s", call.Kind, answer.status, call.Status, answer.text))
		default:
			out.latency[call.Kind] = append(out.latency[call.Kind], time.Since(start))
			out.Bytes += answer.body + int64(len(call.Body))
		}
	}
}

func (l *Load) pick(n int, random *rand.Rand) *Call {
	switch {
	case l.Next != nil:
		return l.Next(random)
	case n < len(l.Calls):
		return &l.Calls[n]
	case l.Duration > 0 && len(l.Calls) > 0:
		return &l.Calls[n%len(l.Calls)]
	}
	return nil
}

func (r *Result) fail(err error) {
	r.Errors++
	if r.FirstErr == nil {
		r.FirstErr = err
	}
}

// Err is the first wrong answer, nil if all were right.
func (r *Result) Err() error {
	if r.Errors == 0 {
		return nil
	}
	return errors.Join(fmt.Errorf("%d of %d requests failed", r.Errors, r.Requests), r.FirstErr)
}
