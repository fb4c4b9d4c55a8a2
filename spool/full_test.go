package spool

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"
)

// entryBytes is the size of those that entry makes of numbers with one digit.
var entryBytes = int64(len(entry(1).Record.Packed()))

func limited(when WhenFull, entries int64) map[string]Bound {
	return map[string]Bound{"a": {entries * entryBytes, when}}
}

func appendWithin(t *testing.T, s *Spool, limits map[string]Bound, position string, entries ...Routed) map[string]Dropped {
	t.Helper()
	dropped, err := s.Append("journal", position, entries, limits)
	if err != nil {
		t.Fatal(err)
	}
	return dropped
}

func wantQueue(t *testing.T, s *Spool, action string, dropped int64, left ...string) {
	t.Helper()
	if diff := cmp.Diff(left, texts(peek(t, s.Queue(action), 1000))); diff != "" {
		t.Errorf("queue %s (-want +got):\n%s", action, diff)
	}
	st := s.Queue(action).Status()
	if n := int64(len(left)); st.Queued != n || st.Bytes != n*entryBytes || st.Dropped.Count != dropped || st.Dropped.Bytes != dropped*entryBytes {
		t.Errorf("queue %s: %+v, want %d queued, %d dropped, each of %d bytes", action, st, n, dropped, entryBytes)
	}
	if (dropped > 0) != (time.Since(st.Dropped.Last) < time.Hour) {
		t.Errorf("queue %s: %d dropped, the last at %v", action, dropped, st.Dropped.Last)
	}
}

// TestDropNewest: what the full queue does not take is not stored for it, the other
// queue has it, the position moves on, and the count survives.
func TestDropNewest(t *testing.T) {
	s := openSpool(t, t.TempDir())
	limits := limited(DropNewest, 3)
	if dropped := appendWithin(t, s, limits, "c2", entry(1, "a", "b"), entry(2, "a")); len(dropped) > 0 {
		t.Errorf("dropped with room left: %v", dropped)
	}
	dropped := appendWithin(t, s, limits, "c5", entry(3, "a", "b"), entry(4, "a", "b"), entry(5, "a"))
	if d := dropped["a"]; len(dropped) != 1 || d.Count != 2 || d.Bytes != 2*entryBytes {
		t.Errorf("dropped %v, want 2 of a", dropped)
	}
	appendWithin(t, s, limits, "c6", entry(6, "a"))
	if got := keys(t, s, "blocks"); got != 2 {
		t.Errorf("%d blocks, want 2: nobody wants the third Append's entry", got)
	}
	for range 2 {
		wantQueue(t, s, "a", 3, "message 1", "message 2", "message 3")
		wantQueue(t, s, "b", 0, "message 1", "message 3", "message 4")
		if p, err := s.Position("journal"); p != "c6" || err != nil {
			t.Errorf("position %s, %v; want c6", p, err)
		}
		s = reopen(t, s)
	}
	// It takes new ones as soon as there is room.
	settle(t, s.Queue("a"), peek(t, s.Queue("a"), 1), Accepted)
	appendWithin(t, s, limits, "c8", entry(7, "a"), entry(8, "a"))
	wantQueue(t, s, "a", 4, "message 2", "message 3", "message 7")
}

