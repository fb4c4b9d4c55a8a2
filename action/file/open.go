package file

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// open opens the file for appending whole lines: it makes it if it is missing,
// takes a lock, and cuts off a last line that has no end.
func open(path string) (f *os.File, err error) {
	// Not blocking: a FIFO would make the daemon wait for a reader.
	f, err = os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE|unix.O_NONBLOCK|unix.O_NOCTTY, 0o640)
	if err != nil {
		return nil, withHint(fmt.Errorf("open file: %w", err), path)
	}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("open file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("open file: %s is not a regular file", path)
	}
	if err := lock(f); err != nil {
		return nil, err
	}
	if err := cutTornLine(f); err != nil {
		return nil, fmt.Errorf("repair the last line of file: %w", err)
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		return nil, fmt.Errorf("open file: %w", err)
	}
	return f, nil
}

func withHint(err error, path string) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w (make the directory: mkdir -p %s; the router must be able to write there)", err, filepath.Dir(path))
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%w (give the router's user the right to write there, and its unit: ReadWritePaths=%s)", err, filepath.Dir(path))
	}
	return err
}

// lock takes an advisory lock, which the kernel frees with the file: two writers
// would cut each other's lines.
func lock(f *os.File) error {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return fmt.Errorf("lock file: %s is in use by another action or another router", f.Name())
	}
	if err != nil {
		return fmt.Errorf("lock file: %s: %w", f.Name(), err)
	}
	return nil
}

// cutTornLine truncates the file to the end of its last whole line. A process
// that died in the middle of a write leaves such a line; its delivery was not
// acknowledged, and comes again.
func cutTornLine(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	end, err := endOfLastLine(f, info.Size())
	if err != nil || end == info.Size() {
		return err
	}
	if err := f.Truncate(end); err != nil {
		return err
	}
	return f.Sync()
}

// endOfLastLine returns the offset after the last newline, 0 if there is none,
// reading backwards from size.
func endOfLastLine(f io.ReaderAt, size int64) (int64, error) {
	block := make([]byte, 64<<10)
	for end := size; end > 0; {
		start := max(end-int64(len(block)), 0)
		b := block[:end-start]
		if _, err := f.ReadAt(b, start); err != nil && err != io.EOF {
			return 0, err
		}
		if i := bytes.LastIndexByte(b, '\n'); i >= 0 {
			return start + int64(i) + 1, nil
		}
		end = start
	}
	return 0, nil
}

// deleted tells whether the file has no name any more: what is written to it
// would be gone. (One that was renamed is written to until the Action is closed,
// as is the custom with log files.)
func deleted(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Sys().(*syscall.Stat_t).Nlink == 0
}

// syncDir makes a file's name durable in its directory.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if errors.Is(err, fs.ErrPermission) {
		return nil // writable, not readable: nothing more can be done
	}
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
