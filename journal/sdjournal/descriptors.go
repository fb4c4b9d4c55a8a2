package sdjournal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	sd "github.com/coreos/go-systemd/v22/sdjournal"
)

// #include "reader.h"
import "C"

// ErrTooFewDescriptors is returned by Open, and by Next and Wait when files have
// come: libsystemd passes over the files that it has no descriptors for, without
// a word.
var ErrTooFewDescriptors = errors.New("too few file descriptors")

// inode tells one file from another.
type inode struct{ dev, ino uint64 }

func inodeOf(path string) (inode, error) {
	var st syscall.Stat_t
	if err := syscall.Stat(path, &st); err != nil {
		return inode{}, err
	}
	return inode{uint64(st.Dev), st.Ino}, nil
}

// checkFilesIfChanged makes sure that the journal's files are open, once a second
// at most, and only where files came or went since the last time.
func (r *Reader) checkFilesIfChanged() error {
	if time.Since(r.filesChecked) < time.Second {
		return nil
	}
	r.filesChecked = time.Now()
	changed := r.options.watch.changes()
	if slices.Equal(changed, r.changed) {
		return nil
	}
	if n := C.reader_process(r.c); n < 0 { // opens what has come
		return fmt.Errorf("look for new journal files: %w", syscall.Errno(-n))
	}
	missed, total, err := r.missedFile()
	if err != nil {
		return fmt.Errorf("read journal: %w", tooFew(total, err))
	}
	if missed != "" { // Open will find out why
		return fmt.Errorf("read journal: %s is not being read", missed)
	}
	r.changed = changed
	return nil
}

// checkFiles returns ErrTooFewDescriptors if a file of the journal is not open for
// want of a descriptor. The reader stands nowhere yet.
func (r *Reader) checkFiles() error {
	for attempt := 0; ; attempt++ {
		missed, total, err := r.missedFile()
		if err != nil || missed == "" {
			return tooFew(total, err)
		}
		// It may have come just now, or there may be descriptors again.
		if attempt == 2 {
			return tooFew(total, syscall.EMFILE)
		}
		if err := r.renew(); err != nil {
			return tooFew(total, err)
		}
	}
}

// missedFile returns a file of the journal that is not open, but could be, and
// how many files there are in all.
func (r *Reader) missedFile() (missed string, total int, err error) {
	closed, total, err := r.closedFiles()
	for _, path := range closed {
		alone, err := sd.NewJournalFromFiles(path)
		if err == nil {
			alone.Close()
			return path, total, nil
		}
		if lacksDescriptors(err) {
			return "", total, err
		}
		// Of itself libsystemd refuses it: it is damaged.
	}
	return "", total, err
}

// closedFiles lists the readable files of the journal that are not open, and
// counts them all.
func (r *Reader) closedFiles() (closed []string, total int, err error) {
	open := make(map[inode]bool)
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return nil, 0, err
	}
	for _, fd := range fds {
		if i, err := inodeOf(filepath.Join("/proc/self/fd", fd.Name())); err == nil {
			open[i] = true
		}
	}
	for _, dir := range r.dirs {
		if dir.file == nil {
			continue
		}
		files, err := journalFiles(dir.path, r.options.Directory != "")
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, total, err
		}
		total += len(files)
		for _, path := range files {
			i, err := inodeOf(path)
			if err == nil && !open[i] && syscall.Access(path, 4) == nil {
				closed = append(closed, path)
			}
		}
	}
	return closed, total, nil
}

func lacksDescriptors(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// tooFew says what to do about an error that tells of too few descriptors.
func tooFew(files int, err error) error {
	if !lacksDescriptors(err) {
		return err
	}
	var limit syscall.Rlimit
	syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit)
	of := "files"
	if files > 0 {
		of = strconv.Itoa(files) + " files"
	}
	return fmt.Errorf("%w: the journal has %s, and this process may open %d files in all: "+
		"raise LimitNOFILE= in the systemd unit, or `ulimit -n`, or have journald keep fewer files", ErrTooFewDescriptors, of, limit.Cur)
}
