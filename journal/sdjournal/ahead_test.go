package sdjournal_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/journald-router/journald-router/journal"
	"github.com/journald-router/journald-router/journal/journaltest"
	"github.com/journald-router/journald-router/journal/sdjournal"
)

// short has two handles share the journal in stretches that a test can afford.
func short(t *testing.T, entries uint64) {
	t.Helper()
	if runtime.GOMAXPROCS(0) < 2 {
		t.Fatal("one processor: two handles are not used, and this would test nothing")
	}
	t.Cleanup(sdjournal.SetStretch(entries))
}

// wants are the messages that begin with "SLACK: ", which is one in twelve of a few
// thousand.
func wants(all []string) (some []string) {
	for _, m := range all {
		if strings.HasPrefix(m, "SLACK: ") {
			some = append(some, m)
		}
	}
	return some
}

// backlog logs lines, and rotates now and then.
func backlog(j *journaltest.T, n, rotateEvery int) (all []string) {
	for i := range n {
		m := fmt.Sprint("line ", i)
		if i%12 == 5 {
			m = fmt.Sprint("SLACK: ", i)
		}
		all = append(all, m)
		kind := "line"
		if i%12 == 5 {
			kind = "slack"
		}
		j.Send(mark, journaltest.Fields("MESSAGE", m)[0], journaltest.Fields("KIND", kind)[0])
		if rotateEvery > 0 && i%rotateEvery == rotateEvery-1 {
			j.Sync()
			j.Rotate()
		}
	}
	j.Sync()
	return all
}

// ways to find them: by scanning, and by the index.
var ways = map[string][]journal.Sieve{
	"scan":  {{{Field: "MESSAGE", Op: journal.Prefix, Text: "SLACK: "}}},
	"index": {{equal("KIND", "slack")}},
	"both":  {{equal("KIND", "slack")}, {{Field: "MESSAGE", Op: journal.Prefix, Text: "SLACK: "}}},
}

// openFor opens the journal for those of them.
func openFor(t *testing.T, sieves []journal.Sieve, o sdjournal.Options) *sdjournal.Reader {
	t.Helper()
	r := open(t, o)
	r.Keep([]string{"TEST", "MESSAGE", "KIND"}, sieves...)
	return r
}

// next is the message of the next entry that is wanted, and whether there is one.
func next(t *testing.T, r journal.Reader) (string, bool) {
	t.Helper()
	for {
		e, err := r.Next()
		if err == io.EOF || err == journal.ErrEnd {
			return "", false
		}
		if err != nil {
			t.Fatal(err)
		}
		if e == nil {
			continue
		}
		kept := e.Values(nil, "MESSAGE")
		if len(kept) != 1 {
			t.Fatalf("%d values of MESSAGE are kept", len(kept))
		}
		m := string(kept[0])
		record, err := e.Record()
		if err != nil {
			t.Fatal(err)
		}
		if whole, _ := record.Get("MESSAGE"); string(whole) != m || !record.Time().Equal(e.Time()) {
			t.Fatalf("the record is of %q at %v, the entry of %q at %v", whole, record.Time(), m, e.Time())
		}
		if c := cursor(t, r); c != record.Cursor() {
			t.Fatalf("the reader stands at %s, the record is of %s", c, record.Cursor())
		}
		return m, true
	}
}

func rest(t *testing.T, r journal.Reader) []string {
	t.Helper()
	all := []string{}
	for {
		m, ok := next(t, r)
		if !ok {
			return all
		}
		all = append(all, m)
	}
}

func untroubled(t *testing.T, o sdjournal.Options) sdjournal.Options {
	o.OnGap = func(g journal.Gap) { t.Errorf("gap %+v", g) }
	o.OnDamage = func(d journal.Damage) { t.Errorf("damage %+v", d) }
	return o
}

