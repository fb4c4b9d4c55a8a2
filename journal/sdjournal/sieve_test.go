package sdjournal_test

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/journald-router/journald-router/journal"
	"github.com/journald-router/journald-router/journal/journaltest"
	"github.com/journald-router/journald-router/journal/sdjournal"
)

// TestSieve: what each test lets through, whichever value of a field it is.
func TestSieve(t *testing.T) {
	var entries []journaltest.Entry
	add := func(fields ...string) {
		e := at(journaltest.Boot1, len(entries), "")
		e.Fields = journaltest.Fields(append([]string{"NUMBER", fmt.Sprint(len(entries))}, fields...)...)
		entries = append(entries, e)
	}
	add("MESSAGE", "SLACK: hello")                     // 0
	add("MESSAGE", "a SLACK: hello")                   // 1
	add("MESSAGE", "noise", "MESSAGE", "SLACK: again") // 2
	add("MESSAGE", "SLACK:")                           // 3
	add("UNIT", "shop.service")                        // 4
	add("UNIT", "shop.service.d")                      // 5
	add("MESSAGE", "b")                                // 6
	add("MESSAGE", "order 1 failed", "UNIT", "x")      // 7
	add("MESSAGE", strings.Repeat("x", 9999)+"failed") // 8
	add("MESSAGE", "faile\x00d", "UNIT", "fail")       // 9
	add("MESSAGE", "\xff\x00\xfe")                     // 10
	dir := journaltest.Forge(t, entries...)
	for _, row := range []struct {
		name  string
		sieve journal.Sieve
		want  string
	}{
		{"empty", journal.Sieve{}, "0 1 2 3 4 5 6 7 8 9 10"},
		{"none", nil, "0 1 2 3 4 5 6 7 8 9 10"},
		{"prefix", journal.Sieve{{Field: "MESSAGE", Op: journal.Prefix, Text: "SLACK: "}}, "0 2"},
		{"prefix of one byte", journal.Sieve{{Field: "MESSAGE", Op: journal.Prefix, Text: "n"}, {Field: "MESSAGE", Op: journal.Prefix, Text: "\xff"}}, "2 10"},
		{"equal", journal.Sieve{{Field: "UNIT", Op: journal.Equal, Text: "shop.service"}}, "4"},
		{"contains", journal.Sieve{{Field: "MESSAGE", Op: journal.Contains, Text: "failed"}}, "7 8"},
		{"contains at the start", journal.Sieve{{Field: "MESSAGE", Op: journal.Contains, Text: "SL"}}, "0 1 2 3"},
		{"contains one byte", journal.Sieve{{Field: "MESSAGE", Op: journal.Contains, Text: ":"}, {Field: "MESSAGE", Op: journal.Contains, Text: "\xfe"}}, "0 1 2 3 10"},
		{"contains NUL", journal.Sieve{{Field: "MESSAGE", Op: journal.Contains, Text: "\x00d"}}, "9"},
		{"several fields", journal.Sieve{{Field: "UNIT", Op: journal.Prefix, Text: "shop"}, {Field: "MESSAGE", Op: journal.Contains, Text: "order"}, {Field: "UNIT", Op: journal.Equal, Text: "fail"}}, "4 5 7 9"},
		{"nothing", journal.Sieve{{Field: "MESSAGE", Op: journal.Equal, Text: "absent"}}, ""},
		{"a test that is none", journal.Sieve{{Field: "MESSAGE", Op: journal.Prefix, Text: ""}}, "0 1 2 3 4 5 6 7 8 9 10"},
		{"a field that is not kept", journal.Sieve{{Field: "ABSENT", Op: journal.Equal, Text: "x"}}, "0 1 2 3 4 5 6 7 8 9 10"},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := open(t, sdjournal.Options{Directory: dir, After: journal.Head})
			r.Keep([]string{"NUMBER", "MESSAGE", "UNIT"}, row.sieve)
			var got []string
			for {
				e, err := r.Next()
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				if e == nil {
					continue
				}
				got = append(got, string(e.Values(nil, "NUMBER")[0]))
				record, err := e.Record()
				if err != nil {
					t.Fatal(err)
				}
				if n, _ := record.Get("NUMBER"); string(n) != got[len(got)-1] {
					t.Errorf("entry %s has the record of %s", got[len(got)-1], n)
				}
			}
			check(t, "entries", strings.Join(got, " "), row.want)
			// The position is behind what was held back, too.
			resumed := open(t, sdjournal.Options{Directory: dir, After: cursor(t, r)})
			if e, err := resumed.Next(); err != io.EOF {
				t.Errorf("after resuming: %v, %v", e, err)
			}
		})
	}
}

