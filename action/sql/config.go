package sql

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/internal/strict"
)

// The names without a word of the user's.
const (
	defaultTable = "entries"
	defaultID    = "id"
)

// check reports everything that is wrong with the settings but for the columns'
// values, and returns how to connect to PostgreSQL, or nil for SQLite.
func (c Config) check() (*pgx.ConnConfig, error) {
	var errs []error
	refuse := func(key, problem, hint string) {
		errs = append(errs, &action.FieldError{Key: key, Problem: problem, Hint: hint})
	}
	var postgres *pgx.ConnConfig
	switch {
	case c.SQLite == "" && c.Postgres == "":
		refuse("", "names no database", "add sqlite: /var/lib/journald-router/entries.db, or postgres: ${credential:NAME}")
	case c.SQLite != "" && c.Postgres != "":
		refuse("postgres", "and sqlite exclude each other", "make an action of each, and name both in the rule")
	case c.Postgres != "":
		var err error
		postgres, err = connConfig(c.Postgres, c.TLS)
		errs = append(errs, err)
		if err == nil {
			shareTime(postgres, c.timeout())
		}
	default:
		if problem := badPath(c.SQLite); problem != "" {
			refuse("sqlite", problem, "write a path like /var/lib/journald-router/entries.db")
		}
		if c.TLS != nil {
			refuse("tls", "is for PostgreSQL", "leave it out: an SQLite file is not connected to")
		}
	}
	c.checkNames(refuse)
	if c.Timeout < 0 {
		refuse("timeout", "is negative", "write a time like 30s, or leave it out")
	}
	return postgres, errors.Join(errs...)
}

func (c Config) timeout() time.Duration { return cmp.Or(c.Timeout, action.DefaultTimeout) }

func badPath(path string) string {
	switch {
	case !filepath.IsAbs(path):
		return "is not an absolute path"
	case strings.HasSuffix(path, "/"):
		return "is a directory"
	case strings.ContainsRune(path, 0):
		return "has a NUL byte in it"
	}
	return ""
}

func (c Config) checkNames(refuse func(key, problem, hint string)) {
	t := c.table(nil)
	parts := []string{t.name}
	if t.schema != "" || strings.HasPrefix(c.Table, ".") {
		parts = []string{t.schema, t.name}
		if c.SQLite != "" {
			refuse("table", "has a dot in it", "an SQLite file has no schemas: write the table's name alone")
		}
	}
	for _, name := range parts {
		if problem := badName(name); problem != "" {
			refuse("table", problem, "write a name like orders, or in PostgreSQL reports.orders")
			break
		}
	}
	if c.SQLite != "" && strings.HasPrefix(strings.ToLower(t.name), "sqlite_") {
		refuse("table", "begins with sqlite_", "such names are SQLite's own")
	}
	if problem := badName(t.id); problem != "" {
		refuse("id", problem, "write the name of a column, or leave it out for id")
	}
	seen := map[string]bool{c.fold(t.id): true}
	for _, column := range c.Columns {
		key, name := "columns."+column.Name, c.fold(column.Name)
		switch problem := badName(column.Name); {
		case problem != "":
			refuse(key, problem, "a column's name has letters, digits and underscores")
		case name == c.fold(t.id):
			refuse(key, "is the column of the delivery's id", "give it another name, or that one: id: delivery_id")
		case seen[name]:
			refuse(key, "is there twice", "the case of letters makes no difference in a name in SQLite")
		}
		seen[name] = true
	}
}

// fold is a name such that those that are the same to the database are equal.
func (c Config) fold(name string) string {
	if c.SQLite != "" {
		return strings.ToLower(name)
	}
	return name
}

// badName says what is wrong with an identifier; PostgreSQL would cut one of more
// than 63 bytes, and so find another.
func badName(name string) string {
	switch {
	case name == "":
		return "has an empty name"
	case !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl):
		return "has a control character in it"
	case len(name) > 63:
		return fmt.Sprintf("has the name %s, which is longer than 63 bytes", strict.Quote(name))
	}
	return ""
}

// table is what the statements need to know of it.
type table struct {
	schema string // empty: what the database looks for by itself
	name   string
	id     string
	rest   []column // all but the id's
}

func (c Config) table(columns []column) table {
	t := table{name: cmp.Or(c.Table, defaultTable), id: cmp.Or(c.ID, defaultID), rest: columns}
	if schema, name, ok := strings.Cut(t.name, "."); ok {
		t.schema, t.name = schema, name
	}
	return t
}

// String is the table's name as the user writes it.
func (t table) String() string {
	if t.schema != "" {
		return t.schema + "." + t.name
	}
	return t.name
}

// quoted is the name within a statement.
func (t table) quoted() string {
	if t.schema != "" {
		return quote(t.schema) + "." + quote(t.name)
	}
	return quote(t.name)
}

// columnList is the names within a statement, the id's first.
func (t table) columnList() string {
	list := []string{quote(t.id)}
	for _, c := range t.rest {
		list = append(list, quote(c.name))
	}
	return strings.Join(list, ", ")
}

// quote makes an identifier of any name, for either database.
func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
