package router

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/journald-router/journald-router/action"
)

// TestStopWhileToldApart: a batch that is refused, and told apart, does not hold up the stop.
func TestStopWhileToldApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &destination{batch: 20, deliver: func(_ context.Context, batch []action.Message) error {
			if len(batch) > 1 {
				return action.Permanent(errors.New("one of them is bad"))
			}
			time.Sleep(4 * time.Second)
			return nil
		}}
		r := newRig(t, newMemory(numbered(1, 20)...), d)
		r.start()
		time.Sleep(time.Second)
		stopped := time.Now()
		r.stop()
		if took := time.Since(stopped); took > Grace+time.Second {
			t.Errorf("Run ended %v after it was told to, and began %d calls", took, d.calls.Load())
		}
	})
}

// TestToldApartSlowly: of a batch that is told apart each delivery is settled when it is delivered, however
// long the rate has that take.
func TestToldApartSlowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &destination{batch: 20, deliver: func(_ context.Context, batch []action.Message) error {
			if len(batch) > 1 {
				return action.Permanent(errors.New("one of them is bad"))
			}
			return nil
		}}
		r := newRig(t, newMemory(numbered(1, 20)...), d)
		r.routes.Actions[0].Rate = Rate{1, time.Hour, 1}
		r.start()
		time.Sleep(10*time.Hour + time.Minute)
		synctest.Wait()
		if n, s := len(d.texts()), r.router.Snapshot().Actions[0]; s.Queued > int64(20-n+1) {
			t.Errorf("%d have been delivered, %d of 20 are queued, %d counted as delivered", n, s.Queued, s.Delivered)
		}
		r.stop()
	})
}

// TestPoisonBesideOthers: a success that began before a failure does not clear it: what fails for ever is
// given up, however well the others fare.
func TestPoisonBesideOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		d := &destination{}
		d.deliver = func(_ context.Context, batch []action.Message) error {
			if batch[0].Text == "1" {
				d.mu.Lock()
				tries++
				d.mu.Unlock()
				return errors.New("poison")
			}
			time.Sleep(100 * time.Millisecond)
			return nil
		}
		r := newRig(t, newMemory(numbered(1, 600)...), d)
		r.routes.Actions[0].Concurrency = 2
		r.routes.Actions[0].Retry.GiveUpAfter = 20 * time.Second
		r.start()
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		if n := len(r.letters()); n != 1 {
			t.Errorf("after three minutes, with give_up_after 20s, there are %d dead letters; the poison was tried %d times, %d delivered", n, tries, len(d.texts()))
		}
		if strings.Count(r.log.String(), "succeed again") > 3 {
			t.Errorf("%d times the log says that deliveries succeed again", strings.Count(r.log.String(), "succeed again"))
		}
		r.stop()
	})
}

// TestAskedWaitIsKept: what the destination has asked for holds, also when a call beside fails otherwise.
func TestAskedWaitIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		c := &carrier{start: start}
		c.deliver = func(_ context.Context, batch []action.Message) error {
			if batch[0].Text == "1" {
				return action.After(errors.New("429"), time.Hour)
			}
			time.Sleep(time.Second)
			return errors.New("503")
		}
		r := newRig(t, newMemory(numbered(1, 2)...), c)
		r.routes.Actions[0].Concurrency = 2
		r.start()
		time.Sleep(59 * time.Minute)
		synctest.Wait()
		if calls := c.told(); len(calls) != 2 {
			t.Errorf("calls within the hour that the destination asked for: %q", calls)
		}
		r.stop()
	})
}

// TestAskedWaitSurvivesSuccessBeside: nor does a success beside it, or a restart, end that wait.
func TestAskedWaitSurvivesSuccessBeside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &carrier{start: time.Now()}
		c.deliver = func(_ context.Context, batch []action.Message) error {
			if batch[0].Text == "1" {
				return action.After(errors.New("429"), time.Hour)
			}
			time.Sleep(time.Second)
			return nil
		}
		r := newRig(t, newMemory(numbered(1, 2)...), c)
		r.routes.Actions[0].Concurrency = 2
		r.start()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if s := r.router.Snapshot().Actions[0]; s.Failures == 0 || s.NextTry.IsZero() {
			t.Errorf("one waits for an hour, but the figures have %d failures, next try %v", s.Failures, s.NextTry)
		}
		r.stop()
		r.start()
		synctest.Wait()
		if calls := c.told(); len(calls) != 2 {
			t.Errorf("calls: %q", calls)
		}
		r.stop()
	})
}

