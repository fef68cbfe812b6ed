package local_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/object"
)

// body is a stored content that a seed and a size determine.
type body struct {
	data   []byte
	digest object.Digest
}

// bodies are made once: the tests store the same ones thousands of times.
type bodies struct {
	mu   sync.Mutex // guards made
	made map[[2]uint64]*body
}

func (b *bodies) of(seed uint64, size int) *body {
	b.mu.Lock()
	defer b.mu.Unlock()
	at := [2]uint64{seed, uint64(size)}
	if made, ok := b.made[at]; ok {
		return made
	}
	made := newBody(noise(seed, size))
	if b.made == nil {
		b.made = make(map[[2]uint64]*body)
	}
	b.made[at] = made
	return made
}

func newBody(data []byte) *body {
	sum := md5.Sum(data)
	return &body{data: data, digest: object.Digest{ETag: object.ETag(fmt.Sprintf("%x", sum)), MD5: sum[:]}}
}

// noise returns bytes that depend on the seed alone.
func noise(seed uint64, size int) []byte {
	data := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16), byte(seed >> 24)}).Read(data)
	return data
}

// content is a body on its way into the store.
func (b *body) content() object.Content { return &reading{Reader: bytes.NewReader(b.data), body: b} }

type reading struct {
	io.Reader
	body *body
}

func (r *reading) Digest() object.Digest { return r.body.digest }

// state is what a key, a log or a setting may be: nil is absence.
type state struct {
	body *body
	etag object.ETag // of the whole; differs from the body's for multipart objects
	tags int         // number of tags
	gen  uint64      // of a log or a setting
}

// ledger holds what a store was asked, what it acknowledged, and so what it may
// hold after a crash. One writer at a time works on a name.
type ledger struct {
	mu    sync.Mutex // guards the fields below
	may   map[string][]*state
	top   object.Version // the greatest acknowledged
	acked int            // writes
}

func newLedger() *ledger { return &ledger{may: make(map[string][]*state)} }

// copy returns the ledger as it is at this moment.
func (l *ledger) copy() *ledger {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := &ledger{may: maps.Clone(l.may), top: l.top, acked: l.acked}
	for name, states := range c.may {
		c.may[name] = slices.Clone(states)
	}
	return c
}

// states returns what a name may be. l.mu is held.
func (l *ledger) states(name string) []*state {
	if states, ok := l.may[name]; ok {
		return states
	}
	return []*state{nil}
}

// attempt notes that the name may from now on be next as well. What is returned
// settles it: acknowledged, refused (nothing changed), or never known.
func (l *ledger) attempt(name string, next *state) func(outcome) {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := l.states(name)
	l.may[name] = append(slices.Clone(before), next)
	return func(o outcome) {
		l.mu.Lock()
		defer l.mu.Unlock()
		switch o {
		case acknowledged:
			l.may[name] = []*state{next}
			l.acked++
		case refused:
			l.may[name] = before
		case unknown:
		}
	}
}

// outcome is what the caller of a write knows of it.
type outcome int

const (
	unknown outcome = iota
	acknowledged
	refused
)

// sure returns what a name is, false if that is not certain.
func (l *ledger) sure(name string) (*state, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	states := l.states(name)
	return states[len(states)-1], len(states) == 1
}

// names returns the names with a prefix, in order.
func (l *ledger) names(prefix string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var names []string
	for name := range l.may {
		if len(name) > len(prefix) && name[:len(prefix)] == prefix {
			names = append(names, name[len(prefix):])
		}
	}
	slices.Sort(names)
	return names
}

// settle compares what a name was found to be with what it may be, and makes it
// certain: what was seen once must stay.
func (l *ledger) settle(name string, found func(*state) bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.states(name) {
		if found(s) {
			l.may[name] = []*state{s}
			return true
		}
	}
	return false
}

// The prefixes of names: objects of home, parts "upload/number", uploads, logs,
// the quota of home.
const (
	home            = object.BucketName("home")
	objectName      = "o:"
	partName        = "p:"
	uploadName      = "u:"
	logName         = "l:"
	settingName     = "s:"
	uploadKey       = object.Key("upload")
	quota           = settingName + "quota"
	listed      int = 1000
)

// check compares the whole store with the ledger and returns all that is wrong.
func (l *ledger) check(ctx context.Context, store object.Store) error {
	var wrong []error
	objects, size := 0, int64(0)
	var keys []string
	for _, key := range l.names(objectName) {
		s, err := l.checkObject(ctx, store, object.Key(key))
		if err != nil {
			wrong = append(wrong, err)
			continue
		}
		if s != nil {
			keys = append(keys, key)
			objects, size = objects+1, size+int64(len(s.body.data))
		}
	}
	if len(wrong) == 0 {
		wrong = append(wrong, checkList(ctx, store, keys), checkUsage(ctx, store, objects, size))
	}
	wrong = append(wrong, l.checkUploads(ctx, store), l.checkLogs(ctx, store), l.checkQuota(ctx, store))
	return errors.Join(wrong...)
}

