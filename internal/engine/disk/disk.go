// Package disk is the door through which engines reach the disk: Pebble's
// vfs.FS plus the one operation that it lacks, giving the blocks in the middle
// of a file back to the file system.
//
// It promises nothing about durability; its callers sync what they need, and
// the directory after they created, renamed or removed a file. Inject, beside
// Pebble's crashable memory file system, lets a test fail any single operation.
//
// A vfs.File forbids concurrent Write and Sync, and Write may alter the buffer
// that it is given. Everything else may be called at once.
package disk

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// FS is a file system.
type FS interface {
	vfs.FS

	// PunchHole makes length bytes at offset of the named file read as zeros
	// and gives their blocks back. The file's size stays. It is durable after
	// the file's next sync. errors.ErrUnsupported means that the file system
	// cannot.
	PunchHole(name string, offset, length int64) error
}

// OS returns the operating system's file system.
func OS() FS { return New(vfs.Default) }

// New adds PunchHole to fs. On a file system without descriptors (one in
// memory) the range is overwritten with zeros.
func New(fs vfs.FS) FS { return &punching{FS: fs} }

type punching struct{ vfs.FS }

func (p *punching) Unwrap() vfs.FS { return p.FS }

func (p *punching) PunchHole(name string, offset, length int64) error {
	f, err := p.OpenReadWrite(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return fmt.Errorf("punch hole: %w", err)
	}
	if fd := f.Fd(); fd != vfs.InvalidFd {
		err = punchFD(fd, offset, length)
	} else {
		_, err = f.WriteAt(make([]byte, length), offset)
	}
	if err != nil {
		err = fmt.Errorf("punch hole of %d bytes at %d in %s: %w", length, offset, name, err)
	}
	return errors.Join(err, f.Close())
}

// IsFull reports whether err says that the file system has no room, or the
// user's quota none.
func IsFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// SyncDir makes the entries of a directory durable.
func SyncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return fmt.Errorf("sync directory %s: %w", dir, err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync directory %s: %w", dir, err)
	}
	return nil
}

// WriteFile creates a small file durably: under a temporary name, synced,
// renamed, directory synced.
func WriteFile(fs vfs.FS, dir, name string, data []byte) error {
	tmp := fs.PathJoin(dir, name+".tmp")
	f, err := fs.Create(tmp, vfs.WriteCategoryUnspecified)
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	_, err = f.Write(append([]byte(nil), data...))
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if err := fs.Rename(tmp, fs.PathJoin(dir, name)); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return SyncDir(fs, dir)
}

// ReadFile returns the content of a file of at most limit bytes.
func ReadFile(fs vfs.FS, name string, limit int64) ([]byte, error) {
	f, err := fs.Open(name)
	if err != nil {
		return nil, fmt.Errorf("read file: %w", err)
	}
	defer func() { _ = f.Close() }()
	st, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("read file: %w", err)
	}
	if st.Size() > limit {
		return nil, fmt.Errorf("read file %s: %d bytes, at most %d expected", name, st.Size(), limit)
	}
	data := make([]byte, st.Size())
	if len(data) == 0 {
		return data, nil
	}
	if n, err := f.ReadAt(data, 0); n < len(data) {
		return nil, fmt.Errorf("read file %s: %w", name, err)
	}
	return data, nil
}
