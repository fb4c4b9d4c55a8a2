package sdjournal_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/journald-router/journald-router/journal"
	"github.com/journald-router/journald-router/journal/journaltest"
	"github.com/journald-router/journald-router/journal/sdjournal"
)

// damages collects what a reader tells of damage, and counts the entries.
type damages []journal.Damage

func (d *damages) add(one journal.Damage) { *d = append(*d, one) }

func (d damages) entries() (n int) {
	for _, one := range d {
		n += int(one.Entries)
	}
	return n
}

func without(all []string, these ...string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(s string) bool { return slices.Contains(these, s) })
}

// An entry that cannot be read costs no other, and is told of once.
func TestDamagedEntry(t *testing.T) {
	ff := bytes.Repeat([]byte{0xff}, 16)
	for _, tt := range []struct {
		name string
		do   func(f *journalFile, message string)
	}{
		{"header zero", func(f *journalFile, m string) { f.write(f.entry(m).at, make([]byte, 16)...) }},
		{"header ff", func(f *journalFile, m string) { f.write(f.entry(m).at, ff...) }},
		{"size", func(f *journalFile, m string) { f.write(f.entry(m).at+12, 1) }},
		{"number", func(f *journalFile, m string) { f.write(f.entry(m).at+16, make([]byte, 8)...) }},
		{"time", func(f *journalFile, m string) { f.write(f.entry(m).at+24, ff...) }},
		// libsystemd fails for these, each time that the entry is gone through.
		{"broken xz", func(f *journalFile, m string) { f.write(f.message(m).at+1, 1) }},
		{"broken lz4", func(f *journalFile, m string) { f.write(f.message(m).at+1, 2) }},
		{"unknown compression", func(f *journalFile, m string) { f.write(f.message(m).at+1, 7) }},
	} {
		for _, file := range []string{"archived", "active"} {
			t.Run(tt.name+", "+file, func(t *testing.T) {
				j := journaltest.Start(t, journaltest.Options{})
				before := time.Now()
				all := numbers(1, 20)
				say(j, all...)
				j.Sync()
				if file == "archived" {
					j.Rotate()
				}
				say(j, "last")
				j.Sync()
				tt.do(fileWith(t, j.Dir(), "line 10"), "line 10")

				var told damages
				o := sdjournal.Options{Namespace: j.Namespace(), Start: journal.Beginning, OnDamage: told.add, OnGap: func(g journal.Gap) { t.Errorf("gap %+v", g) }}
				r := open(t, o)
				check(t, "read", drain(t, r), append(without(all, "line 10"), "last"))
				o.After = cursor(t, r)
				say(j, "later")
				check(t, "followed", follow(t, r, 1), []string{"later"})
				cursor(t, r)
				if len(told) != 1 || told[0].Entries != 1 || !told[0].Until.After(before) || told[0].Until.Before(told[0].After) {
					t.Errorf("damage %+v; want one entry after %v", told, before)
				}

				told = nil
				r = open(t, o)
				check(t, "read after a restart", follow(t, r, 1), []string{"later"})
				cursor(t, r)
				check(t, "damage told of after a restart", told, damages(nil))
			})
		}
	}
}

// What is damaged between two positions is told of with the later one, also
// where a file came or went meanwhile, and where the sieve wants none of it.
func TestDamageWhileFollowing(t *testing.T) {
	for _, rotate := range []bool{false, true} {
		t.Run(fmt.Sprint("rotate ", rotate), func(t *testing.T) {
			j := journaltest.Start(t, journaltest.Options{})
			var told damages
			r := open(t, sdjournal.Options{Namespace: j.Namespace(), OnDamage: told.add, OnGap: func(g journal.Gap) { t.Errorf("gap %+v", g) }})
			say(j, "one")
			check(t, "followed", follow(t, r, 1), []string{"one"})
			cursor(t, r)
			say(j, numbers(1, 20)...)
			j.Sync()
			f := fileWith(t, j.Dir(), "line 1")
			for _, m := range numbers(1, 3) {
				f.write(f.entry(m).at, make([]byte, 16)...)
			}
			f.write(f.message("line 4").at+1, 7)
			want := numbers(5, 20)
			if rotate {
				want = numbers(5, 21)
				j.Rotate()
				say(j, "line 21")
				j.Sync()
				if err := r.Process(); err != nil {
					t.Fatal(err)
				}
			}
			check(t, "followed", follow(t, r, len(want)), want)
			cursor(t, r)
			check(t, "damaged entries", told.entries(), 4)
		})
	}
}

