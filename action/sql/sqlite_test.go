package sql_test

import (
	"context"
	database "database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/action/actiontest"
	"github.com/journald-router/journald-router/action/sql"
)

// sqliteFile is a connection of the test's own to a file that need not be there yet.
func sqliteFile(t testing.TB, path string) *database.DB {
	t.Helper()
	db, err := database.Open("sqlite", path+"?_busy_timeout=10000")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func sqliteExec(t testing.TB, db *database.DB, statements string) {
	t.Helper()
	if _, err := db.ExecContext(context.Background(), statements); err != nil {
		t.Fatalf("%v in %s", err, statements)
	}
}

func sqliteTexts(t testing.TB, db *database.DB, query string) (list []string) {
	t.Helper()
	rows, err := db.QueryContext(context.Background(), query)
	if err != nil {
		t.Fatalf("%v in %s", err, query)
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

func TestContractOfSQLite(t *testing.T) {
	actiontest.Run(t, actiontest.Harness{
		Destination: sqliteDestination,
		Cannot:      map[actiontest.Mood]string{actiontest.Busy: "SQLite has no word for when to come again"},
		Repeat:      "changes nothing",
		Once:        true,
	})
}

func sqliteDestination(t *testing.T, mood actiontest.Mood) actiontest.Destination {
	path := filepath.Join(t.TempDir(), "50% of #1?.db")
	if mood == actiontest.Failing {
		path = filepath.Join(filepath.Dir(path), "missing", "entries.db")
	}
	c := sql.Config{SQLite: path, Create: true}
	d := actiontest.Destination{
		Heal: func() {
			if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
		},
		Accepted: func() []string {
			db, err := database.Open("sqlite", "file:"+strings.NewReplacer("%", "%25", "#", "%23", "?", "%3f").Replace(path))
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			return sqliteTexts(t, db, "SELECT message FROM entries ORDER BY rowid")
		},
	}
	switch mood {
	case actiontest.Refusing:
		c.SQLite = filepath.Join(t.TempDir(), "x.db")
		sqliteExec(t, sqliteFile(t, c.SQLite), "CREATE TABLE entries (id TEXT PRIMARY KEY, rule TEXT CHECK (rule <> 'contract'))")
		c.Columns = sql.Columns{{Name: "rule", Value: "contract"}}
	case actiontest.Echoing:
		c.SQLite = filepath.Join(t.TempDir(), "x.db")
		sqliteExec(t, sqliteFile(t, c.SQLite), "CREATE TABLE entries (id TEXT PRIMARY KEY, rule TEXT); CREATE TRIGGER echo BEFORE INSERT ON entries BEGIN SELECT RAISE(ABORT, 'refused'); END")
		c.Columns = sql.Columns{{Name: "rule", Value: "{{ .Rule }}"}}
	case actiontest.Hanging:
		c.SQLite = filepath.Join(t.TempDir(), "x.db")
		db := sqliteFile(t, c.SQLite)
		db.SetMaxOpenConns(1)
		sqliteExec(t, db, "PRAGMA journal_mode=WAL; BEGIN IMMEDIATE; CREATE TABLE other (a)")
		reached := make(chan struct{})
		close(reached) // the lock is there already
		d.Reached = reached
	}
	d.Action = newAction(t, c)
	return d
}

// TestSQLiteErrors: nothing that somebody can mend makes a dead letter.
func TestSQLiteErrors(t *testing.T) {
	columns := sql.Columns{{Name: "total", Value: "1", Type: sql.Numeric}}
	table := func(definition string) func(t *testing.T, path string) {
		return func(t *testing.T, path string) {
			sqliteExec(t, sqliteFile(t, path), definition)
		}
	}
	text := func(text string) func(t *testing.T, path string) {
		return func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	tests := []struct {
		name   string
		make   func(t *testing.T, path string)
		create bool
		want   string
	}{
		{"no file", func(*testing.T, string) {}, false, "no such file or directory (set create: true to have it made)"},
		{"no table", table("CREATE TABLE other (id)"), false, `there is no such table (set create: true, or make it: CREATE TABLE IF NOT EXISTS "entries" ("id" TEXT NOT NULL PRIMARY KEY, "total" NUMERIC))`},
		{"a directory", func(t *testing.T, path string) {
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}, true, "it is not a regular file"},
		{"another file", text(strings.Repeat("this is no database\n", 1000)), true, "file is not a database"},
		{"a view", table("CREATE TABLE other (id); CREATE VIEW Entries AS SELECT id FROM other"), true, "it is a view and no table"},
		{"missing column", table("CREATE TABLE entries (ID TEXT PRIMARY KEY)"), true, `column total is missing (ALTER TABLE "entries" ADD COLUMN "total" NUMERIC)`},
		{"wrong types", table("CREATE TABLE entries (id INTEGER PRIMARY KEY, total BLOB_OF_INT)"), true, "column id is of type INTEGER, which takes no text; column total is of type BLOB_OF_INT, which takes no numeric"},
		{"computed", table("CREATE TABLE entries (id TEXT PRIMARY KEY, total NUMERIC AS (1))"), true, "column total is computed by the database"},
		{"id not unique", table("CREATE TABLE entries (id TEXT, total NUMERIC); CREATE UNIQUE INDEX partial ON entries (id) WHERE total > 1; CREATE UNIQUE INDEX both ON entries (id, total)"), true,
			`column id is not unique, so that repeats could not be told (CREATE UNIQUE INDEX "entries_id" ON "entries" ("id"))`},
		{"another column that must be set", table("CREATE TABLE entries (n INTEGER PRIMARY KEY NOT NULL, id TEXT UNIQUE, total, other NOT NULL, fine NOT NULL DEFAULT 1)"), true, "entries.db: column other must not be NULL, and nothing is written to it (add it to columns, or give it a default)"},
		{"a key that does not fill itself", table("CREATE TABLE entries (n INTEGER PRIMARY KEY, id TEXT UNIQUE, total) WITHOUT ROWID"), true, "column n must not be NULL, and nothing is written to it"},
		{"a part of a key", table("CREATE TABLE entries (n INTEGER NOT NULL, id TEXT UNIQUE, total, PRIMARY KEY (n, id))"), true, "column n must not be NULL, and nothing is written to it"},
		{"strict", table("CREATE TABLE entries (id BLOB PRIMARY KEY, total BLOB) STRICT"), true, "column id is of type BLOB, which takes no text; column total is of type BLOB, which takes no numeric"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "entries.db")
			tt.make(t, path)
			a := newAction(t, sql.Config{SQLite: path, Create: tt.create, Columns: columns})
			for what, err := range map[string]error{
				"insert into": a.Deliver(t.Context(), []action.Message{ordinary(1), ordinary(2)}),
				"check":       a.Probe(t.Context()),
			} {
				if err == nil || action.IsPermanent(err) || !strings.HasPrefix(err.Error(), what+" table entries of "+path+": ") || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("%s: %v\nwant %s", what, err, tt.want)
				}
			}
		})
	}
}

// TestSQLiteJSON: a text that is no JSON, which an index or a check of the user's reads
// as such, is the row's fault.
func TestSQLiteJSON(t *testing.T) {
	path := filepath.Join(t.TempDir(), "entries.db")
	sqliteExec(t, sqliteFile(t, path), "CREATE TABLE entries (id TEXT PRIMARY KEY, raw TEXT); CREATE INDEX i ON entries (raw ->> 'a')")
	a := newAction(t, sql.Config{SQLite: path, Columns: sql.Columns{{Name: "raw", Field: "RAW"}}})
	err := a.Deliver(t.Context(), []action.Message{withFields(1, "RAW", `{"a": 1}`), withFields(2, "RAW", "{"), withFields(3)})
	wantErrors(t, err, "", "malformed JSON", "")
}

// TestSQLiteDiskFull is on a file system of a mebibyte.
func TestSQLiteDiskFull(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(dir, 0) })
	path := filepath.Join(dir, "entries.db")
	a, err := sql.New(sql.Config{SQLite: path, Create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	for n := 0; err == nil && n < 100; n++ {
		batch := make([]action.Message, 100)
		for i := range batch {
			batch[i] = ordinary(100*n + i)
		}
		err = a.Deliver(t.Context(), batch)
	}
	if err == nil || action.IsPermanent(err) || !strings.Contains(err.Error(), "make room on the disk") {
		t.Errorf("%v", err)
	}
	a.Close()
	rows := sqliteTexts(t, sqliteFile(t, path), "SELECT count(*) FROM entries UNION ALL SELECT * FROM pragma_integrity_check")
	if len(rows) != 2 || strings.TrimRight(rows[0], "0") == rows[0] || rows[1] != "ok" {
		t.Errorf("%v: want whole batches, and the file in order", rows)
	}
}

// TestSQLiteReadOnly: the file system is mounted read-only for a while, as after an
// error of the disk's.
func TestSQLiteReadOnly(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	path := filepath.Join(dir, "entries.db")
	first := newAction(t, sql.Config{SQLite: path, Create: true})
	if err := first.Deliver(t.Context(), []action.Message{ordinary(0)}); err != nil {
		t.Fatal(err)
	}
	first.Close()
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	a := newAction(t, sql.Config{SQLite: path, Create: true})
	for what, err := range map[string]error{"Deliver": a.Deliver(t.Context(), []action.Message{ordinary(1)}), "Probe": a.Probe(t.Context())} {
		if err == nil || action.IsPermanent(err) || !strings.HasSuffix(err.Error(), "ReadWritePaths="+dir+")") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT, ""); err != nil {
		t.Fatal(err)
	}
	if err := a.Deliver(t.Context(), []action.Message{ordinary(1)}); err != nil {
		t.Error(err)
	}
}

// TestSQLiteDamaged: the pages of the table are overwritten; nothing becomes a dead
// letter, and a file that is put in its place is used.
func TestSQLiteDamaged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "entries.db")
	whole := newAction(t, sql.Config{SQLite: path, Create: true})
	var batch []action.Message
	for n := range 200 {
		batch = append(batch, ordinary(n))
	}
	if err := whole.Deliver(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	whole.Close()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	copy(data[4096:], strings.Repeat("damage! ", (len(data)-4096)/8)) // all but the schema
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	a := newAction(t, sql.Config{SQLite: path, Create: true})
	err = a.Deliver(t.Context(), []action.Message{ordinary(200)})
	if err == nil || action.IsPermanent(err) || !strings.Contains(err.Error(), "database disk image is malformed") || !strings.HasSuffix(err.Error(), "(move the file away, or mend it with: sqlite3 FILE .recover)") {
		t.Errorf("%v", err)
	}
	if err := os.Rename(path, path+".damaged"); err != nil {
		t.Fatal(err)
	}
	if err := a.Deliver(t.Context(), []action.Message{ordinary(200)}); err != nil {
		t.Error(err)
	}
}
