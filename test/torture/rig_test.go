//go:build torture

package torture

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/journald-router/journald-router/journal/journaltest"
	"github.com/journald-router/journald-router/spool"
)

const configuration = `
journal: {namespace: %[1]s, start: beginning}
actions:
  dead:
    webhook: {url: "%[2]s/dead", format: ndjson}
    batch: {max: 20}
    text: "{{ .Text }} {{ .ID }}"
    retry: {min: 10ms, max: 100ms}
  slow:
    webhook: {url: "%[2]s/slow"}
    text: "{{ .Text }} {{ .ID }}"
  file:
    file: {path: "%[3]s"}
    text: "{{ .Text }} {{ .ID }}"
  count:
    metrics: {lines_total: {type: counter, help: Lines.}}
    batch: {max: 20}
rules:
  - {name: all, prefix: "T: ", actions: [dead, slow, file, count]}
`

// A rig is the program between a private journald, which is being logged to all
// the time, and three destinations; it also counts the lines.
type rig struct {
	*testing.T
	*daemon
	*destinations
	random *rand.Rand
	kills  int

	allowed, logged atomic.Int64 // lines
	ended           chan error   // the logging
	end             chan struct{}
}

func newRig(t *testing.T, binary string) *rig {
	j := journaltest.Start(t, journaltest.Options{})
	dir := t.TempDir()
	r := &rig{T: t, destinations: newDestinations(t, dir+"/lines"), random: newRandom(), ended: make(chan error, 1), end: make(chan struct{})}
	r.daemon = newDaemon(t, binary, fmt.Sprintf(configuration, j.Namespace(), r.URL, r.destinations.path))
	go func() { r.ended <- r.print(j.Journald, rand.New(rand.NewPCG(*seed, 1))) }()
	return r
}

// print logs lines until the end, with others among them, as many as are allowed,
// in bursts: each is an append.
func (r *rig) print(j *journaltest.Journald, random *rand.Rand) error {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		for range random.IntN(10) {
			if r.logged.Load() >= r.allowed.Load() {
				break
			}
			if random.IntN(2) == 0 {
				if err := j.Print("nobody wants this"); err != nil {
					return err
				}
			}
			if err := j.Print(fmt.Sprintf("T: %d", r.logged.Load())); err != nil {
				return err
			}
			r.logged.Add(1)
		}
		select {
		case <-r.end:
			return nil
		case <-tick.C:
		}
	}
}

// restarted has the ledgers begin another life, now that the program is dead and
// all that it had sent has come.
func (r *rig) restarted() {
	r.Helper()
	r.kills++
	waitFor(r.T, "the dead program's connections to end", func() bool { return r.open.Load() == 0 })
	if err := r.readFile(); err != nil {
		r.Fatal(err)
	}
	look := r.random.IntN(2) == 0
	due := make(map[string]int)
	if look {
		due = r.look()
	}
	for _, l := range r.destinations.all() {
		if n, ok := due[l.action]; ok {
			l.restart(n)
		} else {
			l.restart(unknown)
		}
	}
}

// look opens the spool that the dead program has left, and returns the line at the
// head of each queue. A queue's lines are in a row, and as many as are counted.
func (r *rig) look() map[string]int {
	r.Helper()
	heads := make(map[string]int)
	s, err := spool.OpenExisting(r.state())
	if errors.Is(err, fs.ErrNotExist) {
		return heads
	}
	if err != nil {
		r.Fatal(err)
	}
	defer s.Close()
	for _, status := range s.Queues() {
		batch, err := s.Queue(status.Action).Peek(int(max(status.Queued, 1)))
		if err != nil {
			r.Fatal(err)
		}
		const whole = 7 << 20 // is within one Peek
		if int64(len(batch)) != status.Queued && status.Bytes < whole {
			r.Errorf("%s: %d deliveries are counted, and %d are queued", status.Action, status.Queued, len(batch))
		}
		for i, d := range batch {
			n, err := strconv.Atoi(d.Text())
			if err != nil {
				r.Fatal(err)
			}
			if i == 0 {
				heads[status.Action] = n
			}
			if n != heads[status.Action]+i {
				r.Fatalf("%s: line %d is queued where %d should be", status.Action, n, heads[status.Action]+i)
			}
		}
	}
	if due, ok := heads["count"]; ok {
		if n := counted(r.T, s); n != due {
			r.Errorf("%d lines are counted, and line %d is the next one to be", n, due)
		}
	}
	return heads
}

// finish waits until all that was logged has come, stops the program, checks the
// ledgers and the dead letters, and prints the counts.
func (r *rig) finish(phase string) {
	r.Helper()
	close(r.end)
	if err := <-r.ended; err != nil {
		r.Fatal(err)
	}
	lines := int(r.logged.Load())
	waitForNone(r.T, "the last line", func() (left int) {
		if err := r.readFile(); err != nil {
			r.Fatal(err)
		}
		for _, l := range r.destinations.all() {
			left += lines - l.reached()
		}
		if left == 0 {
			left = int(r.queued("count"))
		}
		return left
	})
	r.stop()
	var sum counts
	for _, l := range r.destinations.all() {
		c, wrong := l.check(lines)
		sum = sum.plus(c)
		for _, w := range wrong[:min(len(wrong), 10)] {
			r.Error(w)
		}
		r.Logf("%s: delivered=%d duplicated=%d lost=%d", l.action, c.delivered, c.duplicated, c.lost)
	}
	if left := r.look(); len(left) > 0 {
		r.Errorf("queues that are not empty, by their first lines: %v", left)
	}
	r.checkLetters(lines)
	r.checkCount(lines)
	r.checkLog()
	fmt.Printf("torture: %s=%d delivered=%d duplicated=%d lost=%d\n", phase, r.kills, sum.delivered, sum.duplicated, sum.lost)
}

// checkLetters wants one dead letter for each line that was refused.
func (r *rig) checkLetters(lines int) {
	r.Helper()
	var letters []spool.LetterView
	if err := json.Unmarshal([]byte(r.run("dead", "list", "--output", "json")), &letters); err != nil {
		r.Fatal(err)
	}
	next := 0
	for _, l := range letters {
		for !refused(next) {
			next++
		}
		if want := fmt.Sprintf("%d %s", next, l.ID); l.Action != "slow" || l.Text != want || !strings.Contains(l.Cause, "refused") {
			r.Fatalf("dead letter %+v; want that of line %d", l, next)
		}
		next++
	}
	if want := lines / 50; len(letters) != want {
		r.Errorf("%d dead letters; want %d", len(letters), want)
	}
}

// checkLog wants no error but that of the refused lines.
func (r *rig) checkLog() {
	r.Helper()
	for line := range strings.Lines(r.log()) {
		if strings.Contains(line, "level=ERROR") && !strings.Contains(line, "dead letter") {
			r.Errorf("in the log: %s", line)
		}
	}
}
