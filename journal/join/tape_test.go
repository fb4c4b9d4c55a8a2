package join_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/journald-router/journald-router/journal"
	"github.com/journald-router/journald-router/journal/join"
)

// tape is a journal in memory, to be read at times of the test's choice. Its
// cursors are the numbers of its entries.
type tape struct {
	entries []journal.Record
	at      int
	once    bool
	fails   error // of Next and Cursor
	kept    [][]journal.Sieve
	process int
}

// add logs an entry of a machine: pairs of fields.
func (p *tape) add(at time.Time, pairs ...string) {
	fields := []journal.Field{{Name: "_MACHINE_ID", Value: []byte(id("machine"))}}
	for i := 0; i < len(pairs); i += 2 {
		fields = append(fields, journal.Field{Name: pairs[i], Value: []byte(pairs[i+1])})
	}
	p.entries = append(p.entries, journal.NewRecord(strconv.Itoa(len(p.entries)+1), at, 0, fields...))
}

// id is that of the stream of that name.
func id(name string) string { return fmt.Sprintf("%032x", name) }

// part logs one that the line goes on after, last one that it does not.
func (p *tape) part(at time.Time, stream, message string) {
	p.add(at, "_STREAM_ID", id(stream), "_PID", "1", "MESSAGE", message, "_LINE_BREAK", "line-max")
}

func (p *tape) last(at time.Time, stream, message string) {
	p.add(at, "_STREAM_ID", id(stream), "_PID", "1", "MESSAGE", message)
}

func (p *tape) open(position string, _ bool) (journal.Reader, error) {
	p.at, _ = strconv.Atoi(position)
	return p, nil
}

// anew is open of a copy, so that each reader has its own.
func (p *tape) anew(position string, again bool) (journal.Reader, error) {
	fresh := *p
	return fresh.open(position, again)
}

func (p *tape) Next() (journal.Entry, error) {
	if p.fails != nil {
		return nil, p.fails
	}
	if p.at == len(p.entries) {
		if p.once {
			return nil, journal.ErrEnd
		}
		return nil, io.EOF
	}
	p.at++
	return p.entries[p.at-1], nil
}

func (p *tape) Cursor() (string, error) { return strconv.Itoa(p.at), p.fails }

func (p *tape) Keep(_ []string, s ...journal.Sieve)       { p.kept = append(p.kept, slices.Clone(s)) }
func (p *tape) After(last journal.Record) (string, error) { return last.Cursor(), nil }
func (p *tape) Process() error                            { p.process++; return nil }
func (p *tape) Close() error                              { return nil }

func (p *tape) Wait(ctx context.Context) error {
	if p.fails != nil {
		return p.fails
	}
	if p.at < len(p.entries) {
		return nil
	}
	<-ctx.Done() // nobody else logs
	return ctx.Err()
}

// messages reads to the end, and returns the messages, each with a mark if it is
// cut.
func messages(t *testing.T, r journal.Reader) (got []string) {
	t.Helper()
	for {
		e, err := r.Next()
		if err == io.EOF || err == journal.ErrEnd {
			return got
		}
		if err != nil {
			t.Fatal(err)
		}
		if e == nil {
			continue
		}
		got = append(got, message(e))
	}
}

// message is that of the entry, with its ending behind it.
func message(e journal.Entry) string {
	s := bytes.Join(e.Values(nil, "MESSAGE"), nil)
	for _, v := range e.Values(nil, "_LINE_BREAK") {
		s = append(append(s, ' '), v...)
	}
	return string(s)
}

// TestLetGo: a line that is not finished comes out after 6 s of waiting, marked,
// and the rest of it is another line.
func TestLetGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := new(tape)
		r := open(t, join.Options{Open: p.open})
		start := time.Now()
		p.part(start, "s", "one ")
		p.last(start, "t", "other")
		check(t, []string{"other"}, messages(t, r))
		time.Sleep(4 * time.Second)
		p.part(time.Now(), "s", "two ")
		for time.Since(start) < 4*time.Second+6*time.Second {
			check(t, nil, messages(t, r))
			if err := r.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if d := time.Since(start); d != 10*time.Second {
			t.Errorf("Wait came back after %v, want 10s", d)
		}
		check(t, []string{"one two  line-max"}, messages(t, r))
		p.last(time.Now(), "s", "three")
		if err := r.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		check(t, []string{"three"}, messages(t, r))

		// Nothing is waited for now but what comes, and the context.
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		waiting := time.Now()
		if err := r.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(waiting) != time.Hour {
			t.Errorf("Wait: %v after %v", err, time.Since(waiting))
		}
		// Nor is the context's end taken for that of a line.
		p.part(time.Now(), "s", "four")
		check(t, nil, messages(t, r))
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := r.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Wait: %v", err)
		}
		p.fails = errors.New("the disk is gone")
		if err := r.Wait(t.Context()); err != p.fails {
			t.Errorf("Wait: %v", err)
		}
	})
}

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func second(n float64) time.Time { return noon.Add(time.Duration(n * float64(time.Second))) }