// Two handles read what one does, and each position is one to come back to.
func TestTwoHandles(t *testing.T) {
	j := journaltest.Start(t, journaltest.Options{})
	all := backlog(j, 1500, 400)
	for _, entries := range []uint64{2, 7, 25, 300, 900} {
		for way, sieves := range ways {
			t.Run(fmt.Sprint(way, " ", entries), func(t *testing.T) {
				prefixed := func(t *testing.T, o sdjournal.Options) *sdjournal.Reader { return openFor(t, sieves, o) }
				short(t, entries)
				o := untroubled(t, sdjournal.Options{Namespace: j.Namespace(), Start: journal.Beginning})
				r := prefixed(t, o)
				check(t, "read", rest(t, r), wants(all))
				if went := r.WentAhead(); entries < 400 && way == "scan" && went == 0 {
					t.Error("the second handle was of no use: this test tests nothing")
				}
				o.Once = true
				check(t, "read once", rest(t, prefixed(t, o)), wants(all))

				o.Once = false
				r = prefixed(t, o)
				for i, m := range wants(all) {
					if got, _ := next(t, r); got != m {
						t.Fatalf("entry %d is %q, want %q", i, got, m)
					}
					if i%7 != 3 {
						continue
					}
					o.After = cursor(t, r)
					check(t, "read after "+m, rest(t, prefixed(t, o)), wants(all)[i+1:])
				}
				late := fmt.Sprint("SLACK: later ", way, entries)
				j.Send(mark, journaltest.Fields("MESSAGE", late)[0], journaltest.Fields("KIND", "slack")[0])
				check(t, "followed", follow(t, r, 1), []string{late})
				all = append(all, late)
			})
		}
	}
}

// What is damaged, deleted or numbered by another journald is left to the reader
// itself: it reads, and tells, what it does alone.
func TestTwoHandlesInTrouble(t *testing.T) {
	const n, span = 1200, 300
	told := func(t *testing.T, o sdjournal.Options, sieves []journal.Sieve, processors int) (read []string, damages, gaps uint64, went uint64) {
		t.Helper()
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(processors))
		o.OnDamage = func(d journal.Damage) { damages += d.Entries }
		o.OnGap = func(g journal.Gap) { gaps += max(g.Entries, 1) }
		r := openFor(t, sieves, o)
		read = rest(t, r)
		cursor(t, r)
		return read, damages, gaps, r.WentAhead()
	}
	for _, tt := range []struct {
		name string
		do   func(t *testing.T, j *journaltest.T)
		lost []string
	}{
		{name: "entries damaged", do: func(t *testing.T, j *journaltest.T) {
			var writes []func() // a file that is damaged can no longer be searched
			for _, m := range []string{"SLACK: 101", "SLACK: 605", "line 606", "SLACK: 1001"} {
				f := fileWith(t, j.Dir(), m)
				at := f.entry(m).at
				writes = append(writes, func() { f.write(at, make([]byte, 16)...) })
			}
			for _, write := range writes {
				write()
			}
		}, lost: []string{"SLACK: 101", "SLACK: 605", "SLACK: 1001"}},
		{name: "values damaged", do: func(t *testing.T, j *journaltest.T) {
			for _, m := range []string{"SLACK: 305", "line 700"} {
				f := fileWith(t, j.Dir(), m)
				f.write(f.message(m).at+1, 7)
			}
		}, lost: []string{"SLACK: 305"}},
		{name: "file deleted", do: func(t *testing.T, j *journaltest.T) {
			if err := os.Remove(fileWith(t, j.Dir(), "line 640").path); err != nil {
				t.Fatal(err)
			}
		}, lost: numbered(600, 899)},
		{name: "others' entries between", do: func(t *testing.T, j *journaltest.T) {
			var others []journaltest.Entry
			for i := range 100 {
				e := at(thisBoot(t), 0, "other")
				e.Time, e.Monotonic = time.Now().Add(-time.Duration(100-i)*time.Millisecond), uptime(t)-time.Duration(100-i)*time.Millisecond
				others = append(others, e)
			}
			journaltest.ForgeFile(t, filepath.Join(j.Dir(), "other.journal"), slices.Values(others))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			short(t, 20)
			j := journaltest.Start(t, journaltest.Options{})
			all := backlog(j, n, span)
			tt.do(t, j)
			o := sdjournal.Options{Namespace: j.Namespace(), Start: journal.Beginning}
			for way, sieves := range ways {
				alone, damages, gaps, went := told(t, o, sieves, 1)
				if went != 0 {
					t.Fatal("with one processor there is a second handle")
				}
				read, damages2, gaps2, went := told(t, o, sieves, 2)
				check(t, way+": read by two handles", read, alone)
				if damages2 != damages || gaps2 != gaps {
					t.Errorf("%s: two handles tell of %d entries damaged, %d lost; one of %d and %d", way, damages2, gaps2, damages, gaps)
				}
				check(t, way+": read", read, without(wants(all), tt.lost...))
				if way == "scan" && went == 0 && !strings.HasPrefix(tt.name, "others") {
					t.Error("the second handle was of no use: this test tests nothing")
				}
			}
		})
	}
}

