package sdjournal

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"slices"
	"syscall"

	"github.com/journald-router/journald-router/journal"
)

// #include <stdlib.h>
// #include "reader.h"
import "C"

// A backlog is scanned by two handles, as going through the fields of every entry is all
// that there is to do: while the reader scans one stretch of the journal, a second
// handle, in a thread of its own (collect.go), scans the next one and collects what the
// sieve lets through. The reader takes that over when it has come to where the second
// one began, gives it out, and goes on behind it.
//
// What was collected is taken only if it is certain to be what the reader would have
// read itself: the reader stands on the very entry after which the second handle began;
// journald's numbers of all that this went through follow one another, without a hole
// or another journald's; nothing of it was damaged; no file came or went. Otherwise it
// is thrown away, and the reader goes on by itself, which sees to all that. Nor is it
// ever about the journal's last entries: whoever follows the journal has one handle.
//
// By the index one handle reads: there two get in each other's way, as much of the time
// goes into mapping the files' pages.

// stretch is how many entries a handle scans before the other one's turn: some 20 ms.
// Tests make it shorter.
var stretch uint64 = 16 << 10

const (
	// fewWanted: where more than one of so many entries is wanted, giving them out is
	// most of the work, and who takes them needs the processor.
	fewWanted = 10
	// maxRefused is how often in a row what was collected may be of no use before
	// the reader goes on alone: for good, as the reason is mostly in the journal.
	maxRefused = 3
)

// ahead is the reader's end of the second handle.
type ahead struct {
	jobs    chan job
	results chan collected
	busy    bool // a job was given, and its result not taken

	now       collected      // what is given out
	given     collectedEntry // the last of it
	giving    bool           // that is the reader's entry,
	claimed   bool           // and the reader's position
	gave      uint           // entries, to look at files only now and then
	away      bool           // the reader's handle does not stand on that
	refused   int            // in a row
	changes   C.uint         // of the reader's files, by the last look
	wentAhead uint64         // entries, in all
}

// mayLookAhead says whether what is read are simply all entries, one after the other,
// and there is a processor to spare.
func (r *Reader) mayLookAhead() bool {
	return r.ahead.refused < maxRefused && r.boots == allBoots && !r.matched() && r.c.orphans == 0 &&
		r.c.indexed == 0 && r.c.moved == 0 && r.c.before == nil && runtime.GOMAXPROCS(0) > 1
}

// lookAhead is called before every step. It gives the second handle a stretch to scan
// where there is a backlog, and takes what that has collected once the reader stands
// before it.
func (r *Reader) lookAhead() error {
	switch {
	case r.c.left == 0:
		return r.meet()
	case r.ahead.busy || uint64(r.c.scanned) < 2*stretch || uint64(r.c.wanted)*fewWanted > uint64(r.c.scanned) || !r.mayLookAhead():
		return nil
	}
	cursor, err := r.Cursor()
	if err != nil || r.c.lost != 0 {
		return err
	}
	if at := parseCursor(cursor); at.source != "" {
		r.sendAhead(at)
	}
	return nil
}

// sendAhead has the second handle scan the stretch after the next one, which the
// reader itself is to scan.
func (r *Reader) sendAhead(at place) {
	a := &r.ahead
	if a.jobs == nil {
		a.jobs, a.results = make(chan job, 1), make(chan collected, 1)
		go collect(r.options, a.jobs, a.results)
	}
	at.seqnum += stretch
	a.jobs <- job{at, stretch, slices.Clone(r.keep), slices.Clone(r.sieves)}
	a.busy, r.c.left = true, C.uint64_t(stretch)
}

// noStretch has the reader go on without an end to its stretch: it is not where a job
// has counted on.
func (r *Reader) noStretch() { r.c.left = C.UINT64_MAX }

// meet is called where the reader may have come to the second handle's stretch.
func (r *Reader) meet() error {
	r.noStretch()
	if !r.ahead.busy {
		return nil
	}
	cursor, err := r.Cursor()
	if err != nil {
		return err
	}
	result := r.take()
	if !r.useful(result, cursor) {
		r.refuse()
		r.c.scanned, r.c.passed, r.c.wanted = 0, 0, 0
		return nil
	}
	r.accept(result)
	r.sendAhead(parseCursor(result.end))
	return nil
}

