package metrics_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"golang.org/x/sys/unix"

	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/action/metrics"
	"github.com/journald-router/journald-router/spool"
)

// appended is a spool in the directory with so many orders for the action a.
func appended(t *testing.T, dir string, n int) *spool.Spool {
	t.Helper()
	s, err := spool.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	var entries []spool.Routed
	for i := range n {
		entries = append(entries, spool.Routed{Record: order(i, "DE", "2", "1", "3").Record, To: []spool.Target{{Rule: "r", Action: "a"}}})
	}
	if _, err := s.Append("journal", "c", entries, nil); err != nil {
		t.Fatal(err)
	}
	return s
}

// call delivers what is first in the queue, and returns how to settle that.
func call(t *testing.T, s *spool.Spool, a *metrics.Action, m *spool.Memory, n int) (settle func() error) {
	t.Helper()
	q := s.Queue("a")
	batch, err := q.Peek(n)
	if err != nil {
		t.Fatal(err)
	}
	var messages []action.Message
	for _, d := range batch {
		messages = append(messages, action.Message{ID: d.ID, Rule: d.Rule, Record: d.Record, Data: action.NewData(d.ID, d.Rule, "", nil, d.Record)})
	}
	deliver(t, a, messages...)
	outcomes := make([]spool.Outcome, len(batch))
	for i := range outcomes {
		outcomes[i].Fate = spool.Accepted
	}
	return func() error { return q.Settle(batch, outcomes, 0, m) }
}

func remembering(t *testing.T, s *spool.Spool) (*metrics.Action, *spool.Memory) {
	a, m := newAction(t, metrics.Config{"order_euros_total": shop()["order_euros_total"]}), s.Queue("a").Memory()
	a.Remember(m)
	return a, m
}

// TestCrashes: wherever the process dies, what was counted and what is queued are all
// there is, and nothing is shown that a crash takes back.
func TestCrashes(t *testing.T) {
	dir := t.TempDir()
	s := appended(t, dir, 10)
	reopen := func() {
		t.Helper()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		var err error
		if s, err = spool.OpenExisting(dir); err != nil {
			t.Fatal(err)
		}
	}
	euros := func(a *metrics.Action, queued int) {
		t.Helper()
		shows(t, a, fmt.Sprintf("order_euros_total %d", 2*(10-queued)))
		if n := s.Queue("a").Status().Queued; n != int64(queued) {
			t.Errorf("%d are queued, want %d", n, queued)
		}
	}
	a, m := remembering(t, s)
	settle := call(t, s, a, m, 3)
	euros(a, 10)
	if err := settle(); err != nil {
		t.Fatal(err)
	}
	euros(a, 7)
	call(t, s, a, m, 5)
	euros(a, 7)
	reopen() // the last call is as if it had never been
	a, m = remembering(t, s)
	euros(a, 7)
	settle = call(t, s, a, m, 5)

	// Reloaded: the new action begins while the old one's call is under way.
	b, m2 := remembering(t, s)
	euros(b, 7)
	if err := settle(); err != nil {
		t.Fatal(err)
	}
	euros(b, 2)
	if err := call(t, s, b, m2, 5)(); err != nil {
		t.Fatal(err)
	}
	euros(b, 0)
	reopen()
	a, _ = remembering(t, s)
	euros(a, 0)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestSettleFails: while the disk is full, what was counted is not shown; it counts once
// when it can be noted.
func TestSettleFails(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=2m"); err != nil {
		t.Fatalf("mount a small file system, which takes root: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	// Nothing is set aside for noting it: a file without blocks stands for the reserve.
	reserve := filepath.Join(dir, "spool.reserve")
	if err := errors.Join(os.WriteFile(reserve, nil, 0o600), os.Truncate(reserve, 4<<20)); err != nil {
		t.Fatal(err)
	}
	s := appended(t, dir, 4000)
	defer s.Close()
	a, m := remembering(t, s)
	settle := call(t, s, a, m, 3)
	if err := os.WriteFile(filepath.Join(dir, "filler"), make([]byte, 4<<20), 0o600); err == nil {
		t.Fatal("the disk is not full")
	}
	failed := 0
	for settle() != nil {
		shows(t, a, "order_euros_total 0")
		if failed++; failed == 3 {
			if err := unix.Mount("", dir, "", unix.MS_REMOUNT, "size=16m"); err != nil {
				t.Fatal(err)
			}
		}
	}
	if failed != 3 {
		t.Errorf("it has failed %d times, want 3", failed)
	}
	shows(t, a, "order_euros_total 6")
	if err := call(t, s, a, m, 2)(); err != nil {
		t.Fatal(err)
	}
	shows(t, a, "order_euros_total 10")
}

// TestScrapedMeanwhile: scrapes and calls do not get into each other's way, and no scrape
// sees less than one before.
func TestScrapedMeanwhile(t *testing.T) {
	const n = 200
	s := appended(t, t.TempDir(), n)
	defer s.Close()
	a, m := remembering(t, s)
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for last := 0.0; ; {
				now := testutil.ToFloat64(a)
				if now < last {
					t.Errorf("%v euros after %v", now, last)
				}
				last = now
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	for range n / 10 {
		if err := call(t, s, a, m, 10)(); err != nil {
			t.Fatal(err)
		}
	}
	close(done)
	wg.Wait()
	shows(t, a, fmt.Sprintf("order_euros_total %d", 2*n))
}
