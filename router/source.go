package router

import (
	"context"
	"errors"
	"io"
	"math"
	"runtime"
	"slices"
	"time"

	"github.com/journald-router/journald-router/journal"
	"github.com/journald-router/journald-router/rules"
	"github.com/journald-router/journald-router/spool"
)

// Limits of one transaction. Whatever matches is appended as soon as the reader
// has caught up, so that they count only behind a backlog.
const (
	batchEntries = 5000
	batchBytes   = 4 << 20
	batchScanned = 100_000
	batchTime    = 50 * time.Millisecond // from the first match: the workers are to have something to do
	passedOver   = 4096                  // what a Next counts for that held back as many, or fewer
)

// saveEvery is how often a position that moved without a match is saved.
const saveEvery = time.Second

// readLimit is how long reading one batch, or one append, may take before the
// loop counts as stuck.
const readLimit = 2 * time.Minute

// source reads the journal until ctx is done or, with Once, until its end. The
// error of the first opening is final: it tells the user what to do. Later ones
// are logged, and the journal opened again.
func (r *Router) source(ctx context.Context) error {
	// libsystemd wants one thread for the life of a handle (sd_journal_open(3)).
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	step := r.health.join()
	defer step.leave()
	retry := Retry{Min: time.Second, Max: time.Minute}
	for failures := 0; ; {
		step.begin("opening the journal", readLimit)
		s, err := r.openStream(step)
		if err != nil && failures == 0 {
			return err
		}
		if err == nil {
			if failures == 0 && r.Ready != nil {
				r.Ready()
			}
			err = errors.Join(s.run(ctx), s.reader.Close())
			if s.moved {
				failures = 0
			}
			if ctx.Err() != nil {
				return nil
			}
			if errors.Is(err, journal.ErrEnd) {
				close(r.read)
				return nil
			}
		}
		failures++
		r.figures.readerFailed(err)
		wait := retry.backoff(failures)
		r.Log.Error("reading the journal failed; it will be opened again", "err", err, "wait", wait)
		step.wait()
		if !sleep(ctx, wait) {
			return nil
		}
	}
}

// stream is one opening of the journal.
type stream struct {
	*Router
	step    *step
	reader  journal.Reader
	routes  *Routes
	matcher *rules.Matcher
	matches []rules.Match
	values  [][]byte       // reused
	same    []rules.Match  // of an entry before, without captures
	to      []spool.Target // of that

	moved bool      // an entry was read
	dirty bool      // the position has moved since it was last handed to append
	saved time.Time // when that was

	// appended is closed once the append under way has ended; nil before the first.
	appended chan struct{}
	// broken says that it was given up. What was read since must not be appended.
	broken bool

	released time.Time // when a pause last had the reader let go of deleted files
}

func (r *Router) openStream(step *step) (*stream, error) {
	position, err := r.Spool.Position(r.Source)
	if err != nil {
		return nil, err
	}
	reader, err := r.Open(position)
	if err != nil {
		return nil, err
	}
	s := &stream{Router: r, step: step, reader: reader}
	if position != "" {
		r.figures.opened(position)
		return s, nil
	}
	// On the first run the place to begin at is kept before anything is read: else
	// what is logged before the first save would be lost with the process.
	if position, err = reader.Cursor(); err == nil {
		_, err = r.Spool.Append(r.Source, position, nil, nil)
	}
	if err != nil {
		reader.Close()
		return nil, err
	}
	r.figures.opened(position)
	return s, nil
}

// run reads until an error, which is the reader's or that of ctx. A batch is
// appended while the next one is read.
func (s *stream) run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, s.finish(ctx, err)) }()
	for ctx.Err() == nil {
		s.step.begin("reading the journal", readLimit)
		s.figures.to(Reading, "")
		batch, end := s.batch()
		due := s.dirty && stands(end) && (end == journal.ErrEnd || time.Since(s.saved) >= saveEvery)
		if len(batch) > 0 || due {
			if err := s.commit(ctx, batch, end); err != nil {
				return err
			}
		}
		switch end {
		case nil:
		case io.EOF:
			if err := s.wait(ctx); err != nil {
				return err
			}
		default:
			return end
		}
	}
	return nil
}

// finish waits for the last append, which ctx ends too, and, after a stop, saves how
// far was read.
func (s *stream) finish(ctx context.Context, err error) error {
	if s.appended != nil {
		// Where the reader fails, the append goes on without it.
		_ = s.pause(context.WithoutCancel(ctx), math.MaxInt64, s.appended)
		<-s.appended
	}
	if err != nil || !s.dirty || s.broken {
		return nil
	}
	s.step.begin("saving the position", readLimit)
	return s.savePosition()
}

// wait returns when there may be an entry, or when the position is due to be
// saved. The error is the reader's; a ctx that is done is noticed by the caller.
func (s *stream) wait(ctx context.Context) error {
	s.step.wait()
	s.figures.to(Waiting, "")
	bounded := ctx
	if s.dirty {
		var cancel context.CancelFunc
		bounded, cancel = context.WithDeadline(ctx, s.saved.Add(saveEvery))
		defer cancel()
	}
	err := s.reader.Wait(bounded)
	if bounded.Err() != nil && errors.Is(err, bounded.Err()) {
		return nil
	}
	return err
}

