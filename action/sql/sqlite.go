package sql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	_ "modernc.org/sqlite" // the driver "sqlite", in Go: no second library in C
)

// sqliteDatabase has one connection, which is made when it is needed, and given up
// after any error that is not about a row.
type sqliteDatabase struct {
	table  table
	create bool
	path   string

	db     *sql.DB // nil: not open
	conn   *sql.Conn
	one    *sql.Stmt
	opened os.FileInfo
}

// busy is how long a lock of another program's is waited for, in milliseconds; the
// end of a call's context ends it, too.
const busy = "5000"

// durable has a commit synced to the disk, which is FULL; with NORMAL a power cut could
// take back the last ones. WAL lets others read meanwhile; what it has is carried into
// the database each 10,000 pages, 40 MiB, not the usual 1,000: rows are written by
// several thousands and their ids are spread over the whole index, so that each
// transaction would wait for two syncs more. 16 MB of cache hold that index for long.
// https://www.sqlite.org/pragma.html#pragma_synchronous, https://www.sqlite.org/wal.html
const durable = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=10000; PRAGMA cache_size=-16000"

// insert implements database, in one transaction.
func (d *sqliteDatabase) insert(ctx context.Context, rows [][]any) error {
	if err := d.ready(ctx); err != nil {
		d.close()
		return d.describe("insert into", err)
	}
	err := d.transact(ctx, rows)
	if err == nil {
		return nil
	}
	if isSQLiteRowError(err) {
		return &rowError{d.describe("insert into", err)}
	}
	d.close()
	return d.describe("insert into", err)
}

func (d *sqliteDatabase) transact(ctx context.Context, rows [][]any) (err error) {
	if _, err := d.conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			d.conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
		}
	}()
	// A row takes some microseconds, and a goroutine that watches the context as much.
	unwatched := context.WithoutCancel(ctx)
	for _, row := range rows {
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, err := d.one.ExecContext(unwatched, row...); err != nil {
			return err
		}
	}
	if _, err = d.conn.ExecContext(ctx, "COMMIT"); err != nil {
		return err
	}
	if !d.isThere() {
		return errors.New("the file was deleted or replaced meanwhile")
	}
	return nil
}

// isThere tells whether the path still leads to the file that is open.
func (d *sqliteDatabase) isThere() bool {
	now, err := os.Stat(d.path)
	return err == nil && os.SameFile(now, d.opened)
}

// ready opens the file, and checks the table, unless that has been done with the file
// that now has the path: rows in one that was deleted would be lost.
func (d *sqliteDatabase) ready(ctx context.Context) error {
	if d.db != nil {
		if d.isThere() {
			return nil
		}
		d.close()
	}
	if err := d.makeFile(); err != nil {
		return err
	}
	if err := d.open(ctx, durable); err != nil {
		return err
	}
	f, err := d.look(ctx, d.conn)
	if err == nil && f.kind == "" && d.create {
		if _, err = d.conn.ExecContext(ctx, sqliteDialect.create(d.table)); err == nil {
			f, err = d.look(ctx, d.conn)
		}
	}
	if err != nil {
		return err
	}
	if err := sqliteDialect.check(d.table, f); err != nil {
		return err
	}
	d.one, err = d.conn.PrepareContext(ctx, fmt.Sprintf("INSERT INTO %s (%s) VALUES (?%s) ON CONFLICT (%s) DO NOTHING",
		d.table.quoted(), d.table.columnList(), strings.Repeat(", ?", len(d.table.rest)), quote(d.table.id)))
	return err
}

// makeFile makes an empty file, which is an empty database, if there is none. It does
// not open it: whoever closes an SQLite file loses the locks that another action may
// have on it. https://www.sqlite.org/howtocorrupt.html#_posix_advisory_locks_canceled_by_a_separate_thread_doing_close_
func (d *sqliteDatabase) makeFile() error {
	_, err := os.Stat(d.path)
	if errors.Is(err, fs.ErrNotExist) && d.create {
		if err := d.mayMakeFile(); err != nil {
			return err
		}
		err = unix.Mknod(d.path, unix.S_IFREG|0o640, 0)
		if errors.Is(err, unix.EEXIST) {
			err = nil
		}
	}
	return err
}

// mayMakeFile refuses to make a file beside the WAL of another, which SQLite would
// delete, with rows in it that nothing else has: that of a file which was moved away
// after a crash, or that empty could not.
func (d *sqliteDatabase) mayMakeFile() error {
	if info, err := os.Stat(d.path + "-wal"); err == nil && info.Size() > 0 {
		return fmt.Errorf("the file is gone, but rows of it are in %s-wal (move that after it, to the same name with -wal, or delete it)", d.path)
	}
	return nil
}

// empty carries what the WAL has into the file that the path led to, and which was moved
// away: for such a one SQLite does not do it at the end. Then the files beside it are
// removed, as the next file is to have its own, unless that is there already.
func (d *sqliteDatabase) empty() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	var busy, pages, carried int
	err := d.conn.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &pages, &carried)
	if err != nil || busy != 0 {
		return // mayMakeFile will say so
	}
	if _, err := os.Stat(d.path); errors.Is(err, fs.ErrNotExist) {
		os.Remove(d.path + "-wal")
		os.Remove(d.path + "-shm")
	}
}

// open opens the file, which must be there, and sets what pragmas are given. They read
// the file, and so may have to wait: in the name they would not heed the context.
func (d *sqliteDatabase) open(ctx context.Context, pragmas string) error {
	info, err := os.Stat(d.path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("it is not a regular file")
	}
	name := (&url.URL{Path: d.path}).EscapedPath()
	if d.db, err = sql.Open("sqlite", "file:"+name+"?mode=rw&_error_rc=1&_fk=1&_busy_timeout="+busy); err != nil {
		return err
	}
	d.opened = info
	if d.conn, err = d.db.Conn(ctx); err != nil {
		return err
	}
	_, err = d.conn.ExecContext(ctx, pragmas)
	return err
}

// close implements database.
func (d *sqliteDatabase) close() error {
	if d.db == nil {
		return nil
	}
	var errs []error
	if d.one != nil {
		if !d.isThere() {
			d.empty()
		}
		errs = append(errs, d.one.Close())
	}
	if d.conn != nil {
		errs = append(errs, d.conn.Close())
	}
	errs = append(errs, d.db.Close())
	d.db, d.conn, d.one = nil, nil, nil
	return errors.Join(errs...)
}

// probe implements database, on a connection of its own that changes nothing.
func (d *sqliteDatabase) probe(ctx context.Context) error {
	own := &sqliteDatabase{table: d.table, create: d.create, path: d.path}
	defer own.close()
	if err := own.tryOut(ctx); err != nil {
		return d.describe("check", err)
	}
	return nil
}

func (d *sqliteDatabase) tryOut(ctx context.Context) error {
	dir := d.path[:strings.LastIndexByte(d.path, '/')+1]
	// SQLite makes files beside the database, too.
	if err := unix.Access(dir, unix.W_OK|unix.X_OK); err != nil {
		return &fs.PathError{Op: "write to", Path: dir, Err: err}
	}
	err := unix.Access(d.path, unix.R_OK|unix.W_OK)
	if errors.Is(err, fs.ErrNotExist) && d.create {
		return d.mayMakeFile()
	}
	if err != nil {
		return &fs.PathError{Op: "open", Path: d.path, Err: err}
	}
	if err := d.open(ctx, "PRAGMA query_only=1"); err != nil {
		return err
	}
	f, err := d.look(ctx, d.conn)
	if err != nil || f.kind == "" && d.create {
		return err
	}
	return sqliteDialect.check(d.table, f)
}
