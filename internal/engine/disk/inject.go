package disk

import (
	"io"
	iofs "io/fs"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Op is one disk operation, as an injector sees it.
type Op struct {
	Kind   OpKind
	Path   string
	Offset int64 // of ReadAt, WriteAt, Preallocate and PunchHole
	Length int64 // of reads, writes, Preallocate and PunchHole
}

// OpKind says what an operation does.
type OpKind string

// The operations.
const (
	OpCreate      OpKind = "create"
	OpLink        OpKind = "link"
	OpOpen        OpKind = "open"
	OpOpenDir     OpKind = "opendir"
	OpRemove      OpKind = "remove"
	OpRename      OpKind = "rename"
	OpMkdir       OpKind = "mkdir"
	OpLock        OpKind = "lock"
	OpList        OpKind = "list"
	OpStat        OpKind = "stat"
	OpUsage       OpKind = "usage"
	OpRead        OpKind = "read"
	OpWrite       OpKind = "write"
	OpSync        OpKind = "sync"
	OpPreallocate OpKind = "preallocate"
	OpPunch       OpKind = "punch"
)

// Mutates reports whether the operation changes the disk.
func (k OpKind) Mutates() bool {
	switch k {
	case OpCreate, OpLink, OpRemove, OpRename, OpMkdir, OpLock, OpWrite, OpSync, OpPreallocate, OpPunch:
		return true
	case OpOpen, OpOpenDir, OpList, OpStat, OpUsage, OpRead:
		return false
	}
	return false
}

// Outcome is what becomes of an operation. The zero value lets it through.
type Outcome struct {
	Err   error // what the caller gets
	Apply bool  // with Err: the operation is done in full before it fails
	Short bool  // with Err: of a write, the first half is done before it fails
}

// Inject wraps fs so that decide is asked before every operation. It may be
// called from several goroutines at once.
func Inject(fs FS, decide func(Op) Outcome) FS { return &injected{fs: fs, decide: decide} }

type injected struct {
	fs     FS
	decide func(Op) Outcome
}

// do runs one operation under the injector.
func (i *injected) do(op Op, run func() error) error {
	out := i.decide(op)
	if out.Err == nil {
		return run()
	}
	if out.Apply {
		_ = run()
	}
	return out.Err
}

func (i *injected) open(op Op, run func() (vfs.File, error)) (vfs.File, error) {
	var f vfs.File
	err := i.do(op, func() (err error) { f, err = run(); return err })
	if err != nil {
		if f != nil {
			_ = f.Close()
		}
		return nil, err
	}
	return &injectedFile{File: f, path: op.Path, fs: i}, nil
}

func (i *injected) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return i.open(Op{Kind: OpCreate, Path: name}, func() (vfs.File, error) { return i.fs.Create(name, c) })
}

func (i *injected) Link(oldname, newname string) error {
	return i.do(Op{Kind: OpLink, Path: newname}, func() error { return i.fs.Link(oldname, newname) })
}

func (i *injected) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	return i.open(Op{Kind: OpOpen, Path: name}, func() (vfs.File, error) { return i.fs.Open(name, opts...) })
}

func (i *injected) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return i.open(Op{Kind: OpCreate, Path: name}, func() (vfs.File, error) { return i.fs.OpenReadWrite(name, c, opts...) })
}

func (i *injected) OpenDir(name string) (vfs.File, error) {
	return i.open(Op{Kind: OpOpenDir, Path: name}, func() (vfs.File, error) { return i.fs.OpenDir(name) })
}

func (i *injected) Remove(name string) error {
	return i.do(Op{Kind: OpRemove, Path: name}, func() error { return i.fs.Remove(name) })
}

func (i *injected) RemoveAll(name string) error {
	return i.do(Op{Kind: OpRemove, Path: name}, func() error { return i.fs.RemoveAll(name) })
}

func (i *injected) Rename(oldname, newname string) error {
	return i.do(Op{Kind: OpRename, Path: newname}, func() error { return i.fs.Rename(oldname, newname) })
}

func (i *injected) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return i.open(Op{Kind: OpRename, Path: newname}, func() (vfs.File, error) { return i.fs.ReuseForWrite(oldname, newname, c) })
}