// TestSieves: an entry must go through both.
func TestSieves(t *testing.T) {
	var entries []journaltest.Entry
	for i := range 60 {
		e := at(journaltest.Boot1, i, "")
		e.Fields = journaltest.Fields("NUMBER", fmt.Sprint(i), "UNIT", fmt.Sprint(i%3), "MESSAGE", fmt.Sprint(i%5, " is what it says"))
		if i%7 == 0 { // any of its values may be the one
			e.Fields = append(e.Fields, journaltest.Fields("MESSAGE", "2 again", "UNIT", "2")...)
		}
		entries = append(entries, e)
	}
	dir := journaltest.Forge(t, entries...)
	unit, message := journal.Sieve{equal("UNIT", "2")}, journal.Sieve{{Field: "MESSAGE", Op: journal.Prefix, Text: "2 "}}
	for _, sieves := range [][]journal.Sieve{{unit, message}, {message, unit}, {nil, message, unit}, {{{Field: "ABSENT", Op: journal.Prefix, Text: "x"}}, unit, {}, message}} {
		r := open(t, sdjournal.Options{Directory: dir, After: journal.Head, Once: true})
		r.Keep([]string{"NUMBER", "MESSAGE", "UNIT"}, sieves...)
		var got, want []string
		for {
			e, err := r.Next()
			if err == journal.ErrEnd {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if e != nil {
				got = append(got, string(e.Values(nil, "NUMBER")[0]))
			}
		}
		for i := range entries {
			if i%7 == 0 || i%3 == 2 && i%5 == 2 {
				want = append(want, fmt.Sprint(i))
			}
		}
		check(t, "entries", strings.Join(got, " "), strings.Join(want, " "))
	}
}

// TestSieveGivesBack: a long stretch that holds nothing does not hold the caller.
func TestSieveGivesBack(t *testing.T) {
	var entries []journaltest.Entry
	for i := range 10_000 {
		entries = append(entries, at(journaltest.Boot1, i, "noise"))
	}
	dir := journaltest.Forge(t, entries...)
	for _, once := range []bool{false, true} {
		r := open(t, sdjournal.Options{Directory: dir, After: journal.Head, Once: once})
		r.Keep([]string{"MESSAGE"}, journal.Sieve{{Field: "MESSAGE", Op: journal.Prefix, Text: "X"}})
		back := 0
		for {
			e, err := r.Next()
			if err == io.EOF && !once || err == journal.ErrEnd && once {
				break
			}
			if e != nil || err != nil {
				t.Fatal(e, err)
			}
			back++
		}
		if back < 3 || back > 20 {
			t.Errorf("once %v: Next came back %d times on the way", once, back)
		}
	}
}

// TestSieveAndGap: a gap is reported although the entry after it is held back.
func TestSieveAndGap(t *testing.T) {
	dir := journaltest.Forge(t, at(journaltest.Boot1, 10, "noise"), at(journaltest.Boot1, 11, "X"))
	gone := "s=00000000000000000000000000000001;i=1;b=" + journaltest.Boot1 + ";m=1;t=1;x=1"
	var gaps []journal.Gap
	r := open(t, sdjournal.Options{Directory: dir, After: gone, OnGap: func(g journal.Gap) { gaps = append(gaps, g) }})
	r.Keep([]string{"MESSAGE"}, journal.Sieve{{Field: "MESSAGE", Op: journal.Equal, Text: "X"}})
	var got []string
	for {
		e, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if e != nil {
			got = append(got, string(e.Values(nil, "MESSAGE")[0]))
		}
	}
	if !slices.Equal(got, []string{"X"}) || len(gaps) != 1 || !gaps[0].Until.Equal(entriesTime(t, dir)) {
		t.Errorf("got %q with the gaps %v", got, gaps)
	}
}

// entriesTime is when the first entry of a journal was logged.
func entriesTime(t *testing.T, dir string) time.Time {
	t.Helper()
	e, err := open(t, sdjournal.Options{Directory: dir, After: journal.Head}).Next()
	if err != nil {
		t.Fatal(err)
	}
	return e.Time()
}

// TestRecordOfEveryEntry: once records are asked for, entries are packed as they
// are read. What is kept, and what is packed, stays the same.
func TestRecordOfEveryEntry(t *testing.T) {
	var entries []journaltest.Entry
	for i := range 20 {
		e := at(journaltest.Boot1, i, "")
		e.Fields = journaltest.Fields("MESSAGE", fmt.Sprint(i), "MESSAGE", fmt.Sprint("again ", i), "OTHER", strings.Repeat("y", i))
		entries = append(entries, e)
	}
	dir := journaltest.Forge(t, entries...)
	r := open(t, sdjournal.Options{Directory: dir, After: journal.Head})
	for i := range entries {
		e, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		check(t, "kept", fmt.Sprintf("%s", e.Values(nil, "MESSAGE")), fmt.Sprintf("[%d again %[1]d]", i))
		for range i % 3 { // not at all, once, twice
			record, err := e.Record()
			if err != nil {
				t.Fatal(err)
			}
			check(t, "packed", fmt.Sprintf("%s", record.Values(nil, "MESSAGE")), fmt.Sprintf("[%d again %[1]d]", i))
			check(t, "cursor", record.Cursor(), cursor(t, r))
			check(t, "time", record.Time(), e.Time())
		}
	}
}
