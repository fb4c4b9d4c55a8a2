package sdjournal

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// #include "reader.h"
import "C"

// The reasons for Open to fail that only the administrator can mend. The errors
// that wrap them say how.
var (
	ErrNoJournal    = errors.New("there is no journal")
	ErrNoPermission = errors.New("no permission to read the journal")
	ErrNoLibrary    = errors.New("libsystemd is missing")
)

var load = sync.OnceValue(func() error {
	if problem := C.reader_load(); problem != nil {
		return fmt.Errorf("%w: %s: install it (Debian and Ubuntu: apt-get install libsystemd0)", ErrNoLibrary, C.GoString(problem))
	}
	return nil
})

// A directory is one where the journal keeps its files, or will. It is kept open
// to tell one that was deleted and made anew from the old one: the new one
// cannot get the number of an inode that is still in use.
type directory struct {
	path string
	file *os.File // nil: does not exist
}

func closeDirectories(dirs []directory) {
	for _, d := range dirs {
		d.file.Close() // nil is fine
	}
}

// replaced says whether there is a directory at the path that is not this one.
func (d directory) replaced() bool {
	there, err := os.Stat(d.path)
	if err != nil {
		return false
	}
	if d.file == nil {
		return true
	}
	this, err := d.file.Stat()
	return err != nil || !os.SameFile(this, there)
}

// directories returns where the files of the journal are, existing or not; but
// ErrNoJournal if none of them exists.
func directories(o Options) ([]directory, error) {
	var paths []string
	switch {
	case o.Directory != "" && o.Namespace != "":
		return nil, errors.New("a directory and a namespace are both set: want one of them")
	case o.Directory != "":
		paths = []string{o.Directory}
	default:
		id, err := machineID()
		if err != nil {
			return nil, err
		}
		if o.Namespace != "" {
			id += "." + o.Namespace
		}
		paths = []string{"/var/log/journal/" + id, "/run/log/journal/" + id}
	}
	var dirs []directory
	found := false
	for _, path := range paths {
		f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_DIRECTORY, 0)
		switch {
		case err == nil:
			found = true
		case errors.Is(err, fs.ErrNotExist):
			f = nil
		case errors.Is(err, fs.ErrPermission):
			err = denied(path)
			fallthrough
		default:
			closeDirectories(dirs)
			return nil, err
		}
		dirs = append(dirs, directory{path, f})
	}
	if found {
		return dirs, nil
	}
	missing := fmt.Errorf("%w: %s", ErrNoJournal, strings.Join(paths, " and ")+plural(len(paths), " does not exist", " do not exist"))
	switch {
	case o.Directory != "":
		return nil, fmt.Errorf("%w: name a directory that holds *.journal files", missing)
	case o.Namespace != "":
		return nil, fmt.Errorf("%w: start a unit that has LogNamespace=%s in its [Service] section; "+
			"`systemctl status systemd-journald@%s` tells whether the namespace is running", missing, o.Namespace, o.Namespace)
	}
	return nil, fmt.Errorf("%w: is systemd-journald running? `systemctl status systemd-journald` tells; "+
		"in a container, mount the host's /var/log/journal, /run/log/journal and /etc/machine-id", missing)
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// machineID is what libsystemd goes by, machine-id(5).
func machineID() (string, error) {
	text, err := os.ReadFile("/etc/machine-id")
	id := string(bytes.TrimSpace(text))
	if _, bad := hex.DecodeString(id); err == nil && (bad != nil || len(id) != 32) {
		err = fmt.Errorf("/etc/machine-id holds no machine id")
	}
	if err != nil {
		return "", fmt.Errorf("%w: journald names its directory after the machine id, but: %w: run systemd-machine-id-setup", ErrNoJournal, err)
	}
	return id, nil
}

// checkAccess finds out whether the journal's files can be read: libsystemd
// passes over those that cannot without a word, and a reader without rights
// sees an empty journal. Other users' own files (user-UID.journal) may be
// out of reach as long as something else is not.
func checkAccess(dirs []directory, o Options) error {
	readable, refused := false, ""
	for _, dir := range dirs {
		if dir.file == nil {
			continue
		}
		files, err := journalFiles(dir.path, o.Directory != "")
		if err != nil {
			return err
		}
		for _, path := range files {
			f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
			switch {
			case err == nil:
				f.Close()
				readable = true
			case errors.Is(err, fs.ErrNotExist): // rotated away just now
			case !errors.Is(err, fs.ErrPermission):
				return err
			case !strings.HasPrefix(filepath.Base(path), "user-"):
				return denied(path)
			default:
				refused = path
			}
		}
	}
	if refused != "" && !readable {
		return denied(refused)
	}
	return nil
}

// denied says how to get the right to read path: by the group that has it.
func denied(path string) error {
	group := "systemd-journal" // journald's own, systemd-journald.service(8)
	if st, err := os.Stat(path); err == nil && st.Mode().Perm()&0o040 != 0 {
		if sys, ok := st.Sys().(*syscall.Stat_t); ok && sys.Gid != 0 {
			if g, err := user.LookupGroupId(strconv.FormatUint(uint64(sys.Gid), 10)); err == nil {
				group = g.Name
			}
		}
	}
	name := "USER"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	return fmt.Errorf("%w: %s: %w: run as root, or `usermod -aG %s %s` and log in again; in a systemd unit, SupplementaryGroups=%[4]s",
		ErrNoPermission, path, fs.ErrPermission, group, name)
}

// reopenIfMoved opens the journal anew when a directory has come up that
// libsystemd would not notice: that of a namespace, one whose parent was
// missing, one that was deleted and made again. It looks once a second.
func (r *Reader) reopenIfMoved() error {
	if r.c.moved != 0 || time.Since(r.checked) < time.Second {
		return nil
	}
	r.checked = time.Now()
	if !slices.ContainsFunc(r.dirs, directory.replaced) {
		return nil
	}
	return r.reopen()
}

// reopen opens the journal anew, and goes to the entry that the reader stands on.
func (r *Reader) reopen() error {
	r.closeAhead()
	cursor, err := r.cursor()
	if err != nil {
		return err
	}
	fresh := &Reader{options: r.options, keep: r.keep, sieves: r.sieves, lastTime: r.lastTime, boots: r.boots, bootIDs: r.bootIDs}
	fresh.options.After = cursor
	if err = fresh.open(); err == nil {
		err = fresh.seek()
	}
	if err == nil {
		r.tally(cursor)
		r.journal, fresh.journal = fresh.journal, r.journal
		r.c, fresh.c = fresh.c, r.c
		r.dirs, fresh.dirs = fresh.dirs, r.dirs
		r.changed, r.passedOver = fresh.changed, fresh.passedOver
		r.resumedAfterLost, r.counted = fresh.resumedAfterLost, fresh.counted
	}
	if err := errors.Join(err, fresh.Close()); err != nil {
		return fmt.Errorf("reopen journal: %w", tooFew(0, err))
	}
	return nil
}
