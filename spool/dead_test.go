package spool

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	bolt "go.etcd.io/bbolt"
)

// buried makes a spool with dead letters 1 to 4, of the actions a, b, a, b.
func buried(t *testing.T) *Spool {
	t.Helper()
	s := openSpool(t, t.TempDir())
	for n, action := range []string{"a", "b", "a", "b"} {
		appendEntries(t, s, "c", entry(n+1, action))
		settle(t, s.Queue(action), peek(t, s.Queue(action), 1), Rejected)
	}
	return s
}

// bury puts letters into the spool as they are.
func bury(t *testing.T, s *Spool, all ...Letter) {
	t.Helper()
	err := s.update("bury", func(tx *bolt.Tx) (func(), error) {
		dead := s.lettersIn(tx)
		for _, l := range all {
			if err := dead.bury(l); err != nil {
				return nil, err
			}
		}
		return dead.close()
	})
	if err != nil {
		t.Fatal(err)
	}
}

func id(n int) string {
	return DeliveryID(fmt.Sprint("c", n), "rule", []string{"a", "b"}[(n+1)%2])
}

func letters(t *testing.T, s *Spool, f Filter) []string {
	t.Helper()
	var all []string
	for l, err := range s.Letters(f) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, l.Text())
	}
	return all
}

func TestLettersAreChosen(t *testing.T) {
	s := buried(t)
	for _, test := range []struct {
		filter Filter
		want   []string
	}{
		{Filter{}, []string{"message 1", "message 2", "message 3", "message 4"}},
		{Filter{Action: "a"}, []string{"message 1", "message 3"}},
		{Filter{Rule: "rule", Action: "b"}, []string{"message 2", "message 4"}},
		{Filter{Rule: "another"}, nil},
		{Filter{IDs: []string{id(2), id(3)[:8]}}, []string{"message 2", "message 3"}},
		{Filter{IDs: []string{id(2)}, Action: "a"}, nil},
	} {
		if diff := cmp.Diff(test.want, letters(t, s, test.filter)); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", test.filter, diff)
		}
	}
}

func TestLetterKeepsEverything(t *testing.T) {
	s := openSpool(t, t.TempDir())
	appendEntries(t, s, "c1", entry(1, "a"))
	q := s.Queue("a")
	settle(t, q, peek(t, q, 1), Retry)
	outcome := Outcome{Fate: Rejected, Cause: "invalid_auth", Text: "as it was sent"}
	if err := q.Settle(peek(t, q, 1), []Outcome{outcome}, 0, nil); err != nil {
		t.Fatal(err)
	}
	s = reopen(t, s)
	for l, err := range s.Letters(Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(l.View())
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"time", "queued"} {
			at, err := time.Parse(time.RFC3339Nano, got[key].(string))
			if err != nil || time.Since(at) > time.Hour {
				t.Errorf("%s is %v", key, got[key])
			}
			delete(got, key)
		}
		want := map[string]any{
			"id": DeliveryID("c1", "rule", "a"), "rule": "rule", "action": "a", "attempts": 2.0,
			"cause": "invalid_auth", "text": "as it was sent", "captures": map[string]any{"n": "1"},
			"record": map[string]any{
				"__CURSOR": "c1", "__REALTIME_TIMESTAMP": "1", "__MONOTONIC_TIMESTAMP": "0", "MESSAGE": "X: message 1",
			},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error("letter (-want +got):\n", diff)
		}
	}
}

func TestRetriedLettersGoToTheEndOfTheirQueues(t *testing.T) {
	s := buried(t)
	appendEntries(t, s, "c9", entry(9, "a"))
	onlyA := func(action string) bool { return action == "a" }
	n, kept, err := s.RetryLetters(Filter{}, onlyA)
	if n != 2 || kept["b"] != 2 || err != nil {
		t.Errorf("RetryLetters = %d, %v, %v; want 2 retried, 2 of b kept", n, kept, err)
	}
	batch := peek(t, s.Queue("a"), 10)
	if diff := cmp.Diff([]string{"message 9", "message 1", "message 3"}, texts(batch)); diff != "" {
		t.Error("queue (-want +got):\n", diff)
	}
	if batch[1].ID != id(1) || batch[1].Attempts != 0 || batch[1].Captures["n"] != "1" {
		t.Errorf("the retried delivery is %+v, want the old id and no attempts", batch[1])
	}
	if diff := cmp.Diff([]string{"message 2", "message 4"}, letters(t, s, Filter{})); diff != "" {
		t.Error("letters left (-want +got):\n", diff)
	}
}

