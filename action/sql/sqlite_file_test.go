package sql_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/action/sql"
)

// TestSQLiteFile: what the file is like, and that a probe makes nothing.
func TestSQLiteFile(t *testing.T) {
	defer unix.Umask(unix.Umask(0o022))
	dir := t.TempDir()
	path := filepath.Join(dir, "entries.db")
	a := newAction(t, sql.Config{SQLite: path, Create: true})
	if err := a.Probe(t.Context()); err != nil {
		t.Fatal(err)
	}
	if made, _ := os.ReadDir(dir); len(made) > 0 {
		t.Errorf("the probe has made %v", made)
	}
	if err := a.Deliver(t.Context(), []action.Message{ordinary(0)}); err != nil {
		t.Fatal(err)
	}
	if err := a.Probe(t.Context()); err != nil {
		t.Errorf("a probe beside: %v", err)
	}
	for _, name := range []string{path, path + "-wal"} {
		if info, err := os.Stat(name); err != nil || info.Mode() != 0o640 {
			t.Errorf("%v, %v", info, err)
		}
	}
	if got := a.Setting(t.Context(), "journal_mode"); got != "wal" {
		t.Errorf("journal_mode %s", got)
	}
	if got := a.Setting(t.Context(), "synchronous"); got != "2" { // FULL
		t.Errorf("synchronous %s", got)
	}
	db := sqliteFile(t, path)
	before := sqliteTexts(t, db, "SELECT total_changes() || (SELECT count(*) FROM entries)")
	if err := a.Probe(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after := sqliteTexts(t, db, "SELECT total_changes() || (SELECT count(*) FROM entries)"); !cmp.Equal(before, after) {
		t.Errorf("the probe has changed something")
	}
}

// rowsOf are the number of rows in a file, and whether it is in order.
func rowsOf(t *testing.T, path string) string {
	t.Helper()
	db := sqliteFile(t, path)
	defer db.Close()
	return strings.Join(sqliteTexts(t, db, "SELECT count(*) FROM entries UNION ALL SELECT * FROM pragma_integrity_check"), " ")
}

// TestSQLiteFileIsReplaced: rows in a file that was deleted would be lost, and so would
// those that only the WAL has of one that was moved away; with one action that has it
// open, and with two.
func TestSQLiteFileIsReplaced(t *testing.T) {
	for _, several := range []int{1, 2} {
		path := filepath.Join(t.TempDir(), "entries.db")
		var actions []*sql.Action
		for range several {
			actions = append(actions, newAction(t, sql.Config{SQLite: path, Create: true}))
		}
		n := 0
		want := fmt.Sprint(several, " ok")
		for range 3 {
			for _, a := range actions {
				if err := a.Deliver(t.Context(), []action.Message{ordinary(n)}); err != nil {
					t.Fatal(err)
				}
				n++
			}
			if got := rowsOf(t, path); got != want {
				t.Errorf("%s in file %d, want %s", got, n, want)
			}
			if err := os.Rename(path, fmt.Sprint(path, n)); err != nil {
				t.Fatal(err)
			}
		}
		for _, a := range actions {
			a.Close()
		}
		for n := several; n <= 3*several; n += several {
			if got := rowsOf(t, fmt.Sprint(path, n)); got != want {
				t.Errorf("%s in the file that was moved after %d, want %s", got, n, want)
			}
		}
	}
}

// TestSQLiteWALIsLeft: the file was moved away after a crash, with a WAL that has the rows.
func TestSQLiteWALIsLeft(t *testing.T) {
	path := filepath.Join(t.TempDir(), "entries.db")
	if err := os.WriteFile(path+"-wal", []byte("rows"), 0o600); err != nil {
		t.Fatal(err)
	}
	a := newAction(t, sql.Config{SQLite: path, Create: true})
	for what, err := range map[string]error{"Deliver": a.Deliver(t.Context(), []action.Message{ordinary(0)}), "Probe": a.Probe(t.Context())} {
		if err == nil || action.IsPermanent(err) || !strings.Contains(err.Error(), "the file is gone, but rows of it are in "+path+"-wal") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := os.Remove(path + "-wal"); err != nil {
		t.Fatal(err)
	}
	if err := a.Deliver(t.Context(), []action.Message{ordinary(0)}); err != nil {
		t.Error(err)
	}
}

// interrupted is a context that does something when it is first asked for its error, as
// before each row.
type interrupted struct {
	context.Context
	once *sync.Once
	do   func()
}

func (c interrupted) Err() error {
	c.once.Do(c.do)
	return c.Context.Err()
}

// TestSQLiteFileIsDeletedMeanwhile: the rows of a transaction in a file that goes before
// the commit are in the new one.
func TestSQLiteFileIsDeletedMeanwhile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "entries.db")
	a := newAction(t, sql.Config{SQLite: path, Create: true})
	if err := a.Deliver(t.Context(), []action.Message{ordinary(0)}); err != nil {
		t.Fatal(err)
	}
	ctx := interrupted{t.Context(), new(sync.Once), func() {
		if err := os.Remove(path); err != nil {
			t.Error(err)
		}
	}}
	err := a.Deliver(ctx, []action.Message{ordinary(1)})
	if err == nil || action.IsPermanent(err) || !strings.HasSuffix(err.Error(), "the file was deleted or replaced meanwhile") {
		t.Error(err)
	}
	if err := a.Deliver(t.Context(), []action.Message{ordinary(1)}); err != nil {
		t.Fatal(err)
	}
	if got := rowsOf(t, path); got != "1 ok" {
		t.Errorf("%s in the new file", got)
	}
}

