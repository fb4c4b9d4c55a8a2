package sql_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/action/actiontest"
	"github.com/journald-router/journald-router/action/sql"
)

func TestConfig(t *testing.T) {
	const good = "postgres://u:p@h/x"
	one := func(c sql.Column) sql.Columns { return sql.Columns{c} }
	tests := []struct {
		name   string
		config sql.Config
		want   []string // the keys that are refused
	}{
		{"good", sql.Config{SQLite: "/x.db"}, nil},
		{"good, all set", sql.Config{Postgres: good, TLS: &action.TLS{ServerName: "x"}, Table: "a.b", Create: true, ID: "x", Timeout: 1, Columns: sql.Columns{{Name: "a", Field: "A", Type: sql.Bytes}, {Name: "A", Value: "{{ .Text }}"}}}, nil},
		{"nothing", sql.Config{}, []string{""}},
		{"both", sql.Config{SQLite: "/x.db", Postgres: good}, []string{"postgres"}},
		{"relative", sql.Config{SQLite: "x.db"}, []string{"sqlite"}},
		{"@ in the query of a DSN", sql.Config{Postgres: "postgres://u:p%2F%40@h/x%40y?options=a@b&search_path=c"}, nil},
		{"in memory", sql.Config{SQLite: ":memory:"}, []string{"sqlite"}},
		{"directory", sql.Config{SQLite: "/x/"}, []string{"sqlite"}},
		{"NUL", sql.Config{SQLite: "/x\x00"}, []string{"sqlite"}},
		{"no DSN", sql.Config{Postgres: "x"}, []string{"postgres"}},
		{"tls of a file", sql.Config{SQLite: "/x.db", TLS: &action.TLS{}}, []string{"tls"}},
		{"tls of a socket", sql.Config{Postgres: "host=/run/postgresql", TLS: &action.TLS{}}, []string{"tls"}},
		{"no authority", sql.Config{Postgres: good, TLS: &action.TLS{CA: "/missing"}}, []string{"tls.ca"}},
		{"schema in SQLite", sql.Config{SQLite: "/x.db", Table: "a.b"}, []string{"table"}},
		{"SQLite's own", sql.Config{SQLite: "/x.db", Table: "SQLite_x"}, []string{"table"}},
		{"empty schema", sql.Config{Postgres: good, Table: ".b"}, []string{"table"}},
		{"empty table", sql.Config{Postgres: good, Table: "a."}, []string{"table"}},
		{"long table", sql.Config{Postgres: good, Table: strings.Repeat("a", 64)}, []string{"table"}},
		{"control", sql.Config{Postgres: good, Table: "a\x00", ID: "b\n"}, []string{"table", "id"}},
		{"no columns", sql.Config{SQLite: "/x.db", Columns: sql.Columns{}}, []string{"columns"}},
		{"id as a column", sql.Config{SQLite: "/x.db", Columns: one(sql.Column{Name: "ID", Value: "x"})}, []string{"columns.ID"}},
		{"id as a column in another case", sql.Config{Postgres: good, Columns: one(sql.Column{Name: "ID", Value: "x"})}, nil},
		{"own id as a column", sql.Config{Postgres: good, ID: "a", Columns: one(sql.Column{Name: "a", Value: "x"})}, []string{"columns.a"}},
		{"twice in SQLite", sql.Config{SQLite: "/x.db", Columns: sql.Columns{{Name: "a", Value: "x"}, {Name: "A", Value: "x"}}}, []string{"columns.A"}},
		{"type", sql.Config{SQLite: "/x.db", Columns: one(sql.Column{Name: "a", Value: "x", Type: "varchar"})}, []string{"columns.a"}},
		{"both of a column", sql.Config{SQLite: "/x.db", Columns: one(sql.Column{Name: "a", Value: "x", Field: "X"})}, []string{"columns.a"}},
		{"no field's name", sql.Config{SQLite: "/x.db", Columns: sql.Columns{{Name: "a", Field: "message"}, {Name: "b", Field: "A B"}, {Name: "c", Field: "__CURSOR"}}}, []string{"columns.a", "columns.b"}},
		{"neither", sql.Config{SQLite: "/x.db", Columns: one(sql.Column{Name: "a"})}, []string{"columns.a"}},
		{"template", sql.Config{SQLite: "/x.db", Columns: one(sql.Column{Name: "a", Value: "{{ .Nope }}"})}, []string{"columns.a"}},
		{"empty name", sql.Config{SQLite: "/x.db", Columns: one(sql.Column{Value: "x"})}, []string{"columns."}},
		{"everything at once", sql.Config{Table: "\n", ID: "\n", Timeout: -1, Columns: one(sql.Column{Name: "a", Type: "x"})}, []string{"", "table", "id", "timeout", "columns.a"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, err := sql.New(tt.config)
			if (a == nil) != (err != nil) {
				t.Errorf("New = %v, %v", a, err)
			}
			if diff := cmp.Diff(tt.want, actiontest.RefusedKeys(t, err)); diff != "" {
				t.Errorf("refused (-want +got):\n%s\n%v", diff, err)
			}
		})
	}
}

func TestTimeLimit(t *testing.T) {
	if got := newAction(t, sql.Config{SQLite: "/x"}).TimeLimit(); got != action.DefaultTimeout {
		t.Errorf("default %v", got)
	}
	if got := newAction(t, sql.Config{SQLite: "/x", Timeout: time.Minute}).TimeLimit(); got != time.Minute {
		t.Errorf("set to a minute: %v", got)
	}
}
