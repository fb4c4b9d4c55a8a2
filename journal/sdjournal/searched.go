package sdjournal

import (
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// journalFiles lists the journal files in a directory and, if deep, in those
// below it that libsystemd looks into: the ones named by a machine id.
func journalFiles(dir string, deep bool) (files []string, err error) {
	dirs := []string{dir}
	if deep {
		below, err := below(dir, isMachine)
		if err != nil {
			return nil, err
		}
		dirs = append(dirs, below...)
	}
	for _, dir := range dirs {
		err := list(dir, func(e fs.DirEntry) {
			if isJournal(e) {
				files = append(files, filepath.Join(dir, e.Name()))
			}
		})
		if err != nil && (dir == dirs[0] || !errors.Is(err, fs.ErrNotExist)) {
			return nil, err
		}
	}
	return files, nil
}

// searched lists the directories where libsystemd looks for files, existing or not
// (add_search_paths and directory_enumerate in systemd's sd-journal.c).
func searched(o Options) (dirs []string, err error) {
	if o.Directory != "" {
		dirs, err = below(o.Directory, isMachine)
		return append(dirs, o.Directory), err
	}
	local, err := machineID()
	if err != nil {
		return nil, err
	}
	for _, root := range []string{"/run/log/journal", "/var/log/journal"} {
		more, err := below(root, func(name string) bool {
			id, namespace, _ := strings.Cut(name, ".")
			return isMachine(id) && namespace == o.Namespace && (plainID(id) == local || strings.HasPrefix(root, "/run/"))
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) {
			return nil, err
		}
		dirs = append(append(dirs, root), more...)
	}
	return dirs, nil
}

// list calls found for what is in the directory.
func list(dir string, found func(fs.DirEntry)) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrPermission) {
		return denied(dir)
	}
	for _, e := range entries {
		found(e)
	}
	return err
}

// below lists the directories in this one that have a name to look into.
func below(dir string, named func(string) bool) (dirs []string, err error) {
	err = list(dir, func(e fs.DirEntry) {
		path := filepath.Join(dir, e.Name())
		if !named(e.Name()) {
			return
		}
		if there, err := os.Stat(path); err == nil && there.IsDir() {
			dirs = append(dirs, path)
		}
	})
	return dirs, err
}

func isJournal(e fs.DirEntry) bool {
	return !e.IsDir() && (strings.HasSuffix(e.Name(), ".journal") || strings.HasSuffix(e.Name(), ".journal~"))
}

// isMachine says whether it is a machine id in either of its forms, with or without
// dashes.
func isMachine(name string) bool {
	id := plainID(name)
	_, err := hex.DecodeString(id)
	dashed := len(name) == 36 && name[8] == '-' && name[13] == '-' && name[18] == '-' && name[23] == '-'
	return err == nil && len(id) == 32 && (dashed || len(name) == 32)
}

func plainID(id string) string { return strings.ToLower(strings.ReplaceAll(id, "-", "")) }

// A watch notices that files have come to where libsystemd looks for them, or have
// gone. Readers of one journal may share it.
type watch struct {
	options Options
	looked  time.Time
	times   []changed
	stale   bool // there may be other directories by now

	refused map[file]bool // by libsystemd, as damaged
}

func newWatch(o Options) *watch { return &watch{options: o, stale: true, refused: make(map[file]bool)} }

// changed is when a directory was changed last; zero if it does not exist, or if it
// could change again without that being seen in its time.
type changed struct {
	dir  string
	when time.Time
}

// changes are the times of the last change to each directory, as of now or a moment
// ago. To notice a change it takes no descriptor, but it takes one to find a new
// directory; the one that it is in has changed then, too.
func (w *watch) changes() []changed {
	if time.Since(w.looked) < time.Second/2 {
		return w.times
	}
	w.looked = time.Now()
	now := changesOf(w.times)
	// A directory may come while those that are there are listed.
	for range 5 {
		if !w.stale && slices.Equal(now, w.times) {
			break
		}
		w.stale = true
		dirs, err := searched(w.options)
		if err != nil {
			break
		}
		then := now
		now = nil
		for _, dir := range dirs {
			now = append(now, changed{dir: dir})
		}
		now = changesOf(now)
		w.stale = !slices.Equal(then, now)
		w.times = now
	}
	w.times = now
	return now
}

func changesOf(dirs []changed) []changed {
	const tick = 100 * time.Millisecond // of the clock for files, at most 10 ms, and room
	at := time.Now()
	now := make([]changed, len(dirs))
	for i, d := range dirs {
		now[i].dir = d.dir
		if info, err := os.Stat(d.dir); err == nil && info.ModTime().Add(tick).Before(at) {
			now[i].when = info.ModTime()
		}
	}
	return now
}
