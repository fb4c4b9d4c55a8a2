package e2e

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jackc/pgx/v5"
	_ "modernc.org/sqlite"

	"github.com/journald-router/journald-router/action/sql/sqltest"
	"github.com/journald-router/journald-router/journal/journaltest"
)

func startPostgres(t *testing.T) *sqltest.Server {
	t.Helper()
	s, err := sqltest.Start(os.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// A query returns what a query of one column finds, or nothing while that fails.
type query func(text string) []string

func postgresQuery(t *testing.T, s *sqltest.Server) query {
	return func(text string) []string {
		conn, err := s.Connect(t.Context())
		if err != nil {
			return nil // it is away
		}
		defer conn.Close(t.Context())
		rows, err := conn.Query(t.Context(), text)
		if err != nil {
			return nil
		}
		list, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return nil // there is no table yet
		}
		return list
	}
}

func sqliteQuery(t *testing.T, path string) query {
	return func(text string) (list []string) {
		if _, err := os.Stat(path); err != nil {
			return nil
		}
		db, err := sql.Open("sqlite", path)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		rows, err := db.Query(text)
		if err != nil {
			return nil
		}
		defer rows.Close()
		for rows.Next() {
			var text string
			if err := rows.Scan(&text); err != nil {
				t.Fatal(err)
			}
			list = append(list, text)
		}
		return list
	}
}

// TestSQL: what an application logs as JSON becomes rows, of PostgreSQL by TLS and a
// password, in the rights that docs/actions/sql.md names; and of an SQLite file.
func TestSQL(t *testing.T) {
	s := startPostgres(t)
	if err := s.Exec(t.Context(), `
		CREATE USER router PASSWORD 'a-password'; CREATE SCHEMA reports; GRANT USAGE ON SCHEMA reports TO router;
		CREATE TABLE reports.orders (id text PRIMARY KEY, "order" text, total numeric(10,2), at timestamptz, body bytea);
		GRANT INSERT, SELECT (id) ON reports.orders TO router`); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "report.db")
	j := journaltest.Start(t, journaltest.Options{})
	p := newProgram(t, j, fmt.Sprintf(`
actions:
  report:
    sql:
      postgres: %s
      tls: {ca: %s}
      table: reports.orders
      columns: &columns
        order: "{{ .JSON.order.id }}"
        total: {value: "{{ .JSON.order.total }}", type: numeric}
        at: {value: "{{ .Time }}", type: timestamp}
        body: {field: BODY, type: bytes}
  local:
    sql: {sqlite: %s, create: true, table: orders, columns: *columns}
  all:
    sql: {sqlite: %s, create: true}
rules:
  - {name: orders, prefix: "ORDER: ", parse: json, actions: [report, local, all]}
`, s.DSN("router", "a-password", "postgres"), filepath.Join(s.Dir, "ca.crt"), file, file))
	p.run("check", "--connect")
	if _, err := os.Stat(file); err == nil {
		t.Error("check --connect has made the file")
	}
	p.startReady()
	j.Send(journaltest.Fields("MESSAGE", `ORDER: {"order": {"id": "A-1", "total": 19.90}}`, "BODY", "raw\x00\xff")...)
	j.Print(`ORDER: {"order": {"id": "A-2", "total": "many"}}`)
	j.Print(`ORDER: {"order": {"id": "A-3"}}`)
	orders := func(q query, table, body string) []string {
		return q(fmt.Sprintf(`SELECT "order" || ',' || COALESCE(CAST(total AS text), '') || ',' || (at > CURRENT_DATE - 2) || ',' || COALESCE(%s, '') FROM %s ORDER BY "order"`, body, table))
	}
	inServer, inFile := postgresQuery(t, s), sqliteQuery(t, file)
	waitFor(t, "the rows", func() bool {
		return len(inServer("SELECT id FROM reports.orders")) == 2 && len(inFile("SELECT id FROM orders")) == 2 &&
			len(inFile("SELECT id FROM entries")) == 3
	})
	p.stop()
	if diff := cmp.Diff([]string{"A-1,19.90,true,72617700ff", "A-3,,true,"}, orders(inServer, "reports.orders", "encode(body, 'hex')")); diff != "" {
		t.Errorf("in PostgreSQL (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"A-1,19.9,1,72617700FF", "A-3,,1,"}, orders(inFile, "orders", "hex(body)")); diff != "" {
		t.Errorf("in SQLite (-want +got):\n%s", diff)
	}
	letters := p.run("dead", "list", "--output", "json")
	if n := strings.Count(letters, `column total: \"many\" is not of type numeric`); n != 2 {
		t.Errorf("%d dead letters, want 2: %s", n, letters)
	}
	if p.says("a-password") > 0 {
		t.Error("the password is in the log")
	}
}

// TestSQLServerAndRouterAreKilled: while a stream of lines is logged, the server
// crashes and comes back, and then the router is killed. Each line is one row, in order.
func TestSQLServerAndRouterAreKilled(t *testing.T) {
	const lines = 600
	s := startPostgres(t)
	j := journaltest.Start(t, journaltest.Options{})
	file := filepath.Join(t.TempDir(), "report.db")
	p := newProgram(t, j, fmt.Sprintf(`
actions:
  report: {sql: {postgres: "%s", create: true}, retry: {min: 10ms, max: 100ms}}
  local: {sql: {sqlite: %s, create: true}, retry: {min: 10ms, max: 100ms}}
rules:
  - {name: x, prefix: "X: ", actions: [report, local]}
`, s.SuperDSN(), file))
	p.startReady()
	var want []string
	share := func() {
		for range lines / 4 {
			want = append(want, strconv.Itoa(len(want)))
			j.Print("X: " + want[len(want)-1])
		}
	}
	inServer, inFile := postgresQuery(t, s), sqliteQuery(t, file)
	rows := func() []string { return inServer("SELECT message FROM entries ORDER BY ctid") }
	share()
	p.waitFor("the first rows", func() bool { return len(rows()) > 0 })
	if err := s.Stop(true); err != nil {
		t.Fatal(err)
	}
	share()
	p.waitFor("the failure to be noticed", func() bool { return p.actions()["report"].Failures > 0 })
	share()
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	p.waitFor("the rows after the crash", func() bool { return len(rows()) > lines/4 })
	share()
	p.kill()
	p.start()
	for what, all := range map[string]func() []string{
		"PostgreSQL": rows,
		"SQLite":     func() []string { return inFile("SELECT message FROM entries ORDER BY rowid") },
	} {
		p.waitFor("all rows in "+what, func() bool { return len(all()) >= lines })
		if diff := cmp.Diff(want, all()); diff != "" {
			t.Errorf("rows in %s (-want +got):\n%s", what, diff)
		}
	}
	p.stop()
	if letters := p.run("dead", "list", "--output", "json"); strings.Contains(letters, "cause") {
		t.Errorf("dead letters: %s", letters)
	}
}
