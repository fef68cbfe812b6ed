package identity

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/object"
)

// maxDetail is the longest Before or After, in bytes: a record must not fill the
// trail alone.
const maxDetail = 8 << 10

func newRecord(id string, now time.Time, by iam.Actor, c iam.Change) iam.Record {
	r := iam.Record{
		ID: id, Time: now.UTC(), Kind: by.Principal.Kind.String(), User: by.Principal.User, AccessKey: by.Principal.AccessKey,
		RequestID: by.RequestID, Action: c.Action, Target: c.Target, Before: detail(c.Before), After: detail(c.After),
	}
	if by.From.IsValid() {
		r.From = by.From.String()
	}
	if by.Server {
		r.Kind = "server"
	}
	return r
}

func detail(v any) json.RawMessage {
	if v == nil {
		return nil
	}
	text, err := json.Marshal(v)
	if err != nil || len(text) > maxDetail {
		text, _ = json.Marshal(fmt.Sprintf("%d bytes, too long for a record", len(text)))
	}
	return text
}

// The audit trail is a ring of logs. Each holds one chunk of records as its
// latest document; a chunk grows by being written again, until it is full and
// the next log of the ring is begun. So a record costs at most one chunk of
// writing, and the trail keeps the last 63 to 64 chunks.
const (
	trailLogs    = 64
	chunkRecords = 256
	chunkBytes   = 64 << 10
)

// chunk is the document of one log of the ring.
type chunk struct {
	Number  uint64       `json:"number"` // log number is this modulo trailLogs
	Records []iam.Record `json:"records"`
}

// trail writes and reads the ring.
type trail struct {
	logs [trailLogs]object.Log

	// mu is held while the logs are read and written; nothing but the trail
	// waits for it.
	mu         sync.Mutex
	opened     bool
	head       chunk  // being filled
	size       int    // bytes of its records
	generation uint64 // of its log
	written    map[string]bool
}

func newTrail(store Store) *trail {
	t := &trail{}
	for i := range t.logs {
		t.logs[i] = store.Log(fmt.Sprintf("audit-%02d", i))
	}
	return t
}

// read returns the chunk and generation of one log of the ring.
func (t *trail) read(ctx context.Context, i int) (chunk, uint64, error) {
	generation, doc, err := t.logs[i].Latest(ctx)
	if err != nil || generation == 0 {
		return chunk{}, generation, err
	}
	var c chunk
	if err := json.Unmarshal(doc, &c); err != nil {
		return chunk{}, 0, fault.Wrap(fault.Corrupt, fault.Log, fmt.Sprintf("audit-%02d", i), err)
	}
	return c, generation, nil
}

// open finds the chunk to write to. The caller holds mu.
func (t *trail) open(ctx context.Context) error {
	if t.opened {
		return nil
	}
	t.head, t.size, t.generation, t.written = chunk{}, 0, 0, map[string]bool{}
	for i := range t.logs {
		c, generation, err := t.read(ctx, i)
		if err != nil {
			return fmt.Errorf("read audit trail: %w", err)
		}
		for _, r := range c.Records {
			t.written[r.ID] = true
		}
		if i == 0 && c.Number == 0 || c.Number > t.head.Number {
			t.head, t.generation = c, generation
		}
	}
	for _, r := range t.head.Records {
		t.size += recordSize(r)
	}
	t.opened = true
	return nil
}

func recordSize(r iam.Record) int { return len(r.Before) + len(r.After) + len(r.Target) + 256 }

// append writes records that the trail does not have yet.
func (t *trail) append(ctx context.Context, records []iam.Record) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for attempts := 0; attempts < maxAttempts; {
		if err := t.open(ctx); err != nil {
			return err
		}
		i := slices.IndexFunc(records, func(r iam.Record) bool { return !t.written[r.ID] })
		if i < 0 {
			return nil
		}
		err := t.extend(ctx, records[i])
		switch {
		case err == nil:
		case errors.Is(err, fault.Exists), errors.Is(err, fault.Conflict):
			attempts++
			t.opened = false // another server writes too
		default:
			t.opened = false
			return fmt.Errorf("write audit trail: %w", err)
		}
	}
	return fault.New(fault.Busy, fault.Log, "audit")
}

