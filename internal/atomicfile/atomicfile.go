// Package atomicfile replaces small files: keys, certificates, profiles. The
// engines' files are not its business; they reach the disk through engine/disk.
package atomicfile

import (
	"errors"
	"os"
	"path/filepath"
)

// Replace makes path hold content, whole or not at all, with the given mode
// whatever was there before. It is durable when it returns: the file and its
// directory are synced. On error the file before it is still there.
func Replace(path string, content []byte, mode os.FileMode) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
