package sql

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
)

var postgresDialect = &dialect{
	types: map[Type]string{
		Text: "text", Integer: "bigint", Real: "double precision", Numeric: "numeric", Boolean: "boolean",
		Timestamp: "timestamptz", JSON: "jsonb", Bytes: "bytea",
	},
	takes: func(t Type, c foundColumn) bool {
		return c.base == anyText && (t == Text || t == JSON) || slices.Contains(postgresTakes[t], c.base)
	},
	takesID: func(c foundColumn) bool { return c.base == "uuid" || c.base == anyText && !c.short },
}

// anyText stands for the types of PostgreSQL's category of strings, and ownEnum for
// those that are enumerations.
const (
	anyText = "a string"
	ownEnum = "an enum"
)

// postgresTakes has the types, beside strings, that a Type can be cast to without
// loss, or else with an error that isRowError knows: of ltree it is a syntax error, as
// of a statement. A timestamp without time zone is UTC's.
var postgresTakes = map[Type][]string{
	Text:      {ownEnum, "uuid", "inet", "cidr", "macaddr", "macaddr8", "interval", "time", "timetz", "xml"},
	Integer:   {"int2", "int4", "int8", "numeric"},
	Real:      {"float4", "float8", "numeric"},
	Numeric:   {"numeric"},
	Boolean:   {"bool"},
	Timestamp: {"timestamptz", "timestamp", "date"},
	JSON:      {"jsonb", "json"},
	Bytes:     {"bytea"},
}

// look finds the table, as the search path has it where no schema is named.
func (d *postgresDatabase) look(ctx context.Context, conn *pgx.Conn) (f found, err error) {
	var oid uint32
	var kind string
	err = conn.QueryRow(ctx, `SELECT oid, relkind::text FROM pg_catalog.pg_class WHERE oid = to_regclass($1)`, d.table.quoted()).Scan(&oid, &kind)
	if errors.Is(err, pgx.ErrNoRows) {
		return found{}, nil
	}
	if err != nil {
		return found{}, err
	}
	// https://www.postgresql.org/docs/current/catalog-pg-class.html, relkind
	switch kind {
	case "r", "p":
		f.kind = "table"
	case "v", "m":
		f.kind = "view"
	case "f":
		f.kind = "foreign table"
	case "S":
		f.kind = "sequence"
	default:
		f.kind = "relation of another kind"
	}
	if f.columns, err = lookAtColumns(ctx, conn, oid, d.table.id); err != nil {
		return found{}, err
	}
	// What ON CONFLICT takes: deferrable and partial indexes, and those of several
	// columns, do not do.
	err = conn.QueryRow(ctx, `
		SELECT EXISTS (SELECT FROM pg_catalog.pg_index i JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
			WHERE i.indrelid = $1 AND a.attname = $2 AND i.indisunique AND i.indimmediate AND i.indisvalid
			AND i.indnkeyatts = 1 AND i.indpred IS NULL AND i.indexprs IS NULL)`, oid, d.table.id).Scan(&f.unique)
	return f, err
}

// lookAtColumns resolves domains to what they are of, whose default and NOT NULL are
// the column's, too. ON CONFLICT reads the id's column. Where a trigger sees rows before
// they are inserted, it may fill columns that must not be NULL, but not of a domain that
// must not. A name is cut to 63 bytes without a word.
func lookAtColumns(ctx context.Context, conn *pgx.Conn, oid uint32, id string) ([]foundColumn, error) {
	rows, err := conn.Query(ctx, `
		SELECT a.attname, format_type(a.atttypid, a.atttypmod), format_type(a.atttypid, NULL),
			CASE WHEN base.typcategory = 'S' AND base.typname <> 'name' THEN '`+anyText+`' WHEN base.typtype = 'e' THEN '`+ownEnum+`' ELSE base.typname END,
			a.attidentity = 'a' OR a.attgenerated <> '',
			NOT a.atthasdef AND base.typdefault IS NULL AND a.attidentity = '' AND (base.typnotnull OR a.attnotnull AND NOT EXISTS (
				SELECT FROM pg_catalog.pg_trigger t WHERE t.tgrelid = a.attrelid AND t.tgtype & 7 = 7 AND NOT t.tgisinternal AND t.tgenabled IN ('O', 'A'))),
			base.room BETWEEN 0 AND $3::int - 1,
			NOT has_column_privilege(a.attrelid, a.attnum, 'INSERT') OR a.attname = $2 AND NOT has_column_privilege(a.attrelid, a.attnum, 'SELECT')
		FROM pg_catalog.pg_attribute a, LATERAL (
			WITH RECURSIVE resolved AS (
				SELECT oid, typname::text, typtype, typcategory, typbasetype, typnotnull, typdefault,
					CASE WHEN typtype = 'd' THEN typtypmod ELSE a.atttypmod END AS typmod
				FROM pg_catalog.pg_type WHERE oid = a.atttypid
				UNION ALL
				SELECT b.oid, b.typname::text, b.typtype, b.typcategory, b.typbasetype, r.typnotnull OR b.typnotnull, r.typdefault,
					CASE WHEN b.typtype = 'd' THEN b.typtypmod ELSE r.typmod END
				FROM pg_catalog.pg_type b JOIN resolved r ON r.typtype = 'd' AND b.oid = r.typbasetype)
			SELECT *, CASE WHEN typname IN ('varchar', 'bpchar') THEN typmod - 4 ELSE -1 END AS room FROM resolved WHERE typtype <> 'd') base
		WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`, oid, id, idLength)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (c foundColumn, err error) {
		err = row.Scan(&c.name, &c.typ, &c.cast, &c.base, &c.computed, &c.required, &c.short, &c.denied)
		// A text is assigned to a string as it is, so that one that is too long for
		// it is an error, not cut as by a cast.
		if c.base == anyText {
			c.cast = ""
		}
		return c, err
	})
}

// mayCreate tells whether the table could be made.
func (d *postgresDatabase) mayCreate(ctx context.Context, conn *pgx.Conn) error {
	var schema *string
	var may bool
	name := d.table.schema
	err := conn.QueryRow(ctx, `
		SELECT n.nspname::text, COALESCE(has_schema_privilege(n.oid, 'CREATE'), false) FROM (SELECT 1) one LEFT JOIN pg_catalog.pg_namespace n
			ON n.nspname = CASE WHEN $1 = '' THEN current_schema() ELSE $1 END`, name).Scan(&schema, &may)
	switch {
	case err != nil:
		return err
	case schema == nil && name != "":
		return fmt.Errorf("there is no schema %s to create it in (CREATE SCHEMA %s)", name, quote(name))
	case schema == nil:
		return errors.New("no schema of the search_path is there to create it in (write schema.table)")
	case !may:
		return fmt.Errorf("the user may not create it in schema %s (GRANT CREATE ON SCHEMA %s TO the user)", *schema, quote(*schema))
	}
	return nil
}
