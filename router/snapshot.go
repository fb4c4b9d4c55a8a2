package router

import (
	"errors"
	"time"

	"github.com/journald-router/journald-router/journal"
	"github.com/journald-router/journald-router/spool"
)

// A Snapshot is what the router does at one moment: what `status --output json`
// prints, and what the metrics are made of. Counts begin with the process, but for
// what was dropped; a time that is missing is one that has not been. There is no secret in it: errors are
// redacted as they are in the log.
type Snapshot struct {
	// Time is the moment, Started when the process began. Without a daemon there
	// is no Started, and only what the spool knows: the position and the queues.
	Time    time.Time `json:"time"`
	Started time.Time `json:"started,omitzero"`
	// Journal says which journal is read: "journal" is the machine's own.
	Journal string `json:"journal"`

	State State `json:"state"`
	// Since is when the state began. Reason is why nothing is read, in words.
	Since  time.Time `json:"since,omitzero"`
	Reason string    `json:"reason,omitempty"`
	// Stuck names a loop that takes longer than it may: the watchdog is not fed.
	Stuck string `json:"stuck,omitempty"`

	Position Position `json:"position"`
	// LagSeconds is how far reading is behind at most: zero once it has caught up.
	LagSeconds float64 `json:"lag_seconds"`

	// SpoolBytes is how large the spool's file is, and SpoolLiveBytes how much of it
	// is in use: of queues, dead letters, positions.
	SpoolBytes     int64 `json:"spool_bytes"`
	SpoolLiveBytes int64 `json:"spool_live_bytes"`

	EntriesMatched     uint64 `json:"entries_matched"`
	DeliveriesAppended uint64 `json:"deliveries_appended"`

	// Gaps are stretches that were deleted before they were read, Damages those
	// that could not be read.
	Gaps    Losses `json:"gaps"`
	Damages Losses `json:"damages"`
	// FieldsCut is how many fields were given to actions shorter than they are.
	FieldsCut    uint64       `json:"fields_cut"`
	Suppressed   Suppressed   `json:"suppressed"`
	ReaderErrors ReaderErrors `json:"reader_errors"`

	// Actions are those of the configuration in its order, and after them queues
	// that are not empty and have no action any more.
	Actions []ActionSnapshot `json:"actions"`
	Rules   []RuleSnapshot   `json:"rules"`
	// DeadLetters is how many there are now, DeadLettersRemoved how many the limit
	// has removed since the spool was made, both by action.
	DeadLetters        map[string]int    `json:"dead_letters,omitempty"`
	DeadLettersRemoved map[string]uint64 `json:"dead_letters_removed,omitempty"`
}

// State is what the reader does.
type State string

const (
	NotRunning        State = "not_running" // no daemon
	Starting          State = "starting"    // the journal is not open yet
	Reading           State = "reading"
	Waiting           State = "waiting" // for entries: it has caught up
	QueueFull         State = "queue_full"
	SpoolUnwritable   State = "spool_unwritable"
	JournalUnreadable State = "journal_unreadable" // it will be opened again
)

// Position is how far the journal was read, as the spool has it.
type Position struct {
	Cursor string `json:"cursor"`
	// Time is when the entry at the cursor was logged.
	Time time.Time `json:"time,omitzero"`
}

// Losses are what could not be read.
type Losses struct {
	Count uint64 `json:"count"`
	// Entries is how many there were, as far as that is known.
	Entries uint64 `json:"entries"`
	// The last one lies between entries of these times.
	LastAfter time.Time `json:"last_after,omitzero"`
	LastUntil time.Time `json:"last_until,omitzero"`
}

// Suppressed are messages that journald did not take, as their service logged too
// many at once (RateLimitBurst= of journald.conf(5)).
type Suppressed struct {
	Messages uint64            `json:"messages"`
	Units    map[string]uint64 `json:"units,omitempty"`
}

// ReaderErrors are those after which the journal was opened again.
type ReaderErrors struct {
	Count     uint64    `json:"count"`
	Last      time.Time `json:"last,omitzero"`
	LastError string    `json:"last_error,omitempty"`
}

// An ActionSnapshot is one action and its queue.
type ActionSnapshot struct {
	Name string `json:"name"`
	// Kind is empty for a queue whose action is not in the configuration any more.
	Kind string `json:"kind,omitempty"`

	Queued       int64          `json:"queued"`
	Bytes        int64          `json:"bytes"`
	MaxBytes     int64          `json:"max_bytes,omitempty"`
	WhenFull     spool.WhenFull `json:"when_full,omitempty"`
	OldestQueued time.Time      `json:"oldest_queued,omitzero"`
	// InFlight are those of the queued ones that a call is under way for.
	InFlight int `json:"in_flight"`

	// Dropped is how many deliveries the full queue had no room for, in all the
	// time of the spool, and LastDropped when the last one was dropped.
	Dropped      int64     `json:"dropped"`
	DroppedBytes int64     `json:"dropped_bytes"`
	LastDropped  time.Time `json:"last_dropped,omitzero"`

	// Appended has also those that were dropped, instead or afterwards.
	Appended       uint64 `json:"appended"`
	Delivered      uint64 `json:"delivered"`
	FailedAttempts uint64 `json:"failed_attempts"`
	Buried         uint64 `json:"dead_letters_buried"`

	LastSuccess time.Time `json:"last_success,omitzero"`
	LastFailure time.Time `json:"last_failure,omitzero"`
	LastError   string    `json:"last_error,omitempty"`
	// Failures is how many tries in a row have failed, and NextTry when the next is
	// due. Both outlive a restart.
	Failures int       `json:"failures_in_row"`
	NextTry  time.Time `json:"next_try,omitzero"`
	// Stalled says why deliveries that were made cannot be noted in the spool.
	Stalled string `json:"stalled,omitempty"`
}

