package emit_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"testing/slogtest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/journald-router/journald-router/emit"
	"github.com/journald-router/journald-router/journal"
	"github.com/journald-router/journald-router/journal/journaltest"
)

// journald is a private journald, and an Emitter that writes to it.
type journald struct {
	*journaltest.T
	t    *testing.T
	emit *emit.Emitter
}

func start(t *testing.T) *journald {
	t.Helper()
	j := journaltest.Start(t, journaltest.Options{})
	e := emit.New(emit.Options{Socket: socketOf(j), Identifier: "emitter"})
	t.Cleanup(func() { e.Close(context.Background()) })
	return &journald{j, t, e}
}

// entries are the program's fields of what it has logged so far: each field's values,
// separated by |.
func (j *journald) entries() (entries []map[string]string) {
	j.t.Helper()
	until(j.t, "all to be written", func() bool {
		s := j.emit.Stats()
		return s.Written+s.Dropped == s.Sent
	})
	stored(j.t, j.T, func(record journal.Record) {
		fields := map[string]string{}
		for name, value := range record.Fields() {
			n := string(name)
			if n[0] == '_' || n == "SYSLOG_IDENTIFIER" {
				continue
			}
			if before, ok := fields[n]; ok {
				fields[n] = before + "|" + string(value)
			} else {
				fields[n] = string(value)
			}
		}
		entries = append(entries, fields)
	})
	return entries
}

// last is the last entry, without the time.
func (j *journald) last() map[string]string {
	j.t.Helper()
	entries := j.entries()
	if len(entries) == 0 {
		j.t.Fatal("nothing was logged")
	}
	last := entries[len(entries)-1]
	delete(last, "SYSLOG_TIMESTAMP")
	return last
}

