package sdjournal_test

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/journald-router/journald-router/journal"
	"github.com/journald-router/journald-router/journal/journaltest"
	"github.com/journald-router/journald-router/journal/sdjournal"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// at forges an entry of that boot, so many seconds after noon.
func at(boot string, seconds int, message string) journaltest.Entry {
	return journaltest.Entry{
		Time:      noon.Add(time.Duration(seconds) * time.Second),
		Monotonic: time.Duration(1000+seconds) * time.Second,
		Boot:      boot,
		Fields:    journaltest.Fields("_BOOT_ID", boot, "TEST", "1", "MESSAGE", message),
	}
}

func thisBoot(t *testing.T) string {
	t.Helper()
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(strings.TrimSpace(string(id)), "-", "")
}

func TestStart(t *testing.T) {
	now := thisBoot(t)
	twoBoots := []journaltest.Entry{
		at(journaltest.Boot1, 0, "a"), at(journaltest.Boot1, 60, "b"), at(journaltest.Boot1, 120, "c"),
		at(now, 180, "d"), at(now, 240, "e"),
	}
	// The machine's clock was an hour fast until it booted, and set back by
	// another ten minutes after that.
	clockBack := []journaltest.Entry{
		at(journaltest.Boot1, 3600, "a"), at(journaltest.Boot1, 3660, "b"),
		at(now, 600, "c"), at(now, 660, "d"), at(now, 60, "e"),
	}
	clockBack[4].Monotonic = clockBack[3].Monotonic + time.Second
	for _, tt := range []struct {
		name    string
		entries []journaltest.Entry
		start   journal.Start
		want    string
	}{
		{"end", twoBoots, journal.End, ""},
		{"beginning", twoBoots, journal.Beginning, "abcde"},
		{"boot", twoBoots, journal.Boot, "de"},
		{"boot, none of it yet", twoBoots[:3], journal.Boot, ""},
		{"boot, all of it", twoBoots[3:], journal.Boot, "de"},
		{"boot, clock set back", clockBack, journal.Boot, "cde"},
		{"end, clock set back", clockBack, journal.End, ""},
		{"beginning, clock set back", clockBack, journal.Beginning, "abcde"},
		{"time of an entry", twoBoots, journal.At(noon.Add(time.Minute)), "bcde"},
		{"time between entries", twoBoots, journal.At(noon.Add(90 * time.Second)), "cde"},
		{"time in the next boot", twoBoots, journal.At(noon.Add(3 * time.Minute)), "de"},
		{"time before all", twoBoots, journal.At(noon.Add(-time.Hour)), "abcde"},
		{"time before the epoch", twoBoots, journal.At(time.Unix(-1, 0)), "abcde"},
		{"time after all", twoBoots, journal.At(noon.Add(time.Hour)), ""},
		{"time yet to come", twoBoots, journal.At(time.Now().Add(time.Hour)), ""},
		{"duration", twoBoots, journal.Ago(time.Since(noon) - 90*time.Second), "cde"},
		{"long duration", twoBoots, journal.Ago(250 * 365 * 24 * time.Hour), "abcde"},
		{"no duration", twoBoots, journal.Ago(0), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := journaltest.Forge(t, tt.entries...)
			r := open(t, sdjournal.Options{Directory: dir, Start: tt.start})
			first := cursor(t, r)
			check(t, "read", strings.Join(drain(t, r), ""), tt.want)

			// The position before the first Next is one to come back to.
			r = open(t, sdjournal.Options{Directory: dir, After: first, OnGap: func(g journal.Gap) { t.Errorf("gap %+v", g) }})
			check(t, "read from the first cursor", strings.Join(drain(t, r), ""), tt.want)

			r = open(t, sdjournal.Options{Directory: dir, Start: tt.start, Once: true})
			check(t, "read once", strings.Join(drain(t, r), ""), tt.want)
			if _, err := r.Next(); err != journal.ErrEnd {
				t.Errorf("Next with Once = %v; want %v", err, journal.ErrEnd)
			}

			// Whatever is written after the start is read.
			ago := int(time.Since(noon) / time.Second)
			journaltest.ForgeFile(t, filepath.Join(dir, "forged.journal"), slices.Values([]journaltest.Entry{at(now, ago, "!")}))
			r = open(t, sdjournal.Options{Directory: dir, After: first})
			check(t, "read with a later entry", strings.Join(drain(t, r), ""), tt.want+"!")
		})
	}
}

