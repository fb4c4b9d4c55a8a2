package slack

import (
	"net/http"
	"sync"
	"time"
)

// A clock is Slack's, which numbers the messages: ours may be wrong. Every reply tells the
// time in its Date.
type clock struct {
	local func() time.Time

	mu    sync.Mutex
	ahead time.Duration // of ours
	told  time.Time     // when a reply last told the time: by our clock, which may be set,
	since time.Time     // and by one that only runs, except while the machine sleeps
}

// maxStep is by how much our two clocks may differ. If it is more, ours was set, or the
// machine has slept.
const maxStep = time.Minute

// read sets the clock by a reply, whose Date has whole seconds.
func (c *clock) read(h http.Header) {
	date, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.told, c.since = c.local().Round(0), time.Now()
	c.ahead = date.Sub(c.told)
}

// stepped says that our clock was set since a reply told the time, so that nothing is known
// of Slack's until the next one does.
func (c *clock) stepped() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.told.IsZero() && !c.known()
}

func (c *clock) known() bool {
	return !c.told.IsZero() && (c.local().Round(0).Sub(c.told)-time.Since(c.since)).Abs() <= maxStep
}

// now is the time, and whether that is Slack's; else it is ours.
func (c *clock) now() (now time.Time, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now, known = c.local(), c.known(); known {
		now = now.Add(c.ahead)
	}
	return now.UTC().Round(0), known
}

// slacks is a time by Slack's clock. It was taken by that, or with local by ours.
func (c *clock) slacks(t time.Time, local bool) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if local {
		t = t.Add(c.ahead)
	}
	return t.UTC()
}
