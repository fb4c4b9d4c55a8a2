// Package sdjournal reads systemd's journal: it implements journal.Reader on
// libsystemd, by way of go-systemd's package of the same name and a few lines
// of C on the same handle.
//
// The C exists because go-systemd gives only one value of a repeated field,
// knows no namespaces and no sd_journal_process, and costs several crossings
// from Go to C an entry. libsystemd is opened when the program runs, not linked:
// without it Open returns ErrNoLibrary.
package sdjournal

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"syscall"
	"time"
	"unsafe"

	sd "github.com/coreos/go-systemd/v22/sdjournal"

	"github.com/journald-router/journald-router/journal"
)

/*
#cgo LDFLAGS: -ldl
#cgo noescape reader_next
#cgo nocallback reader_next
#include <stdlib.h>
#include "reader.h"
*/
import "C"

// Options says what to read, and from where on.
type Options struct {
	// Directory is a directory of journal files, or of such directories named
	// by machine id. Namespace is a journal namespace of this machine
	// (systemd-journald.service(8)). Without either it is this machine's
	// journal, the system's and all users'. With both Open fails.
	Directory, Namespace string

	// Machine narrows it down to the entries of one machine: its id, 32 hexadecimal
	// digits; or NoMachine, which are those that bear no id.
	Machine string
	// sole is set by Machines: see passes. So is watch, which its readers share.
	sole  string
	watch *watch

	// After is the position to go on from: a cursor, or journal.Head. Without
	// one this is the first run, and Start says where to begin.
	After string
	Start journal.Start

	// Once has Next return journal.ErrEnd after the entry that was the
	// journal's last one when it was opened.
	Once bool

	// OnGap is called by Next, before it returns the first entry after a gap:
	// entries after the saved position, or after the last one read, have been
	// deleted. It must not call the reader. It may be nil.
	OnGap func(journal.Gap)

	// OnDamage is called by Cursor and Next, soon after they have passed over
	// entries that cannot be read. It must not call the reader. It may be nil.
	OnDamage func(journal.Damage)

	// MaxFieldBytes is how long a field's value may be: a longer one is cut short,
	// and says so at its end. Without one it is journal.DefaultMaxFieldBytes.
	MaxFieldBytes int

	// OnCut is called by Next and Record when they have cut so many values. It
	// must not call the reader. It may be nil.
	OnCut func(values uint64)
}

// Reader reads a journal's entries in order, and all of every entry: no field
// is cut short below the limit, and repeated ones are given whole. It implements
// journal.Reader. libsystemd wants a journal to be used from one thread
// throughout, from Open to Close: see runtime.LockOSThread.
type Reader struct {
	options Options
	dirs    []directory
	checked time.Time // when dirs was last looked at

	journal *sd.Journal
	c       *C.struct_reader
	keep    []string
	sieves  []journal.Sieve
	entry   entry
	slab    slab
	boots   boots
	bootIDs []string // of them; nil: all

	stranger string   // with Options.sole, another machine of which an entry was passed over
	ids      [][]byte // room for an entry's

	// What match.go goes by: the first sieve is no longer that of the index in use; how
	// many entries to scan before the index is thought of; where the judgement of
	// its cost began.
	sieveChanged bool
	patience     uint64
	judged       place
	indexUsage   uint64 // what the files took on the disk that were open when it was taken to

	// The entry at the position to go on from is known to be gone, and Next has
	// not reported it yet.
	resumedAfterLost bool

	changed      []changed // as of the last time that the files were known to be open
	passedOver   uint64    // bytes in files that were not then, though there were descriptors enough
	filesChecked time.Time
	processed    C.uint64_t // r.c.processed at that time

	ahead ahead

	counted place // of the last entry that tally knows; without source: none
	stuck   bool  // the handle was opened anew to get on, and no entry has come since

	ended    bool
	last     string // cursor and time of the entry to end at, with Options.Once
	lastTime uint64
}

// Open opens a journal and goes to where Next is to go on. The error is
// ErrNoJournal, ErrNoPermission, ErrNoLibrary, ErrTooFewDescriptors or
// ErrTooFewWatches where it is one that only the administrator can mend, and then
// says how.
func Open(o Options) (*Reader, error) {
	if o.watch == nil {
		o.watch = newWatch(o)
	}
	r := &Reader{options: o}
	r.entry.reader = r
	err := r.open()
	if err == nil {
		err = r.position()
	}
	if err != nil {
		r.Close()
		return nil, fmt.Errorf("open journal: %w", tooFew(0, err))
	}
	return r, nil
}

