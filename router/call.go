package router

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/internal/failpoint"
	"github.com/journald-router/journald-router/spool"
)

// A call is some deliveries on their way, and what became of them.
type call struct {
	batch []spool.Delivery
	// outcomes are in the order of batch; nil if the stop of the worker broke the call
	// off before it came to any result.
	outcomes []spool.Outcome
	// wait is how long to leave the destination alone if one has failed.
	wait time.Duration
	// refused says that the destination refuses the batch as a whole, because of some
	// delivery in it.
	refused bool
}

// failed says whether the destination has failed, by any of the deliveries.
func (c *call) failed() bool {
	return slices.ContainsFunc(c.outcomes, func(o spool.Outcome) bool {
		return o.Fate == spool.Retry && !o.Untried || o.Fate == spool.GivenUp
	})
}

// accepted says whether the destination has taken all of them.
func (c *call) accepted() bool {
	return c.outcomes != nil && !slices.ContainsFunc(c.outcomes, func(o spool.Outcome) bool { return o.Fate != spool.Accepted })
}

// answered says whether the destination has answered for all of the deliveries, and
// none of them stays in the queue.
func (c *call) answered() bool {
	for _, o := range c.outcomes {
		if o.Fate == spool.Retry || o.Fate == spool.GivenUp {
			return false
		}
	}
	return c.outcomes != nil
}

// try delivers a batch.
func (w *worker) try(batch []spool.Delivery, status spool.QueueStatus) call {
	outcomes, wait := make([]spool.Outcome, len(batch)), time.Duration(0)
	messages := make([]action.Message, 0, len(batch))
	sent := make([]int, 0, len(batch)) // messages[i] is of batch[sent[i]]
	untried, values := 0, 0
	for i := range batch {
		if p := w.parser(batch[i].Rule); p != nil && values <= maxValues {
			values += p.Values(batch[i].Text())
		}
		if values > maxValues && len(messages) > 0 {
			outcomes[i].Untried = true // its turn comes in the next call
			untried++
			continue
		}
		m, err := w.message(&batch[i])
		if err != nil {
			outcomes[i] = spool.Outcome{Fate: spool.Rejected, Untried: true, Cause: w.redact(err), Text: m.Text}
			continue
		}
		outcomes[i].Text = m.Text
		messages, sent = append(messages, m), append(sent, i)
	}
	errs, refused := w.deliver(messages)
	for i, err := range errs {
		o := &outcomes[sent[i]]
		switch {
		case err == nil:
			o.Fate = spool.Accepted
		case errors.Is(err, errNotTried):
			o.Untried = true
			untried++
		case action.IsPermanent(err):
			o.Fate, o.Cause = spool.Rejected, w.redact(err)
		default:
			o.Cause = w.redact(err)
			wait = max(wait, w.Retry.backoff(status.Failures.Count+1))
			if asked, ok := action.Wait(err); ok {
				wait = max(wait, min(asked, maxAsked))
			}
			if w.expired(batch[sent[i]], status) {
				o.Fate = spool.GivenUp
				o.Cause = fmt.Sprintf("given up after %v: %s", w.Retry.GiveUpAfter, o.Cause)
			}
		}
	}
	if untried == len(batch) {
		return call{batch: batch, refused: refused}
	}
	return call{batch, outcomes, wait, refused}
}

// maxValues bounds what the parsed messages of one call take of memory, to some 200 MB
// if somebody means harm. 10,000 lines of JSON that applications log have fewer.
const maxValues = 1 << 20

// maxAsked bounds the wait that a destination can ask for.
const maxAsked = 24 * time.Hour

// expired tells whether the destination has failed for too long: without one
// success since the delivery was queued, or since the failures began if that
// was later. So neither a backlog nor an outage costs a delivery that was not
// given its time.
func (w *worker) expired(d spool.Delivery, status spool.QueueStatus) bool {
	now := time.Now()
	return min(status.Failures.LastedUntil(now), now.Sub(d.QueuedAt)) >= w.Retry.GiveUpAfter
}

