package slack_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/action/actiontest"
	"github.com/journald-router/journald-router/action/slack"
	"github.com/journald-router/journald-router/action/slack/slacktest"
	"github.com/journald-router/journald-router/journal"
)

// A trouble is what a random schedule has in store for requests, in percent of them.
type trouble struct {
	lost    int // the reply, after Slack has done what it was asked for
	never   int // the request
	refused int // as 429, or with an error that passes
	gateway int // 504, with or without the request having been carried out
	crash   int // of the router, before or after the request was carried out
}

// A world is a Slack in trouble, and a router that delivers to it: a simple one, which does as package
// router does. It can crash at any request.
type world struct {
	t       *testing.T
	random  *rand.Rand
	slack   *slacktest.Slack
	server  *httptest.Server
	config  slack.Config
	batch   int // most messages of a call
	trouble trouble
	calls   int           // at once
	wrong   time.Duration // the machine's clock
	sets    bool          // that clock is set now and then

	mu      sync.Mutex
	action  *slack.Action
	memory  *actiontest.Memory
	crashed map[string][]byte // what is left of the memory, after a crash
	deaths  int
	queue   []action.Message
}

func newWorld(t *testing.T, random *rand.Rand, c slack.Config) *world {
	w := &world{t: t, random: random, slack: slacktest.New(), config: c, batch: 1, calls: 1}
	w.slack.Channels = []string{"#growth", "#a", "#b"}
	w.server = httptest.NewServer(w)
	t.Cleanup(w.server.Close)
	w.config.Token, w.config.APIURL = slacktest.Token, w.server.URL+slacktest.APIPath
	w.start(nil)
	return w
}

// start is a router that starts with what its spool has.
func (w *world) start(memory map[string][]byte) {
	a, err := slack.New(w.config)
	if err != nil {
		w.t.Fatal(err)
	}
	slack.SetClock(a, w.now)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.action, w.memory, w.crashed = a, actiontest.Remember(a, memory), nil
	w.memory.Hold()
}

// now is the time by the machine's clock.
func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Now().Add(w.wrong)
}

// setClock has the machine's clock be wrong by up to a thousand hours.
func (w *world) setClock() {
	wrong := time.Duration(w.roll(2001)-1000) * time.Hour
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wrong = wrong
}

func (w *world) dead() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.crashed != nil
}

// roll is a number below n.
func (w *world) roll(n int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.random.IntN(n)
}

// ServeHTTP is Slack, and the way there.
func (w *world) ServeHTTP(to http.ResponseWriter, r *http.Request) {
	dice, half := w.roll(100), w.roll(2) == 0
	if w.dead() { // it sends nothing any more
		panic(http.ErrAbortHandler)
	}
	is := func(percent int) bool {
		dice -= percent
		return dice < 0
	}
	switch {
	case is(w.trouble.lost):
		w.slack.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	case is(w.trouble.never):
		panic(http.ErrAbortHandler)
	case is(w.trouble.refused):
		if half {
			to.Header().Set("Retry-After", "0")
			to.WriteHeader(http.StatusTooManyRequests)
			return
		}
		fmt.Fprint(to, `{"ok":false,"error":"ratelimited"}`)
	case is(w.trouble.gateway):
		if half {
			w.slack.ServeHTTP(httptest.NewRecorder(), r)
		}
		to.WriteHeader(http.StatusGatewayTimeout)
	case is(w.trouble.crash):
		if half {
			w.slack.ServeHTTP(httptest.NewRecorder(), r)
		}
		w.mu.Lock()
		if w.crashed == nil {
			w.crashed = w.memory.Crash()
		}
		w.mu.Unlock()
		panic(http.ErrAbortHandler)
	default:
		w.slack.ServeHTTP(to, r)
	}
}

// run delivers the queue, whatever happens. Once many tries have failed, all is well.
func (w *world) run() {
	most := w.batch
	failed := 0
	for tries := 0; len(w.queue) > 0; tries++ {
		if tries == 50*len(w.queue)+500 {
			w.trouble = trouble{}
		}
		if tries > 100*len(w.queue)+2000 {
			w.t.Fatalf("%d messages are left", len(w.queue))
		}
		n := 1
		if failed == 0 {
			n = w.calls
		}
		ok := w.begin(n, most)
		switch {
		case ok:
			failed = 0
			most = min(2*most, w.batch)
			// What a kill leaves of the first post, before Slack has told the time, is looked up by the
			// machine's clock.
			if w.sets && !w.dead() && w.roll(4) == 0 {
				w.setClock()
			}
		default:
			failed++
			most = 1
		}
		if w.dead() {
			w.deaths++
			w.start(w.crashed)
		}
	}
}

// begin makes some calls at once, of which each has some messages, and settles them.
func (w *world) begin(calls, most int) (ok bool) {
	type outcome struct {
		batch []action.Message
		err   error
	}
	ended := make(chan outcome, calls)
	from := 0
	under := 0
	for range calls {
		batch := w.queue[from:min(from+most, len(w.queue))]
		if len(batch) == 0 {
			break
		}
		batch = slices.Clone(batch[:w.action.Fit(batch)])
		from += len(batch)
		under++
		go func() { ended <- outcome{batch, w.action.Deliver(context.Background(), batch)} }()
	}
	ok = true
	for range under {
		o := <-ended
		if w.dead() {
			continue // nothing is settled any more
		}
		if w.trouble.crash > 0 && w.roll(100) < w.trouble.crash {
			w.mu.Lock()
			w.crashed = w.memory.Crash()
			w.mu.Unlock()
			continue
		}
		var each *action.BatchError
		if !errors.As(o.err, &each) {
			each = &action.BatchError{Errs: slices.Repeat([]error{o.err}, len(o.batch))}
		}
		for i, m := range o.batch {
			err := each.Errs[i]
			ok = ok && err == nil
			switch {
			case err == nil:
				w.queue = slices.DeleteFunc(w.queue, func(q action.Message) bool { return q.ID == m.ID })
			case action.IsPermanent(err):
				w.t.Fatalf("%v", err)
			}
			if wait, asked := action.Wait(err); asked && wait > 0 {
				time.Sleep(wait)
			}
		}
		w.memory.Settle()
	}
	return ok
}

// logged is a message as the router has it.
func logged(n int, key, text string) action.Message {
	record := journal.NewRecord(fmt.Sprintf("s=0;i=%x", n), time.UnixMicro(1_700_000_000_000_000+int64(n)), 0,
		journal.Field{Name: journal.FieldMessage, Value: []byte(text)}, journal.Field{Name: "KEY", Value: []byte(key)})
	id := fmt.Sprintf("%032x", n)
	return action.Message{ID: id, Text: text, Record: record, Data: action.NewData(id, "r", text, nil, record)}
}

// posts are the numbers of the messages that have been posted as a delivery's first, and those of its parts.
func posts(messages []slacktest.Message) (first map[string]int, parts map[string][]int) {
	first, parts = make(map[string]int), make(map[string][]int)
	for _, m := range messages {
		for _, id := range m.IDs() {
			if part, ok := m.Metadata["part"].(float64); ok {
				parts[id] = append(parts[id], int(part))
			} else {
				first[id]++
			}
		}
		for _, f := range m.Files {
			parts[strings.TrimSuffix(f.Name, ".txt")] = append(parts[strings.TrimSuffix(f.Name, ".txt")], 0)
		}
	}
	return first, parts
}
