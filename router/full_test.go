package router

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/spool"
)

// room returns the size of that many of the first entries in the journal.
func room(j *memory, n int64) int64 { return n * int64(len(j.entries[0].Packed())) }

func numbers(from, to int) (texts []string) {
	for n := from; n <= to; n++ {
		texts = append(texts, fmt.Sprint(n))
	}
	return texts
}

// TestFullQueueDrops while its destination is down, over a restart; the other action
// gets everything at once, and what one gets and what it is said to have missed are
// together all there was.
func TestFullQueueDrops(t *testing.T) {
	for when, want := range map[spool.WhenFull][]string{
		spool.DropOldest: {"7", "8", "9"},
		spool.DropNewest: {"1", "2", "3"},
	} {
		synctest.Test(t, func(t *testing.T) {
			var up atomic.Bool
			down := &destination{deliver: func(context.Context, []action.Message) error {
				if up.Load() {
					return nil
				}
				return errors.New("down")
			}}
			works := new(destination)
			r := newRig(t, newMemory("X: 1"), down, works)
			r.routes.Actions[0].MaxBytes, r.routes.Actions[0].WhenFull = room(r.journal, 3), when
			r.start()
			for n := 2; n <= 9; n++ {
				r.want(works, numbers(1, n-1)...)
				if n == 6 {
					r.stop()
					r.start()
				}
				r.journal.log(fmt.Sprint("X: ", n))
			}
			time.Sleep(10 * time.Minute) // whatever was on its way has failed again
			r.want(works, numbers(1, 9)...)
			check := func(queued, dropped int64) {
				t.Helper()
				s := r.router.Snapshot()
				a, b := s.Actions[0], s.Actions[1]
				if s.State != Waiting || s.Ready() != nil || s.Position.Cursor != "9" {
					t.Errorf("%s: %s, %v, at %s: reading is to go on", when, s.State, s.Ready(), s.Position.Cursor)
				}
				if a.WhenFull != when || a.Queued != queued || a.Dropped != dropped || a.DroppedBytes != room(r.journal, dropped) || time.Since(a.LastDropped) > time.Hour {
					t.Errorf("%s: %+v, want %d queued, %d dropped", when, a, queued, dropped)
				}
				if b.Dropped != 0 || b.Queued != 0 {
					t.Errorf("%s: the other action: %+v", when, b)
				}
			}
			check(3, 6)
			r.stop()
			r.start()
			synctest.Wait()
			check(3, 6)
			up.Store(true)
			time.Sleep(10 * time.Minute)
			r.want(down, want...)
			check(0, 6)
			r.stop()
		})
	}
}

// TestDroppedUnderTheWorker: a delivery that the destination accepts after it was
// dropped was delivered, not dropped; one that it does not accept is dropped, and not
// tried again.
func TestDroppedUnderTheWorker(t *testing.T) {
	for _, c := range []struct {
		answer             error
		got                []string
		dropped            int64
		delivered, letters uint64
	}{
		{nil, []string{"1", "7", "8", "9"}, 5, 4, 0},
		{errors.New("down"), []string{"7", "8", "9"}, 6, 3, 0},
		{action.Permanent(errors.New("refused")), []string{"7", "8", "9"}, 5, 3, 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			answer := make(chan error)
			d := &destination{deliver: func(_ context.Context, batch []action.Message) error {
				if batch[0].Text == "1" {
					return <-answer
				}
				return nil
			}}
			r := newRig(t, newMemory("X: 1"), d)
			r.routes.Actions[0].MaxBytes, r.routes.Actions[0].WhenFull = room(r.journal, 3), spool.DropOldest
			r.start()
			synctest.Wait()
			r.journal.log("X: 2", "X: 3")
			synctest.Wait()
			for n := 4; n <= 9; n++ {
				r.journal.log(fmt.Sprint("X: ", n))
				synctest.Wait()
			}
			if a := r.router.Snapshot().Actions[0]; a.Queued != 3 || a.Dropped != 5 {
				t.Errorf("%v: %+v, want 3 queued, 5 dropped, and one on its way", c.answer, a)
			}
			answer <- c.answer
			time.Sleep(10 * time.Minute)
			r.want(d, c.got...)
			a := r.router.Snapshot().Actions[0]
			if a.Queued != 0 || a.Dropped != c.dropped || a.Delivered != c.delivered || a.Buried != c.letters {
				t.Errorf("%v: %+v, want %d dropped, %d delivered, %d dead letters", c.answer, a, c.dropped, c.delivered, c.letters)
			}
			r.stop()
		})
	}
}