func TestSlog(t *testing.T) {
	j := start(t)
	// The names of slogtest are capitals for groups, and small letters for attributes.
	nest := func(fields map[string]string) map[string]any {
		top := map[string]any{}
		for name, value := range fields {
			switch name {
			case "PRIORITY":
				top[slog.LevelKey] = value
			case "MESSAGE":
				top[slog.MessageKey] = value
			case "SYSLOG_TIMESTAMP":
				top[slog.TimeKey] = value
			case "CODE_FILE", "CODE_LINE", "CODE_FUNC":
				top[slog.SourceKey] = value
			default:
				parts := strings.Split(name, "_")
				m := top
				for _, group := range parts[:len(parts)-1] {
					if m[group] == nil {
						m[group] = map[string]any{}
					}
					m = m[group].(map[string]any)
				}
				m[strings.ToLower(parts[len(parts)-1])] = value
			}
		}
		return top
	}
	for name, o := range map[string]emit.HandlerOptions{
		"default":     {},
		"source":      {AddSource: true},
		"ReplaceAttr": {AddSource: true, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr { return a }},
	} {
		t.Run(name, func(t *testing.T) {
			h := emit.NewHandler(j.emit, o)
			before := len(j.entries())
			err := slogtest.TestHandler(h, func() (results []map[string]any) {
				for _, e := range j.entries()[before:] {
					results = append(results, nest(e))
				}
				return results
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}

type point struct {
	X, Y int
	Tag  string `json:"tag,omitempty"`
}

type user struct{ name, password string }

func (u user) LogValue() slog.Value {
	return slog.GroupValue(slog.String("name", u.name), slog.Any("home", point{1, 2, "<a&b>"}))
}

type faulty struct{}

func (*faulty) String() string { panic("no") }

type nobody struct{ name string }

func (n *nobody) Error() string { return n.name }

func TestSlogValues(t *testing.T) {
	j := start(t)
	log := slog.New(emit.NewHandler(j.emit, emit.HandlerOptions{}))
	at := time.Date(2026, 11, 27, 9, 8, 7, 6000, time.FixedZone("", 3600))
	link, err := url.Parse("https://example.com/a?b=c")
	if err != nil {
		t.Fatal(err)
	}
	log.Info("two\nlines, and \x00\xff",
		"text", "a=b", "lines", "\na\n\nb\n", "empty", "", "binary", []byte("\x00\n\xff="), "none", []byte(nil),
		"int", -5, "uint", uint64(math.MaxUint64), "float", 0.25, "million", 1e6, "huge", 1e30, "nan", math.NaN(), "bool", true,
		"wait", 1500*time.Millisecond, "at", at, "day", time.Date(2026, 11, 27, 0, 0, 0, 0, time.UTC),
		"error", fmt.Errorf("open: %w", errors.New("gone")), "link", link, "addr", netip.MustParseAddr("::1"), "ip", net.IPv4(10, 0, 0, 1),
		"level", slog.LevelWarn, "point", point{1, 2, "<a&b>"}, "list", []string{"a", "b\n"}, "map", map[string]int{"b": 1, "a": 2},
		"raw", json.RawMessage(`{"a": 1}`), "null", nil, "func", func() {} == nil, "complex", 1i,
		"user", user{"ada", "secret"}, "nil_user", (*user)(nil), "nil_error", (*nobody)(nil), "panic", &faulty{}, "loop", map[string]any{"f": func() {}},
		slog.Group("req", "id", 7, slog.Group("", "inline", 1), slog.Group("http", "User-Agent", "curl"), slog.Group("none")),
	)
	want := map[string]string{
		"MESSAGE": "two\nlines, and \x00\xff", "PRIORITY": "6",
		"TEXT": "a=b", "LINES": "\na\n\nb\n", "EMPTY": "", "BINARY": "\x00\n\xff=", "NONE": "",
		"INT": "-5", "UINT": "18446744073709551615", "FLOAT": "0.25", "MILLION": "1000000", "HUGE": "1e+30", "NAN": "NaN", "BOOL": "true",
		"WAIT": "1.5", "AT": "2026-11-27T09:08:07.000006+01:00", "DAY": "2026-11-27T00:00:00Z",
		"ERROR": "open: gone", "LINK": "https://example.com/a?b=c", "ADDR": "::1", "IP": "10.0.0.1",
		"LEVEL": "WARN", "POINT": `{"X":1,"Y":2,"tag":"<a&b>"}`, "LIST": `["a","b\n"]`, "MAP": `{"a":2,"b":1}`,
		"RAW": `{"a": 1}`, "NULL": "null", "FUNC": "false", "COMPLEX": "(0+1i)",
		"USER_NAME": "ada", "USER_HOME": `{"X":1,"Y":2,"tag":"<a&b>"}`, "NIL_ERROR": "<nil>", "PANIC": "!PANIC: no",
		"LOOP":   "!ERROR: json: unsupported type: func()",
		"REQ_ID": "7", "REQ_INLINE": "1", "REQ_HTTP_USER_AGENT": "curl",
	}
	got := j.last()
	if v := got["NIL_USER"]; !strings.Contains(v, "LogValue panicked") {
		t.Errorf("a LogValuer that panics is %q", v)
	}
	delete(got, "NIL_USER")
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("logged (-want +got):\n%s", d)
	}
}

func TestSlogLevels(t *testing.T) {
	j := start(t)
	log := slog.New(emit.NewHandler(j.emit, emit.HandlerOptions{Level: slog.Level(-100)}))
	want := map[slog.Level]string{
		-99: "7", slog.LevelDebug: "7", -1: "7", slog.LevelInfo: "6", 1: "6", 2: "5", 3: "5", slog.LevelWarn: "4", 7: "4",
		slog.LevelError: "3", 11: "3", 12: "2", 15: "2", 16: "1", 1000: "1",
	}
	var levels []slog.Level
	for l := range want {
		levels = append(levels, l)
		log.Log(t.Context(), l, l.String())
	}
	log.Log(t.Context(), -101, "not wanted")
	entries := j.entries()
	if len(entries) != len(want) {
		t.Fatalf("%d entries, not %d", len(entries), len(want))
	}
	for i, e := range entries {
		if e["PRIORITY"] != want[levels[i]] || e["MESSAGE"] != levels[i].String() {
			t.Errorf("level %d is %v", levels[i], e)
		}
	}
	var level slog.LevelVar
	h := emit.NewHandler(j.emit, emit.HandlerOptions{Level: &level})
	if h.Enabled(t.Context(), slog.LevelDebug) || !h.Enabled(t.Context(), slog.LevelInfo) {
		t.Error("Info is not where logging begins")
	}
	level.Set(slog.LevelDebug)
	if !h.Enabled(t.Context(), slog.LevelDebug) {
		t.Error("the level cannot be changed")
	}
}

// No attribute passes for what the handler or journald says.
func TestSlogNames(t *testing.T) {
	j := start(t)
	log := slog.New(emit.NewHandler(j.emit, emit.HandlerOptions{}))
	long := strings.Repeat("long", 20)
	log.With("priority", 0).WithGroup("syslog").With("identifier", "sshd").Info("true", "facility", 4)
	log.Info("true", "message", "forged", "Priority", "0", "code.file", "f", "code_line", 1, "CODE_FUNC", "x", "object_pid", 1, "syslog_timestamp", "x",
		slog.Group("code", "file", "g"), "_PID", 1, "__CURSOR", 2, "2fa", true, "日", 3, "", 4, long, 5, "a\nMESSAGE=forged", 6, "message_id", "x", "trace_id", "t", "span-id", "s")
	want := []map[string]string{
		{"MESSAGE": "true", "PRIORITY": "6", "ATTR_PRIORITY": "0", "ATTR_SYSLOG_IDENTIFIER": "sshd", "ATTR_SYSLOG_FACILITY": "4"},
		{
			"MESSAGE": "true", "PRIORITY": "6", "ATTR_MESSAGE": "forged", "ATTR_PRIORITY": "0", "ATTR_CODE_FILE": "f|g", "ATTR_CODE_LINE": "1",
			"ATTR_CODE_FUNC": "x", "ATTR_OBJECT_PID": "1", "ATTR_SYSLOG_TIMESTAMP": "x", "ATTR__PID": "1", "ATTR___CURSOR": "2", "ATTR_2FA": "true",
			"ATTR____": "3", "ATTR_": "4", strings.ToUpper(long)[:64]: "5", "A_MESSAGE_FORGED": "6", "MESSAGE_ID": "x", "TRACE_ID": "t", "SPAN_ID": "s",
		},
	}
	got := j.entries()
	for _, e := range got {
		delete(e, "SYSLOG_TIMESTAMP")
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("logged (-want +got):\n%s", d)
	}
	if n := j.emit.Stats().Invalid; n != 0 {
		t.Errorf("%d fields were left out", n)
	}
}

func TestSlogTimeAndSource(t *testing.T) {
	j := start(t)
	h := emit.NewHandler(j.emit, emit.HandlerOptions{AddSource: true})
	for range 2 { // the second one is from the cache
		r := slog.NewRecord(time.Date(2026, 11, 27, 9, 8, 7, 6000, time.FixedZone("", 3600)), slog.LevelInfo, "hello", 0)
		h.Handle(t.Context(), r)
		if got := j.entries(); got[len(got)-1]["SYSLOG_TIMESTAMP"] != "2026-11-27T08:08:07.000006000Z" {
			t.Errorf("the time is %v", got[len(got)-1])
		}
		slog.New(h).Info("here")
		got := j.last()
		if !strings.HasSuffix(got["CODE_FILE"], "emit/slog_test.go") || got["CODE_LINE"] == "" || !strings.HasSuffix(got["CODE_FUNC"], "emit_test.TestSlogTimeAndSource") {
			t.Errorf("the source is %v", got)
		}
	}
}

type requestID struct{}

func TestSlogContext(t *testing.T) {
	j := start(t)
	trace := "4bf92f3577b34da6a3ce929d0e0e4736"
	log := slog.New(emit.NewHandler(j.emit, emit.HandlerOptions{
		Trace: func(context.Context) (string, string) { return trace, "0000000000000000" },
		Context: func(ctx context.Context) []slog.Attr {
			return []slog.Attr{slog.Any("request_id", ctx.Value(requestID{}))}
		},
	}))
	log.WithGroup("g").InfoContext(context.WithValue(t.Context(), requestID{}, "r1"), "hello", "a", 1)
	want := map[string]string{"MESSAGE": "hello", "PRIORITY": "6", "TRACE_ID": trace, "REQUEST_ID": "r1", "G_A": "1"}
	if d := cmp.Diff(want, j.last()); d != "" {
		t.Errorf("logged (-want +got):\n%s", d)
	}
}

func TestSlogReplaceAttr(t *testing.T) {
	j := start(t)
	var seen []string
	replace := func(groups []string, a slog.Attr) slog.Attr {
		seen = append(seen, strings.Join(append(groups[:len(groups):len(groups)], a.Key), "."))
		switch a.Key {
		case "password":
			return slog.Attr{}
		case "renamed":
			return slog.Any("name", user{"ada", ""})
		case slog.TimeKey, slog.SourceKey:
			return slog.Attr{}
		case slog.MessageKey:
			return slog.String("message", a.Value.String()+"!")
		case slog.LevelKey:
			return slog.String("severity", a.Value.Any().(slog.Level).String())
		}
		return a
	}
	log := slog.New(emit.NewHandler(j.emit, emit.HandlerOptions{AddSource: true, ReplaceAttr: replace}))
	log.WithGroup("g").With("password", "x", "a", 1).Warn("hello", "renamed", 0, slog.Group("h", "password", "y", "b", 2), slog.Group("", "c", 3))
	want := map[string]string{"MESSAGE": "hello!", "PRIORITY": "4", "SEVERITY": "WARN", "G_A": "1", "G_NAME_NAME": "ada", "G_NAME_HOME": `{"X":1,"Y":2,"tag":"<a&b>"}`, "G_H_B": "2", "G_C": "3"}
	entries := j.entries()
	if d := cmp.Diff(want, entries[len(entries)-1]); d != "" {
		t.Errorf("logged (-want +got):\n%s", d)
	}
	order := []string{"g.password", "g.a", "level", "msg", "time", "source", "g.renamed", "g.name.name", "g.name.home", "g.h.password", "g.h.b", "g.c"}
	if d := cmp.Diff(order, seen); d != "" {
		t.Errorf("ReplaceAttr was called with (-want +got):\n%s", d)
	}

	// A level stays a PRIORITY, and one that is taken away does, too.
	for _, c := range []struct {
		level slog.Attr
		want  string
	}{{slog.Any("level", slog.LevelError), "3"}, {slog.Attr{}, "6"}, {slog.Group("g", "a", 1), "6"}} {
		log = slog.New(emit.NewHandler(j.emit, emit.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.LevelKey {
				return c.level
			}
			return a
		}}))
		log.Info("hello")
		if got := j.last(); got["PRIORITY"] != c.want {
			t.Errorf("with the level %v: %v", c.level, got)
		}
	}
}

// Handlers that come from one do not write into each other's fields.
func TestSlogSiblings(t *testing.T) {
	j := start(t)
	parent := slog.New(emit.NewHandler(j.emit, emit.HandlerOptions{})).With("a", 1).WithGroup("g").With("b", 2)
	one, two := parent.With("c", "one"), parent.With("c", "two")
	three, four := parent.WithGroup("x"), parent.WithGroup("y")
	one.Info("one")
	two.Info("two")
	three.Info("three", "d", 3)
	four.Info("four", "d", 4)
	want := []map[string]string{
		{"MESSAGE": "one", "PRIORITY": "6", "A": "1", "G_B": "2", "G_C": "one"},
		{"MESSAGE": "two", "PRIORITY": "6", "A": "1", "G_B": "2", "G_C": "two"},
		{"MESSAGE": "three", "PRIORITY": "6", "A": "1", "G_B": "2", "G_X_D": "3"},
		{"MESSAGE": "four", "PRIORITY": "6", "A": "1", "G_B": "2", "G_Y_D": "4"},
	}
	got := j.entries()
	for _, e := range got {
		delete(e, "SYSLOG_TIMESTAMP")
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("logged (-want +got):\n%s", d)
	}
}

// A handler that logs for many goroutines mixes nothing up.
func TestSlogConcurrently(t *testing.T) {
	j := start(t)
	log := slog.New(emit.NewHandler(j.emit, emit.HandlerOptions{AddSource: true}))
	const goroutines, each = 8, 200
	done := make(chan bool)
	for g := range goroutines {
		go func() {
			log := log.With("g", g)
			for i := range each {
				log.Info(strings.Repeat("x", i), "i", i, "sum", fmt.Sprint(g, i), "big", strings.Repeat("y", i*i%20000))
			}
			done <- true
		}()
	}
	for range goroutines {
		<-done
	}
	entries := j.entries()
	if len(entries) != goroutines*each {
		t.Fatalf("%d entries: %+v", len(entries), j.emit.Stats())
	}
	for _, e := range entries {
		var i int
		fmt.Sscan(e["I"], &i)
		if len(e["MESSAGE"]) != i || e["SUM"] != e["G"]+" "+e["I"] || len(e["BIG"]) != i*i%20000 {
			t.Fatalf("mixed up: %.300v", e)
		}
	}
}

func logThree(ctx context.Context, log *slog.Logger) {
	log.LogAttrs(ctx, slog.LevelInfo, "ada@example.com has signed up", slog.String("user_id", "4711"), slog.Int("age", 36), slog.Duration("took", 250*time.Millisecond))
}

func BenchmarkSlog(b *testing.B) {
	for name, o := range map[string]emit.HandlerOptions{"plain": {}, "source": {AddSource: true}} {
		b.Run(name, func(b *testing.B) {
			path, conn := silent(b)
			go io.Copy(io.Discard, conn)
			e := emit.New(emit.Options{Socket: path})
			defer e.Close(context.Background())
			log := slog.New(emit.NewHandler(e, o)).With("service", "shop", "version", 3)
			b.ReportAllocs()
			for b.Loop() {
				logThree(b.Context(), log)
			}
			s := e.Stats()
			b.ReportMetric(float64(s.Dropped)/float64(s.Sent), "dropped")
		})
	}
}