func TestResumeAtEveryEntry(t *testing.T) {
	dir := journaltest.Forge(t,
		at(journaltest.Boot1, 600, "a"), at(journaltest.Boot1, 600, "b"), // two at the same time
		at(journaltest.Boot2, 0, "c"), at(journaltest.Boot2, 1, "d")) // after the clock was set back
	r := open(t, sdjournal.Options{Directory: dir, Start: journal.Beginning})
	check(t, "cursor before the first entry", cursor(t, r), journal.Head)
	for i := range 4 {
		if _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
		again := open(t, sdjournal.Options{Directory: dir, After: cursor(t, r), OnGap: func(g journal.Gap) { t.Errorf("gap %+v", g) }})
		check(t, "read", strings.Join(drain(t, again), ""), "abcd"[i+1:])
	}
}

// journald moves the entries of the early boot from /run to /var, where they
// get other cursors.
func TestResumeInMovedFile(t *testing.T) {
	entries := []journaltest.Entry{at(journaltest.Boot1, 0, "a"), at(journaltest.Boot1, 1, "b"), at(journaltest.Boot1, 2, "c")}
	from, to := journaltest.Forge(t, entries...), journaltest.Forge(t, entries...)
	r := open(t, sdjournal.Options{Directory: from, Start: journal.Beginning})
	for range 2 {
		if _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
	}
	noGap := func(g journal.Gap) { t.Errorf("gap %+v", g) }
	moved := open(t, sdjournal.Options{Directory: to, After: cursor(t, r), OnGap: noGap})
	check(t, "read in the moved file", drain(t, moved), []string{"c"})

	// The same, in the middle of reading.
	dir := t.TempDir()
	rename(t, filepath.Join(from, "forged.journal"), filepath.Join(dir, "runtime.journal"))
	r = open(t, sdjournal.Options{Directory: dir, Start: journal.Beginning, OnGap: noGap})
	check(t, "read", follow(t, r, 2), []string{"a", "b"})
	rename(t, filepath.Join(to, "forged.journal"), filepath.Join(dir, "system.journal"))
	if err := os.Remove(filepath.Join(dir, "runtime.journal")); err != nil {
		t.Fatal(err)
	}
	if err := r.Process(); err != nil {
		t.Fatal(err)
	}
	check(t, "read after the move", follow(t, r, 1), []string{"c"})
}

// The entry that Wait has found may be deleted before Next gets to it.
func TestDeletedBetweenWaitAndNext(t *testing.T) {
	dir := journaltest.Forge(t, at(journaltest.Boot1, 0, "a"))
	file := filepath.Join(dir, "forged.journal")
	r := open(t, sdjournal.Options{Directory: dir, Start: journal.Beginning})
	if err := r.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := r.Process(); err != nil {
		t.Fatal(err)
	}
	check(t, "read", drain(t, r), []string(nil))
	journaltest.ForgeFile(t, file, slices.Values([]journaltest.Entry{at(journaltest.Boot1, 1, "b")}))
	check(t, "followed", follow(t, r, 1), []string{"b"})
}

// What is written while it turns out that all entries are older than the position
// is read.
func TestWrittenWhileResuming(t *testing.T) {
	later := journaltest.Forge(t, at(journaltest.Boot2, 100, "x"))
	r := open(t, sdjournal.Options{Directory: later, Start: journal.Beginning})
	check(t, "read", drain(t, r), []string{"x"})
	saved := cursor(t, r)
	for _, old := range [][]journaltest.Entry{nil, {at(journaltest.Boot1, 0, "a")}, {at(journaltest.Boot1, 0, "a"), at(journaltest.Boot1, 1, "b")}} {
		dir := t.TempDir()
		write := func(entries ...journaltest.Entry) {
			if len(entries) > 0 {
				journaltest.ForgeFile(t, filepath.Join(dir, "forged.journal"), slices.Values(entries))
			}
		}
		write(old...)
		r := open(t, sdjournal.Options{Directory: dir})
		err := r.ResumeLate(saved, func() { write(at(journaltest.Boot1, 2, "c"), at(journaltest.Boot2, 200, "y")) })
		if err != nil {
			t.Fatal(err)
		}
		check(t, "position", cursor(t, r), saved)
		check(t, "read", follow(t, r, 2), []string{"c", "y"})
	}
}

