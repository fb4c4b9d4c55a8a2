package spool

import (
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// reserveBytes is how much of the disk is set aside.
const reserveBytes = 4 << 20

// reserve is a file that keeps some of the disk for taking deliveries out of the
// spool. That too writes: without it a spool that has filled the disk could
// not be emptied, and would be full for ever. Nothing is appended while the
// reserve is not whole.
type reserve struct {
	path string

	mu   sync.Mutex
	file *os.File // nil while it is released
}

// hold sets the space aside, if it is not. An error is the disk's.
func (r *reserve) hold() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.file != nil {
		return nil
	}
	f, err := os.OpenFile(r.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("set space aside: %w", err)
	}
	err = unix.Fallocate(int(f.Fd()), 0, 0, reserveBytes)
	if err == unix.EOPNOTSUPP {
		_, err = f.WriteAt(make([]byte, reserveBytes), 0)
	}
	if err != nil {
		f.Close()
		os.Remove(r.path)
		return fmt.Errorf("set %d MiB aside in %s: %w", reserveBytes>>20, r.path, err)
	}
	r.file = f
	return nil
}

// release gives the space to whom it is for, and tells whether there was any.
func (r *reserve) release() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.file == nil {
		return false
	}
	r.file.Close()
	r.file = nil
	return os.Remove(r.path) == nil
}

// close leaves the file: the next one to open the spool finds its space set
// aside.
func (r *reserve) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.file != nil {
		r.file.Close()
		r.file = nil
	}
}
