package oidc

import (
	"context"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"golang.org/x/sync/singleflight"
)

const (
	keysFresh   = 15 * time.Minute // a key that the issuer withdrew is accepted no longer than this
	keysUsable  = 24 * time.Hour   // unless the issuer cannot be reached
	keysRetry   = 10 * time.Second // between two fetches, whatever tokens arrive
	maxKeys     = 64               // of one issuer
	minRSA      = 2048             // bits
	maxDocument = 1 << 20          // bytes of a discovery document or key set
)

// errUnknownKey is a token that no key of its issuer signed.
var errUnknownKey = errors.New("no key of the issuer made its signature")

// keySet holds the keys of one issuer.
type keySet struct {
	load     func(context.Context) ([]jose.JSONWebKey, error)
	patience time.Duration // with a fetch
	now      func() time.Time
	group    singleflight.Group

	mu      sync.Mutex // guards what follows; no lock is taken and nothing fetched under it
	keys    []jose.JSONWebKey
	fetched time.Time // when keys arrived
	tried   time.Time // when a fetch last began or ended
	err     error     // of the last fetch
}

// verify returns the payload of a token that one of the keys signed.
func (s *keySet) verify(ctx context.Context, token *jose.JSONWebSignature) ([]byte, error) {
	keys, err := s.current(ctx)
	if err != nil {
		return nil, err
	}
	if payload, ok := verifyWith(keys, token); ok {
		return payload, nil
	}
	if keys, err = s.refresh(ctx); err != nil {
		return nil, err
	}
	if payload, ok := verifyWith(keys, token); ok {
		return payload, nil
	}
	return nil, errUnknownKey
}

// current returns the keys at hand. Stale ones are fetched again by whoever comes
// first; others need not wait for an issuer that is slow.
func (s *keySet) current(ctx context.Context) ([]jose.JSONWebKey, error) {
	s.mu.Lock()
	keys, age, sinceTry := s.keys, s.now().Sub(s.fetched), s.now().Sub(s.tried)
	s.mu.Unlock()
	if len(keys) > 0 && (age < keysFresh || age < keysUsable && sinceTry < keysRetry) {
		return keys, nil
	}
	return s.refresh(ctx)
}

// refresh fetches the keys unless that was tried just now, and returns those at
// hand. Callers at the same time share one fetch, which outlives them.
func (s *keySet) refresh(ctx context.Context) ([]jose.JSONWebKey, error) {
	done := s.group.DoChan("", func() (any, error) {
		s.fetch(context.WithoutCancel(ctx))
		return nil, nil
	})
	select {
	case <-done:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now().Sub(s.fetched) < keysUsable && len(s.keys) > 0 {
		return s.keys, nil
	}
	return nil, s.err
}

func (s *keySet) fetch(ctx context.Context) {
	s.mu.Lock()
	early := s.now().Sub(s.tried) < keysRetry
	if !early {
		s.tried = s.now()
	}
	s.mu.Unlock()
	if early {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	keys, err := s.load(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tried = s.now() // a slow issuer leaves time to those who do not need it
	if s.err = err; err == nil {
		s.keys, s.fetched = keys, s.now()
	}
}

// verifyWith tries the keys that the token's key id names, all if it names none.
// Only the key's id and algorithm are taken from the token's header.
func verifyWith(keys []jose.JSONWebKey, token *jose.JSONWebSignature) ([]byte, bool) {
	header := token.Signatures[0].Header
	for i := range keys {
		if header.KeyID != "" && keys[i].KeyID != "" && keys[i].KeyID != header.KeyID {
			continue
		}
		if keys[i].Algorithm != "" && keys[i].Algorithm != header.Algorithm {
			continue
		}
		if payload, err := token.Verify(keys[i].Key); err == nil {
			return payload, true
		}
	}
	return nil, false
}

// parseKeys reads a JWK set. Keys that are of no use are left out, so that an
// issuer may publish kinds that nobody here knows.
func parseKeys(document []byte) ([]jose.JSONWebKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(document, &set); err != nil {
		return nil, fmt.Errorf("key set: %w", err)
	}
	var keys []jose.JSONWebKey
	for _, raw := range set.Keys {
		var key jose.JSONWebKey
		if key.UnmarshalJSON(raw) != nil || key.Use != "" && key.Use != "sig" {
			continue
		}
		key = key.Public() // the zero key for a shared secret
		if !key.Valid() || weak(key) {
			continue
		}
		if keys = append(keys, key); len(keys) > maxKeys {
			return nil, fmt.Errorf("key set: more than %d keys", maxKeys)
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("key set: no key that can verify a signature")
	}
	return keys, nil
}

func weak(key jose.JSONWebKey) bool {
	public, ok := key.Key.(*rsa.PublicKey)
	return ok && public.N.BitLen() < minRSA
}
