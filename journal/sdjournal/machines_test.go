package sdjournal_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/journald-router/journald-router/journal"
	"github.com/journald-router/journald-router/journal/join"
	"github.com/journald-router/journald-router/journal/journaltest"
	"github.com/journald-router/journald-router/journal/sdjournal"
)

// The ids of machines, and of none.
var (
	web, db, app = strings.Repeat("a1", 16), strings.Repeat("b2", 16), strings.Repeat("c3", 16)
	noID         = ""
)

// from forges n entries of the machine, one a second from that many seconds after
// noon on: NAME 0, NAME 1 ...
func from(machine, name string, seconds, n int) (entries []journaltest.Entry) {
	for i := range n {
		e := at(journaltest.Boot1, seconds+i, fmt.Sprint(name, " ", i))
		if machine != "" {
			e.Boot = machine
			e.Fields[0].Value = []byte(machine)
			e.Fields = append(e.Fields, journaltest.Fields("_MACHINE_ID", machine)...)
		}
		entries = append(entries, e)
	}
	return entries
}

// named are the messages of from.
func named(name string, n int) (messages []string) {
	for i := range n {
		messages = append(messages, fmt.Sprint(name, " ", i))
	}
	return messages
}

// upload has a file of entries appear at once in the directory, or adds to it.
func upload(t *testing.T, dir, file string, entries ...[]journaltest.Entry) {
	t.Helper()
	path := filepath.Join(dir, file+".journal")
	all := slices.Values(slices.Concat(entries...))
	if _, err := os.Stat(path); err == nil {
		journaltest.ForgeFile(t, path, all)
		return
	}
	aside := filepath.Join(t.TempDir(), "aside.journal")
	journaltest.ForgeFile(t, aside, all)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	rename(t, aside, path)
}

func openMachines(t *testing.T, o sdjournal.Options) *sdjournal.Machines {
	t.Helper()
	r, err := sdjournal.OpenMachines(o, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	r.Keep([]string{"TEST", "MESSAGE"}, nil)
	return r
}

// byMachine sorts messages by what is before the number, and keeps their order
// beyond that.
func byMachine(messages []string) []string {
	slices.SortStableFunc(messages, func(a, b string) int {
		a, _, _ = strings.Cut(a, " ")
		b, _, _ = strings.Cut(b, " ")
		return strings.Compare(a, b)
	})
	return messages
}

func noGap(t *testing.T) func(journal.Gap) {
	return func(g journal.Gap) { t.Errorf("gap %+v", g) }
}

// The 200 entries of a machine that uploads late are older than all that was
// read. They come in a file of their own, in a directory of their own, or in the
// one file that all machines are written to.
func TestLateUploader(t *testing.T) {
	for _, tt := range []struct{ name, early, late string }{
		{"files", "remote-web", "remote-db"},
		{"directories", web + "/system", db + "/system"},
		{"one file", "remote", "remote"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			upload(t, dir, tt.early, from(web, "web", 1000, 200))
			r := openMachines(t, sdjournal.Options{Directory: dir, Start: journal.Beginning, OnGap: noGap(t)})
			check(t, "web", drain(t, r), named("web", 200))
			check(t, "lines of the position", strings.Count(cursor(t, r), "\n"), 0)
			upload(t, dir, tt.late, from(db, "db", 0, 200))
			check(t, "db", follow(t, r, 200), named("db", 200))

			upload(t, dir, tt.early, from(web, "web", 1200, 1))
			upload(t, dir, tt.late, from(db, "db", 200, 1))
			check(t, "both", byMachine(follow(t, r, 2)), []string{"db 0", "web 0"})
			check(t, "more", drain(t, r), []string(nil))
			again := openMachines(t, sdjournal.Options{Directory: dir, After: cursor(t, r), OnGap: noGap(t)})
			check(t, "after a restart", drain(t, again), []string(nil))
		})
	}
}

