package sql_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/action/actiontest"
	"github.com/journald-router/journald-router/action/sql"
	"github.com/journald-router/journald-router/action/sql/sqltest"
)

func TestContractOfPostgres(t *testing.T) {
	actiontest.Run(t, actiontest.Harness{
		Destination: postgresDestination,
		Secrets:     []string{sqltest.Password, url.QueryEscape(sqltest.Password), url.PathEscape(sqltest.Password)},
		Cannot:      map[actiontest.Mood]string{actiontest.Busy: "PostgreSQL has no word for when to come again"},
		Repeat:      "changes nothing",
		Once:        true,
	})
}

func postgresDestination(t *testing.T, mood actiontest.Mood) actiontest.Destination {
	s, table := postgres(t), newName(t)
	d := actiontest.Destination{Accepted: func() []string {
		return texts(t, s, "SELECT message FROM "+table+" ORDER BY ctid")
	}}
	dsn := s.SuperDSN()
	switch mood {
	case actiontest.Failing:
		execute(t, s, "CREATE DATABASE "+table+" ALLOW_CONNECTIONS false")
		dsn = s.DSN(sqltest.User, sqltest.Password, table)
		d.Heal = func() { execute(t, s, "ALTER DATABASE "+table+" ALLOW_CONNECTIONS true") }
	case actiontest.Refusing:
		execute(t, s, "CREATE TABLE "+table+" (id text PRIMARY KEY, rule text CHECK (rule <> 'contract'))")
	case actiontest.Echoing:
		execute(t, s, fmt.Sprintf(`CREATE TABLE %[1]s (id text PRIMARY KEY, rule text);
			CREATE FUNCTION echo_%[1]s() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION '%% by %%', current_query(), %[2]s; END $$;
			CREATE TRIGGER echo BEFORE INSERT ON %[1]s FOR EACH ROW EXECUTE FUNCTION echo_%[1]s()`, table, "'"+strings.ReplaceAll(sqltest.Password, "'", "''")+"'"))
	case actiontest.Hanging:
		d.Reached = lock(t, s, table)
	}
	c := sql.Config{Postgres: action.Secret(dsn), Table: table, Create: true}
	if mood == actiontest.Refusing || mood == actiontest.Echoing {
		c.Columns = sql.Columns{{Name: "rule", Value: "{{ .Rule }}contract"}}
		if mood == actiontest.Refusing {
			c.Columns[0].Value = "contract"
		}
	}
	d.Action = newAction(t, c)
	return d
}

// lock makes the table, and locks it until the test ends. What it returns is closed once
// somebody waits for the lock.
func lock(t *testing.T, s *sqltest.Server, table string) <-chan struct{} {
	t.Helper()
	a := newAction(t, sql.Config{Postgres: action.Secret(s.SuperDSN()), Table: table, Create: true})
	if err := a.Deliver(t.Context(), []action.Message{ordinary(0)}); err != nil {
		t.Fatal(err)
	}
	conn, err := s.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	if _, err := conn.Exec(t.Context(), "BEGIN; LOCK TABLE "+table); err != nil {
		t.Fatal(err)
	}
	reached, ended := make(chan struct{}), t.Context().Done()
	var watching sync.WaitGroup
	watching.Go(func() {
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ended:
				return
			case <-tick.C:
			}
			var waiting bool
			err := conn.QueryRow(context.Background(), "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = $1::regclass)", table).Scan(&waiting)
			if err != nil {
				t.Error(err)
				return
			}
			if waiting {
				close(reached)
				return
			}
		}
	})
	t.Cleanup(watching.Wait)
	return reached
}

