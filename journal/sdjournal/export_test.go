package sdjournal

// Indexed says whether the journal's index is in use.
func (r *Reader) Indexed() bool { return r.c != nil && r.c.indexed != 0 }

// WentAhead is how many entries the second handle has gone through for the reader.
func (r *Reader) WentAhead() uint64 { return r.ahead.wentAhead }

// SetAtOnce sets how many entries are read by the index before they are given out, and
// returns what sets it back.
func SetAtOnce(entries uint64) (restore func()) {
	before := atOnce
	atOnce = entries
	return func() { atOnce = before }
}

// SetStretch shortens the stretches of the journal that two handles share, and has
// them share it, and the index be used, as soon. It returns what sets all that back.
func SetStretch(entries uint64) (restore func()) {
	a, b := stretch, sample
	stretch, sample = entries, min(sample, entries)
	return func() { stretch, sample = a, b }
}

// ResumeLate goes to a cursor as when resuming, with something done once it is
// known whether there is such an entry or a later one.
func (r *Reader) ResumeLate(cursor string, meanwhile func()) error {
	found, same, err := r.goTo(cursor)
	if err != nil {
		return err
	}
	meanwhile()
	return r.settle(cursor, found, same)
}

// ResumeAtOthersLate is that for the cursor of another machine's entry, after which
// there is none of this machine.
func (r *Reader) ResumeAtOthersLate(cursor string, meanwhile func()) error {
	last, err := r.lastNow()
	if err != nil {
		return err
	}
	if _, err := r.seekCursor(cursor); err != nil {
		return err
	}
	meanwhile()
	return r.goOnAfter(last)
}
