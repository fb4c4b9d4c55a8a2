package join

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/journald-router/journald-router/journal"
)

// A position is where to go on, as a text of words with a space between them:
//
//	AFTER                                       nothing is unfinished
//	AFTER open BEFORE {STREAM PARTS FIRST}...   these lines are
//
// AFTER and BEFORE are positions of the inner reader: the one to go on from, and
// one before all parts of the lines. A line is told by the id of its stream, by
// how many of its parts were read, and by the cursor of the first; the others are
// the next entries of the stream.
type position struct {
	after, before string
	lines         []unfinished
}

type unfinished struct {
	stream string
	parts  int
	first  string
}

const opens = "open"

// with is the position as a text, with these lines.
func (p position) with(lines []*line) string {
	if len(lines) == 0 {
		return p.after
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %s", p.after, opens, lines[0].before)
	for _, l := range lines {
		fmt.Fprintf(&b, " %s %d %s", l.stream, l.parts, l.first)
	}
	return b.String()
}

func parsePosition(text string) (p position, err error) {
	words := strings.Split(text, " ")
	p.after = words[0]
	if len(words) == 1 {
		return p, nil
	}
	if len(words) < 6 || len(words)%3 != 0 || words[1] != opens {
		return p, notOne(text)
	}
	p.before = words[2]
	for w := words[3:]; len(w) > 0; w = w[3:] {
		parts, err := strconv.Atoi(w[1])
		if err != nil || parts < 1 {
			return p, notOne(text)
		}
		p.lines = append(p.lines, unfinished{w[0], parts, w[2]})
	}
	return p, nil
}

func notOne(text string) error {
	return fmt.Errorf("the saved position %q is not a position in a journal", text)
}

// restore reads the lines' parts again. Where not all are there any more there
// are fewer lines then.
func (r *Reader) restore(open func(string, bool) (journal.Reader, error), p position) error {
	if len(p.lines) == 0 {
		return nil
	}
	inner, err := open(p.before, true)
	if err != nil {
		return err
	}
	defer inner.Close()
	var streams journal.Sieve
	for _, u := range p.lines {
		streams = append(streams, journal.Test{Field: fieldStreamID, Op: journal.Equal, Text: u.stream})
	}
	inner.Keep([]string{fieldStreamID}, streams)
	lines := make([]*line, len(p.lines))
	for left := len(lines); left > 0; {
		e, err := inner.Next()
		if err == io.EOF || err == journal.ErrEnd {
			return nil
		}
		if err != nil {
			return err
		}
		if e == nil {
			continue
		}
		whole, err := r.restorePart(inner, e, p, lines)
		if err != nil {
			return err
		}
		if whole {
			left--
		}
	}
	for _, l := range lines {
		// One that its stream has left behind is not gone on with.
		if before := r.unfinished([]byte(l.stream)); before != nil {
			r.finish(before)
		}
		r.add(l)
		if l.done {
			r.done++
		}
	}
	return nil
}

// restorePart adds the entry to the line that it is a part of, if it is one, and
// tells whether the line has as many as are known of now.
func (r *Reader) restorePart(inner journal.Reader, e journal.Entry, p position, lines []*line) (whole bool, err error) {
	for i, u := range p.lines {
		if lines[i] != nil && lines[i].parts == u.parts || !r.is(e, fieldStreamID, u.stream) {
			continue
		}
		if lines[i] == nil {
			cursor, err := inner.Cursor()
			if err != nil || cursor != u.first {
				return false, err
			}
		}
		record, err := e.Record()
		if err != nil {
			return false, err
		}
		last := parsePart(record)
		if lines[i] == nil {
			lines[i] = newLine(last, p.before)
		} else {
			lines[i].add(last)
		}
		lines[i].done = !last.goesOn(r.maxBytes)
		return lines[i].parts == u.parts, nil
	}
	return false, nil
}
