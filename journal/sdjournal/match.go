package sdjournal

import (
	"math"
	"slices"
	"strings"

	"github.com/journald-router/journald-router/journal"
)

// #include "reader.h"
import "C"

// The journal's index knows the entries of every value of every field. Where each
// test of the first sieve is that a value is equal to a text, the entries that it lets
// through can be read from there (sd_journal_add_match(3)), and the others cost nothing.
//
// The index serves to work off a backlog. At the journal's end, and for as long as
// the reader follows it, entries are scanned one by one: then the cursor is that
// of the entry read last, whether it was wanted or not, and two entries read in a
// row are neighbours, whose numbers tell of a gap. So files that come or go also
// end the use of the index, until that has been looked at.

// sample is how many entries are read before it is judged which way is the cheaper
// one; so many scanned without an end are a backlog, too. Tests make do with fewer.
var sample uint64 = 1000

const (
	// maxPatience bounds how many are scanned after the index has been too dear.
	maxPatience = 1 << 20
	// maxMatches bounds how many texts libsystemd looks up in each file.
	maxMatches = 100
)

// indexCost is what an entry from the index costs, in entries scanned: measured 1
// to 4.5, the more the farther apart they lie in the file, and 1 for 15 to 25
// texts that are looked for beside.
func indexCost(matches int) uint64 { return 4 + uint64(matches)/10 }

// indexable says whether the index can answer the sieve.
func indexable(s journal.Sieve) bool {
	return len(s) > 0 && len(s) <= maxMatches && !slices.ContainsFunc(s, func(t journal.Test) bool {
		return t.Op != journal.Equal || !isField(t.Field)
	})
}

// isField says whether it is a name that sd_journal_add_match takes: those that
// begin with two underscores are made up by libsystemd, and in no index.
func isField(name string) bool {
	return name != "" && !strings.HasPrefix(name, "__") && strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == ""
}

// setMatches has the journal show only entries for which one of the tests, all
// Equal, holds; without tests all of them: of the machine and the boots that are
// to be read. It forgets the position.
func (r *Reader) setMatches(tests journal.Sieve) error {
	r.journal.FlushMatches()
	if err := r.narrow(); err != nil {
		return err
	}
	if r.matched() && len(tests) > 0 {
		if err := r.journal.AddConjunction(); err != nil {
			return err
		}
	}
	tests = slices.Clone(tests)
	slices.SortStableFunc(tests, func(a, b journal.Test) int { return strings.Compare(a.Field, b.Field) })
	for i, t := range tests {
		// Matches of one field are alternatives; those of another would be
		// wanted as well.
		if i > 0 && t.Field != tests[i-1].Field {
			if err := r.journal.AddDisjunction(); err != nil {
				return err
			}
		}
		if err := r.journal.AddMatch(t.Field + "=" + t.Text); err != nil {
			return err
		}
	}
	return nil
}

// sieveIsNew has it thought of anew whether to use the index.
func (r *Reader) sieveIsNew() {
	r.sieveChanged = true
	r.c.scanned, r.c.passed, r.c.wanted = 0, 0, 0
	r.patience = math.MaxUint64
	if indexable(r.first()) {
		r.patience = sample
	}
}

// chooseWay is called before every step: it takes to the index, or leaves it.
func (r *Reader) chooseWay() error {
	indexed := r.c.indexed != 0
	if indexed && (r.sieveChanged || r.c.before != nil) {
		return r.leaveIndex()
	}
	if r.c.moved != 0 || r.c.before != nil {
		return nil
	}
	if indexed && r.c.passed >= C.uint64_t(sample) {
		return r.judgeIndex()
	}
	if indexed || uint64(r.c.scanned) < r.patience {
		return nil
	}
	cheap := uint64(r.c.passed)*indexCost(len(r.first())) < uint64(r.c.scanned)
	r.c.scanned, r.c.passed, r.c.wanted = 0, 0, 0
	if !cheap {
		return nil
	}
	return r.takeIndex()
}

// takeIndex goes on by the index after the entry that was read last, if the index is
// whole.
func (r *Reader) takeIndex() error {
	cursor, err := r.Cursor()
	if err != nil {
		return err
	}
	// One that was deleted before would not be missed in what is open.
	if err := r.process(); err != nil {
		return err
	}
	if r.c.before != nil { // Next looks for a gap first
		return nil
	}
	if r.indexUsage, err = r.journal.GetUsage(); err != nil {
		return err
	}
	if !r.isIndexWhole(parseCursor(cursor)) {
		r.patience = min(2*r.patience, maxPatience)
		return nil
	}
	if _, err := r.seekIndex(cursor); err != nil {
		return err
	}
	r.noStretch()
	r.closeAhead() // by the index one handle reads
	r.c.indexed, r.sieveChanged = 1, false
	r.judged = parseCursor(cursor)
	r.countFrom(place{}) // what the index passes over is not missing
	return nil
}

