package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/journald-router/journald-router/action/metrics"
	"github.com/journald-router/journald-router/spool"
)

// counted are a counter with a label of twenty values, and a histogram with another.
var counted = metrics.Config{
	"entries_total": {Type: metrics.Counter, Help: "Entries.", Labels: map[string]string{"unit": "{{ .Unit }}"}},
	"entry_bytes": {Type: metrics.Histogram, Help: "Their sizes.", Value: "{{ len .Text }}", Labels: map[string]string{"priority": "{{ .Priority }}"},
		Buckets: []float64{50, 100, 200, 300, 400, 1000}},
}

const countedYAML = `
  count:
    metrics:
      entries_total: {type: counter, help: Entries., labels: {unit: "{{ .Unit }}"}}
      entry_bytes: {type: histogram, help: Their sizes., value: "{{ len .Text }}", labels: {priority: "{{ .Priority }}"}, buckets: [50, 100, 200, 300, 400, 1000]}
`

// metrics counts every entry in two metrics.
func (b *bench) metrics() (reached, compared, want string, err error) {
	few := *b
	few.rounds = min(b.rounds, 3)
	m, err := few.interleave(few.metricsOnce, b.cScan)
	if err != nil {
		return
	}
	return b.rate(m[0]), "a counter and a histogram, 28 series; C: " + b.rate(m[1]), "at least 50000 entries/s", nil
}

// metricsOnce is the time of run --once; every entry must then be counted in both.
func (b *bench) metricsOnce() (seconds float64, err error) {
	dir, err := os.MkdirTemp(b.dir, "bench-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	config, state := filepath.Join(dir, "config.yaml"), filepath.Join(dir, "state")
	text := fmt.Sprintf("journal: {directory: %s, start: beginning}\nstate: %s\nrules: [{name: all, match: {MESSAGE: {exists: true}}, actions: [count]}]\nactions:%s", b.journal, state, countedYAML)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return 0, err
	}
	_, took, err := measured(b.router, "run", "--once", "--timeout=5m", "--config="+config)
	if err != nil {
		return 0, err
	}
	s, err := spool.OpenExisting(state)
	if err != nil {
		return 0, err
	}
	defer s.Close()
	a, err := metrics.New(counted)
	if err != nil {
		return 0, err
	}
	a.Remember(s.Queue("count").Memory())
	registry := prometheus.NewRegistry()
	registry.MustRegister(a)
	families, err := registry.Gather()
	if err != nil {
		return 0, err
	}
	for _, f := range families {
		if n := sum(f); n != b.entries {
			return 0, fmt.Errorf("%s has counted %d entries, want %d", f.GetName(), n, b.entries)
		}
	}
	return took.wall, nil
}

// sum is how many entries a metric has counted in all series.
func sum(f *dto.MetricFamily) (n int) {
	for _, m := range f.Metric {
		n += int(m.GetCounter().GetValue()) + int(m.GetHistogram().GetSampleCount())
	}
	return n
}
