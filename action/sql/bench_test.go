package sql_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/action/sql"
	"github.com/journald-router/journald-router/journal"
)

// BenchmarkDeliver delivers batches of a thousand ordinary entries, of 22 fields.
func BenchmarkDeliver(b *testing.B) {
	for name, config := range map[string]func(b *testing.B) sql.Config{
		"sqlite": func(b *testing.B) sql.Config { return sql.Config{SQLite: filepath.Join(b.TempDir(), "b.db")} },
		"postgres": func(b *testing.B) sql.Config {
			return sql.Config{Postgres: action.Secret(postgres(b).SuperDSN("sslmode=disable")), Table: newName(b)}
		},
	} {
		b.Run(name, func(b *testing.B) {
			c := config(b)
			c.Create = true
			a, err := sql.New(c)
			if err != nil {
				b.Fatal(err)
			}
			defer a.Close()
			n := 0
			for b.Loop() {
				batch := make([]action.Message, 1000)
				for i := range batch {
					batch[i] = ordinary(n)
					n++
				}
				if err := a.Deliver(b.Context(), batch); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "entries/s")
		})
	}
}

func ordinary(n int) action.Message {
	fields := []journal.Field{{Name: "MESSAGE", Value: []byte(fmt.Sprint(n, strings.Repeat(" request served in 17 ms", 9)))}, {Name: "PRIORITY", Value: []byte("6")},
		{Name: "_HOSTNAME", Value: []byte("bench")}, {Name: "_SYSTEMD_UNIT", Value: []byte("app7.service")}}
	for i := range 18 {
		fields = append(fields, journal.Field{Name: fmt.Sprint("_FIELD_", i), Value: []byte("/system.slice/app7.service")})
	}
	record := journal.NewRecord(fmt.Sprint("s=1;i=", n), time.Unix(1_700_000_000, int64(n)*1000), 0, fields...)
	id := fmt.Sprintf("%016x%016x", uint64(n)*0x9e3779b97f4a7c15, n) // spread like hashes
	return action.Message{ID: id, Rule: "all", Text: "hello", Record: record, Data: action.NewData(id, "all", "hello", nil, record)}
}
