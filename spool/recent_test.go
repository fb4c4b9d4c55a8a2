package spool

import (
	"testing"
	"time"
)

// The blocks of a worker that keeps up stay in memory, those that come when
// there is no room do not; a worker that does not keep up has to make room.
func TestRecentBlocks(t *testing.T) {
	const size = recentLimit / 4
	now := time.Now()
	var r recentBlocks
	add := func(number uint64, at time.Duration) {
		r.add(&block{number: number, queuedAt: now.Add(at), size: size})
	}
	has := func(want ...uint64) {
		t.Helper()
		var got []uint64
		for _, b := range r.order {
			got = append(got, b.number)
		}
		if len(got) != len(want) || len(got)*size != r.size {
			t.Fatalf("in memory: %v of %d bytes, want %v", got, r.size, want)
		}
		for i := range got {
			if got[i] != want[i] {
				t.Fatalf("in memory: %v, want %v", got, want)
			}
		}
	}
	crowded := func(at time.Duration, want bool) {
		t.Helper()
		if got := r.crowded(now.Add(at)); got != want {
			t.Errorf("crowded = %v, want %v", got, want)
		}
	}
	crowded(0, false)
	add(1, 0)
	add(2, 0)
	crowded(0, false)
	add(3, 0)
	crowded(0, true)
	add(4, 0)
	add(5, 0)
	has(1, 2, 3, 4)
	r.drop(1)
	add(6, time.Second)
	has(2, 3, 4, 6)
	crowded(time.Second, true)
	crowded(recentFor, false)
	add(7, recentFor)
	has(3, 4, 6, 7)
	r.add(&block{number: 8, queuedAt: now.Add(2 * recentFor), size: 2 * recentLimit})
	if len(r.order) != 1 || r.order[0].number != 8 {
		t.Errorf("one block alone may exceed the limit; in memory: %d blocks", len(r.order))
	}
	if r.get(7) != nil || r.get(8) == nil {
		t.Error("get finds what is not there, or not what is")
	}
}
