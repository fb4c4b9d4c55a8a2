package router

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/journal"
	"github.com/journald-router/journald-router/spool"
	"golang.org/x/time/rate"
)

// A worker carries out the deliveries of one action: one call at a time, in order, or
// several at once with Concurrency.
//
// While a destination works, calls begin one after the other. Once one has failed, no
// other begins until all that are under way have come back; then the head of the queue
// is tried, alone, until it succeeds: a destination that is down is asked by one
// delivery at a time, and not by the backlog.
type worker struct {
	Action
	router *Router
	queue  *spool.Queue
	log    *slog.Logger
	step   *step
	life   context.Context // done when the router is to stop
	ctx    context.Context // done when the worker is to stop, as for a reload too
	stop   context.CancelFunc
	ended  chan struct{}
	limit  int           // of messages in one batch
	time   time.Duration // that one Deliver may take
	noted  bool          // a call begins only once what became of the last one is on disk
	memory *spool.Memory // nil: the action has none
	pace   *rate.Limiter // nil: none

	// The rest belongs to run.
	calls   chan call       // that have come back
	under   []flight        // calls under way, in the order in which they began
	begun   int             // deliveries that a call has had
	most    int             // deliveries in the next call: few after a failure
	failed  bool            // a call has, and none has begun since
	gaveUp  bool            // the last call's delivery was given up
	last    *spool.Delivery // the last one that a call has; nil: begin at the queue's head
	rewind  bool            // begin at the head, once nothing is under way
	broken  bool            // the spool cannot be read
	hurry   bool            // the wait that an earlier run has left is over
	gathers time.Time       // until when a batch waits for more
	notTill time.Time       // when the next call is due after a failure of this run

	lettersSince        time.Time // when letters was last set to 0
	letters, unreported int       // dead letters since then, and those of them not logged
}

// A flight is a call under way: when its first delivery was queued, and how many had
// begun before.
type flight struct {
	batch  []spool.Delivery
	before int
}

// maxAhead is how many deliveries may begin after the oldest one under way: what is
// settled behind the queue's head is noted one by one.
const maxAhead = 1000

func (r *Router) newWorker(ctx context.Context, a Action) *worker {
	a.Concurrency = max(a.Concurrency, 1)
	w := &worker{
		Action: a, router: r, queue: r.Spool.Queue(a.Name),
		log:   r.Log.With("action", a.Name),
		ended: make(chan struct{}), calls: make(chan call, a.Concurrency),
		limit: 1, time: action.DefaultTimeout,
		hurry: r.Once, // who says "once" says "now"
		life:  ctx,
	}
	w.ctx, w.stop = context.WithCancel(ctx)
	defer func() { w.most = w.limit }()
	if b, ok := a.Destination.(action.Batcher); ok {
		usual, most := b.Batch()
		if w.limit = usual; a.Batch.Max > 0 {
			w.limit = min(a.Batch.Max, most)
		}
	}
	if l, ok := a.Destination.(action.TimeLimiter); ok {
		w.time = l.TimeLimit()
	}
	_, overwrites := a.Destination.(action.Overwriter)
	rememberer, remembers := a.Destination.(action.Rememberer)
	if remembers {
		w.memory = w.queue.Memory()
		rememberer.Remember(w.memory)
	}
	w.noted = (overwrites || remembers) && a.Concurrency == 1
	if a.Rate.Calls > 0 {
		w.pace = rate.NewLimiter(rate.Every(a.Rate.Per/time.Duration(a.Rate.Calls)), max(a.Rate.Burst, 1))
	}
	return w
}

// run delivers until it is stopped, or with Once until all is read and delivered.
// Its error is the spool's: that a destination fails is no error here.
func (w *worker) run() (err error) {
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
	defer w.land()
	for w.ctx.Err() == nil {
		until, err := w.fly()
		more := false
		if err == nil {
			more, err = w.wait(until)
		}
		if err != nil || !more {
			w.broken = err != nil
			return err
		}
	}
	return nil
}

// pause is what the worker waits for beside the calls under way.
type pause struct {
	appended bool          // deliveries
	time     time.Duration // at most; 0: for as long as it takes
}

// fly begins as many calls as may be, and says what to wait for before the next one.
func (w *worker) fly() (until pause, err error) {
	for len(w.under) < w.Concurrency {
		if len(w.under) > 0 && w.begun-w.under[0].before >= max(maxAhead, w.Concurrency*w.limit) {
			return pause{}, nil
		}
		status := w.queue.Status()
		failing := status.Failures.Count > 0
		if (failing || w.rewind) && len(w.under) > 0 {
			return pause{}, nil
		}
		if failing || w.rewind {
			w.last, w.rewind, w.failed = nil, false, false
		}
		limit := w.most
		if failing {
			limit = 1
		}
		if d := time.Until(w.gathers); d > 0 && len(w.under) == 0 && status.Queued < int64(limit) && status.Bytes < int64(cmp.Or(w.Batch.MaxBytes, spool.PeekBytes)) {
			return pause{appended: true, time: d}, nil
		}
		w.step.begin("reading the queue of action "+w.Name, readLimit)
		batch, err := w.queue.PeekAfter(w.last, limit, w.Batch.MaxBytes)
		switch {
		case err != nil:
			return pause{}, err
		case len(batch) == 0:
			return pause{appended: true}, nil
		}
		if len(w.under) == 0 {
			w.router.figures.oldest(w.Name, batch[0].QueuedAt)
		}
		if d := w.due(status); d > 0 {
			return pause{time: d}, nil
		}
		if d, err := w.gather(batch, limit); d > 0 || err != nil {
			w.gathers = time.Now().Add(d)
			return pause{appended: true, time: d}, err
		}
		if d := w.paced(); d > 0 {
			return pause{time: d}, nil
		}
		w.begin(batch, status)
	}
	return pause{}, nil
}

