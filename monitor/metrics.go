package monitor

import (
	"time"

	"github.com/journald-router/journald-router/router"
	"github.com/prometheus/client_golang/prometheus"
)

// collector makes metrics of snapshots. Their names are an interface: dashboards
// and alerts are made of them.
type collector struct{ snapshot func() router.Snapshot }

// metric is one name, and how its value is read of what it is about. A gauge
// without a value at the moment is left out.
type metric[T any] struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(T) (v float64, ok bool)
}

func counter[T any](name, help string, value func(T) uint64, labels ...string) metric[T] {
	return metric[T]{describe(name, help, labels), prometheus.CounterValue, func(of T) (float64, bool) { return float64(value(of)), true }}
}

func gauge[T any](name, help string, value func(T) float64, labels ...string) metric[T] {
	return metric[T]{describe(name, help, labels), prometheus.GaugeValue, func(of T) (float64, bool) { return value(of), true }}
}

// timestamp is a gauge in seconds since 1970.
func timestamp[T any](name, help string, value func(T) time.Time, labels ...string) metric[T] {
	return metric[T]{describe(name, help, labels), prometheus.GaugeValue, func(of T) (float64, bool) {
		t := value(of)
		return float64(t.UnixMicro()) / 1e6, !t.IsZero()
	}}
}

func describe(name, help string, labels []string) *prometheus.Desc {
	return prometheus.NewDesc("journald_router_"+name, help, labels, nil)
}

var ofRouter = []metric[*router.Snapshot]{
	gauge("ready", "Whether the router does its work: 1 as long as /readyz says ok, else 0.",
		func(s *router.Snapshot) float64 { return one(s.Ready() == nil) }),
	gauge("reading_stopped", "1 while nothing is read because a queue is full or the spool cannot be written, else 0.",
		func(s *router.Snapshot) float64 {
			return one(s.State == router.QueueFull || s.State == router.SpoolUnwritable)
		}),
	gauge("lag_seconds", "How far reading is behind at most. Zero once it has caught up.",
		func(s *router.Snapshot) float64 { return s.LagSeconds }),
	timestamp("last_entry_timestamp_seconds", "When the last entry that was read was logged.",
		func(s *router.Snapshot) time.Time { return s.Position.Time }),
	gauge("spool_bytes", "Size of the spool's file.",
		func(s *router.Snapshot) float64 { return float64(s.SpoolBytes) }),
	gauge("spool_live_bytes", "How much of the spool's file is in use.",
		func(s *router.Snapshot) float64 { return float64(s.SpoolLiveBytes) }),
	counter("entries_matched_total", "Entries that a rule has matched.",
		func(s *router.Snapshot) uint64 { return s.EntriesMatched }),
	counter("gaps_total", "Stretches of the journal that were deleted before they were read.",
		func(s *router.Snapshot) uint64 { return s.Gaps.Count }),
	counter("entries_lost_total", "Entries that the journal had deleted before they were read, as far as their number is known.",
		func(s *router.Snapshot) uint64 { return s.Gaps.Entries }),
	counter("damages_total", "Stretches of the journal that could not be read.",
		func(s *router.Snapshot) uint64 { return s.Damages.Count }),
	counter("entries_damaged_total", "Entries that could not be read, as far as their number is known.",
		func(s *router.Snapshot) uint64 { return s.Damages.Entries }),
	counter("fields_cut_total", "Fields that were given to actions shorter than they are.",
		func(s *router.Snapshot) uint64 { return s.FieldsCut }),
	counter("messages_suppressed_total", "Messages that journald did not take, as their service logged too many at once.",
		func(s *router.Snapshot) uint64 { return s.Suppressed.Messages }),
	counter("reader_errors_total", "Errors after which the journal was opened again.",
		func(s *router.Snapshot) uint64 { return s.ReaderErrors.Count }),
}

