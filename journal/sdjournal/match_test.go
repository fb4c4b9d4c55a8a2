package sdjournal_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/journald-router/journald-router/journal"
	"github.com/journald-router/journald-router/journal/journaltest"
	"github.com/journald-router/journald-router/journal/sdjournal"
)

func equal(field, text string) journal.Test {
	return journal.Test{Field: field, Op: journal.Equal, Text: text}
}

// forest is a journal of several files, none numbered together, with entries of
// three boots in each, and what is in it.
type forest struct {
	dir     string
	random  *rand.Rand
	entries []journaltest.Entry
}

const trees = 3

func (f *forest) grow(t *testing.T, n int, boot string) {
	t.Helper()
	var files [trees][]journaltest.Entry
	booted := len(f.entries)
	for range n {
		i := len(f.entries)
		e := at(boot, 0, "")
		e.Time = noon.Add(time.Duration(i) * 10 * time.Millisecond)
		e.Monotonic = time.Duration(i-booted+1) * 10 * time.Millisecond
		pick := func(n int) string { return fmt.Sprint(f.random.IntN(n)) }
		e.Fields = journaltest.Fields("_BOOT_ID", boot, "NUMBER", fmt.Sprint(i), "TWENTY", pick(20), "HUNDRED", pick(100), "TWO", pick(2))
		if i%7 == 0 {
			e.Fields = append(e.Fields, journaltest.Fields("TWENTY", pick(20), "BINARY", "a\x00"+pick(9))...)
		}
		if i > 3500 && i < 3600 {
			e.Fields = append(e.Fields, journaltest.Fields("BURST", "1")...)
		}
		f.entries = append(f.entries, e)
		tree := f.random.IntN(trees)
		files[tree] = append(files[tree], e)
	}
	for i, entries := range files {
		journaltest.ForgeFile(t, filepath.Join(f.dir, fmt.Sprintf("tree%d.journal", i)), slices.Values(entries))
	}
}

// wanted is what sieves mean.
func wanted(sieves []journal.Sieve, e journaltest.Entry) bool {
	return !slices.ContainsFunc(sieves, func(s journal.Sieve) bool { return !through(s, e) })
}

func through(s journal.Sieve, e journaltest.Entry) bool {
	return s == nil || slices.ContainsFunc(s, func(test journal.Test) bool {
		return slices.ContainsFunc(e.Fields, func(f journal.Field) bool {
			return f.Name == test.Field && (string(f.Value) == test.Text || test.Op == journal.Prefix && strings.HasPrefix(string(f.Value), test.Text))
		})
	})
}

func (f *forest) sieves() []journal.Sieve {
	sieves := []journal.Sieve{f.sieve()}
	if f.random.IntN(2) == 0 {
		sieves = append(sieves, f.sieve())
	}
	return sieves
}

func (f *forest) sieve() journal.Sieve {
	switch f.random.IntN(10) {
	case 0:
		return nil
	case 1:
		return journal.Sieve{{Field: "TWENTY", Op: journal.Prefix, Text: "1"}}
	case 2:
		return journal.Sieve{equal("TWO", "1")}
	case 3:
		return journal.Sieve{equal("TWENTY", "absent")}
	case 4:
		return journal.Sieve{equal("BURST", "1")}
	}
	var s journal.Sieve
	for range 1 + f.random.IntN(4) {
		s = append(s, [...]journal.Test{equal("TWENTY", fmt.Sprint(f.random.IntN(20))), equal("HUNDRED", fmt.Sprint(f.random.IntN(100))),
			equal("BINARY", "a\x001"), equal("ABSENT", "")}[f.random.IntN(4)])
	}
	return s
}

// TestIndexReadsWhatTheSieveWants: whatever the sieves are, whenever they change,
// wherever reading is resumed and while the journal grows, the entries are those
// that a plain filter leaves, in order.
func TestIndexReadsWhatTheSieveWants(t *testing.T) {
	indexed := 0
	for seed := range uint64(3) {
		if seed > 0 {
			short(t, 10+20*seed)
		}
		f := &forest{dir: t.TempDir(), random: rand.New(rand.NewPCG(seed, 1))}
		f.grow(t, 5000, journaltest.Boot1)
		f.grow(t, 2000, journaltest.Boot2)
		for range 8 {
			indexed += f.read(t)
		}
		f.grow(t, 1500, strings.Repeat("3", 32))
		for range 8 {
			indexed += f.read(t)
		}
	}
	if indexed < 500 {
		t.Errorf("only %d entries came from the index", indexed)
	}
}