// extend writes one record, in the next chunk if this one is full.
func (t *trail) extend(ctx context.Context, r iam.Record) error {
	next, generation := t.head, t.generation
	size := t.size + recordSize(r)
	if len(next.Records) >= chunkRecords || len(next.Records) > 0 && size > chunkBytes {
		_, latest, err := t.read(ctx, int((next.Number+1)%trailLogs))
		if err != nil {
			return err
		}
		next, generation, size = chunk{Number: next.Number + 1}, latest, recordSize(r)
	}
	next.Records = append(slices.Clone(next.Records), r)
	doc, err := json.Marshal(next)
	if err != nil {
		return err
	}
	if err := t.logs[next.Number%trailLogs].Append(ctx, generation+1, doc); err != nil {
		return err
	}
	t.head, t.generation, t.size = next, generation+1, size
	t.written[r.ID] = true
	if len(next.Records) == 1 && len(t.written) > 2*trailLogs*chunkRecords {
		t.opened = false // forget the identifiers of chunks that are gone
	}
	return nil
}

// unwritten returns the records that still have to reach the trail.
func (t *trail) unwritten(records []iam.Record) []iam.Record {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.DeleteFunc(records, func(r iam.Record) bool { return t.written[r.ID] })
}

// all yields the records, oldest first.
func (t *trail) all(ctx context.Context) iter.Seq2[iam.Record, error] {
	return func(yield func(iam.Record, error) bool) {
		var chunks []chunk
		for i := range t.logs {
			c, _, err := t.read(ctx, i)
			if err != nil {
				yield(iam.Record{}, err)
				return
			}
			chunks = append(chunks, c)
		}
		slices.SortFunc(chunks, func(a, b chunk) int { return int(int64(a.Number) - int64(b.Number)) })
		for _, c := range chunks {
			for _, r := range c.Records {
				if !yield(r, nil) {
					return
				}
			}
		}
	}
}

// flushOutbox moves the records of the published document to the trail. What
// fails stays in the outbox and is tried again with the next change or start.
func (s *Service) flushOutbox(ctx context.Context) {
	// The change is made: its record follows even if the caller is gone.
	ctx = context.WithoutCancel(ctx)
	if err := s.audit.append(ctx, s.current.Load().doc.Outbox); err != nil {
		s.config.Logger.WarnContext(ctx, "audit records wait in the outbox", "error", err)
	}
}

// Audit yields the records of the audit trail that are still kept, oldest
// first: at least the last 16,000, or the last 4 MB of them. Those of the latest
// changes that have not reached the trail come last.
func (s *Service) Audit(ctx context.Context) iter.Seq2[iam.Record, error] {
	return func(yield func(iam.Record, error) bool) {
		waiting := s.current.Load().doc.Outbox
		written := map[string]bool{} // those of waiting that are in the trail
		for r, err := range s.audit.all(ctx) {
			if !yield(r, err) || err != nil {
				return
			}
			written[r.ID] = slices.ContainsFunc(waiting, func(w iam.Record) bool { return w.ID == r.ID })
		}
		for _, r := range waiting {
			if !written[r.ID] && !yield(r, nil) {
				return
			}
		}
	}
}

// Record adds a change that was made elsewhere, to a bucket's configuration or
// the server's, to the audit trail.
func (s *Service) Record(ctx context.Context, by iam.Actor, c iam.Change) error {
	return s.audit.append(context.WithoutCancel(ctx), []iam.Record{newRecord(newID(), s.config.Now(), by, c)})
}

// RecordStopped adds a change that was made to a stopped server to the audit
// trail in its store. It needs no key: the trail holds no secrets.
func RecordStopped(ctx context.Context, store Store, now time.Time, c iam.Change) error {
	return newTrail(store).append(ctx, []iam.Record{newRecord(newID(), now, iam.Actor{Server: true}, c)})
}
