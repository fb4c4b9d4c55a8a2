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
	takes:   func(t Type, c foundColumn) bool { return slices.Contains(sqliteTakes[t], c.base) },
	takesID: func(foundColumn) bool { return true }, // lengths are not looked at
}

// strictBlob stands for BLOB in a STRICT table, where it takes nothing else.
// https://www.sqlite.org/stricttables.html
const strictBlob = "BLOB of a STRICT table"

// sqliteTakes has the affinities that leave a value of a Type as it is.
var sqliteTakes = map[Type][]string{
	Text:      {"TEXT", "BLOB"},
	Integer:   {"INTEGER", "NUMERIC", "BLOB"},
	Real:      {"REAL", "NUMERIC", "BLOB"},
	Numeric:   {"NUMERIC", "TEXT", "BLOB"},
	Boolean:   {"NUMERIC", "INTEGER", "BLOB"},
	Timestamp: {"TEXT", "NUMERIC", "BLOB"},
	JSON:      {"TEXT", "BLOB"},
	Bytes:     {"BLOB", strictBlob},
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
	// hidden is 2 or 3 for generated columns. INTEGER PRIMARY KEY fills itself where it is
	// the rowid, which has no index.
	rows, err := conn.QueryContext(ctx, `
		SELECT c.name, c.type, c.hidden <> 0, t.strict,
			c."notnull" AND c.dflt_value IS NULL AND NOT (c.pk = 1 AND c.type = 'INTEGER' COLLATE NOCASE
				AND NOT t.wr AND NOT EXISTS (SELECT 1 FROM pragma_index_list(?1) i WHERE i.origin = 'pk'))
		FROM pragma_table_xinfo(?1) c, pragma_table_list t WHERE t.schema = 'main' AND t.name = ?1 COLLATE NOCASE ORDER BY c.cid`, d.table.name)
	if err != nil {
		return found{}, err
	}
	defer rows.Close()
	for rows.Next() {
		var c foundColumn
		var strict bool
		if err := rows.Scan(&c.name, &c.typ, &c.computed, &strict, &c.required); err != nil {
			return found{}, err
		}
		c.base = affinity(c.typ)
		if strict && strings.EqualFold(c.typ, "BLOB") {
			c.base = strictBlob
		}
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
