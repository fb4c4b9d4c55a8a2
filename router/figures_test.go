package router

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/journal"
)

// TestSnapshotCounts: an entry for two actions, of which one refuses one message
// and fails at another, with a secret in what it says.
func TestSnapshotCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		works := new(destination)
		fails := &destination{deliver: func(_ context.Context, batch []action.Message) error {
			switch batch[0].Text {
			case "bad":
				return action.Permanent(errors.New("refused: xoxb-1"))
			case "down":
				return errors.New("no route: xoxb-1")
			}
			return nil
		}}
		r := newRig(t, newMemory("X: good", "none", "X: bad", "X: down", "X: behind"), works, fails)
		r.routes.Actions[1].Redact = func(s string) string { return strings.ReplaceAll(s, "xoxb-1", "[secret]") }
		r.routes.Actions[1].Retry.Min = time.Hour
		r.routes.Actions[1].Retry.Max = time.Hour
		start := time.Now()
		r.start()
		synctest.Wait()
		got := r.router.Snapshot()
		next := got.Actions[1].NextTry
		if wait := next.Sub(start); wait < 30*time.Minute || wait > time.Hour {
			t.Errorf("the next try is in %v", wait)
		}
		for i := range got.Actions {
			got.Actions[i].Bytes = 0
		}
		if got.SpoolLiveBytes == 0 || got.SpoolBytes < got.SpoolLiveBytes {
			t.Errorf("the spool has %d bytes, of which %d are in use", got.SpoolBytes, got.SpoolLiveBytes)
		}
		got.SpoolBytes, got.SpoolLiveBytes = 0, 0
		want := Snapshot{
			Time: start, Started: start, Journal: "journal", State: Waiting, Since: start,
			Position: Position{Cursor: "5"}, EntriesMatched: 4, DeliveriesAppended: 8,
			Actions: []ActionSnapshot{
				{Name: "a", Kind: "test", MaxBytes: DefaultQueueBytes, Appended: 4, Delivered: 4, LastSuccess: start},
				{
					Name: "b", Kind: "test", MaxBytes: DefaultQueueBytes, Queued: 2, OldestQueued: start, Appended: 4, Delivered: 1,
					FailedAttempts: 2, Buried: 1, LastSuccess: start, LastFailure: start, LastError: "no route: [secret]", Failures: 1, NextTry: next,
				},
			},
			Rules:       []RuleSnapshot{{Name: "r", Hits: 4, LastHit: start}},
			DeadLetters: map[string]int{"b": 1},
		}
		// Entries have whole microseconds.
		if diff := cmp.Diff(want, got, cmpopts.EquateApproxTime(time.Microsecond), cmpopts.EquateEmpty()); diff != "" {
			t.Error("(-want +got):\n", diff)
		}
		if err := got.Ready(); err != nil {
			t.Errorf("not ready: %v", err)
		}
		if text, err := json.Marshal(got); err != nil || strings.Contains(string(text), "xoxb") {
			t.Errorf("JSON: %s, %v", text, err)
		}
		r.stop()

		// After a restart the queue still tells of its failure.
		r.start()
		synctest.Wait()
		again := r.router.Snapshot().Actions[1]
		if again.Queued != 2 || again.Failures != 1 || again.LastError != "no route: [secret]" || !again.NextTry.Equal(next) || again.Delivered != 0 {
			t.Errorf("after a restart: %+v", again)
		}
		r.stop()
	})
}

func TestSnapshotOfAQueueWithoutAnAction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &destination{deliver: func(context.Context, []action.Message) error { return errors.New("down") }}
		r := newRig(t, newMemory("X: 1"), d, new(destination))
		r.start()
		synctest.Wait()
		routes := r.routes
		routes.Actions = routes.Actions[1:]
		if err := r.router.Reload(t.Context(), routes); err != nil {
			t.Fatal(err)
		}
		got := r.router.Snapshot().Actions
		if len(got) != 2 || got[0].Name != "b" || got[1].Name != "a" || got[1].Kind != "" || got[1].Queued != 1 {
			t.Errorf("actions: %+v", got)
		}
		r.stop()
	})
}

