// Package metrics makes numbers of entries: counters, gauges and histograms of the
// user's own, which the router shows on its /metrics (package monitor).
//
// What was counted is the action's memory. It becomes durable together with what became
// of the deliveries that were counted, and /metrics shows only what is durable: so each
// delivery counts once, and no counter ever goes down, also when the process is killed.
package metrics

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/journald-router/journald-router/action"
)

// Action counts. It is also a prometheus.Collector.
type Action struct {
	metrics   []*metric
	byID      map[string]*metric
	templates map[string]*action.Template
	memory    action.Memory
	loaded    bool
	touched   []*series // in the call under way
	samples   []sample  // of the message that is counted
}

// New checks the settings.
func New(c Config) (*Action, error) {
	all, templates, err := c.compile()
	if err != nil {
		return nil, err
	}
	a := &Action{metrics: all, byID: make(map[string]*metric), templates: templates}
	for _, m := range all {
		a.byID[m.id] = m
	}
	return a, nil
}

// Batch implements action.Batcher. What a call changes is one transaction, whose cost is
// that of the disk.
func (a *Action) Batch() (usual, most int) { return 1000, 5000 }

// Templates implements action.Templater.
func (a *Action) Templates() map[string]*action.Template { return a.templates }

// Remember implements action.Rememberer.
func (a *Action) Remember(m action.Memory) { a.memory = m }

// Deliver counts each message in all of the metrics, or in none if one of them cannot
// have it: that is permanent. Nothing else fails once it has begun, so that what is put
// into the memory is always that of a call whose outcome is settled.
func (a *Action) Deliver(ctx context.Context, batch []action.Message) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := a.load(); err != nil {
		return err
	}
	errs := make([]error, len(batch))
	for i := range batch {
		errs[i] = action.Permanent(a.count(&batch[i]))
	}
	a.put()
	return action.Each(errs)
}

// count counts a message. Its error names the metric that cannot have it.
func (a *Action) count(message *action.Message) error {
	a.samples = a.samples[:0]
	for _, m := range a.metrics {
		s, err := m.sample(message)
		if err != nil {
			return fmt.Errorf("metric %s: %w; nothing of this entry was counted", m.name, err)
		}
		a.samples = append(a.samples, s)
	}
	for i := range a.samples {
		if s := a.samples[i].add(message); s != nil && !s.touched {
			s.touched = true
			a.touched = append(a.touched, s)
		}
	}
	return nil
}

// put gives the memory what the call has changed.
func (a *Action) put() {
	for _, s := range a.touched {
		value, _ := json.Marshal(s.kept) // its numbers are finite: see sample
		a.memory.Put(s.key, value)
		s.touched = false
	}
	a.touched = a.touched[:0]
	for _, m := range a.metrics {
		if m.counted {
			a.memory.Put(m.id, strconv.AppendUint(nil, m.withheld, 10))
			m.counted = false
		}
	}
}

// load takes up what was counted before, and forgets what is not in the configuration any
// more. That waits for the first call, as the last one under the configuration before
// may have been under way until then.
func (a *Action) load() error {
	if a.loaded {
		return nil
	}
	for _, m := range a.metrics {
		m.series, m.withheld = make(map[string]*series), 0
	}
	for _, key := range a.memory.Keys("") {
		m, isSeries := a.of(key)
		switch value := a.memory.Get(key); {
		case m == nil:
			a.memory.Put(key, nil)
		case isSeries:
			k, err := m.read(value)
			if err != nil {
				return err
			}
			m.series[strings.Join(k.Labels, separator)] = &series{kept: k, key: key}
		default:
			m.withheld = readWithheld(value)
		}
	}
	a.loaded = true
	return nil
}

// of finds the metric that a key of the memory belongs to, or nil: the key of one of its
// series, or else that of what it has withheld.
func (a *Action) of(key string) (m *metric, isSeries bool) {
	if m = a.byID[key]; m != nil {
		return m, false
	}
	return a.byID[key[:max(strings.LastIndexByte(key, '/'), 0)]], true
}
