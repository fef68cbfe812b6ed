package identity

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/iam"
	"github.com/larder-cache/larder/internal/object"
)

// Store is what identities need of an object store.
type Store interface {
	// Log returns the log of that name.
	Log(name string) object.Log

	// Bucket returns one bucket, for its policy. It is called for every request
	// and must not touch the disk.
	Bucket(ctx context.Context, name object.BucketName) (object.Bucket, error)

	// ListBuckets returns all buckets, for their policies. It is called when a
	// user is made.
	ListBuckets(ctx context.Context) ([]object.Bucket, error)

	// Head describes an object, for its tags. It is called only when a policy
	// asks for them.
	Head(ctx context.Context, bucket object.BucketName, key object.Key) (object.Info, error)
}

// Root is the key of the root user, who is configured and not stored.
type Root struct {
	AccessKey iam.AccessKeyID
	Secret    iam.Secret
}

// Config tunes a Service.
type Config struct {
	// Lapse is how long the subject of an issuer stays after its last login,
	// and its keys with it. 0 means 30 days.
	Lapse time.Duration

	// Subjects is how many subjects are kept. Where there are more, those that
	// did not log in for longest are forgotten, if that was a day. 0 means 20,000.
	Subjects int

	// Poll is how often the log is looked at for changes by other servers on the
	// same store. 0 means never: this is the only one.
	Poll time.Duration

	// Now is the clock; nil means time.Now.
	Now func() time.Time

	// Logger gets warnings; nil discards them.
	Logger *slog.Logger
}

func (c *Config) check() error {
	if c.Lapse < 0 || c.Poll < 0 || c.Subjects < 0 {
		return errors.New("identity: a duration or number is negative")
	}
	if c.Subjects == 0 {
		c.Subjects = 20_000
	}
	if c.Lapse == 0 {
		c.Lapse = 30 * 24 * time.Hour
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// Service is who there is and what they may. See the package comment.
type Service struct {
	store  Store
	log    object.Log
	sealer Sealer
	config Config
	audit  *trail

	root    atomic.Pointer[Root]
	current atomic.Pointer[state]
	tokens  tokenCache
	buckets bucketPolicies
	late    lateSessions

	// mu is held by the one who changes identities, while the log is written
	// too: changes are rare, and each is made on top of the one before. Nothing
	// that a request waits for takes it.
	mu sync.Mutex
}

// Open reads the identities that the store keeps; a new store has none. The
// error says which key is needed if sealer's is not the one they are sealed with.
func Open(ctx context.Context, store Store, sealer Sealer, root Root, config Config) (*Service, error) {
	if err := config.check(); err != nil {
		return nil, err
	}
	s := &Service{store: store, log: store.Log("iam"), sealer: sealer, config: config}
	s.audit = newTrail(store)
	if err := s.first(ctx); err != nil {
		return nil, err
	}
	if err := s.SetRoot(root); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Service) first(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.reload(ctx); err != nil {
		return err
	}
	s.flushOutbox(ctx)
	return nil
}

// SetRoot changes the root user's key, in force for the next request. It is
// fault.Invalid for a key that breaks the rules of names, and Conflict if a user
// or service account has it.
func (s *Service) SetRoot(root Root) error {
	if _, err := iam.ParseAccessKey(string(root.AccessKey)); err != nil {
		return err
	}
	if _, err := iam.ParseSecret(root.Secret.Reveal()); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	doc := s.current.Load().doc
	_, isUser := doc.Users[iam.UserName(root.AccessKey)]
	_, isAccount := doc.Accounts[root.AccessKey]
	if isUser || isAccount {
		return fault.Wrap(fault.Conflict, fault.AccessKey, string(root.AccessKey),
			errors.New("a user or service account has this name: give root another one, or remove it first"))
	}
	s.root.Store(&root)
	return nil
}

// Deployment names this installation.
func (s *Service) Deployment() string { return s.sealer.Deployment() }

// RootName is the root user's name.
func (s *Service) RootName() iam.UserName { return iam.UserName(s.root.Load().AccessKey) }

// Run looks for changes by other servers until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	if s.config.Poll == 0 {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(s.config.Poll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		s.mu.Lock()
		err := s.reload(ctx)
		s.mu.Unlock()
		if err != nil && ctx.Err() == nil {
			s.config.Logger.ErrorContext(ctx, "identities could not be read again", "error", err)
		}
	}
}

// reload publishes the latest generation. The caller holds mu.
func (s *Service) reload(ctx context.Context) error {
	generation, sealed, err := s.log.Latest(ctx)
	if err != nil {
		return fmt.Errorf("read identities: %w", err)
	}
	before := s.current.Load()
	if before != nil && before.generation >= generation {
		if before.generation > generation {
			return fault.Wrap(fault.Corrupt, fault.Log, "iam", fmt.Errorf("the log went back from generation %d to %d", before.generation, generation))
		}
		return nil
	}
	doc := &document{}
	doc.init()
	if generation > 0 {
		if doc, err = unseal(s.sealer, generation, sealed); err != nil {
			return fmt.Errorf("read identities: %w", err)
		}
	}
	next, err := newState(generation, doc, before)
	if err != nil {
		return fmt.Errorf("read identities: %w", err)
	}
	s.current.Store(next)
	return nil
}

// maxAttempts is how often a change is made again on top of another server's.
const maxAttempts = 20

// change makes a change as one new generation. edit gets a clone of the document
// to change; it may run more than once, and its error changes nothing. It
// returns the audit record's fields; a nil *Change means that nothing changed,
// one without an Action that nobody has to know.
func (s *Service) change(ctx context.Context, by iam.Actor, edit func(d *document) (*iam.Change, error)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range maxAttempts {
		before := s.current.Load()
		draft := before.doc.clone()
		draft.Outbox = s.audit.unwritten(draft.Outbox)
		made, err := edit(draft)
		if err != nil || made == nil {
			return err
		}
		now := s.config.Now()
		draft.prune(now)
		generation := before.generation + 1
		if made.Action != "" {
			draft.Outbox = append(draft.Outbox, newRecord(fmt.Sprintf("iam-%d", generation), now, by, *made))
		}
		next, err := newState(generation, draft, before)
		if err != nil {
			return err
		}
		sealed, err := seal(s.sealer, generation, draft)
		if err != nil {
			return err
		}
		switch err := s.log.Append(ctx, generation, sealed); {
		case err == nil:
			s.current.Store(next)
			s.flushOutbox(ctx)
			return nil
		case errors.Is(err, fault.Exists), errors.Is(err, fault.Conflict):
			if err := s.reload(ctx); err != nil {
				return err
			}
		default:
			// It may be written all the same, and is in force then.
			return errors.Join(fmt.Errorf("write identities: %w", err), s.reload(context.WithoutCancel(ctx)))
		}
	}
	return fault.New(fault.Busy, fault.Log, "iam")
}
