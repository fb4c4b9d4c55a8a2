package sdjournal

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
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

// ErrTooFewWatches is returned by Open, and by Next where it has to open the journal
// anew: each handle takes one inotify(7) instance.
var ErrTooFewWatches = errors.New("too few inotify instances")

// maxFiles is how many files libsystemd opens at most (JOURNAL_FILES_MAX in systemd's
// sd-journal.c).
const maxFiles = 7168

// Which files a handle has open libsystemd does not tell, but what they take on the
// disk (sd_journal_get_usage(3)): where that is less than what all files take, some are
// not open. The process's descriptors do not tell, as there may be other handles.

// A file is one of the journal's that may be read.
type file struct {
	path     string
	dev, ino uint64
	bytes    uint64 // that it takes on the disk
}

// files lists the journal's files.
func (r *Reader) files() (files []file, err error) {
	dirs, err := searched(r.options)
	if err != nil {
		return nil, err
	}
	for _, dir := range dirs {
		err := list(dir, func(e fs.DirEntry) {
			path := filepath.Join(dir, e.Name())
			var st syscall.Stat_t
			if isJournal(e) && syscall.Stat(path, &st) == nil && st.Mode&syscall.S_IFMT == syscall.S_IFREG && syscall.Access(path, 4) == nil {
				files = append(files, file{path, uint64(st.Dev), st.Ino, uint64(st.Blocks) * 512})
			}
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) {
			return nil, err
		}
	}
	return files, nil
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
	if err := r.process(); err != nil { // opens what has come
		return err
	}
	missed, files, err := r.missed()
	if errors.Is(err, errUnsettled) {
		return nil // in a second
	}
	if err != nil {
		return fmt.Errorf("read journal: %w", tooFew(files, err))
	}
	if missed > r.passedOver { // Open will find out why
		return fmt.Errorf("read journal: what has come is not being read, a file of %d bytes or several", missed-r.passedOver)
	}
	r.changed = changed
	return nil
}

// checkFiles returns ErrTooFewDescriptors if a file of the journal is not open for
// want of a descriptor. The reader stands nowhere yet.
func (r *Reader) checkFiles() error {
	for attempt := 0; ; attempt++ {
		missed, files, err := r.missed()
		switch {
		case errors.Is(err, errUnsettled):
			r.changed = nil // looks again soon
			return nil
		case err != nil || missed == 0:
			return tooFew(files, err)
		case files > maxFiles:
			return fmt.Errorf("the journal has %d files, and libsystemd opens %d at most: have journald keep fewer files", files, maxFiles)
		}
		// It may have come just now, or there may be descriptors again.
		if attempt == 2 {
			left, err := descriptorsLeft()
			if err != nil || left < files {
				return tooFew(files, cmp.Or[error](err, syscall.EMFILE))
			}
			r.passedOver = missed // there are enough: it has another reason
			return nil
		}
		if err := r.renew(); err != nil {
			return tooFew(files, err)
		}
	}
}

// errUnsettled is returned while a file is being made, or deleted.
var errUnsettled = errors.New("the files of the journal are changing")

// missed returns how many bytes there are in files of the journal that are not open,
// but could be, and how many files there are in all.
func (r *Reader) missed() (bytes uint64, total int, err error) {
	files, usage, err := r.measure()
	if err != nil {
		return 0, len(files), err
	}
	// A file that takes no room yet may be open or not.
	settled := !slices.ContainsFunc(files, func(f file) bool { return f.bytes == 0 })
	files = slices.DeleteFunc(files, func(f file) bool { return r.options.watch.refused[f] })
	if bytesOf(files) > usage {
		for i := range files {
			// Of itself libsystemd refuses what is damaged, or not finished.
			refused, err := refuses(files[i].path)
			if err != nil {
				return 0, len(files), err
			}
			const youth = 10 * time.Second
			info, err := os.Stat(files[i].path)
			switch {
			case !refused:
			case err != nil || time.Since(info.ModTime()) < youth:
				settled = false
				files[i].bytes = 0
			default:
				r.options.watch.refused[files[i]] = true
				files[i].bytes = 0
			}
		}
	}
	switch open := bytesOf(files); {
	case open > usage:
		return open - usage, len(files), nil
	case !settled:
		return 0, len(files), errUnsettled
	}
	return 0, len(files), nil
}

// refuses says whether libsystemd does not open the file. The error is that there is no
// descriptor to find out.
func refuses(path string) (bool, error) {
	alone, err := sd.NewJournalFromFiles(path)
	if err == nil {
		return false, alone.Close()
	}
	if lacksDescriptors(err) {
		return false, err
	}
	return true, nil
}

// measure returns the files, and how much of the disk those take that are open, at a
// moment when they do not change.
func (r *Reader) measure() (files []file, usage uint64, err error) {
	for range 3 {
		if files, err = r.files(); err != nil {
			return nil, 0, err
		}
		if usage, err = r.journal.GetUsage(); err != nil {
			return files, 0, err
		}
		after, err := r.files()
		if err != nil || slices.Equal(files, after) {
			return files, usage, err
		}
	}
	return files, 0, errUnsettled
}

func bytesOf(files []file) (bytes uint64) {
	for _, f := range files {
		bytes += f.bytes
	}
	return bytes
}

func lacksDescriptors(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// watchError says which is lacking where a handle cannot watch the directories: for
// both the kernel has the same error.
func watchError(n syscall.Errno) error {
	err := fmt.Errorf("watch the journal's directories: %w", n)
	if n != syscall.EMFILE {
		return err
	}
	f, lacks := os.Open(os.DevNull)
	if lacks != nil {
		return err
	}
	f.Close()
	return fmt.Errorf("%w: this user has fs.inotify.max_user_instances of them: raise that by sysctl; "+
		"a directory of several machines' journals takes one for each machine", ErrTooFewWatches)
}

// descriptorsLeft is how many files this process may open beside those that it has.
func descriptorsLeft() (int, error) {
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0, err
	}
	limit, err := descriptorLimit()
	return int(min(limit, math.MaxInt)) - len(open), err
}

func descriptorLimit() (uint64, error) {
	var limit syscall.Rlimit
	err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit)
	return limit.Cur, err
}

// tooFew says what to do about an error that tells of too few descriptors.
func tooFew(files int, err error) error {
	if !lacksDescriptors(err) {
		return err
	}
	limit, _ := descriptorLimit()
	has := ""
	if files > 0 {
		has = fmt.Sprintf("the journal has %d files, and ", files)
	}
	return fmt.Errorf("%w: %sthis process may open %d files in all: "+
		"raise LimitNOFILE= in the systemd unit, or `ulimit -n`, or have journald keep fewer files", ErrTooFewDescriptors, has, limit)
}
