package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"hash"
	"strings"
	"sync"

	"github.com/larder-cache/larder/internal/iam"
)

// signingKey is the key that AWS derives from a secret for one scope, with HMACs
// that are ready to use.
type signingKey struct {
	secret iam.Secret
	key    [sha256.Size]byte
	hmacs  sync.Pool // of hash.Hash
}

func deriveKey(secret iam.Secret, sc scope) *signingKey {
	step := func(key []byte, data string) []byte {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(data))
		return h.Sum(nil)
	}
	k := &signingKey{secret: secret}
	key := step([]byte("AWS4"+secret.Reveal()), sc.date)
	key = step(step(key, sc.region), sc.service)
	copy(k.key[:], step(key, terminator))
	k.hmacs.New = func() any { return hmac.New(sha256.New, k.key[:]) }
	return k
}

// sign appends the HMAC of data to dst.
func (k *signingKey) sign(dst, data []byte) []byte {
	h := k.hmacs.Get().(hash.Hash) //nolint:errcheck,forcetypeassert // the pool makes nothing else
	h.Reset()
	h.Write(data)
	dst = h.Sum(dst)
	k.hmacs.Put(h)
	return dst
}

// keyName is what a cached signing key is found by. The secret is compared, not
// looked up, so that a changed secret never finds the key of the old one.
type keyName struct {
	id    iam.AccessKeyID
	scope scope
}

// keyCache holds signing keys of requests whose signature was right, so that
// nobody without a secret can fill it.
type keyCache struct {
	max int

	mu   sync.RWMutex // guards keys; no lock is taken under it
	keys map[keyName]*signingKey
}

// find returns the key for the credential and scope, and whether it is cached.
func (c *keyCache) find(id iam.AccessKeyID, secret iam.Secret, sc scope) (*signingKey, bool) {
	c.mu.RLock()
	k := c.keys[keyName{id, sc}]
	c.mu.RUnlock()
	if k != nil && subtle.ConstantTimeCompare([]byte(k.secret), []byte(secret)) == 1 {
		return k, true
	}
	return deriveKey(secret, sc), false
}

// add remembers a key. A full cache forgets an arbitrary eighth: scopes change
// daily, so order matters little.
func (c *keyCache) add(id iam.AccessKeyID, sc scope, k *signingKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.keys) >= c.max {
		drop := c.max/8 + 1
		for name := range c.keys {
			delete(c.keys, name)
			if drop--; drop == 0 {
				break
			}
		}
	}
	c.keys[keyName{iam.AccessKeyID(strings.Clone(string(id))), sc.clone()}] = k
}

// clone copies the scope out of the request's header, which it would keep alive.
func (s scope) clone() scope {
	return scope{strings.Clone(s.date), strings.Clone(s.region), strings.Clone(s.service)}
}
