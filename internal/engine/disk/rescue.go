package disk

import "github.com/cockroachdb/pebble/v2/vfs"

// Rescue wraps fs so that what fails for want of room is tried once more when
// rescue made some. Pebble does not survive a full disk otherwise.
func Rescue(fs vfs.FS, rescue func() bool) vfs.FS { return &rescued{FS: fs, rescue: rescue} }

type rescued struct {
	vfs.FS
	rescue func() bool
}

func (r *rescued) Unwrap() vfs.FS { return r.FS }

// again reports whether the operation that ended with err is worth a retry.
func (r *rescued) again(err error) bool { return IsFull(err) && r.rescue() }

func (r *rescued) file(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &rescuedFile{File: f, fs: r}, nil
}

func (r *rescued) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := r.FS.Create(name, c)
	if r.again(err) {
		f, err = r.FS.Create(name, c)
	}
	return r.file(f, err)
}

func (r *rescued) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	f, err := r.FS.OpenReadWrite(name, c, opts...)
	if r.again(err) {
		f, err = r.FS.OpenReadWrite(name, c, opts...)
	}
	return r.file(f, err)
}

func (r *rescued) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := r.FS.ReuseForWrite(oldname, newname, c)
	return r.file(f, err)
}

func (r *rescued) Rename(oldname, newname string) error {
	err := r.FS.Rename(oldname, newname)
	if r.again(err) {
		err = r.FS.Rename(oldname, newname)
	}
	return err
}

func (r *rescued) Link(oldname, newname string) error {
	err := r.FS.Link(oldname, newname)
	if r.again(err) {
		err = r.FS.Link(oldname, newname)
	}
	return err
}

type rescuedFile struct {
	vfs.File
	fs *rescued
}

func (f *rescuedFile) Write(p []byte) (int, error) {
	n, err := f.File.Write(p)
	if f.fs.again(err) {
		var more int
		more, err = f.File.Write(p[n:])
		n += more
	}
	return n, err
}

func (f *rescuedFile) WriteAt(p []byte, off int64) (int, error) {
	n, err := f.File.WriteAt(p, off)
	if f.fs.again(err) {
		var more int
		more, err = f.File.WriteAt(p[n:], off+int64(n))
		n += more
	}
	return n, err
}

func (f *rescuedFile) Preallocate(offset, length int64) error {
	err := f.File.Preallocate(offset, length)
	if f.fs.again(err) {
		err = f.File.Preallocate(offset, length)
	}
	return err
}
