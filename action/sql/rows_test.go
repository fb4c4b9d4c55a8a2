package sql_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/action/sql"
	"github.com/journald-router/journald-router/journal"
)

// withFields is a message of an entry with these fields, and a number as its id.
func withFields(n int, fields ...string) action.Message {
	var list []journal.Field
	for i := 0; i < len(fields); i += 2 {
		list = append(list, journal.Field{Name: fields[i], Value: []byte(fields[i+1])})
	}
	record := journal.NewRecord(fmt.Sprint("s=1;i=", n), time.UnixMicro(1_700_000_000_123_456), 0, list...)
	id := fmt.Sprintf("%032x", n)
	return action.Message{ID: id, Rule: "r", Text: "a text", Record: record, Data: action.NewData(id, "r", "a text", map[string]string{"order": "4711"}, record)}
}

// allTypes has a column of each type that is filled from a field, and two more.
func allTypes() (columns sql.Columns) {
	for _, typ := range []sql.Type{sql.Text, sql.Integer, sql.Real, sql.Numeric, sql.Boolean, sql.Timestamp, sql.JSON, sql.Bytes} {
		columns = append(columns, sql.Column{Name: "a_" + string(typ), Field: strings.ToUpper(string(typ)), Type: typ})
	}
	return append(columns, sql.Column{Name: `odd "name" '; --`, Value: "{{ .Captures.order }}{{ .Fields.TEXT }}"}, sql.Column{Name: "rendered", Value: "{{ .Time }}", Type: sql.Timestamp})
}

// allTypesMessages are full, empty, without any of the fields, and hostile.
func allTypesMessages() []action.Message {
	return []action.Message{
		withFields(1, "TEXT", "t", "INTEGER", "42", "REAL", "2.5", "NUMERIC", "12345678901234567890.10", "BOOLEAN", "yes", "TIMESTAMP", "2026-01-31T08:00:00+01:00", "JSON", `{"a": 1}`, "BYTES", "b\x00\xff"),
		withFields(2, "TEXT", "", "INTEGER", "", "REAL", "", "NUMERIC", "", "BOOLEAN", "", "TIMESTAMP", "", "JSON", "", "BYTES", ""),
		withFields(3),
		withFields(4, "TEXT", "'); DROP TABLE x; -- \x00\\ $1 {\"NULL\"} NULL"),
	}
}

const odd = `"odd ""name"" '; --"`

func TestTypesInPostgres(t *testing.T) {
	s, table := postgres(t), newName(t)
	a := newAction(t, sql.Config{Postgres: action.Secret(s.SuperDSN()), Table: table, Create: true, ID: "delivery", Columns: allTypes()})
	if err := a.Deliver(t.Context(), allTypesMessages()); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"00000000000000000000000000000001,t,42,2.5,12345678901234567890.10,true,2026-01-31 07:00:00+00,1,\\x6200ff,4711t,2023-11-14 22:13:20.123456+00",
		"00000000000000000000000000000002,,NULL,NULL,NULL,NULL,NULL,NULL,\\x,4711,2023-11-14 22:13:20.123456+00",
		"00000000000000000000000000000003,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,4711,2023-11-14 22:13:20.123456+00",
		"00000000000000000000000000000004,'); DROP TABLE x; -- ␀\\ $1 {\"NULL\"} NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,4711'); DROP TABLE x; -- ␀\\ $1 {\"NULL\"} NULL,2023-11-14 22:13:20.123456+00",
	}
	columns := []string{"a_text", "a_integer", "a_real", "a_numeric", "a_boolean", "a_timestamp AT TIME ZONE 'UTC' || '+00'", "a_json->>'a'", "a_bytes", odd, "rendered AT TIME ZONE 'UTC' || '+00'"}
	query := "SELECT delivery"
	for _, c := range columns {
		query += " || ',' || COALESCE((" + c + ")::text, 'NULL')"
	}
	if diff := cmp.Diff(want, texts(t, s, query+" FROM "+table+" ORDER BY ctid")); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

func TestTypesInSQLite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	a := newAction(t, sql.Config{SQLite: path, Table: "x", Create: true, ID: "delivery", Columns: allTypes()})
	if err := a.Deliver(t.Context(), allTypesMessages()); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"00000000000000000000000000000001,'t',42,2.5,1.2345678901234567e+19,1,'2026-01-31T07:00:00.000000Z',1,X'6200FF','4711t',1700000000",
		"00000000000000000000000000000002,'',NULL,NULL,NULL,NULL,NULL,NULL,X'','4711',1700000000",
		"00000000000000000000000000000003,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'4711',1700000000",
		"00000000000000000000000000000004,'''); DROP TABLE x; -- ␀\\ $1 {\"NULL\"} NULL',NULL,NULL,NULL,NULL,NULL,NULL,NULL,'4711''); DROP TABLE x; -- ␀\\ $1 {\"NULL\"} NULL',1700000000",
	}
	query := "SELECT delivery"
	for _, c := range []string{"a_text", "a_integer", "a_real", "a_numeric", "a_boolean", "a_timestamp", "a_json->>'a'", "a_bytes", odd, "unixepoch(rendered)"} {
		query += " || ',' || quote(" + c + ")"
	}
	if diff := cmp.Diff(want, sqliteTexts(t, sqliteFile(t, path), query+" FROM x ORDER BY rowid")); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