// TestPostgresErrors: nothing that somebody can mend makes a dead letter.
func TestPostgresErrors(t *testing.T) {
	s := postgres(t)
	user, limited, nobody, closed := newName(t), newName(t), newName(t), ownPostgres(t)
	if err := closed.Stop(false); err != nil {
		t.Fatal(err)
	}
	execute(t, s, fmt.Sprintf("CREATE USER %[1]s PASSWORD 'its-own-password'; CREATE USER %[2]s PASSWORD 'its-own-password' CONNECTION LIMIT 0; CREATE USER %[3]s PASSWORD 'its-own-password' NOLOGIN", user, limited, nobody))
	mine := s.DSN(user, "its-own-password", "postgres")
	table := func(definition string) string {
		name := newName(t)
		execute(t, s, fmt.Sprintf("CREATE TABLE %s %s", name, definition))
		return name
	}
	columns := sql.Columns{{Name: "total", Value: "1", Type: sql.Numeric}}
	good := table("(id text PRIMARY KEY, total numeric)")
	execute(t, s, "GRANT INSERT ON "+good+" TO "+user)
	view, domain := newName(t), newName(t)
	execute(t, s, fmt.Sprintf("CREATE DOMAIN %[1]s AS text NOT NULL; CREATE DOMAIN %[1]s_2 AS %[1]s; CREATE DOMAIN %[1]s_short AS varchar(8)", domain))
	execute(t, s, "CREATE VIEW "+view+" AS SELECT * FROM "+good)
	tests := []struct {
		name, dsn, table string
		want             string
	}{
		{"no server", closed.SuperDSN(), good, fmt.Sprintf(": connect as postgres: dial tcp 127.0.0.1:%d: connect: connection refused", closed.Port)},
		{"no host", "postgres://u:its-own-password@host.invalid/x", good, "host.invalid"},
		{"wrong password", s.DSN(user, "not-the-password", "postgres"), good, "password authentication failed for user \"" + user + "\" (SQLSTATE 28P01) (see the user and the password in postgres)"},
		{"no such user", s.DSN("stranger", "its-own-password", "postgres"), good, "SQLSTATE 28"},
		{"may not log in", s.DSN(nobody, "its-own-password", "postgres"), good, `role "` + nobody + `" is not permitted to log in (SQLSTATE 28000)`},
		{"no such database", s.DSN(user, "its-own-password", "nowhere"), good, `database "nowhere" does not exist (SQLSTATE 3D000) (see the database's name in postgres; createdb makes one)`},
		{"too many connections", s.DSN(limited, "its-own-password", "postgres"), good, `too many connections for role "` + limited + `" (SQLSTATE 53300)`},
		{"may not select the id", mine, good, `column id, or not look for ids`},
		{"may not insert", mine, table("(id text PRIMARY KEY, total numeric)"), `the user may not insert into column id, or not look for ids; the user may not insert into column total, or not look for ids (GRANT INSERT, SELECT ("id") ON `},
		{"read only", s.SuperDSN("default_transaction_read_only=on"), good, "(SQLSTATE 25006) (the server takes no writes: with several hosts in postgres, add target_session_attrs=read-write)"},
		{"no such table", s.SuperDSN(), "missing", `there is no such table (set create: true, or make it: CREATE TABLE IF NOT EXISTS "missing" ("id" text NOT NULL PRIMARY KEY, "total" numeric))`},
		{"no such schema", s.SuperDSN(), "nowhere.missing", `there is no such table (set create: true, or make it: CREATE TABLE IF NOT EXISTS "nowhere"."missing" (`},
		{"a view", s.SuperDSN(), view, "it is a view and no table"},
		{"missing column", s.SuperDSN(), table("(id text PRIMARY KEY)"), `column total is missing (ALTER TABLE "t`},
		{"other case", s.SuperDSN(), table(`(id text PRIMARY KEY, "Total" numeric)`), `column total is missing, but there is Total: write it so`},
		{"wrong types", s.SuperDSN(), table("(id integer PRIMARY KEY, total double precision)"), "column id is of type integer, which takes no text; column total is of type double precision, which takes no numeric"},
		{"computed", s.SuperDSN(), table("(id text PRIMARY KEY, total numeric GENERATED ALWAYS AS (1) STORED)"), "column total is computed by the database, which takes no value for it"},
		{"id not unique", s.SuperDSN(), table("(id text, total numeric)"), `column id is not unique, so that repeats could not be told (CREATE UNIQUE INDEX "t`},
		{"id unique with another", s.SuperDSN(), table("(id text, total numeric, PRIMARY KEY (id, total))"), "column id is not unique"},
		{"id unique in the end", s.SuperDSN(), table("(id text UNIQUE DEFERRABLE, total numeric)"), "column id is not unique"},
		{"another column that must be set", s.SuperDSN(), table("(id text PRIMARY KEY, total numeric, other text NOT NULL, fine text NOT NULL DEFAULT 'x', n bigserial)"), "column other must not be NULL, and nothing is written to it (add it to columns, or give it a default)"},
		{"id too short", s.SuperDSN(), table("(id varchar(31) PRIMARY KEY, total numeric)"), "column id is of type character varying(31), which takes no id of 32 hexadecimal digits"},
		{"id no string", s.SuperDSN(), table("(id inet PRIMARY KEY, total numeric)"), "column id is of type inet, which takes no id of 32 hexadecimal digits"},
		{"id that is cut", s.SuperDSN(), table("(id name PRIMARY KEY, total numeric)"), "column id is of type name, which takes no text"},
		{"another column whose domain must be set", s.SuperDSN(), table("(id text PRIMARY KEY, total numeric, other " + domain + "_2)"), "column other must not be NULL, and nothing is written to it"},
		{"id of a domain that is too short", s.SuperDSN(), table("(id " + domain + "_short PRIMARY KEY, total numeric)"), "column id is of type " + domain + "_short, which takes no id"},
		{"waiting for a lock", s.SuperDSN("lock_timeout=10ms"), func() string { name := newName(t); lock(t, s, name); return name }(), "(SQLSTATE 55P03)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := sql.Config{Postgres: action.Secret(tt.dsn), Table: tt.table, Columns: columns}
			if tt.name == "waiting for a lock" {
				c.Columns = nil
			}
			a := newAction(t, c)
			err := a.Deliver(t.Context(), []action.Message{ordinary(1), ordinary(2)})
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
				t.Fatalf("%v\nwant %s", err, tt.want)
			}
			if action.IsPermanent(err) || strings.Contains(err.Error(), "its-own-password") {
				t.Errorf("permanent, or with the password: %v", err)
			}
			if !strings.HasPrefix(err.Error(), "insert into table "+tt.table+" of database ") {
				t.Errorf("%v does not say where", err)
			}
			probed := a.Probe(t.Context())
			if found := tt.name != "read only" && tt.name != "waiting for a lock"; (probed != nil) != found || found && !strings.Contains(probed.Error(), tt.want) {
				t.Errorf("the probe says %v, want %s", probed, tt.want)
			}
		})
	}
}

