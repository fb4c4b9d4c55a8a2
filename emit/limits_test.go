package emit_test

import (
	"fmt"
	"log/slog"
	"math"
	"slices"
	"testing"

	"github.com/journald-router/journald-router/emit"
	"github.com/journald-router/journald-router/journal"
	"github.com/journald-router/journald-router/journal/journaltest"
)

// TestManyFields: journald throws entries with too many fields away. So those are left out
// that are too many, and the entry is there.
func TestManyFields(t *testing.T) {
	j := journaltest.Start(t, journaltest.Options{})
	var fields, constant []emit.Field
	var attrs []any
	for i := range 2000 {
		name := fmt.Sprintf("F%d", i)
		fields = append(fields, emit.Int(name, int64(i)))
		constant = append(constant, emit.Int(fmt.Sprintf("K%d", i), int64(i)))
		attrs = append(attrs, slog.Int(name, i))
	}
	e := emit.New(emit.Options{Socket: socketOf(j), Identifier: "emitter", Fields: constant})
	e.Send(emit.Info, "Send", fields...)
	log := slog.New(emit.NewHandler(e, emit.HandlerOptions{AddSource: true}))
	log.Info("slog", attrs...)
	log.Info("slog, a group", slog.Group("G", attrs...))
	log.With(attrs[1000:1300]...).Info("slog, with some", attrs...)
	log.With(attrs...).Info("slog, with all", attrs...)
	closeAll(t, e)
	var got []string
	stored(t, j, func(r journal.Record) {
		message, _ := r.Get("MESSAGE")
		got = append(got, string(message))
		n := 0
		for name := range r.Fields() {
			if name[0] == 'F' || name[0] == 'K' || name[0] == 'G' {
				n++
			}
		}
		if n != 1000 {
			t.Errorf("%s: %d fields", message, n)
		}
	})
	if want := []string{"Send", "slog", "slog, a group", "slog, with some", "slog, with all"}; !slices.Equal(got, want) {
		t.Errorf("%q are stored, want %q", got, want)
	}
	if s, want := e.Stats().Invalid, uint64(1500+1500+1500+1500+(1500+300)+(1500+2000)); s != want {
		t.Errorf("%d fields were left out, want %d", s, want)
	}
}

// TestSizes: the room that is made for a field is enough, and not much more.
func TestSizes(t *testing.T) {
	for _, f := range []emit.Field{
		emit.String("A", ""), emit.String("A", "b"), emit.String("A", "\n"), emit.String("a-b", "c"), emit.String("__A", "b"), emit.String("", ""),
		emit.Bytes("A", nil), emit.Bytes("A", []byte("\x00")), emit.Int("A", 0), emit.Int("A", math.MinInt64), emit.Int("A", math.MaxInt64),
		emit.Duration("A", math.MinInt64), emit.Duration("A", math.MaxInt64), emit.Duration("A", -1), emit.Duration("A", 1234567890123456789),
	} {
		if most, is := f.Sizes(); is > most || most > is+26 {
			t.Errorf("%+v: room for %d bytes, and it has %d", f, most, is)
		}
	}
}
