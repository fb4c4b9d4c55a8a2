package sdjournal

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"slices"
	"syscall"
	"unsafe"

	"github.com/journald-router/journald-router/journal"
)

// #include <stdlib.h>
// #include "reader.h"
import "C"

// A backlog is scanned by two handles, as going through the fields of every entry is
// all that there is to do: while the reader scans one stretch of the journal, a second
// handle, in a thread of its own, scans the next one and collects what the sieve lets
// through. The reader takes that over when it has come to where the second one began,
// gives it out, and goes on behind it.
//
// What was collected is taken only if it is certain to be what the reader would have
// read itself: the reader stands on the very entry after which the second handle began;
// journald's numbers of all that this went through follow one another, without a hole
// or another journald's; nothing of it was damaged; no file came or went. Otherwise it
// is thrown away, and the reader goes on by itself, which sees to all that. Nor does it
// ever come to the journal's last entries: whoever follows the journal has one handle.

// stretch is how many entries a handle scans before the other one's turn: some 20 ms.
// A test makes it shorter.
var stretch uint64 = 16 << 10

const (
	// aheadRoom bounds the bytes of a stretch's entries that are kept until they are
	// given out. One entry alone may exceed it.
	aheadRoom = 8 << 20
	// fewWanted: where more than one of so many entries is wanted, giving them out
	// is most of the work, and who takes them needs the processor.
	fewWanted = 10
	// maxRefused is how often in a row what was collected may be of no use before
	// the reader goes on alone: for good, as the reason is mostly in the journal.
	maxRefused = 3
)

// ahead is the reader's end of the second handle.
type ahead struct {
	jobs    chan aheadJob
	results chan collected
	busy    bool // a job was given, and its result not taken

	// What is being given out, and not yet.
	now       collected
	kept      []byte
	record    []byte
	giving    bool   // kept and record are those of the reader's entry
	away      bool   // the reader's handle does not stand on that
	refused   int    // in a row
	wentAhead uint64 // entries, in all
}

// aheadJob is a stretch: the entries after the one with that number, that many.
type aheadJob struct {
	after   place
	entries uint64
	keep    []string
	sieve   journal.Sieve
}

// collected is what became of a job. It is of no use without an end.
type collected struct {
	joint, end string // cursors of the entry before the stretch, and of its last one
	walked     uint64 // entries in it
	cut        uint64 // values
	// entries are those that the sieve let through: realtime (8 bytes), the kept
	// values and the record, each after its length (4 bytes).
	entries []byte
}

// mayLookAhead says whether what is read are simply all entries, one after the other,
// and there is a processor to spare.
func (r *Reader) mayLookAhead() bool {
	return r.ahead.refused < maxRefused && r.boots == allBoots && !r.matched() && r.c.orphans == 0 &&
		r.c.indexed == 0 && r.c.moved == 0 && r.c.before == nil && runtime.GOMAXPROCS(0) > 1
}

// lookAhead is called before every step. It gives the second handle a job where there
// is a backlog, and takes what that has collected once the reader stands before it.
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
		a.jobs, a.results = make(chan aheadJob, 1), make(chan collected, 1)
		go collect(r.options, a.jobs, a.results)
	}
	at.seqnum += stretch
	a.jobs <- aheadJob{at, stretch, slices.Clone(r.keep), slices.Clone(r.sieve)}
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
	result := <-r.ahead.results
	r.ahead.busy = false
	end := parseCursor(result.end)
	if result.joint != cursor || result.end == "" || !r.mayLookAhead() || r.options.Once && end.realtime >= r.lastTime {
		if r.ahead.refused++; r.ahead.refused == maxRefused {
			r.closeAhead()
		}
		r.c.scanned, r.c.wanted = 0, 0
		return nil
	}
	r.ahead.refused = 0
	r.ahead.wentAhead += result.walked
	r.ahead.now, r.ahead.away = result, true
	r.c.cut += C.uint64_t(result.cut)
	r.sendAhead(end)
	return nil
}

