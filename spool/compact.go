package spool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/journald-router/journald-router/internal/failpoint"
	bolt "go.etcd.io/bbolt"
	"golang.org/x/sys/unix"
)

// A file of bbolt's never gets smaller: what is deleted is free for later. So once
// a backlog is worked off, what is left is copied into a new file, which takes the
// place of the old one.

// limits say when that is worth its while, in bytes.
type limits struct {
	// file is the size up to which the file is left alone.
	file int64
	// live is how much may be in use, beside a quarter of the file. While that is
	// copied nothing is appended or settled, for well under a second.
	live int64
}

var defaultLimits = limits{file: 64 << 20, live: 32 << 20}

// How long after one look at the file the next one may be, and how long after a
// compaction that failed the next one is tried: longer each time.
const (
	compactPace       = 10 * time.Second
	compactRetry      = time.Minute
	compactRetryLimit = time.Hour
)

// compactPrefix begins the name of a copy that is not in place yet. One that is
// there when the spool is opened was left by a crash.
const compactPrefix = File + ".compact-"

// Maintain gives the space that is not needed any more back to the disk, until
// ctx is done. A failure, such as a disk that has no room for the copy, is logged,
// and the spool goes on as it is.
func (s *Spool) Maintain(ctx context.Context, log *slog.Logger) {
	for failures := 0; ; {
		wait, changed := compactPace, s.changed
		if before := s.Size(); s.limits.sparse(before) {
			start := time.Now()
			if err := s.compact(); err != nil {
				wait, changed = min(compactRetry<<failures, compactRetryLimit), nil
				failures = min(failures+1, 10)
				log.Warn("the spool could not be made smaller", "err", err, "wait", wait)
			} else {
				failures = 0
				log.Info("the spool was made smaller", "bytes_before", before.File, "bytes", s.Size().File,
					"took", time.Since(start).Round(time.Millisecond))
			}
		}
		if !rest(ctx, wait, changed) {
			return
		}
	}
}

// rest waits for that long, and then for the channel unless it is nil. It tells
// whether that was not broken off.
func rest(ctx context.Context, d time.Duration, until <-chan struct{}) bool {
	select {
	case <-time.After(d):
	case <-ctx.Done():
		return false
	}
	if until == nil {
		return true
	}
	select {
	case <-until:
		return true
	case <-ctx.Done():
		return false
	}
}

// Size is how large the spool's file is, in bytes, and how much of it is in use.
type Size struct{ File, Live int64 }

// Size costs some system calls, however much there is in the spool.
func (s *Spool) Size() Size {
	used, free := s.pages()
	if used == 0 {
		return Size{}
	}
	return Size{File: max(used, s.fileSize()), Live: max(0, used-free)}
}

// pages is how many bytes of the file are used, and how many of these are free
// again. Both are zero if that cannot be known.
func (s *Spool) pages() (used, free int64) {
	err := s.view(func(tx *bolt.Tx) error {
		stats := tx.DB().Stats()
		used = tx.Size()
		free = int64(stats.FreePageN+stats.PendingPageN) * int64(tx.DB().Info().PageSize)
		return nil
	})
	if err != nil {
		return 0, 0
	}
	return used, free
}

func (l limits) sparse(s Size) bool {
	return s.File > l.file && s.Live <= l.live && s.Live < s.File/4
}

// compact puts a copy of what is live in the file's place. Whenever the process
// dies, the name is that of a file with everything in it, the old or the new one;
// whenever it fails, the old one stays, unless the error says so.
func (s *Spool) compact() error {
	old, err := s.replace()
	if old != nil {
		// With the last that has it open the old file goes, which takes its time.
		err = errors.Join(err, old.Close())
	}
	if err != nil {
		return fmt.Errorf("compact spool %s: %w", s.path, err)
	}
	return nil
}

// replace returns the database that is not in use any more, if any.
func (s *Spool) replace() (old *bolt.DB, err error) {
	s.write.Lock()
	defer s.write.Unlock()
	dir, err := os.Open(filepath.Dir(s.path))
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	// The copy's lock is held before it has the name, so that nobody else ever gets
	// that of the file which has it.
	db, err := s.copyLive()
	if err != nil {
		return nil, err
	}
	s.step("copied")
	if err := os.Rename(db.Path(), s.path); err != nil {
		err = errors.Join(err, os.Remove(db.Path()))
		return nil, errors.Join(err, db.Close())
	}
	s.step("renamed")
	s.swap.Lock()
	old, s.db = s.db, db
	s.swap.Unlock()
	// Before anything is written to it: else the old file might have the name again
	// after a power cut, without that.
	if err := dir.Sync(); err != nil {
		return old, fmt.Errorf("the new file is in use, but a power cut may bring back the old one: %w", err)
	}
	s.step("synced")
	return old, nil
}

// copyLive makes a durable copy beside the file, and returns it open and locked.
func (s *Spool) copyLive() (db *bolt.DB, err error) {
	if err := s.roomForCopy(); err != nil {
		return nil, err
	}
	temp, err := s.makeCopyFile()
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			db, err = nil, errors.Join(err, os.Remove(temp))
		}
	}()
	s.step("created")
	db, err = bolt.Open(temp, 0o600, &bolt.Options{
		Timeout: time.Second, FreelistType: bolt.FreelistMapType,
		NoSync: true, NoGrowSync: true, // once, at the end, is enough
	})
	if err != nil {
		return nil, err
	}
	if err := copyAll(db, s.db); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	if err := db.Sync(); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	db.NoSync, db.NoGrowSync = false, false
	return db, nil
}

// copyAll is bolt.Compact, but for a damaged page, which provokes a panic or a
// fault: there may be one in a part of the file that nothing else comes to.
func copyAll(to, from *bolt.DB) (err error) {
	const transaction = 4 << 20 // bytes, which are in memory twice
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", ErrCorrupt, p)
		}
	}()
	return bolt.Compact(to, from, transaction)
}

// roomForCopy fails where a copy would leave the disk full, if only for a moment.
func (s *Spool) roomForCopy() error {
	var disk unix.Statfs_t
	if err := unix.Statfs(s.path, &disk); err != nil {
		return fmt.Errorf("look for room: %w", err)
	}
	free, need := int64(disk.Bavail)*disk.Bsize, 2*s.Size().Live+reserveBytes
	if free < need {
		return fmt.Errorf("look for room: %d bytes are free, %d are wanted: %w", free, need, syscall.ENOSPC)
	}
	return nil
}

// makeCopyFile makes an empty file with the permissions of the spool's, whoever
// runs the program this time.
func (s *Spool) makeCopyFile() (name string, err error) {
	info, err := os.Stat(s.path)
	if err != nil {
		return "", err
	}
	f, err := os.CreateTemp(filepath.Dir(s.path), compactPrefix+"*")
	if err != nil {
		return "", err
	}
	err = f.Chmod(info.Mode().Perm())
	if owner, ok := info.Sys().(*syscall.Stat_t); ok && err == nil {
		err = f.Chown(int(owner.Uid), int(owner.Gid))
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}

// removeLeftovers removes what a compaction has left that did not come to its end.
// It takes the lock of the spool, or the copy may be somebody's.
func (s *Spool) removeLeftovers() {
	dir := filepath.Dir(s.path)
	files, _ := os.ReadDir(dir) // one that stays does no harm
	for _, f := range files {
		if strings.HasPrefix(f.Name(), compactPrefix) {
			os.Remove(filepath.Join(dir, f.Name()))
		}
	}
}

func (s *Spool) step(name string) {
	failpoint.Hit("compact", name)
	if s.at != nil {
		s.at(name)
	}
}