func (i *injected) MkdirAll(dir string, perm iofs.FileMode) error {
	return i.do(Op{Kind: OpMkdir, Path: dir}, func() error { return i.fs.MkdirAll(dir, perm) })
}

func (i *injected) Lock(name string) (io.Closer, error) {
	var c io.Closer
	err := i.do(Op{Kind: OpLock, Path: name}, func() (err error) { c, err = i.fs.Lock(name); return err })
	if err != nil && c != nil {
		_ = c.Close()
		c = nil
	}
	return c, err
}

func (i *injected) List(dir string) (names []string, err error) {
	err = i.do(Op{Kind: OpList, Path: dir}, func() (err error) { names, err = i.fs.List(dir); return err })
	return names, err
}

func (i *injected) Stat(name string) (info vfs.FileInfo, err error) {
	err = i.do(Op{Kind: OpStat, Path: name}, func() (err error) { info, err = i.fs.Stat(name); return err })
	return info, err
}

func (i *injected) PathBase(path string) string    { return i.fs.PathBase(path) }
func (i *injected) PathJoin(elem ...string) string { return i.fs.PathJoin(elem...) }
func (i *injected) PathDir(path string) string     { return i.fs.PathDir(path) }
func (i *injected) Unwrap() vfs.FS                 { return i.fs }

func (i *injected) GetDiskUsage(path string) (usage vfs.DiskUsage, err error) {
	err = i.do(Op{Kind: OpUsage, Path: path}, func() (err error) { usage, err = i.fs.GetDiskUsage(path); return err })
	return usage, err
}

func (i *injected) PunchHole(name string, offset, length int64) error {
	return i.do(Op{Kind: OpPunch, Path: name, Offset: offset, Length: length}, func() error {
		return i.fs.PunchHole(name, offset, length)
	})
}

// injectedFile asks the injector before each operation on a file. Close never
// fails.
type injectedFile struct {
	vfs.File
	path string
	fs   *injected
}

func (f *injectedFile) Read(p []byte) (n int, err error) {
	err = f.fs.do(Op{Kind: OpRead, Path: f.path, Length: int64(len(p))}, func() (err error) { n, err = f.File.Read(p); return err })
	return n, err
}

func (f *injectedFile) ReadAt(p []byte, off int64) (n int, err error) {
	err = f.fs.do(Op{Kind: OpRead, Path: f.path, Offset: off, Length: int64(len(p))}, func() (err error) {
		n, err = f.File.ReadAt(p, off)
		return err
	})
	return n, err
}

func (f *injectedFile) Write(p []byte) (int, error) {
	return f.write(p, 0, f.File.Write)
}

func (f *injectedFile) WriteAt(p []byte, off int64) (int, error) {
	return f.write(p, off, func(p []byte) (int, error) { return f.File.WriteAt(p, off) })
}

func (f *injectedFile) write(p []byte, off int64, write func([]byte) (int, error)) (int, error) {
	out := f.fs.decide(Op{Kind: OpWrite, Path: f.path, Offset: off, Length: int64(len(p))})
	switch {
	case out.Err == nil:
		return write(p)
	case out.Apply:
		n, _ := write(p)
		return n, out.Err
	case out.Short:
		n, _ := write(p[:len(p)/2])
		return n, out.Err
	}
	return 0, out.Err
}

func (f *injectedFile) Preallocate(offset, length int64) error {
	return f.fs.do(Op{Kind: OpPreallocate, Path: f.path, Offset: offset, Length: length}, func() error {
		return f.File.Preallocate(offset, length)
	})
}

func (f *injectedFile) Stat() (info vfs.FileInfo, err error) {
	err = f.fs.do(Op{Kind: OpStat, Path: f.path}, func() (err error) { info, err = f.File.Stat(); return err })
	return info, err
}

func (f *injectedFile) Sync() error {
	return f.fs.do(Op{Kind: OpSync, Path: f.path}, f.File.Sync)
}

func (f *injectedFile) SyncData() error {
	return f.fs.do(Op{Kind: OpSync, Path: f.path}, f.File.SyncData)
}

func (f *injectedFile) SyncTo(length int64) (full bool, err error) {
	err = f.fs.do(Op{Kind: OpSync, Path: f.path, Length: length}, func() (err error) { full, err = f.File.SyncTo(length); return err })
	return full, err
}