// TestSQLiteOpenedWhileLocked: a program that shuts others out altogether, also from
// reading, is waited for no longer than the context.
func TestSQLiteOpenedWhileLocked(t *testing.T) {
	for _, statements := range []string{
		"BEGIN EXCLUSIVE",
		"PRAGMA journal_mode=WAL; PRAGMA locking_mode=EXCLUSIVE; CREATE TABLE other (a)",
	} {
		path := filepath.Join(t.TempDir(), "entries.db")
		db := sqliteFile(t, path)
		db.SetMaxOpenConns(1)
		sqliteExec(t, db, statements)
		a := newAction(t, sql.Config{SQLite: path, Create: true})
		for what, try := range map[string]func(ctx context.Context) error{
			"Deliver": func(ctx context.Context) error { return a.Deliver(ctx, []action.Message{ordinary(1)}) },
			"Probe":   a.Probe,
		} {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			start := time.Now()
			err := try(ctx)
			cancel()
			if took := time.Since(start); err == nil || action.IsPermanent(err) || took > 2*time.Second {
				t.Errorf("%s after %s took %v: %v", what, statements, took, err)
			}
		}
	}
}

// TestSQLiteLocked: a program that holds the lock for long is no more than waited for.
func TestSQLiteLocked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "entries.db")
	a := newAction(t, sql.Config{SQLite: path, Create: true})
	if err := a.Deliver(t.Context(), []action.Message{ordinary(0)}); err != nil {
		t.Fatal(err)
	}
	db := sqliteFile(t, path)
	db.SetMaxOpenConns(1)
	sqliteExec(t, db, "BEGIN IMMEDIATE")
	err := a.Deliver(t.Context(), []action.Message{ordinary(1)})
	if want := "database is locked (5) (SQLITE_BUSY) (another program is writing to it; it is tried again)"; err == nil || action.IsPermanent(err) || !strings.HasSuffix(err.Error(), "(another program is writing to it; it is tried again)") {
		t.Errorf("%v\nwant %s", err, want)
	}
	sqliteExec(t, db, "ROLLBACK")
	if err := a.Deliver(t.Context(), []action.Message{ordinary(1)}); err != nil {
		t.Error(err)
	}
}
