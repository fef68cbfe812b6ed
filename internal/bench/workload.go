package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"
)

// Workload is a compile cache's day: a cold build, warm builds, and what does
// not hit.
type Workload struct {
	Objects  int           // entries of the build
	Workers  int           // requests in flight
	Duration time.Duration // of the miss and the warm phase each, at most MaxDuration
	Sizes    Sizes
	Keep     bool // leave the objects there
}

// MaxDuration of a phase keeps every request inside the time for which its
// signature is good.
const MaxDuration = 4 * time.Minute

// Phase is the result of one part of a workload.
type Phase struct {
	Name   string
	Result *Result
}

// Run sends the workload to t. progress, if it is not nil, is told what begins.
//
//	miss   keys that are not there yet are asked for
//	write  each of them is written
//	warm   95 reads to 5 writes of them
//	list   pages of them
//
// A key that may not delete is refused before anything is written, unless the
// objects are to be kept; one that may not list does without that phase. On an
// error, the phases before it are returned beside it.
func (w Workload) Run(ctx context.Context, t *Target, progress func(string)) (phases []Phase, err error) {
	if progress == nil {
		progress = func(string) {}
	}
	random := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 46))
	prefix := fmt.Sprintf("larder-bench-%08x", random.Uint32())
	calls, err := w.render(t, prefix, random)
	if err != nil {
		return nil, err
	}
	mayList, err := w.probe(ctx, t, calls, progress)
	if err != nil {
		return nil, err
	}
	defer func() {
		if !w.Keep {
			progress("removing the objects")
			if e := send(context.WithoutCancel(ctx), t, w.Workers, calls.remove); e != nil {
				err = errors.Join(err, fmt.Errorf("objects are left below %s: %w", prefix, e))
			}
		}
	}()
	for _, phase := range []struct {
		name string
		load Load
	}{
		{"miss", Load{Calls: calls.misses, Duration: w.Duration}},
		{"write", Load{Calls: calls.puts}},
		{"warm", Load{Next: mix(calls.gets, calls.puts), Duration: w.Duration}},
		{"list", Load{Calls: calls.lists, Duration: w.Duration / 4}},
	} {
		if phase.name == "list" && !mayList {
			continue
		}
		progress(phase.name)
		phase.load.Server, phase.load.TLS, phase.load.Workers = t.Server, t.TLS, w.Workers
		result, err := Run(ctx, phase.load)
		if err != nil {
			return phases, err
		}
		phases = append(phases, Phase{phase.name, result})
		if ctx.Err() != nil {
			return phases, ctx.Err()
		}
		if result.Errors == result.Requests {
			return phases, result.Err()
		}
	}
	return phases, nil
}

// probe finds out, before anything is written, what the key may do.
func (w Workload) probe(ctx context.Context, t *Target, calls *rendered, progress func(string)) (mayList bool, err error) {
	if err := send(ctx, t, 1, calls.misses[:1]); err != nil {
		return false, err
	}
	if !w.Keep {
		if err := send(ctx, t, 1, calls.remove[:1]); err != nil {
			return false, fmt.Errorf("the key may not remove what would be written; use one that may, or keep the objects (--keep): %w", err)
		}
	}
	refused := send(ctx, t, 1, calls.lists)
	if refused != nil {
		progress("list is left out: " + refused.Error())
	}
	return refused == nil, nil
}

// send sends each call once and returns the first error.
func send(ctx context.Context, t *Target, workers int, calls []Call) error {
	result, err := Run(ctx, Load{Server: t.Server, TLS: t.TLS, Workers: workers, Calls: calls})
	if err != nil {
		return err
	}
	return result.Err()
}

// mix sends 95 reads to 5 writes.
func mix(gets, puts []Call) func(*rand.Rand) *Call {
	return func(random *rand.Rand) *Call {
		if random.IntN(100) < 5 {
			return &puts[random.IntN(len(puts))]
		}
		return &gets[random.IntN(len(gets))]
	}
}

// rendered are the calls of a workload.
type rendered struct {
	misses, puts, gets, lists, remove []Call
}

func (w Workload) render(t *Target, prefix string, random *rand.Rand) (*rendered, error) {
	data := slab(w.Sizes.Max + 1<<20)
	out := &rendered{}
	var err error
	render := func(into *[]Call, kind, method, key, query string, body []byte, status int) {
		call, e := t.Render(kind, method, key, query, body, status)
		if e != nil {
			err = e
		}
		*into = append(*into, call)
	}
	for _, key := range Keys(prefix, w.Objects, random) {
		size := w.Sizes.Draw(random)
		at := random.IntN(len(data) - size + 1)
		body := data[at : at+size]
		render(&out.misses, "miss", http.MethodGet, key, "", nil, http.StatusNotFound)
		render(&out.gets, "get", http.MethodGet, key, "", nil, http.StatusOK)
		render(&out.puts, "put", http.MethodPut, key, "", body, http.StatusOK)
		render(&out.remove, "delete", http.MethodDelete, key, "", nil, http.StatusNoContent)
	}
	render(&out.lists, "list", http.MethodGet, "", "list-type=2&prefix="+prefix, nil, http.StatusOK)
	return out, err
}