// message parses a delivery's message, and renders its text.
func (w *worker) message(d *spool.Delivery) (action.Message, error) {
	m := action.Message{ID: d.ID, Rule: d.Rule, Text: d.Text(), Record: d.Record}
	m.Data = action.NewData(d.ID, d.Rule, m.Text, d.Captures, d.Record)
	if parser := w.parser(d.Rule); parser != nil {
		parsed := m.Data // else each message would be on the heap
		err := parser.Parse(&parsed)
		if m.Data = parsed; err != nil {
			return m, err
		}
	}
	t := w.RuleText[d.Rule]
	if t == nil {
		t = w.Text
	}
	if t == nil {
		if e, ok := w.Destination.(action.Escaper); ok {
			m.Text = e.Escape(m.Text)
		}
		return m, nil
	}
	text, err := t.Render(m.Data)
	if err != nil {
		return m, err
	}
	m.Text, m.Custom = text, true
	return m, nil
}

// parser is what takes the messages of a rule apart, or nil.
func (w *worker) parser(rule string) *action.Parser {
	if parser, ok := w.RuleParse[rule]; ok {
		return parser
	}
	return w.Parse
}

// errNotTried is a delivery whose turn did not come, or whose try was broken off
// because the worker is to stop. That is not held against it.
var errNotTried = errors.New("not tried")

// deliver returns an error, or nil, for each message; or that they are refused as a
// whole, of which none counts as tried.
func (w *worker) deliver(messages []action.Message) (errs []error, refused bool) {
	errs = make([]error, len(messages))
	if len(messages) == 0 {
		return errs, false
	}
	if f, ok := w.Destination.(action.Fitter); ok && len(messages) > 1 {
		n := f.Fit(messages)
		for i := n; i < len(messages); i++ {
			errs[i] = errNotTried
		}
		messages = messages[:n]
	}
	err := w.send(messages)
	var each *action.BatchError
	switch {
	case err == nil:
	case errors.As(err, &each) && len(each.Errs) == len(messages):
		copy(errs, each.Errs)
	case action.IsPermanent(err) && len(messages) > 1:
		refused = true // one of them is at fault: they go in smaller batches
		for i := range messages {
			errs[i] = errNotTried
		}
	default:
		for i := range messages {
			errs[i] = err
		}
	}
	return errs, refused
}

// notTried is what an error says of each message after the call was broken off: what
// was accepted, or refused for good, by then is that.
func notTried(err error) error {
	var each *action.BatchError
	if !errors.As(err, &each) {
		return errNotTried
	}
	errs := slices.Clone(each.Errs)
	for i, err := range errs {
		if err != nil && !action.IsPermanent(err) {
			errs[i] = errNotTried
		}
	}
	return &action.BatchError{Errs: errs}
}

// send is one Deliver, within its time limit. When the worker is stopped, it may
// go on for Grace.
func (w *worker) send(messages []action.Message) error {
	step := w.router.health.join()
	defer step.leave()
	step.begin("delivering to action "+w.Name, w.time+Grace+30*time.Second)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.ctx), w.time)
	defer cancel()
	broken := make(chan struct{})
	release := context.AfterFunc(w.ctx, func() {
		t := time.NewTimer(Grace)
		defer t.Stop()
		select {
		case <-t.C:
			close(broken)
			cancel()
		case <-ctx.Done():
		}
	})
	defer release()
	failpoint.Hit("deliver", "begin")
	err := w.Destination.Deliver(ctx, messages)
	failpoint.Hit("deliver", "done")
	if err == nil {
		return nil
	}
	select {
	case <-broken:
		return notTried(err)
	default:
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) && !action.IsPermanent(err) {
		return fmt.Errorf("no answer within %v: %w", w.time, err)
	}
	return err
}
