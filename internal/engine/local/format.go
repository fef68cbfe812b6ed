package local

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"strings"

	"github.com/larder-cache/larder/internal/engine/disk"
	"github.com/larder-cache/larder/internal/fault"
)

// The names in the directory.
const (
	formatFile  = "FORMAT"
	lockFile    = "LOCK"
	cleanFile   = "CLEAN"
	segmentsDir = "segments"
	indexDir    = "index"
)

// cleanText is the content of CLEAN.
const cleanText = "closed in order\n"

// formatVersion is the version that this program writes.
const formatVersion = 1

// format is the content of FORMAT.
type format struct {
	version int
	id      [16]byte
}

func (f format) String() string {
	text := fmt.Sprintf("larder store %d\nid %x\n", f.version, f.id)
	return text + fmt.Sprintf("crc %08x\n", crc32.ChecksumIEEE([]byte(text)))
}

func parseFormat(text string) (f format, err error) {
	var id string
	var sum uint32
	if _, err := fmt.Sscanf(text, "larder store %d\nid %32s\ncrc %08x\n", &f.version, &id, &sum); err != nil {
		return f, fault.Wrap(fault.Corrupt, fault.Store, formatFile, err)
	}
	raw, err := hex.DecodeString(id)
	if err != nil || len(raw) != 16 {
		return f, fault.Wrap(fault.Corrupt, fault.Store, formatFile, errors.New("no identity"))
	}
	copy(f.id[:], raw)
	if f.String() != text {
		return f, fault.Wrap(fault.Corrupt, fault.Store, formatFile, errors.New("checksum does not match"))
	}
	if f.version != formatVersion {
		return f, fault.Wrap(fault.Unsupported, fault.Store, formatFile,
			fmt.Errorf("the store has format %d, this program writes format %d", f.version, formatVersion))
	}
	return f, nil
}

// prepare locks the directory and reads its format, creating both if there is
// nothing yet.
func prepare(fsys disk.FS, dir string) (lock io.Closer, f format, err error) {
	if err := fsys.MkdirAll(dir, 0o700); err != nil {
		return nil, f, err
	}
	lock, err = fsys.Lock(fsys.PathJoin(dir, lockFile))
	if err != nil {
		return nil, f, locked(dir, err)
	}
	f, err = readFormat(fsys, dir)
	if !errors.Is(err, fs.ErrNotExist) {
		return lock, f, err
	}
	if err := noSegments(fsys, dir); err != nil {
		return lock, f, err
	}
	f = format{version: formatVersion}
	_, _ = rand.Read(f.id[:]) // never fails
	if err := fsys.MkdirAll(fsys.PathJoin(dir, segmentsDir), 0o700); err != nil {
		return lock, f, err
	}
	if err := disk.SyncDir(fsys, fsys.PathDir(dir)); err != nil {
		return lock, f, err
	}
	return lock, f, disk.WriteFile(fsys, dir, formatFile, []byte(f.String()))
}

// locked says why the lock of dir cannot be had.
func locked(dir string, err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return err
	}
	return fault.Wrap(fault.Busy, fault.Store, dir, fmt.Errorf("another process has it open, and has to be stopped first: %w", err))
}

func readFormat(fsys disk.FS, dir string) (format, error) {
	data, err := disk.ReadFile(fsys, fsys.PathJoin(dir, formatFile), 1<<10)
	if err != nil {
		return format{}, err
	}
	return parseFormat(string(data))
}

// noSegments refuses a directory that has content and no FORMAT: to take it for
// an empty one would hide the content.
func noSegments(fsys disk.FS, dir string) error {
	names, err := fsys.List(fsys.PathJoin(dir, segmentsDir))
	if err != nil {
		return nil //nolint:nilerr // there is no such directory yet
	}
	for _, name := range names {
		if strings.HasSuffix(name, ".seg") {
			return fault.Wrap(fault.Corrupt, fault.Store, dir, errors.New("there are segments, and the file FORMAT is missing"))
		}
	}
	return nil
}

// mark notes that the store was closed in order.
func mark(fsys disk.FS, dir string) error {
	return disk.WriteFile(fsys, dir, cleanFile, []byte(cleanText))
}

// unmark notes that the store is in use, and returns whether it had been closed in
// order.
func unmark(fsys disk.FS, dir string) (clean bool, err error) {
	err = fsys.Remove(fsys.PathJoin(dir, cleanFile))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, disk.SyncDir(fsys, dir)
}