// open opens the journal's handle. The reader can be closed then, and also when
// open fails.
func (r *Reader) open() (err error) {
	if err := load(); err != nil {
		return err
	}
	// What appears from here on is either seen by libsystemd, or found by
	// reopenIfMoved to differ from this.
	if r.dirs, err = directories(r.options); err != nil {
		return err
	}
	r.changed = r.options.watch.changes()
	if err := checkAccess(r.dirs, r.options); err != nil {
		return err
	}
	if r.journal, err = openHandle(r.options); err != nil {
		return err
	}
	if err := r.narrow(); err != nil {
		return err
	}
	var n C.int
	limit := cmp.Or(r.options.MaxFieldBytes, journal.DefaultMaxFieldBytes)
	if r.c = C.reader_new(handle(r.journal), C.size_t(limit), &n); r.c == nil {
		return watchError(syscall.Errno(-n))
	}
	r.c.orphans = flag(r.options.Machine == NoMachine)
	if err := r.passKeep(); err != nil {
		return err
	}
	return r.checkFiles()
}

func openHandle(o Options) (*sd.Journal, error) {
	switch {
	case o.Directory != "":
		return sd.NewJournalFromDir(o.Directory)
	case o.Namespace == "":
		return sd.NewJournal()
	}
	name := C.CString(o.Namespace)
	defer C.free(unsafe.Pointer(name))
	j := new(sd.Journal)
	n := C.reader_open_namespace((**C.sd_journal)(unsafe.Pointer(j)), name)
	switch {
	case n == -C.int(syscall.ENOSYS):
		return nil, fmt.Errorf("namespace %s: %w: this libsystemd has no journal namespaces; it takes systemd 245 or later", o.Namespace, ErrNoLibrary)
	case n < 0:
		return nil, fmt.Errorf("namespace %s: %w", o.Namespace, syscall.Errno(-n))
	}
	return j, nil
}

// handle is libsystemd's own handle: the first field of sdjournal.Journal,
// which a test makes sure of.
func handle(j *sd.Journal) *C.sd_journal {
	return *(**C.sd_journal)(unsafe.Pointer(j))
}

