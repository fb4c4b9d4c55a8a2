package sql

import (
	"errors"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/journald-router/journald-router/action"
)

// isRowError tells whether the server has found fault with what is in some row, which
// it will do each time. All else is about the server, the table or the user's rights,
// and passes, or is mended by somebody: then the rows are still wanted.
// https://www.postgresql.org/docs/current/errcodes-appendix.html
func isRowError(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || len(e.Code) != 5 {
		return false
	}
	switch e.Code[:2] {
	case "22", // data exception: not of the type, out of range, too long
		"23", // integrity constraint violation
		"44", // with check option violation
		"54": // program limit exceeded: too large for a row, an index or the type
		return true
	}
	// A trigger or a function of the user's has refused the row.
	return e.Code == "P0001"
}

// hints say what to do about what the server says.
var hints = map[string]string{
	"25006": "the server takes no writes: with several hosts in postgres, add target_session_attrs=read-write",
	"28000": "see pg_hba.conf on the server, and the user in postgres",
	"28P01": "see the user and the password in postgres",
	"3D000": "see the database's name in postgres; createdb makes one",
	"3F000": "make the schema: CREATE SCHEMA",
	"42501": "the user needs the rights to INSERT, and to SELECT the id's column: GRANT INSERT, SELECT ON the table; and for create: true, GRANT CREATE ON the schema",
	"53100": "make room on the server's disk",
	"53300": "raise max_connections on the server, or close others' connections",
}

// explain makes one line of an error, with a hint.
func explain(err error) error {
	e, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		if connect, ok := errors.AsType[*pgconn.ConnectError](err); ok {
			return oneLine(err, "connect as "+connect.Config.User+": "+ways(connect.Unwrap().Error()))
		}
		return oneLine(err, err.Error())
	}
	text := e.Message
	// The others' detail is the whole row.
	if e.Detail != "" && (e.Code == "23505" || e.Code == "23503" || e.Code[:2] == "22") {
		text += ": " + e.Detail
	}
	text = action.OneLine(text, 300) + " (SQLSTATE " + e.Code + ")"
	if hint := hints[e.Code]; hint != "" {
		text += " (" + hint + ")"
	}
	return oneLine(err, text)
}

// ways makes one line of what pgx says of each way that it has tried, such as
// "10.0.0.1:5432 (db): dial error: dial tcp 10.0.0.1:5432: connect: connection refused",
// which is the same with TLS and without.
func ways(text string) string {
	var said []string
	for line := range strings.Lines(text) {
		if _, after, ok := strings.Cut(line, ": dial error: "); ok {
			line = after
		}
		if line = strings.TrimSpace(line); !slices.Contains(said, line) {
			said = append(said, line)
		}
	}
	return strings.Join(said, "; ")
}

// said is an error in other words.
type said struct {
	text string
	err  error
}

func (s *said) Error() string { return s.text }
func (s *said) Unwrap() error { return s.err }

func oneLine(err error, text string) error { return &said{action.OneLine(text, 600), err} }
