package sql_test

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/action/sql"
	"github.com/journald-router/journald-router/action/sql/sqltest"
)

// TestTLS: what `tls:` and sslmode make of a connection.
func TestTLS(t *testing.T) {
	s := postgres(t)
	ca := filepath.Join(s.Dir, "ca.crt")
	cert, key := filepath.Join(s.Dir, "client.crt"), filepath.Join(s.Dir, "client.key")
	localhost := func(dsn string) string { return strings.Replace(dsn, "127.0.0.1", "localhost", 1) }
	tests := []struct {
		name, dsn string
		tls       *action.TLS
		want      string // whether it is encrypted, and the client's certificate; or an error
	}{
		{"by default, without a check", s.SuperDSN(), nil, "true "},
		{"sslmode=disable", s.SuperDSN("sslmode=disable"), nil, "false "},
		{"sslmode=verify-full without the authority", s.SuperDSN("sslmode=verify-full"), nil, "certificate signed by unknown authority"},
		{"sslmode=verify-full", s.SuperDSN("sslmode=verify-full", "sslrootcert="+ca), nil, "true "},
		{"tls", s.SuperDSN(), &action.TLS{CA: ca}, "true "},
		{"tls by the other name", localhost(s.SuperDSN()), &action.TLS{CA: ca}, "true "},
		{"tls wins over sslmode", s.SuperDSN("sslmode=disable"), &action.TLS{CA: ca}, "true "},
		{"the system's authorities", s.SuperDSN("sslmode=disable"), &action.TLS{}, "certificate signed by unknown authority"},
		{"another name", s.SuperDSN(), &action.TLS{CA: ca, ServerName: "db.example.com"}, "certificate is valid for localhost, not db.example.com"},
		{"a client's certificate", s.SuperDSN(), &action.TLS{CA: ca, Cert: cert, Key: key}, "true /CN=postgres"},
		{"no TLS for a socket", "host=" + s.Dir + " port=" + fmt.Sprint(s.Port) + " user=postgres password='" + strings.ReplaceAll(sqltest.Password, "'", `\'`) + "'", nil, "false "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			table := newName(t)
			execute(t, s, fmt.Sprintf(`CREATE TABLE %[1]s (id text PRIMARY KEY, how text);
				CREATE FUNCTION f_%[1]s() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
					SELECT ssl || ' ' || COALESCE(client_dn, '') INTO NEW.how FROM pg_stat_ssl WHERE pid = pg_backend_pid(); RETURN NEW; END $$;
				CREATE TRIGGER t BEFORE INSERT ON %[1]s FOR EACH ROW EXECUTE FUNCTION f_%[1]s()`, table))
			a := newAction(t, sql.Config{Postgres: action.Secret(tt.dsn), TLS: tt.tls, Table: table, Columns: sql.Columns{{Name: "how", Value: "x"}}})
			err := a.Deliver(t.Context(), []action.Message{ordinary(1)})
			got := fmt.Sprint(err)
			if err == nil {
				got = texts(t, s, "SELECT how FROM "+table)[0]
			}
			if !strings.Contains(got, tt.want) || err == nil && got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
			if action.IsPermanent(err) || strings.Contains(got, "superuser") {
				t.Errorf("permanent, or with the password: %v", err)
			}
		})
	}
}

// TestSilentServer takes connections and never says a word.
func TestSilentServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a := newAction(t, sql.Config{Postgres: action.Secret("postgres://u:its-own-password@" + l.Addr().String() + "/x")})
	for what, call := range map[string]func(context.Context) error{
		"Deliver": func(ctx context.Context) error { return a.Deliver(ctx, []action.Message{ordinary(0)}) },
		"Probe":   a.Probe,
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		start := time.Now()
		err := call(ctx)
		cancel()
		if err == nil || action.IsPermanent(err) || strings.Contains(err.Error(), "its-own-password") || !strings.Contains(err.Error(), "deadline exceeded") {
			t.Errorf("%s: %v", what, err)
		}
		if took := time.Since(start); took > time.Second {
			t.Errorf("%s took %v", what, took)
		}
	}
}

// TestSeveralHosts: the second is used where the first is away, by TLS too.
func TestSeveralHosts(t *testing.T) {
	s := postgres(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	away := l.Addr().String()
	l.Close()
	for _, section := range []*action.TLS{nil, {CA: filepath.Join(s.Dir, "ca.crt")}} {
		dsn := strings.Replace(s.SuperDSN("target_session_attrs=read-write"), "@", "@"+away+",", 1)
		a := newAction(t, sql.Config{Postgres: action.Secret(dsn), TLS: section, Table: newName(t), Create: true})
		if err := a.Deliver(t.Context(), []action.Message{ordinary(0)}); err != nil {
			t.Error(err)
		}
	}
}

// TestSilentHost: one of several takes connections and never says a word, as one does
// that is switched off; the next is used within the time limit.
func TestSilentHost(t *testing.T) {
	s := postgres(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dsn := strings.Replace(s.SuperDSN(), "@", "@"+l.Addr().String()+",", 1)
	a := newAction(t, sql.Config{Postgres: action.Secret(dsn), Table: newName(t), Create: true, Timeout: 3 * time.Second})
	ctx, cancel := context.WithTimeout(t.Context(), a.TimeLimit())
	defer cancel()
	if err := a.Deliver(ctx, []action.Message{ordinary(0)}); err != nil {
		t.Error(err)
	}
}

// TestDSNIsNeverShown: where it cannot be parsed, nobody knows where the password ends.
func TestDSNIsNeverShown(t *testing.T) {
	const secret = "s3cr3t"
	dir := t.TempDir()
	for _, dsn := range []string{
		"postgres://u:" + secret + "%zz@h/x",
		"postgres://u:" + secret + "/more@h:x/x",
		"postgres://u@h:" + secret + "/x",
		"postgres://u:x@h/x?sslmode=" + secret,
		"postgres://u:" + secret + "@h/x?target_session_attrs=" + secret,
		"host=h password='" + secret,
		"host=h password=" + secret + " port=none",
		"host=h password=" + secret + " connect_timeout=x",
		"host=h " + secret,
		"postgres://u:12/" + secret + "@h:1/x",
		"postgres://u:p@" + secret + "/y@h/x",
		"postgres://u:p@h/x?" + secret + "@x=1",
		"jdbc:postgresql://h/x?password=" + secret,
		"mysql://u:" + secret + "@h/x",
		secret,
	} {
		_, err := sql.New(sql.Config{Postgres: action.Secret(dsn)})
		if err == nil || strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err), secret) {
			t.Errorf("%q: %v", dsn, err)
		}
	}
	missing := filepath.Join(dir, "missing.pem")
	_, err := sql.New(sql.Config{Postgres: action.Secret("postgres://u:" + secret + "@h/x?sslmode=verify-full&sslrootcert=" + missing)})
	if err == nil || !strings.Contains(err.Error(), missing) || strings.Contains(err.Error(), secret) {
		t.Error(err)
	}
}
