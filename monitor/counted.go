package monitor

import (
	"iter"

	"github.com/journald-router/journald-router/router"
	"github.com/prometheus/client_golang/prometheus"
)

// A Metered action has metrics of the user's own.
type Metered interface {
	prometheus.Collector
	// Withheld yields how many entries each of them has withheld, by its name.
	Withheld() iter.Seq2[string, uint64]
}

// counted collects the metrics of all actions that have some. Which those are changes with
// the configuration, and so it describes none beforehand.
type counted struct{ actions func() []router.Action }

// withheld is what a metric of an action has.
type withheld struct {
	metric string
	n      uint64
}

var ofMetric = []metric[withheld]{
	counter("metric_withheld_total", "Entries that changed nothing in a metric of the action, as it has as many series as max_series allows.",
		func(w withheld) uint64 { return w.n }, "action", "metric"),
}

// Describe implements prometheus.Collector.
func (counted) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c counted) Collect(to chan<- prometheus.Metric) {
	for _, a := range c.actions() {
		m, ok := a.Destination.(Metered)
		if !ok {
			continue
		}
		m.Collect(to)
		for name, n := range m.Withheld() {
			values(to, ofMetric, withheld{name, n}, a.Name, name)
		}
	}
}