// The same, at a position that is of another machine's entry.
func TestWrittenWhileResumingAtOthers(t *testing.T) {
	ours, others := strings.Repeat("ab", 16), strings.Repeat("cd", 16)
	of := func(machine string, e journaltest.Entry) journaltest.Entry {
		e.Fields = append(e.Fields, journaltest.Fields("_MACHINE_ID", machine)...)
		return e
	}
	for _, old := range []string{"", "a"} {
		dir := t.TempDir()
		file := filepath.Join(dir, "forged.journal")
		entries := []journaltest.Entry{of(others, at(journaltest.Boot1, 1, "x"))}
		if old != "" {
			entries = slices.Insert(entries, 0, of(ours, at(journaltest.Boot1, 0, old)))
		}
		journaltest.ForgeFile(t, file, slices.Values(entries))
		r := open(t, sdjournal.Options{Directory: dir, Start: journal.Beginning, Machine: others})
		check(t, "read", drain(t, r), []string{"x"})
		saved := cursor(t, r)

		r = open(t, sdjournal.Options{Directory: dir, Machine: ours, OnGap: func(g journal.Gap) { t.Errorf("gap %+v", g) }})
		err := r.ResumeAtOthersLate(saved, func() {
			journaltest.ForgeFile(t, file, slices.Values([]journaltest.Entry{of(ours, at(journaltest.Boot1, 2, "b")), of(ours, at(journaltest.Boot1, 3, "c"))}))
		})
		if err != nil {
			t.Fatal(err)
		}
		check(t, "read", follow(t, r, 2), []string{"b", "c"})
	}
}

