package sdjournal

import "errors"

// journald writes its files to the disk every few minutes. After a power cut the
// journal may end before the saved position, and journald goes on with the numbers
// that the lost entries had, though in a new file. The same holds for a journal that
// was put back from a copy. Going by the position's number, new entries would be passed
// over.

// renumbered says whether the number of a position was given to another entry, or is
// about to be. It leaves the journal standing somewhere else.
func (r *Reader) renumbered(cursor string) (again bool, err error) {
	want := parseCursor(cursor)
	if want.source == "" {
		return false, nil
	}
	if r.matched() {
		r.journal.FlushMatches()
		defer func() { err = errors.Join(err, r.setMatches(nil)) }()
	}
	found, err := r.seekCursor(cursor)
	if err != nil {
		return false, err
	}
	if found {
		if same, err := r.isAt(cursor); err != nil || same {
			return false, err
		}
	} else if none, err := r.seekLast(); err != nil || none {
		return false, err
	}
	here, err := r.here()
	if err != nil {
		return false, nil // it is damaged: goTo sees to that
	}
	return here.numberedWith(want) && here.seqnum <= want.seqnum, nil
}

// seekLast goes to the last entry, if there is any.
func (r *Reader) seekLast() (none bool, err error) {
	if err := r.journal.SeekTail(); err != nil {
		return false, err
	}
	n, err := r.journal.Previous()
	return n == 0, err
}

// goPast is goTo for such a position: it goes to the first entry after all that are
// older by their own boot's clock. Where nothing of the position's boot is left, the
// time of the day has to tell. It goes through the journal from its head, as walk does.
func (r *Reader) goPast(cursor string) (found bool, err error) {
	want := parseCursor(cursor)
	if err := r.renew(); err != nil {
		return false, tooFew(0, err)
	}
	if err := r.journal.SeekHead(); err != nil {
		return false, err
	}
	next, sameBoot := "", false
	for {
		n, err := r.journal.Next()
		if err != nil {
			return false, err
		}
		if n == 0 {
			break
		}
		here, err := r.journal.GetCursor()
		if err != nil {
			continue // it is damaged
		}
		p := parseCursor(here)
		old := p.realtime <= want.realtime && !sameBoot
		if p.boot == want.boot {
			sameBoot = true
			old = p.monotonic <= want.monotonic
		}
		if old {
			next = ""
		} else if next == "" {
			next = here
		}
	}
	if next == "" {
		return false, nil // as walk, at the last entry
	}
	return r.seekCursor(next)
}
