package spool

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/journald-router/journald-router/journal"
	bolt "go.etcd.io/bbolt"
)

func openSpool(t *testing.T, dir string) *Spool {
	t.Helper()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func reopen(t *testing.T, s *Spool) *Spool {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return openSpool(t, filepath.Dir(s.path))
}

// entry is one entry whose cursor and message are made from n.
func entry(n int, actions ...string) Routed {
	e := Routed{Record: journal.NewRecord(fmt.Sprintf("c%d", n), time.UnixMicro(int64(n)), 0,
		journal.Field{Name: "MESSAGE", Value: fmt.Appendf(nil, "X: message %d", n)})}
	for _, a := range actions {
		e.To = append(e.To, Target{Action: a, Rule: "rule", Strip: 3, Captures: map[string]string{"n": fmt.Sprint(n)}})
	}
	return e
}

func appendEntries(t *testing.T, s *Spool, position string, entries ...Routed) {
	t.Helper()
	if _, err := s.Append("journal", position, entries, nil); err != nil {
		t.Fatal(err)
	}
}

func peek(t *testing.T, q *Queue, limit int) []Delivery {
	t.Helper()
	batch, err := q.Peek(limit)
	if err != nil {
		t.Fatal(err)
	}
	return batch
}

func settle(t *testing.T, q *Queue, batch []Delivery, fates ...Fate) {
	t.Helper()
	outcomes := make([]Outcome, len(fates))
	for i, f := range fates {
		outcomes[i].Fate = f
		if f != Accepted {
			outcomes[i].Cause = "no luck"
		}
	}
	if err := q.Settle(batch, outcomes, 0, nil); err != nil {
		t.Fatal(err)
	}
}

func texts(batch []Delivery) []string {
	var all []string
	for _, d := range batch {
		all = append(all, d.Text())
	}
	return all
}

// keys counts what a bucket holds.
func keys(t *testing.T, s *Spool, path ...string) int {
	t.Helper()
	n := 0
	err := s.db.View(func(tx *bolt.Tx) error {
		b := tx.Bucket([]byte(path[0]))
		for _, name := range path[1:] {
			b = b.Bucket([]byte(name))
		}
		return b.ForEach(func(_, _ []byte) error { n++; return nil })
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestDeliveryKeepsEverything(t *testing.T) {
	s := openSpool(t, t.TempDir())
	appendEntries(t, s, "c1", entry(1, "a"))
	for _, when := range []string{"from memory", "from the file"} {
		batch := peek(t, s.Queue("a"), 10)
		if len(batch) != 1 {
			t.Fatalf("%s: %d deliveries, want 1", when, len(batch))
		}
		d := batch[0]
		if d.ID != DeliveryID("c1", "rule", "a") || d.Rule != "rule" || d.Action != "a" || d.Text() != "message 1" ||
			d.Captures["n"] != "1" || d.Record.Cursor() != "c1" || time.Since(d.QueuedAt) > time.Hour {
			t.Errorf("%s: got %+v", when, d)
		}
		s = reopen(t, s)
	}
	if p, err := s.Position("journal"); p != "c1" || err != nil {
		t.Errorf("Position = %q, %v, want c1", p, err)
	}
	if p, err := s.Position("another"); p != "" || err != nil {
		t.Errorf("Position of an unknown source = %q, %v, want nothing", p, err)
	}
}

func TestDeliveryIDDependsOnEachPart(t *testing.T) {
	seen := make(map[string]string)
	for _, parts := range [][3]string{{"c", "r", "a"}, {"d", "r", "a"}, {"c", "s", "a"}, {"c", "r", "b"}, {"cr", "", "a"}, {"c", "ra", ""}} {
		id := DeliveryID(parts[0], parts[1], parts[2])
		if len(id) != 32 {
			t.Errorf("id %q has not 32 digits", id)
		}
		if other, ok := seen[id]; ok {
			t.Errorf("%q and %s have the same id", parts, other)
		}
		seen[id] = fmt.Sprint(parts)
	}
}

func TestInvocationsAreRemembered(t *testing.T) {
	s := openSpool(t, t.TempDir())
	var got []string
	for i := range 70 {
		s = reopen(t, s)
		var err error
		if got, err = s.Invocations(fmt.Sprint("id", i)); err != nil {
			t.Fatal(err)
		}
	}
	if len(got) != 64 || got[0] != "id6" || got[63] != "id69" {
		t.Errorf("remembered %d: %v", len(got), got)
	}
}

// TestAgainstModel does random things to a spool, with reopenings and compactions, and
// to a simple model of it, and compares.
func TestAgainstModel(t *testing.T) {
	actions := []string{"a", "b", "c"}
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 0))
		s := openSpool(t, t.TempDir())
		model := make(map[string][]string)
		dead, next := 0, 0
		for range 300 {
			switch r.IntN(11) {
			case 0:
				s = reopen(t, s)
			case 10:
				if err := s.compact(); err != nil {
					t.Fatal(err)
				}
			case 1, 2, 3:
				var entries []Routed
				for range 1 + r.IntN(5) {
					var to []string
					for _, a := range actions {
						if r.IntN(2) == 0 {
							to = append(to, a)
							model[a] = append(model[a], fmt.Sprintf("message %d", next))
						}
					}
					entries = append(entries, entry(next, to...))
					next++
				}
				appendEntries(t, s, fmt.Sprint("c", next), entries...)
			default:
				a := actions[r.IntN(len(actions))]
				q := s.Queue(a)
				batch := peek(t, q, 1+r.IntN(4))
				if diff := cmp.Diff(model[a][:len(batch)], texts(batch)); diff != "" {
					t.Fatalf("seed %d: queue %s (-want +got):\n%s", seed, a, diff)
				}
				var left []string
				fates := make([]Fate, len(batch))
				for i := range batch {
					fates[i] = Fate(r.IntN(4))
					switch fates[i] {
					case Retry:
						left = append(left, model[a][i])
					case Rejected, GivenUp:
						dead++
					}
				}
				settle(t, q, batch, fates...)
				model[a] = append(left, model[a][len(batch):]...)
			}
			for _, a := range actions {
				if got := s.Queue(a).Status().Queued; got != int64(len(model[a])) {
					t.Fatalf("seed %d: queue %s counts %d, want %d", seed, a, got, len(model[a]))
				}
			}
		}
		if got := keys(t, s, "dead"); got != dead {
			t.Errorf("seed %d: %d dead letters, want %d", seed, got, dead)
		}
		for _, a := range actions {
			if diff := cmp.Diff(model[a], texts(peek(t, s.Queue(a), 1<<20))); diff != "" {
				t.Errorf("seed %d: at the end, queue %s (-want +got):\n%s", seed, a, diff)
			}
		}
		s.Close()
	}
}
