// Package join puts long lines together again: journald cuts what a service
// writes to its standard output or error into parts where a line is longer than
// LineMax= (48 KiB, journald.conf(5)), and logs each part as an entry of its own.
//
// All parts but the last have the field _LINE_BREAK=line-max, and all have the
// same _STREAM_ID and _PID (systemd.journal-fields(7)): journald ends a line
// where another process goes on writing. Every other value of _LINE_BREAK, as
// none, ends a line. All bear the machine's id: what does not is somebody's who has
// made it by hand, and comes as it is.
//
// What journald does not log cannot be made good. It drops white space at the end
// of a part, as at that of any line; a "<N>" at the beginning of one, which it
// takes for a priority (sd-daemon(3)); and a part that is empty then. So after a
// line of exactly LineMax bytes, or of twice as many and so on, there is no last
// part: it gets the stream's next line for one, if that comes soon.
package join

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/journald-router/journald-router/journal"
)

// DefaultMaxBytes is the size of the longest line that is put together, unless
// Options says otherwise.
const DefaultMaxBytes = journal.DefaultMaxFieldBytes

const (
	// patience is how much later than the part before it a part can be.
	patience = 5 * time.Second
	// late is how much later than that it can be found: by then all entries of
	// the time have been written, and read.
	late = time.Second

	maxLines   = 256 // unfinished at a time
	maxTotal   = 4   // times the longest line: what all of them hold
	maxAtATime = 100 // parts to read before the caller may think of something else
)

// Options says which reader's entries are to be joined, and from where on.
type Options struct {
	// Open opens that reader at a position of its own, which must have no spaces
	// in it. With again, what is read of it has been read before: it is for
	// unfinished lines only, and gaps need no report.
	Open func(position string, again bool) (journal.Reader, error)
	// After is the position to go on from: one of a Reader's, or one of the
	// reader below it. It may be empty if that reader's may.
	After string
	// MaxBytes is the size of the longest line to be put together; 0 is
	// DefaultMaxBytes. A longer one comes in pieces of at most that size.
	MaxBytes int
}

// Reader is a journal.Reader whose entries are whole lines. A line that was cut
// comes as one entry once its last part is there: it has the cursor, the times
// and the fields of its first part, the MESSAGE of all parts, and the _LINE_BREAK
// of the last. Everything else comes at once, and is as it was; so are the parts
// of a line whose beginning was before the place to begin at.
//
// A line is let go unfinished when no part of it has come for 5 s, by the times of
// its parts, when it becomes longer than MaxBytes, when there are more than 256
// unfinished ones, or when they hold four times MaxBytes together. It keeps
// _LINE_BREAK=line-max then, by which it can be told; what still comes of it is
// another line.
//
// While a line is unfinished, Cursor is a position from which the line's parts
// are found again, and nothing that has come out comes again.
type Reader struct {
	inner    journal.Reader
	maxBytes int
	sieves   sieves
	entry    entry    // the last one that was no part
	values   [][]byte // room

	lines []*line // that have not come out, by their beginnings
	done  int     // how many of them are to come out
	size  int     // bytes they hold
	err   error   // of inner, for when none is left

	// known is a position of inner, the last one that it took no asking for: no
	// part was read, nor a record taken, of an entry after it.
	known string
}

// Open opens the inner reader, and brings back the lines that were unfinished at
// the position. Where their parts are not all to be found any more, everything
// from before the first of them on is read again.
func Open(o Options) (*Reader, error) {
	r := &Reader{maxBytes: o.MaxBytes}
	if r.maxBytes <= 0 {
		r.maxBytes = DefaultMaxBytes
	}
	r.entry.reader = r
	p, err := parsePosition(o.After)
	if err != nil {
		return nil, err
	}
	if err := r.restore(o.Open, p); err != nil {
		return nil, fmt.Errorf("read unfinished lines again: %w", err)
	}
	after := p.after
	if len(r.lines) < len(p.lines) {
		r.lines, r.done, r.size = nil, 0, 0
		after = p.before
	}
	if r.inner, err = o.Open(after, false); err != nil {
		return nil, err
	}
	if r.known, err = r.inner.Cursor(); err != nil {
		r.inner.Close()
		return nil, err
	}
	r.Keep(nil, nil)
	return r, nil
}

// Next implements journal.Reader.
func (r *Reader) Next() (journal.Entry, error) {
	for range maxAtATime {
		if r.done > 0 {
			return r.comeOut(), nil
		}
		if r.err != nil {
			return nil, r.err
		}
		r.sieves.passAgain(r.inner, r.lines)
		e, err := r.inner.Next()
		switch {
		case err == io.EOF:
			r.letGo(func(l *line) bool { return time.Since(l.read) >= patience+late })
			if r.done == 0 {
				return nil, err
			}
			continue
		case err == journal.ErrEnd:
			r.letGo(func(*line) bool { return true })
			r.err = err
			continue
		case err != nil:
			return nil, err
		case e == nil:
			return nil, nil
		}
		r.entry.Entry = e
		part, err := r.take(e)
		if err != nil {
			return nil, err
		}
		if !part {
			return &r.entry, nil
		}
	}
	return nil, nil
}