// read reads all of the forest, and returns how many steps the index took.
func (f *forest) read(t *testing.T) (indexed int) {
	t.Helper()
	o := sdjournal.Options{Directory: f.dir, After: journal.Head, Once: f.random.IntN(3) == 0, OnGap: func(g journal.Gap) { t.Errorf("gap %+v", g) }}
	r := open(t, o)
	defer func() { r.Close() }()
	place := -1 // all up to here is decided
	var sieves []journal.Sieve
	// passed checks that nothing from place to before `to` was wanted.
	passed := func(to int, what string) {
		for i := place + 1; i < to; i++ {
			if wanted(sieves, f.entries[i]) {
				t.Fatalf("%s at %d: entry %d was passed over; sieves %v", what, to, i, sieves)
			}
		}
	}
	stands := func(what string) {
		c := cursor(t, r)
		if c == journal.Head {
			return
		}
		at := slices.IndexFunc(f.entries, func(e journaltest.Entry) bool { return strings.Contains(c, fmt.Sprintf(";t=%x;", e.Time.UnixMicro())) })
		if at < place {
			t.Fatalf("%s: the cursor is at %d, after %d", what, at, place)
		}
		passed(at+1, what)
		place = at
	}
	keep := func() {
		stands("Keep")
		sieves = f.sieves()
		r.Keep([]string{"NUMBER", "TWO", "TWENTY", "HUNDRED", "BINARY", "BURST", "ABSENT"}, sieves...)
	}
	keep()
	often := 1 + f.random.IntN(3000)
	for {
		switch f.random.IntN(often) {
		case 0:
			keep()
		case 1:
			stands("resume")
			o.After = cursor(t, r)
			r.Close()
			r = open(t, o)
			r.Keep([]string{"NUMBER", "TWO", "TWENTY", "HUNDRED", "BINARY", "BURST", "ABSENT"}, sieves...)
		case 2:
			if err := r.Process(); err != nil {
				t.Fatal(err)
			}
		}
		e, err := r.Next()
		if err == io.EOF && !o.Once || err == journal.ErrEnd && o.Once {
			passed(len(f.entries), "end")
			place = len(f.entries) - 1
			stands("end")
			return indexed
		}
		if err != nil {
			t.Fatal(err)
		}
		if e == nil {
			continue
		}
		var n int
		if _, err := fmt.Sscan(string(e.Values(nil, "NUMBER")[0]), &n); err != nil {
			t.Fatal(err)
		}
		if n <= place || !wanted(sieves, f.entries[n]) {
			t.Fatalf("entry %d after %d; sieves %v", n, place, sieves)
		}
		passed(n, "entry")
		place = n
		if r.Indexed() {
			indexed++
		}
	}
}

// TestNoIndexOfTornFile: a file that a crash has left unfinished is scanned, as
// parts of its index may be missing; what was logged after it was found is not.
func TestNoIndexOfTornFile(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, first int) {
		var entries []journaltest.Entry
		for i := range 3000 {
			e := at(journaltest.Boot1, first+i, fmt.Sprint(i))
			e.Fields = append(e.Fields, journaltest.Fields("KIND", fmt.Sprint(i%20))...)
			entries = append(entries, e)
		}
		journaltest.ForgeFile(t, filepath.Join(dir, name), slices.Values(entries))
	}
	write("torn.journal", 0)
	rename(t, filepath.Join(dir, "torn.journal"), filepath.Join(dir, "torn.journal~"))
	write("whole.journal", int(time.Since(noon)/time.Second)+60)
	r := open(t, sdjournal.Options{Directory: dir, After: journal.Head})
	r.Keep([]string{"TEST", "MESSAGE", "KIND"}, journal.Sieve{equal("KIND", "0")})
	last := false
	for i := range 300 {
		m, _ := step(t, r)
		check(t, "read", m, fmt.Sprint(i%150*20))
		if i < 150 && r.Indexed() {
			t.Fatalf("the index is in use at entry %d of the torn file", i)
		}
		last = last || r.Indexed()
	}
	if !last {
		t.Error("the index is not used for what came after the torn file")
	}
}
