package main

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"time"

	_ "modernc.org/sqlite"

	"github.com/journald-router/journald-router/action/sql/sqltest"
)

// postgres and sqlite insert a part of the journal's entries into a table of the default
// columns, which have all fields as JSON.
func (b *bench) postgres() (reached, compared, want string, err error) {
	// Not below dir, where the user postgres may have no way to.
	server, err := sqltest.Start(os.TempDir())
	if err != nil {
		return
	}
	defer server.Close()
	return b.insert("postgres: '"+server.SuperDSN()+"'", "PostgreSQL on this machine, by TLS", func() (n int, err error) {
		conn, err := server.Connect(context.Background())
		if err != nil {
			return 0, err
		}
		defer conn.Close(context.Background())
		err = conn.QueryRow(context.Background(), "SELECT count(*) FROM entries").Scan(&n)
		if err == nil {
			_, err = conn.Exec(context.Background(), "DROP TABLE entries")
		}
		return n, err
	})
}

func (b *bench) sqlite() (reached, compared, want string, err error) {
	dir, err := os.MkdirTemp(b.dir, "bench-")
	if err != nil {
		return
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "entries.db")
	return b.insert("sqlite: "+file, "an SQLite file, each transaction synced", func() (n int, err error) {
		db, err := sql.Open("sqlite", file)
		if err != nil {
			return 0, err
		}
		defer db.Close()
		err = db.QueryRow("SELECT count(*) FROM entries").Scan(&n)
		if err == nil {
			_, err = db.Exec("DROP TABLE entries")
		}
		return n, err
	})
}

// insert runs the program until every entry is a row; drop counts the rows, and drops
// the table.
func (b *bench) insert(database, what string, drop func() (int, error)) (reached, compared, want string, err error) {
	few := *b
	few.entries, few.rounds = max(1, b.entries/5), min(b.rounds, 3)
	if few.journal, err = makeJournal(b.dir, few.entries); err != nil {
		return
	}
	m, err := few.interleave(func() (float64, error) {
		seconds, err := few.insertOnce(database)
		if err != nil {
			return 0, err
		}
		n, err := drop()
		if err == nil && n != few.entries {
			err = fmt.Errorf("%d rows, want %d", n, few.entries)
		}
		return seconds, err
	})
	if err != nil {
		return
	}
	return few.rate(m[0]), fmt.Sprintf("%s, %d entries", what, few.entries), "at least 20000 entries/s", nil
}

func (b *bench) insertOnce(database string) (seconds float64, err error) {
	dir, err := os.MkdirTemp(b.dir, "bench-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	config := filepath.Join(dir, "config.yaml")
	text := fmt.Sprintf(`
journal: {directory: %s, start: beginning}
state: %s
actions:
  table:
    sql:
      create: true
      %s
rules:
  - {name: all, match: {MESSAGE: {exists: true}}, actions: [table]}
`, b.journal, filepath.Join(dir, "state"), database)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return 0, err
	}
	start := time.Now()
	_, err = command(b.router, "run", "--once", "--timeout=5m", "--config="+config)
	return time.Since(start).Seconds(), err
}
