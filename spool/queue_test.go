package spool

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/journald-router/journald-router/journal"
)

func TestQueuesAreIndependent(t *testing.T) {
	s := openSpool(t, t.TempDir())
	appendEntries(t, s, "c2", entry(1, "a", "b"), entry(2, "b"))
	appendEntries(t, s, "c3", entry(3, "a", "b"))
	a, b := s.Queue("a"), s.Queue("b")
	if diff := cmp.Diff([]string{"message 1", "message 3"}, texts(peek(t, a, 10))); diff != "" {
		t.Error("queue a (-want +got):\n", diff)
	}
	settle(t, a, peek(t, a, 10), Accepted, Accepted)
	if got := keys(t, s, "blocks"); got != 2 {
		t.Errorf("%d blocks, want 2: queue b needs them still", got)
	}
	if diff := cmp.Diff([]string{"message 1", "message 2"}, texts(peek(t, b, 2))); diff != "" {
		t.Error("queue b (-want +got):\n", diff)
	}
	settle(t, b, peek(t, b, 10), Accepted, Accepted, Accepted)
	for _, bucket := range [][]string{{"blocks"}, {"queues", "a"}, {"queues", "b"}} {
		if got := keys(t, s, bucket...); got != 0 {
			t.Errorf("%d keys are left in %v", got, bucket)
		}
	}
	if st := b.Status(); st.Queued != 0 || st.Bytes != 0 {
		t.Errorf("the empty queue counts %+v", st)
	}
	if batch := peek(t, b, 1); batch != nil {
		t.Errorf("the empty queue has %v", batch)
	}
}

func TestSettleEachDifferently(t *testing.T) {
	s := openSpool(t, t.TempDir())
	appendEntries(t, s, "c4", entry(1, "a"), entry(2, "a"), entry(3, "a"), entry(4, "a"))
	q := s.Queue("a")
	settle(t, q, peek(t, q, 3), Retry, Accepted, Rejected)
	s = reopen(t, s)
	q = s.Queue("a")
	batch := peek(t, q, 10)
	if diff := cmp.Diff([]string{"message 1", "message 4"}, texts(batch)); diff != "" {
		t.Fatal("left (-want +got):\n", diff)
	}
	if batch[0].Attempts != 1 || batch[1].Attempts != 0 {
		t.Errorf("attempts %d and %d, want 1 and 0", batch[0].Attempts, batch[1].Attempts)
	}
	if st := q.Status(); st.Queued != 2 || st.Failures.Count != 1 || st.Failures.Error != "no luck" {
		t.Errorf("status %+v", st)
	}
	settle(t, q, batch, Accepted, Accepted)
	if st := q.Status(); st.Queued != 0 || st.Failures != (Failures{}) {
		t.Errorf("status after success %+v", st)
	}
	if got := keys(t, s, "dead"); got != 1 {
		t.Errorf("%d dead letters, want 1", got)
	}
}

// TestRetryStateSurvives: the wait and the time since when it fails are the
// spool's, not the process's.
func TestRetryStateSurvives(t *testing.T) {
	s := openSpool(t, t.TempDir())
	appendEntries(t, s, "c2", entry(1, "a"), entry(2, "a"))
	q := s.Queue("a")
	for range 3 {
		if err := q.Settle(peek(t, q, 1), []Outcome{{Cause: "refused"}}, time.Hour, nil); err != nil {
			t.Fatal(err)
		}
	}
	before := q.Status().Failures
	s = reopen(t, s)
	q = s.Queue("a")
	after := q.Status().Failures
	if after.Count != 3 || after.Error != "refused" || after.Wait != time.Hour || !after.Since.Equal(before.Since) || !after.Last.Equal(before.Last) {
		t.Errorf("after reopening %+v\nbefore %+v", after, before)
	}
	if d := peek(t, q, 1)[0]; d.Attempts != 3 {
		t.Errorf("%d attempts, want 3", d.Attempts)
	}
	// Giving up is no sign of life; a refusal is.
	settle(t, q, peek(t, q, 1), GivenUp)
	if f := q.Status().Failures; !f.Since.Equal(before.Since) || f.Count != 4 {
		t.Errorf("after giving up: %+v", f)
	}
	settle(t, q, peek(t, q, 1), Rejected)
	if f := q.Status().Failures; f != (Failures{}) {
		t.Errorf("after a rejection: %+v", f)
	}
}

