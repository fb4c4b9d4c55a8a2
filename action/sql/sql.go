// Package sql is the action that writes each entry as a row of a table, in
// PostgreSQL or in an SQLite file.
//
// The delivery's id is stored in a column of its own that is unique, and an id that
// is there already is passed over, so that a repeat changes nothing.
package sql

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/journald-router/journald-router/action"
)

// Config is the action's section of the configuration.
type Config struct {
	// SQLite is the path of an SQLite file, absolute. With Create, it is made if
	// it is missing; its directory has to be there.
	SQLite string `yaml:"sqlite"`
	// Postgres says how to connect to a PostgreSQL database: a URL,
	// postgres://user:password@host/database, or key=value pairs; see
	// https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING.
	// Exactly one of SQLite and Postgres is required.
	Postgres action.Secret `yaml:"postgres"`
	// TLS has PostgreSQL's connection encrypted, and the server's certificate and
	// name checked, whatever sslmode and the other ssl settings in Postgres say.
	// Without it these count; the default of sslmode is prefer, which checks nothing.
	TLS *action.TLS `yaml:"tls"`
	// Table is the table's name; in PostgreSQL it may have a schema before it,
	// reports.orders. Default: entries.
	Table string `yaml:"table"`
	// Create has the table made if it is missing.
	Create bool `yaml:"create"`
	// ID is the name of the column for the delivery's id. Default: id.
	ID string `yaml:"id"`
	// Columns are the other columns; without it those of DefaultColumns.
	Columns Columns `yaml:"columns"`
	// Timeout is the time limit of one Deliver. Default: 30s.
	Timeout time.Duration `yaml:"timeout"`
}

// Action inserts rows into one table. It makes one call at a time, so that the rows
// come in the order of the entries.
type Action struct {
	columns   []column
	templates map[string]*action.Template
	timeout   time.Duration
	db        database
}

var (
	_ action.Batcher     = (*Action)(nil)
	_ action.Closer      = (*Action)(nil)
	_ action.Prober      = (*Action)(nil)
	_ action.Templater   = (*Action)(nil)
	_ action.TimeLimiter = (*Action)(nil)
)

// A database is where the table is. It is connected to when that is needed, and the
// table checked then, before anything is inserted.
type database interface {
	// insert stores all rows or none: each has the id, and then a value for each
	// column: nil, string, int64, float64, bool or []byte. A row whose id is there
	// already is passed over. An error that is the fault of some row, whatever
	// state the database may be in, is a *rowError.
	insert(ctx context.Context, rows [][]any) error
	// probe looks for what insert would fail for, and changes nothing.
	probe(ctx context.Context) error
	close() error
}

// A rowError is a database's word that it does not take what is in a row.
type rowError struct{ error }

func (e *rowError) Unwrap() error { return e.error }

// New makes the action; it connects to nothing. Its errors are
// *action.FieldError, joined.
func New(c Config) (*Action, error) {
	postgres, err := c.check()
	columns, templates, columnsErr := c.Columns.compile()
	if err := errors.Join(err, columnsErr); err != nil {
		return nil, err
	}
	a := &Action{columns: columns, templates: templates, timeout: c.timeout()}
	if table := c.table(columns); postgres != nil {
		a.db = &postgresDatabase{table: table, create: c.Create, config: postgres, secrets: dsnSecrets(c.Postgres, postgres)}
	} else {
		a.db = &sqliteDatabase{table: table, create: c.Create, path: c.SQLite}
	}
	return a, nil
}

// Batch implements action.Batcher. A batch is a transaction, and so one wait for the
// disk; what comes twice after a failure does no harm.
func (*Action) Batch() (usual, most int) { return 5000, 10_000 }

// TimeLimit implements action.TimeLimiter.
func (a *Action) TimeLimit() time.Duration { return a.timeout }

// Templates implements action.Templater.
func (a *Action) Templates() map[string]*action.Template { return a.templates }

// Close implements action.Closer.
func (a *Action) Close() error { return a.db.close() }

// Probe implements action.Prober.
func (a *Action) Probe(ctx context.Context) error { return a.db.probe(ctx) }

// Deliver implements action.Action.
func (a *Action) Deliver(ctx context.Context, batch []action.Message) error {
	errs := make([]error, len(batch))
	rows, of := make([][]any, 0, len(batch)), make([]int, 0, len(batch)) // rows[i] is of batch[of[i]]
	for i := range batch {
		row, err := a.row(&batch[i])
		if err != nil {
			errs[i] = action.Permanent(err)
			continue
		}
		rows, of = append(rows, row), append(of, i)
	}
	outcome := make([]error, len(rows))
	a.insert(ctx, rows, outcome)
	for i, err := range outcome {
		errs[of[i]] = err
	}
	return summary(errs)
}

// row is what the message is in the table.
func (a *Action) row(m *action.Message) ([]any, error) {
	row := make([]any, 1, 1+len(a.columns))
	row[0] = m.ID
	for _, c := range a.columns {
		value, err := c.value(m)
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", c.name, err)
		}
		row = append(row, value)
	}
	return row, nil
}

// insert stores the rows, and of each half by itself those of a batch in which the
// database refuses something, down to the row that is at fault. It sets errs, which
// has an element for each row.
func (a *Action) insert(ctx context.Context, rows [][]any, errs []error) (goOn bool) {
	if len(rows) == 0 {
		return true
	}
	err := a.db.insert(ctx, rows)
	if bad, ok := errors.AsType[*rowError](err); ok {
		if len(rows) == 1 {
			errs[0] = action.Permanent(bad.error)
			return true
		}
		half := len(rows) / 2
		if a.insert(ctx, rows[:half], errs[:half]) {
			return a.insert(ctx, rows[half:], errs[half:])
		}
		// The order is kept: what comes later waits for what has failed.
		err = errs[half-1]
		rows, errs = rows[half:], errs[half:]
	}
	for i := range rows {
		errs[i] = err
	}
	return err == nil
}

// summary is the result of a Deliver: one error where all messages have the same.
func summary(errs []error) error {
	same := true
	for _, err := range errs {
		same = same && err == errs[0]
	}
	if same {
		return errs[0]
	}
	return &action.BatchError{Errs: errs}
}