// TestTypesOfTheUsers: what PostgreSQL has of types beside those that are created.
func TestTypesOfTheUsers(t *testing.T) {
	s, name := postgres(t), newName(t)
	execute(t, s, fmt.Sprintf(`CREATE SCHEMA %[1]s; CREATE TYPE %[1]s.mood AS ENUM ('good', 'bad'); CREATE DOMAIN %[1]s.cents AS integer CHECK (value >= 0); CREATE DOMAIN %[1]s.price AS %[1]s.cents;
		CREATE DOMAIN %[1]s.filled AS text NOT NULL DEFAULT 'x';
		CREATE TABLE %[1]s."Orders" (id uuid PRIMARY KEY, n bigserial, short varchar(3), fixed char(2), mood %[1]s.mood, ip inet, small smallint, price %[1]s.price, total numeric(6,2), day date, at timestamp, raw json, note text, f real, d %[1]s.filled NOT NULL)`, name))
	columns := sql.Columns{
		{Name: "short", Field: "SHORT"}, {Name: "fixed", Value: "ab"}, {Name: "mood", Value: "{{ .Fields.MOOD }}"}, {Name: "ip", Value: "{{ .Fields.IP }}"},
		{Name: "small", Field: "SMALL", Type: sql.Integer}, {Name: "price", Field: "PRICE", Type: sql.Integer}, {Name: "total", Field: "TOTAL", Type: sql.Numeric},
		{Name: "day", Value: "2026-01-31T23:00:00-08:00", Type: sql.Timestamp}, {Name: "at", Value: "2026-01-31T23:00:00-08:00", Type: sql.Timestamp},
		{Name: "raw", Value: `{"z": 1, "a":"\u0000"}`, Type: sql.JSON}, {Name: "note", Value: `{}`, Type: sql.JSON}, {Name: "f", Value: "0.5", Type: sql.Real},
	}
	a := newAction(t, sql.Config{Postgres: action.Secret(s.SuperDSN()), Table: name + ".Orders", Columns: columns})
	batch := []action.Message{
		withFields(1, "SHORT", "abc", "MOOD", "good", "IP", "10.0.0.1", "SMALL", "7", "PRICE", "100", "TOTAL", "1.005"),
		withFields(2), // an empty text is no mood and no address
		withFields(3, "SHORT", "abcd"),
		withFields(4, "MOOD", "soso"),
		withFields(5, "SMALL", "40000"),
		withFields(6, "PRICE", "-1"),
		withFields(7, "TOTAL", "12345.6"),
		withFields(8, "IP", "not an address"),
	}
	err := a.Deliver(t.Context(), batch)
	wantErrors(t, err, "", "", "value too long for type character varying(3) (SQLSTATE 22001)", `invalid input value for enum `+name+`.mood: "soso" (SQLSTATE 22P02)`,
		"out of range for type smallint (SQLSTATE 22003)", "violates check constraint", "numeric field overflow", `invalid input syntax for type inet: "not an address"`)
	want := []string{
		"00000000-0000-0000-0000-000000000001,abc,ab,good,10.0.0.1/32,7,100,1.01,2026-02-01,2026-02-01 07:00:00,{\"z\": 1, \"a\":\"\\u2400\"},{},0.5",
		"00000000-0000-0000-0000-000000000002,NULL,ab,NULL,NULL,NULL,NULL,NULL,2026-02-01,2026-02-01 07:00:00,{\"z\": 1, \"a\":\"\\u2400\"},{},0.5",
	}
	query := "SELECT id::text"
	for _, c := range columns {
		query += " || ',' || COALESCE((" + c.Name + ")::text, 'NULL')"
	}
	if diff := cmp.Diff(want, texts(t, s, query+" FROM "+name+`."Orders" ORDER BY ctid`)); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

// wantErrors checks that of each message, all of which are permanent.
func wantErrors(t *testing.T, err error, want ...string) {
	t.Helper()
	batch, ok := errors.AsType[*action.BatchError](err)
	if !ok || len(batch.Errs) != len(want) {
		t.Fatalf("%v; want one for each of %d", err, len(want))
	}
	for i, err := range batch.Errs {
		if want[i] == "" && err != nil || want[i] != "" && (!action.IsPermanent(err) || !strings.Contains(err.Error(), want[i])) {
			t.Errorf("message %d: %v (permanent: %v)\nwant %s", i, err, action.IsPermanent(err), want[i])
		}
	}
}

// TestBadRowsCostNoOthers: in a batch of a hundred, four rows are bad, each in another
// way.
func TestBadRowsCostNoOthers(t *testing.T) {
	columns := sql.Columns{{Name: "n", Field: "N", Type: sql.Integer}, {Name: "who", Field: "WHO"}}
	batch, want := make([]action.Message, 100), make([]string, 100)
	for i := range batch {
		batch[i] = withFields(i, "N", fmt.Sprint(i), "WHO", fmt.Sprint("who", i))
	}
	batch[7] = withFields(7, "N", "seven")
	batch[50] = withFields(50, "N", "-1", "WHO", "x")
	batch[51] = withFields(51, "N", "51", "WHO", "who50a")
	batch[52] = withFields(52, "N", "52", "WHO", "who50a")
	batch[99] = withFields(99, "N", "-99", "WHO", "y")
	want[7] = `column n: "seven" is not of type integer`
	const definition = " (id text PRIMARY KEY, n integer CHECK (n >= 0), who text UNIQUE)"

	t.Run("postgres", func(t *testing.T) {
		s, table := postgres(t), newName(t)
		execute(t, s, "CREATE TABLE "+table+definition)
		a := newAction(t, sql.Config{Postgres: action.Secret(s.SuperDSN()), Table: table, Columns: columns})
		want[50] = fmt.Sprintf(`new row for relation "%[1]s" violates check constraint "%[1]s_n_check" (SQLSTATE 23514)`, table)
		want[52] = fmt.Sprintf(`duplicate key value violates unique constraint "%s_who_key": Key (who)=(who50a) already exists. (SQLSTATE 23505)`, table)
		want[99] = want[50]
		wantErrors(t, a.Deliver(t.Context(), batch), want...)
		wantErrors(t, a.Deliver(t.Context(), batch), want...) // and nothing twice
		if got := texts(t, s, "SELECT count(*) || ',' || sum(n) FROM "+table); got[0] != fmt.Sprint("96,", 99*100/2-7-50-52-99) {
			t.Error(got)
		}
	})
	t.Run("sqlite", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "x.db")
		db := sqliteFile(t, path)
		sqliteExec(t, db, "CREATE TABLE x"+definition)
		a := newAction(t, sql.Config{SQLite: path, Table: "x", Columns: columns})
		want[50] = "CHECK constraint failed: n >= 0"
		want[52] = "UNIQUE constraint failed: x.who"
		want[99] = want[50]
		wantErrors(t, a.Deliver(t.Context(), batch), want...)
		wantErrors(t, a.Deliver(t.Context(), batch), want...)
		if got := sqliteTexts(t, db, "SELECT count(*) || ',' || sum(n) FROM x"); got[0] != fmt.Sprint("96,", 99*100/2-7-50-52-99) {
			t.Error(got)
		}
	})
}

