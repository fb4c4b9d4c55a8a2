package sql

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
)

// sqliteDialect: what SQLite has no type for is what its functions take. Of a numeric
// it keeps 15 digits or 64 bits; the column may be TEXT instead, which keeps all, but
// compares and sorts as text.
var sqliteDialect = &dialect{
	types: map[Type]string{
		Text: "TEXT", Integer: "INTEGER", Real: "REAL", Numeric: "NUMERIC", Boolean: "BOOLEAN",
		Timestamp: "TEXT", JSON: "TEXT", Bytes: "BLOB",
	},
	takes: func(t Type, c foundColumn) bool { return slices.Contains(sqliteTakes[t], c.base) },
}

// sqliteTakes has the affinities that leave a value of a Type as it is.
var sqliteTakes = map[Type][]string{
	Text:      {"TEXT", "BLOB"},
	Integer:   {"INTEGER", "NUMERIC", "BLOB"},
	Real:      {"REAL", "NUMERIC", "BLOB"},
	Numeric:   {"NUMERIC", "TEXT", "BLOB"},
	Boolean:   {"NUMERIC", "INTEGER", "BLOB"},
	Timestamp: {"TEXT", "NUMERIC", "BLOB"},
	JSON:      {"TEXT", "BLOB"},
	Bytes:     {"BLOB"},
}

// affinity is what SQLite makes of the declared type of a column.
// https://www.sqlite.org/datatype3.html#determination_of_column_affinity
func affinity(declared string) string {
	declared = strings.ToUpper(declared)
	has := func(parts ...string) bool {
		return slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(declared, part) })
	}
	switch {
	case has("INT"):
		return "INTEGER"
	case has("CHAR", "CLOB", "TEXT"):
		return "TEXT"
	case declared == "" || declared == "ANY" || has("BLOB"): // ANY is of STRICT tables
		return "BLOB"
	case has("REAL", "FLOA", "DOUB"):
		return "REAL"
	}
	return "NUMERIC"
}

// look finds the table.
func (d *sqliteDatabase) look(ctx context.Context, conn *sql.Conn) (f found, err error) {
	err = conn.QueryRowContext(ctx, `SELECT type FROM sqlite_schema WHERE name = ? COLLATE NOCASE AND type IN ('table', 'view')`, d.table.name).Scan(&f.kind)
	if errors.Is(err, sql.ErrNoRows) {
		return found{}, nil
	}
	if err != nil {
		return found{}, err
	}
	// hidden is 2 or 3 for generated columns. A table of its own type, INTEGER PRIMARY
	// KEY, fills itself.
	rows, err := conn.QueryContext(ctx, `
		SELECT name, type, hidden <> 0, "notnull" AND dflt_value IS NULL AND NOT (pk = 1 AND type = 'INTEGER' COLLATE NOCASE)
		FROM pragma_table_xinfo(?)`, d.table.name)
	if err != nil {
		return found{}, err
	}
	defer rows.Close()
	for rows.Next() {
		var c foundColumn
		if err := rows.Scan(&c.name, &c.typ, &c.computed, &c.required); err != nil {
			return found{}, err
		}
		c.base = affinity(c.typ)
		// Names are the same in any case of letters.
		if strings.EqualFold(c.name, d.table.id) {
			c.name = d.table.id
		}
		for _, want := range d.table.rest {
			if strings.EqualFold(c.name, want.name) {
				c.name = want.name
			}
		}
		f.columns = append(f.columns, c)
	}
	if err := rows.Err(); err != nil {
		return found{}, err
	}
	err = conn.QueryRowContext(ctx, `
		SELECT EXISTS (SELECT 1 FROM pragma_index_list(?1) i WHERE i."unique" AND NOT i.partial
			AND (SELECT count(*) = 1 AND max(name) = ?2 COLLATE NOCASE FROM pragma_index_info(i.name)))`, d.table.name, d.table.id).Scan(&f.unique)
	return f, err
}
