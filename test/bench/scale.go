package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/larder-cache/larder/internal/bench"
)

const (
	small      = 10_000 // objects of the small store
	smallBody  = 1 << 10
	fillStep   = 20_000 // objects written between two signings
	listWorker = 1
)

// scale compares a large store with a small one, and restarts the large one.
func scale(ctx context.Context, s *settings) ([]row, error) {
	few, err := openFilled(ctx, s, "few", small)
	if err != nil {
		return nil, err
	}
	defer few.stop(syscall.SIGTERM)
	many, err := openFilled(ctx, s, "many", s.many)
	if err != nil {
		return nil, err
	}
	defer func() { many.stop(syscall.SIGTERM) }()
	var slower []float64
	for range s.turns {
		var rates [2]float64
		for i, store := range []*filled{few, many} {
			result, err := store.read(ctx, s.turn)
			if err != nil {
				return nil, err
			}
			rates[i] = result.PerSecond()
		}
		slower = append(slower, rates[0]/rates[1])
	}
	title := fmt.Sprintf("at %d objects", s.many)
	rows := []row{
		atMost("GET "+title+" beside GET at 10,000, time", median(slower), 1.2, "×", ""),
		atMost("anonymous memory "+title+", each", float64(many.memory-many.memoryEmpty)/float64(s.many), 150, "bytes", ""),
	}
	for _, stop := range []struct {
		name   string
		signal os.Signal
		bar    float64
	}{{"clean stop", syscall.SIGTERM, 1}, {"kill", syscall.SIGKILL, 3}} {
		took, err := many.restart(ctx, s, stop.signal)
		if err != nil {
			return nil, err
		}
		rows = append(rows, atMost("restart "+title+" after a "+stop.name+", to the first GET", took.Seconds(), stop.bar, "s", ""))
	}
	took, err := many.listAll(ctx)
	if err != nil {
		return nil, err
	}
	return append(rows, atMost("LIST of all "+title, took.Seconds(), 5, "s", "")), nil
}

// filled is a server whose bucket holds small objects.
type filled struct {
	*server
	dir                 string
	keys                []string // sorted
	memoryEmpty, memory int64    // bytes
}

func openFilled(ctx context.Context, s *settings, name string, objects int) (*filled, error) {
	f := &filled{dir: filepath.Join(s.dir, name)}
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return nil, err
	}
	var err error
	if f.server, err = startLarder(ctx, s.larder, f.dir); err != nil {
		return nil, err
	}
	if err := f.fill(ctx, objects); err != nil {
		f.stop(syscall.SIGKILL)
		return nil, fmt.Errorf("fill %s: %w", name, err)
	}
	return f, nil
}

// fill writes the objects. Memory is read before and after, each time behind a
// short load, so that what any busy server holds counts in both.
func (f *filled) fill(ctx context.Context, objects int) error {
	random := rand.New(rand.NewPCG(46, uint64(objects)))
	f.keys = bench.Keys("many", objects, random)
	first := min(fillStep/2, objects)
	if err := f.put(ctx, f.keys[:first]); err != nil {
		return err
	}
	var err error
	if f.memoryEmpty, err = f.anonymous(); err != nil {
		return err
	}
	for done := first; done < objects; {
		step := min(fillStep, objects-done)
		if err := f.put(ctx, f.keys[done:done+step]); err != nil {
			return err
		}
		if done += step; done%(5*fillStep) < step {
			fmt.Fprintf(os.Stderr, "bench: %d of %d objects written\n", done, objects)
		}
	}
	f.memory, err = f.anonymous()
	slices.Sort(f.keys)
	return err
}

// put writes small objects.
func (f *filled) put(ctx context.Context, keys []string) error {
	body := make([]byte, smallBody)
	calls := make([]bench.Call, len(keys))
	for i, key := range keys {
		var err error
		if calls[i], err = f.target.Render("put", http.MethodPut, key, "", body, http.StatusOK); err != nil {
			return err
		}
	}
	result, err := bench.Run(ctx, bench.Load{Server: f.url, Workers: 2 * connections, Calls: calls})
	if err != nil {
		return err
	}
	return result.Err()
}

func (f *filled) read(ctx context.Context, length time.Duration) (*bench.Result, error) {
	random := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 46))
	calls := make([]bench.Call, min(fillStep, len(f.keys)))
	for i := range calls {
		var err error
		if calls[i], err = f.target.Render("get", http.MethodGet, f.keys[random.IntN(len(f.keys))], "", nil, http.StatusOK); err != nil {
			return nil, err
		}
	}
	result, err := bench.Run(ctx, bench.Load{Server: f.url, Workers: connections, Duration: length, Calls: calls})
	if err != nil {
		return nil, err
	}
	return result, result.Err()
}

// restart stops the server right after some writes, and returns the time from the
// start of the next one to the answer of its first GET.
func (f *filled) restart(ctx context.Context, s *settings, signal os.Signal) (time.Duration, error) {
	if err := f.put(ctx, f.keys[:min(fillStep, len(f.keys))]); err != nil {
		return 0, err
	}
	f.stop(signal)
	begin := time.Now()
	var err error
	if f.server, err = startLarder(ctx, s.larder, f.dir); err != nil {
		return 0, err
	}
	get, err := f.target.Render("get", http.MethodGet, f.keys[0], "", nil, http.StatusOK)
	if err != nil {
		return 0, err
	}
	result, err := bench.Run(ctx, bench.Load{Server: f.url, Workers: 1, Calls: []bench.Call{get}})
	if err != nil {
		return 0, err
	}
	return time.Since(begin), result.Err()
}

// listAll reads every page, one after the other.
func (f *filled) listAll(ctx context.Context) (time.Duration, error) {
	var pages []bench.Call
	for at := 0; at < len(f.keys); at += 1000 {
		query := "list-type=2&max-keys=1000"
		if at > 0 {
			query += "&start-after=" + url.QueryEscape(f.keys[at-1])
		}
		page, err := f.target.Render("list", http.MethodGet, "", query, nil, http.StatusOK)
		if err != nil {
			return 0, err
		}
		pages = append(pages, page)
	}
	result, err := bench.Run(ctx, bench.Load{Server: f.url, Workers: listWorker, Calls: pages})
	if err != nil {
		return 0, err
	}
	return result.Elapsed, result.Err()
}
