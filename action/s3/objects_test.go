package s3_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/action/s3"
)

// TestRepeatsOverwrite: whatever fails, and wherever the router is killed, and however
// the batches are cut then, in the end each entry is in one object, and once.
func TestRepeatsOverwrite(t *testing.T) {
	for range 40 {
		seed := rand.Uint64()
		q := newQueue(t, seed, 30+rand.IntN(60))
		q.drain(func(string) fate {
			switch q.fates.IntN(8) {
			case 0:
				return refused
			case 1:
				return lost
			}
			return accepted
		})
		for id, n := range q.counts() {
			if n != 1 {
				t.Fatalf("seed %d: entry %s is in %d objects, or in one so often\n%v", seed, id, n, q.bucket.contents())
			}
		}
	}
}

// TestLateUploads: uploads that the service carries out only when their repeats have
// been accepted long since cost no entry, though some may be in two objects.
func TestLateUploads(t *testing.T) {
	twice := 0
	for range 40 {
		seed := rand.Uint64()
		q := newQueue(t, seed, 30+rand.IntN(60))
		q.drain(func(string) fate {
			m := q.bucket
			if len(m.late) > 0 && q.fates.IntN(4) == 0 {
				i := q.fates.IntN(len(m.late))
				m.late[i]()
				m.late = slices.Delete(m.late, i, i+1)
			}
			if q.fates.IntN(6) == 0 {
				return delayed
			}
			return accepted
		})
		q.bucket.carryOut(q.random)
		for id, n := range q.counts() {
			if n == 0 {
				t.Fatalf("seed %d: entry %s is lost", seed, id)
			}
			twice += n - 1
		}
	}
	if twice == 0 {
		t.Error("no upload was late in a way that matters: the test does not test what it says")
	}
}

// TestForbidden: what is refused for good costs nothing else.
func TestForbidden(t *testing.T) {
	for range 30 {
		seed := rand.Uint64()
		q := newQueue(t, seed, 40)
		q.drain(func(string) fate {
			switch q.fates.IntN(10) {
			case 0:
				return refused
			case 1:
				return forbidden
			}
			return accepted
		})
		counts := q.counts()
		for _, m := range q.letters {
			counts[m.ID]++
		}
		for id, n := range counts {
			if n == 0 {
				t.Fatalf("seed %d: entry %s is neither in the bucket nor among the dead letters", seed, id)
			}
		}
	}
}

// TestDisturbedQueue: nor is anything lost where the queue loses its head meanwhile, given up
// or dropped, where a message cannot be rendered for a time, and where dead letters come back at
// the queue's end, with the ids that may be in the bucket as the names of other objects.
func TestDisturbedQueue(t *testing.T) {
	again, dropped := 0, 0
	for range 40 {
		seed := rand.Uint64()
		q := newQueue(t, seed, 30+rand.IntN(60))
		gone := make(map[string]bool)
		q.disturb = func() {
			switch head := q.waiting[0]; q.random.IntN(12) {
			case 0:
				gone[head.ID] = true
				q.waiting = q.waiting[1:]
				dropped++
			case 1:
				q.letters, q.waiting = append(q.letters, head), q.waiting[1:]
			case 2, 3:
				again += len(q.letters)
				q.waiting, q.letters = append(slices.Clone(q.waiting), q.letters...), nil
			case 4:
				q.broken = make(map[string]bool)
				for _, m := range q.waiting {
					q.broken[m.ID] = q.random.IntN(4) == 0
				}
			case 5:
				q.broken = nil
			}
		}
		q.drain(func(string) fate {
			switch q.fates.IntN(10) {
			case 0, 1:
				return refused
			case 2, 3, 4:
				return lost
			case 5:
				return forbidden
			}
			return accepted
		})
		counts := q.counts()
		for _, m := range q.letters {
			counts[m.ID]++
		}
		for id, n := range counts {
			if n == 0 && !gone[id] {
				t.Fatalf("seed %d: entry %s is lost", seed, id)
			}
		}
	}
	if again == 0 || dropped == 0 {
		t.Errorf("%d letters came again, and %d heads were dropped: the test does not test what it says", again, dropped)
	}
}

// queue is what the engine does with an action that is an Overwriter: one call at a
// time, from the head of the queue on, and its outcome noted before the next one,
// unless the router is killed first.
type queue struct {
	t       *testing.T
	random  *rand.Rand
	fates   *rand.Rand // for what decides over uploads, which the bucket calls
	bucket  *memory
	all     []string
	waiting []action.Message
	letters []action.Message
	failing bool
	broken  map[string]bool // what cannot be rendered
	disturb func()          // does something to the queue between two calls; nil: nothing
}