// TestFailureInTheMiddle: what was accepted is so; the rest is tried again, in order,
// and what is refused for good is that.
func TestFailureInTheMiddle(t *testing.T) {
	s, table := postgres(t), newName(t)
	// The connection ends with the row whose number is 5, once those before it are there.
	execute(t, s, fmt.Sprintf(`CREATE TABLE %[1]s (id text PRIMARY KEY, n integer CHECK (n <> 1));
		CREATE FUNCTION f_%[1]s() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			IF NEW.n = 5 AND EXISTS (SELECT FROM %[1]s WHERE n = 3) THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF; RETURN NEW; END $$;
		CREATE TRIGGER t BEFORE INSERT ON %[1]s FOR EACH ROW EXECUTE FUNCTION f_%[1]s()`, table))
	a := newAction(t, sql.Config{Postgres: action.Secret(s.SuperDSN()), Table: table, Columns: sql.Columns{{Name: "n", Field: "N", Type: sql.Integer}}})
	var batch []action.Message
	for n := range 8 {
		batch = append(batch, withFields(n, "N", fmt.Sprint(n)))
	}
	err := a.Deliver(t.Context(), batch)
	each, ok := errors.AsType[*action.BatchError](err)
	if !ok {
		t.Fatal(err)
	}
	got := ""
	for _, err := range each.Errs {
		switch {
		case err == nil:
			got += "+"
		case action.IsPermanent(err):
			got += "!"
		case strings.Contains(err.Error(), "57P01"):
			got += "?"
		}
	}
	if got != "+!++????" {
		t.Errorf("%s, want +!++????: %v", got, err)
	}
}