// What the journal has found for a later time may be damaged until then, and
// fails for ever.
func TestDamageOfWhatWasFound(t *testing.T) {
	dir := t.TempDir()
	for i, name := range []string{"a.journal", "b.journal"} {
		journaltest.ForgeFile(t, filepath.Join(dir, name), slices.Values([]journaltest.Entry{
			at(journaltest.Boot1, 10*i, name+" 1"), at(journaltest.Boot1, 10*i+1, name+" 2"), at(journaltest.Boot1, 10*i+20, name+" 3"),
		}))
	}
	r := open(t, sdjournal.Options{Directory: dir, Start: journal.Beginning})
	check(t, "read", follow(t, r, 1), []string{"a.journal 1"})
	f := fileWith(t, dir, "b.journal 1")
	f.write(f.entry("b.journal 1").at, make([]byte, 16)...)
	check(t, "read on", drain(t, r), []string{"a.journal 2", "b.journal 2", "a.journal 3", "b.journal 3"})
}

// libsystemd drops a file in which it cannot find the way to the next entry, and
// with it where it stands.
func TestPositionInDroppedFile(t *testing.T) {
	var entries []journaltest.Entry
	for i := range 300 {
		entries = append(entries, at(journaltest.Boot1, i, fmt.Sprint("line ", i)))
	}
	dir := journaltest.Forge(t, entries...)
	f := fileWith(t, dir, "line 0")
	f.write(f.arrays()[1]+24, make([]byte, 64)...)

	var told damages
	r := open(t, sdjournal.Options{Directory: dir, Start: journal.Beginning, OnDamage: told.add})
	first := drain(t, r)
	if len(first) == 0 || len(first) == 300 {
		t.Fatalf("%d entries were read: this test tests nothing", len(first))
	}
	cursor(t, r)
	if err := r.Process(); err != nil {
		t.Fatal(err)
	}
	journaltest.ForgeFile(t, filepath.Join(dir, "other.journal"), slices.Values([]journaltest.Entry{at(journaltest.Boot1, 1000, "later")}))
	check(t, "followed", follow(t, r, 1), []string{"later"})
}

// A rotation that Next finds on its way to an entry is no damage.
func TestNoDamageAtRotation(t *testing.T) {
	j := journaltest.Start(t, journaltest.Options{})
	say(j, numbers(1, 3)...)
	j.Sync()
	r := open(t, sdjournal.Options{Namespace: j.Namespace(), Start: journal.Beginning})
	check(t, "read", follow(t, r, 1), numbers(1, 1))
	cursor(t, r)
	if err := r.Process(); err != nil { // then Next looks at the files
		t.Fatal(err)
	}
	j.Rotate()
	check(t, "read on", follow(t, r, 2), numbers(2, 3))
	cursor(t, r)
}

// Where the journal cannot be opened anew the reader is of no more use, and says so.
func TestNoHandle(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "journal")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for i, file := range []string{"a", "b"} {
		journaltest.ForgeFile(t, filepath.Join(dir, file+".journal"), slices.Values([]journaltest.Entry{
			at(journaltest.Boot1, 10*i, file+" 1"), at(journaltest.Boot1, 10*i+1, file+" 2"), at(journaltest.Boot1, 10*i+2, file+" 3"),
		}))
	}
	a := fileWith(t, dir, "a 1")
	a.write(a.message("a 2").at+1, 7) // it is told of before the gap is looked at
	r := open(t, sdjournal.Options{Directory: dir, Start: journal.Beginning, OnGap: func(journal.Gap) {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	}})
	check(t, "read", follow(t, r, 1), []string{"a 1"})
	cursor(t, r)
	check(t, "read", follow(t, r, 1), []string{"a 3"})
	if err := os.Remove(a.path); err != nil {
		t.Fatal(err)
	}
	if err := r.Process(); err != nil {
		t.Fatal(err)
	}
	e, err := r.Next()
	if e != nil || !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("Next = %v, %v; want an error that says %q", e, err, fs.ErrNotExist)
	}
	if err := r.Process(); !errors.Is(err, syscall.EBADF) {
		t.Errorf("Process = %v; want %v", err, syscall.EBADF)
	}
	if e, err := r.Next(); e != nil || !errors.Is(err, syscall.EBADF) {
		t.Errorf("Next = %v, %v; want %v", e, err, syscall.EBADF)
	}
	if err := r.Wait(t.Context()); !errors.Is(err, syscall.EBADF) {
		t.Errorf("Wait = %v; want %v", err, syscall.EBADF)
	}
}
