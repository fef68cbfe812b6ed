package sigv4

import (
	"errors"
	"time"
)

// Config tunes a Verifier.
type Config struct {
	// Region is the only region that S3 requests may be signed for, beside the
	// empty one of MinIO's admin clients. "" accepts any.
	Region string

	// Skew is how far a request's time may be from ours. 0 means 15 minutes.
	Skew time.Duration

	// MaxChunk is the largest signed chunk in bytes: it is held in memory until
	// its signature is verified. 0 means 1 MiB; the SDKs send 64 to 128 KiB.
	MaxChunk int

	// MaxForm is the largest body in bytes of a request to a service other than
	// S3 that does not state its payload's hash, so that the body is read to
	// verify the signature. 0 means 64 KiB.
	MaxForm int

	// Keys is how many derived signing keys are kept. 0 means 4,096.
	Keys int

	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

func (c *Config) check() error {
	if c.Skew < 0 || c.MaxChunk < 0 || c.MaxForm < 0 || c.Keys < 0 {
		return errors.New("sigv4: a limit is negative")
	}
	setDefault(&c.Skew, 15*time.Minute)
	setDefault(&c.MaxChunk, 1<<20)
	setDefault(&c.MaxForm, 64<<10)
	setDefault(&c.Keys, 4096)
	if c.Now == nil {
		c.Now = time.Now
	}
	return nil
}

func setDefault[T ~int | ~int64](v *T, d T) {
	if *v == 0 {
		*v = d
	}
}