// readOn opens the directory once for every entry until there are no more, and
// returns the messages and the last position.
func readOn(t *testing.T, o sdjournal.Options) (messages []string, position string) {
	t.Helper()
	for {
		r, err := sdjournal.OpenMachines(o, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Keep([]string{"TEST", "MESSAGE"}, nil)
		e, err := r.Next()
		for e == nil && err == nil {
			e, err = r.Next()
		}
		o.After = cursor(t, r)
		if err == nil {
			m, _ := message(e)
			messages = append(messages, m)
		}
		if closed := r.Close(); closed != nil {
			t.Fatal(closed)
		}
		if err == io.EOF {
			return messages, o.After
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// The daemon is stopped after every entry, while machines come and entries without
// a machine id among them: nothing is lost, and nothing read twice.
func TestRestartAtEveryEntry(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	o := sdjournal.Options{Directory: dir, Start: journal.Beginning, OnGap: noGap(t)}
	upload(t, dir, "web", from(web, "web", 1000, 4), from(noID, "hand", 1001, 2), from(web, "web", 1010, 1))
	var got []string
	got, o.After = readOn(t, o)
	check(t, "web", byMachine(got), []string{"hand 0", "hand 1", "web 0", "web 1", "web 2", "web 3", "web 0"})

	upload(t, dir, "db", from(db, "db", 0, 5))
	got, o.After = readOn(t, o)
	check(t, "db", got, named("db", 5))

	upload(t, dir, "app", from(app, "app", -100, 5), from(web, "web", 1020, 3), from(noID, "hand", 1021, 2))
	upload(t, dir, "db", from(db, "db", 10, 3))
	got, o.After = readOn(t, o)
	check(t, "app", byMachine(got), slices.Concat(named("app", 5), named("db", 3), named("hand", 2), named("web", 3)))
	got, _ = readOn(t, o)
	check(t, "more", got, []string(nil))
}

// Before any machine id was seen there may have been nothing, or entries without one.
func TestMachinesFromNothing(t *testing.T) {
	for _, restart := range []bool{false, true} {
		t.Run(fmt.Sprint("restart ", restart), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			o := sdjournal.Options{Directory: dir, OnGap: noGap(t)} // from now on
			r := openMachines(t, o)
			step := func(want []string) {
				t.Helper()
				if restart {
					o.After = cursor(t, r)
					r = openMachines(t, o)
				}
				check(t, "read", byMachine(follow(t, r, len(want))), want)
				check(t, "more", drain(t, r), []string(nil))
			}
			check(t, "first position", cursor(t, r), "- head")
			step(nil)
			upload(t, dir, "hand", from(noID, "hand", 1000, 3))
			step(named("hand", 3))
			upload(t, dir, "web", from(web, "web", 0, 3))
			step(named("web", 3))
			upload(t, dir, "hand", from(noID, "hand", 1010, 3))
			upload(t, dir, "web", from(web, "web", 10, 3))
			step(slices.Concat(named("hand", 3), named("web", 3)))
		})
	}
}

// The only machine's first entries may come into an empty directory.
func TestFirstMachine(t *testing.T) {
	for _, restart := range []bool{false, true} {
		dir := t.TempDir()
		r := openMachines(t, sdjournal.Options{Directory: dir})
		upload(t, dir, "web", from(noID, "hand", 0, 2), from(web, "web", 10, 2))
		if restart {
			r = openMachines(t, sdjournal.Options{Directory: dir, After: cursor(t, r)})
		}
		check(t, "read", follow(t, r, 4), append(named("hand", 2), named("web", 2)...))
		if position := cursor(t, r); !strings.HasPrefix(position, web+" s=") || strings.Contains(position, "\n") {
			t.Errorf("restart %v: position %q; want one line, of web", restart, position)
		}
	}
}

// On the first run the start is each machine's; one that comes later is read from
// its beginning.
func TestStartOfMachines(t *testing.T) {
	for _, tt := range []struct {
		start journal.Start
		want  []string
	}{
		{journal.End, nil},
		{journal.Beginning, slices.Concat(named("db", 2), named("hand", 2), named("web", 2))},
		{journal.At(noon.Add(100 * time.Second)), []string{"hand 1", "web 0", "web 1"}},
		{journal.Boot, nil},
	} {
		t.Run(tt.start.String(), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			upload(t, dir, "web", from(web, "web", 100, 2))
			upload(t, dir, "db", from(db, "db", 0, 2))
			upload(t, dir, "hand", from(noID, "hand", 99, 2))
			r := openMachines(t, sdjournal.Options{Directory: dir, Start: tt.start})
			first := cursor(t, r)
			check(t, "read", byMachine(drain(t, r)), tt.want)
			once := openMachines(t, sdjournal.Options{Directory: dir, Start: tt.start, Once: true})
			check(t, "read once", byMachine(drain(t, once)), tt.want)
			if _, err := once.Next(); err != journal.ErrEnd {
				t.Errorf("Next with Once = %v; want %v", err, journal.ErrEnd)
			}
			upload(t, dir, "app", from(app, "app", -100, 2))
			upload(t, dir, "web", from(web, "web", 110, 1))
			want := append(named("app", 2), "web 0")
			check(t, "later", byMachine(follow(t, r, 3)), want)
			again := openMachines(t, sdjournal.Options{Directory: dir, After: first, OnGap: noGap(t)})
			check(t, "from the first position", byMachine(drain(t, again)), byMachine(slices.Concat(tt.want, want)))
		})
	}
}

// A position of before there were positions by machine, and one at another
// machine's entry, which is no gap.
func TestCommonPosition(t *testing.T) {
	dir := t.TempDir()
	upload(t, dir, "all", from(web, "web", 0, 2), from(db, "db", 10, 2), from(web, "web", 20, 2), from(app, "app", 5, 1))
	plain := open(t, sdjournal.Options{Directory: dir, Start: journal.Beginning})
	follow(t, plain, 4)
	r := openMachines(t, sdjournal.Options{Directory: dir, After: cursor(t, plain), OnGap: noGap(t)})
	check(t, "from a cursor", byMachine(drain(t, r)), []string{"app 0", "web 0", "web 1"})
	r = openMachines(t, sdjournal.Options{Directory: dir, After: journal.Head})
	check(t, "from the head", len(drain(t, r)), 7)
	_, err := sdjournal.OpenMachines(sdjournal.Options{Directory: dir, After: web + " head\nnonsense"}, nil)
	if err == nil || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("a broken position: %v", err)
	}
}

func TestManyMachines(t *testing.T) {
	dir := t.TempDir()
	var late, want []string
	for i := range 20 {
		id := fmt.Sprintf("%032x", i+1)
		name := fmt.Sprintf("m%02d", i)
		upload(t, dir, "remote-"+name, from(id, name, 1000*i, 5))
		want = append(want, named(name, 5)...)
		late = append(late, name+" 0")
	}
	r := openMachines(t, sdjournal.Options{Directory: dir, Start: journal.Beginning, OnGap: noGap(t)})
	check(t, "read", byMachine(drain(t, r)), want)
	for i := range 20 {
		name := fmt.Sprintf("m%02d", 19-i)
		upload(t, dir, "remote-"+name, from(fmt.Sprintf("%032x", 20-i), name, 1000*(19-i)+500, 1))
	}
	check(t, "late", byMachine(follow(t, r, 20)), late)
	r = openMachines(t, sdjournal.Options{Directory: dir, After: cursor(t, r), OnGap: noGap(t)})
	check(t, "after a restart", drain(t, r), []string(nil))
}

// A machine that is far behind does not hold up another.
func TestTurns(t *testing.T) {
	dir := t.TempDir()
	upload(t, dir, "web", from(web, "web", 0, 20_000))
	upload(t, dir, "db", from(db, "db", 50_000, 1))
	for _, sieve := range []journal.Sieve{nil, {{Field: "MESSAGE", Op: journal.Contains, Text: " "}}} {
		r := openMachines(t, sdjournal.Options{Directory: dir, Start: journal.Beginning})
		r.Keep([]string{"TEST", "MESSAGE"}, sieve)
		got := drain(t, r)
		check(t, "read", len(got), 20_001)
		if i := slices.Index(got, "db 0"); i < 0 || i > 10_000 {
			t.Errorf("db's entry came after %d of web's", i)
		}
	}
}

// What the sieve holds back of another machine, before that one was known, is
// read when a reload wants it: the position is not behind it.
func TestSieveOfMachines(t *testing.T) {
	dir := t.TempDir()
	upload(t, dir, "remote", from(web, "web", 0, 3))
	r := openMachines(t, sdjournal.Options{Directory: dir, Start: journal.Beginning})
	only := func(text string) {
		r.Keep([]string{"TEST", "MESSAGE"}, journal.Sieve{{Field: "MESSAGE", Op: journal.Prefix, Text: text}})
	}
	only("web 1")
	check(t, "read", drain(t, r), []string{"web 1"})
	upload(t, dir, "remote", from(db, "db", 10, 3), from(web, "web", 20, 2), from(noID, "hand", 30, 2))
	only("web 0")
	check(t, "after a reload", drain(t, r), []string{"web 0"})
	only("")
	check(t, "without one", follow(t, r, 3), named("db", 3))
	upload(t, dir, "remote", from(noID, "hand", 40, 1), from(app, "app", -10, 1))
	only("hand")
	check(t, "by hand", follow(t, r, 1), []string{"hand 0"})
}

// Wait returns for any of the machines, within milliseconds.
func TestWaitForMachines(t *testing.T) {
	dir := t.TempDir()
	for _, id := range []string{web, db, app} {
		upload(t, dir, id, from(id, "first", 0, 1))
	}
	r := openMachines(t, sdjournal.Options{Directory: dir})
	drain(t, r)
	if err := r.Wait(timeout(t, 50*time.Millisecond)); err != context.DeadlineExceeded {
		t.Fatal(err)
	}
	for i, id := range []string{app, web, db, web} {
		upload(t, dir, id, from(id, id, 10+i, 1))
		start := time.Now()
		check(t, "read", follow(t, r, 1), []string{id + " 0"})
		if took := time.Since(start); took > time.Second {
			t.Errorf("it took %v to notice", took)
		}
		if err := r.Process(); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	check(t, "open files", openFiles(t, dir), []string(nil))
}

// Only the machine whose entries are gone has a gap, also when all are written to
// one file and numbered in one row; and one whose files are all gone has its
// position still when they come back.
func TestGapOfOneMachine(t *testing.T) {
	dir := t.TempDir()
	upload(t, dir, "all", from(web, "web", 0, 2), from(db, "db", 10, 2), from(web, "web", 20, 2), from(noID, "hand", 30, 2))
	upload(t, dir, "app", from(app, "app", 0, 3))
	r := openMachines(t, sdjournal.Options{Directory: dir, Start: journal.Beginning, OnGap: noGap(t)})
	check(t, "read", len(drain(t, r)), 11)
	position := cursor(t, r)
	upload(t, dir, "more", from(web, "web", 30, 1))
	if err := r.Process(); err != nil { // notices the new file
		t.Fatal(err)
	}
	upload(t, dir, "all", from(db, "db", 40, 1), from(web, "web", 50, 1))
	want := []string{"db 0", "web 0", "web 0"}
	check(t, "in one row", byMachine(follow(t, r, 3)), want)

	away := filepath.Join(t.TempDir(), "app.journal")
	rename(t, filepath.Join(dir, "app.journal"), away)
	var gaps []journal.Gap
	o := sdjournal.Options{Directory: dir, After: position, OnGap: func(g journal.Gap) { gaps = append(gaps, g) }}
	r = openMachines(t, o)
	check(t, "without app", byMachine(drain(t, r)), want)
	o.After = cursor(t, r)
	if !strings.Contains(o.After, app) {
		t.Errorf("the position of the machine that is away is gone: %q", o.After)
	}
	rename(t, away, filepath.Join(dir, "app.journal"))
	upload(t, dir, "app", from(app, "app", 60, 1))
	check(t, "app is back", follow(t, r, 1), []string{"app 0"})
	check(t, "more", drain(t, r), []string(nil))
	check(t, "gaps", gaps, []journal.Gap(nil))

	// The reader of entries without an id has come to the end of this file, too.
	o.After = cursor(t, r)
	if err := os.Remove(filepath.Join(dir, "app.journal")); err != nil {
		t.Fatal(err)
	}
	upload(t, dir, "app-2", from(app, "app", 70, 1))
	r = openMachines(t, o)
	check(t, "app in another file", follow(t, r, 1), []string{"app 0"})
	check(t, "more", drain(t, r), []string(nil))
	check(t, "gaps", gaps, []journal.Gap{{After: noon.Add(60 * time.Second).Local(), Until: noon.Add(70 * time.Second).Local(), Machine: app}})
}

// openLines opens a reader of whole lines, as the program does.
func openLines(o sdjournal.Options) (journal.Reader, error) {
	return join.Open(join.Options{After: o.After, Open: func(position string, _ bool) (journal.Reader, error) {
		o := o
		o.After = position
		return sdjournal.Open(o)
	}})
}

// partOf makes the entries parts of a line, of a stream of that digit. The last
// one ends it if it is to.
func partOf(digit string, ended bool, entries []journaltest.Entry) []journaltest.Entry {
	for i := range entries {
		e := &entries[i]
		e.Fields = append(e.Fields, journaltest.Fields("_STREAM_ID", strings.Repeat(digit, 32))...)
		if !ended || i < len(entries)-1 {
			e.Fields = append(e.Fields, journaltest.Fields("_LINE_BREAK", "line-max")...)
		}
	}
	return entries
}

// The first entry of a machine is a part of a long line, while another machine's
// line, and what looks like one without a machine, may be unfinished, too. None of
// them keeps those of another waiting, or has them come twice, now or after a
// restart.
func TestMachineBeginsWithALongLine(t *testing.T) {
	for _, tt := range []struct {
		name                      string
		begins, ends              [][]journaltest.Entry
		whileUnfinished, atTheEnd []string
	}{
		{
			"its own only",
			[][]journaltest.Entry{partOf("b", false, from(db, "db", 4, 1)), from(web, "web", 5, 2)},
			[][]journaltest.Entry{partOf("b", true, from(db, "end", 7, 1))},
			named("web", 2), []string{"db 0end 0"},
		},
		{
			"of each, by one stream's id",
			[][]journaltest.Entry{
				partOf("a", false, from(web, "long", 2, 1)), partOf("a", false, from(noID, "hand", 3, 1)),
				partOf("b", false, from(db, "db", 4, 1)), partOf("a", false, from(db, "db", 4, 1)), from(web, "web", 5, 1), from(noID, "hand", 6, 1),
			},
			[][]journaltest.Entry{partOf("a", true, from(web, "end", 6, 1)), partOf("b", true, from(db, "end", 6, 1)), partOf("a", true, from(db, "end", 6, 1))},
			[]string{"hand 0", "hand 0", "web 0"}, []string{"db 0end 0", "db 0end 0", "long 0end 0"},
		},
	} {
		for _, restart := range []bool{false, true} {
			t.Run(fmt.Sprint(tt.name, ", restart ", restart), func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				o := sdjournal.Options{Directory: dir, Start: journal.Beginning, OnGap: noGap(t)}
				reopen := func() *sdjournal.Machines {
					r, err := sdjournal.OpenMachines(o, openLines)
					if err != nil {
						t.Fatal(err)
					}
					t.Cleanup(func() { r.Close() })
					r.Keep([]string{"TEST", "MESSAGE"}, nil)
					return r
				}
				upload(t, dir, "remote", from(web, "web", 0, 2))
				r := reopen()
				check(t, "web", drain(t, r), named("web", 2))
				upload(t, dir, "remote", tt.begins...)
				check(t, "while lines are unfinished", byMachine(drain(t, r)), tt.whileUnfinished)
				if restart {
					o.After = cursor(t, r)
					r = reopen()
				}
				upload(t, dir, "remote", tt.ends...)
				check(t, "the lines", byMachine(follow(t, r, len(tt.atTheEnd))), tt.atTheEnd)
				check(t, "more", drain(t, r), []string(nil))
			})
		}
	}
}

// Where no reader can be opened for a new machine, none is left, and whatever is
// asked for fails until the directory is opened again.
func TestNoReaderLeft(t *testing.T) {
	dir := t.TempDir()
	upload(t, dir, "web", from(web, "web", 0, 2))
	r, err := sdjournal.OpenMachines(sdjournal.Options{Directory: dir, Start: journal.Beginning}, func(o sdjournal.Options) (journal.Reader, error) {
		if o.Machine == db {
			return nil, errDamaged
		}
		return sdjournal.Open(o)
	})
	if err != nil {
		t.Fatal(err)
	}
	r.Keep([]string{"TEST", "MESSAGE"}, nil)
	check(t, "web", drain(t, r), named("web", 2))
	upload(t, dir, "db", from(db, "db", 0, 2))
	for err = nil; err == nil || err == io.EOF; _, err = r.Next() {
		if err == io.EOF {
			err = r.Wait(timeout(t, 20*time.Second))
		}
		if err != nil {
			break
		}
	}
	if !errors.Is(err, errDamaged) {
		t.Fatal(err)
	}
	for name, call := range map[string]func() error{
		"Next":    func() error { _, err := r.Next(); return err },
		"Cursor":  func() error { _, err := r.Cursor(); return err },
		"After":   func() error { _, err := r.After(journal.Record{}); return err },
		"Wait":    func() error { return r.Wait(t.Context()) },
		"Process": func() error { return r.Process() },
	} {
		if err := call(); err == nil || err == io.EOF || err == journal.ErrEnd {
			t.Errorf("%s: %v", name, err)
		}
	}
	r.Keep(nil, nil)
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

// failing is a Layer whose reader cannot go on after a while.
type failing struct {
	*sdjournal.Reader
	left int
}

var errDamaged = errors.New("damaged")

func (f *failing) Next() (journal.Entry, error) {
	if f.left--; f.left < 0 {
		return nil, errDamaged
	}
	return f.Reader.Next()
}
func (f *failing) Inner() journal.Reader { return f.Reader }
func (f *failing) Due() time.Time        { return time.Time{} }

// After an error, the position behind the last entry that was copied passes over
// no machine's entries.
func TestPositionAfterError(t *testing.T) {
	dir := t.TempDir()
	upload(t, dir, "web", from(web, "web", 100, 5))
	upload(t, dir, "db", from(db, "db", 0, 5))
	upload(t, dir, "app", from(app, "app", 200, 5))
	o := sdjournal.Options{Directory: dir, Start: journal.Beginning}
	for left := range 6 {
		r, err := sdjournal.OpenMachines(o, func(o sdjournal.Options) (journal.Reader, error) {
			r, err := sdjournal.Open(o)
			if o.Machine == db {
				return &failing{r, left}, err
			}
			return r, err
		})
		if err != nil {
			t.Fatal(err)
		}
		r.Keep([]string{"TEST", "MESSAGE"}, nil)
		var got []string
		var record journal.Record
		for {
			e, err := r.Next()
			if errors.Is(err, errDamaged) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if record, err = e.Record(); err != nil {
				t.Fatal(err)
			}
			m, _ := message(e)
			got = append(got, m)
		}
		position, err := r.After(record)
		if err := errors.Join(err, r.Close()); err != nil {
			t.Fatal(err)
		}
		again := openMachines(t, sdjournal.Options{Directory: dir, After: position, OnGap: noGap(t)})
		got = append(got, drain(t, again)...)
		check(t, fmt.Sprint("read, with an error after ", left), byMachine(got), slices.Concat(named("app", 5), named("db", 5), named("web", 5)))
	}
}
