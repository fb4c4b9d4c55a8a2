package sql

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/journald-router/journald-router/action"
)

// postgresDatabase has one connection, which is made when it is needed, and given up
// after any error that is not about a row: what it knows of the table may be old.
type postgresDatabase struct {
	table   table
	create  bool
	config  *pgx.ConnConfig
	secrets []string

	conn      *pgx.Conn // nil: none yet, or no longer
	statement string    // inserts into the table as it was found
	used      time.Time
}

// restless is how long a connection may have been idle to be used without a look
// whether it is still there: a server that was started anew has closed it, which is
// no reason to fail.
const restless = time.Second

func (d *postgresDatabase) insert(ctx context.Context, rows [][]any) error {
	if err := d.ready(ctx); err != nil {
		d.hangUp()
		return d.describe("insert into", err)
	}
	_, err := d.conn.Exec(ctx, d.statement, d.arrays(rows)...)
	d.used = time.Now()
	if err == nil {
		return nil
	}
	if isRowError(err) && !d.conn.IsClosed() {
		return &rowError{d.describe("insert into", err)}
	}
	d.hangUp()
	return d.describe("insert into", err)
}

// ready connects, and checks the table, unless that has been done.
func (d *postgresDatabase) ready(ctx context.Context) error {
	if d.conn != nil && (d.conn.IsClosed() || time.Since(d.used) > restless && d.conn.Ping(ctx) != nil) {
		d.hangUp()
	}
	if d.conn != nil {
		return nil
	}
	conn, err := d.connect(ctx)
	if err != nil {
		return err
	}
	d.conn = conn
	f, err := d.look(ctx, conn)
	if err == nil && f.kind == "" && d.create {
		if _, err = conn.Exec(ctx, postgresDialect.create(d.table)); err == nil {
			f, err = d.look(ctx, conn)
		}
	}
	if err != nil {
		return err
	}
	if err := postgresDialect.check(d.table, f); err != nil {
		return err
	}
	d.statement = d.insertStatement(f)
	return nil
}

func (d *postgresDatabase) connect(ctx context.Context) (*pgx.Conn, error) {
	return pgx.ConnectConfig(ctx, d.config)
}

func (d *postgresDatabase) hangUp() {
	if d.conn == nil {
		return
	}
	// The server need not be waited for: what was sent has been answered, or never
	// will be.
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	d.conn.Close(ctx)
	d.conn = nil
}

func (d *postgresDatabase) close() error {
	d.hangUp()
	return nil
}

// insertStatement takes one array for each column, so that the number of parameters,
// of which there may be 65535, and the statement itself do not depend on the number
// of rows. The values are texts, which are cast to what the columns are of. The arrays
// are taken apart side by side, as of PostgreSQL 10, which costs less than in FROM.
// https://www.postgresql.org/docs/current/xfunc-sql.html#XFUNC-SQL-FUNCTIONS-RETURNING-SET
func (d *postgresDatabase) insertStatement(f found) string {
	var values, arrays []string
	for i, c := range append([]column{{name: d.table.id, typ: Text}}, d.table.rest...) {
		name := "c" + strconv.Itoa(i)
		value, element := name, "text"
		there, _ := f.column(c.name)
		switch {
		case c.typ == Bytes:
			element = "bytea"
		case there.cast == "":
		case c.typ == Text: // an empty text is no uuid, inet or enum
			value = "NULLIF(" + value + ", '')::" + there.cast
		default:
			value += "::" + there.cast
		}
		values = append(values, value)
		arrays = append(arrays, fmt.Sprintf("unnest($%d::%s[]) AS %s", i+1, element, name))
	}
	return fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM (SELECT %s) AS rows ON CONFLICT (%s) DO NOTHING",
		d.table.quoted(), d.table.columnList(), strings.Join(values, ", "), strings.Join(arrays, ", "), quote(d.table.id))
}

// arrays turns rows into the columns of insertStatement.
func (d *postgresDatabase) arrays(rows [][]any) []any {
	arrays := make([]any, 1+len(d.table.rest))
	for i := range arrays {
		if i > 0 && d.table.rest[i-1].typ == Bytes {
			column := make([][]byte, len(rows))
			for n, row := range rows {
				column[n], _ = row[i].([]byte)
			}
			arrays[i] = column
			continue
		}
		column := make([]*string, len(rows))
		for n, row := range rows {
			column[n] = asText(row[i])
		}
		arrays[i] = column
	}
	return arrays
}

// asText writes a value as PostgreSQL reads it; nil stays nil.
func asText(value any) *string {
	var text string
	switch v := value.(type) {
	case nil:
		return nil
	case string:
		text = v
	case int64:
		text = strconv.FormatInt(v, 10)
	case float64:
		text = strconv.FormatFloat(v, 'g', -1, 64)
	case bool:
		text = strconv.FormatBool(v)
	}
	return &text
}

// probe implements database.
func (d *postgresDatabase) probe(ctx context.Context) error {
	if err := d.tryOut(ctx); err != nil {
		return d.describe("check", err)
	}
	return nil
}

func (d *postgresDatabase) tryOut(ctx context.Context) error {
	conn, err := d.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	f, err := d.look(ctx, conn)
	if err != nil {
		return err
	}
	if f.kind == "" && d.create {
		return d.mayCreate(ctx, conn)
	}
	return postgresDialect.check(d.table, f)
}

// describe says of an error where it was, and takes out the secret.
func (d *postgresDatabase) describe(doing string, err error) error {
	place := d.config.Host
	if !strings.HasPrefix(place, "/") {
		place = net.JoinHostPort(d.config.Host, strconv.Itoa(int(d.config.Port)))
	}
	database := cmp.Or(d.config.Database, d.config.User) // the server's default
	err = fmt.Errorf("%s table %s of database %s at %s: %w", doing, d.table, database, place, explain(err))
	return action.Redact(err, d.secrets...)
}
