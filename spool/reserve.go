package spool

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

const (
	// reserveBytes is how much of the disk is set aside.
	reserveBytes = 4 << 20
	// reserveLeast is how much must be left of it for an append.
	reserveLeast = 1 << 20
	// reserveStep is how much of it is given up at once. What taking out needs at
	// a time is some pages, which it can use again the next time.
	reserveStep = 128 << 10
)

// reserve is a file that keeps some of the disk for taking deliveries out of the
// spool. That too writes: without it a spool that has filled the disk could
// not be emptied, and would be full for ever.
type reserve struct {
	path string

	mu   sync.Mutex
	file *os.File
	size int64
}

// hold sets the space aside again, as far as the disk allows, and fails where
// that is too little for an append.
func (r *reserve) hold() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.size == reserveBytes {
		return nil
	}
	if err := r.open(os.O_CREATE); err != nil {
		return fmt.Errorf("set space aside: %w", err)
	}
	err := unix.Fallocate(int(r.file.Fd()), 0, 0, reserveBytes)
	if errors.Is(err, unix.EOPNOTSUPP) {
		_, err = r.file.WriteAt(make([]byte, reserveBytes), 0)
	}
	if err == nil {
		r.size = reserveBytes
		return nil
	}
	// The part that did fit is no more than what was there.
	if err := errors.Join(err, r.file.Truncate(r.size)); r.size < reserveLeast {
		return fmt.Errorf("set %d MiB aside in %s: %w", reserveBytes>>20, r.path, err)
	}
	return nil
}

// open takes over what an earlier run has left.
func (r *reserve) open(flag int) error {
	if r.file != nil {
		return nil
	}
	f, err := os.OpenFile(r.path, os.O_RDWR|flag, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	r.file, r.size = f, info.Size()
	return nil
}

// hasRoom tells whether the file itself has room for the entries, and for taking
// them out. So it is where much was taken out of a spool that has used up the reserve:
// bbolt does not give the room back to the disk, and the reserve cannot have it.
func (s *Spool) hasRoom(entries []Routed) bool {
	need := int64(reserveBytes)
	for _, e := range entries {
		need += int64(len(e.Record.Packed()))
	}
	_, free := s.pages()
	return free >= need
}

// shrink gives up a part of the space, and tells whether there was any.
func (r *reserve) shrink() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	// It may not be open yet: with a full disk nothing is ever appended.
	if err := r.open(0); err != nil || r.size == 0 {
		return false
	}
	r.size -= min(r.size, reserveStep)
	return r.file.Truncate(r.size) == nil
}

// close leaves the file, and so its space to the next one to open the spool.
func (r *reserve) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.file != nil {
		r.file.Close()
		r.file, r.size = nil, 0
	}
}
