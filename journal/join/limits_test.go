package join_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/journald-router/journald-router/journal/join"
)

// TestMaxBytes: a line longer than the limit comes in pieces, of which all but the
// last are marked; nothing of it is missing.
func TestMaxBytes(t *testing.T) {
	for _, row := range []struct {
		parts string // each letter a tenth of the limit; the last one ends the line
		want  string
	}{
		{"aaaa bbbb cc", "aaaabbbbcc"},
		{"aaaa bbbb ccc", "aaaabbbb+ ccc"},
		{"aaaa bbbb cccc dddd e", "aaaabbbb+ ccccdddde"},
		{"aaaaaaaaaa b", "aaaaaaaaaa+ b"},
		{"a bbbbbbbbbb c", "a+ bbbbbbbbbb+ c"},
	} {
		p := new(tape)
		parts := strings.Fields(row.parts)
		for i, part := range parts {
			part = strings.Repeat(part, 100)
			if i < len(parts)-1 {
				p.part(noon, "s", part)
			} else {
				p.last(noon, "s", part)
			}
		}
		var got []string
		for _, m := range messages(t, open(t, join.Options{Open: p.open, MaxBytes: 1000})) {
			m, cut := strings.CutSuffix(m, " line-max")
			text := ""
			for _, letter := range "abcde" {
				text += strings.Repeat(string(letter), strings.Count(m, string(letter))/100)
			}
			if cut {
				text += "+"
			}
			got = append(got, text)
		}
		check(t, strings.Fields(row.want), got)
	}
}

// TestManyLines: of more unfinished lines than can be kept the oldest are let go.
func TestManyLines(t *testing.T) {
	p := new(tape)
	for n := range 260 {
		p.part(noon, fmt.Sprint("stream", n), fmt.Sprint(n))
	}
	p.last(noon, "stream0", ".")
	p.last(noon, "stream4", ".")
	r := open(t, join.Options{Open: p.open})
	check(t, []string{"0 line-max", "1 line-max", "2 line-max", "3 line-max", ".", "4."}, messages(t, r))
	if n := len(strings.Fields(cursor(t, r)))/3 - 1; n != 255 {
		t.Errorf("the position tells of %d lines, want 255", n)
	}
	// All of them are found again.
	p.once = true
	got := messages(t, open(t, join.Options{Open: p.open, After: cursor(t, r)}))
	if len(got) != 255 || got[0] != "5 line-max" || got[254] != "259 line-max" {
		t.Errorf("after a restart %d lines: %q", len(got), got)
	}
}

// TestMuchToKeep: unfinished lines hold no more than four times the longest
// together.
func TestMuchToKeep(t *testing.T) {
	p := new(tape)
	const size = 10_000
	long := strings.Repeat("x", size/2)
	for n := range 10 {
		p.part(noon, fmt.Sprint("stream", n), long)
	}
	p.last(noon, "stream0", "0")
	p.last(noon, "stream9", "9")
	r := open(t, join.Options{Open: p.open, MaxBytes: size})
	marked := long + " line-max"
	want := slices.Repeat([]string{marked}, 3) // what is left holds less than 40,000 bytes, but has 35,000 of messages
	check(t, append(want, "0", long+"9"), messages(t, r))
}

// TestForgotten: where the first parts of unfinished lines are not to be found,
// everything from before them on comes again, but once.
func TestForgotten(t *testing.T) {
	for _, position := range []string{
		"3 open 1 " + id("s") + " 1 9",                     // no such part
		"3 open 1 " + id("s") + " 9 2",                     // fewer parts than there were
		"3 open 1 " + id("x") + " 1 2",                     // no such stream
		"3 open 1 " + id("s") + " 1 2 " + id("t") + " 1 9", // one of two
	} {
		p := new(tape)
		p.last(noon, "t", "before")
		p.part(noon, "s", "a")
		p.last(noon, "t", "between")
		p.last(noon, "s", "b")
		p.last(noon, "t", "after")
		r := open(t, join.Options{Open: p.anew, After: position})
		check(t, []string{"between", "ab", "after"}, messages(t, r))
		if got := cursor(t, r); got != "5" {
			t.Errorf("%q: at the end at %q", position, got)
		}
	}
}