// TestFailingTime: only time in which the destination was tried counts against
// it, whatever the clock does and however long the machine was off.
func TestFailingTime(t *testing.T) {
	var f Failures
	now := time.Now()
	for range 10 {
		f.failed(now, time.Minute, "down")
		now = now.Add(90 * time.Second)
	}
	if want := 9 * 90 * time.Second; f.Lasted != want || f.LastedUntil(now) != want+90*time.Second {
		t.Errorf("lasted %v, want %v", f.Lasted, want)
	}
	for name, jump := range map[string]time.Duration{"off for a year": 365 * 24 * time.Hour, "clock set back": -time.Hour} {
		later := now.Add(jump)
		if got := f.LastedUntil(later) - f.Lasted; got < 0 || got > f.Wait+tryTime {
			t.Errorf("%s: %v counted", name, got)
		}
		if due := f.Due(later); due < 0 || due > f.Wait {
			t.Errorf("%s: due in %v", name, due)
		}
	}
}

func TestUntriedCountsForNothing(t *testing.T) {
	s := openSpool(t, t.TempDir())
	appendEntries(t, s, "c2", entry(1, "a"), entry(2, "a"))
	q := s.Queue("a")
	if err := q.Settle(peek(t, q, 2), []Outcome{{Fate: Accepted}, {Untried: true}}, 0, nil); err != nil {
		t.Fatal(err)
	}
	if st := q.Status(); st.Queued != 1 || st.Failures.Count != 0 {
		t.Errorf("status %+v", st)
	}
	if d := peek(t, q, 1)[0]; d.Attempts != 0 {
		t.Errorf("%d attempts, want 0", d.Attempts)
	}
}

// TestBacklogIsReadFromTheFile: what no longer is in memory comes back the same.
func TestBacklogIsReadFromTheFile(t *testing.T) {
	s := openSpool(t, t.TempDir())
	big := bytes.Repeat([]byte{'x'}, 3<<20)
	const n = 20 // more than recentLimit
	for i := range n {
		e := entry(i, "a")
		e.Record = journal.NewRecord(fmt.Sprint("c", i), time.Now(), 0, journal.Field{Name: "MESSAGE", Value: fmt.Appendf(big[:0:0], "%d %s", i, big)})
		e.To[0].Strip = 0
		appendEntries(t, s, fmt.Sprint("c", i), e)
	}
	if s.recent.size > recentLimit {
		t.Errorf("%d bytes are kept in memory, more than %d", s.recent.size, recentLimit)
	}
	q := s.Queue("a")
	for i := range n {
		batch := peek(t, q, 100)
		if len(batch) == 0 || len(batch) > 3 {
			t.Fatalf("a batch of %d, want 1 to 3: it is bounded in bytes", len(batch))
		}
		if text := batch[0].Text(); !strings.HasPrefix(text, fmt.Sprintf("%d xxx", i)) || len(text) < len(big) {
			t.Fatalf("delivery %d begins with %.20q and has %d bytes", i, text, len(text))
		}
		settle(t, q, batch[:1], Accepted)
	}
	if s.recent.size != 0 || len(s.recent.order) != 0 {
		t.Errorf("memory still holds %d blocks of %d bytes", len(s.recent.order), s.recent.size)
	}
}

func TestReadyAndFreed(t *testing.T) {
	s := openSpool(t, t.TempDir())
	q := s.Queue("a")
	freed := s.Freed()
	appendEntries(t, s, "c1", entry(1, "a"))
	select {
	case <-q.Ready():
	default:
		t.Error("Ready is silent after an append")
	}
	settle(t, q, peek(t, q, 1), Accepted)
	select {
	case <-freed:
	default:
		t.Error("Freed is open after a delivery left")
	}
}
