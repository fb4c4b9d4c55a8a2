package sql

import (
	"errors"
	"fmt"
	"strings"
)

// A dialect is what the databases call the types.
type dialect struct {
	// types are those of a column that is created.
	types map[Type]string
	// takes tells whether a column that is there can hold what the user wants in it.
	takes func(t Type, c foundColumn) bool
	// takesID tells whether one that takes a Text can hold the delivery's id: what
	// cannot would make a dead letter of each.
	takesID func(c foundColumn) bool
}

// idLength is that of a delivery's id, in characters.
const idLength = 32

// found is a table as it is in the database.
type found struct {
	kind    string // "table", or what it is instead; empty if there is none
	columns []foundColumn
	unique  bool // no two rows can have the same id
}

type foundColumn struct {
	name string
	typ  string // for people
	base string // for takes
	// computed: nobody can insert a value. required: a row without one is refused.
	computed, required bool
	// short: it holds less than an id.
	short bool
	// denied: the user may not insert into it.
	denied bool
	// cast is for PostgreSQL: what a text has to be cast to, or nothing.
	cast string
}

// ddl is the definition of a column.
func (d *dialect) ddl(name string, t Type) string { return quote(name) + " " + d.types[t] }

// create is the statement that makes the table.
func (d *dialect) create(t table) string {
	columns := []string{d.ddl(t.id, Text) + " NOT NULL PRIMARY KEY"}
	for _, c := range t.rest {
		columns = append(columns, d.ddl(c.name, c.typ))
	}
	return fmt.Sprintf("CREATE TABLE IF NOT EXISTS %s (%s)", t.quoted(), strings.Join(columns, ", "))
}

// check tells everything that would keep rows from being inserted, and what to do
// about it.
func (d *dialect) check(t table, f found) error {
	if f.kind == "" {
		return fmt.Errorf("there is no such table (set create: true, or make it: %s)", d.create(t))
	}
	if f.kind != "table" {
		return fmt.Errorf("it is a %s and no table", f.kind)
	}
	var problems, hints []string
	problem := func(hint, format string, args ...any) {
		problems = append(problems, fmt.Sprintf(format, args...))
		if hint != "" {
			hints = append(hints, hint)
		}
	}
	named := map[string]bool{}
	for i, want := range append([]column{{name: t.id, typ: Text}}, t.rest...) {
		named[want.name] = true
		c, similar := f.column(want.name)
		switch {
		case c == nil && similar != "":
			problem("", "column %s is missing, but there is %s: write it so", want.name, similar)
		case c == nil:
			problem("ALTER TABLE "+t.quoted()+" ADD COLUMN "+d.ddl(want.name, want.typ), "column %s is missing", want.name)
		case c.computed:
			problem("", "column %s is computed by the database, which takes no value for it", want.name)
		case !d.takes(want.typ, *c):
			problem("", "column %s is of type %s, which takes no %s", want.name, c.typ, want.typ)
		case i == 0 && !d.takesID(*c):
			problem("", "column %s is of type %s, which takes no id of %d hexadecimal digits", want.name, c.typ, idLength)
		case c.denied:
			problem(fmt.Sprintf("GRANT INSERT, SELECT (%s) ON %s TO the user", quote(t.id), t.quoted()), "the user may not insert into column %s, or not look for ids", want.name)
		case i == 0 && !f.unique:
			problem(fmt.Sprintf("CREATE UNIQUE INDEX %s ON %s (%s)", quote(t.name+"_"+t.id), t.quoted(), quote(t.id)),
				"column %s is not unique, so that repeats could not be told", want.name)
		}
	}
	for _, c := range f.columns {
		if c.required && !named[c.name] {
			problem("add it to columns, or give it a default", "column %s must not be NULL, and nothing is written to it", c.name)
		}
	}
	switch {
	case len(problems) == 0:
		return nil
	case len(hints) == 0:
		return errors.New(strings.Join(problems, "; "))
	}
	return fmt.Errorf("%s (%s)", strings.Join(problems, "; "), strings.Join(hints, "; "))
}

// column finds one by its name, or else one whose name is the same but for the case
// of letters.
func (f found) column(name string) (c *foundColumn, similar string) {
	for i := range f.columns {
		if f.columns[i].name == name {
			return &f.columns[i], ""
		}
		if strings.EqualFold(f.columns[i].name, name) {
			similar = f.columns[i].name
		}
	}
	return nil, similar
}