// TestDropOldest: no more leave than the new ones need the room of; what leaves the
// last queue leaves the file; and the new ones are kept even where they are too many.
func TestDropOldest(t *testing.T) {
	s := openSpool(t, t.TempDir())
	limits := limited(DropOldest, 3)
	appendWithin(t, s, limits, "c2", entry(1, "a", "b"), entry(2, "a"))
	if dropped := appendWithin(t, s, limits, "c3", entry(3, "a")); len(dropped) > 0 {
		t.Errorf("dropped with room left: %v", dropped)
	}
	dropped := appendWithin(t, s, limits, "c4", entry(4, "a", "b"))
	if d := dropped["a"]; len(dropped) != 1 || d.Count != 1 || d.Bytes != entryBytes {
		t.Errorf("dropped %v, want 1 of a", dropped)
	}
	for range 2 {
		wantQueue(t, s, "a", 1, "message 2", "message 3", "message 4")
		wantQueue(t, s, "b", 0, "message 1", "message 4")
		s = reopen(t, s)
	}
	appendWithin(t, s, limits, "c6", entry(5, "a"), entry(6, "a"))
	wantQueue(t, s, "a", 3, "message 4", "message 5", "message 6")
	if got := keys(t, s, "blocks"); got != 3 {
		t.Errorf("%d blocks, want 3: those of the entries 1, 4, and 5 and 6", got)
	}
	appendWithin(t, s, limits, "c", entry(1, "a"), entry(2, "a"), entry(3, "a"), entry(4, "a"))
	wantQueue(t, s, "a", 6, "message 1", "message 2", "message 3", "message 4")
	settle(t, s.Queue("a"), peek(t, s.Queue("a"), 10), Accepted, Accepted, Accepted, Accepted)
	appendWithin(t, s, limits, "c", entry(5, "a"))
	wantQueue(t, s, "a", 6, "message 5")
}

// TestBlockTakesEverything: it is for who appends to wait.
func TestBlockTakesEverything(t *testing.T) {
	s := openSpool(t, t.TempDir())
	if dropped := appendWithin(t, s, limited(Block, 1), "c2", entry(1, "a"), entry(2, "a")); len(dropped) > 0 {
		t.Errorf("dropped %v", dropped)
	}
	wantQueue(t, s, "a", 0, "message 1", "message 2")
}

// TestDroppedOnTheWay: what is dropped while it is being delivered counts as what
// becomes of it, once, and as dropped if that is never known.
func TestDroppedOnTheWay(t *testing.T) {
	for name, c := range map[string]struct {
		settle           func(t *testing.T, s *Spool, batch []Delivery) *Spool
		dropped, letters int64
		failures         int
	}{
		"accepted": {func(t *testing.T, s *Spool, batch []Delivery) *Spool {
			settle(t, s.Queue("a"), batch, Accepted, Accepted)
			return s
		}, 1, 0, 0},
		"failed": {func(t *testing.T, s *Spool, batch []Delivery) *Spool {
			settle(t, s.Queue("a"), batch, Retry, Retry)
			return s
		}, 3, 0, 1},
		"accepted and failed": {func(t *testing.T, s *Spool, batch []Delivery) *Spool {
			settle(t, s.Queue("a"), batch, Accepted, Retry)
			return s
		}, 2, 0, 1},
		"refused": {func(t *testing.T, s *Spool, batch []Delivery) *Spool {
			settle(t, s.Queue("a"), batch, Rejected, GivenUp)
			return s
		}, 1, 2, 1},
		"killed": {func(t *testing.T, s *Spool, _ []Delivery) *Spool { return reopen(t, s) }, 3, 0, 0},
		"stopped": {func(t *testing.T, s *Spool, _ []Delivery) *Spool {
			peek(t, s.Queue("a"), 1) // of the next worker
			return s
		}, 3, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := openSpool(t, t.TempDir())
			limits := limited(DropOldest, 3)
			appendWithin(t, s, limits, "c3", entry(1, "a"), entry(2, "a"), entry(3, "a"))
			batch := peek(t, s.Queue("a"), 2)
			if dropped := appendWithin(t, s, limits, "c6", entry(4, "a"), entry(5, "a"), entry(6, "a")); dropped["a"].Count != 3 {
				t.Errorf("dropped %v, want 3", dropped)
			}
			if n := s.Queue("a").Status().Dropped.Count; n != 1 {
				t.Errorf("%d count as dropped while 2 are on their way, want 1", n)
			}
			s = c.settle(t, s, batch)
			if f := s.Queue("a").Status().Failures.Count; f != c.failures {
				t.Errorf("%d failures, want %d", f, c.failures)
			}
			if n := int64(keys(t, s, "dead")); n != c.letters {
				t.Errorf("%d dead letters, want %d", n, c.letters)
			}
			wantQueue(t, s, "a", c.dropped, "message 4", "message 5", "message 6")
			s = reopen(t, s)
			wantQueue(t, s, "a", c.dropped, "message 4", "message 5", "message 6")
			if d := peek(t, s.Queue("a"), 1)[0]; d.Attempts != 0 {
				t.Errorf("%d attempts are held against one that was not tried", d.Attempts)
			}
		})
	}
}