// Fill is how full the queue is: from 1 on it has no room. It is 0 where the limit is
// not known.
func (a *ActionSnapshot) Fill() float64 {
	if a.MaxBytes == 0 {
		return 0
	}
	return float64(a.Bytes) / float64(a.MaxBytes)
}

// A RuleSnapshot is how often a rule has matched. LastHit is when the last entry
// that it matched was logged.
type RuleSnapshot struct {
	Name    string    `json:"name"`
	Hits    uint64    `json:"hits"`
	LastHit time.Time `json:"last_hit,omitzero"`
}

// Alive returns nil while every loop turns; see Router.Alive.
func (s *Snapshot) Alive() error {
	if s.Stuck != "" {
		return errors.New(s.Stuck)
	}
	return nil
}

// Ready returns nil while the router does its work, or what keeps it from that.
// A destination that fails does not: that is what the queues are for.
func (s *Snapshot) Ready() error {
	switch s.State {
	case Reading, Waiting:
	default:
		return errors.New(s.Reason)
	}
	if err := s.Alive(); err != nil {
		return err
	}
	for _, a := range s.Actions {
		if a.Stalled != "" {
			return errors.New("what action " + a.Name + " has delivered cannot be noted: " + a.Stalled)
		}
	}
	return nil
}

// Snapshot tells what the router does now. It costs a lock and some copying.
func (r *Router) Snapshot() Snapshot {
	s := r.figures.snapshot(time.Now())
	s.Journal = r.Source
	s.withSpool(r.Spool)
	if err := r.Alive(); err != nil {
		s.Stuck = err.Error()
	}
	routes := r.routes.Load()
	if routes == nil {
		routes = &r.first
	}
	all, queues := r.Spool.Queues(), make(map[string]spool.QueueStatus)
	for _, q := range all {
		queues[q.Action] = q
	}
	for _, a := range routes.Actions {
		one := r.figures.action(a.Name)
		one.Kind, one.MaxBytes, one.WhenFull = a.Kind, a.MaxBytes, a.WhenFull
		s.Actions = append(s.Actions, one.withQueue(queues[a.Name]))
		delete(queues, a.Name)
	}
	for _, q := range all {
		if _, left := queues[q.Action]; left && q.Queued > 0 {
			s.Actions = append(s.Actions, ActionSnapshot{Name: q.Action}.withQueue(q))
		}
	}
	for _, rule := range routes.Rules.Rules() {
		s.Rules = append(s.Rules, r.figures.rule(rule.Name))
	}
	s.addLetters(r.Spool)
	return s
}

// withSpool adds how large the file is.
func (s *Snapshot) withSpool(sp *spool.Spool) {
	size := sp.Size()
	s.SpoolBytes, s.SpoolLiveBytes = size.File, size.Live
}

// withQueue adds how the queue stands.
func (a ActionSnapshot) withQueue(q spool.QueueStatus) ActionSnapshot {
	a.Queued, a.Bytes = q.Queued, q.Bytes
	a.Dropped, a.DroppedBytes, a.LastDropped = q.Dropped.Count, q.Dropped.Bytes, q.Dropped.Last
	if q.Queued == 0 {
		a.OldestQueued = time.Time{}
	}
	if f := q.Failures; f.Count > 0 {
		a.Failures, a.LastFailure, a.LastError, a.NextTry = f.Count, f.Last, f.Error, f.Last.Add(f.Wait)
	}
	return a
}

// SpoolSnapshot is what a spool tells that no daemon has open. kinds has those of
// the configuration's actions, by their names.
func SpoolSnapshot(sp *spool.Spool, source string, kinds map[string]string) (Snapshot, error) {
	s := Snapshot{
		Time: time.Now(), Journal: source, State: NotRunning, Reason: "no daemon is running",
		Actions: []ActionSnapshot{}, Rules: []RuleSnapshot{},
	}
	position, err := sp.Position(source)
	if err != nil {
		return s, err
	}
	s.Position = Position{position, journal.CursorTime(position)}
	s.withSpool(sp)
	for _, q := range sp.Queues() {
		if q.Queued == 0 && kinds[q.Action] == "" {
			continue
		}
		a := ActionSnapshot{Name: q.Action, Kind: kinds[q.Action]}
		first, err := sp.Queue(q.Action).Peek(1)
		if err != nil {
			return s, err
		}
		if len(first) > 0 {
			a.OldestQueued = first[0].QueuedAt
		}
		s.Actions = append(s.Actions, a.withQueue(q))
	}
	s.addLetters(sp)
	return s, nil
}

// addLetters fills in how many dead letters there are, and were removed.
func (s *Snapshot) addLetters(sp *spool.Spool) {
	s.DeadLetters, s.DeadLettersRemoved = make(map[string]int), make(map[string]uint64)
	for action, c := range sp.LetterCounts() {
		if c.Kept > 0 {
			s.DeadLetters[action] = c.Kept
		}
		if c.Removed > 0 {
			s.DeadLettersRemoved[action] = c.Removed
		}
	}
}
