package router

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/journal"
	"github.com/journald-router/journald-router/spool"
)

// carrier notes what each call carried, and when.
type carrier struct {
	destination
	mu    sync.Mutex
	start time.Time
	trips []string
	took  time.Duration
	fits  int

	now, most int // calls under way
}

func (c *carrier) Batch() (usual, most int) { return 1, 100 }

func (c *carrier) Fit(batch []action.Message) int {
	if c.fits == 0 {
		return len(batch)
	}
	return min(c.fits, len(batch))
}

func (c *carrier) Deliver(ctx context.Context, batch []action.Message) error {
	c.mu.Lock()
	var texts []string
	for _, m := range batch {
		texts = append(texts, m.Text)
	}
	c.trips = append(c.trips, fmt.Sprintf("%v %s", time.Since(c.start), strings.Join(texts, " ")))
	c.now++
	c.most = max(c.most, c.now)
	c.mu.Unlock()
	time.Sleep(c.took)
	err := c.destination.Deliver(ctx, batch)
	c.mu.Lock()
	c.now--
	c.mu.Unlock()
	return err
}

func (c *carrier) told() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.trips)
}

func numbered(from, to int) (all []string) {
	for i := from; i <= to; i++ {
		all = append(all, fmt.Sprint("X: ", i))
	}
	return all
}

func TestBatchSettings(t *testing.T) {
	for _, row := range []struct {
		name  string
		batch Batch
		fits  int
		log   map[time.Duration][]string
		want  []string
	}{
		{"usual", Batch{}, 0, map[time.Duration][]string{0: numbered(1, 3)}, []string{"0s 1", "0s 2", "0s 3"}},
		{"max", Batch{Max: 2}, 0, map[time.Duration][]string{0: numbered(1, 5)}, []string{"0s 1 2", "0s 3 4", "0s 5"}},
		{"max beyond the action's", Batch{Max: 1000}, 0, map[time.Duration][]string{0: numbered(1, 3)}, []string{"0s 1 2 3"}},
		{"what fits", Batch{Max: 10}, 2, map[time.Duration][]string{0: numbered(1, 5)}, []string{"0s 1 2", "0s 3 4", "0s 5"}},
		{"bytes", Batch{Max: 10, MaxBytes: 1}, 0, map[time.Duration][]string{0: numbered(1, 2)}, []string{"0s 1", "0s 2"}},
		{"wait", Batch{Max: 3, Wait: 2 * time.Second}, 0, map[time.Duration][]string{
			0: numbered(1, 1), time.Second: numbered(2, 2), 5 * time.Second: numbered(3, 6), 10 * time.Second: numbered(7, 7)},
			[]string{"2s 1 2", "5s 3 4 5", "7s 6", "12s 7"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := &carrier{start: time.Now(), fits: row.fits}
				r := newRig(t, newMemory(row.log[0]...), c)
				r.routes.Actions[0].Batch = row.batch
				r.start()
				for s := range 20 {
					if s > 0 {
						r.journal.log(row.log[time.Duration(s)*time.Second]...)
					}
					time.Sleep(time.Second)
					synctest.Wait()
				}
				if diff := cmp.Diff(row.want, c.told()); diff != "" {
					t.Errorf("calls (-want +got):\n%s\nlog:\n%s", diff, &r.log)
				}
				r.stop()
			})
		})
	}
}

func TestRate(t *testing.T) {
	for _, row := range []struct {
		name string
		rate Rate
		want []string
	}{
		{"every second", Rate{1, time.Second, 1}, []string{"0s 1", "1s 2", "2s 3", "3s 4", "4s 5"}},
		{"30 a minute, two at once", Rate{30, time.Minute, 2}, []string{"0s 1", "0s 2", "2s 3", "4s 4", "6s 5"}},
		{"two an hour", Rate{2, time.Hour, 1}, []string{"0s 1", "30m0s 2", "1h0m0s 3", "1h30m0s 4", "2h0m0s 5"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := &carrier{start: time.Now()}
				r := newRig(t, newMemory(numbered(1, 5)...), c)
				r.routes.Actions[0].Rate = row.rate
				r.start()
				time.Sleep(4 * row.rate.Per)
				synctest.Wait()
				if diff := cmp.Diff(row.want, c.told()); diff != "" {
					t.Errorf("calls (-want +got):\n%s", diff)
				}
				r.stop()
			})
		})
	}
}

