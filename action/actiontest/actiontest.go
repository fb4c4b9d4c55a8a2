// Package actiontest is the contract that every action keeps, as a test suite.
// An action's own test describes its destination in a Harness and calls Run.
package actiontest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/journal"
)

// A Mood is how a destination treats what it is sent.
type Mood string

const (
	// Well: it accepts everything.
	Well Mood = "well"
	// Failing: it fails in a way that passes.
	Failing Mood = "failing"
	// Refusing: it says that it will never accept the message.
	Refusing Mood = "refusing"
	// Busy: it asks to be left alone for BusyFor.
	Busy Mood = "busy"
	// Hanging: it takes the message and does not answer.
	Hanging Mood = "hanging"
	// Echoing: it refuses, and its answer repeats all that it was sent: address,
	// headers, body.
	Echoing Mood = "echoing"
)

// BusyFor is the time that a Busy destination asks for.
const BusyFor = 7 * time.Second

// A Destination is an action and what it delivers to: the real thing, or a fake
// that is true to its documentation.
type Destination struct {
	Action action.Action
	// Accepted returns what has arrived, one text for each delivery, in order.
	// Only a Well destination needs it.
	Accepted func() []string
	// Reached can be received from once a Hanging destination has a delivery.
	Reached <-chan struct{}
	// Heal makes a Failing destination Well.
	Heal func()
}

// A Harness says how to test one kind of action.
type Harness struct {
	// Destination makes a new one in the mood, which is never one of Cannot.
	Destination func(t *testing.T, mood Mood) Destination
	// Cannot has the moods that the destination cannot be in, each with the
	// reason, which is logged.
	Cannot map[Mood]string
	// Secrets may appear in no error.
	Secrets []string
	// Repeat says what becomes of a delivery that is made twice; it is logged.
	Repeat string
	// Once says that the destination can tell a repeat, and keeps one of the two.
	Once bool
}

