package sql

import (
	"context"
	"time"
)

// Convert is for tests.
func (t Type) Convert(text string) (any, error) { return t.convert(text) }

// LetRest makes PostgreSQL's connection one that was idle for long.
func (a *Action) LetRest() { a.db.(*postgresDatabase).used = time.Time{} }

// Setting is what a pragma says on SQLite's connection.
func (a *Action) Setting(ctx context.Context, pragma string) (value string) {
	if err := a.db.(*sqliteDatabase).conn.QueryRowContext(ctx, "PRAGMA "+pragma).Scan(&value); err != nil {
		return err.Error()
	}
	return value
}
