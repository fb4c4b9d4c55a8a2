package sdjournal

import (
	"errors"
	"fmt"
	"syscall"
	"unsafe"
)

// #include "reader.h"
import "C"

// By the index the reader reads some entries, and gives them out only once it is
// certain that none is missing between them: where the index leads to an entry that is
// damaged, libsystemd drops the whole file, without a word, but the handle then has
// less open than before (sd_journal_get_usage(3)). Otherwise what was read is thrown
// away, and scanned.

// atOnce is how many entries of the index are read before that is looked at. Tests
// make it fewer.
var atOnce uint64 = 512

// readIndex reads some of the index. Where there is no more it goes on as noNext does.
func (r *Reader) readIndex() error {
	from, err := r.cursor()
	if err != nil {
		return fmt.Errorf("read journal: %w", err)
	}
	cut := r.c.cut
	r.countFrom(place{})
	n := C.reader_collect(r.c, C.uint64_t(atOnce), aheadRoom)
	r.noStretch()
	// give counts those of what is given out.
	r.c.cut = cut
	if n < 0 { // what was read before that is read again
		return errors.Join(fmt.Errorf("read journal: %w", syscall.Errno(-n)), r.takeBack(from, n))
	}
	if !r.areWhole(n) {
		return r.takeBack(from, n)
	}
	r.stuck = false
	end, err := r.cursor()
	if err != nil {
		return fmt.Errorf("read journal: %w", err)
	}
	r.ahead.now = collected{end: end, entries: C.GoBytes(unsafe.Pointer(r.c.collected.data), C.int(r.c.collected.len))}
	r.ahead.away = len(r.ahead.now.entries) > 0
	if r.ahead.away { // none of them is given out yet
		return r.claim(from)
	}
	if n == 0 {
		return r.noNext()
	}
	return nil
}

// areWhole says whether what was read is all that there is up to where the handle
// stands; n is what ended the reading.
func (r *Reader) areWhole(n C.int) bool {
	if n == C.READER_LOOK || n == C.READER_STUCK || r.c.damaged > 0 || r.c.lost != 0 || r.c.before != nil {
		return false
	}
	return r.allOpen()
}

// allOpen says whether it is certain that the handle has all files open that it had
// when the index was taken to.
func (r *Reader) allOpen() bool {
	usage, err := r.journal.GetUsage()
	if err != nil || usage == r.indexUsage {
		return err == nil
	}
	// A file that journald deletes it empties first: that libsystemd then drops it, too,
	// what is there does not tell.
	if usage < r.indexUsage || !r.noneMissed() {
		return false
	}
	r.indexUsage = usage // journald has written
	return true
}

// noneMissed says whether it is certain that the handle has all files open that there are.
func (r *Reader) noneMissed() bool {
	missed, _, err := r.missed()
	return err == nil && missed <= r.passedOver
}

// takeBack scans from the cursor on. A handle that has dropped a file is of no use for
// that.
func (r *Reader) takeBack(from string, n C.int) error {
	if err := r.claim(from); err != nil {
		return err
	}
	r.patience = min(2*r.patience, maxPatience)
	// What has only come or gone is no reason to walk.
	if err := r.process(); err != nil {
		return err
	}
	leave := r.leaveIndex
	if n == C.READER_STUCK || !r.noneMissed() {
		leave = r.walkBack
	}
	if err := leave(); err != nil {
		return fmt.Errorf("read journal: %w", err)
	}
	return nil
}

// pastEnd says whether the index has led beyond the entry to end at with Options.Once,
// which need not be in it.
func (r *Reader) pastEnd() (bool, error) {
	if r.c.indexed == 0 || !r.options.Once || r.boots == earlierBoots || uint64(r.c.realtime) < r.lastTime {
		return false, nil
	}
	cursor, err := r.cursor()
	if err != nil {
		return false, err
	}
	behind := parseCursor(cursor).compare(parseCursor(r.last))
	r.ended = behind == 0
	return behind > 0, nil
}
