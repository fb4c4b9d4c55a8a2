package sdjournal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"
	"time"

	"github.com/journald-router/journald-router/journal"
)

// #include "reader.h"
import "C"

// Machines reads a directory of the journals of several machines, whose entries
// arrive when each machine uploads them. sd_journal_next passes over what is
// older than where it stands, so one handle would lose what comes late. It
// therefore has a reader for each machine, with a position of its own.
//
// As long as the entries of one machine are all there is, one reader without a
// match reads them, at the cost of a plain Reader. Another one's are never
// given out by it: when they turn up, readers with a match take over, and one
// more for the entries that bear no machine id, which has to look at every
// entry.
//
// Order is kept for each machine, not between them. Like a Reader it is to be
// used from one thread.
type Machines struct {
	options Options
	open    func(Options) (journal.Reader, error)
	list    []*machine // in several mode the one of NoMachine is the last; empty once one could not be opened
	single  bool       // there is one reader, without a match
	known   positions  // of the machines, also of those that have nothing there now
	common  string     // the position, before there were any by machine

	keep   []string
	sieves []journal.Sieve

	turn  int // index in list of the machine that is being read
	given int // entries in this turn

	looked  time.Time // when machine ids were last looked for
	changes C.uint    // of files, by then
}

// Of a machine that is behind, so many entries are read in one turn. They are
// also what a Next counts for that held back some.
const entriesInTurn = 4096

// lookEvery is how often machine ids are looked for in files that are there: a
// look takes 0.1 ms in 50 files.
const lookEvery = 2 * time.Second

// machine is the reading of one machine's entries.
type machine struct {
	id       string // or NoMachine
	reader   journal.Reader
	base     *Reader // of reader
	position string  // up to which it was read when another one's turn came, or later
	moved    bool    // reading has gone on since
	gave     bool    // it has given out an entry
	ended    bool    // it has come to journal.ErrEnd
}

// A Layer is a reader that makes something else of the entries of a Reader. Its
// position is one line: that of the Reader, and behind a space what it likes, which
// must not be about entries without a machine id.
type Layer interface {
	journal.Reader
	// Inner is the reader below.
	Inner() journal.Reader
	// Due is when Next will have something to give though no entry comes; zero
	// if never.
	Due() time.Time
}

// OpenMachines opens the directory of the options. Options.After is a position of
// Machines, or one of a Reader from which every machine goes on. On the first run,
// Options.Start holds for each machine that is there; one that comes later is
// read from its beginning. Options.Machine is ignored.
//
// open makes each machine's reader: a *Reader of those options but for the position,
// or a Layer on one. If nil, it is Open.
func OpenMachines(o Options, open func(Options) (journal.Reader, error)) (*Machines, error) {
	if open == nil {
		open = func(o Options) (journal.Reader, error) { return Open(o) }
	}
	o.watch = newWatch(o)
	r := &Machines{options: o, open: open}
	var err error
	if r.known, r.common, err = parsePositions(o.After); err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	ids, err := machinesIn(o)
	if err != nil {
		return nil, err
	}
	if ids == nil { // of a damaged file, say: what is known is there
		ids = r.known.machines()
	}
	if err := r.arrange(ids); err != nil {
		return nil, err
	}
	return r, nil
}

// machinesIn looks for the machine ids in a directory. They are nil where that
// fails.
func machinesIn(o Options) ([]string, error) {
	r, err := Open(Options{Directory: o.Directory, Namespace: o.Namespace, After: journal.Head})
	if err != nil {
		return nil, err
	}
	ids, err := r.machineIDs()
	if err == nil && ids == nil {
		ids = []string{}
	}
	return ids, r.Close()
}

var errNoReaders = errors.New("read journal: its readers were closed after an error")

// left is an error if there are no readers left.
func (r *Machines) left() error {
	if len(r.list) == 0 {
		return errNoReaders
	}
	return nil
}

// Next implements journal.Reader. Of several machines it reads each in turn. After an
// error there may be no readers left, and everything fails.
func (r *Machines) Next() (journal.Entry, error) {
	if err := r.left(); err != nil {
		return nil, err
	}
	if r.given >= entriesInTurn {
		if err := r.pass(); err != nil {
			return nil, err
		}
	}
	if r.given == 0 {
		if _, err := r.discover(); err != nil {
			return nil, err
		}
	}
	ended := 0
	for range r.list {
		m := r.list[r.turn]
		var e journal.Entry
		err := error(journal.ErrEnd)
		if !m.ended {
			e, err = m.reader.Next()
		}
		end := errors.Is(err, journal.ErrEnd)
		switch {
		case err != nil && !end && !errors.Is(err, io.EOF):
			return nil, m.wrap(err)
		case e == nil && m.base.stranger != "":
			return nil, r.arrange(append(r.ids(), m.base.stranger))
		case err == nil:
			r.give(m, e)
			return e, nil
		case end:
			m.ended = true
			ended++
		}
		if err := r.pass(); err != nil {
			return nil, err
		}
	}
	if ended == len(r.list) {
		return nil, journal.ErrEnd
	}
	return nil, io.EOF
}

