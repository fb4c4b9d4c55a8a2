package sdjournal

// Indexed says whether the journal's index is in use.
func (r *Reader) Indexed() bool { return r.c != nil && r.c.indexed != 0 }