// TestWhatIsJoined, of what was logged long ago.
func TestWhatIsJoined(t *testing.T) {
	pid := func(p *tape, at time.Time, pid, message string, more ...string) {
		p.add(at, append([]string{"_STREAM_ID", id("s"), "_PID", pid, "MESSAGE", message}, more...)...)
	}
	for _, row := range []struct {
		name string
		log  func(p *tape)
		want []string
	}{
		{"parts", func(p *tape) { p.part(noon, "s", "a"); p.part(second(5), "s", "b"); p.last(second(10), "s", "c") }, []string{"abc"}},
		{"a part after too long", func(p *tape) { p.part(noon, "s", "a"); p.last(second(5.1), "s", "b") }, []string{"a line-max", "b"}},
		{"a part after too long, and more", func(p *tape) { p.part(noon, "s", "a"); p.part(second(5.1), "s", "b"); p.last(second(6), "s", "c") }, []string{"a line-max", "bc"}},
		{"others after too long", func(p *tape) {
			p.part(noon, "s", "a")
			p.last(second(5), "t", "x")
			p.last(second(6), "t", "y")
			p.last(second(7), "t", "z")
		}, []string{"x", "y", "a line-max", "z"}},
		{"a clock set back", func(p *tape) { p.part(noon, "s", "a"); p.last(second(-3600), "s", "b") }, []string{"ab"}},
		{"several at once", func(p *tape) {
			p.part(noon, "t", "x")
			p.part(second(4), "s", "a")
			p.last(second(5), "u", "between")
			pid(p, second(6), "2", "b", "_LINE_BREAK", "line-max")
			pid(p, second(7), "2", "c")
		}, []string{"between", "x line-max", "a line-max", "bc"}},
		{"streams", func(p *tape) {
			p.part(noon, "s", "a")
			p.part(noon, "t", "x")
			p.last(noon, "s", "b")
			p.last(noon, "s", "c")
			p.last(noon, "t", "y")
		}, []string{"ab", "c", "xy"}},
		{"no beginning", func(p *tape) { p.last(noon, "s", "b"); p.part(noon, "s", "c"); p.last(noon, "s", "d") }, []string{"b", "cd"}},
		{"endings", func(p *tape) {
			for _, ending := range []string{"nul", "eof", "pid-change"} {
				p.part(noon, "s", "a")
				pid(p, noon, "1", "b", "_LINE_BREAK", ending)
			}
		}, []string{"ab nul", "ab eof", "ab pid-change"}},
		{"another process", func(p *tape) { p.part(noon, "s", "a"); pid(p, noon, "2", "b"); pid(p, noon, "2", "c") }, []string{"a line-max", "b", "c"}},
		{"another process's long line", func(p *tape) {
			p.part(noon, "s", "a")
			pid(p, noon, "2", "b", "_LINE_BREAK", "line-max")
			pid(p, noon, "2", "c")
		}, []string{"a line-max", "bc"}},
		{"no stream", func(p *tape) { p.add(noon, "MESSAGE", "a", "_LINE_BREAK", "line-max"); p.add(noon, "MESSAGE", "b") }, []string{"a line-max", "b"}},
		{"no process", func(p *tape) {
			p.add(noon, "MESSAGE", "a", "_STREAM_ID", id("s"), "_LINE_BREAK", "line-max")
			p.add(noon, "MESSAGE", "b", "_STREAM_ID", id("s"))
		}, []string{"ab"}},
		{"two messages", func(p *tape) { p.part(noon, "s", "a"); pid(p, noon, "1", "b", "MESSAGE", "c") }, []string{"a line-max", "bc"}},
		{"two messages at the beginning", func(p *tape) {
			pid(p, noon, "1", "a", "MESSAGE", "b", "_LINE_BREAK", "line-max")
			p.last(noon, "s", "c")
		}, []string{"ab line-max", "c"}},
		{"the end", func(p *tape) {
			p.once = true
			p.part(noon, "s", "a")
			p.part(noon, "t", "x")
			p.part(noon, "s", "b")
		}, []string{"ab line-max", "x line-max"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := new(tape)
			row.log(p)
			r := open(t, join.Options{Open: p.open})
			check(t, row.want, messages(t, r))
			if want, got := strconv.Itoa(len(p.entries)), cursor(t, r); got != want {
				t.Errorf("at the end at %q, want %s", got, want)
			}
			restartEach(t, p, len(row.want))
		})
	}
}