func newQueue(t *testing.T, seed uint64, n int) *queue {
	q := &queue{t: t, random: rand.New(rand.NewPCG(seed, 0)), fates: rand.New(rand.NewPCG(seed, 1)), bucket: newMemory(t)}
	groups := 1 + q.random.IntN(5)
	for i := range n {
		id := fmt.Sprintf("%032x", i+1)
		q.all = append(q.all, id)
		q.waiting = append(q.waiting, message(id, fmt.Sprintf("_SYSTEMD_UNIT=unit%d", q.random.IntN(groups))))
	}
	return q
}

func (q *queue) start() *s3.Action {
	c := settings(q.bucket.URL, "the-bucket")
	c.Key = `{{ .Unit }}/{{ .ID }}.zst`
	return newAction(q.t, c)
}

func (q *queue) drain(decide func(key string) fate) {
	q.bucket.decide = decide
	a := q.start()
	for calls := 0; len(q.waiting) > 0; calls++ {
		if calls > 10_000 {
			q.t.Fatal("the queue does not get empty")
		}
		n := 1 + q.random.IntN(12)
		if q.failing && q.random.IntN(2) == 0 {
			n = 1
		}
		errs := make([]error, min(n, len(q.waiting)))
		var batch []action.Message
		var places []int
		for i, m := range q.waiting[:len(errs)] {
			if q.broken[m.ID] {
				errs[i] = action.Permanent(errors.New("cannot be rendered"))
				continue
			}
			batch, places = append(batch, m), append(places, i)
		}
		if len(batch) > 0 {
			n := a.Fit(batch)
			err := a.Deliver(q.t.Context(), batch[:n])
			each, ok := errors.AsType[*action.BatchError](err)
			for i, place := range places {
				switch {
				case i >= n:
					errs[place] = errNotTried
				case ok:
					errs[place] = each.Errs[i]
				default:
					errs[place] = err
				}
			}
		}
		if q.random.IntN(6) == 0 { // killed before it is noted
			a.Close()
			a = q.start()
			continue
		}
		q.note(errs)
		if q.disturb != nil && len(q.waiting) > 0 {
			q.disturb()
		}
	}
	a.Close()
}

var errNotTried = errors.New("not tried")

func (q *queue) note(errs []error) {
	q.failing = false
	var left []action.Message
	for i, m := range q.waiting {
		switch {
		case i < len(errs) && errs[i] == nil:
		case i < len(errs) && action.IsPermanent(errs[i]):
			q.letters = append(q.letters, m)
		default:
			q.failing = q.failing || i < len(errs) && errs[i] != errNotTried
			left = append(left, m)
		}
	}
	q.waiting = left
}

// counts says for each entry in how many objects it is.
func (q *queue) counts() map[string]int {
	counts := q.bucket.entries()
	for _, id := range q.all {
		counts[id] += 0
	}
	return counts
}

// TestObjects: the entries of a batch are in one object for each key, in their order,
// named by the first; right after a start, a call has one entry of each.
func TestObjects(t *testing.T) {
	bucket := newMemory(t)
	c := settings(bucket.URL, "the-bucket")
	c.Key = `{{ .Unit }}/{{ .ID }}.zst`
	a := newAction(t, c)
	var batch []action.Message
	for i := range 10 {
		batch = append(batch, message(fmt.Sprint(10+i), fmt.Sprintf("_SYSTEMD_UNIT=%c", 'a'+i%2)))
	}
	for len(batch) > 0 {
		n := a.Fit(batch)
		if err := a.Deliver(t.Context(), batch[:n]); err != nil {
			t.Fatal(err)
		}
		batch = batch[n:]
	}
	want := map[string][]string{"a/10.zst": {"10"}, "b/11.zst": {"11"}, "a/12.zst": {"12", "14", "16", "18"}, "b/13.zst": {"13", "15", "17", "19"}}
	if diff := cmp.Diff(want, bucket.contents()); diff != "" {
		t.Errorf("objects (-want +got):\n%s", diff)
	}
}

// TestFit: a batch is cut where an object would have more than 64 MiB, or where there
// would be too many of them.
func TestFit(t *testing.T) {
	c := settings("http://127.0.0.1:1", "the-bucket")
	c.Key = "{{ .Unit }}/{{ .ID }}"
	a := newAction(t, c)
	large := func(unit string) action.Message {
		return message("1", "MESSAGE="+string(make([]byte, 20<<20)), "_SYSTEMD_UNIT="+unit)
	}
	if n := a.Fit([]action.Message{large("a"), large("b"), large("c"), large("d")}); n != 3 {
		t.Errorf("%d of 20 MiB each fit", n)
	}
	huge := message("1", "MESSAGE="+string(make([]byte, 70<<20)))
	if n := a.Fit([]action.Message{huge, large("a")}); n != 1 {
		t.Errorf("%d fit of which the first is of 70 MiB", n)
	}
	var many []action.Message
	for i := range 1000 {
		many = append(many, message(fmt.Sprint(i), fmt.Sprintf("_SYSTEMD_UNIT=unit%d", i)))
	}
	if n := a.Fit(many); n != 200 {
		t.Errorf("%d fit that are for a key each", n)
	}
}
