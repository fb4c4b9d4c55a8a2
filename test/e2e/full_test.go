package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/journald-router/journald-router/journal/journaltest"
	"github.com/journald-router/journald-router/router"
)

// actions are what status says of them, by name.
func (p *program) actions() map[string]router.ActionSnapshot {
	p.t.Helper()
	var s router.Snapshot
	if err := json.Unmarshal([]byte(p.run("status", "--output", "json")), &s); err != nil {
		p.t.Fatal(err)
	}
	all := make(map[string]router.ActionSnapshot)
	for _, a := range s.Actions {
		all[a.Name] = a
	}
	return all
}

// TestFullQueueDrops: a destination is down until its queue has dropped most of what
// was logged, with a kill in between. The other one gets all of it, in order, and
// reading never stops. Once the destination is back, what it gets and what was said
// to be dropped are together what was logged, each once.
func TestFullQueueDrops(t *testing.T) {
	for _, when := range []string{"drop_oldest", "drop_newest"} {
		t.Run(when, func(t *testing.T) {
			t.Parallel() // mostly waiting for journald
			j := journaltest.Start(t, journaltest.Options{})
			down, works := newHook(t), newHook(t)
			down.down.Store(true)
			p := newProgram(t, j, fmt.Sprintf(`
http: 127.0.0.1:0
actions:
  down:
    webhook: {url: "%s"}
    text: "{{ .Text }}"
    retry: {min: 10ms, max: 100ms}
    queue: {max_bytes: 1MiB, when_full: %s}
  works: {webhook: {url: "%s"}, text: "{{ .Text }}"}
rules:
  - {name: all, prefix: "X: ", actions: [down, works]}
`, down.URL, when, works.URL))
			p.startReady()
			const lines, each = 60, 100_000 // of which some ten fit
			for n := range lines {
				j.Print(fmt.Sprintf("X: %d %s", n, strings.Repeat("x", each)))
				if n%7 == 0 {
					j.Sync()
					waitFor(t, "the action that works", func() bool { return len(works.received()) > n })
				}
				if n == lines/2 {
					p.kill()
					p.startReady()
				}
			}
			waitFor(t, "the last line", func() bool { return len(slices.Compact(numbersOf(works.received()))) == lines })
			if status, body := p.get("/readyz"); status != 200 {
				t.Errorf("readyz: %d %s", status, body)
			}
			dropped := int(p.actions()["down"].Dropped)
			if dropped < lines/2 {
				t.Fatalf("only %d were dropped", dropped)
			}
			if out := p.run("status"); !strings.Contains(out, " deliveries for down, as its queue was full; the last one at ") {
				t.Errorf("status:\n%s", out)
			}
			if p.says("a queue is full: deliveries are dropped") == 0 || p.says("a queue is full, and the journal keeps") > 0 {
				t.Error("the log does not say what is the matter")
			}

			down.down.Store(false)
			waitFor(t, "the queue to be empty", func() bool { return p.actions()["down"].Queued == 0 })
			dropped = int(p.actions()["down"].Dropped)
			got := numbersOf(down.received())
			if dropped+len(got) != lines {
				t.Errorf("%d were dropped and %d came, of %d", dropped, len(got), lines)
			}
			if !slices.IsSorted(got) || len(slices.Compact(slices.Clone(got))) != len(got) {
				t.Errorf("out of order, or twice: %v", got)
			}
			if oldest := when == "drop_newest"; slices.Contains(got, 0) != oldest || slices.Contains(got, lines-1) == oldest {
				t.Errorf("%s has left %v", when, got)
			}
			if !p.metric(fmt.Sprintf(`deliveries_dropped_total{action="down"} %d`, dropped)) {
				t.Error("the metrics have another number of dropped ones than the status")
			}
			// The kill may have had one repeated.
			if all := slices.Compact(numbersOf(works.received())); !slices.IsSorted(all) || len(all) != lines {
				t.Errorf("the other action got %v", all)
			}
			p.stop()
			if after := p.actions()["down"]; int(after.Dropped) != dropped || after.Queued != 0 {
				t.Errorf("without a daemon: %+v", after)
			}
		})
	}
}