// batch reads on until there is enough for one transaction. The error tells why
// it stopped earlier; what was read before it is good.
func (s *stream) batch() (batch []spool.Routed, err error) {
	if routes := s.Router.routes.Load(); routes != s.routes {
		s.routes = routes
		fields, sieves := wanted(routes.Rules)
		s.reader.Keep(fields, sieves...)
		s.matcher = routes.Rules.Matcher()
	}
	size := 0
	var began time.Time // when the batch got its first entry
	for scanned := 0; scanned < batchScanned && len(batch) < batchEntries && size < batchBytes; scanned++ {
		if len(batch) > 0 && time.Since(began) >= batchTime {
			return batch, nil
		}
		e, err := s.reader.Next()
		if err != nil {
			return batch, err
		}
		s.moved, s.dirty = true, true
		if e == nil {
			scanned += passedOver
			continue
		}
		s.lookForSuppression(e)
		s.matches = s.matcher.Match(e, s.matches[:0])
		if len(s.matches) == 0 {
			continue
		}
		record, err := e.Record()
		if err != nil {
			return batch, err
		}
		if s.Guard != nil && s.Guard.Own(record) {
			continue
		}
		if len(batch) == 0 {
			began = time.Now()
		}
		batch = append(batch, spool.Routed{Record: record, To: s.targets()})
		size += len(record.Packed())
	}
	return batch, nil
}

// targets are what the matches ask for. Entries in a row mostly match alike, and share
// them.
func (s *stream) targets() []spool.Target {
	if slices.EqualFunc(s.matches, s.same, func(a, b rules.Match) bool {
		return a.Rule == b.Rule && a.Value == b.Value && a.Strip == b.Strip && len(a.Captures)+len(b.Captures) == 0
	}) {
		return s.to
	}
	s.same, s.to = slices.Clone(s.matches), nil
	for _, m := range s.matches {
		for _, action := range m.Rule.Actions {
			s.to = append(s.to, spool.Target{Action: action, Rule: m.Rule.Name, Value: m.Value, Strip: m.Strip, Captures: m.Captures})
		}
	}
	return s.to
}

// savePosition stores how far was read, on the way out.
func (s *stream) savePosition() error {
	position, err := s.reader.Cursor()
	if err != nil {
		return err
	}
	_, err = s.Spool.Append(s.Source, position, nil, nil)
	return err
}

// stands tells whether it is known where the reader stands after what ended a
// batch: after an error it is not.
func stands(end error) bool { return end == nil || end == io.EOF || end == journal.ErrEnd }

// position is where reading is to go on after the batch. After an error of the
// reader it may stand on the entry that it could not read, which must not be
// passed over; and libsystemd forgets where it stands when it drops a damaged
// file. Then it is the position of the last entry that matched, as far as the
// reader does not know better: of one that was put together the cursor is that
// of its beginning.
func (s *stream) position(batch []spool.Routed, end error) (position string, err error) {
	if stands(end) {
		if position, err = s.reader.Cursor(); err == nil || len(batch) == 0 {
			return position, err
		}
	}
	return s.reader.After(batch[len(batch)-1].Record)
}

// commit has the batch and the position behind it appended, once there is room
// and the append before it has succeeded. end is what ended the batch.
func (s *stream) commit(ctx context.Context, batch []spool.Routed, end error) error {
	position, err := s.position(batch, end)
	if err != nil {
		return err
	}
	if err := s.lastAppend(ctx); err != nil {
		return err
	}
	if err := s.room(ctx, batch); err != nil {
		return err
	}
	s.yield(ctx)
	s.dirty, s.saved = false, time.Now()
	s.appended = make(chan struct{})
	go func() {
		defer close(s.appended)
		s.broken = !s.append(ctx, position, batch)
	}()
	return nil
}

// lastAppend waits until the last append has succeeded. The error is that of
// ctx, which has ended it, or the reader's.
func (s *stream) lastAppend(ctx context.Context) error {
	for s.appended != nil {
		select {
		case <-s.appended:
			if s.broken {
				return ctx.Err()
			}
			return nil
		default:
			if err := s.pause(ctx, time.Minute, s.appended); err != nil {
				return err
			}
		}
	}
	return nil
}

// append tries until it succeeds or ctx is done: a full disk is waited for. It
// tells whether it has succeeded.
func (s *stream) append(ctx context.Context, position string, batch []spool.Routed) bool {
	step := s.health.join()
	defer step.leave()
	for failures := 1; ; failures++ {
		step.begin("appending to the spool", readLimit)
		err := s.appendOnce(position, batch)
		if err == nil {
			if failures > 1 {
				s.Log.Info("reading goes on: the spool can be written again")
			}
			return true
		}
		s.figures.notAppended(err)
		wait := diskRetry.backoff(failures)
		s.Log.Error("reading has stopped until the spool can be written", "err", err, "wait", wait)
		step.wait()
		if !sleep(ctx, wait) {
			return false
		}
	}
}

// pause waits for that long, or for the channel. Meanwhile the reader lets go of
// the files that the journal deletes, once a second, however short the pauses
// are that a wait is made of: the files' space may be what is waited for.
func (s *stream) pause(ctx context.Context, d time.Duration, until <-chan struct{}) error {
	s.step.wait()
	end := time.NewTimer(d)
	defer end.Stop()
	for {
		release := time.NewTimer(time.Until(s.released.Add(time.Second)))
		select {
		case <-end.C:
			return nil
		case <-until:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-release.C:
			s.released = time.Now()
			if p, ok := s.reader.(interface{ Process() error }); ok {
				if err := p.Process(); err != nil {
					return err
				}
			}
		}
	}
}

// yield lets the workers catch up where that is a matter of a moment: on few
// cores one who reads ahead only takes the time away from them.
func (s *stream) yield(ctx context.Context) {
	const moment = 100 * time.Millisecond
	ctx, cancel := context.WithTimeout(ctx, moment)
	defer cancel()
	for ctx.Err() == nil {
		freed := s.Spool.Freed()
		if !s.Spool.Crowded() {
			return
		}
		select {
		case <-freed:
		case <-ctx.Done():
		}
	}
}

// sleep waits, and tells whether it was not broken off.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