func numbered(from, to int) (all []string) {
	for i := from; i <= to; i++ {
		all = append(all, fmt.Sprint("SLACK: ", i))
	}
	return all
}

func uptime(t *testing.T) time.Duration {
	t.Helper()
	text, err := os.ReadFile("/proc/uptime")
	if err != nil {
		t.Fatal(err)
	}
	var seconds float64
	if _, err := fmt.Sscan(string(text), &seconds); err != nil {
		t.Fatal(err)
	}
	return time.Duration(seconds * float64(time.Second))
}

// Whatever happens while two handles read, nothing is lost and nothing comes twice:
// other rules, files that are let go of, rotation, positions saved, restarts.
func TestTwoHandlesAtWork(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	defer func() {
		if t.Failed() {
			t.Log("seed", seed)
		}
	}()
	went := uint64(0)
	for range 3 {
		went += work(t, random)
	}
	if went == 0 {
		t.Error("the second handle was of no use: this test tests nothing")
	}
}

// work reads a journal, and returns how many entries a second handle has gone through.
func work(t *testing.T, random *rand.Rand) (went uint64) {
	t.Helper()
	short(t, 1+uint64(random.IntN(40)))
	j := journaltest.Start(t, journaltest.Options{})
	all := backlog(j, 1500, 200+random.IntN(400))
	o := untroubled(t, sdjournal.Options{Namespace: j.Namespace(), Start: journal.Beginning})
	pick := func() []journal.Sieve { return ways[[]string{"scan", "scan", "index", "both"}[random.IntN(4)]] }
	r := openFor(t, pick(), o)
	var read []string
	for i := 0; len(read) < len(wants(all)); i++ {
		m, ok := next(t, r)
		if !ok { // a new file is found by Wait
			if err := r.Wait(timeout(t, 20*time.Second)); err != nil {
				t.Fatalf("read %q: %v", read, err)
			}
			continue
		}
		read = append(read, m)
		switch random.IntN(40) {
		case 0: // as a reload does: what is wanted stays the same here
			r.Keep([]string{"TEST", "MESSAGE", "KIND"}, pick()...)
		case 1:
			if err := r.Process(); err != nil {
				t.Fatal(err)
			}
		case 2:
			j.Rotate()
		case 3:
			o.After = cursor(t, r)
			went += r.WentAhead()
			r = openFor(t, pick(), o)
		case 4:
			if err := r.Wait(timeout(t, time.Millisecond)); err != nil && !errors.Is(err, context.DeadlineExceeded) {
				t.Fatal(err)
			}
		case 5:
			m := fmt.Sprint("SLACK: new ", i)
			j.Send(mark, journaltest.Fields("MESSAGE", m)[0], journaltest.Fields("KIND", "slack")[0])
			j.Sync()
			all = append(all, m)
		}
	}
	check(t, "read", append(read, rest(t, r)...), wants(all))
	return went + r.WentAhead()
}

// A second handle keeps no deleted file open longer than the first: not while what it
// has collected waits to be taken, nor once there is no backlog any more.
func TestTwoHandlesLetGo(t *testing.T) {
	short(t, 20)
	j := journaltest.Start(t, journaltest.Options{})
	all := backlog(j, 1000, 250)
	o := sdjournal.Options{Namespace: j.Namespace(), Start: journal.Beginning}
	r := openFor(t, ways["scan"], o)
	var read []string
	for r.WentAhead() == 0 {
		m, ok := next(t, r)
		if !ok {
			t.Fatal("the second handle was of no use: this test tests nothing")
		}
		read = append(read, m)
	}
	for _, path := range archived(t, j) {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	if len(deleted(openFiles(t, j.Dir()))) == 0 {
		t.Fatal("no deleted file is open: this test tests nothing")
	}
	if err := r.Process(); err != nil {
		t.Fatal(err)
	}
	check(t, "deleted files that are open", deleted(openFiles(t, j.Dir())), []string(nil))
	read = append(read, rest(t, r)...)
	if !slices.Equal(read[:3], wants(all)[:3]) || slices.Compare(slices.Sorted(slices.Values(read)), slices.Compact(slices.Sorted(slices.Values(read)))) != 0 {
		t.Errorf("read %q", read)
	}
	if files := openFiles(t, j.Dir()); len(files) != 2 {
		t.Errorf("open when there is no backlog: %q; want one descriptor and its mapping", files)
	}
}

// Where descriptors are short, the reader's own need comes first.
func TestNoSecondHandleWithoutDescriptors(t *testing.T) {
	short(t, 20)
	j := journaltest.Start(t, journaltest.Options{})
	all := backlog(j, 1000, 250)
	r := openFor(t, ways["scan"], untroubled(t, sdjournal.Options{Namespace: j.Namespace(), Start: journal.Beginning}))
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	few := limit
	few.Cur = uint64(len(fds) + 60)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &few); err != nil {
		t.Fatal(err)
	}
	defer syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
	check(t, "read", rest(t, r), wants(all))
	check(t, "entries that a second handle has gone through", r.WentAhead(), uint64(0))
}

