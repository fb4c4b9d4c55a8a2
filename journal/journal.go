// Package journal has the vocabulary of systemd's journal that the rest of the
// program speaks: an Entry is what a Reader stands on, a Record is a copy of
// one that outlives it. It knows nothing of libsystemd; package sdjournal
// below it does.
//
// An entry is a list of fields. A field has a name (MESSAGE, _SYSTEMD_UNIT)
// and a value of arbitrary bytes: text mostly, but NUL, newlines and broken
// UTF-8 are all legal. A field may occur several times in one entry. Names
// that begin with an underscore are written by journald itself and can be
// trusted; every other field is whatever the logging process chose to say
// (systemd.journal-fields(7)).
package journal

import (
	"context"
	"errors"
	"time"
)

// Names of fields that the program itself gives a meaning to
// (systemd.journal-fields(7)).
const (
	FieldMessage      = "MESSAGE"
	FieldMessageID    = "MESSAGE_ID"
	FieldPriority     = "PRIORITY"
	FieldPID          = "_PID"
	FieldInvocationID = "_SYSTEMD_INVOCATION_ID"
	FieldUnit         = "_SYSTEMD_UNIT"
	FieldHostname     = "_HOSTNAME"
	FieldTransport    = "_TRANSPORT"
)

// DefaultMaxFieldBytes is how long the value of a field may be before a Reader
// cuts it, if nothing else is said: more than anything is logged with but by
// mistake, and little enough for a few to be in memory.
const DefaultMaxFieldBytes = 16 << 20

// Head is the position before the first entry of a journal, in place of a
// cursor. It lets an empty journal be returned to.
const Head = "head"

// ErrEnd is returned by a Reader that was told to stop at the entry that was the
// last one when it was opened.
var ErrEnd = errors.New("end of the journal as it was at the start")

// A Gap is a stretch of the journal that was deleted before it was read: the
// entry at the saved cursor is gone, and perhaps others after it.
type Gap struct {
	// After is the time of the last entry that was read, Until that of the
	// first one that is left. After is zero where it is not known.
	After, Until time.Time
	// Entries is how many were lost, or zero where that is not known.
	Entries uint64
	// Machine is the id of the machine that logged them, where a directory of
	// several machines' journals is read; or empty.
	Machine string
}

// A Damage is a stretch in the middle of the journal, what is before it being
// there, of which entries cannot be read: they are damaged, or somebody has
// deleted a file there.
type Damage struct {
	// After is the time of an entry that was read before them, Until that of one
	// at their end or behind it. After is zero where it is not known.
	After, Until time.Time
	// Entries is how many there are, or were to be by their numbers; zero where
	// that is not known.
	Entries uint64
}

// An Entry is one journal entry. One that a Reader returned is valid until the
// reader's next call; Record makes a copy that stays.
type Entry interface {
	// Values appends every value of the field to dst and returns it. The bytes
	// belong to the entry: they must not be changed, nor kept.
	Values(dst [][]byte, field string) [][]byte
	// Time is when journald received the entry, by the wall clock.
	Time() time.Time
	// Record copies the entry whole, whichever fields the reader was told to
	// keep. It fails when the journal file cannot be read there.
	Record() (Record, error)
}

// A Reader walks through a journal. It belongs to one goroutine.
type Reader interface {
	// Next moves to the next entry. Without an entry and without an error it has
	// passed over some that the sieve holds back: call it again. io.EOF means that there is none yet: the
	// reader has caught up, and a later Next may find one. ErrEnd means that
	// the reader was opened to read only what was there, and has. After any
	// other error the reader is of no more use and should be closed.
	Next() (Entry, error)
	// Cursor is the position to come back to: it identifies the entry that Next
	// returned last, or, before the first Next, the one that reading starts
	// after. Where there is no such entry it is Head.
	Cursor() (string, error)
	// After is the position behind the entry of a record, the last that was copied
	// since Cursor was called last. It is for going on after an error of Next or of
	// an entry's Record: the reader may stand on the entry that it could not read,
	// or nowhere.
	After(last Record) (string, error)
	// Keep says which fields Values will be asked for, and which entries are
	// wanted, those that go through all of the sieves; it holds from the next Next
	// on. Entries read without these fields being kept have no values to give, but
	// Record is always whole. A reader may do without the sieves.
	Keep(fields []string, sieves ...Sieve)
	// Wait returns nil when there may be a next entry, or the context's error.
	Wait(ctx context.Context) error
	// Close frees the journal's files. The reader is of no use after it.
	Close() error
}
