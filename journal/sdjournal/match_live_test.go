package sdjournal_test

import (
	"fmt"
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

// chatter logs numbered entries, of which every 20th is wanted.
func chatter(j *journaltest.T, from, to int) {
	for i := from; i < to; i++ {
		kind := "noise"
		if i%20 == 0 {
			kind = "wanted"
		}
		j.Send(mark, journaltest.Fields("MESSAGE", fmt.Sprint(i))[0], journaltest.Fields("KIND", kind)[0])
	}
}

func openWanted(t *testing.T, o sdjournal.Options) *sdjournal.Reader {
	r := open(t, o)
	r.Keep([]string{"TEST", "MESSAGE", "KIND"}, journal.Sieve{equal("KIND", "wanted")})
	return r
}

// step is one Next that finds something: the number of the entry, or the end.
func step(t *testing.T, r *sdjournal.Reader) (string, error) {
	t.Helper()
	for {
		e, err := r.Next()
		if err != nil && err != io.EOF && err != journal.ErrEnd {
			t.Fatal(err)
		}
		if err != nil {
			return "", err
		}
		if e != nil {
			m, _ := message(e)
			return m, nil
		}
	}
}

// TestIndexWhileJournaldWrites: a backlog is read, then what comes meanwhile,
// while files are rotated.
func TestIndexWhileJournaldWrites(t *testing.T) {
	j := journaltest.Start(t, journaltest.Options{})
	chatter(j, 0, 3000)
	j.Sync()
	r := openWanted(t, sdjournal.Options{Namespace: j.Namespace(), Start: journal.Beginning, OnGap: func(g journal.Gap) { t.Errorf("gap %+v", g) }})
	const all = 9000
	done := make(chan bool)
	go func() {
		defer close(done)
		for i := 3000; i < all; i += 1000 {
			chatter(j, i, i+1000)
			if i%3000 == 0 {
				j.Rotate()
			}
		}
	}()
	defer func() { <-done }()
	indexed := 0
	for want := 0; want < all; want += 20 {
		m, err := step(t, r)
		for err == io.EOF {
			if err := r.Wait(timeout(t, 20*time.Second)); err != nil {
				t.Fatalf("want %d: %v", want, err)
			}
			m, err = step(t, r)
		}
		if m != fmt.Sprint(want) {
			t.Fatalf("read %s; want %d", m, want)
		}
		if r.Indexed() {
			indexed++
		}
	}
	if indexed < 50 {
		t.Errorf("only %d entries came from the index", indexed)
	}
}

// TestIndexAndVacuum: what is deleted while the index is read is reported, once,
// and reading goes on with what is left.
func TestIndexAndVacuum(t *testing.T) {
	defer sdjournal.SetAtOnce(1)()
	j := journaltest.Start(t, journaltest.Options{})
	chatter(j, 0, 6000)
	j.Sync()
	rotated := time.Now()
	j.Rotate()
	var gaps []journal.Gap
	r := openWanted(t, sdjournal.Options{Namespace: j.Namespace(), Start: journal.Beginning, OnGap: func(g journal.Gap) { gaps = append(gaps, g) }})
	// As long as journald is at work on a file, the reader takes it for not whole, and
	// tries again later.
	read := -20
	for read < 2000 || !r.Indexed() && read < 5000 {
		read += 20
		if m, _ := step(t, r); m != fmt.Sprint(read) {
			t.Fatalf("read %s; want %d", m, read)
		}
	}
	if !r.Indexed() {
		t.Fatal("the index is not in use: this test tests nothing")
	}
	last := cursor(t, r)
	chatter(j, 6000, 9000)
	j.Sync()
	j.Vacuum(1)
	if err := r.Process(); err != nil {
		t.Fatal(err)
	}
	check(t, "cursor", cursor(t, r), last)
	for want := 6000; want < 9000; want += 20 {
		if m, _ := step(t, r); m != fmt.Sprint(want) {
			t.Fatalf("read %s; want %d", m, want)
		}
	}
	if _, err := step(t, r); err != io.EOF {
		t.Fatal(err)
	}
	left := uint64(6000 - read)
	if len(gaps) != 1 || gaps[0].Entries < left-100 || gaps[0].Entries > left+100 || gaps[0].After.After(rotated) || !gaps[0].Until.After(rotated) {
		t.Errorf("gaps = %+v; want one of the %d that were left, from before %v until after it", gaps, left, rotated)
	}
}

// TestRotationWhileIndexed: that files are renamed under it is no gap, although
// the entries from the index are not numbered in a row.
func TestRotationWhileIndexed(t *testing.T) {
	j := journaltest.Start(t, journaltest.Options{})
	chatter(j, 0, 3000)
	j.Sync()
	r := openWanted(t, sdjournal.Options{Namespace: j.Namespace(), Start: journal.Beginning, OnGap: func(g journal.Gap) { t.Errorf("gap %+v", g) }})
	for want := 0; want < 3000; want += 20 {
		if m, _ := step(t, r); m != fmt.Sprint(want) {
			t.Fatalf("read %s; want %d", m, want)
		}
		if want == 1040 {
			if !r.Indexed() {
				t.Fatal("the index is not in use: this test tests nothing")
			}
			j.Rotate() // the reader looks for that at every 1024th entry
		}
	}
}

// TestFileDeletedAfterIndexed: where what follows the entry read last is deleted,
// but not that entry, the numbers tell.
func TestFileDeletedAfterIndexed(t *testing.T) {
	defer sdjournal.SetAtOnce(1)()
	j := journaltest.Start(t, journaltest.Options{})
	chatter(j, 0, 2001) // the last one is wanted
	j.Sync()
	j.Rotate()
	first := archived(t, j)
	chatter(j, 2001, 3001)
	j.Sync()
	j.Rotate()
	chatter(j, 3001, 4001)
	j.Sync()
	var missing []journal.Damage
	r := openWanted(t, sdjournal.Options{Namespace: j.Namespace(), Start: journal.Beginning, OnDamage: func(d journal.Damage) { missing = append(missing, d) }})
	for range 101 {
		step(t, r)
	}
	if !r.Indexed() {
		t.Fatal("the index is not in use: this test tests nothing")
	}
	for _, file := range archived(t, j) {
		if !slices.Contains(first, file) {
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := r.Process(); err != nil {
		t.Fatal(err)
	}
	check(t, "followed", follow(t, r, 1), []string{"3020"})
	if len(missing) != 1 || missing[0].Entries < 1000 || missing[0].Entries > 1020 {
		t.Errorf("missing: %+v; want one stretch of a thousand", missing)
	}
}

func archived(t *testing.T, j *journaltest.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(j.Dir(), "*@*.journal"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestPositionAfterIndexIsFresh: once the end is reached, the position is the
// journal's last entry, wanted or not: of what was deleted before it, nothing is
// missed.
func TestPositionAfterIndexIsFresh(t *testing.T) {
	j := journaltest.Start(t, journaltest.Options{})
	chatter(j, 0, 2001) // the last one is wanted
	j.Sync()
	j.Rotate()
	for i := range 6000 {
		j.Send(mark, journaltest.Fields("MESSAGE", fmt.Sprint("after ", i))[0])
	}
	j.Sync()
	o := sdjournal.Options{Namespace: j.Namespace(), Start: journal.Beginning, OnGap: func(g journal.Gap) { t.Errorf("gap %+v", g) }}
	r := openWanted(t, o)
	indexed := false
	for {
		if _, err := step(t, r); err == io.EOF {
			break
		}
		indexed = indexed || r.Indexed()
	}
	if !indexed {
		t.Fatal("the index was not in use: this test tests nothing")
	}
	j.Vacuum(1)
	chatter(j, 20, 21)
	check(t, "followed", follow(t, r, 1), []string{"20"})

	o.After = cursor(t, r)
	chatter(j, 40, 41)
	check(t, "read from the saved position", follow(t, openWanted(t, o), 1), []string{"40"})
}

// TestIndexGivesWay: where most entries are wanted the index is left, and where few
// are it is taken again.
func TestIndexGivesWay(t *testing.T) {
	var entries []journaltest.Entry
	for i := range 20_000 {
		e := at(journaltest.Boot1, i, fmt.Sprint(i))
		if i%20 == 0 || i > 5000 && i < 9000 {
			e.Fields = append(e.Fields, journaltest.Fields("KIND", "wanted")...)
		}
		entries = append(entries, e)
	}
	dir := journaltest.Forge(t, entries...)
	r := openWanted(t, sdjournal.Options{Directory: dir, After: journal.Head})
	ways := ""
	for _, e := range entries {
		if len(e.Fields) < 4 {
			continue
		}
		want := string(e.Fields[2].Value)
		if m, _ := step(t, r); m != want {
			t.Fatalf("read %s; want %s", m, want)
		}
		if way := map[bool]string{true: "i", false: "s"}[r.Indexed()]; !strings.HasSuffix(ways, way) {
			ways += way
		}
	}
	check(t, "scanning and index took turns", ways, "sisi")
}

// TestOnceByIndex: with Once, the index is not followed into what was logged since.
func TestOnceByIndex(t *testing.T) {
	for _, count := range []int{2001, 2002} { // the last one is wanted, or not
		dir := t.TempDir()
		write := func(from, to int) {
			var entries []journaltest.Entry
			for i := from; i < to; i++ {
				e := at(journaltest.Boot1, i, fmt.Sprint(i))
				e.Fields = append(e.Fields, journaltest.Fields("KIND", fmt.Sprint(i%20))...)
				entries = append(entries, e)
			}
			journaltest.ForgeFile(t, filepath.Join(dir, "system.journal"), slices.Values(entries))
		}
		write(0, count)
		o := sdjournal.Options{Directory: dir, After: journal.Head, Once: true}
		r := open(t, o)
		keep := func(r *sdjournal.Reader) {
			r.Keep([]string{"TEST", "MESSAGE", "KIND"}, journal.Sieve{equal("KIND", "0")})
		}
		keep(r)
		for range 70 {
			step(t, r)
		}
		if !r.Indexed() {
			t.Fatal("the index is not in use: this test tests nothing")
		}
		write(count, 2100)
		got := drain(t, r)
		check(t, "last", got[len(got)-1], "2000")
		o.After = cursor(t, r)
		r = open(t, o)
		r.Keep([]string{"TEST", "MESSAGE"}, nil)
		check(t, "first of the next time", drain(t, r)[0], fmt.Sprint(count))
	}
}

// TestFileOfLaterBoot: a file that is not numbered with the others, and has
// nothing of the position's boot after it, is still read for what it has of later
// ones.
func TestFileOfLaterBoot(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, boot string, from, to, every int) {
		var entries []journaltest.Entry
		for i := from; i < to; i += every {
			e := at(boot, i, fmt.Sprint(i))
			if boot == journaltest.Boot2 {
				e.Monotonic = time.Duration(i-from+1) * time.Second
			}
			e.Fields = append(e.Fields, journaltest.Fields("KIND", fmt.Sprint(i%20))...)
			entries = append(entries, e)
		}
		journaltest.ForgeFile(t, filepath.Join(dir, name), slices.Values(entries))
	}
	write("user.journal", journaltest.Boot1, 0, 1, 1)
	write("system.journal", journaltest.Boot1, 1, 1500, 1)
	write("user.journal", journaltest.Boot2, 2000, 2041, 20)

	r := open(t, sdjournal.Options{Directory: dir, After: journal.Head})
	r.Keep([]string{"TEST", "MESSAGE", "KIND"}, journal.Sieve{equal("KIND", "0")})
	for range 70 {
		step(t, r)
	}
	if !r.Indexed() {
		t.Fatal("the index is not in use: this test tests nothing")
	}
	want := []string{"1400", "1420", "1440", "1460", "1480", "2000", "2020", "2040"}
	resumed := open(t, sdjournal.Options{Directory: dir, After: cursor(t, r)})
	resumed.Keep([]string{"TEST", "MESSAGE", "KIND"}, journal.Sieve{equal("KIND", "0")})
	check(t, "read by the index", drain(t, r), want)
	check(t, "read after a restart", drain(t, resumed), want)
}