// TestPostgresProbe: it changes nothing, and knows of the rights that making a table takes.
func TestPostgresProbe(t *testing.T) {
	s, user, table := postgres(t), newName(t), newName(t)
	execute(t, s, "CREATE USER "+user+" PASSWORD 'x'; CREATE SCHEMA schema_"+user)
	probe := func(table string) string {
		a := newAction(t, sql.Config{Postgres: action.Secret(s.DSN(user, "x", "postgres")), Table: table, Create: true})
		return fmt.Sprint(a.Probe(t.Context()))
	}
	if said := probe(table); !strings.HasSuffix(said, `the user may not create it in schema public (GRANT CREATE ON SCHEMA "public" TO the user)`) {
		t.Error(said)
	}
	if said := probe("nowhere." + table); !strings.HasSuffix(said, `there is no schema nowhere to create it in (CREATE SCHEMA "nowhere")`) {
		t.Error(said)
	}
	execute(t, s, "GRANT CREATE, USAGE ON SCHEMA schema_"+user+" TO "+user)
	if said := probe("schema_" + user + "." + table); said != "<nil>" {
		t.Error(said)
	}
	if found := texts(t, s, "SELECT relname::text FROM pg_class WHERE relname = '"+table+"'"); len(found) > 0 {
		t.Error("the probe has made the table")
	}
}

// TestLeastPrivilege: the rights that the documentation names are enough.
func TestLeastPrivilege(t *testing.T) {
	s, user, table := postgres(t), newName(t), newName(t)
	execute(t, s, fmt.Sprintf("CREATE USER %[1]s PASSWORD 'x'; CREATE TABLE %[2]s (id text PRIMARY KEY, total numeric); GRANT INSERT, SELECT (id) ON %[2]s TO %[1]s", user, table))
	a := newAction(t, sql.Config{Postgres: action.Secret(s.DSN(user, "x", "postgres")), Table: table, Columns: sql.Columns{{Name: "total", Value: "1.5", Type: sql.Numeric}}})
	for range 2 {
		if err := a.Deliver(t.Context(), []action.Message{ordinary(1)}); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"1.5"}, texts(t, s, "SELECT total::text FROM "+table)); diff != "" {
		t.Error(diff)
	}
}

// TestPostgresComesBack: a server that was started anew while nothing was sent is no
// failure; one that is away is, until it is back.
func TestPostgresComesBack(t *testing.T) {
	s := ownPostgres(t)
	a := newAction(t, sql.Config{Postgres: action.Secret(s.SuperDSN()), Create: true})
	deliver := func(n int) error { return a.Deliver(t.Context(), []action.Message{ordinary(n)}) }
	if err := deliver(0); err != nil {
		t.Fatal(err)
	}
	for i, crash := range []bool{false, true} {
		if err := s.Stop(crash); err != nil {
			t.Fatal(err)
		}
		if err := deliver(1 + i); err == nil || action.IsPermanent(err) {
			t.Errorf("while it is away: %v", err)
		}
		if err := s.Start(); err != nil {
			t.Fatal(err)
		}
		if err := deliver(1 + i); err != nil {
			t.Errorf("when it is back: %v", err)
		}
	}
	if n := len(texts(t, s, "SELECT id FROM entries")); n != 3 {
		t.Errorf("%d rows, want 3", n)
	}
}