// give notes that the machine's reader gives out the entry, or has held back some.
func (r *Machines) give(m *machine, e journal.Entry) {
	m.moved = true
	if e == nil {
		r.given = entriesInTurn
		return
	}
	m.gave = true
	r.given++
}

// idOf is the machine id that a record bears, or NoMachine.
func idOf(record journal.Record) string {
	if id, ok := record.Get(fieldMachineID); ok && isMachineID(string(id)) {
		return string(id)
	}
	return NoMachine
}

// pass makes it the next machine's turn.
func (r *Machines) pass() error {
	if _, err := r.list[r.turn].where(); err != nil {
		return err
	}
	r.turn, r.given = (r.turn+1)%len(r.list), 0
	return nil
}

// where brings the position up to date.
func (m *machine) where() (string, error) {
	if !m.moved {
		return m.position, nil
	}
	position, err := m.reader.Cursor()
	if err != nil {
		return "", m.wrap(err)
	}
	m.position, m.moved = position, false
	return position, nil
}

func (m *machine) wrap(err error) error {
	if m.id == NoMachine {
		return err
	}
	return fmt.Errorf("machine %s: %w", m.id, err)
}

// Cursor implements journal.Reader. The position has a line for each machine: its
// id or NoMachine, a space, and the position of its reader.
func (r *Machines) Cursor() (string, error) {
	if err := errors.Join(r.left(), r.update()); err != nil {
		return "", err
	}
	return r.known.String(), nil
}

// update brings the positions that are known up to date.
func (r *Machines) update() error {
	for _, m := range r.list {
		position, err := m.where()
		if err != nil {
			return err
		}
		r.known[m.id] = position
	}
	return nil
}

// After is the position to go on from after an error of Next, or of an entry's
// Record: the machine whose turn it is may stand on the entry that failed, which
// must not be passed over. record is the last one that was copied since Cursor
// was called last.
func (r *Machines) After(record journal.Record) (string, error) {
	if err := r.left(); err != nil {
		return "", err
	}
	for i, m := range r.list {
		position := m.position
		switch {
		case i != r.turn:
			if now, err := m.where(); err == nil {
				position = now
			}
		case r.single || idOf(record) == m.id:
			var err error
			if position, err = m.reader.After(record); err != nil {
				return "", err
			}
		}
		r.known[m.id] = position
	}
	return r.known.String(), nil
}

// Keep implements journal.Reader.
func (r *Machines) Keep(fields []string, sieves ...journal.Sieve) {
	r.keep, r.sieves = slices.Clone(fields), slices.Clone(sieves)
	for _, m := range r.list {
		m.reader.Keep(r.keep, sieves...)
	}
}

// Wait implements journal.Reader. It asks the handles of all machines as often as
// Reader.Wait asks one. A machine that is new in a file that was there is
// found within 2 s.
func (r *Machines) Wait(ctx context.Context) error {
	if err := r.left(); err != nil {
		return err
	}
	stop := new(int32)
	defer context.AfterFunc(ctx, func() { atomic.StoreInt32(stop, 1) })()
	if _, err := r.list[r.turn].where(); err != nil {
		return err
	}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if changed, err := r.discover(); changed || err != nil {
			return err
		}
		d := time.Second
		readers := make([]*C.struct_reader, len(r.list))
		for i, m := range r.list {
			if err := m.base.reopenIfMoved(); err != nil {
				return m.wrap(err)
			}
			if err := m.base.checkFilesIfChanged(); err != nil {
				return m.wrap(err)
			}
			readers[i] = m.base.c
			if layer, ok := m.reader.(Layer); ok && !layer.Due().IsZero() {
				d = min(d, time.Until(layer.Due()))
			}
		}
		if d <= 0 {
			return nil
		}
		switch n, err := waitFor(readers, d, stop); {
		case err != nil:
			return err
		case n > 0:
			r.turn, r.given = n-1, 0
			return nil
		}
	}
}

// Process is Reader.Process.
func (r *Machines) Process() error {
	if err := r.left(); err != nil {
		return err
	}
	for _, m := range r.list {
		if err := m.base.Process(); err != nil {
			return m.wrap(err)
		}
	}
	return nil
}

// Close implements journal.Reader.
func (r *Machines) Close() error {
	var errs []error
	for _, m := range r.list {
		errs = append(errs, m.reader.Close())
	}
	r.list, r.turn = nil, 0
	return errors.Join(errs...)
}

var _ journal.Reader = (*Machines)(nil)