func TestDropLetters(t *testing.T) {
	s := buried(t)
	if n, err := s.DropLetters(Filter{IDs: []string{id(1)[:12], id(4)}}); n != 2 || err != nil {
		t.Errorf("DropLetters = %d, %v", n, err)
	}
	if diff := cmp.Diff([]string{"message 2", "message 3"}, letters(t, s, Filter{})); diff != "" {
		t.Error("letters left (-want +got):\n", diff)
	}
	if n, err := s.DropLetters(Filter{}); n != 2 || err != nil {
		t.Errorf("dropping the rest = %d, %v", n, err)
	}
}

func TestUnknownAndAmbiguousIDsChangeNothing(t *testing.T) {
	s := buried(t)
	_, err := s.DropLetters(Filter{IDs: []string{id(1), "ffffnone", "nor this"}})
	if !errors.Is(err, ErrNoLetter) || !strings.Contains(err.Error(), "ffffnone") || !strings.Contains(err.Error(), "nor this") {
		t.Errorf("unknown ids: %v, want ErrNoLetter for both", err)
	}
	for _, short := range []string{"", id(1)[:3]} {
		if _, err := s.DropLetters(Filter{IDs: []string{short}}); err == nil || !strings.Contains(err.Error(), "at least 4 digits") {
			t.Errorf("the id %q: %v", short, err)
		}
		if got := letters(t, s, Filter{IDs: []string{short}}); got != nil {
			t.Errorf("the id %q stands for %q", short, got)
		}
	}
	// Two ids that begin alike.
	twin := Letter{Delivery: Delivery{ID: id(1)[:8] + strings.Repeat("0", 24), Action: "a", Record: entry(5).Record}, BuriedAt: time.Now()}
	bury(t, s, twin)
	if _, _, err := s.RetryLetters(Filter{IDs: []string{id(1)[:8]}}, func(string) bool { return true }); err == nil || !strings.Contains(err.Error(), "more than one") {
		t.Errorf("an ambiguous id: %v", err)
	}
	if got := len(letters(t, s, Filter{})); got != 5 {
		t.Errorf("%d letters are left, want all 5", got)
	}
}

// TestLetterFromTheFuture: one that was buried while the clock was ahead can be
// taken as well.
func TestLetterFromTheFuture(t *testing.T) {
	s := buried(t)
	d := Delivery{ID: strings.Repeat("f", 32), Action: "a", Record: entry(5).Record}
	bury(t, s, Letter{Delivery: d, BuriedAt: time.Now().Add(24 * time.Hour)})
	if n, _, err := s.RetryLetters(Filter{IDs: []string{"ffff"}}, func(string) bool { return true }); n != 1 || err != nil {
		t.Errorf("RetryLetters = %d, %v", n, err)
	}
}

// TestBuriedMeanwhile: what comes while letters are taken out is left, also where
// some are from the future.
func TestBuriedMeanwhile(t *testing.T) {
	s := openSpool(t, t.TempDir())
	defer s.Close()
	letter := func(n int, at time.Time) Letter {
		return Letter{Delivery: Delivery{ID: fmt.Sprintf("%032d", n), Action: "a", Strip: 3, Record: entry(n).Record}, BuriedAt: at}
	}
	all := []Letter{letter(0, time.Now().Add(time.Hour))}
	const n = 501
	for i := 1; i < n; i++ {
		all = append(all, letter(i, time.Now()))
	}
	bury(t, s, all...)
	asked, buried := 0, []string(nil)
	got, _, err := s.RetryLetters(Filter{}, func(string) bool {
		if asked++; asked%100 == 0 {
			bury(t, s, letter(n+asked, time.Now()))
			buried = append(buried, fmt.Sprint("message ", n+asked))
		}
		return asked <= 2*n // else it would not end
	})
	if got != n || err != nil {
		t.Errorf("RetryLetters = %d, %v; want %d", got, err, n)
	}
	if diff := cmp.Diff(buried, letters(t, s, Filter{})); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
}

// TestManyLetters passes the limits of one transaction.
func TestManyLetters(t *testing.T) {
	s := openSpool(t, t.TempDir())
	const n = 1000
	var entries []Routed
	for i := range n {
		entries = append(entries, entry(i, "a"))
	}
	appendEntries(t, s, "c", entries...)
	q := s.Queue("a")
	fates := make([]Fate, n)
	for i := range fates {
		fates[i] = GivenUp
	}
	settle(t, q, peek(t, q, n), fates...)
	if got := len(letters(t, s, Filter{})); got != n {
		t.Errorf("%d letters, want %d", got, n)
	}
	if got, _, err := s.RetryLetters(Filter{}, func(string) bool { return true }); got != n || err != nil {
		t.Errorf("RetryLetters = %d, %v", got, err)
	}
	if got := s.Queue("a").Status().Queued; got != n {
		t.Errorf("%d are queued, want %d", got, n)
	}
}
