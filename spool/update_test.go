package spool

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	bolt "go.etcd.io/bbolt"
)

// together makes the changes in one transaction, in this order, and returns their
// errors.
func together(t *testing.T, s *Spool, changes ...func() error) []error {
	t.Helper()
	errs := make([]error, len(changes))
	var all sync.WaitGroup
	s.write.Lock()
	for i, c := range changes {
		all.Go(func() { errs[i] = c() })
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
			s.mu.Lock()
			n := len(s.waiting)
			s.mu.Unlock()
			if n > i {
				break
			}
			if time.Now().After(deadline) {
				t.Error("a change does not wait for its transaction")
				break
			}
		}
	}
	s.write.Unlock()
	all.Wait()
	return errs
}

func transaction(t *testing.T, s *Spool) (id int) {
	t.Helper()
	s.view(func(tx *bolt.Tx) error {
		id = tx.ID()
		return nil
	})
	return id
}

func TestWaitingChangesShareATransaction(t *testing.T) {
	s := openSpool(t, t.TempDir())
	appendEntries(t, s, "c0", entry(0, "a", "b"), entry(1, "a"))
	a, b := s.Queue("a"), s.Queue("b")
	ofA, ofB := peek(t, a, 10), peek(t, b, 10)
	before := transaction(t, s)
	large := sized(110, 1000)
	errs := together(t, s,
		func() error { _, err := s.Append("journal", "c1", large[:60], nil); return err },
		func() error { return a.Settle(ofA, []Outcome{{Fate: Accepted}, {Fate: Rejected, Cause: "no"}}, 0, nil) },
		func() error { _, err := s.Append("journal", "c2", large[60:], nil); return err },
		func() error { return b.Settle(ofB, []Outcome{{Cause: "later"}}, time.Hour, nil) },
	)
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	if n := transaction(t, s) - before; n != 1 {
		t.Errorf("%d transactions, want 1", n)
	}
	for _, when := range []string{"in memory", "opened again"} {
		a, b = s.Queue("a"), s.Queue("b")
		got := peek(t, a, 1000)
		if len(got) != 110 || a.Status().Queued != 110 {
			t.Fatalf("%s: %d deliveries, counted %d, want 110", when, len(got), a.Status().Queued)
		}
		bytesOfA := int64(0)
		for i, e := range large {
			if !bytes.Equal(e.Record.Packed(), got[i].Record.Packed()) {
				t.Fatalf("%s: record %d is another one", when, i)
			}
			bytesOfA += int64(len(e.Record.Packed()))
		}
		if got := a.Status().Bytes; got != bytesOfA {
			t.Errorf("%s: %d bytes, want %d", when, got, bytesOfA)
		}
		if st := b.Status(); st.Queued != 1 || st.Failures.Count != 1 || keys(t, s, "dead") != 1 {
			t.Errorf("%s: queue b %+v, %d letters", when, st, keys(t, s, "dead"))
		}
		if p, err := s.Position("journal"); p != "c2" || err != nil {
			t.Errorf("%s: position %q, %v", when, p, err)
		}
		s = reopen(t, s)
	}
	s.Close()
}

// TestOneChangeFails, and the others are as good as if it had not been there.
func TestOneChangeFails(t *testing.T) {
	s := openSpool(t, t.TempDir())
	defer s.Close()
	bad := errors.New("bad")
	errs := together(t, s,
		func() error { _, err := s.Append("journal", "c1", []Routed{entry(1, "a")}, nil); return err },
		func() error {
			return s.update("spoil", func(tx *bolt.Tx) (func(), error) {
				tx.Bucket(bucketPositions).Put([]byte("journal"), []byte("spoiled"))
				return func() { t.Error("a change that has failed is in memory") }, bad
			})
		},
		func() error { _, err := s.Append("another", "c2", []Routed{entry(2, "a", "b")}, nil); return err },
		func() error { _, err := s.Invocations("one"); return err },
	)
	for i, err := range errs {
		if want := i == 1; errors.Is(err, bad) != want || (err != nil) != want {
			t.Errorf("change %d: %v", i, err)
		}
	}
	if diff := cmp.Diff([]string{"message 1", "message 2"}, texts(peek(t, s.Queue("a"), 10))); diff != "" {
		t.Error("queue a (-want +got):\n", diff)
	}
	if st := s.Queue("a").Status(); st.Queued != 2 {
		t.Errorf("counted %d, want 2", st.Queued)
	}
	if ids, err := s.Invocations("two"); len(ids) != 2 || err != nil {
		t.Errorf("invocations %q, %v; want one and two", ids, err)
	}
	if p, err := s.Position("journal"); p != "c1" || err != nil {
		t.Errorf("position %q, %v", p, err)
	}
}

