package join_test

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/journald-router/journald-router/journal"
	"github.com/journald-router/journald-router/journal/join"
	"github.com/journald-router/journald-router/journal/journaltest"
)

// busy logs lines of several streams at once, some of them long.
func busy(t *testing.T) *journaltest.T {
	t.Helper()
	j := journaltest.Start(t, journaltest.Options{Config: []string{"LineMax=100"}})
	a, b, c := stream(t, j, "a"), stream(t, j, "b"), stream(t, j, "c")
	say(j, "first")
	long := text("a", 450)
	write(t, j, a, "a short\n"+long[:150])
	write(t, j, b, text("b", 250))
	say(j, "second")
	write(t, j, a, long[150:220])
	write(t, j, c, text("c", 330)+"\nc short\nc shorter\n"+text("c-again", 120)+"\x00c\n")
	write(t, j, a, long[220:]+"\n"+text("a-again", 250)+"\n")
	write(t, j, b, text("b-goes-on", 100)+"\nb short\n")
	say(j, "third")
	write(t, j, a, text("a-at-the-end", 260))
	write(t, j, c, text("c-at-the-end", 260)+"\n")
	a.Close()
	b.Close()
	j.Sync() // journald takes what comes by other sockets first
	say(j, "last")
	return j
}

// sieves are rules: what matches, and by which sieve it can be told.
var sieves = []struct {
	name    string
	sieve   journal.Sieve
	matches func(told string) bool
}{
	{"no sieve", nil, func(string) bool { return true }},
	{"prefix", journal.Sieve{{Field: "MESSAGE", Op: journal.Prefix, Text: "a"}, {Field: "MESSAGE", Op: journal.Prefix, Text: "sec"}},
		func(told string) bool {
			return strings.HasPrefix(told, "a a") || strings.HasPrefix(told, `a "a`) || told == "second"
		}},
	{"identifier", journal.Sieve{{Field: "SYSLOG_IDENTIFIER", Op: journal.Equal, Text: "b"}, {Field: "SYSLOG_IDENTIFIER", Op: journal.Equal, Text: "c"}},
		func(told string) bool { return strings.HasPrefix(told, "b ") || strings.HasPrefix(told, "c ") }},
	{"message", journal.Sieve{{Field: "MESSAGE", Op: journal.Equal, Text: "third"}}, func(told string) bool { return told == "third" }},
}

// TestRestartAnywhere: from each position that a reader has had, another reads
// what the first has read after it, with nothing twice and nothing missing,
// whatever sieve it has; and so does one that begins anew after each entry.
func TestRestartAnywhere(t *testing.T) {
	j := busy(t)
	for _, first := range sieves {
		t.Run(first.name, func(t *testing.T) {
			r := open(t, join.Options{Open: namespace(j, true)})
			r.Keep(fields, first.sieve)
			type moment struct {
				position, recorded string
				read               int
			}
			var moments []moment
			all := read(t, r, func(got []string) {
				// What was not asked to be recorded before is told of by After alone.
				recorded := after(t, r)
				moments = append(moments, moment{cursor(t, r), recorded, len(got)})
			})
			unfinished := 0
			for _, m := range moments {
				if strings.Contains(m.position, " open ") {
					unfinished++
				}
				for _, position := range slices.Compact([]string{m.position, m.recorded}) {
					for _, then := range sieves {
						if first.name != then.name && first.sieve != nil {
							continue // other rules want other lines
						}
						r := open(t, join.Options{Open: namespace(j, true), After: position})
						r.Keep(fields, then.sieve)
						got := matching(read(t, r, nil), then.matches)
						if want := matching(all[m.read:], then.matches); !slices.Equal(got, want) {
							t.Fatalf("after %d lines, at %s, with %s:\n got %q\nwant %q", m.read, position, then.name, got, want)
						}
						r.Close()
					}
				}
			}
			if first.name != "message" && unfinished < 5 {
				t.Errorf("at %d positions of %d was a line unfinished", unfinished, len(moments))
			}
			check(t, matching(all, first.matches), matching(restarted(t, j, first.sieve), first.matches))
		})
	}
}

// restarted is what readers read of which each takes one step.
func restarted(t *testing.T, j *journaltest.T, sieve journal.Sieve) (got []string) {
	t.Helper()
	position := ""
	for {
		r := open(t, join.Options{Open: namespace(j, true), After: position})
		r.Keep(fields, sieve)
		e, err := r.Next()
		if err == io.EOF {
			return got
		}
		if err != nil {
			t.Fatal(err)
		}
		if e != nil {
			if s := tell(t, e); s != "" {
				got = append(got, s)
			}
		}
		if next := cursor(t, r); next == position {
			t.Fatalf("no way on from %s", position)
		} else {
			position = next
		}
		r.Close()
	}
}

func matching(lines []string, matches func(string) bool) []string {
	return slices.DeleteFunc(slices.Clone(lines), func(s string) bool { return !matches(s) })
}

