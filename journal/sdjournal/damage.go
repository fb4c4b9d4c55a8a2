package sdjournal

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	sd "github.com/coreos/go-systemd/v22/sdjournal"

	"github.com/journald-router/journald-router/journal"
)

// #include "reader.h"
import "C"

// libsystemd passes over damage in three ways: it fails for a field, and the
// C code passes over the entry; it leaves entries out, or drops the rest of a
// file, without a word. The numbers that journald gives to entries tell how many
// there should have been.

// tally compares how far the numbers have come since the last tally with how
// many entries were gone through, and reports those that are missing. The
// cursor is that of the entry that the reader stands on.
func (r *Reader) tally(cursor string) {
	if r.c.lost != 0 || r.c.indexed != 0 || cursor == journal.Head {
		return
	}
	at := parseCursor(cursor)
	r.tallyUpTo(at, 0)
	r.countFrom(at)
}

// tallyUpTo is tally for the entry that the reader stood on so many entries ago.
func (r *Reader) tallyUpTo(at place, ago uint64) {
	from, walked, missing := r.counted, uint64(r.c.walked)-ago, uint64(r.c.damaged)
	if from.numberedWith(at) && at.seqnum > from.seqnum && at.seqnum-from.seqnum > walked && r.numbersTell() && !r.refused() {
		missing += at.seqnum - from.seqnum - walked
	}
	if missing == 0 {
		return
	}
	if r.deleted(from) {
		r.reportGap(missing, from, at)
	} else {
		r.reportDamage(missing, from, at)
	}
}

// deleted says whether the journal begins after that place now. What journald
// deletes it first makes empty, and that looks as if it were damaged.
func (r *Reader) deleted(p place) bool {
	j, err := openHandle(r.options)
	if err != nil {
		return false
	}
	defer j.Close()
	if err := j.SeekHead(); err != nil {
		return false
	}
	if n, err := j.Next(); err != nil || n == 0 {
		return err == nil
	}
	head, err := j.GetCursor()
	return err == nil && parseCursor(head).after(p)
}

// countFrom has the next tally begin at the entry that the reader stands on.
// Without a source there it counts nothing, as r.countFrom(place{}).
func (r *Reader) countFrom(at place) {
	r.counted, r.c.walked, r.c.damaged = at, 0, 0
}

func (r *Reader) reportGap(entries uint64, from, to place) {
	if r.options.OnGap != nil {
		r.options.OnGap(journal.Gap{After: from.time(), Until: to.time(), Entries: entries})
	}
}

func (r *Reader) reportDamage(entries uint64, from, to place) {
	if entries > 0 && r.options.OnDamage != nil {
		r.options.OnDamage(journal.Damage{After: from.time(), Until: to.time(), Entries: entries})
	}
}

// refused says whether there are files that may not be opened: users' own ones,
// whose entries have numbers too.
func (r *Reader) refused() bool {
	for _, dir := range r.dirs {
		files, err := journalFiles(dir.path, r.options.Directory != "")
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return true
		}
		for _, path := range files {
			if err := syscall.Access(path, 4); errors.Is(err, fs.ErrPermission) {
				return true
			}
		}
	}
	return false
}

// unstick opens the journal anew. libsystemd looks for the next entry in all
// files and notes what it has found; where one has been damaged since, it
// fails for ever, but a new handle passes over it. That also finds the way back
// where the old one has lost it.
func (r *Reader) unstick() error {
	if r.stuck {
		return fmt.Errorf("read journal: %w", syscall.EBADMSG)
	}
	r.stuck = true
	if err := r.walkBack(); err != nil {
		return fmt.Errorf("find the way in a damaged journal: %w", err)
	}
	return nil
}

// walkBack goes to the entry that the reader stands on.
func (r *Reader) walkBack() error {
	behind := uint64(r.c.behind)
	if r.c.lost == 0 {
		behind = 0
	}
	cursor, err := r.Cursor()
	if err != nil {
		return err
	}
	if r.c.indexed != 0 { // the new handle has no matches, and all that is between
		behind = 0
		r.scan(cursor)
	}
	found, same, err := r.walk(cursor)
	if err != nil {
		return err
	}
	if !same || behind == 0 {
		return r.settle(cursor, found, same)
	}
	for ; behind > 0; behind-- {
		if n, err := r.journal.Next(); err != nil || n == 0 {
			return err
		}
	}
	return r.standHere()
}

