package metrics

import (
	"iter"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/journald-router/journald-router/action"
)

// Describe implements prometheus.Collector.
func (a *Action) Describe(to chan<- *prometheus.Desc) {
	for _, m := range a.metrics {
		to <- m.desc
	}
}

// Collect implements prometheus.Collector: it shows what is durable. It may be called
// while Deliver is, and by several goroutines.
func (a *Action) Collect(to chan<- prometheus.Metric) {
	if a.memory == nil {
		return
	}
	shown := make(map[*metric]bool)
	for key, value := range a.memory.Durable("") {
		m, isSeries := a.of(key)
		if m == nil || !isSeries {
			continue
		}
		shown[m] = true
		if k, err := m.read(value); err != nil {
			to <- prometheus.NewInvalidMetric(m.desc, err)
		} else {
			to <- m.show(k)
		}
	}
	// That there was none yet is a number, too, of which an increase can be told.
	for _, m := range a.metrics {
		if labels, fixed := m.only(); fixed && !shown[m] && m.typ != Gauge {
			to <- m.show(m.newSeries(labels).kept)
		}
	}
}

// only are the values of the labels, if they are the same for every entry.
func (m *metric) only() (values []string, fixed bool) {
	if slices.ContainsFunc(m.labels, func(t *action.Template) bool { return !t.Fixed() }) {
		return nil, false
	}
	for _, t := range m.labels {
		text, _ := t.Render(action.Data{}) // mere text
		values = append(values, labelValue(text))
	}
	return values, true
}

// show is a series as Prometheus has it.
func (m *metric) show(k kept) prometheus.Metric {
	var shown prometheus.Metric
	var err error
	switch m.typ {
	case Counter:
		shown, err = prometheus.NewConstMetric(m.desc, prometheus.CounterValue, k.Value, k.Labels...)
	case Gauge:
		shown, err = prometheus.NewConstMetric(m.desc, prometheus.GaugeValue, k.Value, k.Labels...)
	case Histogram:
		var count uint64
		upTo := make(map[float64]uint64, len(m.buckets))
		for i, n := range k.Counts {
			count += n
			if i < len(m.buckets) {
				upTo[m.buckets[i]] = count
			}
		}
		shown, err = prometheus.NewConstHistogram(m.desc, count, k.Value, upTo, k.Labels...)
	}
	if err != nil {
		return prometheus.NewInvalidMetric(m.desc, err)
	}
	var exemplars []prometheus.Exemplar
	for _, e := range k.Exemplars {
		if e.Cursor != "" {
			exemplars = append(exemplars, prometheus.Exemplar{Value: e.Value, Labels: prometheus.Labels{cursorLabel: e.Cursor}, Timestamp: time.UnixMicro(e.Micros)})
		}
	}
	if len(exemplars) == 0 {
		return shown
	}
	with, err := prometheus.NewMetricWithExemplars(shown, exemplars...)
	if err != nil {
		return shown // the number is there for more than an example of it
	}
	return with
}

// Withheld yields how many entries each metric has withheld, as they would have made more
// series than max_series: of those that can have several, or could before a reload. It is
// like Collect.
func (a *Action) Withheld() iter.Seq2[string, uint64] {
	return func(yield func(string, uint64) bool) {
		if a.memory == nil {
			return
		}
		withheld := make(map[*metric]uint64)
		for key, value := range a.memory.Durable("") { // once, as each time copies all of it
			if m, isSeries := a.of(key); m != nil && !isSeries {
				withheld[m] = readWithheld(value)
			}
		}
		for _, m := range a.metrics {
			_, fixed := m.only()
			if n := withheld[m]; (n > 0 || !fixed) && !yield(m.name, n) {
				return
			}
		}
	}
}