// due is how long to leave a destination alone that has failed.
func (w *worker) due(status spool.QueueStatus) time.Duration {
	if w.hurry {
		return 0
	}
	now := time.Now()
	return max(status.Failures.Due(now), w.notTill.Sub(now))
}

// gather is how long to wait for more deliveries to go with the batch.
func (w *worker) gather(batch []spool.Delivery, limit int) (time.Duration, error) {
	if w.Batch.Wait == 0 || len(batch) >= limit || w.router.ReadAll() {
		return 0, nil
	}
	d := time.Until(batch[0].QueuedAt.Add(w.Batch.Wait))
	if d <= 0 || d > w.Batch.Wait { // then the clock was set back
		return 0, nil
	}
	more, err := w.queue.PeekAfter(&batch[len(batch)-1], 1, 0)
	if len(more) > 0 { // it is full by its bytes
		d = 0
	}
	return d, err
}

// paced is how long to wait before the rate allows a call, and takes the allowance if
// that is now.
func (w *worker) paced() time.Duration {
	if w.pace == nil {
		return 0
	}
	r := w.pace.Reserve()
	d := r.Delay()
	if d > 0 {
		r.Cancel()
	}
	return d
}

// begin begins a call.
func (w *worker) begin(batch []spool.Delivery, status spool.QueueStatus) {
	last := batch[len(batch)-1]
	last.Record, last.Captures = journal.Record{}, nil // only its place matters
	w.last, w.hurry, w.gathers = &last, false, time.Time{}
	w.under = append(w.under, flight{batch, w.begun})
	w.begun += len(batch)
	w.router.figures.began(w.Name, len(batch))
	go func() { w.calls <- w.try(batch, status) }()
}

// wait returns once there may be something to do, and settles what has come back. It
// is false when the worker has ended its work.
func (w *worker) wait(until pause) (more bool, err error) {
	w.step.wait()
	var appended <-chan struct{}
	var read <-chan struct{}
	if until.appended {
		appended = w.queue.Ready()
	}
	if w.unreported > 0 && until == (pause{appended: true}) && len(w.under) == 0 {
		w.reportLetters()
	}
	if until.appended && w.router.Once {
		read = w.router.read
	}
	var due <-chan time.Time
	if until.time > 0 {
		timer := time.NewTimer(until.time)
		defer timer.Stop()
		due = timer.C
	}
	select {
	case c := <-w.calls:
		return true, w.back(c)
	case <-appended:
	case <-due:
	case <-w.ctx.Done():
	case <-read:
		if w.queue.Status().Queued == 0 {
			return false, nil
		}
		if len(w.under) > 0 { // nothing else is to come
			return true, w.back(<-w.calls)
		}
	}
	return true, nil
}

// back settles a call. Where all is well, and calls carry much, the next one begins
// first, so that a destination does not wait for the disk. The price is one call more
// that is repeated if the process is killed just then.
func (w *worker) back(c call) error {
	w.landed(&c)
	if c.outcomes == nil {
		return nil // the stop of the worker has broken it off, or it was refused whole
	}
	var err error
	if w.limit > 1 && !w.noted && !w.rewind && w.queue.Status().Failures.Count == 0 && w.ctx.Err() == nil {
		_, err = w.fly()
		w.broken = err != nil
	}
	w.settle(c)
	if err != nil {
		return err
	}
	// It may have been that delivery's fault, and not the destination's: the next one
	// is tried, too.
	givenUp := c.outcomes[0].Fate == spool.GivenUp
	again := givenUp && w.gaveUp
	w.gaveUp = givenUp
	if again {
		return w.giveUpBacklog(c.outcomes[0].Cause, c.wait)
	}
	return nil
}

func (w *worker) landed(c *call) {
	w.under = slices.DeleteFunc(w.under, func(f flight) bool { return &f.batch[0] == &c.batch[0] })
	w.router.figures.ended(w.Name, len(c.batch))
	if len(w.under) > 0 {
		w.router.figures.oldest(w.Name, w.under[0].batch[0].QueuedAt)
	}
	if w.failed { // it began before that
		for i := range c.outcomes {
			c.outcomes[i].Late = true
		}
	}
	switch {
	case c.failed() || c.refused:
		w.most = 1
	case c.accepted():
		w.most = min(2*w.most, w.limit)
	}
	w.failed = w.failed || c.failed()
	if !c.answered() {
		w.rewind = true
		if till := time.Now().Add(c.wait); till.After(w.notTill) {
			w.notTill = till
		}
	}
}

// land waits for the calls that are under way at the end, which have Grace for that.
func (w *worker) land() {
	w.stop()
	for len(w.under) > 0 {
		c := <-w.calls
		w.landed(&c)
		if c.outcomes != nil {
			w.settle(c)
		}
	}
}