// TestDroppedFromOverlappingCalls: two batches are on their way, and a third one was
// only looked at; the second comes back first.
func TestDroppedFromOverlappingCalls(t *testing.T) {
	s := openSpool(t, t.TempDir())
	limits := limited(DropOldest, 8)
	var entries []Routed
	for n := range 8 {
		entries = append(entries, entry(n, "a"))
	}
	appendWithin(t, s, limits, "c7", entries...)
	q := s.Queue("a")
	first := peek(t, q, 2)
	after := func(last Delivery) []Delivery {
		batch, err := q.PeekAfter(&last, 2, 0)
		if err != nil {
			t.Fatal(err)
		}
		return batch
	}
	second := after(first[1])
	after(second[1])
	dropped := func(want int64) {
		t.Helper()
		if n := q.Status().Dropped.Count; n != want {
			t.Errorf("%d dropped, want %d", n, want)
		}
	}
	appendWithin(t, s, limits, "c8", entry(8, "a"))
	dropped(0)
	settle(t, q, second, Accepted, Retry)
	dropped(0)
	appendWithin(t, s, limits, "c9", entry(1, "a"), entry(2, "a"), entry(3, "a"), entry(4, "a"), entry(5, "a"))
	dropped(1) // 3; 0, 1, 4 and 5 may still arrive
	if diff := cmp.Diff([]string{"message 6", "message 7"}, texts(after(second[1]))); diff != "" {
		t.Error("behind the second batch (-want +got):\n", diff)
	}
	dropped(3) // 4 and 5 were not taken the next time
	settle(t, q, first, Accepted, Retry)
	dropped(4)
	wantQueue(t, s, "a", 4, "message 6", "message 7", "message 8", "message 1", "message 2", "message 3", "message 4", "message 5")
}

// TestDroppedBeforeTaken: what is dropped between the looking at the queue's state and
// the end of Peek is not given out, as it counts as dropped for good.
func TestDroppedBeforeTaken(t *testing.T) {
	s := openSpool(t, t.TempDir())
	limits := limited(DropOldest, 3)
	appendWithin(t, s, limits, "c3", entry(1, "a"), entry(2, "a"), entry(3, "a"))
	q := s.Queue("a")
	batch := peek(t, q, 3)
	q.taken = nil
	appendWithin(t, s, limits, "c5", entry(4, "a"), entry(5, "a"))
	if diff := cmp.Diff([]string{"message 3"}, texts(q.take(nil, batch))); diff != "" {
		t.Error("taken (-want +got):\n", diff)
	}
	if n := q.Status().Dropped.Count; n != 2 {
		t.Errorf("%d dropped, want 2", n)
	}
}

