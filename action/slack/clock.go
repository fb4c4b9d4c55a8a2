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
	known bool
}

// read sets the clock by a reply, whose Date has whole seconds.
func (c *clock) read(h http.Header) {
	date, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead, c.known = date.Sub(c.local()), true
}

// now is the time, and whether that is Slack's.
func (c *clock) now() (now time.Time, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.local().Add(c.ahead).UTC().Round(0), c.known
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