// TestHiccupOfMany: one failure that many calls meet counts as one.
func TestHiccupOfMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		d := &destination{deliver: func(context.Context, []action.Message) error {
			if time.Since(start) < 2*time.Second {
				return errors.New("restarting")
			}
			return nil
		}}
		r := newRig(t, newMemory(numbered(1, 20)...), d)
		r.routes.Actions[0].Concurrency = 20
		r.start()
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if n := len(d.texts()); n != 20 {
			t.Errorf("20 s after an outage of 2 s %d of 20 are delivered: %+v", n, r.spool.Queue("a").Status().Failures)
		}
		r.stop()
	})
}

// TestBrokenOffBatchError: what a call that the stop broke off says of each message holds.
func TestBrokenOffBatchError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &destination{batch: 2, deliver: func(ctx context.Context, batch []action.Message) error {
			if len(batch) < 2 {
				return nil
			}
			<-ctx.Done()
			return &action.BatchError{Errs: []error{nil, ctx.Err()}}
		}}
		r := newRig(t, newMemory(numbered(1, 2)...), d)
		r.start()
		synctest.Wait()
		r.stop()
		d.deliver = nil
		r.start()
		synctest.Wait()
		got := d.texts()
		if fmt.Sprint(got) != "[1 2]" {
			t.Errorf("delivered %q: the first was accepted, and known to be, before the stop", got)
		}
		r.stop()
	})
}

// TestSpoolErrorWithCallsUnderWay: an error of the spool ends all, whatever is under way.
func TestSpoolErrorWithCallsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r *rig
		d := &destination{batch: 2}
		d.deliver = func(ctx context.Context, batch []action.Message) error {
			if batch[0].Text == "1" {
				<-ctx.Done()
				return ctx.Err()
			}
			time.Sleep(time.Second)
			r.spool.Close() // what it says from now on is an error
			return nil
		}
		r = newRig(t, newMemory(numbered(1, 6)...), d)
		r.routes.Actions[0].Concurrency = 2
		r.start()
		start := time.Now()
		select {
		case err := <-r.done:
			if took := time.Since(start); err == nil || took > time.Second+Grace+time.Second {
				t.Errorf("Run ended after %v: %v", took, err)
			}
		case <-time.After(time.Hour):
			t.Error("Run does not end")
		}
		r.cancel()
	})
}

// TestSlowBatch: a batch that is too slow for its time limit becomes smaller, and grows again by and by.
func TestSlowBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, seen := &destination{batch: 100}, map[string]int{}
		d.deliver = func(ctx context.Context, batch []action.Message) error {
			for _, m := range batch {
				seen[m.Text]++ // it has it
			}
			select {
			case <-time.After(time.Duration(len(batch)) * time.Second):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		r := newRig(t, newMemory(numbered(1, 100)...), d)
		r.start()
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if seen["100"] > 10 {
			t.Errorf("the last message was sent %d times, in %d calls", seen["100"], d.calls.Load())
		}
		r.stop()
	})
}

// TestGiveUpOfOne: one delivery that fails for ever does not take with it those behind it.
func TestGiveUpOfOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &destination{deliver: func(_ context.Context, batch []action.Message) error {
			if batch[0].Text == "1" {
				return errors.New("500")
			}
			return nil
		}}
		r := newRig(t, newMemory(numbered(1, 5)...), d)
		r.start()
		time.Sleep(80 * time.Hour)
		synctest.Wait()
		if n := len(r.letters()); n != 1 || len(d.texts()) != 4 {
			t.Errorf("%d dead letters, delivered %q: four were never tried", n, d.texts())
		}
		r.stop()
	})
}
