package seal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/larder-cache/larder/internal/atomicfile"
)

// Wrapper encrypts the key's secret with a key that never leaves its service.
type Wrapper interface {
	// Wrap encrypts, bound to what bind says.
	Wrap(ctx context.Context, secret []byte, bind string) (wrapped string, err error)

	// Unwrap is the reverse of Wrap with the same bind. newer is the secret
	// wrapped again if the service's key was rotated since, otherwise "".
	Unwrap(ctx context.Context, wrapped, bind string) (secret []byte, newer string, err error)

	// Name says which key of which service this is, for people.
	Name() string
}

// keyFile is the content of the file.
type keyFile struct {
	Deployment string `json:"deployment"`
	Generation uint64 `json:"generation"`
	Key        []byte `json:"key,omitempty"`
	Wrapped    string `json:"wrapped,omitempty"`
	By         string `json:"by,omitempty"`
}

// bind is what a wrapped key is bound to: another deployment's, or an older one
// put back, does not unwrap.
func (f *keyFile) bind() string {
	return fmt.Sprintf("larder seal key %d of %s", f.Generation, f.Deployment)
}

// Open reads the key in a file. Where nothing is sealed yet (fresh), a missing key
// is made; otherwise it is an error, since another key would open nothing. With a
// wrapper, the file holds the key wrapped: one in the clear is wrapped now, and
// one wrapped with an older version of the service's key is wrapped again. A
// wrapped key needs its wrapper, which must answer: nothing is ever sealed with
// less than was asked for.
func Open(ctx context.Context, file string, wrapper Wrapper, fresh bool) (*Key, error) {
	content, err := os.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist) && fresh:
		return create(ctx, file, wrapper)
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("seal key: %w: put it back from its backup; without it the users and keys cannot be read", err)
	case err != nil:
		return nil, fmt.Errorf("seal key: %w", err)
	}
	var f keyFile
	if err := json.Unmarshal(content, &f); err != nil {
		return nil, fmt.Errorf("seal key %s: %w; put the file back from its backup", file, err)
	}
	secret := f.Key
	switch {
	case f.Wrapped == "" && wrapper != nil:
		if f.Wrapped, err = wrapper.Wrap(ctx, secret, f.bind()); err != nil {
			return nil, fmt.Errorf("seal key %s: wrap with %s: %w", file, wrapper.Name(), err)
		}
		f.Key, f.By = nil, wrapper.Name()
		err = f.write(file)
	case f.Wrapped != "" && wrapper == nil:
		return nil, fmt.Errorf("seal key %s is wrapped by %s: configure it, since the key cannot be read without it", file, f.By)
	case f.Wrapped != "":
		secret, err = f.unwrap(ctx, file, wrapper)
	}
	if err != nil {
		return nil, err
	}
	key, err := NewKey(f.Deployment, f.Generation, secret)
	if err != nil {
		return nil, fmt.Errorf("seal key %s: %w; put the file back from its backup", file, err)
	}
	return key, nil
}

func (f *keyFile) unwrap(ctx context.Context, file string, wrapper Wrapper) ([]byte, error) {
	secret, newer, err := wrapper.Unwrap(ctx, f.Wrapped, f.bind())
	if err != nil {
		return nil, fmt.Errorf("seal key %s: unwrap with %s: %w", file, wrapper.Name(), err)
	}
	if newer == "" {
		return secret, nil
	}
	f.Wrapped, f.By = newer, wrapper.Name()
	return secret, f.write(file)
}

func create(ctx context.Context, file string, wrapper Wrapper) (*Key, error) {
	key, err := randomKey()
	if err != nil {
		return nil, err
	}
	f := keyFile{Deployment: key.deployment, Generation: key.generation, Key: key.secret}
	if wrapper != nil {
		if f.Wrapped, err = wrapper.Wrap(ctx, key.secret, f.bind()); err != nil {
			return nil, fmt.Errorf("seal key %s: wrap with %s: %w", file, wrapper.Name(), err)
		}
		f.Key, f.By = nil, wrapper.Name()
	}
	return key, f.write(file)
}

// write replaces the file whole or not at all, durably.
func (f *keyFile) write(file string) error {
	content, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return err
	}
	if err := atomicfile.Replace(file, append(content, '\n'), 0o600); err != nil {
		return fmt.Errorf("seal key: %w", err)
	}
	return nil
}
