package sdjournal

import (
	"errors"
	"fmt"
	"syscall"
	"time"
	"unsafe"

	sd "github.com/coreos/go-systemd/v22/sdjournal"

	"github.com/journald-router/journald-router/journal"
)

// #include <stdlib.h>
// #include "reader.h"
import "C"

// position goes to where reading starts: the journal then stands on the entry
// before the first one to be read.
func (r *Reader) position() error {
	if err := r.chooseBoots(); err != nil {
		return err
	}
	if r.options.Once {
		if err := r.findLast(); err != nil {
			return err
		}
	}
	if err := r.seek(); err != nil {
		return err
	}
	if !r.options.Once || r.ended || r.c.moved != 0 || r.boots == earlierBoots {
		return nil
	}
	cursor, err := r.cursor()
	r.ended = cursor == r.last
	return err
}

// findLast notes the entry to end at.
func (r *Reader) findLast() error {
	none, err := r.seekLast()
	if err != nil {
		return err
	}
	if none {
		r.ended = true
		return nil
	}
	if r.last, err = r.journal.GetCursor(); err != nil {
		return err
	}
	r.lastTime, err = r.journal.GetRealtimeUsec()
	r.c.last = C.uint64_t(r.lastTime)
	return err
}

func (r *Reader) seek() error {
	switch r.options.After {
	case "":
	case journal.Head:
		return r.seekHead()
	default:
		return r.resume(r.options.After)
	}
	if t, ok := r.options.Start.Time(time.Now()); ok {
		return r.seekTime(t)
	}
	switch r.options.Start {
	case journal.Beginning:
		return r.seekHead()
	case journal.Boot:
		return r.seekBoot()
	}
	return r.seekTail()
}

func (r *Reader) seekHead() error {
	if err := r.journal.SeekHead(); err != nil {
		return err
	}
	return r.stand(journal.Head, false, true)
}

// seekTail goes to the last entry. In an empty journal everything that comes
// is new, so that is its head: libsystemd's tail would pass over the first.
func (r *Reader) seekTail() error {
	if err := r.journal.SeekTail(); err != nil {
		return err
	}
	return r.stepBack()
}

// stepBack goes to the entry before this one, which reading then starts after.
func (r *Reader) stepBack() error {
	n, err := r.journal.Previous()
	if err != nil {
		return err
	}
	if n == 0 {
		return r.seekHead()
	}
	return r.standHere()
}

// seekTime goes to before the first entry of that time or later. Where there
// is none, all are older, and it goes to the tail.
func (r *Reader) seekTime(t time.Time) error {
	last, err := r.lastNow()
	if err != nil {
		return err
	}
	if err := r.journal.SeekRealtimeUsec(uint64(max(t.UnixMicro(), 0))); err != nil {
		return err
	}
	n, err := r.journal.Next()
	if err != nil {
		return err
	}
	if n == 0 {
		return r.goOnAfter(last)
	}
	return r.stepBack()
}

// seekStart goes to where the running boot is to be read from, its earlier ones
// having been read.
func (r *Reader) seekStart() error {
	if t, ok := r.options.Start.Time(time.Now()); ok && r.options.After == "" {
		return r.journal.SeekRealtimeUsec(uint64(max(t.UnixMicro(), 0)))
	}
	return r.journal.SeekHead()
}

// seekBoot goes to before the first entry of the running boot, found by the
// journal's index: neither clock tells boots apart once it was set back. Where
// there is no entry of this boot yet, all are older, and it goes to the tail.
func (r *Reader) seekBoot() error {
	if r.boots == earlierBoots { // which are not wanted
		return r.seekTail()
	}
	boot, err := r.journal.GetBootID()
	if err != nil {
		return err
	}
	last, err := r.lastNow()
	if err != nil {
		return err
	}
	first, err := r.firstOf(boot)
	if err != nil {
		return err
	}
	if first == "" {
		return r.goOnAfter(last)
	}
	if _, err := r.seekCursor(first); err != nil {
		return err
	}
	return r.stepBack()
}

// resume goes to a saved cursor. Where its entry is gone, the nearest later one
// left is the first to be read, and Next reports the gap before it. Where the journal
// ended before it for a while, that is the first one written since.
func (r *Reader) resume(cursor string) error {
	if r.matched() {
		others, err := r.resumeAtOthers(cursor)
		if err != nil || others {
			return err
		}
	}
	found, same := false, false
	again, err := r.renumbered(cursor)
	switch {
	case err != nil:
	case again:
		found, err = r.goPast(cursor)
	default:
		found, same, err = r.goTo(cursor)
	}
	if errors.Is(err, syscall.EINVAL) {
		return fmt.Errorf("the saved position %q is not a journal cursor", cursor)
	}
	if err != nil {
		return err
	}
	return r.settle(cursor, found, same)
}

// readOn is resume for the entry that was read last. If files have come or gone
// since, Next then looks for a gap there.
func (r *Reader) readOn(cursor string, changed bool) error {
	if err := r.resume(cursor); err != nil {
		return err
	}
	if changed && r.c.before == nil {
		return r.stand(cursor, r.c.moved != 0, true)
	}
	return nil
}