// TestDroppedUnderManyCalls: several calls of several deliveries are under way at a
// destination that is slow and fails now and then. Each delivery is accepted, buried
// or dropped, and is one of these only.
func TestDroppedUnderManyCalls(t *testing.T) {
	for seed := range uint64(2) {
		synctest.Test(t, func(t *testing.T) {
			var mu sync.Mutex
			chance := rand.New(rand.NewPCG(seed, 0))
			roll := func(n int) int {
				mu.Lock()
				defer mu.Unlock()
				return chance.IntN(n)
			}
			d := &destination{batch: 3, deliver: func(context.Context, []action.Message) error {
				time.Sleep(time.Duration(roll(3000)) * time.Millisecond)
				switch roll(6) {
				case 0:
					return errors.New("down")
				case 1:
					return action.Permanent(errors.New("refused"))
				}
				return nil
			}}
			r := newRig(t, newMemory("X: 1"), d)
			a := &r.routes.Actions[0]
			a.MaxBytes, a.WhenFull, a.Concurrency = room(r.journal, 12), spool.DropOldest, 3
			r.start()
			const all = 400
			var last int64
			for n := 2; n <= all; n++ {
				r.journal.log(fmt.Sprint("X: ", n))
				time.Sleep(time.Duration(roll(400)) * time.Millisecond)
				now := r.router.Snapshot().Actions[0].Dropped
				if now < last {
					t.Errorf("seed %d: the count of dropped ones went from %d to %d", seed, last, now)
				}
				last = now
			}
			time.Sleep(time.Hour)
			synctest.Wait()
			got := d.texts()
			s := r.router.Snapshot().Actions[0]
			if s.Queued != 0 || int(s.Delivered) != len(got) || s.Dropped == 0 || int(s.Dropped)+int(s.Buried)+len(got) != all {
				t.Errorf("seed %d: %d of %d came, and %+v", seed, len(got), all, s)
			}
			if slices.Sort(got); len(slices.Compact(got)) != int(s.Delivered) {
				t.Errorf("seed %d: some came twice", seed)
			}
			r.stop()
		})
	}
}

// TestDroppingIsLogged: when it begins, once a minute, and when it has ended.
func TestDroppingIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &destination{deliver: func(context.Context, []action.Message) error { return errors.New("down") }}
		r := newRig(t, newMemory("X: 1"), d)
		r.routes.Actions[0].MaxBytes, r.routes.Actions[0].WhenFull = 1, spool.DropNewest
		log := new(record)
		r.options.Log = slog.New(slog.NewTextHandler(log, nil))
		r.start()
		lines := func(want ...string) {
			t.Helper()
			synctest.Wait()
			var got []string
			for line := range strings.Lines(log.take()) {
				if _, text, ok := strings.Cut(line, "msg="); ok && strings.Contains(text, "dropped") {
					text, _, _ = strings.Cut(strings.TrimSpace(text), " since=")
					got = append(got, text)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("logged (-want +got):\n%s", diff)
			}
		}
		lines()
		r.journal.log("X: 2", "X: 3")
		begins := `"a queue is full: deliveries are dropped" action=a when_full=drop_newest dropped=2`
		lines(begins)
		for range 150 { // two and a half minutes
			time.Sleep(time.Second)
			r.journal.log("X: more")
		}
		lines(`"more deliveries were dropped" action=a dropped=59`, `"more deliveries were dropped" action=a dropped=60`)
		time.Sleep(10 * time.Minute)
		lines(`"more deliveries were dropped" action=a dropped=31`, `"no more deliveries are dropped" action=a dropped=152`)
		r.journal.log("X: 4", "X: 5")
		lines(begins)
		r.journal.log("X: 6")
		lines()
		r.stop()
		lines(`"more deliveries were dropped" action=a dropped=1`)
		time.Sleep(10 * time.Minute)
		lines()
	})
}

// TestFillingQueueIsWarnedOf once, unless it has emptied in between, and only where a
// full one would stop the reader.
func TestFillingQueueIsWarnedOf(t *testing.T) {
	for when, warnings := range map[spool.WhenFull][]int{
		spool.Block:      {0, 1, 1, 2},
		spool.DropOldest: {0, 0, 0, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			accept := make(chan struct{})
			d := &destination{deliver: func(ctx context.Context, _ []action.Message) error {
				select {
				case <-accept:
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			}}
			r := newRig(t, newMemory("X: 1"), d)
			r.routes.Actions[0].MaxBytes, r.routes.Actions[0].WhenFull = room(r.journal, 10), when
			r.start()
			for step, s := range []struct{ accepted, logged int }{{0, 6}, {0, 1}, {1, 1}, {3, 3}} {
				for range s.accepted {
					accept <- struct{}{}
					synctest.Wait()
				}
				for range s.logged {
					r.journal.log("X: 2")
					synctest.Wait()
				}
				if n := strings.Count(r.log.String(), "a queue fills up"); n != warnings[step] {
					t.Errorf("%s: %d warnings after step %d, want %d:\n%s", when, n, step, warnings[step], &r.log)
				}
			}
			if warnings[3] > 0 && !strings.Contains(r.log.String(), "action=a percent=80 ") {
				t.Errorf("the warning does not say what of:\n%s", &r.log)
			}
			close(accept)
			r.stop()
		})
	}
}