// TestAgainstModelTogether is TestAgainstModel with everybody at it at once: each
// queue has its worker, who fails now and then, and one appends.
func TestAgainstModelTogether(t *testing.T) {
	const entries = 300
	s := openSpool(t, t.TempDir())
	var all sync.WaitGroup
	all.Go(func() {
		for n := 0; n < entries; n += 3 {
			batch := []Routed{entry(n, "a", "b", "c"), entry(n+1, "a", "c"), entry(n+2, "b", "c")}
			if _, err := s.Append("journal", fmt.Sprint("c", n+2), batch, nil); err != nil {
				t.Error(err)
			}
		}
	})
	for i, name := range []string{"a", "b", "c"} {
		all.Go(func() { workAgainstModel(t, s.Queue(name), i, entries) })
	}
	all.Wait()
	s = reopen(t, s)
	defer s.Close()
	for _, q := range s.Queues() {
		if q.Queued != 0 || q.Bytes != 0 {
			t.Errorf("queue %s counts %d deliveries of %d bytes, want none", q.Action, q.Queued, q.Bytes)
		}
	}
	if got := keys(t, s, "blocks"); got != 0 {
		t.Errorf("%d blocks are left", got)
	}
}

// workAgainstModel accepts, in turns, all of a batch, or all but the first, which
// must come again.
func workAgainstModel(t *testing.T, q *Queue, skip, entries int) {
	var want []string
	for n := range entries {
		if skip == 2 || n%3 != []int{2, 1}[skip] {
			want = append(want, fmt.Sprint("message ", n))
		}
	}
	for round := 0; len(want) > 0; round++ {
		batch, err := q.Peek(5)
		if err != nil {
			t.Error(err)
			return
		}
		if len(batch) == 0 {
			<-q.Ready()
			continue
		}
		if diff := cmp.Diff(want[:len(batch)], texts(batch)); diff != "" {
			t.Errorf("queue %s (-want +got):\n%s", q.action, diff)
			return
		}
		outcomes := make([]Outcome, len(batch))
		for i := range outcomes {
			outcomes[i].Fate = Accepted
		}
		left := want[:0:0]
		if round%2 == 0 {
			outcomes[0].Fate = Retry
			left = want[:1:1]
		}
		if err := q.Settle(batch, outcomes, 0, nil); err != nil {
			t.Error(err)
			return
		}
		want = append(left, want[len(batch):]...)
	}
}

// TestFailedChangeLeavesNoBlock: a number that was given to a block in a transaction
// that failed is another block's afterwards.
func TestFailedChangeLeavesNoBlock(t *testing.T) {
	s := openSpool(t, t.TempDir())
	defer s.Close()
	calls, bad := 0, errors.New("bad")
	errs := together(t, s,
		func() error {
			return s.update("once", func(tx *bolt.Tx) (func(), error) {
				if calls++; calls > 1 {
					return nil, bad
				}
				_, then, err := s.enqueue(tx, []Routed{entry(1, "a"), entry(2, "a")}, nil, time.Now())
				return then, err
			})
		},
		func() error {
			bound := Bound{MaxBytes: entryBytes + 1, WhenFull: DropOldest}
			_, err := s.Append("journal", "c3", []Routed{entry(3, "a")}, map[string]Bound{"a": bound})
			return err
		},
		func() error {
			return s.update("spoil", func(*bolt.Tx) (func(), error) { return nil, bad })
		},
	)
	if calls != 2 || !errors.Is(errs[0], bad) || errs[1] != nil || !errors.Is(errs[2], bad) {
		t.Fatalf("%d calls, errors %v", calls, errs)
	}
	s.mu.Lock()
	s.recent = recentBlocks{} // as if it was full
	s.mu.Unlock()
	if diff := cmp.Diff([]string{"message 3"}, texts(peek(t, s.Queue("a"), 10))); diff != "" {
		t.Error("queue a (-want +got):\n", diff)
	}
}
