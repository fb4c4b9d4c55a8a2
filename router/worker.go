package router

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/internal/failpoint"
	"github.com/journald-router/journald-router/spool"
)

// A worker carries out the deliveries of one action, one batch at a time.
type worker struct {
	Action
	router *Router
	queue  *spool.Queue
	log    *slog.Logger
	step   *step
	ctx    context.Context // done when the worker is to stop
	stop   context.CancelFunc
	ended  chan struct{}
	limit  int           // of messages in one batch
	time   time.Duration // that one Deliver may take

	lettersSince        time.Time // when letters was last set to 0
	letters, unreported int       // dead letters since then, and those of them not logged
}

func (r *Router) newWorker(ctx context.Context, a Action) *worker {
	w := &worker{
		Action: a, router: r, queue: r.Spool.Queue(a.Name),
		log:   r.Log.With("action", a.Name),
		ended: make(chan struct{}),
		limit: 1, time: action.DefaultTimeout,
	}
	w.ctx, w.stop = context.WithCancel(ctx)
	if b, ok := a.Destination.(action.Batcher); ok {
		w.limit = b.MaxBatch()
	}
	if l, ok := a.Destination.(action.TimeLimiter); ok {
		w.time = l.TimeLimit()
	}
	return w
}

// run delivers until it is stopped, or with Once until all is read and delivered.
// Its error is the spool's: that a destination fails is no error here.
func (w *worker) run() error {
	w.step = w.router.health.join()
	defer close(w.ended)
	defer w.step.leave()
	defer w.stop()
	if c, ok := w.Destination.(action.Closer); ok {
		defer func() {
			if err := c.Close(); err != nil {
				w.log.Error("closing the action failed", "err", w.redact(err))
			}
		}()
	}
	for first := true; w.ctx.Err() == nil; first = false {
		w.step.begin("reading the queue of action "+w.Name, readLimit)
		status := w.queue.Status()
		batch, err := w.queue.Peek(w.batchLimit(status))
		if err != nil {
			return err
		}
		w.router.figures.peeked(batch)
		if len(batch) == 0 {
			if !w.more() {
				return nil
			}
			continue
		}
		w.step.wait()
		// Who says "once" says "now": a wait that an earlier run has left is over.
		if wait := status.Failures.Due(time.Now()); !(w.router.Once && first) && !sleep(w.ctx, wait) {
			return nil
		}
		outcomes, wait := w.try(batch, status)
		if outcomes == nil {
			return nil
		}
		w.settle(batch, outcomes, wait)
		if outcomes[0].Fate == spool.GivenUp {
			if err := w.giveUpBacklog(outcomes[0].Cause, wait); err != nil {
				return err
			}
		}
	}
	return nil
}

// batchLimit is how many deliveries to try at once: while a destination fails,
// one has to find out whether it still does.
func (w *worker) batchLimit(status spool.QueueStatus) int {
	if status.Failures.Count > 0 {
		return 1
	}
	return w.limit
}

// more waits for deliveries, and tells whether to go on.
func (w *worker) more() bool {
	if w.unreported > 0 {
		w.reportLetters()
	}
	w.step.wait()
	var read <-chan struct{}
	if w.router.Once {
		read = w.router.read
	}
	select {
	case <-w.queue.Ready():
		return true
	case <-w.ctx.Done():
		return false
	case <-read:
		return w.queue.Status().Queued > 0
	}
}

// try delivers a batch, and says what became of each delivery and how long to
// wait before the next try. It returns nothing if the stop of the worker broke
// it off before it came to any result.
func (w *worker) try(batch []spool.Delivery, status spool.QueueStatus) (outcomes []spool.Outcome, wait time.Duration) {
	outcomes = make([]spool.Outcome, len(batch))
	messages := make([]action.Message, 0, len(batch))
	sent := make([]int, 0, len(batch)) // messages[i] is of batch[sent[i]]
	for i := range batch {
		m, err := w.message(&batch[i])
		if err != nil {
			outcomes[i] = spool.Outcome{Fate: spool.Rejected, Untried: true, Cause: w.redact(err), Text: m.Text}
			continue
		}
		outcomes[i].Text = m.Text
		messages, sent = append(messages, m), append(sent, i)
	}
	untried := 0
	for i, err := range w.deliver(messages) {
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
		return nil, 0
	}
	return outcomes, wait
}

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

// message renders the text of a delivery.
func (w *worker) message(d *spool.Delivery) (action.Message, error) {
	m := action.Message{ID: d.ID, Rule: d.Rule, Text: d.Text(), Record: d.Record}
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
	text, err := t.Render(action.NewData(d.ID, d.Rule, m.Text, d.Captures, d.Record))
	if err != nil {
		return m, err
	}
	m.Text, m.Custom = text, true
	return m, nil
}

// errNotTried is a delivery whose turn did not come, or whose try was broken off
// because the worker is to stop. That is not held against it.
var errNotTried = errors.New("not tried")