// Rules that want more end the second handle's work; what it has open goes with the
// files that go.
func TestIdleSecondHandleLetsGo(t *testing.T) {
	short(t, 20)
	j := journaltest.Start(t, journaltest.Options{})
	backlog(j, 20000, 1000)
	r := openFor(t, ways["scan"], sdjournal.Options{Namespace: j.Namespace(), Start: journal.Beginning})
	for r.WentAhead() == 0 {
		if _, ok := next(t, r); !ok {
			t.Fatal("the second handle was of no use: this test tests nothing")
		}
	}
	r.Keep([]string{"TEST", "MESSAGE", "KIND"}, journal.Sieve{{Field: "MESSAGE", Op: journal.Prefix, Text: "line"}})
	next(t, r)
	gone := archived(t, j)
	for _, path := range gone[:5] {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	if len(deleted(openFiles(t, j.Dir()))) == 0 {
		t.Fatal("no deleted file is open: this test tests nothing")
	}
	for i := 0; len(deleted(openFiles(t, j.Dir()))) > 0; i++ {
		for range 500 {
			if _, ok := next(t, r); !ok {
				t.Fatalf("deleted files are open to the end: %q", deleted(openFiles(t, j.Dir())))
			}
		}
	}
}

// Files with another journald's numbers, as from before a crash, are no hindrance.
func TestTwoHandlesBesideOlderNumbers(t *testing.T) {
	short(t, 20)
	j := journaltest.Start(t, journaltest.Options{})
	all := backlog(j, 1500, 400)
	var others []journaltest.Entry
	for i := range 3 {
		e := at(journaltest.Boot1, 0, "other")
		e.Time = time.Now().Add(time.Duration(i-3600) * time.Second)
		others = append(others, e)
	}
	journaltest.ForgeFile(t, filepath.Join(j.Dir(), "other.journal"), slices.Values(others))
	r := openFor(t, ways["scan"], untroubled(t, sdjournal.Options{Directory: j.Dir(), Start: journal.Beginning}))
	check(t, "read", rest(t, r), wants(all))
	if r.WentAhead() == 0 {
		t.Error("the second handle was of no use")
	}
}

// A value that is cut is counted once, also where other rules have what was collected
// read again.
func TestTwoHandlesCountCuts(t *testing.T) {
	short(t, 40)
	j := journaltest.Start(t, journaltest.Options{})
	for i := range 1000 {
		m := fmt.Sprint("line ", i)
		if i%12 == 5 {
			m = "SLACK: " + strings.Repeat("x", 100)
		}
		j.Send(mark, journaltest.Fields("MESSAGE", m)[0])
	}
	j.Sync()
	count := func(processors int) (cuts, went uint64) {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(processors))
		r := openFor(t, ways["scan"], sdjournal.Options{Namespace: j.Namespace(), Start: journal.Beginning, MaxFieldBytes: 64, OnCut: func(n uint64) { cuts += n }})
		for i := 0; ; i++ {
			if _, ok := next(t, r); !ok {
				return cuts, r.WentAhead()
			}
			if r.WentAhead() > 0 && i%3 == 0 {
				r.Keep([]string{"TEST", "MESSAGE", "KIND"}, ways["scan"]...)
			}
		}
	}
	alone, _ := count(1)
	both, went := count(2)
	check(t, "values cut, as counted by two handles", both, alone)
	if went == 0 || alone < 80 {
		t.Errorf("a second handle went through %d entries, %d values were cut: this test tests nothing", went, alone)
	}
}