func after(t *testing.T, r journal.Reader) string {
	t.Helper()
	position, err := r.After(journal.Record{})
	if err != nil {
		t.Fatal(err)
	}
	return position
}

func cursor(t *testing.T, r journal.Reader) string {
	t.Helper()
	c, err := r.Cursor()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestBusy makes sure of what is in the journal of the other tests.
func TestBusy(t *testing.T) {
	r := open(t, join.Options{Open: namespace(busy(t), false)})
	check(t, []string{
		"first", "a a short", "second", "c " + sum(text("c", 330)), "c c short", "c c shorter", "c " + sum(text("c-again", 120)) + " nul", "c c",
		"a " + sum(text("a", 450)), "a " + sum(text("a-again", 250)), "b " + sum(text("b", 250)+text("b-goes-on", 100)), "b b short",
		"third", "c " + sum(text("c-at-the-end", 260)), "a " + sum(text("a-at-the-end", 260)) + " eof", "last",
	}, read(t, r, nil))
}

// TestPartsDeleted: where the journal has deleted the beginning of a line that was
// unfinished, what is left comes as it is, and what came after the beginning
// comes again; so nothing is missing but what was deleted.
func TestPartsDeleted(t *testing.T) {
	j := journaltest.Start(t, journaltest.Options{Config: []string{"LineMax=100"}})
	a := stream(t, j, "a")
	line := text("a", 350)
	say(j, "before")
	write(t, j, a, line[:150])
	j.Rotate()
	say(j, "between")
	write(t, j, a, line[150:250])
	r := open(t, join.Options{Open: namespace(j, false)})
	check(t, []string{"before", "between"}, read(t, r, nil))
	position := cursor(t, r)
	r.Close()

	j.Vacuum(1)
	write(t, j, a, line[250:]+"\n")
	for range 2 {
		r := open(t, join.Options{Open: namespace(j, false), After: position})
		check(t, []string{"between", "a " + sum(line[100:])}, read(t, r, nil))
		r.Close()
	}
}

// TestNoPosition: what is none is refused, and not read as another.
func TestNoPosition(t *testing.T) {
	j := journaltest.Start(t, journaltest.Options{})
	for _, position := range []string{"x open", "x open y", "x open y stream 1", "x open y stream 0 z", "x open y stream one z", "x shut y stream 1 z", "x open y stream 1 z stream", "x "} {
		r, err := join.Open(join.Options{Open: namespace(j, false), After: position})
		if err == nil {
			r.Close()
		}
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%q", position)) {
			t.Errorf("%q: %v", position, err)
		}
	}
}

// TestForeignStream: what is no stream id is in no position, whoever has uploaded
// it, and its entries come as they are.
func TestForeignStream(t *testing.T) {
	for _, stream := range []string{"", "a b", "a\n" + id("s"), id("s") + "\n", id("s") + " 1 1", id("s")[1:], id("s") + "0", strings.Repeat("g", 32)} {
		p := new(tape)
		p.part(noon, "t", "x")
		for _, m := range []string{"a", "b"} {
			p.add(noon, "_STREAM_ID", stream, "_PID", "1", "MESSAGE", m, "_LINE_BREAK", "line-max")
		}
		p.add(noon, "_STREAM_ID", stream, "_PID", "1", "MESSAGE", "c")
		r := open(t, join.Options{Open: p.open})
		check(t, []string{"a line-max", "b line-max", "c"}, messages(t, r))
		position := cursor(t, r)
		if want := "4 open 0 " + id("t") + " 1 1"; position != want {
			t.Errorf("with the stream %q the position is %q, want %q", stream, position, want)
		}
		p.last(noon, "t", "y")
		check(t, []string{"xy"}, messages(t, open(t, join.Options{Open: p.open, After: position})))
	}

	// By its digits it is one.
	p := new(tape)
	stream := strings.ToUpper(id("\xab"))
	p.add(noon, "_STREAM_ID", stream, "MESSAGE", "a", "_LINE_BREAK", "line-max")
	p.add(noon, "_STREAM_ID", stream, "MESSAGE", "b")
	check(t, []string{"ab"}, messages(t, open(t, join.Options{Open: p.open})))
}

// TestForeignStreamSaved: a position from when any text was taken for a stream's
// id is gone on from, and nothing is missing.
func TestForeignStreamSaved(t *testing.T) {
	p := new(tape)
	for _, m := range []string{"a", "b", "c"} {
		p.add(noon, "_STREAM_ID", "x", "_PID", "1", "MESSAGE", m, "_LINE_BREAK", "line-max")
		p.last(noon, "t", "between "+m)
	}
	check(t, []string{"ab line-max", "between b", "c line-max", "between c"},
		messages(t, open(t, join.Options{Open: p.anew, After: "3 open 0 x 2 1"})))
}