// seekIndex goes to the first entry of the index that comes after the cursor. It
// is false where there is none.
func (r *Reader) seekIndex(cursor string) (more bool, err error) {
	if err := r.setMatches(r.first()); err != nil {
		return false, err
	}
	more, err = r.seekCursor(cursor)
	// Where its bisection comes upon a damaged entry of the boot, it stops too early.
	for after := parseCursor(cursor); more && err == nil; {
		at, err := r.here()
		if err != nil {
			return false, err
		}
		if at.compare(after) > 0 {
			break
		}
		n, err := r.journal.Next()
		if err != nil {
			return false, err
		}
		more = n > 0
	}
	if err != nil {
		return false, err
	}
	return more, r.stand(cursor, more, false)
}

// judgeIndex leaves the index where it has so many of the entries that scanning them
// is cheaper. Their numbers tell how many there are.
func (r *Reader) judgeIndex() error {
	cursor, err := r.Cursor()
	if err != nil {
		return err
	}
	from, to := r.judged, parseCursor(cursor)
	passed := uint64(r.c.passed)
	r.judged, r.c.passed = to, 0
	if from.source != to.source || to.seqnum < from.seqnum || passed*indexCost(len(r.first())) < to.seqnum-from.seqnum {
		return nil
	}
	r.patience = min(2*r.patience, maxPatience)
	return r.leaveIndex()
}

// leaveIndex goes on by scanning after the entry that was read last. Where files
// have come or gone, Next then looks for a gap there.
func (r *Reader) leaveIndex() error {
	cursor, err := r.Cursor()
	if err != nil {
		return err
	}
	changed := r.c.before != nil
	r.scan(cursor)
	if err := r.setMatches(nil); err != nil {
		return err
	}
	return r.readOn(cursor, changed)
}

// scan notes that the index is not in use after the cursor any more.
func (r *Reader) scan(cursor string) {
	r.reportDamage(uint64(r.c.damaged), r.judged, parseCursor(cursor))
	r.countFrom(place{})
	r.c.indexed, r.c.scanned, r.c.passed, r.c.wanted = 0, 0, 0, 0
	r.sieveChanged = false
}

// endIndex is called where the index has no further entry. What it does not have,
// up to the journal's last entry but one, is held back, and scanning goes on
// there: of the last one journald may not have written the index yet.
func (r *Reader) endIndex() error {
	if err := r.Process(); err != nil {
		return err
	}
	if r.c.before != nil || r.c.lost != 0 { // by then a file has been damaged, and dropped
		return r.leaveIndex()
	}
	cursor, err := r.Cursor()
	if err != nil {
		return err
	}
	last, beforeLast, err := r.tail()
	if err != nil {
		return err
	}
	// Only now is it certain that nothing up to the last entry is left.
	if !r.isIndexWhole(parseCursor(cursor)) {
		if !r.allOpen() {
			return r.walkBack()
		}
		return r.leaveIndex()
	}
	more, err := r.seekIndex(cursor)
	if err != nil || more {
		return err
	}
	if !r.allOpen() {
		return r.walkBack()
	}
	if last == cursor || last == "" || beforeLast == "" {
		return r.leaveIndex()
	}
	r.scan(cursor)
	if err := r.setMatches(nil); err != nil {
		return err
	}
	if _, same, err := r.goTo(last); err != nil {
		return err
	} else if !same {
		return r.resume(beforeLast)
	}
	r.countFrom(parseCursor(beforeLast))
	return r.stand(beforeLast, true, false)
}

// tail returns the cursors of the journal's last two entries, as far as there are.
func (r *Reader) tail() (last, beforeLast string, err error) {
	if err := r.setMatches(nil); err != nil {
		return "", "", err
	}
	if err := r.journal.SeekTail(); err != nil {
		return "", "", err
	}
	for _, cursor := range []*string{&last, &beforeLast} {
		n, err := r.journal.Previous()
		if err != nil || n == 0 {
			return last, beforeLast, err
		}
		if *cursor, err = r.journal.GetCursor(); err != nil {
			return "", "", err
		}
	}
	return last, beforeLast, nil
}

// end is the end with Options.Once. It stands on the last entry then, also where
// the index has led elsewhere.
func (r *Reader) end() error {
	r.ended = true
	if r.c.indexed != 0 {
		if err := r.stand(r.last, false, false); err != nil {
			return err
		}
	}
	return journal.ErrEnd
}