func (l *ledger) checkObject(ctx context.Context, store object.Store, key object.Key) (*state, error) {
	r, err := store.Get(ctx, object.GetRequest{Bucket: home, Key: key})
	var found *state
	switch {
	case err == nil:
		data, err := io.ReadAll(r.Body)
		if err = errors.Join(err, r.Body.Close()); err != nil {
			return nil, fmt.Errorf("read %s: %w", key, err)
		}
		found = &state{body: &body{data: data}, etag: r.Info.Digest.ETag, tags: len(r.Info.Tags)}
	case !errors.Is(err, fault.NotFound):
		return nil, fmt.Errorf("get %s: %w", key, err)
	}
	if l.settle(objectName+string(key), func(s *state) bool { return s.equal(found) }) {
		return found, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return nil, fmt.Errorf("%s is %v, and may be %v", key, found, l.may[objectName+string(key)])
}

func (s *state) equal(o *state) bool {
	if s == nil || o == nil {
		return s == o
	}
	return s.etag == o.etag && s.tags == o.tags && bytes.Equal(s.body.data, o.body.data)
}

func (s *state) String() string {
	if s == nil {
		return "absent"
	}
	if s.body == nil {
		return fmt.Sprint("generation ", s.gen)
	}
	return fmt.Sprintf("%.8s of %d bytes with %d tags", s.etag, len(s.body.data), s.tags)
}

func checkList(ctx context.Context, store object.Store, want []string) error {
	var got []string
	req := object.ListRequest{Bucket: home, Max: listed}
	for {
		page, err := store.List(ctx, req)
		if err != nil {
			return fmt.Errorf("list: %w", err)
		}
		for _, e := range page.Entries {
			got = append(got, string(e.Info.Key))
		}
		if page.Next == "" {
			break
		}
		req.After = page.Next
	}
	if !slices.Equal(got, want) {
		return fmt.Errorf("listed %q, and there are %q", got, want)
	}
	return nil
}

func checkUsage(ctx context.Context, store object.Store, objects int, size int64) error {
	got, err := store.Usage(ctx, home)
	if err != nil || got.Objects != int64(objects) || got.Bytes != size {
		return fmt.Errorf("usage %+v, %w; want %d objects of %d bytes", got, err, objects, size)
	}
	return nil
}

// checkUploads: what is in progress has exactly the acknowledged parts.
func (l *ledger) checkUploads(ctx context.Context, store object.Store) error {
	var wrong []error
	for _, id := range l.names(uploadName) {
		parts, err := store.UploadParts(ctx, home, uploadKey, object.UploadID(id), 0, object.MaxParts)
		var found *state
		switch {
		case err == nil:
			found = &state{}
		case !errors.Is(err, fault.NotFound):
			wrong = append(wrong, fmt.Errorf("upload %s: %w", id, err))
			continue
		}
		if !l.settle(uploadName+id, func(s *state) bool { return (s == nil) == (found == nil) }) {
			wrong = append(wrong, fmt.Errorf("upload %s: in progress is %v", id, found != nil))
		}
		if found == nil {
			continue
		}
		byNumber := map[string]object.Part{}
		for _, p := range parts {
			byNumber[fmt.Sprint(p.Number)] = p
		}
		for _, number := range l.names(partName + id + "/") {
			p, ok := byNumber[number]
			if !l.settle(partName+id+"/"+number, func(s *state) bool {
				return (s != nil) == ok && (!ok || s.etag == p.Digest.ETag && int64(len(s.body.data)) == p.Size)
			}) {
				wrong = append(wrong, fmt.Errorf("part %s of %s is %+v, there: %v", number, id, p, ok))
			}
		}
	}
	return errors.Join(wrong...)
}

func (l *ledger) checkLogs(ctx context.Context, store object.Store) error {
	for _, name := range l.names(logName) {
		gen, doc, err := store.Log(name).Latest(ctx)
		if err != nil {
			return fmt.Errorf("log %s: %w", name, err)
		}
		if !l.settle(logName+name, func(s *state) bool {
			return s == nil && gen == 0 || s != nil && s.gen == gen && bytes.Equal(doc, document(gen))
		}) {
			return fmt.Errorf("log %s is at %d with %d bytes", name, gen, len(doc))
		}
	}
	return nil
}

// document is what the tests append as that generation of a log.
func document(gen uint64) []byte { return noise(gen, int(gen*997%5000)) }

func (l *ledger) checkQuota(ctx context.Context, store object.Store) error {
	b, err := store.Bucket(ctx, home)
	if err != nil {
		return fmt.Errorf("bucket: %w", err)
	}
	if !l.settle(quota, func(s *state) bool {
		return s == nil && b.Config.Quota == 0 || s != nil && int64(s.gen) == b.Config.Quota
	}) {
		return fmt.Errorf("quota is %d", b.Config.Quota)
	}
	return nil
}
