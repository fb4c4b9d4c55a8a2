// Package strict decodes YAML for people: it takes nothing it does not know,
// finds every mistake of a file in one go, and says for each where it is, what
// is wrong in the words of somebody who edits the file, and what to do.
//
// It walks the nodes of gopkg.in/yaml.v3 by itself, as that package's own
// decoder knows lines but no columns, and speaks of Go types.
package strict

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A Pos is a place in a file. Line and Column count from 1; a Line of 0 is the
// file as a whole.
type Pos struct {
	File         string
	Line, Column int
}

// String is the form that editors and terminals can jump to.
func (p Pos) String() string {
	if p.Line == 0 {
		return p.File
	}
	return p.File + ":" + strconv.Itoa(p.Line) + ":" + strconv.Itoa(p.Column)
}

// A Problem is one mistake: where it is, what is wrong and, if not empty, a hint
// at what to do.
type Problem struct {
	Pos
	What, Hint string
}

// String is the problem on one line: "file:line:column: what (hint)".
func (p Problem) String() string {
	s := p.Pos.String() + ": " + p.What
	if p.Hint != "" {
		s += " (" + p.Hint + ")"
	}
	return s
}

// Errors are the problems that made a configuration unusable.
type Errors []Problem

// Error has one problem a line.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, p := range e {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// A Collector gathers the problems of one or several files, and notes: what is
// legal but should be known.
type Collector struct {
	files           []string // in the order they are read
	problems, notes []Problem
}

// Add reports a problem. One that is there already, as happens to a mistake in
// a section that aliases use several times, is not repeated.
func (c *Collector) Add(at Pos, hint, format string, args ...any) {
	add(&c.problems, at, hint, format, args...)
}

// Note adds a note.
func (c *Collector) Note(at Pos, hint, format string, args ...any) {
	add(&c.notes, at, hint, format, args...)
}

func add(to *[]Problem, at Pos, hint, format string, args ...any) {
	p := Problem{at, fmt.Sprintf(format, args...), hint}
	if !slices.Contains(*to, p) {
		*to = append(*to, p)
	}
}

// Has tells whether a problem was reported at that very position.
func (c *Collector) Has(at Pos) bool {
	return slices.ContainsFunc(c.problems, func(p Problem) bool { return p.Pos == at })
}

// Err is nil, or all problems as Errors, in the order of the files and of the
// lines in them.
func (c *Collector) Err() error {
	if len(c.problems) == 0 {
		return nil
	}
	return Errors(c.sorted(c.problems))
}

// Notes are the notes in the same order.
func (c *Collector) Notes() []Problem { return c.sorted(c.notes) }

func (c *Collector) sorted(problems []Problem) []Problem {
	sorted := slices.Clone(problems)
	slices.SortStableFunc(sorted, func(a, b Problem) int {
		return cmp.Or(
			cmp.Compare(slices.Index(c.files, a.File), slices.Index(c.files, b.File)),
			cmp.Compare(a.Line, b.Line),
			cmp.Compare(a.Column, b.Column),
		)
	})
	return sorted
}
