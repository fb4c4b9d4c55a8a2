package spool

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/journald-router/journald-router/journal"
	bolt "go.etcd.io/bbolt"
)

// scanned counts the letters by looking at each.
func scanned(t *testing.T, s *Spool) map[string]int {
	t.Helper()
	counts := make(map[string]int)
	for l, err := range s.Letters(Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		counts[l.Action]++
	}
	return counts
}

// counted are the counts that are kept, and how many letters the limit removed.
func counted(s *Spool) (counts map[string]int, removed int) {
	counts = make(map[string]int)
	for action, c := range s.LetterCounts() {
		if c.Kept != 0 {
			counts[action] = c.Kept
		}
		removed += int(c.Removed)
	}
	return counts, removed
}

// graves is a simple model of the dead letters.
type graves struct {
	all     []grave // in the order of their burial
	removed int
}

type grave struct{ key, action string }

func (g *graves) bury(d Delivery, at time.Time) {
	g.all = append(g.all, grave{string(letterKey(Letter{Delivery: d, BuriedAt: at})), d.Action})
	slices.SortFunc(g.all, func(a, b grave) int { return strings.Compare(a.key, b.key) })
}

func (g *graves) enforce(l LetterLimit, now time.Time) {
	before := len(g.all)
	if l.Max > 0 {
		g.all = g.all[max(0, len(g.all)-l.Max):]
	}
	if l.MaxAge > 0 {
		g.all = slices.DeleteFunc(g.all, func(one grave) bool { return one.time().Before(now.Add(-l.MaxAge)) })
	}
	g.removed += before - len(g.all)
}

func (one grave) time() time.Time {
	l, _ := decodeLetter([]byte(one.key), nil)
	return l.BuriedAt
}

// take removes what an action and a time of burial choose.
func (g *graves) take(f Filter) (taken []grave) {
	g.all = slices.DeleteFunc(g.all, func(one grave) bool {
		chosen := (f.Action == "" || one.action == f.Action) &&
			(f.Since.IsZero() || !one.time().Before(f.Since)) && (f.Until.IsZero() || one.time().Before(f.Until))
		if chosen {
			taken = append(taken, one)
		}
		return chosen
	})
	return taken
}

// TestLettersAgainstModel buries, retries, drops and limits letters at random,
// with reopenings and compactions between. The letters must be those of the model, and their counts
// those of a look at every letter.
func TestLettersAgainstModel(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { lettersAgainstModel(t, seed) })
		})
	}
}

func lettersAgainstModel(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 1))
	actions := []string{"a", "b", "c"}
	s := openSpool(t, t.TempDir())
	defer func() { s.Close() }()
	var model graves
	var limit LetterLimit
	filter := func() Filter {
		f := Filter{Action: append(actions, "")[r.IntN(4)]}
		if r.IntN(2) == 0 {
			f.Since = time.Now().Add(-time.Duration(r.IntN(300)) * time.Second)
		}
		if r.IntN(2) == 0 {
			f.Until = time.Now().Add(-time.Duration(r.IntN(300)) * time.Second)
		}
		return f
	}
	for step := range 250 {
		action := actions[r.IntN(len(actions))]
		switch r.IntN(13) {
		case 0:
			s = reopen(t, s)
			s.SetLetterLimit(limit)
		case 12:
			if err := s.compact(); err != nil {
				t.Fatal(err)
			}
		case 1:
			limit = LetterLimit{Max: r.IntN(3) * r.IntN(40), MaxAge: time.Duration(r.IntN(3)*r.IntN(200)) * time.Second}
			s.SetLetterLimit(limit)
		case 2:
			n, err := s.RemoveLetters()
			before := model.removed
			if model.enforce(limit, time.Now()); err != nil || n != model.removed-before {
				t.Fatalf("step %d: RemoveLetters = %d, %v; want %d", step, n, err, model.removed-before)
			}
		case 3:
			f := filter()
			want := model.take(f)
			if n, err := s.DropLetters(f); err != nil || n != len(want) {
				t.Fatalf("step %d: DropLetters = %d, %v; want %d", step, n, err, len(want))
			}
		case 4:
			f := filter()
			want := model.take(f)
			if n, _, err := s.RetryLetters(f, func(string) bool { return true }); err != nil || n != len(want) {
				t.Fatalf("step %d: RetryLetters = %d, %v; want %d", step, n, err, len(want))
			}
		case 5, 6, 7:
			var entries []Routed
			for n := range 1 + r.IntN(12) {
				entries = append(entries, entry(100*step+n, action))
			}
			appendEntries(t, s, "c", entries...)
		default:
			q := s.Queue(action)
			batch := peek(t, q, 1+r.IntN(20))
			fates := make([]Fate, len(batch))
			for i := range batch {
				if fates[i] = Fate(r.IntN(4)); fates[i] == Rejected || fates[i] == GivenUp {
					model.bury(batch[i], time.Now())
				}
			}
			settle(t, q, batch, fates...)
			if slices.ContainsFunc(fates, func(f Fate) bool { return f == Rejected || f == GivenUp }) {
				model.enforce(limit, time.Now())
			}
		}
		time.Sleep(time.Duration(r.IntN(20)) * time.Second)
		var want []grave
		for l, err := range s.Letters(Filter{}) {
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, grave{string(letterKey(l)), l.Action})
		}
		if !slices.Equal(want, model.all) {
			t.Fatalf("step %d: there are %d letters, want %d", step, len(want), len(model.all))
		}
		got, removed := counted(s)
		if diff := cmp.Diff(scanned(t, s), got); diff != "" || removed != model.removed {
			t.Fatalf("step %d: %d removed, want %d; counts (-want +got):\n%s", step, removed, model.removed, diff)
		}
	}
	if model.removed == 0 {
		t.Error("the limit was never reached")
	}
}

