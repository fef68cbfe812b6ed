package local

import (
	"errors"

	"github.com/larder-cache/larder/internal/engine/disk"
	"github.com/larder-cache/larder/internal/engine/index"
	"github.com/larder-cache/larder/internal/engine/segment"
	"github.com/larder-cache/larder/internal/fault"
	"github.com/larder-cache/larder/internal/object"
)

var errAttributes = errors.New("attributes are malformed")

func errAttrs(bucket object.BucketName, key object.Key) error {
	return fault.Wrap(fault.Corrupt, fault.Object, path(bucket, key), errAttributes)
}

func path(bucket object.BucketName, key object.Key) string { return string(bucket) + "/" + string(key) }

// wrapObject is wrap for an object, whose name it makes only where it is needed.
func wrapObject(op string, bucket object.BucketName, key object.Key, err error) error {
	if err == nil {
		return nil
	}
	name := ""
	if _, named := errors.AsType[*fault.Error](err); !named {
		name = path(bucket, key)
	}
	return wrap(op, fault.Object, name, err)
}

// wrap turns an engine's error into the fault that the contract names.
func wrap(op string, noun fault.Noun, name string, err error) error {
	if err == nil {
		return nil
	}
	if f, ok := errors.AsType[*fault.Error](err); ok {
		if f.Op == "" {
			c := *f
			c.Op = op
			return &c
		}
		return err
	}
	kind := fault.Internal
	switch {
	case errors.Is(err, segment.ErrDamaged), errors.Is(err, index.ErrDamaged), errors.Is(err, index.ErrLost), errors.Is(err, segment.ErrGone):
		kind = fault.Corrupt
	case disk.IsFull(err):
		kind, noun, name = fault.Full, fault.Disk, ""
	case errors.Is(err, segment.ErrClosed):
		kind, noun = fault.Unavailable, fault.Store
	}
	return &fault.Error{Kind: kind, Noun: noun, Op: op, Name: name, Err: err}
}
