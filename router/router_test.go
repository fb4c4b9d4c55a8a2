package router

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/journald-router/journald-router/action"
)

func TestDeliversInOrderAndOnlyWhatMatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(destination)
		r := newRig(t, newMemory("X: 1", "no", "X: 2"), d)
		r.start()
		r.want(d, "1", "2")
		r.journal.log("no", "X: 3")
		r.want(d, "1", "2", "3")
		r.stop()
		r.start()
		r.journal.log("X: 4")
		r.want(d, "1", "2", "3", "4")
		r.stop()
	})
}

func TestStopIsNoAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hangs := &destination{deliver: func(ctx context.Context, _ []action.Message) error {
			<-ctx.Done()
			return ctx.Err()
		}}
		slow := &destination{deliver: func(context.Context, []action.Message) error {
			time.Sleep(Grace / 2)
			return nil
		}}
		r := newRig(t, newMemory("X: 1", "X: 2"), hangs, slow)
		r.start()
		synctest.Wait()
		start := time.Now()
		r.stop()
		if took := time.Since(start); took > Grace {
			t.Errorf("stopping took %v", took)
		}
		r.want(slow, "1")
		hangs.deliver, slow.deliver = nil, nil
		r.start()
		r.want(hangs, "1", "2")
		r.want(slow, "1", "2")
		if s := r.spool.Queue("a").Status(); s.Failures.Count != 0 || strings.Contains(r.log.String(), "delivery failed") {
			t.Errorf("being stopped counted as a failure: %+v\n%s", s, &r.log)
		}
		r.stop()
	})
}

func TestReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &destination{deliver: func(context.Context, []action.Message) error {
			time.Sleep(2 * time.Second)
			return nil
		}}
		r := newRig(t, newMemory("X: 1", "X: 2"), slow)
		r.start()
		synctest.Wait()
		next := new(destination)
		routes := r.routes
		routes.Actions = slices.Clone(routes.Actions)
		routes.Actions[0].Destination = next
		routes.Rules = parseRules(t, `[{name: r, prefix: "Y: ", actions: [a]}]`)
		if err := r.router.Reload(t.Context(), routes); err != nil {
			t.Fatal(err)
		}
		r.journal.log("X: old rule", "Y: 3")
		time.Sleep(3 * time.Second)
		r.want(slow, "1") // what was under way, and no more
		r.want(next, "2", "3")
		// Without its action a queue is kept, and told of.
		routes.Actions = nil
		if err := r.router.Reload(t.Context(), routes); err != nil {
			t.Fatal(err)
		}
		r.journal.log("Y: 4")
		synctest.Wait()
		if n := r.spool.Queue("a").Status().Queued; n != 1 {
			t.Errorf("%d queued, want 1", n)
		}
		if err := r.router.Reload(t.Context(), routes); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if !strings.Contains(r.log.String(), "its deliveries are kept") {
			t.Errorf("log:\n%s", &r.log)
		}
		r.stop()
	})
}

// TestActionIsTakenAwayAndPutBack while its old worker is still at it: a queue
// has one worker at a time.
func TestActionIsTakenAwayAndPutBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &destination{deliver: func(context.Context, []action.Message) error {
			time.Sleep(Grace - time.Second)
			return nil
		}}
		r := newRig(t, newMemory("X: 1", "X: 2", "X: 3"), slow)
		r.start()
		synctest.Wait()
		next := new(destination)
		none, again := r.routes, r.routes
		none.Actions = nil
		again.Actions = slices.Clone(r.routes.Actions)
		again.Actions[0].Destination = next
		for _, routes := range []Routes{none, again, none, again} {
			if err := r.router.Reload(t.Context(), routes); err != nil {
				t.Fatal(err)
			}
		}
		r.journal.log("X: 4")
		time.Sleep(time.Minute)
		r.want(slow, "1")
		r.want(next, "2", "3", "4")
		if q := r.spool.Queue("a").Status(); q.Queued != 0 || q.Bytes != 0 {
			t.Errorf("the empty queue counts %+v", q)
		}
		r.stop()
	})
}

func TestOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fails := 3
		d := &destination{deliver: func(context.Context, []action.Message) error {
			if fails--; fails >= 0 {
				return errors.New("not yet")
			}
			return nil
		}}
		r := newRig(t, newMemory("X: 1", "no"), d)
		r.journal.once = true
		r.options.Once = true
		r.start()
		if err := <-r.done; err != nil {
			t.Fatal(err)
		}
		r.want(d, "1")
		if p, _ := r.spool.Position("journal"); p != "2" || !r.router.ReadAll() {
			t.Errorf("position %s, want 2; read all: %v", p, r.router.ReadAll())
		}
		r.spool.Close()
	})
}

func TestStuckLoopIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		d := &destination{deliver: func(context.Context, []action.Message) error {
			<-release // heeds no context
			return nil
		}}
		r := newRig(t, newMemory("X: 1"), d)
		r.start()
		time.Sleep(action.DefaultTimeout)
		if err := r.router.Alive(); err != nil {
			t.Errorf("within its time limit: %v", err)
		}
		time.Sleep(5 * time.Minute)
		if err := r.router.Alive(); err == nil || !strings.Contains(err.Error(), "action a") {
			t.Errorf("Alive = %v, want the action's name", err)
		}
		close(release)
		synctest.Wait()
		if err := r.router.Alive(); err != nil {
			t.Errorf("after it moved again: %v", err)
		}
		r.stop()
	})
}