// TestConcurrency: so many calls are under way, and no more; what fails is tried again,
// when the others have come back, and nothing comes twice.
func TestConcurrency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &carrier{start: time.Now(), took: time.Second}
		failed := false
		c.deliver = func(_ context.Context, batch []action.Message) error {
			c.mu.Lock()
			defer c.mu.Unlock()
			if batch[0].Text == "2" && !failed {
				failed = true
				return action.After(errors.New("not now"), 10*time.Second)
			}
			return nil
		}
		r := newRig(t, newMemory(numbered(1, 7)...), c)
		r.routes.Actions[0].Concurrency = 3
		r.start()
		synctest.Wait()
		if n := r.router.Snapshot().Actions[0].InFlight; n != 3 {
			t.Errorf("%d in flight, want 3", n)
		}
		time.Sleep(time.Minute)
		got := c.texts()
		slices.Sort(got)
		if diff := cmp.Diff([]string{"1", "2", "3", "4", "5", "6", "7"}, got); diff != "" {
			t.Errorf("delivered (-want +got):\n%s", diff)
		}
		calls := c.told()
		if len(calls) != 8 || !slices.Contains(calls, "0s 2") || !slices.Contains(calls, "11s 2") || c.most != 3 {
			t.Errorf("calls: %q, %d at once", calls, c.most)
		}
		if s := r.router.Snapshot().Actions[0]; s.InFlight != 0 || s.Queued != 0 || s.Failures != 0 {
			t.Errorf("in the end: %+v", s)
		}
		r.stop()
	})
}

// TestConcurrentRestart: what several calls have under way when the router is stopped,
// and what failed, comes again; what was accepted does not.
func TestConcurrentRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &carrier{start: time.Now()}
		hang := true
		c.deliver = func(ctx context.Context, batch []action.Message) error {
			if hang && batch[0].Text != "3" {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}
		r := newRig(t, newMemory(numbered(1, 5)...), c)
		r.routes.Actions[0].Concurrency = 3
		r.start()
		r.want(&c.destination, "3")
		r.stop()
		hang = false
		r.start()
		time.Sleep(time.Second)
		synctest.Wait()
		got := c.texts()
		slices.Sort(got)
		if diff := cmp.Diff([]string{"1", "2", "3", "4", "5"}, got[:5]); diff != "" || len(got) != 5 {
			t.Errorf("delivered (-want +got):\n%s %q", diff, got)
		}
		r.stop()
	})
}

// TestWaitAfterClockSetBack: deliveries that were queued in the future, by the clock, wait no longer than others.
func TestWaitAfterClockSetBack(t *testing.T) {
	dir := t.TempDir()
	s, err := spool.Open(dir) // by today's clock; a bubble's begins with the year 2000
	if err != nil {
		t.Fatal(err)
	}
	rec := journal.NewRecord("1", time.Now(), 0, journal.Field{Name: "MESSAGE", Value: []byte("1")})
	if _, err := s.Append("journal", "1", []spool.Routed{{Record: rec, To: []spool.Target{{Action: "a", Rule: "r"}}}}, nil); err != nil {
		t.Fatal(err)
	}
	s.Close()
	synctest.Test(t, func(t *testing.T) {
		d := new(destination)
		r := newRig(t, newMemory("X: 0"), d)
		r.dir = dir
		r.routes.Actions[0].Batch = Batch{Max: 10, Wait: 2 * time.Second}
		r.start()
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := len(d.texts()); n != 1 {
			t.Errorf("after an hour, with wait: 2s, %d are delivered", n)
		}
		r.stop()
	})
}

// TestFullByBytes: what is full by its bytes does not wait for more.
func TestFullByBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &carrier{start: time.Now()}
		r := newRig(t, newMemory(numbered(1, 2)...), c)
		r.routes.Actions[0].Batch = Batch{Max: 10, MaxBytes: 1, Wait: time.Minute}
		r.start()
		time.Sleep(time.Second)
		synctest.Wait()
		if calls := c.told(); !slices.Contains(calls, "0s 1") {
			t.Errorf("calls: %q; nothing more goes with the first one", calls)
		}
		r.stop()
	})
}

// TestRateAcrossReload: a reload gives the rate no new burst.
func TestRateAcrossReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(destination)
		r := newRig(t, newMemory(numbered(1, 5)...), d)
		r.routes.Actions[0].Rate = Rate{1, time.Hour, 1}
		r.start()
		synctest.Wait()
		for range 3 {
			if err := r.router.Reload(context.Background(), r.routes); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		if n := d.calls.Load(); n != 1 {
			t.Errorf("%d calls within a moment, at a rate of one an hour", n)
		}
		r.stop()
	})
}
