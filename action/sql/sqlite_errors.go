package sql

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// isSQLiteRowError tells whether SQLite has found fault with what is in some row,
// which it will do each time. https://www.sqlite.org/rescode.html
func isSQLiteRowError(err error) bool {
	e, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return false
	}
	switch e.Code() & 0xff { // the rest is detail
	case sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_TOOBIG:
		return true
	case sqlite3.SQLITE_ERROR:
		// Of what code reads of a row, as a check or an index of the user's does, this
		// has no code of its own.
		return strings.Contains(e.Error(), "malformed JSON")
	}
	return false
}

// describe says of an error where it was, and what to do.
func (d *sqliteDatabase) describe(doing string, err error) error {
	return oneLine(err, fmt.Sprintf("%s table %s of %s: %v%s", doing, d.table, d.path, err, d.hint(err)))
}

func (d *sqliteDatabase) hint(err error) string {
	dir := filepath.Dir(d.path)
	e, _ := errors.AsType[*sqlite.Error](err)
	code := 0
	if e != nil {
		code = e.Code() & 0xff
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if _, err := os.Stat(dir); err != nil {
			return " (make the directory: mkdir -p " + dir + "; the router must be able to write there)"
		}
		return " (set create: true to have it made)"
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS), code == sqlite3.SQLITE_READONLY, code == sqlite3.SQLITE_CANTOPEN:
		return " (give the router's user the right to write the file and in its directory, and its unit: ReadWritePaths=" + dir + ")"
	case code == sqlite3.SQLITE_FULL:
		return " (make room on the disk)"
	case code == sqlite3.SQLITE_BUSY:
		return " (another program is writing to it; it is tried again)"
	case code == sqlite3.SQLITE_CORRUPT, code == sqlite3.SQLITE_NOTADB:
		return " (move the file away, or mend it with: sqlite3 FILE .recover)"
	}
	return ""
}