// give makes the next of the collected entries the reader's; false if there is none.
func (r *Reader) give() (bool, error) {
	a := &r.ahead
	a.giving = false
	if len(a.now.entries) == 0 {
		return false, nil
	}
	rest := a.now.entries
	realtime := binary.NativeEndian.Uint64(rest)
	a.kept, rest = chunk(rest[8:])
	a.record, a.now.entries = chunk(rest)
	record, err := journal.Unpack(a.record)
	if err != nil {
		return false, err
	}
	if err := r.claim(record.Cursor()); err != nil {
		return false, err
	}
	a.giving, r.c.realtime = true, C.uint64_t(realtime)
	return true, nil
}

// chunk cuts a length and as many bytes off b.
func chunk(b []byte) (piece, rest []byte) {
	n := binary.NativeEndian.Uint32(b)
	return b[4 : 4+n : 4+n], b[4+n:]
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
// was collected once all of that was given out.
func (r *Reader) land() error {
	a := &r.ahead
	if a.now.end != "" {
		if err := r.claim(a.now.end); err != nil {
			return err
		}
	}
	a.now, a.kept, a.record, a.away = collected{}, nil, nil, false
	return r.goOnAfter(C.GoString(r.c.cursor), r.c.before != nil)
}

// stayBehind throws away what was collected, or is about to be: the sieve is another
// one now.
func (r *Reader) stayBehind() {
	r.ahead.now = collected{}
	r.noStretch()
	r.takeResult()
}

// takeResult waits for the result of a job, which nobody wants any more.
func (r *Reader) takeResult() {
	if r.ahead.busy {
		<-r.ahead.results
		r.ahead.busy = false
	}
}

// closeAhead closes the second handle, as it too keeps deleted files open. A later job
// opens another one.
func (r *Reader) closeAhead() {
	a := &r.ahead
	if a.jobs == nil {
		return
	}
	r.takeResult()
	close(a.jobs)
	<-a.results // closed: its thread has ended
	a.jobs, a.results = nil, nil
}

// collect is the thread of the second handle.
func collect(o Options, jobs <-chan aheadJob, results chan<- collected) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(results)
	own := Options{Directory: o.Directory, Namespace: o.Namespace, MaxFieldBytes: o.MaxFieldBytes}
	own.watch = newWatch(own)
	r := &Reader{options: own}
	r.entry.reader = r
	defer r.Close()
	err := r.open()
	for job := range jobs {
		var result collected
		if err == nil {
			result, _ = r.collect(job) // without an end it is of no use, whatever the reason
		}
		results <- result
	}
}

// collect scans a stretch.
func (r *Reader) collect(job aheadJob) (collected, error) {
	if !slices.Equal(r.keep, job.keep) || !slices.Equal(r.sieve, job.sieve) {
		r.keep, r.sieve = job.keep, job.sieve
		if err := r.passKeep(); err != nil {
			return collected{}, err
		}
	}
	// libsystemd finds an entry also by its number alone.
	found, err := r.seekCursor(fmt.Sprintf("s=%s;i=%x", job.after.source, job.after.seqnum))
	if err != nil || !found {
		return collected{}, err
	}
	joint, err := r.journal.GetCursor()
	if err != nil {
		return collected{}, err
	}
	if at := parseCursor(joint); !at.numberedWith(job.after) || at.seqnum != job.after.seqnum {
		return collected{}, nil
	}
	if err := r.stand(joint, false, false); err != nil {
		return collected{}, err
	}
	r.countFrom(place{})
	if n := C.reader_collect(r.c, C.uint64_t(job.entries), aheadRoom); n < 0 {
		return collected{}, syscall.Errno(-n)
	}
	end, err := r.cursor()
	if err != nil {
		return collected{}, err
	}
	walked, cut := uint64(r.c.walked), uint64(r.c.cut)
	r.c.cut = 0
	at := parseCursor(end)
	if walked == 0 || r.c.damaged > 0 || r.c.lost != 0 || r.c.before != nil ||
		!at.numberedWith(job.after) || at.seqnum != job.after.seqnum+walked {
		return collected{}, nil
	}
	return collected{
		joint: joint, end: end, walked: walked, cut: cut,
		entries: C.GoBytes(unsafe.Pointer(r.c.collected.data), C.int(r.c.collected.len)),
	}, nil
}