// Run checks the contract of action.Action and of the interfaces beside it.
func Run(t *testing.T, h Harness) {
	if h.Repeat == "" {
		t.Error("the harness does not say what becomes of a repeat")
	}
	h.run(t, Well, "accepts", func(t *testing.T, d Destination) {
		for n := range 3 {
			h.accepted(t, d, message(n))
		}
		arrived(t, d, "line 0", "line 1", "line 2")
	})
	h.run(t, Well, "accepts a full batch, in order", func(t *testing.T, d Destination) {
		n := 1
		if b, ok := d.Action.(action.Batcher); ok {
			_, n = b.Batch()
		}
		if n < 1 {
			t.Fatalf("at most %d messages in a batch", n)
		}
		var batch []action.Message
		var want []string
		for i := range n {
			batch = append(batch, message(i))
			want = append(want, fmt.Sprint("line ", i))
		}
		for left := batch; len(left) > 0; {
			// As the engine does: a Fitter is not handed more than it can carry.
			n := len(left)
			if f, ok := d.Action.(action.Fitter); ok && n > 1 {
				n = f.Fit(left)
			}
			h.accepted(t, d, left[:n]...)
			left = left[n:]
		}
		// They may have gone together.
		rest, ok := strings.Join(d.Accepted(), "\n"), false
		for _, text := range want {
			if _, rest, ok = strings.Cut(rest, text); !ok {
				t.Fatalf("%q did not arrive, or not in its order; arrived: %q", text, d.Accepted())
			}
		}
	})
	h.run(t, Well, "accepts several calls at once", func(t *testing.T, d Destination) {
		if _, ok := d.Action.(action.Parallel); !ok {
			return // it is not asked to
		}
		const calls = 8
		var wg sync.WaitGroup
		for i := range calls {
			wg.Go(func() {
				if err := h.deliver(t, d, message(i)); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := len(d.Accepted()); n != calls {
			t.Errorf("%d of %d arrived", n, calls)
		}
	})
	h.run(t, Well, "accepts whatever an entry holds", func(t *testing.T, d Destination) {
		for i, m := range awkward() {
			h.accepted(t, d, m)
			if got := len(d.Accepted()); got != i+1 {
				t.Errorf("%d deliveries arrived for %d, the last being %.40q", got, i+1, m.Text)
			}
		}
	})
	h.run(t, Well, "accepts a repeat", func(t *testing.T, d Destination) {
		h.accepted(t, d, message(0))
		h.accepted(t, d, message(0))
		if n := len(d.Accepted()); n != 1 && (h.Once || n != 2) {
			t.Errorf("a delivery made twice arrived %d times", n)
		}
		t.Logf("a repeat: %s", h.Repeat)
	})
	h.run(t, Failing, "temporary failure", func(t *testing.T, d Destination) {
		err := h.deliver(t, d, message(0))
		if err == nil || action.IsPermanent(err) {
			t.Errorf("%v; want a temporary error", err)
		}
		if d.Heal != nil {
			d.Heal()
			h.accepted(t, d, message(0))
		}
	})
	h.run(t, Refusing, "permanent failure", func(t *testing.T, d Destination) {
		if err := h.deliver(t, d, message(0)); !action.IsPermanent(err) {
			t.Errorf("%v; want a permanent error", err)
		}
	})
	h.run(t, Busy, "told to wait", func(t *testing.T, d Destination) {
		err := h.deliver(t, d, message(0))
		if wait, ok := action.Wait(err); !ok || wait != BusyFor || action.IsPermanent(err) {
			t.Errorf("%v (wait %v, %v); want a wait of %v", err, wait, ok, BusyFor)
		}
	})
	h.run(t, Hanging, "is stopped at once", func(t *testing.T, d Destination) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		result := make(chan error, 1)
		go func() { result <- d.Action.Deliver(ctx, []action.Message{message(0)}) }()
		select {
		case <-d.Reached:
		case err := <-result:
			t.Fatalf("Deliver returned %v although the destination hangs", err)
		case <-time.After(10 * time.Second):
			t.Fatal("nothing reached the destination within 10 s")
		}
		cancel()
		start := time.Now()
		select {
		case err := <-result:
			h.noSecrets(t, err)
			if err == nil || action.IsPermanent(err) {
				t.Errorf("%v; want a temporary error", err)
			}
			if took := time.Since(start); took > time.Second {
				t.Errorf("Deliver took %v to stop", took)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("Deliver did not stop within 10 s")
		}
	})
	h.run(t, Hanging, "keeps to the time limit", func(t *testing.T, d Destination) {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		start := time.Now()
		err := d.Action.Deliver(ctx, []action.Message{message(0)})
		h.noSecrets(t, err)
		if err == nil || action.IsPermanent(err) {
			t.Errorf("%v; want a temporary error", err)
		}
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("Deliver took %v", took)
		}
	})
	h.run(t, Echoing, "does not repeat secrets", func(t *testing.T, d Destination) {
		if err := h.deliver(t, d, message(0)); err == nil {
			t.Error("a destination that refuses accepted")
		}
	})
	h.probe(t)
	h.run(t, Well, "time limit", func(t *testing.T, d Destination) {
		if l, ok := d.Action.(action.TimeLimiter); ok && l.TimeLimit() <= 0 {
			t.Errorf("TimeLimit is %v", l.TimeLimit())
		}
	})
}

// probe checks action.Prober, in every mood: whether a probe finds it out, depends on
// the destination.
func (h Harness) probe(t *testing.T) {
	for _, mood := range []Mood{Well, Failing, Refusing, Busy, Hanging, Echoing} {
		h.run(t, mood, "probe while "+string(mood), func(t *testing.T, d Destination) {
			p, ok := d.Action.(action.Prober)
			if !ok {
				return // there is nothing to connect to
			}
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			if mood == Hanging {
				ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
			}
			defer cancel()
			start := time.Now()
			err := p.Probe(ctx)
			h.noSecrets(t, err)
			if mood == Well && err != nil {
				t.Errorf("%v, although the destination is well", err)
			}
			if took := time.Since(start); mood == Hanging && took > 2*time.Second {
				t.Errorf("Probe took %v to stop", took)
			}
			if mood == Well { // the delivery is all that has arrived
				h.accepted(t, d, message(0))
				arrived(t, d, "line 0")
			}
		})
	}
}

// run runs one check with a destination of its own, and closes the action.
func (h Harness) run(t *testing.T, mood Mood, name string, check func(t *testing.T, d Destination)) {
	t.Run(name, func(t *testing.T) {
		if reason, ok := h.Cannot[mood]; ok {
			if reason == "" {
				t.Fatalf("no reason is given why the destination cannot be %s", mood)
			}
			t.Logf("NOT TESTED: the destination cannot be %s: %s", mood, reason)
			return
		}
		d := h.Destination(t, mood)
		Remember(d.Action, nil)
		check(t, d)
		if c, ok := d.Action.(action.Closer); ok {
			if err := c.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		}
	})
}

// deliver delivers within a time limit that no well-behaved action needs.
func (h Harness) deliver(t *testing.T, d Destination, batch ...action.Message) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	err := d.Action.Deliver(ctx, batch)
	h.noSecrets(t, err)
	if ctx.Err() != nil {
		t.Errorf("Deliver went on until the time limit: %v", err)
	}
	return err
}

func (h Harness) accepted(t *testing.T, d Destination, batch ...action.Message) {
	t.Helper()
	if err := h.deliver(t, d, batch...); err != nil {
		t.Fatalf("%v; want it accepted", err)
	}
}

// noSecrets looks into every way to print err, and into every error within.
func (h Harness) noSecrets(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%q"} {
		for _, secret := range h.Secrets {
			if s := fmt.Sprintf(verb, err); strings.Contains(s, secret) {
				t.Errorf("%s of the error has the secret %q: %s", verb, secret, s)
			}
		}
	}
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		h.noSecrets(t, e.Unwrap())
	case interface{ Unwrap() []error }:
		for _, one := range e.Unwrap() {
			h.noSecrets(t, one)
		}
	}
	if b, ok := errors.AsType[*action.BatchError](err); ok {
		for _, one := range b.Errs {
			h.noSecrets(t, one)
		}
	}
}