// TestDroppedWhilePeeked: a worker and a reader at the same time. Each delivery is
// accepted, dropped or left, and is never two of these.
func TestDroppedWhilePeeked(t *testing.T) {
	for _, when := range []WhenFull{DropOldest, DropNewest} {
		s := openSpool(t, t.TempDir())
		s.db.NoSync = true
		q := s.Queue("a")
		const n = 3000
		done := make(chan struct{})
		var g errgroup.Group
		g.Go(func() error {
			defer close(done)
			for i := 0; i < n; i += 3 {
				entries := []Routed{entry(i, "a"), entry(i+1, "a"), entry(i+2, "a")}
				if _, err := s.Append("journal", fmt.Sprint("c", i), entries, limited(when, 10)); err != nil {
					return err
				}
			}
			return nil
		})
		accepted, last := 0, int64(-1)
		var before int64
		neverLess := func() error {
			dropped := q.Status().Dropped.Count
			if dropped < before {
				return fmt.Errorf("the count of dropped ones went from %d to %d", before, dropped)
			}
			before = dropped
			return nil
		}
		g.Go(func() error {
			for {
				batch, err := q.Peek(4)
				if err := errors.Join(err, neverLess()); err != nil {
					return err
				}
				if len(batch) == 0 {
					select {
					case <-q.Ready():
						continue
					case <-done:
						return nil
					}
				}
				if number := batch[0].Record.Time().UnixMicro(); number <= last {
					return fmt.Errorf("entry %d came after %d", number, last)
				}
				last = batch[len(batch)-1].Record.Time().UnixMicro()
				outcomes := make([]Outcome, len(batch))
				for i := range outcomes {
					outcomes[i].Fate = Accepted
				}
				if err := q.Settle(batch, outcomes, 0, nil); err != nil {
					return err
				}
				accepted += len(batch)
				if err := neverLess(); err != nil {
					return err
				}
			}
		})
		if err := g.Wait(); err != nil {
			t.Fatal(err)
		}
		st := q.Status()
		if int64(accepted)+st.Dropped.Count+st.Queued != n {
			t.Errorf("%s: %d accepted, %d dropped, %d left of %d", when, accepted, st.Dropped.Count, st.Queued, n)
		}
		t.Logf("%s: %d accepted, %d dropped", when, accepted, st.Dropped.Count)
	}
}

// TestLoweredLimit: a queue far beyond its limit comes down to it in several steps.
func TestLoweredLimit(t *testing.T) {
	s := openSpool(t, t.TempDir())
	s.db.NoSync = true
	many := make([]Routed, 25_000)
	for i := range many {
		many[i] = entry(i%10, "a")
	}
	appendEntries(t, s, "c", many...)
	appendEntries(t, s, "c", many...)
	total := int64(2 * len(many))
	for _, left := range []int64{30_001, 10_002, 100, 100} {
		total++
		appendWithin(t, s, limited(DropOldest, 100), "c", entry(1, "a"))
		if st := s.Queue("a").Status(); st.Queued != left || st.Dropped.Count != total-left {
			t.Errorf("%d left, %d dropped, want %d and %d", st.Queued, st.Dropped.Count, left, total-left)
		}
	}
	if n := keys(t, s, "blocks"); n != 5 {
		t.Errorf("%d blocks, want 5: the end of the second and four more", n)
	}
}

// limitedModel is a queue with a limit, in the simplest way.
type limitedModel struct {
	limit         Bound
	left          []Routed
	taken         []Routed // by the worker
	dropped, dead int
	accepted      int
}

func bytesOf(entries []Routed) (n int64) {
	for _, e := range entries {
		n += int64(len(e.Record.Packed()))
	}
	return n
}

func (m *limitedModel) append(entries []Routed) {
	if m.limit.WhenFull == DropNewest {
		for _, e := range entries {
			if bytesOf(m.left) < m.limit.MaxBytes {
				m.left = append(m.left, e)
			} else {
				m.dropped++
			}
		}
		return
	}
	for m.limit.WhenFull == DropOldest && len(entries) > 0 && len(m.left) > 0 && bytesOf(m.left)+bytesOf(entries) > m.limit.MaxBytes {
		m.dropped++
		m.left = m.left[1:]
	}
	m.left = append(m.left, entries...)
}

// settle has the fates of what was taken. What is not left any more was dropped.
func (m *limitedModel) settle(fates []Fate) {
	var left []Routed
	for i, e := range m.taken {
		gone := len(m.left) == 0 || e.Record.Time().Before(m.left[0].Record.Time())
		if !gone {
			m.left = m.left[1:]
		}
		switch {
		case fates[i] != Retry && gone:
			m.dropped--
		case fates[i] == Retry && !gone:
			left = append(left, e)
		}
		switch fates[i] {
		case Accepted:
			m.accepted++
		case Rejected, GivenUp:
			m.dead++
		}
	}
	m.left = append(left, m.left...)
	m.taken = nil
}

// onTheWay is how many of those taken were dropped since.
func (m *limitedModel) onTheWay() (n int) {
	for _, e := range m.taken {
		if len(m.left) == 0 || e.Record.Time().Before(m.left[0].Record.Time()) {
			n++
		}
	}
	return n
}