// useful says whether what was collected can be taken by the reader, at that cursor.
// With Options.Once the reader may have to end before the journal's end.
func (r *Reader) useful(c collected, cursor string) bool {
	return c.joint == cursor && c.end != "" && r.c.lost == 0 && r.mayLookAhead() && !(r.options.Once && parseCursor(c.end).realtime >= r.lastTime)
}

// take waits for what the second handle has collected.
func (r *Reader) take() collected {
	r.ahead.busy = false
	return <-r.ahead.results
}

// drop waits for it too, where nobody wants it any more.
func (r *Reader) drop() {
	if r.ahead.busy {
		r.take()
	}
}

func (r *Reader) accept(c collected) {
	a := &r.ahead
	a.refused = 0
	a.wentAhead += c.walked
	a.now, a.away = c, true
}

// refuse notes that what was collected is of no use.
func (r *Reader) refuse() {
	if r.ahead.refused++; r.ahead.refused == maxRefused {
		r.closeAhead()
	}
}

// give makes the next of the collected entries the reader's; false if there is none.
func (r *Reader) give() (bool, error) {
	a := &r.ahead
	if len(a.now.entries) == 0 {
		err := r.claimGiven()
		a.giving = false
		return false, err
	}
	if a.gave++; a.gave%64 == 0 {
		if err := r.claimGiven(); err != nil {
			return false, err
		}
		if n := C.reader_process_when_due(r.c); n < 0 {
			return false, syscall.Errno(-n)
		}
	}
	a.given, a.now.entries = first(a.now.entries)
	a.giving, a.claimed, r.c.realtime = true, false, C.uint64_t(a.given.realtime)
	r.c.cut += C.uint64_t(a.given.cut)
	return true, nil
}

// claimGiven has the reader stand at the entry that it was given, if it was.
func (r *Reader) claimGiven() error {
	if !r.ahead.giving || r.ahead.claimed {
		return nil
	}
	record, err := journal.Unpack(r.ahead.given.record)
	if err != nil {
		return err
	}
	r.ahead.claimed = true
	return r.claim(record.Cursor())
}

// claim makes it the reader's position, wherever its handle stands.
func (r *Reader) claim(cursor string) error {
	text := C.CString(cursor)
	if n := C.reader_claim(r.c, text); n < 0 {
		return fmt.Errorf("keep the position: %w", syscall.Errno(-n))
	}
	r.countFrom(parseCursor(cursor))
	return nil
}

// land has the reader's handle go to the reader's position, which is the end of what
// was collected once all of that was given out. By the index it has collected that
// itself, and stands there.
func (r *Reader) land() error {
	a := &r.ahead
	if a.now.end != "" {
		if err := r.claim(a.now.end); err != nil {
			return err
		}
	}
	a.now, a.given, a.giving = collected{}, collectedEntry{}, false
	if r.c.indexed != 0 { // or the index is about to be left, as the sieves are others
		a.away = false
		return nil
	}
	// To find its way the handle looks into all files, of which some may be gone.
	if n := C.reader_process(r.c); n < 0 {
		return syscall.Errno(-n)
	}
	err := r.readOn(C.GoString(r.c.cursor), r.c.before != nil)
	a.away = err != nil
	return err
}

// stayBehind throws away what was collected, or is about to be.
func (r *Reader) stayBehind() {
	r.ahead.now = collected{}
	r.noStretch()
	r.drop()
}

// closeAheadIfChanged closes the second handle when files have come or gone: idle, it
// would not let go of any.
func (r *Reader) closeAheadIfChanged() {
	if r.ahead.changes != r.c.changes {
		r.ahead.changes = r.c.changes
		r.closeAhead()
	}
}

// closeAhead closes the second handle, as it too keeps deleted files open. A later job
// opens another one.
func (r *Reader) closeAhead() {
	a := &r.ahead
	if a.jobs == nil {
		return
	}
	r.drop()
	close(a.jobs)
	<-a.results // closed: its thread has ended
	a.jobs, a.results = nil, nil
}

// first cuts the first one off collected entries.
func first(b []byte) (e collectedEntry, rest []byte) {
	e.realtime = binary.NativeEndian.Uint64(b)
	e.cut = binary.NativeEndian.Uint32(b[8:])
	e.kept, rest = chunk(b[12:])
	e.record, rest = chunk(rest)
	return e, rest
}

// chunk cuts a length and as many bytes off b.
func chunk(b []byte) (piece, rest []byte) {
	n := binary.NativeEndian.Uint32(b)
	return b[4 : 4+n : 4+n], b[4+n:]
}