// deliver returns an error, or nil, for each message.
func (w *worker) deliver(messages []action.Message) []error {
	errs := make([]error, len(messages))
	if len(messages) == 0 {
		return errs
	}
	err := w.call(messages)
	var each *action.BatchError
	switch {
	case err == nil:
	case errors.As(err, &each) && len(each.Errs) == len(messages):
		copy(errs, each.Errs)
	case action.IsPermanent(err) && len(messages) > 1:
		// One of them is at fault: each is told apart by itself.
		failed := false
		for i := range messages {
			if errs[i] = errNotTried; !failed {
				errs[i] = w.call(messages[i : i+1])
				failed = errs[i] != nil && !action.IsPermanent(errs[i])
			}
		}
	default:
		for i := range errs {
			errs[i] = err
		}
	}
	return errs
}

// call is one Deliver, within its time limit. When the worker is stopped, it may
// go on for Grace.
func (w *worker) call(messages []action.Message) error {
	w.step.begin("delivering to action "+w.Name, w.time+Grace+30*time.Second)
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
		return errNotTried
	default:
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) && !action.IsPermanent(err) {
		return fmt.Errorf("no answer within %v: %w", w.time, err)
	}
	return err
}

// giveUpBacklog makes dead letters of all deliveries whose time has run out with
// that of the one just given up: trying each of them at a destination that has
// been dead for days would hold up the rest for days more.
func (w *worker) giveUpBacklog(cause string, wait time.Duration) error {
	const some = 500
	for w.ctx.Err() == nil {
		w.step.begin("giving up deliveries of action "+w.Name, readLimit)
		status := w.queue.Status()
		batch, err := w.queue.Peek(some)
		if err != nil {
			return err
		}
		var outcomes []spool.Outcome
		for i := range batch {
			if !w.expired(batch[i], status) {
				break
			}
			m, _ := w.message(&batch[i])
			outcomes = append(outcomes, spool.Outcome{Fate: spool.GivenUp, Untried: true, Cause: cause, Text: m.Text})
		}
		if len(outcomes) == 0 {
			return nil
		}
		w.settle(batch[:len(outcomes)], outcomes, wait)
	}
	return nil
}

// settle stores the outcomes, and tells of them. While the disk is full it tries
// again: the destination has the messages, and must not be sent them twice.
func (w *worker) settle(batch []spool.Delivery, outcomes []spool.Outcome, wait time.Duration) {
	for failures := 1; ; failures++ {
		w.step.begin("settling deliveries of action "+w.Name, readLimit)
		before := w.queue.Status()
		err := w.queue.Settle(batch, outcomes, wait)
		if err == nil {
			if failures > 1 {
				w.log.Info("the spool can be written again")
			}
			w.router.figures.settled(w.Name, outcomes)
			w.report(batch, outcomes, before)
			return
		}
		w.router.figures.stalled(w.Name, err)
		again := diskRetry.backoff(failures)
		w.log.Error("what was delivered could not be noted; it will be tried again", "err", err, "wait", again)
		w.step.wait()
		if !sleep(w.ctx, again) {
			return
		}
	}
}

// report logs what an operator wants to know: the failures, that they are over,
// and each dead letter.
func (w *worker) report(batch []spool.Delivery, outcomes []spool.Outcome, before spool.QueueStatus) {
	after := w.queue.Status()
	if f := before.Failures; f.Count > 0 && after.Failures.Count == 0 {
		w.log.Info("deliveries succeed again", "failures", f.Count, "since", f.Since.Format(time.RFC3339))
	}
	for i, o := range outcomes {
		if o.Fate == spool.Rejected || o.Fate == spool.GivenUp {
			w.router.buried.Add(1)
			w.reportLetter(batch[i], o.Cause)
		}
	}
	if f := after.Failures; f.Count > before.Failures.Count {
		w.log.Warn("delivery failed; it will be tried again", "cause", f.Error, "failures", f.Count,
			"in", f.Wait.Round(time.Millisecond), "queued", after.Queued)
	}
}

// reportLetter logs a dead letter: each of a few, and how many there were of many.
func (w *worker) reportLetter(d spool.Delivery, cause string) {
	const each, span = 10, time.Minute
	if time.Since(w.lettersSince) > span {
		w.reportLetters()
		w.lettersSince = time.Now()
	}
	if w.letters++; w.letters <= each {
		w.log.Error("dead letter", "id", d.ID, "rule", d.Rule, "cause", cause)
	} else {
		w.unreported++
	}
}

// reportLetters logs what reportLetter kept back.
func (w *worker) reportLetters() {
	if w.unreported > 0 {
		w.log.Error("more dead letters", "count", w.unreported)
	}
	w.letters, w.unreported = 0, 0
}

func (w *worker) redact(err error) string {
	if w.Redact == nil {
		return err.Error()
	}
	return w.Redact(err.Error())
}
