package router

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/journald-router/journald-router/action"
)

// TestOldestQueued: the oldest delivery, with several calls under way.
func TestOldestQueued(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		n := atomic.Int64{}
		d := &destination{}
		d.deliver = func(context.Context, []action.Message) error {
			if n.Add(1) == 1 {
				time.Sleep(500 * time.Millisecond)
			}
			time.Sleep(time.Second)
			return nil
		}
		j := newMemory(numbered(1, 2)...)
		r := newRig(t, j, d)
		r.routes.Actions[0].Concurrency = 2
		r.start()
		for i := range 600 { // two a second, as many as are delivered
			time.Sleep(500 * time.Millisecond)
			j.log(fmt.Sprint("X: ", i+3))
		}
		synctest.Wait()
		s := r.router.Snapshot().Actions[0]
		if age := time.Since(s.OldestQueued); age > 10*time.Second {
			t.Errorf("%d are queued, of which the oldest is said to be %v old (%v after the start)", s.Queued, age, s.OldestQueued.Sub(start))
		}
		r.stop()
	})
}

// TestOldestQueuedWithRate: the oldest delivery, while the rate has it wait.
func TestOldestQueuedWithRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(destination)
		j := newMemory("X: 1")
		r := newRig(t, j, d)
		r.routes.Actions[0].Rate = Rate{1, 2 * time.Hour, 1}
		r.start()
		time.Sleep(time.Hour)
		j.log("X: 2")
		time.Sleep(time.Second)
		synctest.Wait()
		s := r.router.Snapshot().Actions[0]
		if age := time.Since(s.OldestQueued); s.Queued != 1 || age > 10*time.Second {
			t.Errorf("%d are queued, of which the oldest is said to be %v old; it is a second", s.Queued, age)
		}
		r.stop()
	})
}

// TestOldestQueuedAfterRestart: the oldest delivery, while the destination is left alone after a restart.
func TestOldestQueuedAfterRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &destination{deliver: func(context.Context, []action.Message) error { return action.After(errors.New("429"), time.Hour) }}
		r := newRig(t, newMemory("X: 1"), d)
		r.start()
		synctest.Wait()
		r.stop()
		r.start()
		synctest.Wait()
		if s := r.router.Snapshot().Actions[0]; s.Queued != 1 || s.OldestQueued.IsZero() {
			t.Errorf("%d queued, the oldest of %v", s.Queued, s.OldestQueued)
		}
		r.stop()
	})
}