// tellOfCuts passes on what C has counted.
func (r *Reader) tellOfCuts() {
	if r.c.cut > 0 && r.options.OnCut != nil {
		r.options.OnCut(uint64(r.c.cut))
	}
	r.c.cut = 0
}

// goTo goes to the entry at the cursor, else to the nearest later one that is
// left. found is false where there is neither; it has gone to the last entry then,
// or to the head of an empty journal. libsystemd finds an entry by
// bisection; where that comes upon a damaged entry, it does not look behind it,
// or drops the file. So what it finds is believed only if it is the entry
// itself. Otherwise the way there is walked.
func (r *Reader) goTo(cursor string) (found, same bool, err error) {
	if found, err = r.seekCursor(cursor); err != nil {
		return false, false, err
	}
	if found {
		if same, err = r.isAt(cursor); err != nil || same {
			return true, same, err
		}
	}
	return r.walk(cursor)
}

// walk is goTo by going forward from the head: a second for a million entries.
// Each way is gone with a new handle, which has all files.
func (r *Reader) walk(cursor string) (found, same bool, err error) {
	want := parseCursor(cursor)
	if err := r.renew(); err != nil || cursor == journal.Head {
		return false, false, tooFew(0, err)
	}
	none, err := r.seekLast()
	if err != nil {
		return false, false, err
	}
	if none {
		return false, false, r.journal.SeekHead()
	}
	if last, err := r.here(); err == nil && want.after(last) {
		return false, false, nil
	}
	later, same, err := r.walkFromHead(cursor)
	if later == "" || same || err != nil {
		return same, same, err
	}
	_, found, err = r.walkFromHead(later)
	return found, false, err
}

// walkFromHead goes to the entry, and returns the cursor of the first one on the
// way that is later.
func (r *Reader) walkFromHead(cursor string) (later string, same bool, err error) {
	if err := r.renew(); err != nil {
		return "", false, tooFew(0, err)
	}
	if err := r.journal.SeekHead(); err != nil {
		return "", false, err
	}
	want := parseCursor(cursor)
	for first := true; ; first = false {
		n, err := r.journal.Next()
		if err != nil || n == 0 {
			return later, false, err
		}
		if t, err := r.journal.GetRealtimeUsec(); err != nil || t < want.realtime {
			continue
		}
		if same, err := r.isAt(cursor); err != nil || same {
			return later, same, err
		}
		here, err := r.journal.GetCursor()
		p := parseCursor(here)
		if err != nil || !p.after(want) {
			continue
		}
		if later == "" {
			later = here
		}
		if p.source == want.source || first {
			return later, false, nil
		}
	}
}

// renew opens the journal anew. It stands nowhere then; after an error the reader
// is of no more use, and every call says so. The old handle goes first: there may not
// be descriptors for both.
func (r *Reader) renew() error {
	r.c.journal = nil
	r.journal.Close()
	r.journal = new(sd.Journal) // which refuses everything
	fresh, err := openHandle(r.options)
	if err != nil {
		return err
	}
	r.journal = fresh
	if n := C.reader_use(r.c, handle(r.journal)); n < 0 {
		return watchError(syscall.Errno(-n))
	}
	return r.narrow()
}

// nextAfter goes to the entry at the cursor, and on to the next one, whose cursor
// it returns; or it says that the entry is gone.
func (r *Reader) nextAfter(cursor string) (next string, gone bool, err error) {
	_, there, err := r.goTo(cursor)
	if err != nil || !there {
		return "", true, err
	}
	n, err := r.journal.Next()
	if err != nil || n == 0 {
		return "", false, err
	}
	next, err = r.journal.GetCursor()
	return next, false, err
}

// here is the place of the entry that the journal stands on.
func (r *Reader) here() (place, error) {
	cursor, err := r.journal.GetCursor()
	return parseCursor(cursor), err
}
