package router

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/spool"
)

// counter counts what is delivered, in its memory.
type counter struct {
	*destination
	memory action.Memory
	early  int // calls that began before what the last one put was on disk
}

func newCounter() *counter {
	c := &counter{destination: &destination{batch: 3}}
	c.deliver = func(_ context.Context, batch []action.Message) error {
		time.Sleep(time.Second)
		c.memory.Put("n", strconv.AppendInt(nil, number(c.memory.Get("n"))+int64(len(batch)), 10))
		return nil
	}
	return c
}

func (c *counter) Remember(m action.Memory) { c.memory = m }

func (c *counter) Deliver(ctx context.Context, batch []action.Message) error {
	if durable := maps.Collect(c.memory.Durable("n")); !bytes.Equal(durable["n"], c.memory.Get("n")) {
		c.early++
	}
	return c.destination.Deliver(ctx, batch)
}

func number(b []byte) int64 {
	n, _ := strconv.ParseInt(string(b), 10, 64)
	return n
}

// TestRememberer: whenever the process dies, what an action remembers of its calls and
// what is left in its queue belong together, also over a reload and a failure.
func TestRememberer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const all = 50
		first, second := newCounter(), newCounter()
		r := newRig(t, newMemory(numbered(1, all)...), first)
		fail, deliver := true, second.deliver
		second.deliver = func(ctx context.Context, batch []action.Message) error {
			if err := deliver(ctx, batch[:1]); err != nil || len(batch) == 1 {
				return err
			}
			if fail = !fail; fail { // the first of several is counted
				errs := make([]error, len(batch))
				for i := range errs[1:] {
					errs[i+1] = errors.New("down")
				}
				return &action.BatchError{Errs: errs}
			}
			return deliver(ctx, batch[1:])
		}
		r.start()
		look := func() {
			t.Helper()
			counted, queued := asAfterCrash(t, r.dir)
			if counted+queued != all {
				t.Fatalf("%d counted and %d queued after a crash now; %d in all", counted, queued, all)
			}
		}
		time.Sleep(100 * time.Millisecond) // all are queued
		for range 4 {
			time.Sleep(700 * time.Millisecond)
			look()
		}
		routes := r.routes
		routes.Actions = []Action{r.routes.Actions[0]}
		routes.Actions[0].Destination = second
		if err := r.router.Reload(t.Context(), routes); err != nil {
			t.Fatal(err)
		}
		for range 60 {
			time.Sleep(700 * time.Millisecond)
			look()
		}
		time.Sleep(time.Hour)
		look()
		r.stop()
		if counted, queued := asAfterCrash(t, r.dir); counted != all || queued != 0 {
			t.Errorf("%d of %d counted, %d queued", counted, all, queued)
		}
		if first.early+second.early > 0 {
			t.Errorf("%d and %d calls began too early", first.early, second.early)
		}
	})
}

// asAfterCrash is what a spool says that is opened after a crash now: what the action a
// has counted, and what it still has to.
func asAfterCrash(t *testing.T, dir string) (counted, queued int64) {
	t.Helper()
	file, err := os.ReadFile(filepath.Join(dir, spool.File))
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, spool.File), file, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := spool.OpenExisting(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	q := s.Queue("a")
	return number(q.Memory().Get("n")), q.Status().Queued
}
