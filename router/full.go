package router

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/journald-router/journald-router/spool"
)

// HighMark is how full a queue is, of 1, when that is told of. A queue at which
// reading will stop is warned of once, and again only when it has been below lowMark
// in between.
const (
	HighMark = 0.8
	lowMark  = 0.6
)

// appendOnce appends the batch, within the bounds of the moment.
func (s *stream) appendOnce(position string, batch []spool.Routed) error {
	actions := s.Router.routes.Load().Actions
	bounds := make(map[string]spool.Bound, len(actions))
	for _, a := range actions {
		bounds[a.Name] = spool.Bound{MaxBytes: a.MaxBytes, WhenFull: a.WhenFull}
	}
	s.lookAtQueues(actions) // before too: else one that was empty meanwhile is not seen to have been
	dropped, err := s.Spool.Append(s.Source, position, batch, bounds)
	if err != nil {
		return err
	}
	s.figures.appended(position, batch)
	s.lookAtQueues(actions)
	for action, d := range dropped {
		s.fullness.dropped(action, bounds[action].WhenFull, d.Count)
	}
	return nil
}

func (r *Router) lookAtQueues(actions []Action) {
	for _, a := range actions {
		if a.blocks() {
			r.fullness.look(a.Name, r.Spool.Queue(a.Name).Status().Bytes, a.MaxBytes)
		}
	}
}

// room waits until no queue that the batch adds to is full.
func (s *stream) room(ctx context.Context, batch []spool.Routed) error {
	full := ""
	for {
		freed := s.Spool.Freed()
		name := s.fullQueue(batch)
		if name == "" {
			if full != "" {
				s.figures.to(Reading, "")
				s.Log.Info("reading goes on: there is room in the queue again", "action", full)
			}
			return nil
		}
		if full == "" {
			s.Log.Warn("reading has stopped: a queue is full, and the journal keeps what comes", "action", name)
		}
		full = name
		s.figures.to(QueueFull, "reading has stopped: the queue of action %s is full", name)
		// The limit may change by a reload, which nobody tells of.
		if err := s.pause(ctx, time.Second, freed); err != nil {
			return err
		}
	}
}

// fullQueue goes by the bounds of the moment: a reload may have raised one, or
// taken the action away, whose queue nothing will empty.
func (s *stream) fullQueue(batch []spool.Routed) string {
	needed := make(map[string]bool)
	for _, e := range batch {
		for _, t := range e.To {
			needed[t.Action] = true
		}
	}
	for _, a := range s.Router.routes.Load().Actions {
		if needed[a.Name] && a.blocks() && s.Spool.Queue(a.Name).Status().Bytes >= a.MaxBytes {
			return a.Name
		}
	}
	return ""
}

// fullness is for the log: which queues are about to be full, and what those drop
// that are.
type fullness struct {
	log *slog.Logger

	mu       sync.Mutex
	high     map[string]bool // queues that were warned of
	dropping map[string]*dropping
}

// dropping is a time in which a queue drops deliveries.
type dropping struct {
	since         time.Time
	total, untold int64
}

func newFullness(log *slog.Logger) *fullness {
	return &fullness{log: log, high: make(map[string]bool), dropping: make(map[string]*dropping)}
}

// look warns of a queue that blocks before it does.
func (f *fullness) look(action string, bytes, limit int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	full := float64(bytes) / float64(limit)
	switch {
	case full < lowMark:
		delete(f.high, action)
	case full >= HighMark && !f.high[action]:
		f.high[action] = true
		f.log.Warn("a queue fills up; once it is full, reading stops, for all actions", "action", action,
			"percent", int(100*full), "bytes", bytes, "max_bytes", limit)
	}
}

// dropped warns of the first deliveries that a queue drops, then once a minute of
// how many more there were. The first minute without any is the end of it.
func (f *fullness) dropped(action string, when spool.WhenFull, n int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if d := f.dropping[action]; d != nil {
		d.total += n
		d.untold += n
		return
	}
	d := &dropping{since: time.Now(), total: n}
	f.dropping[action] = d
	f.log.Warn("a queue is full: deliveries are dropped", "action", action, "when_full", string(when), "dropped", n)
	f.goOn(action, d)
}

// goOn tells more of it in a minute.
func (f *fullness) goOn(action string, d *dropping) {
	time.AfterFunc(time.Minute, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		switch {
		case f.dropping[action] != d: // all is told: see flush
		case d.untold == 0:
			delete(f.dropping, action)
			f.log.Info("no more deliveries are dropped", "action", action, "dropped", d.total, "since", d.since.Format(time.RFC3339))
		default:
			f.tell(action, d)
			f.goOn(action, d)
		}
	})
}

func (f *fullness) tell(action string, d *dropping) {
	f.log.Warn("more deliveries were dropped", "action", action, "dropped", d.untold)
	d.untold = 0
}

// flush tells of what is held back, at the end.
func (f *fullness) flush() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for action, d := range f.dropping {
		if d.untold > 0 {
			f.tell(action, d)
		}
	}
	clear(f.dropping)
}