// TestUncountedLetters are those of an older release: they are counted when the
// spool is opened, once.
func TestUncountedLetters(t *testing.T) {
	s := buried(t)
	forget := func() {
		err := s.db.Update(func(tx *bolt.Tx) error { return tx.Bucket(bucketMeta).Delete(keyLetters) })
		if err != nil {
			t.Fatal(err)
		}
	}
	check := func(when string, want map[string]int) {
		t.Helper()
		if got, _ := counted(s); !cmp.Equal(want, got) {
			t.Errorf("%s: counted %v, want %v", when, got, want)
		}
	}
	forget()
	s = reopen(t, s)
	check("after the opening", map[string]int{"a": 2, "b": 2})
	err := s.view(func(tx *bolt.Tx) error {
		if counts, err := storedCounts(tx); err != nil || counts["a"].Kept != 2 {
			t.Errorf("stored are %v, %v", counts, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	// As after an opening that could not store them: the next change does.
	forget()
	if n, err := s.DropLetters(Filter{Action: "a"}); n != 2 || err != nil {
		t.Fatalf("DropLetters = %d, %v", n, err)
	}
	check("after a drop", map[string]int{"b": 2})
	s = reopen(t, s)
	check("in the end", map[string]int{"b": 2})
}

// exhaust fills the disk, and then the spool, but for the reserve.
func exhaust(t *testing.T, s *Spool) {
	t.Helper()
	filler, err := os.Create(filepath.Join(filepath.Dir(s.path), "filler"))
	if err != nil {
		t.Fatal(err)
	}
	defer filler.Close()
	for err == nil {
		_, err = filler.Write(make([]byte, 4096))
	}
	for size, n := 1<<20, 0; size > 0; n++ {
		err := s.db.Update(func(tx *bolt.Tx) error {
			b, err := tx.Bucket(bucketBlocks).CreateBucket(fmt.Append(nil, "filler", n))
			if err != nil {
				return err
			}
			return b.Put([]byte("filler"), make([]byte, size))
		})
		if errors.Is(err, syscall.ENOSPC) {
			size /= 2
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// TestDropOnAFullDisk: what makes room must not fail for want of room.
func TestDropOnAFullDisk(t *testing.T) {
	s := openSpool(t, smallDisk(t, 12))
	defer s.Close()
	const n = 150
	var all []Letter
	for i := range n {
		r := journal.NewRecord("c", time.Now(), 0, journal.Field{Name: "MESSAGE", Value: make([]byte, 10_000)})
		all = append(all, Letter{Delivery: Delivery{ID: fmt.Sprintf("%032d", i), Action: "a", Record: r}, BuriedAt: time.Now()})
	}
	bury(t, s, all...)
	appendEntries(t, s, "c") // sets the reserve aside
	exhaust(t, s)
	one := Filter{IDs: []string{all[n/2].ID}} // what is on the page with it is written anew
	if got, err := s.DropLetters(one); got != 1 || err != nil {
		t.Errorf("DropLetters = %d, %v; want 1", got, err)
	}
}

// TestDroppedLettersMakeRoom: letters have filled the disk, and used up the
// reserve. When they are dropped, the room is within the file, and can be used.
func TestDroppedLettersMakeRoom(t *testing.T) {
	s := openSpool(t, smallDisk(t, 12))
	defer s.Close()
	q := s.Queue("a")
	big := func(n int) Routed {
		e := entry(n, "a")
		e.Record = journal.NewRecord(e.Record.Cursor(), time.Now(), 0, journal.Field{Name: "MESSAGE", Value: make([]byte, 10_000)})
		return e
	}
	fill := func(each func()) (n int) {
		for ; ; n++ {
			_, err := s.Append("journal", "c", []Routed{big(n)}, nil)
			if errors.Is(err, syscall.ENOSPC) {
				return n
			}
			if err != nil {
				t.Fatal(err)
			}
			each()
		}
	}
	letters := fill(func() { settle(t, q, peek(t, q, 1), Rejected) })
	if n, err := s.DropLetters(Filter{}); n != letters || err != nil {
		t.Fatalf("DropLetters = %d, %v; want %d", n, err, letters)
	}
	again := fill(func() {})
	if again < letters/4 {
		t.Errorf("%d letters fitted, and then %d deliveries", letters, again)
	}
	for range again {
		settle(t, q, peek(t, q, 1), Accepted)
	}
}

// TestCountsOnAFullDisk: that the counts cannot be stored keeps no spool from
// being opened.
func TestCountsOnAFullDisk(t *testing.T) {
	s := openSpool(t, smallDisk(t, 12))
	bury(t, s, Letter{Delivery: Delivery{ID: strings.Repeat("f", 32), Action: strings.Repeat("a", 10_000), Record: entry(1).Record}, BuriedAt: time.Now()})
	err := s.db.Update(func(tx *bolt.Tx) error { return tx.Bucket(bucketMeta).Delete(keyLetters) })
	if err != nil {
		t.Fatal(err)
	}
	exhaust(t, s)
	if err := s.db.Update(func(tx *bolt.Tx) error { return storeCounts(tx, s.letters) }); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("storing the counts: %v, want ENOSPC", err)
	}
	s = reopen(t, s)
	defer s.Close()
	if got, _ := counted(s); !cmp.Equal(scanned(t, s), got) {
		t.Errorf("counted %v, want %v", got, scanned(t, s))
	}
}

func TestLettersByTimeAndCause(t *testing.T) {
	s := openSpool(t, t.TempDir())
	defer s.Close()
	at := time.UnixMicro(1_800_000_000_000_000)
	for n, cause := range []string{"400 Bad Request", "invalid_auth", "given up after 72h: 503"} {
		e := entry(n, "a")
		d := Delivery{ID: strings.Repeat(fmt.Sprint(n), 32), Action: "a", Strip: 3, Record: e.Record}
		bury(t, s, Letter{Delivery: d, BuriedAt: at.Add(time.Duration(n) * time.Hour), Cause: cause})
	}
	for _, test := range []struct {
		filter Filter
		want   []string
	}{
		{Filter{Since: at}, []string{"message 0", "message 1", "message 2"}},
		{Filter{Since: at.Add(time.Microsecond)}, []string{"message 1", "message 2"}},
		{Filter{Since: time.Unix(-1, 0)}, []string{"message 0", "message 1", "message 2"}},
		{Filter{Until: at.Add(time.Hour)}, []string{"message 0"}},
		{Filter{Until: time.Unix(-1, 0)}, nil},
		{Filter{Since: at.Add(time.Hour), Until: at.Add(2 * time.Hour)}, []string{"message 1"}},
		{Filter{Since: at.Add(2 * time.Hour), Until: at.Add(time.Hour)}, nil},
		{Filter{Cause: "BAD request"}, []string{"message 0"}},
		{Filter{Cause: "INVALID_auth", Until: at.Add(time.Hour)}, nil},
		{Filter{Cause: "given up", Since: at.Add(time.Hour), Action: "a"}, []string{"message 2"}},
	} {
		if diff := cmp.Diff(test.want, letters(t, s, test.filter)); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", test.filter, diff)
		}
	}
	if n, err := s.DropLetters(Filter{Until: at.Add(2 * time.Hour), Cause: "auth"}); n != 1 || err != nil {
		t.Errorf("DropLetters = %d, %v", n, err)
	}
	if _, err := s.DropLetters(Filter{IDs: []string{"2222"}, Until: at}); !errors.Is(err, ErrNoLetter) {
		t.Errorf("an id that is too young: %v, want ErrNoLetter", err)
	}
}

// TestLimitBitesAtBurial: what one burial exceeds goes in its transaction; what a
// limit that was made smaller exceeds goes some at a time.
func TestLimitBitesAtBurial(t *testing.T) {
	s := openSpool(t, t.TempDir())
	defer func() { s.Close() }()
	const n = 3 * removedAtOnce
	var all []Letter
	for i := range n {
		d := Delivery{ID: fmt.Sprintf("%032d", i), Action: "a", Strip: 3, Record: entry(i).Record}
		all = append(all, Letter{Delivery: d, BuriedAt: time.Now().Add(time.Duration(i-n) * time.Second)})
	}
	bury(t, s, all...)
	s.SetLetterLimit(LetterLimit{Max: 10})
	appendEntries(t, s, "c", entry(n, "b"))
	settle(t, s.Queue("b"), peek(t, s.Queue("b"), 1), Rejected)
	if got, removed := counted(s); got["a"] != n-removedAtOnce-1 || got["b"] != 1 || removed != removedAtOnce+1 {
		t.Errorf("after a burial there are %v, %d were removed", got, removed)
	}
	for {
		got, err := s.RemoveLetters()
		if err != nil {
			t.Fatal(err)
		}
		if got == 0 {
			break
		}
		if got > removedAtOnce {
			t.Errorf("%d removed at once", got)
		}
	}
	if got := letters(t, s, Filter{}); len(got) != 10 || got[0] != fmt.Sprint("message ", n-9) || got[9] != fmt.Sprint("message ", n) {
		t.Errorf("left are %q, want the youngest", got)
	}
	s = reopen(t, s)
	want := map[string]LetterCount{"a": {Kept: 9, Removed: n - 9}, "b": {Kept: 1}}
	if diff := cmp.Diff(want, s.LetterCounts()); diff != "" {
		t.Errorf("counts after a restart (-want +got):\n%s", diff)
	}
}

// TestDamagedLetterDoesNotBlock: the limit removes also what cannot be read.
func TestDamagedLetterDoesNotBlock(t *testing.T) {
	s := buried(t)
	err := s.db.Update(func(tx *bolt.Tx) error {
		if err := tx.Bucket(bucketMeta).Delete(keyLetters); err != nil {
			return err
		}
		return tx.Bucket(bucketDead).Put(timeKey(time.Unix(1, 0)), []byte{0xff})
	})
	if err != nil {
		t.Fatal(err)
	}
	s = reopen(t, s)
	defer s.Close()
	s.SetLetterLimit(LetterLimit{MaxAge: time.Hour})
	if n, err := s.RemoveLetters(); n != 1 || err != nil {
		t.Errorf("RemoveLetters = %d, %v", n, err)
	}
	want := map[string]LetterCount{"": {Removed: 1}, "a": {Kept: 2}, "b": {Kept: 2}}
	if diff := cmp.Diff(want, s.LetterCounts()); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
}

// TestNothingIsWrittenWithinTheLimit: the look once a minute must not wake a disk.
func TestNothingIsWrittenWithinTheLimit(t *testing.T) {
	s := buried(t)
	defer s.Close()
	last := func() int {
		var id int
		if err := s.view(func(tx *bolt.Tx) error { id = tx.ID(); return nil }); err != nil {
			t.Fatal(err)
		}
		return id
	}
	before := last()
	for _, l := range []LetterLimit{{}, {Max: 4, MaxAge: time.Hour}} {
		s.SetLetterLimit(l)
		if n, err := s.RemoveLetters(); n != 0 || err != nil {
			t.Errorf("%+v: RemoveLetters = %d, %v", l, n, err)
		}
	}
	if after := last(); after != before {
		t.Errorf("the file was written %d times", after-before)
	}
}