// take keeps the entry if it is a part of a line, or must come after one.
func (r *Reader) take(e journal.Entry) (kept bool, err error) {
	breaks := r.is(e, fieldLineBreak, lineMax)
	if !breaks && len(r.lines) == 0 {
		return false, nil
	}
	r.letGo(func(l *line) bool { return e.Time().Sub(l.time) > patience })
	stream := r.stream(e)
	if !breaks && !r.waitsFor(stream) {
		return false, nil
	}
	before := r.known
	record, err := r.entry.Record()
	if err != nil {
		return false, err
	}
	p := parsePart(record)
	if p.orphan {
		return false, nil
	}
	if l := r.unfinished(stream); l != nil {
		if l.continuedBy(p, r.maxBytes) {
			r.size += l.add(p)
			if !p.breaks {
				r.finish(l)
			}
			r.bound()
			return true, nil
		}
		r.finish(l)
	}
	l := newLine(p, before)
	if p.goesOn(r.maxBytes) {
		r.add(l)
		r.bound()
		return true, nil
	}
	if !r.waitsFor(stream) {
		return false, nil
	}
	r.add(l)
	r.finish(l)
	return true, nil
}

// is tells whether the entry has that one value in the field.
func (r *Reader) is(e journal.Entry, field, value string) bool {
	r.values = e.Values(r.values[:0], field)
	return len(r.values) == 1 && string(r.values[0]) == value
}

// stream is the id of the stream that the entry came by, or empty.
func (r *Reader) stream(e journal.Entry) []byte {
	r.values = e.Values(r.values[:0], fieldStreamID)
	if len(r.values) != 1 || !isID(r.values[0]) {
		return nil
	}
	return r.values[0]
}

// waitsFor tells whether an entry of the stream has to wait for others to come
// out, or to be joined with.
func (r *Reader) waitsFor(stream []byte) bool {
	for _, l := range r.lines {
		if l.stream == string(stream) {
			return true
		}
	}
	return false
}

// unfinished is the line of the stream that waits for its next part, or nil.
func (r *Reader) unfinished(stream []byte) *line {
	for _, l := range r.lines {
		if !l.done && l.stream == string(stream) {
			return l
		}
	}
	return nil
}

func (r *Reader) add(l *line) {
	r.lines = append(r.lines, l)
	r.size += l.size()
	r.sieves.stale = true
}

// finish has the line come out as it is.
func (r *Reader) finish(l *line) {
	l.done = true
	r.done++
	r.sieves.stale = true
}

func (r *Reader) letGo(which func(*line) bool) {
	for _, l := range r.lines {
		if !l.done && which(l) {
			r.finish(l)
		}
	}
}

// bound lets go of the oldest lines when there are too many, or too large ones.
func (r *Reader) bound() {
	count, size := len(r.lines), r.size
	for _, l := range r.lines {
		if l.done {
			count, size = count-1, size-l.size()
		}
	}
	for _, l := range r.lines {
		if count <= maxLines && size <= maxTotal*r.maxBytes {
			return
		}
		if !l.done {
			count, size = count-1, size-l.size()
			r.finish(l)
		}
	}
}

// comeOut takes the first line that is to come out from the lines.
func (r *Reader) comeOut() journal.Record {
	for i, l := range r.lines {
		if l.done {
			copy(r.lines[i:], r.lines[i+1:])
			r.lines[len(r.lines)-1] = nil
			r.lines = r.lines[:len(r.lines)-1]
			r.done--
			r.size -= l.size()
			return l.joined()
		}
	}
	panic("no line is done")
}

// Cursor implements journal.Reader. While lines are unfinished it is more than a
// cursor, and for Open only.
func (r *Reader) Cursor() (string, error) {
	cursor, err := r.inner.Cursor()
	if err != nil {
		return "", err
	}
	r.known = cursor
	return r.position(), nil
}

// After implements journal.Reader. The position may also be behind an entry that
// was only a part.
func (r *Reader) After(journal.Record) (string, error) { return r.position(), nil }

func (r *Reader) position() string { return position{after: r.known}.with(r.lines) }

// Keep implements journal.Reader.
func (r *Reader) Keep(fields []string, sieves ...journal.Sieve) {
	r.sieves.keep(fields, sieves, r.lines)
	r.sieves.pass(r.inner, r.lines)
}

// Wait implements journal.Reader. It also returns when a line's time is up.
func (r *Reader) Wait(ctx context.Context) error {
	if r.done > 0 || r.err != nil {
		return nil
	}
	bounded := ctx
	if due := r.Due(); !due.IsZero() {
		var cancel context.CancelFunc
		bounded, cancel = context.WithDeadline(ctx, due)
		defer cancel()
	}
	err := r.inner.Wait(bounded)
	if bounded.Err() != nil && ctx.Err() == nil && errors.Is(err, bounded.Err()) {
		return nil
	}
	return err
}

// Due is when the next unfinished line is to be let go; zero if there is none.
func (r *Reader) Due() (first time.Time) {
	for _, l := range r.lines {
		if due := l.read.Add(patience + late); first.IsZero() || due.Before(first) {
			first = due
		}
	}
	return first
}

// Inner is the reader whose entries are joined.
func (r *Reader) Inner() journal.Reader { return r.inner }

// Process has the inner reader let go of files that were deleted, where it can.
// It ends the validity of the last entry.
func (r *Reader) Process() error {
	if p, ok := r.inner.(interface{ Process() error }); ok {
		return p.Process()
	}
	return nil
}

// Close implements journal.Reader.
func (r *Reader) Close() error { return r.inner.Close() }

// entry is one that is no part.
type entry struct {
	journal.Entry
	reader *Reader
}

// Record implements journal.Entry.
func (e *entry) Record() (journal.Record, error) {
	record, err := e.Entry.Record()
	if err == nil {
		e.reader.known = record.Cursor()
	}
	return record, err
}

var _ journal.Reader = (*Reader)(nil)