// TestLimitsAgainstModel does random things to three queues that share entries,
// with restarts, and compares.
func TestLimitsAgainstModel(t *testing.T) {
	for seed := range uint64(10) {
		r := rand.New(rand.NewPCG(seed, 1))
		s := openSpool(t, t.TempDir())
		s.db.NoSync = true
		limits := map[string]Bound{"a": {10 * entryBytes, DropOldest}, "b": {10 * entryBytes, DropNewest}, "c": {10 * entryBytes, Block}}
		model := make(map[string]*limitedModel)
		batches := make(map[string][]Delivery)
		actions := []string{"a", "b", "c"}
		for _, a := range actions {
			model[a] = &limitedModel{limit: limits[a]}
		}
		total := make(map[string]int)
		for n := 0; n < 1000; {
			a := actions[r.IntN(len(actions))]
			m := model[a]
			switch r.IntN(10) {
			case 0:
				s = reopen(t, s)
				s.db.NoSync = true
				clear(batches)
				for _, m := range model {
					m.taken = nil
				}
			case 1, 2, 3:
				var entries []Routed
				per := make(map[string][]Routed)
				for range 1 + r.IntN(5) {
					var to []string
					for _, a := range actions {
						if r.IntN(2) == 0 {
							to = append(to, a)
							total[a]++
						}
					}
					e := entry(n, to...)
					entries = append(entries, e)
					for _, a := range to {
						per[a] = append(per[a], e)
					}
					n++
				}
				appendWithin(t, s, limits, fmt.Sprint("c", n), entries...)
				for a, m := range model {
					m.append(per[a])
				}
			case 4, 5:
				limit := 1 + r.IntN(4)
				batches[a] = peek(t, s.Queue(a), limit)
				m.taken = m.left[:min(limit, len(m.left))]
				if len(batches[a]) != len(m.taken) {
					t.Fatalf("seed %d: %d peeked, want %d", seed, len(batches[a]), len(m.taken))
				}
			default:
				fates := make([]Fate, len(batches[a]))
				for i := range fates {
					fates[i] = Fate(r.IntN(4))
				}
				settle(t, s.Queue(a), batches[a], fates...)
				m.settle(fates)
				delete(batches, a)
			}
			for a, m := range model {
				st := s.Queue(a).Status()
				if st.Queued != int64(len(m.left)) || st.Bytes != bytesOf(m.left) || st.Dropped.Count != int64(m.dropped-m.onTheWay()) {
					t.Fatalf("seed %d: queue %s: %+v, want %d, %d bytes, %d dropped", seed, a, st, len(m.left), bytesOf(m.left), m.dropped-m.onTheWay())
				}
				for _, mark := range s.Queue(a).state.Marks {
					if comparePlaces(mark.place, s.Queue(a).state.Head) < 0 {
						t.Fatalf("seed %d: queue %s keeps a mark of what has left it", seed, a)
					}
				}
				if m.limit.WhenFull == DropOldest && st.Bytes > m.limit.MaxBytes {
					t.Fatalf("seed %d: %d bytes in a queue of %d", seed, st.Bytes, m.limit.MaxBytes)
				}
			}
		}
		dead := 0
		for a, m := range model {
			var want []string
			for _, e := range m.left {
				value, _ := e.Record.Get("MESSAGE")
				want = append(want, string(value[3:]))
			}
			if diff := cmp.Diff(want, texts(peek(t, s.Queue(a), 1<<20))); diff != "" {
				t.Errorf("seed %d: at the end, queue %s (-want +got):\n%s", seed, a, diff)
			}
			if m.accepted+m.dead+m.dropped+len(m.left) != total[a] {
				t.Errorf("seed %d: the model of %s is wrong", seed, a)
			}
			dead += m.dead
		}
		if got := keys(t, s, "dead"); got != dead {
			t.Errorf("seed %d: %d dead letters, want %d", seed, got, dead)
		}
		s.Close()
	}
}
