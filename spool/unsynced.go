package spool

import (
	"errors"
	"fmt"
	"os"

	bolt "go.etcd.io/bbolt"
	"golang.org/x/sys/unix"
)

// A commit ends with writing the page that makes it hold, and syncing that. Where the
// sync fails, as on a file system that only then looks for room, bbolt returns the
// error; but the page is written, and the file has the transaction. To do the same
// again would be to do it twice.

// holds tells whether the file has the transaction, although its commit has failed.
func (s *Spool) holds(id int) (yes bool) {
	err := s.db.View(func(tx *bolt.Tx) error {
		yes = tx.ID() == id
		return nil
	})
	return err == nil && yes
}

// syncLast makes such a transaction durable. No other may begin before: it would use
// pages again that the disk still needs, should the power be cut.
func (s *Spool) syncLast() (err error) {
	if !s.unsynced.Load() {
		return nil
	}
	f, err := os.OpenFile(s.path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	// What could not be synced once counts as clean; it has to be written again.
	pages := make([]byte, 2*s.db.Info().PageSize)
	if _, err := f.ReadAt(pages, 0); err != nil {
		return err
	}
	if _, err := f.WriteAt(pages, 0); err != nil {
		return err
	}
	if err := unix.Fdatasync(int(f.Fd())); err != nil {
		return fmt.Errorf("sync the last change: %w", err)
	}
	// bbolt takes what that transaction has freed for free at once, also where somebody
	// still reads it: they end first.
	s.swap.Lock()
	defer s.swap.Unlock()
	s.unsynced.Store(false)
	return nil
}

// synced is for who must not go on before the disk has what the file has.
func (s *Spool) synced() error {
	if !s.unsynced.Load() {
		return nil
	}
	s.write.Lock()
	defer s.write.Unlock()
	return s.syncLast()
}