// TestReplyIsLost: the rows are there, but nobody says so; a repeat leaves them as they
// are, once each and in order.
func TestReplyIsLost(t *testing.T) {
	s, table := postgres(t), newName(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var lose atomic.Bool
	var proxying sync.WaitGroup
	t.Cleanup(proxying.Wait)
	t.Cleanup(func() { l.Close() })
	proxying.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", fmt.Sprint(s.Port)))
			if err != nil {
				t.Error(err)
				return
			}
			proxying.Go(func() { io.Copy(server, client); server.Close() })
			proxying.Go(func() {
				defer client.Close()
				for b := make([]byte, 1<<16); ; {
					n, err := server.Read(b)
					if err != nil || lose.Load() && bytes.Contains(b[:n], []byte("INSERT 0 ")) {
						return
					}
					client.Write(b[:n])
				}
			})
		}
	})
	dsn := strings.Replace(s.SuperDSN("sslmode=disable"), fmt.Sprint("127.0.0.1:", s.Port), l.Addr().String(), 1)
	a, err := sql.New(sql.Config{Postgres: action.Secret(dsn), Table: table, Create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	batch := []action.Message{ordinary(0), ordinary(1), ordinary(2)}
	lose.Store(true)
	if err := a.Deliver(t.Context(), batch); err == nil || action.IsPermanent(err) {
		t.Errorf("without a reply: %v", err)
	}
	lose.Store(false)
	ids := func() []string { return texts(t, s, "SELECT id FROM "+table+" ORDER BY ctid") }
	before := ids()
	if len(before) != len(batch) {
		t.Errorf("%d rows before the repeat, want %d", len(before), len(batch))
	}
	if err := a.Deliver(t.Context(), batch); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(before, ids()); diff != "" {
		t.Errorf("the repeat has changed the rows (-before +after):\n%s", diff)
	}
}

// TestIdleConnectionIsRenewed: the server has closed the connection meanwhile, which
// is no failure.
func TestIdleConnectionIsRenewed(t *testing.T) {
	s, table := postgres(t), newName(t)
	a := newAction(t, sql.Config{Postgres: action.Secret(s.SuperDSN("application_name=" + table)), Table: table, Create: true})
	if err := a.Deliver(t.Context(), []action.Message{ordinary(0)}); err != nil {
		t.Fatal(err)
	}
	execute(t, s, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '"+table+"'")
	a.LetRest()
	if err := a.Deliver(t.Context(), []action.Message{ordinary(1)}); err != nil {
		t.Fatal(err)
	}
	if n := len(texts(t, s, "SELECT id FROM "+table)); n != 2 {
		t.Errorf("%d rows, want 2", n)
	}
}

// TestTableIsCheckedAnew: what was true of the table need not stay so.
func TestTableIsCheckedAnew(t *testing.T) {
	s, table := postgres(t), newName(t)
	a := newAction(t, sql.Config{Postgres: action.Secret(s.SuperDSN()), Table: table, Create: true})
	deliver := func() error { return a.Deliver(t.Context(), []action.Message{ordinary(0)}) }
	if err := deliver(); err != nil {
		t.Fatal(err)
	}
	execute(t, s, "ALTER TABLE "+table+" DROP COLUMN unit")
	if err := deliver(); err == nil || action.IsPermanent(err) {
		t.Errorf("%v", err)
	}
	if err := deliver(); err == nil || action.IsPermanent(err) || !strings.Contains(err.Error(), "column unit is missing (ALTER TABLE \""+table+`" ADD COLUMN "unit" text)`) {
		t.Errorf("%v", err)
	}
	execute(t, s, "DROP TABLE "+table)
	if err := deliver(); err != nil {
		t.Errorf("the table was not made anew: %v", err)
	}
}

// TestMakingTheTableAtOnce: several that do so get an error that a row of the database's
// own catalogue is there already, which is no fault of the entries' rows.
func TestMakingTheTableAtOnce(t *testing.T) {
	s := postgres(t)
	for range 10 {
		table := newName(t)
		var all sync.WaitGroup
		for n := range 4 {
			a := newAction(t, sql.Config{Postgres: action.Secret(s.SuperDSN()), Table: table, Create: true})
			all.Go(func() {
				if err := a.Deliver(t.Context(), []action.Message{ordinary(n)}); action.IsPermanent(err) {
					t.Errorf("a dead letter: %v", err)
				}
				if err := a.Deliver(t.Context(), []action.Message{ordinary(n)}); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if n := len(texts(t, s, "SELECT id FROM "+table)); n != 4 {
			t.Errorf("%d rows, want 4", n)
		}
	}
}

// TestBehindAPooler: those that hand a connection to another client between two
// statements take no prepared ones; pgx has a setting for that.
func TestBehindAPooler(t *testing.T) {
	s, table := postgres(t), newName(t)
	a := newAction(t, sql.Config{Postgres: action.Secret(s.SuperDSN("default_query_exec_mode=exec")), Table: table, Create: true, Columns: allTypes()})
	if err := a.Deliver(t.Context(), allTypesMessages()); err != nil {
		t.Fatal(err)
	}
	if n := len(texts(t, s, "SELECT id FROM "+table)); n != 4 {
		t.Errorf("%d rows, want 4", n)
	}
}