// arrived checks that the destination has these texts, in this order.
func arrived(t *testing.T, d Destination, want ...string) {
	t.Helper()
	got := d.Accepted()
	if !slices.EqualFunc(got, want, strings.Contains) {
		t.Errorf("arrived: %q\nwant one with each of: %q", got, want)
	}
}

// message is the n-th of a series of ordinary ones.
func message(n int) action.Message {
	return withText(fmt.Sprint("line ", n), n)
}

func withText(text string, n int) action.Message {
	return action.Message{
		ID: fmt.Sprintf("%032x", n), Rule: "contract", Text: text,
		Record: journal.NewRecord(fmt.Sprintf("s=0;i=%x", n), time.UnixMicro(1_700_000_000_000_000+int64(n)), 0,
			journal.Field{Name: journal.FieldMessage, Value: []byte(text)},
			journal.Field{Name: journal.FieldPriority, Value: []byte("6")},
		),
	}
}

// awkward are entries that any process may log.
func awkward() (messages []action.Message) {
	for _, text := range []string{
		"",
		" ",
		"two\nlines\r\nand more\n",
		"nul \x00 in it",
		"escape \x1b[31m",
		"not UTF-8 \xff\xfe",
		`quotes " ' \ and {{ .Text }} %s $(id) ; DROP TABLE`,
		"mark-up <!channel> &amp; <b>",
		"漢字 😀 \u2028 \ufffe",
		strings.Repeat("long ", 50_000),
	} {
		for _, custom := range []bool{false, true} {
			m := withText(text, len(messages))
			m.Custom = custom
			messages = append(messages, m)
		}
	}
	messages = append(messages, action.Message{ID: fmt.Sprintf("%032x", len(messages)), Rule: "no fields at all"})
	odd := withText("repeated, empty, large and binary fields", len(messages))
	odd.Record = journal.NewRecord("s=0", time.Time{}, 0,
		journal.Field{Name: "A", Value: []byte("one")}, journal.Field{Name: "A", Value: []byte("two")},
		journal.Field{Name: "EMPTY"}, journal.Field{Name: "BINARY", Value: []byte("a=b\x00\n\xff")},
		journal.Field{Name: "LARGE", Value: []byte(strings.Repeat("x", 300<<10))},
		journal.Field{Name: "LARGE2", Value: []byte(strings.Repeat("x", 60<<10))},
	)
	return append(messages, odd)
}

// RefusedKeys returns the keys of the settings that err, which an action's New
// returned, refuses. It checks that every part is an *action.FieldError with a
// problem and a hint.
func RefusedKeys(t *testing.T, err error) (keys []string) {
	t.Helper()
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, err := range joined.Unwrap() {
			keys = append(keys, RefusedKeys(t, err)...)
		}
		return keys
	}
	e, ok := err.(*action.FieldError)
	if !ok || e.Problem == "" || e.Hint == "" {
		t.Errorf("%#v is no *action.FieldError with a problem and a hint", err)
		return nil
	}
	return []string{e.Key}
}
