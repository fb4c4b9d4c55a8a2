//go:build torture

package torture

import (
	"fmt"
	"slices"
	"sync"
	"testing"
)

// A ledger is what the destination of one action has taken, over all lives of
// the program. The lines are numbered from 0.
type ledger struct {
	action string
	// open is how many calls there may be that the program has not noted: with batches
	// one more is begun before the last one is noted.
	open int
	// unseen says that the destination does not see calls: a life has one.
	unseen bool

	mu    sync.Mutex
	ids   map[int]string // the delivery id of each line
	lives []life         // the last is the present one
	next  int            // the first line that has never come
}

// A life is what came between two starts of the program.
type life struct {
	// calls are the lines of each call of the destination.
	calls [][]int
	// due is the line that the spool had at the head of the queue before this life:
	// its first one. It is unknown where nobody looked.
	due int
}

// unknown is a line that nobody has looked for.
const unknown = -1

func newLedger(action string) *ledger {
	return &ledger{action: action, open: 1, ids: make(map[int]string), lives: []life{{due: unknown}}}
}

// take notes one call with these lines and their delivery ids.
func (l *ledger) take(lines []int, ids []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := &l.lives[len(l.lives)-1]
	now.calls = append(now.calls, lines)
	for i, n := range lines {
		if _, ok := l.ids[n]; !ok {
			l.ids[n] = ids[i]
		}
		if l.ids[n] != ids[i] {
			l.ids[n] = "" // the check will tell
		}
		l.next = max(l.next, n+1)
	}
}

// restart begins another life, whose first line is to be the one that is due.
func (l *ledger) restart(due int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lives = append(l.lives, life{due: due})
}

// reached is the number of the first line that has never come.
func (l *ledger) reached() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.next
}

// counts are the result of a check.
type counts struct{ delivered, duplicated, lost int }

func (c counts) plus(d counts) counts {
	return counts{c.delivered + d.delivered, c.duplicated + d.duplicated, c.lost + d.lost}
}

// check holds the ledger against what is promised, after the last of that many
// lines. Within a life each line is the one after the last. At the start of a
// life it may also be the first line of one of the last calls before: the program
// died before it had noted what the destination took. wrong says what is not so.
func (l *ledger) check(lines int) (c counts, wrong []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	complain := func(format string, args ...any) {
		wrong = append(wrong, l.action+": "+fmt.Sprintf(format, args...))
	}
	came := make(map[int]bool)
	next, total := 0, 0
	var again []int // the first lines of the last calls
	for number, life := range l.lives {
		begins := func(n int) bool {
			return n == next || slices.Contains(again, n) || l.unseen && len(again) > 0 && n > again[0] && n < next
		}
		due := next
		if len(life.calls) > 0 && begins(life.calls[0][0]) {
			due = life.calls[0][0]
		}
		if life.due != unknown {
			if due = life.due; !begins(due) {
				complain("before life %d line %d was at the head of the queue; the last calls began with %d, and %d is new", number, due, again, next)
			}
		}
		if len(life.calls) > 0 {
			again = nil
		}
		for _, call := range life.calls {
			again = append(again, call[0])
			again = again[max(0, len(again)-l.open):]
			for _, n := range call {
				if n != due {
					complain("in life %d line %d came where %d was due", number, n, due)
				}
				came[n] = true
				due = n + 1
			}
			total += len(call)
			next = max(next, due)
		}
	}
	byID := make(map[string]int)
	for n, id := range l.ids {
		if other, ok := byID[id]; ok || id == "" {
			complain("line %d has no id of its own, or several (%q, as line %d)", n, id, other)
		}
		byID[id] = n
	}
	for n := range lines {
		if !came[n] {
			c.lost++
		}
	}
	c.delivered = len(came)
	c.duplicated = total - len(came)
	if c.lost > 0 || c.delivered > lines {
		complain("%d of %d lines came, %d are lost", c.delivered, lines, c.lost)
	}
	return c, wrong
}

// TestLedger: the check of all that follows finds what it is for.
func TestLedger(t *testing.T) {
	for _, tt := range []struct {
		name  string
		lives []life
		want  counts
		wrong int
	}{
		{"in order", []life{{calls: [][]int{{0}, {1}, {2, 3}}}}, counts{4, 0, 0}, 0},
		{"the last call again", []life{{calls: [][]int{{0}, {1, 2}}}, {}, {calls: [][]int{{1, 2, 3}}}}, counts{4, 2, 0}, 0},
		{"a call more than the last", []life{{calls: [][]int{{0}, {1}, {2}}}, {calls: [][]int{{1}, {2}, {3}}}}, counts{4, 2, 0}, 1},
		{"twice in one life", []life{{calls: [][]int{{0}, {1}, {1}, {2}, {3}}}}, counts{4, 1, 0}, 1},
		{"one is lost", []life{{calls: [][]int{{0}, {2}, {3}}}}, counts{3, 0, 1}, 2},
		{"the last is lost", []life{{calls: [][]int{{0}, {1}, {2}}}}, counts{3, 0, 1}, 1},
		{"out of order", []life{{calls: [][]int{{0}, {2}, {1}, {3}}}}, counts{4, 0, 0}, 3},
		{"settled, yet sent again", []life{{calls: [][]int{{0}, {1}}}, {due: 2, calls: [][]int{{1}, {2}, {3}}}}, counts{4, 1, 0}, 1},
		{"settled, yet queued", []life{{calls: [][]int{{0}, {1}, {2}}}, {due: 1, calls: [][]int{{1}, {2}, {3}}}}, counts{4, 2, 0}, 1},
	} {
		l := newLedger("test")
		l.lives = nil
		for _, life := range tt.lives {
			if life.due == 0 {
				life.due = unknown
			}
			l.restart(life.due)
			for _, call := range life.calls {
				ids := make([]string, len(call))
				for i, n := range call {
					ids[i] = fmt.Sprint("id", n)
				}
				l.take(slices.Clone(call), ids)
			}
		}
		got, wrong := l.check(4)
		if got != tt.want || len(wrong) != tt.wrong {
			t.Errorf("%s: %+v, %q; want %+v and %d complaints", tt.name, got, wrong, tt.want, tt.wrong)
		}
	}
	l := newLedger("test")
	l.take([]int{0}, []string{"a"})
	l.restart(unknown)
	l.take([]int{0}, []string{"b"})
	if _, wrong := l.check(1); len(wrong) != 1 {
		t.Errorf("another id for the same line: %q", wrong)
	}
}
