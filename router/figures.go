package router

import (
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/journald-router/journald-router/journal"
	"github.com/journald-router/journald-router/spool"
)

// figures count what the router does. They are touched once a batch, never for
// an entry that matches nothing.
type figures struct {
	mu   sync.Mutex
	sums Snapshot // all but the actions, the rules and what is of the moment

	caughtUp time.Time // when reading last had
	// Why nothing can be appended, and since when: the reader may still be reading
	// what it cannot have appended.
	unwritable      string
	unwritableSince time.Time
	actions         map[string]*ActionSnapshot
	rules           map[string]*RuleSnapshot
}

func newFigures() *figures {
	now := time.Now()
	return &figures{
		sums: Snapshot{
			Started: now, State: Starting, Since: now, Reason: "the journal is not open yet",
			Suppressed: Suppressed{Units: make(map[string]uint64)},
		},
		actions: make(map[string]*ActionSnapshot),
		rules:   make(map[string]*RuleSnapshot),
	}
}

// snapshot has no actions and no rules yet.
func (f *figures) snapshot(now time.Time) Snapshot {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.sums
	s.Time = now
	s.Suppressed.Units = maps.Clone(s.Suppressed.Units)
	s.Position.Time = journal.CursorTime(s.Position.Cursor)
	// What was logged before it had caught up the last time has been read: in a
	// quiet journal the last entry may be much older than that.
	last := s.Position.Time
	if f.caughtUp.After(last) {
		last = f.caughtUp
	}
	if f.unwritable != "" {
		s.State, s.Since, s.Reason = SpoolUnwritable, f.unwritableSince, f.unwritable
	}
	if s.State != Waiting && !last.IsZero() {
		s.LagSeconds = max(0, now.Sub(last).Seconds())
	}
	return s
}

// action returns what is known of an action.
func (f *figures) action(name string) ActionSnapshot {
	f.mu.Lock()
	defer f.mu.Unlock()
	return *f.actionLocked(name)
}

func (f *figures) actionLocked(name string) *ActionSnapshot {
	a := f.actions[name]
	if a == nil {
		a = &ActionSnapshot{Name: name}
		f.actions[name] = a
	}
	return a
}

func (f *figures) rule(name string) RuleSnapshot {
	f.mu.Lock()
	defer f.mu.Unlock()
	return *f.ruleLocked(name)
}

func (f *figures) ruleLocked(name string) *RuleSnapshot {
	r := f.rules[name]
	if r == nil {
		r = &RuleSnapshot{Name: name}
		f.rules[name] = r
	}
	return r
}

// to says what the reader does from now on, and why if it does not read.
func (f *figures) to(state State, format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.toLocked(state, fmt.Sprintf(format, args...))
}

func (f *figures) toLocked(state State, reason string) {
	now := time.Now()
	if state == Waiting {
		f.caughtUp = now
	}
	if f.sums.State != state {
		f.sums.State, f.sums.Since = state, now
	}
	f.sums.Reason = reason
}

// opened says where reading begins.
func (f *figures) opened(position string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sums.Position.Cursor = position
	f.toLocked(Reading, "")
}

// readerFailed counts an error that the journal is opened again after.
func (f *figures) readerFailed(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e := &f.sums.ReaderErrors
	e.Count++
	e.Last, e.LastError = time.Now(), err.Error()
	f.toLocked(JournalUnreadable, "the journal cannot be read: "+err.Error())
}

// notAppended says why reading is about to stop.
func (f *figures) notAppended(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.unwritable == "" {
		f.unwritableSince = time.Now()
	}
	f.unwritable = "reading has stopped until the spool can be written: " + err.Error()
}

// appended counts what one Append has stored.
func (f *figures) appended(position string, batch []spool.Routed) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.unwritable = ""
	f.sums.Position.Cursor = position
	f.sums.EntriesMatched += uint64(len(batch))
	for _, e := range batch {
		rule := ""
		for _, t := range e.To {
			f.sums.DeliveriesAppended++
			f.actionLocked(t.Action).Appended++
			if t.Rule != rule { // the targets of a rule are next to each other
				rule = t.Rule
				r := f.ruleLocked(rule)
				r.Hits++
				r.LastHit = e.Record.Time()
			}
		}
	}
}

// oldest says since when the first delivery in a queue has been there.
func (f *figures) oldest(action string, queued time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.actionLocked(action).OldestQueued = queued
}

// began counts deliveries that are on their way.
func (f *figures) began(action string, deliveries int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.actionLocked(action).InFlight += deliveries
}

// ended counts those whose call has come back.
func (f *figures) ended(action string, deliveries int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.actionLocked(action).InFlight -= deliveries
}

// settled counts what became of a batch.
func (f *figures) settled(action string, outcomes []spool.Outcome) {
	f.mu.Lock()
	defer f.mu.Unlock()
	a, now := f.actionLocked(action), time.Now()
	a.Stalled = ""
	for _, o := range outcomes {
		switch o.Fate {
		case spool.Accepted:
			a.Delivered++
			a.LastSuccess = now
			continue
		case spool.Rejected, spool.GivenUp:
			a.Buried++
		}
		if !o.Untried {
			a.FailedAttempts++
		}
		if o.Cause != "" {
			a.LastFailure, a.LastError = now, o.Cause
		}
	}
}

// stalled says that a batch could not be settled.
func (f *figures) stalled(action string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.actionLocked(action).Stalled = err.Error()
}

// CountGap counts entries that were deleted before they were read.
func (r *Router) CountGap(g journal.Gap) {
	r.figures.mu.Lock()
	defer r.figures.mu.Unlock()
	r.figures.sums.Gaps.add(g.After, g.Until, g.Entries)
}

// CountDamage counts entries that are there and cannot be read.
func (r *Router) CountDamage(d journal.Damage) {
	r.figures.mu.Lock()
	defer r.figures.mu.Unlock()
	r.figures.sums.Damages.add(d.After, d.Until, d.Entries)
}

// CountFieldsCut counts fields that were cut short.
func (r *Router) CountFieldsCut(n uint64) {
	r.figures.mu.Lock()
	defer r.figures.mu.Unlock()
	r.figures.sums.FieldsCut += n
}

func (l *Losses) add(after, until time.Time, entries uint64) {
	l.Count++
	l.Entries += entries
	l.LastAfter, l.LastUntil = after, until
}