// The first entry after a gap may be deleted, too, before the gap was looked at.
func TestDeletedWhileLookingForGap(t *testing.T) {
	dir := t.TempDir()
	for i, file := range []string{"a", "b", "c"} {
		journaltest.ForgeFile(t, filepath.Join(dir, file+".journal"), slices.Values([]journaltest.Entry{
			at(journaltest.Boot1, 10*i, file+" 1"), at(journaltest.Boot1, 10*i+1, file+" 2"), at(journaltest.Boot1, 10*i+2, file+" 3"),
		}))
	}
	a, b := fileWith(t, dir, "a 1"), fileWith(t, dir, "b 1")
	a.write(a.message("a 2").at+1, 7) // it is counted, and told of with the gap
	var gaps []journal.Gap
	r := open(t, sdjournal.Options{Directory: dir, Start: journal.Beginning, OnGap: func(g journal.Gap) {
		gaps = append(gaps, g)
		if len(gaps) == 1 { // journald vacuums again
			b.write(b.u64(88), make([]byte, len(b.data)-b.u64(88))...)
			if err := os.Remove(b.path); err != nil {
				t.Error(err)
			}
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
	for _, want := range []string{"c 1", "c 2", "c 3"} {
		var e journal.Entry
		for e == nil {
			var err error
			if e, err = r.Next(); err != nil {
				t.Fatal(err)
			}
		}
		m, _ := message(e)
		check(t, "read after the gap", m, want)
		record, err := e.Record()
		if err != nil {
			t.Fatal(err)
		}
		text, _ := record.Get("MESSAGE")
		check(t, "its record", string(text), want)
		check(t, "the record's cursor", record.Cursor(), cursor(t, r))
		check(t, "the record's time", record.Time(), e.Time())
	}
	until := noon.Add(20 * time.Second)
	if len(gaps) != 2 || !gaps[1].After.Equal(noon.Add(2*time.Second)) || !gaps[1].Until.Equal(until) {
		t.Errorf("gaps = %+v; want one of the entry that was damaged, and one until %v", gaps, until)
	}
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

// A saved position may find a journal that was emptied, or another one.
func TestResumeInAnotherJournal(t *testing.T) {
	dir := journaltest.Forge(t, at(journaltest.Boot1, 0, "a"))
	r := open(t, sdjournal.Options{Directory: dir, Start: journal.Beginning})
	drain(t, r)
	saved := cursor(t, r)

	for _, tt := range []struct {
		name    string
		entries []journaltest.Entry
		want    string
	}{
		{"empty", nil, "!"},
		{"only older entries", []journaltest.Entry{at(journaltest.Boot2, -60, "x")}, "!"},
		{"older and newer entries", []journaltest.Entry{at(journaltest.Boot2, -60, "x"), at(journaltest.Boot2, 30, "y"), at(journaltest.Boot2, 40, "z")}, "yz!"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "forged.journal")
			if tt.entries != nil {
				journaltest.ForgeFile(t, file, slices.Values(tt.entries))
			}
			var gaps []journal.Gap
			r := open(t, sdjournal.Options{Directory: dir, After: saved, OnGap: func(g journal.Gap) { gaps = append(gaps, g) }})
			check(t, "cursor before the first Next", cursor(t, r), saved)
			journaltest.ForgeFile(t, file, slices.Values([]journaltest.Entry{at(journaltest.Boot2, 3600, "!")}))
			got := follow(t, r, len(tt.want))
			check(t, "read", strings.Join(got, ""), tt.want)
			if len(gaps) != 1 || !gaps[0].After.Equal(noon) || !gaps[0].Until.After(noon) || gaps[0].Entries != 0 {
				t.Errorf("gaps = %+v; want one after %v", gaps, noon)
			}
		})
	}
}

func TestEmptyJournal(t *testing.T) {
	for _, start := range []journal.Start{journal.End, journal.Beginning, journal.Boot, journal.Ago(time.Hour), journal.At(noon)} {
		t.Run(start.String(), func(t *testing.T) {
			dir := t.TempDir()
			r := open(t, sdjournal.Options{Directory: dir, Start: start})
			check(t, "cursor", cursor(t, r), journal.Head)
			if _, err := r.Next(); err != io.EOF {
				t.Fatalf("Next = %v; want %v", err, io.EOF)
			}
			once := open(t, sdjournal.Options{Directory: dir, Start: start, Once: true})
			if _, err := once.Next(); err != journal.ErrEnd {
				t.Errorf("Next with Once = %v; want %v", err, journal.ErrEnd)
			}
			journaltest.ForgeFile(t, filepath.Join(dir, "first.journal"), slices.Values([]journaltest.Entry{at(journaltest.Boot1, 0, "a"), at(journaltest.Boot1, 1, "b")}))
			check(t, "followed", follow(t, r, 2), []string{"a", "b"})

			again := open(t, sdjournal.Options{Directory: dir, After: journal.Head})
			check(t, "read from the head", drain(t, again), []string{"a", "b"})
		})
	}
}

// A directory that is deleted and made anew is followed, which libsystemd
// does not do by itself.
func TestDirectoryMadeAnew(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "journal")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	journaltest.ForgeFile(t, filepath.Join(dir, "a.journal"), slices.Values([]journaltest.Entry{at(journaltest.Boot1, 0, "a")}))
	var gaps []journal.Gap
	r := open(t, sdjournal.Options{Directory: dir, Start: journal.Beginning, OnGap: func(g journal.Gap) { gaps = append(gaps, g) }})
	check(t, "read", drain(t, r), []string{"a"})
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := r.Wait(timeout(t, 10*time.Millisecond)); err != context.DeadlineExceeded {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	journaltest.ForgeFile(t, filepath.Join(dir, "b.journal"), slices.Values([]journaltest.Entry{at(journaltest.Boot1, 10, "b")}))
	check(t, "followed", follow(t, r, 1), []string{"b"})
	if len(gaps) != 1 {
		t.Errorf("gaps = %+v; want one", gaps)
	}
}

// The directory of a namespace comes up when its journald is first started.
func TestNamespaceComesUpLater(t *testing.T) {
	id, err := os.ReadFile("/etc/machine-id")
	if err != nil {
		t.Fatal(err)
	}
	// One of its two directories has to be there, or it is no journal.
	j := journaltest.Start(t, journaltest.Options{})
	persistent := "/var/log/journal/" + strings.TrimSpace(string(id)) + "." + j.Namespace()
	r := open(t, sdjournal.Options{Namespace: j.Namespace()})
	drain(t, r)
	if err := os.MkdirAll(persistent, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(persistent) })
	journaltest.ForgeFile(t, filepath.Join(persistent, "system.journal"),
		slices.Values([]journaltest.Entry{at(journaltest.Boot1, int(time.Since(noon)/time.Second)+60, "a")}))
	check(t, "followed", follow(t, r, 1), []string{"a"})
}

func TestDirectoryOfMachines(t *testing.T) {
	dir := t.TempDir()
	machine := filepath.Join(dir, strings.Repeat("ab", 16))
	r := open(t, sdjournal.Options{Directory: dir, Start: journal.Beginning})
	if err := os.Mkdir(machine, 0o755); err != nil {
		t.Fatal(err)
	}
	journaltest.ForgeFile(t, filepath.Join(machine, "remote.journal"), slices.Values([]journaltest.Entry{at(journaltest.Boot1, 0, "a")}))
	check(t, "followed", follow(t, r, 1), []string{"a"})
}