var ofAction = []metric[*router.ActionSnapshot]{
	gauge("queue_deliveries", "Deliveries that wait.",
		func(a *router.ActionSnapshot) float64 { return float64(a.Queued) }, "action"),
	gauge("queue_bytes", "Size of the entries of the deliveries that wait.",
		func(a *router.ActionSnapshot) float64 { return float64(a.Bytes) }, "action"),
	{describe("queue_limit_bytes", "The size at which the queue is full.", []string{"action"}), prometheus.GaugeValue,
		func(a *router.ActionSnapshot) (float64, bool) { return float64(a.MaxBytes), a.MaxBytes > 0 }},
	gauge("in_flight_deliveries", "Deliveries that a call is under way for.",
		func(a *router.ActionSnapshot) float64 { return float64(a.InFlight) }, "action"),
	timestamp("queue_oldest_timestamp_seconds", "When the first delivery that waits was queued. Absent while none waits.",
		func(a *router.ActionSnapshot) time.Time { return a.OldestQueued }, "action"),
	counter("deliveries_appended_total", "Deliveries that came for the queue, those that it dropped as it was full included.",
		func(a *router.ActionSnapshot) uint64 { return a.Appended }, "action"),
	counter("deliveries_accepted_total", "Deliveries that the destination has accepted.",
		func(a *router.ActionSnapshot) uint64 { return a.Delivered }, "action"),
	counter("failed_attempts_total", "Attempts to deliver that have failed.",
		func(a *router.ActionSnapshot) uint64 { return a.FailedAttempts }, "action"),
	counter("dead_letters_buried_total", "Deliveries that were given up and became dead letters.",
		func(a *router.ActionSnapshot) uint64 { return a.Buried }, "action"),
	counter("deliveries_dropped_total", "Deliveries that a full queue had no room for, in all the time of the spool.",
		func(a *router.ActionSnapshot) uint64 { return uint64(a.Dropped) }, "action"),
	timestamp("last_drop_timestamp_seconds", "When a delivery was dropped last.",
		func(a *router.ActionSnapshot) time.Time { return a.LastDropped }, "action"),
	gauge("failures_in_row", "Attempts that have failed since the last success. Zero while the destination works.",
		func(a *router.ActionSnapshot) float64 { return float64(a.Failures) }, "action"),
	timestamp("next_try_timestamp_seconds", "When the next attempt is due. Absent while the destination works.",
		func(a *router.ActionSnapshot) time.Time { return a.NextTry }, "action"),
	timestamp("last_success_timestamp_seconds", "When a delivery was accepted last.",
		func(a *router.ActionSnapshot) time.Time { return a.LastSuccess }, "action"),
}

// letters are the dead letters of one action, which may not be in the
// configuration any more.
type letters struct {
	action  string
	kept    int
	removed uint64
}

var ofLetters = []metric[*letters]{
	gauge("dead_letters", "Dead letters that there are.",
		func(l *letters) float64 { return float64(l.kept) }, "action"),
	counter("dead_letters_removed_total", "Dead letters that the limit has removed since the spool was made.",
		func(l *letters) uint64 { return l.removed }, "action"),
}

var ofRule = []metric[*router.RuleSnapshot]{
	counter("rule_hits_total", "Entries that the rule has matched.",
		func(r *router.RuleSnapshot) uint64 { return r.Hits }, "rule"),
	timestamp("rule_last_hit_timestamp_seconds", "When the last entry that the rule has matched was logged.",
		func(r *router.RuleSnapshot) time.Time { return r.LastHit }, "rule"),
}

// Describe implements prometheus.Collector.
func (c collector) Describe(to chan<- *prometheus.Desc) {
	descs(to, ofRouter)
	descs(to, ofAction)
	descs(to, ofLetters)
	descs(to, ofRule)
}

func descs[T any](to chan<- *prometheus.Desc, all []metric[T]) {
	for _, m := range all {
		to <- m.desc
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(to chan<- prometheus.Metric) {
	s := c.snapshot()
	values(to, ofRouter, &s)
	for i := range s.Actions {
		values(to, ofAction, &s.Actions[i], s.Actions[i].Name)
	}
	for _, l := range lettersOf(&s) {
		values(to, ofLetters, &l, l.action)
	}
	for i := range s.Rules {
		values(to, ofRule, &s.Rules[i], s.Rules[i].Name)
	}
}

// lettersOf has each action that is known, and each that there are letters of.
func lettersOf(s *router.Snapshot) []letters {
	names := make(map[string]bool)
	for _, a := range s.Actions {
		names[a.Name] = true
	}
	for name := range s.DeadLetters {
		names[name] = true
	}
	for name := range s.DeadLettersRemoved {
		names[name] = true
	}
	var all []letters
	for name := range names {
		all = append(all, letters{name, s.DeadLetters[name], s.DeadLettersRemoved[name]})
	}
	return all
}

func values[T any](to chan<- prometheus.Metric, all []metric[T], of T, labels ...string) {
	for _, m := range all {
		if v, ok := m.value(of); ok {
			to <- prometheus.MustNewConstMetric(m.desc, m.kind, v, labels...)
		}
	}
}

func one(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
