package slack

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/journald-router/journald-router/action"
)

// What the action remembers, each thing under a key of its own.
const (
	sendingPrefix = "sending/" // and a delivery's id: a sending
	threadPrefix  = "thread/"  // and a thread's key: a thread
	channelPrefix = "channel/" // and a channel's name: its id
)

const (
	// keptFor is how long what is not used any more is remembered: a thread, and how far a
	// delivery got that does not come again, as one that was dropped.
	keptFor = 30 * 24 * time.Hour
	// maxThreads bounds the threads that are remembered; those go that were not used for the longest time.
	maxThreads = 1000
	// maxRoot is how many bytes of a thread's first message are remembered. A longer one
	// does not show how many have come.
	maxRoot = 16 << 10
	// settledBy is when what became of a call is settled for certain. Only then is forgotten
	// how far its deliveries got: with several calls at once, what is forgotten becomes durable with the
	// first one that ends, and a crash before its own end would have it made again.
	settledBy = time.Minute
	// tidyEvery is how often what is not used any more is looked for.
	tidyEvery = time.Hour
)

// A sending is how far a delivery has got, from the moment before its post until what
// became of it is settled. It is on disk before Slack is asked for anything that would be
// there twice if it were asked again.
type sending struct {
	Channel string `json:"channel"`          // as the configuration has it
	Thread  string `json:"thread,omitempty"` // the thread's key
	Parent  string `json:"parent,omitempty"` // timestamp of the message that it replies to
	// Begun is when the last try began, by Slack's clock, or with Local by ours because
	// Slack's was not known. Over is when nothing of it can be under way any more.
	Begun time.Time `json:"begun"`
	Over  time.Time `json:"over"`
	Local bool      `json:"local,omitempty"`
	// Doubt says that Slack may have more of it than is known here.
	Doubt bool `json:"doubt,omitempty"`

	Done    bool   `json:"done,omitempty"`    // all of it is there
	TS      string `json:"ts,omitempty"`      // of the message, once it is known that it is there
	Home    string `json:"home,omitempty"`    // the id of the channel where it is
	Rest    int    `json:"rest,omitempty"`    // how many of its further parts are there
	Refused string `json:"refused,omitempty"` // why Slack has not taken the rest as a file: it is in parts then
}

// Remember implements action.Rememberer.
func (a *Action) Remember(m action.Memory) { a.memory = m }

func (a *Action) sending(id string) (s sending, ok bool) {
	ok = a.recall(sendingPrefix+id, &s)
	return s, ok
}

// recall reads what is remembered. What cannot be read is as good as forgotten.
func (a *Action) recall(key string, into any) bool {
	b := a.memory.Get(key)
	return b != nil && json.Unmarshal(b, into) == nil
}

// remember puts v into the memory, which makes it durable with the outcome of the call.
func (a *Action) remember(key string, v any) {
	if b, err := encode(v); err == nil {
		a.memory.Put(key, b)
	}
}

func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // texts are full of &lt;
	err := e.Encode(v)
	return bytes.TrimSpace(b.Bytes()), err
}

func (a *Action) forget(key string) {
	if a.memory.Get(key) != nil {
		a.memory.Put(key, nil)
	}
}

// An ended delivery is remembered a little longer.
type ended struct {
	id string
	at time.Time
}

// done remembers that all of a delivery is there.
func (a *Action) done(id string) {
	s, ok := a.sending(id)
	if !ok {
		return
	}
	s.Done = true
	a.remember(sendingPrefix+id, s)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ended = append(a.ended, ended{id, time.Now()})
}

// tidy forgets what is not used any more. It is called at the end of a delivery, when Slack has
// told the time: a machine's clock that is wrong by years would forget all. If Slack does not tell
// it, nothing is too old.
func (a *Action) tidy() {
	now, known := a.clock.now()
	if !known {
		now = time.Time{}
	}
	a.mu.Lock()
	var over []ended
	for len(a.ended) > 0 && time.Since(a.ended[0].at) > settledBy {
		over, a.ended = append(over, a.ended[0]), a.ended[1:]
	}
	due, more := known && time.Since(a.tidied) >= tidyEvery, a.more
	if a.more = false; due {
		a.tidied = time.Now()
	}
	a.mu.Unlock()
	for _, e := range over {
		a.forget(sendingPrefix + e.id)
	}
	if due {
		a.tidySendings(now)
	}
	if due || more {
		a.tidyThreads(now)
	}
}

// tidySendings forgets the deliveries that have ended, of an earlier process, and those that do not
// come again.
func (a *Action) tidySendings(now time.Time) {
	for _, key := range a.memory.Keys(sendingPrefix) {
		var s sending
		if !a.recall(key, &s) {
			a.memory.Put(key, nil)
			continue
		}
		if age := now.Sub(a.clock.slacks(s.Begun, s.Local)); age > keptFor || s.Done && age > tidyEvery {
			a.memory.Put(key, nil)
		}
	}
}

// tidyThreads forgets the threads that are too old, or too many.
func (a *Action) tidyThreads(now time.Time) {
	type used struct {
		key  string
		last time.Time
	}
	var all []used
	for _, key := range a.memory.Keys(threadPrefix) {
		var t struct { // without the first message
			Used time.Time
			TS   string
		}
		// When one was used that is still on its way, may be by a clock that was wrong.
		if !a.recall(key, &t) || t.TS != "" && now.Sub(t.Used) > keptFor {
			a.memory.Put(key, nil)
			continue
		}
		all = append(all, used{key, t.Used})
	}
	slices.SortFunc(all, func(a, b used) int { return cmp.Or(a.last.Compare(b.last), strings.Compare(a.key, b.key)) })
	for len(all) > maxThreads {
		a.memory.Put(all[0].key, nil)
		all = all[1:]
	}
}
