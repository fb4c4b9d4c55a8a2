package sdjournal

import (
	"fmt"
	"runtime"
	"slices"
	"syscall"
	"unsafe"

	"github.com/journald-router/journald-router/journal"
)

// #include "reader.h"
import "C"

// aheadRoom bounds the bytes of a stretch's entries that are kept until they are given
// out. One entry alone may exceed it.
const aheadRoom = 8 << 20

// job is a stretch for the second handle: that many entries after the one with that
// number.
type job struct {
	after   place
	entries uint64
	keep    []string
	sieves  []journal.Sieve
}

// collected is what became of a job. Without an end it is of no use.
type collected struct {
	joint, end string // cursors of the entry before the stretch, and of its last one
	walked     uint64 // entries in it
	// entries are those that the sieve let through: realtime (8 bytes), how many values
	// were cut (4 bytes), the kept values and the record, each after its length (4 bytes).
	entries []byte
}

type collectedEntry struct {
	realtime     uint64
	cut          uint32
	kept, record []byte
}

// collect is the thread of the second handle.
func collect(o Options, jobs <-chan job, results chan<- collected) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(results)
	own := Options{Directory: o.Directory, Namespace: o.Namespace, MaxFieldBytes: o.MaxFieldBytes}
	own.watch = newWatch(own)
	r := &Reader{options: own}
	r.entry.reader = r
	defer r.Close()
	err := r.openBeside()
	for j := range jobs {
		var c collected
		if err == nil {
			c, _ = r.collect(j) // what is of no use is so for whatever reason
		}
		results <- c
	}
}

// openBeside is open for a handle that the reader could do without: not at the price
// of the descriptors that the reader itself may need for new files.
func (r *Reader) openBeside() error {
	files, err := r.files()
	if err != nil {
		return err
	}
	left, err := descriptorsLeft()
	if err != nil {
		return err
	}
	if left < 2*len(files)+64 {
		return ErrTooFewDescriptors
	}
	return r.open()
}

// collect scans the stretch.
func (r *Reader) collect(j job) (collected, error) {
	joint, err := r.begin(j)
	if err != nil || joint == "" {
		return collected{}, err
	}
	r.countFrom(place{})
	if n := C.reader_collect(r.c, C.uint64_t(j.entries), aheadRoom); n < 0 {
		return collected{}, syscall.Errno(-n)
	}
	end, err := r.cursor()
	if err != nil {
		return collected{}, err
	}
	c := collected{joint: joint, end: end, walked: uint64(r.c.walked)}
	at := parseCursor(end)
	whole := at.numberedWith(j.after) && at.seqnum == j.after.seqnum+c.walked
	if c.walked == 0 || r.c.damaged > 0 || r.c.lost != 0 || r.c.before != nil || !whole {
		return collected{}, nil
	}
	c.entries = C.GoBytes(unsafe.Pointer(r.c.collected.data), C.int(r.c.collected.len))
	return c, nil
}

// begin goes to the entry before the stretch, and returns its cursor; or nothing where
// there is no such entry.
func (r *Reader) begin(j job) (joint string, err error) {
	if !slices.Equal(r.keep, j.keep) || !slices.EqualFunc(r.sieves, j.sieves, slices.Equal) {
		r.keep, r.sieves = j.keep, j.sieves
		if err := r.passKeep(); err != nil {
			return "", err
		}
	}
	if r.c.cursor != nil { // it stood somewhere, and files may have gone since
		if n := C.reader_process(r.c); n < 0 {
			return "", syscall.Errno(-n)
		}
	}
	// libsystemd finds an entry also by its number alone; but in the files of another
	// journald's numbers it then begins at the head, if it knows no time.
	found, err := r.seekCursor(fmt.Sprintf("s=%s;i=%x;t=%x", j.after.source, j.after.seqnum, j.after.realtime))
	if err != nil || !found {
		return "", err
	}
	if joint, err = r.journal.GetCursor(); err != nil {
		return "", err
	}
	if at := parseCursor(joint); !at.numberedWith(j.after) || at.seqnum != j.after.seqnum {
		return "", nil
	}
	return joint, r.stand(joint, false, false)
}
