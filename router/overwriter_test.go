package router

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/journald-router/journald-router/action"
)

type overwriter struct{ *destination }

func (overwriter) Overwriter() {}

// TestOverwriter: a call of an Overwriter begins only once the one before is settled,
// so that no more than one is repeated after a crash; others begin earlier.
func TestOverwriter(t *testing.T) {
	for name, overwrites := range map[string]bool{"an Overwriter": true, "another": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const all = 20
				var r *rig
				var delivered, early atomic.Int64
				d := &destination{batch: 3, deliver: func(_ context.Context, batch []action.Message) error {
					if delivered.Load() > 0 && r.router.Spool.Queue("a").Status().Queued != all-delivered.Load() {
						early.Add(1)
					}
					time.Sleep(time.Second) // all are in the queue when the second call begins
					delivered.Add(int64(len(batch)))
					return nil
				}}
				var destination action.Action = d
				if overwrites {
					destination = overwriter{d}
				}
				r = newRig(t, newMemory(numbered(1, all)...), destination)
				r.start()
				time.Sleep(time.Minute)
				synctest.Wait()
				r.stop()
				if n := delivered.Load(); n != all {
					t.Fatalf("%d of %d delivered", n, all)
				}
				if overwrites != (early.Load() == 0) {
					t.Errorf("%d calls began before the last one was settled", early.Load())
				}
			})
		})
	}
}