// restartEach reads one of that many messages, and all others from the position
// after it: whatever waits to come out then, nothing is missing, and nothing comes
// twice. Of what waits, others may come first.
func restartEach(t *testing.T, p *tape, entries int) {
	t.Helper()
	p.once = true
	stepwise := func(position string, again bool) (journal.Reader, error) {
		r, err := p.anew(position, again)
		return &stepping{Reader: r}, err
	}
	all := messages(t, open(t, join.Options{Open: p.anew}))
	if len(all) != entries {
		t.Errorf("%d messages, want %d", len(all), entries)
	}
	for steps := range 2 * len(p.entries) {
		r := open(t, join.Options{Open: stepwise})
		var got []string
		for range steps {
			e, err := r.Next()
			if err != nil {
				break
			}
			if e != nil {
				got = append(got, message(e))
			}
		}
		position := cursor(t, r)
		rest := messages(t, open(t, join.Options{Open: p.anew, After: position}))
		if !slices.Equal(slices.Sorted(slices.Values(append(slices.Clone(got), rest...))), slices.Sorted(slices.Values(all))) {
			t.Errorf("%q, and then from %q on %q; all are %q", got, position, rest, all)
		}
	}
}

// TestErrors are passed on, and After is right behind them.
func TestErrors(t *testing.T) {
	p := new(tape)
	p.last(noon, "t", "x")
	p.part(noon, "s", "a")
	p.last(noon, "t", "y")
	p.last(noon, "t", "z")
	r := open(t, join.Options{Open: p.open})
	for range 3 {
		e, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if m := e.Values(nil, "MESSAGE")[0]; string(m) == "y" {
			if _, err := e.Record(); err != nil {
				t.Fatal(err)
			}
		}
	}
	p.fails = errors.New("bad message")
	if _, err := r.Next(); err != p.fails {
		t.Errorf("Next: %v", err)
	}
	if _, err := r.Cursor(); err != p.fails {
		t.Errorf("Cursor: %v", err)
	}
	position := after(t, r)
	if want := "3 open 0 " + id("s") + " 1 2"; position != want {
		t.Errorf("recorded %q, want %q", position, want)
	}
	p.fails = nil
	p.last(noon, "s", "b")
	check(t, []string{"z", "ab"}, messages(t, open(t, join.Options{Open: p.open, After: position})))
	if err := r.Process(); err != nil || p.process != 1 {
		t.Errorf("Process: %v, %d times", err, p.process)
	}
}

// TestSieve: what the inner reader is asked for is what was asked for, and parts
// of lines where these do not go through by themselves.
func TestSieve(t *testing.T) {
	test := func(field string, op journal.Op, text string) journal.Test {
		return journal.Test{Field: field, Op: op, Text: text}
	}
	prefix, unit := test("MESSAGE", journal.Prefix, "X"), test("_SYSTEMD_UNIT", journal.Equal, "shop.service")
	suppressed := test("MESSAGE_ID", journal.Equal, "a596d6fe7bfa4994828e72309e95d61e")
	priority, parts, s := test("PRIORITY", journal.Equal, "3"), test("_LINE_BREAK", journal.Equal, "line-max"), test("_STREAM_ID", journal.Equal, id("s"))
	for _, row := range []struct {
		name   string
		asked  []journal.Sieve
		passed [][]journal.Sieve // at first, while there is a line, after it
	}{
		{"none", nil, [][]journal.Sieve{nil}},
		{"prefix", []journal.Sieve{{prefix}}, [][]journal.Sieve{{{prefix, parts}}, {{prefix, parts, s}}, {{prefix, parts}}}},
		{"of each part", []journal.Sieve{{priority}}, [][]journal.Sieve{{{priority, parts}}, {{priority, parts, s}}, {{priority, parts}}}},
		{"of all parts", []journal.Sieve{{unit}}, [][]journal.Sieve{{{unit}}}},
		{"of all parts, and journald's own", []journal.Sieve{{unit, suppressed}}, [][]journal.Sieve{{{unit, suppressed}}}},
		{"either", []journal.Sieve{{unit, prefix}}, [][]journal.Sieve{{{unit, prefix, parts}}, {{unit, prefix, parts, s}}, {{unit, prefix, parts}}}},
		{"both", []journal.Sieve{{unit}, {prefix}}, [][]journal.Sieve{{{unit}, {prefix, parts}}, {{unit}, {prefix, parts, s}}, {{unit}, {prefix, parts}}}},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := new(tape)
			r := open(t, join.Options{Open: p.open})
			r.Keep(fields, row.asked...)
			p.kept = p.kept[len(p.kept)-1:]
			p.part(noon, "s", "a")
			p.part(noon, "s", "b")
			p.last(noon, "s", "c")
			p.last(noon, "s", "d")
			check(t, []string{"abc", "d"}, messages(t, r))
			if d := cmp.Diff(row.passed, p.kept); d != "" {
				t.Errorf("sieves (-want +got):\n%s", d)
			}
		})
	}
	// A line that began under other rules still comes whole.
	p := new(tape)
	p.part(noon, "s", "a")
	r := open(t, join.Options{Open: p.open})
	check(t, nil, messages(t, r))
	r.Keep(fields, journal.Sieve{unit})
	if d := cmp.Diff([]journal.Sieve{{unit, s}}, p.kept[len(p.kept)-1]); d != "" {
		t.Errorf("after a reload (-want +got):\n%s", d)
	}
}
