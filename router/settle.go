package router

import (
	"time"

	"github.com/journald-router/journald-router/spool"
)

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
		w.settle(call{batch: batch[:len(outcomes)], outcomes: outcomes, wait: wait})
	}
	return nil
}

// settle stores what became of a call, and tells of it. While the disk is full it tries
// again: the destination has the messages, and must not be sent them twice. That a
// reload stops the worker does not end it; the worker that follows waits.
func (w *worker) settle(c call) {
	for failures := 1; ; failures++ {
		w.step.begin("settling deliveries of action "+w.Name, readLimit)
		before := w.queue.Status()
		err := w.queue.Settle(c.batch, c.outcomes, c.wait, w.memory)
		if err == nil {
			if failures > 1 {
				w.log.Info("the spool can be written again")
			}
			w.router.figures.settled(w.Name, c.outcomes)
			w.report(c, before)
			return
		}
		w.router.figures.stalled(w.Name, err)
		again := diskRetry.backoff(failures)
		w.log.Error("what was delivered could not be noted; it will be tried again", "err", err, "wait", again)
		w.step.wait()
		if w.broken || !sleep(w.life, again) {
			return
		}
	}
}

// report logs what an operator wants to know: the failures, that they are over,
// and each dead letter.
func (w *worker) report(c call, before spool.QueueStatus) {
	after := w.queue.Status()
	if f := before.Failures; f.Count > 0 && after.Failures.Count == 0 {
		w.log.Info("deliveries succeed again", "failures", f.Count, "since", f.Since.Format(time.RFC3339))
	}
	for i, o := range c.outcomes {
		if o.Fate == spool.Rejected || o.Fate == spool.GivenUp {
			w.router.buried.Add(1)
			w.reportLetter(c.batch[i], o.Cause)
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