// resumeAtOthers goes to a saved cursor that is of another machine's entry, and
// tells whether it is.
func (r *Reader) resumeAtOthers(cursor string) (bool, error) {
	gone, err := r.isGone(cursor)
	if err != nil || gone {
		return false, nil // resume will see
	}
	last, err := r.lastNow()
	if err != nil {
		return false, err
	}
	found, err := r.seekCursor(cursor)
	if err != nil {
		return false, err
	}
	if !found {
		return true, r.goOnAfter(last)
	}
	if same, err := r.isAt(cursor); err != nil || same {
		return false, err
	}
	return true, r.stand(cursor, true, false)
}

// lastNow goes to the last entry, and returns its cursor, or journal.Head. Going on
// from there, none is missed that is written meanwhile.
func (r *Reader) lastNow() (string, error) {
	if err := r.seekTail(); err != nil {
		return "", err
	}
	return r.cursor()
}

// goOnAfter goes to a cursor that lastNow has returned.
func (r *Reader) goOnAfter(last string) error {
	if last == journal.Head {
		return r.seekHead()
	}
	found, same, err := r.goTo(last)
	if err != nil {
		return err
	}
	return r.settle(last, found, same)
}

// settle stands where goTo has gone.
func (r *Reader) settle(cursor string, found, same bool) error {
	if cursor == journal.Head {
		return r.seekHead()
	}
	if !found {
		// All entries are older than the position: the journal was emptied, or
		// is another one. What has been written since that was found is read.
		r.resumedAfterLost = true
		return r.stand(cursor, false, true)
	}
	if same {
		r.countFrom(parseCursor(cursor))
		return r.stand(cursor, false, true)
	}
	r.resumedAfterLost = true
	return r.stand(cursor, true, true)
}

// seekCursor goes to the entry at the cursor, else to the nearest later one. It
// is false where there is neither.
func (r *Reader) seekCursor(cursor string) (found bool, err error) {
	if err := r.journal.SeekCursor(cursor); err != nil {
		return false, err
	}
	n, err := r.journal.Next()
	return n > 0, err
}

// isAt says whether the journal stands on the entry that the cursor is of.
func (r *Reader) isAt(cursor string) (bool, error) {
	err := r.journal.TestCursor(cursor)
	if !errors.Is(err, sd.ErrNoTestCursor) {
		return err == nil, err
	}
	here, err := r.journal.GetCursor()
	return err == nil && sameEntry(cursor, here), err
}

// isGone says whether the entry that the cursor is of, be it any machine's, has
// been deleted. It leaves the journal standing somewhere else.
func (r *Reader) isGone(cursor string) (bool, error) {
	if r.matched() {
		r.journal.FlushMatches()
	}
	there, err := r.seekCursor(cursor)
	if err == nil && there {
		there, err = r.isAt(cursor)
	}
	if r.matched() {
		err = errors.Join(err, r.setMatches(nil))
	}
	return !there, err
}

func (r *Reader) stand(cursor string, moved, vacuumed bool) error {
	text := C.CString(cursor)
	defer C.free(unsafe.Pointer(text))
	if n := C.reader_stand(r.c, text, flag(moved), flag(vacuumed)); n < 0 {
		return syscall.Errno(-n)
	}
	return nil
}

func (r *Reader) standHere() error {
	cursor, err := r.journal.GetCursor()
	if err != nil {
		return err
	}
	return r.stand(cursor, false, false)
}

func flag(b bool) C.int {
	if b {
		return 1
	}
	return 0
}

// lookForGap reports entries that were deleted between the one at the cursor
// before, read last, and the one that the reader stands on. Where one journald
// numbered both, the numbers tell how many, if all that it numbered is read. It is
// a gap if the earlier entry is gone, unless it has only been moved; if it is still
// there, entries after it that are missing cannot be read.
func (r *Reader) lookForGap(before string) error {
	gone := r.resumedAfterLost
	r.resumedAfterLost = false
	after, err := r.cursor()
	if err != nil || r.c.lost != 0 {
		return err
	}
	p, q := parseCursor(before), parseCursor(after)
	defer func() { r.countFrom(q) }()
	if before == journal.Head {
		r.reportDamage(uint64(r.c.damaged), p, q)
		return nil
	}
	behind := uint64(r.c.before_behind)
	r.tallyUpTo(p, behind+1)
	var missing uint64
	if p.numberedWith(q) && q.seqnum > p.seqnum+behind && (!r.matched() || q.seqnum == p.seqnum+behind+1) {
		if missing = q.seqnum - p.seqnum - behind - 1; missing == 0 {
			return nil
		}
	}
	if gone {
		r.reportGap(r.counts(missing), p, q)
		return nil
	}
	next := ""
	if r.matched() {
		gone, err = r.isGone(before)
	} else {
		next, gone, err = r.nextAfter(before)
	}
	if err != nil {
		return err
	}
	if !gone && missing > 0 && next != "" && next != after && behind == 0 { // libsystemd had gone astray
		q = p
		return r.stand(before, true, true)
	}
	found, same, err := r.goTo(after)
	if err != nil {
		return err
	}
	if !same { // it has been deleted since it was found
		q = p
		return r.settle(before, found, false)
	}
	switch {
	case gone:
		r.reportGap(r.counts(missing), p, q)
	case missing > 0:
		r.reportDamage(r.counts(missing), p, q)
	}
	return nil
}