// TestNotReady: a full queue, and a journal that cannot be read, until they are
// mended.
func TestNotReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var up atomic.Bool
		d := &destination{deliver: func(context.Context, []action.Message) error {
			if up.Load() {
				return nil
			}
			return errors.New("down")
		}}
		r := newRig(t, newMemory("X: 1"), d)
		r.routes.Actions[0].MaxBytes = 1
		r.start()
		synctest.Wait()
		ready := func(want string) {
			t.Helper()
			synctest.Wait()
			s := r.router.Snapshot()
			if got := fmt.Sprint(s.Ready()); got != want {
				t.Errorf("at %v: %s, want %s", time.Now(), got, want)
			}
		}
		ready("<nil>")
		r.journal.log("X: 2")
		ready("reading has stopped: the queue of action a is full")
		time.Sleep(10 * time.Second)
		if s := r.router.Snapshot(); s.State != QueueFull || s.LagSeconds < 9 {
			t.Errorf("behind a full queue: %s for %v s", s.State, s.LagSeconds)
		}
		up.Store(true)
		time.Sleep(time.Minute)
		ready("<nil>")

		r.journal.mu.Lock()
		r.journal.fail[3] = errors.New("bad message")
		r.journal.mu.Unlock()
		r.journal.log("X: 3")
		ready("the journal cannot be read: bad message")
		time.Sleep(time.Minute)
		ready("<nil>")
		s := r.router.Snapshot()
		if e := s.ReaderErrors; e.Count != 1 || e.LastError != "bad message" || s.LagSeconds != 0 {
			t.Errorf("reader errors %+v, %v s behind", e, s.LagSeconds)
		}
		r.stop()
	})
}

// TestLag is that of the last entry read, but no more than the time since reading
// had caught up.
func TestLag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lag := func(f *figures) float64 { return f.snapshot(time.Now()).LagSeconds }
		f := newFigures()
		if got := lag(f); got != 0 {
			t.Errorf("before the start %v", got)
		}
		f.opened(fmt.Sprintf("s=1;t=%x;x=2", time.Now().Add(-time.Hour).UnixMicro()))
		if got := lag(f); got != 3600 {
			t.Errorf("after an hour's absence %v", got)
		}
		f.to(Waiting, "")
		time.Sleep(time.Minute)
		if got := lag(f); got != 0 {
			t.Errorf("while waiting %v", got)
		}
		f.to(Waiting, "")
		f.to(Reading, "")
		time.Sleep(time.Second)
		if got := lag(f); got != 1 {
			t.Errorf("a second after it had caught up %v", got)
		}
		f.opened(fmt.Sprintf("s=1;t=%x;x=2", time.Now().Add(time.Hour).UnixMicro()))
		if got := lag(f); got != 0 {
			t.Errorf("of an entry from the future %v", got)
		}
	})
}

func TestLosses(t *testing.T) {
	r := New(Options{}, Routes{Rules: parseRules(t, `[{name: r, prefix: x, actions: a}]`)})
	at := time.Unix(1e9, 0)
	r.CountGap(journal.Gap{After: at, Until: at.Add(time.Hour), Entries: 5})
	r.CountGap(journal.Gap{Until: at.Add(2 * time.Hour)})
	r.CountDamage(journal.Damage{After: at, Until: at, Entries: 3})
	r.CountFieldsCut(2)
	s := r.figures.snapshot(time.Now())
	if want := (Losses{Count: 2, Entries: 5, LastUntil: at.Add(2 * time.Hour)}); s.Gaps != want {
		t.Errorf("gaps %+v", s.Gaps)
	}
	if want := (Losses{Count: 1, Entries: 3, LastAfter: at, LastUntil: at}); s.Damages != want || s.FieldsCut != 2 {
		t.Errorf("damages %+v, %d fields", s.Damages, s.FieldsCut)
	}
}
