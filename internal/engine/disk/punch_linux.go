//go:build linux

package disk

import "golang.org/x/sys/unix"

func punchFD(fd uintptr, offset, length int64) error {
	for {
		err := unix.Fallocate(int(fd), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, offset, length)
		if err != unix.EINTR {
			return err
		}
	}
}
