package sql_test

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/journald-router/journald-router/action/sql"
	"github.com/journald-router/journald-router/action/sql/sqltest"
)

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
	defer func() {
		if shared != nil {
			shared.Close()
		}
	}()
	return m.Run()
}

var (
	shared *sqltest.Server
	once   sync.Once
	names  atomic.Int64
)

// postgres is the server that the tests share, which is started by the first of them.
// A test that stops one has its own.
func postgres(t testing.TB) *sqltest.Server {
	t.Helper()
	once.Do(func() {
		var err error
		if shared, err = sqltest.Start(os.TempDir()); err != nil {
			t.Fatal(err)
		}
	})
	if shared == nil {
		t.Fatal("the server did not start")
	}
	return shared
}

// ownPostgres is a server that the test may stop.
func ownPostgres(t *testing.T, settings ...string) *sqltest.Server {
	t.Helper()
	s, err := sqltest.Start(os.TempDir(), settings...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// newName is one for a table, a user or a database of the test's own.
func newName(testing.TB) string { return fmt.Sprint("t", names.Add(1)) }

func newAction(t testing.TB, c sql.Config) *sql.Action {
	t.Helper()
	a, err := sql.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	return a
}

func execute(t testing.TB, s *sqltest.Server, statements string) {
	t.Helper()
	if err := s.Exec(context.Background(), statements); err != nil {
		t.Fatalf("%v in %s", err, statements)
	}
}

// texts are what a query of one column finds.
func texts(t testing.TB, s *sqltest.Server, query string) []string {
	t.Helper()
	conn, err := s.Connect(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	rows, err := conn.Query(context.Background(), query)
	if err != nil {
		t.Fatal(err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatalf("%v in %s", err, query)
	}
	return list
}