// Next implements journal.Reader.
func (r *Reader) Next() (journal.Entry, error) {
	if r.ended {
		return nil, journal.ErrEnd
	}
	if given, err := r.give(); err != nil {
		return nil, fmt.Errorf("read journal: %w", err)
	} else if given {
		if past, err := r.pastEnd(); err != nil {
			return nil, fmt.Errorf("read journal: %w", err)
		} else if past {
			return nil, r.end()
		}
		return r.handOut()
	}
	// Between an entry's being found and its being given out this would take it for
	// one that was read before files came or went.
	if r.processed != r.c.processed && r.c.moved == 0 {
		r.processed = r.c.processed
		if err := r.checkFilesIfChanged(); err != nil {
			return nil, err
		}
	}
	r.closeAheadIfChanged()
	if err := r.choosePath(); err != nil {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	if r.ahead.away { // there is something to give
		return nil, nil
	}
	if r.c.indexed != 0 {
		return nil, r.readIndex()
	}
	n := C.reader_next(r.c)
	switch {
	case n < 0:
		return nil, fmt.Errorf("read journal: %w", syscall.Errno(-n))
	case n == 0:
		return nil, r.noNext()
	case n == C.READER_STUCK:
		return nil, r.unstick()
	case n == C.READER_PASSED:
		r.stuck = false
		return nil, nil
	default:
		if err := r.look(); err != nil {
			return nil, fmt.Errorf("read journal: %w", err)
		}
		r.stuck = false
		if n == C.READER_LOOK || r.c.moved != 0 { // it had to go back
			return nil, nil
		}
		return r.handOut()
	}
}

// choosePath sees to it that the handle is where it is to go on from, and goes on in
// the way that is the fastest.
func (r *Reader) choosePath() error {
	if r.ahead.away {
		if err := r.land(); err != nil {
			return err
		}
	}
	if err := r.chooseWay(); err != nil {
		return err
	}
	return r.lookAhead()
}

// handOut returns the entry that the reader stands on, if it is not another machine's.
func (r *Reader) handOut() (journal.Entry, error) {
	r.tellOfCuts()
	if r.options.sole != "" && !r.passes() {
		return nil, nil
	}
	return &r.entry, nil
}

// noNext is called where the handle has no next entry. It returns nil where that is
// not the end: of the index, or of the earlier boots.
func (r *Reader) noNext() error {
	switch {
	case r.c.indexed != 0 && (r.boots == earlierBoots || !r.options.Once):
		if err := r.endIndex(); err != nil {
			return fmt.Errorf("read journal: %w", err)
		}
		return nil
	case r.boots == earlierBoots:
		more, err := r.nextBoot()
		if err != nil {
			return fmt.Errorf("read journal: %w", err)
		}
		if more {
			return nil
		}
	}
	if r.options.Once {
		return r.end()
	}
	r.c.scanned, r.c.passed, r.c.wanted = 0, 0, 0
	r.closeAhead()
	r.ahead.refused = 0 // of a later backlog it may be useful
	return io.EOF
}

// look sees to what an entry tells beside what is in it: that there is a gap
// before it, or that it is the last one.
func (r *Reader) look() error {
	if r.c.before != nil {
		before := C.GoString(r.c.before)
		C.free(unsafe.Pointer(r.c.before))
		r.c.before = nil
		if err := r.lookForGap(before); err != nil {
			return err
		}
	}
	if r.options.Once && uint64(r.c.realtime) == r.lastTime && r.boots != earlierBoots {
		r.ended = r.journal.TestCursor(r.last) == nil
	}
	return nil
}

// Cursor implements journal.Reader.
func (r *Reader) Cursor() (string, error) {
	cursor, err := r.cursor()
	if err == nil {
		r.tally(cursor)
	}
	return cursor, err
}

// cursor is Cursor without a thought of entries that were passed over.
func (r *Reader) cursor() (string, error) {
	if err := r.claimGiven(); err != nil {
		return "", err
	}
	if n := C.reader_cursor(r.c); n < 0 {
		return "", fmt.Errorf("read cursor: %w", syscall.Errno(-n))
	}
	return C.GoString(r.c.cursor), nil
}

// After implements journal.Reader.
func (r *Reader) After(last journal.Record) (string, error) { return last.Cursor(), nil }

// Keep implements journal.Reader.
func (r *Reader) Keep(fields []string, sieves ...journal.Sieve) {
	r.keep, r.sieves = r.keep[:0], nil
	for _, f := range fields {
		if f != "" && !strings.Contains(f, "\x00") { // such fields there are not
			r.keep = append(r.keep, f)
		}
	}
	for _, s := range sieves {
		if r.isSieve(s) && len(r.sieves) < C.SIEVES {
			r.sieves = append(r.sieves, s)
		}
	}
	if r.options.sole != "" && !slices.Contains(r.keep, fieldMachineID) {
		r.keep = append(r.keep, fieldMachineID)
	}
	if err := r.passKeep(); err != nil {
		panic(err) // out of memory
	}
	r.stayBehind()
	r.sieveIsNew()
}

// isSieve says whether the sieve holds anything back, and by fields that are kept.
func (r *Reader) isSieve(s journal.Sieve) bool {
	return len(s) > 0 && !slices.ContainsFunc(s, func(t journal.Test) bool {
		return !slices.Contains(r.keep, t.Field) || t.Text == "" && t.Op != journal.Equal
	})
}

// first is the sieve that the index may do the work of, or nil.
func (r *Reader) first() journal.Sieve {
	if len(r.sieves) == 0 {
		return nil
	}
	return r.sieves[0]
}

func (r *Reader) passKeep() error {
	names := strings.Join(r.keep, "\x00")
	text := C.CString(names)
	defer C.free(unsafe.Pointer(text))
	if n := C.reader_keep(r.c, text, C.size_t(len(names)), C.size_t(len(r.keep))); n < 0 {
		return syscall.Errno(-n)
	}
	r.c.last = C.uint64_t(r.lastTime)
	for i, s := range r.sieves {
		for _, t := range s {
			text := C.CString(t.Text)
			n := C.reader_sieve(r.c, C.int(i), C.size_t(slices.Index(r.keep, t.Field)), C.int(t.Op), text, C.size_t(len(t.Text)))
			C.free(unsafe.Pointer(text))
			if n < 0 {
				return syscall.Errno(-n)
			}
		}
	}
	return nil
}

// Process lets go of journal files that were deleted, and finds new ones. Next
// and Wait do it as they go along. One who does not call them for more than a
// second calls this instead, or the disk space of deleted files stays taken.
// It ends the validity of the last entry, as any call does.
func (r *Reader) Process() error {
	r.closeAhead()
	if err := r.claimGiven(); err != nil {
		return err
	}
	return r.process()
}

// process is Process for the reader's own handle alone, wherever the reader stands.
func (r *Reader) process() error {
	if n := C.reader_process(r.c); n < 0 {
		return fmt.Errorf("look for new journal files: %w", syscall.Errno(-n))
	}
	return nil
}

// Close implements journal.Reader.
func (r *Reader) Close() error {
	r.closeAhead()
	closeDirectories(r.dirs)
	r.dirs = nil
	if r.c != nil {
		C.reader_free(r.c)
		r.c = nil
	}
	if r.journal == nil {
		return nil
	}
	err := r.journal.Close()
	r.journal = nil
	return err
}

var (
	_ journal.Reader = (*Reader)(nil)
	_ journal.Entry  = (*entry)(nil)
)
