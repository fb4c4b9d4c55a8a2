package sql

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/internal/strict"
	"github.com/journald-router/journald-router/journal"
)

// A Column says what a column is filled with: a Value or a Field.
type Column struct {
	Name string
	// Value is a template.
	Value string
	// Field is a field of the journal, whose first value is taken with all its
	// bytes.
	Field string
	// Type is what the value is converted to. Default: text.
	Type Type
}

// Columns are in the order in which they were written. They are a map in the file:
// of a column's name and its value, or a map of value or field, and type.
type Columns []Column

// DecodeYAML implements strict.Decoder.
func (c *Columns) DecodeYAML(v strict.Value) {
	*c = Columns{}
	for _, e := range v.Entries("a map of columns") {
		column := Column{Name: e.Key.Name()}
		if e.Value.IsMap() {
			var in struct {
				Value string `yaml:"value"`
				Field string `yaml:"field"`
				Type  Type   `yaml:"type"`
			}
			if !e.Value.Decode(&in) {
				continue
			}
			column.Value, column.Field, column.Type = in.Value, in.Field, in.Type
		} else if text, ok := e.Value.Text(); ok {
			column.Value = text
		} else {
			continue
		}
		*c = append(*c, column)
	}
}

// column is one that is ready for use.
type column struct {
	name  string
	typ   Type
	value func(m *action.Message) (any, error)
}

// compile parses the templates, or returns the default columns where there are none.
// Its errors are *action.FieldError, joined.
func (c Columns) compile() ([]column, map[string]*action.Template, error) {
	if c == nil {
		return defaultColumns, nil, nil
	}
	var errs []error
	refuse := func(key, problem, hint string) {
		errs = append(errs, &action.FieldError{Key: key, Problem: problem, Hint: hint})
	}
	if len(c) == 0 {
		refuse("columns", "is empty", `write a name and a template, such as order: "{{ .Captures.order }}", or leave it out for the default`)
	}
	columns, templates := make([]column, 0, len(c)), make(map[string]*action.Template)
	for _, in := range c {
		key := "columns." + in.Name
		typ := cmp.Or(in.Type, Text)
		if !slices.Contains(types, typ) {
			refuse(key, fmt.Sprintf("has the type %s, which is none", strict.Quote(string(typ))), "one of "+typeNames())
			continue
		}
		out := column{name: in.Name, typ: typ}
		switch {
		case in.Value != "" && in.Field != "":
			refuse(key, "has both a value and a field", "leave one of them out")
		case in.Field != "" && !fieldName.MatchString(in.Field):
			refuse(key, fmt.Sprintf("has the field %s, which is no field's name", strict.Quote(in.Field)), "write it as journalctl --output=verbose has it: MESSAGE, BODY")
		case in.Field != "":
			out.value = fieldValue(in.Field, typ)
		case in.Value == "":
			refuse(key, "has neither a value nor a field", `write a template, "{{ .Text }}", or the name of a field, {field: MESSAGE}`)
		default:
			t, err := action.ParseTemplate(in.Value, nil)
			if err != nil {
				refuse(key, "bad "+err.Error(), "see the names and functions that templates have in docs/CONFIGURATION.md")
				continue
			}
			templates[key] = t
			out.value = func(m *action.Message) (any, error) {
				text, err := t.Render(m.Data)
				if err != nil {
					return nil, err
				}
				return typ.convert(text)
			}
		}
		columns = append(columns, out)
	}
	return columns, templates, errors.Join(errs...)
}

// fieldName is what journald takes as a field's name, or has itself
// (systemd.journal-fields(7)).
var fieldName = regexp.MustCompile(`^_{0,2}[A-Z0-9][A-Z0-9_]{0,61}$`)

// fieldValue takes a field's first value. Unlike a template it can tell one that the
// entry does not have, which is NULL.
func fieldValue(field string, typ Type) func(*action.Message) (any, error) {
	return func(m *action.Message) (any, error) {
		value, ok := m.Record.Get(field)
		switch {
		case !ok:
			return nil, nil
		case typ == Bytes:
			return value[:len(value):len(value)], nil
		}
		return typ.convert(string(value))
	}
}

// defaultColumns are the columns without a word of the user's.
var defaultColumns = []column{
	{"time", Timestamp, func(m *action.Message) (any, error) {
		text, ok := timestampText(m.Record.Time())
		if !ok || m.Record.Time().IsZero() {
			return nil, nil
		}
		return text, nil
	}},
	{"host", Text, fieldValue(journal.FieldHostname, Text)},
	{"unit", Text, fieldValue(journal.FieldUnit, Text)},
	{"priority", Text, func(m *action.Message) (any, error) { return m.Data.Priority(), nil }},
	{"rule", Text, func(m *action.Message) (any, error) { return cleanText(m.Rule), nil }},
	{"message", Text, func(m *action.Message) (any, error) { return cleanText(m.Text), nil }},
	// This JSON is in no need of a check: what is no plain text in it is an array of
	// numbers, as journalctl has it.
	{"fields", JSON, func(m *action.Message) (any, error) { return string(m.Record.AppendJSON(nil)), nil }},
}

func typeNames() string {
	var names []string
	for _, t := range types {
		names = append(names, string(t))
	}
	return strings.Join(names, ", ")
}
