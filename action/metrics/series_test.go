package metrics_test

import (
	"fmt"
	"iter"
	"maps"
	"strings"
	"testing"

	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/action/actiontest"
	"github.com/journald-router/journald-router/action/metrics"
)

// TestWithheld: beyond max_series there are no new series, and the entries that would have
// made some are counted; those that there are go on.
func TestWithheld(t *testing.T) {
	a := newAction(t, metrics.Config{"orders_total": shop()["orders_total"]})
	m := actiontest.Remember(a, nil)
	deliver(t, a, order(1, "A", "", "", ""), order(2, "B", "", "", ""), order(3, "C", "", "", ""), order(4, "D", "", "", ""))
	deliver(t, a, order(5, "A", "", "", ""), order(6, "E", "", "", ""))
	m.Hold()
	deliver(t, a, order(7, "F", "", "", "")) // is gone with the crash
	fewer := shop()["orders_total"]
	fewer.MaxSeries = new(1)
	a = newAction(t, metrics.Config{"orders_total": fewer})
	actiontest.Remember(a, m.Crash())
	deliver(t, a, order(8, "C", "", "", ""), order(9, "G", "", "", ""))
	shows(t, a, `
	orders_total{country="A"} 2
	orders_total{country="B"} 1
	orders_total{country="C"} 2
	withheld orders_total 3`)

	// A template that has become mere text hides nothing of that.
	fewer.Labels = map[string]string{"country": "all"}
	a = newAction(t, metrics.Config{"orders_total": fewer})
	actiontest.Remember(a, m.Crash())
	deliver(t, a, order(10, "A", "", "", ""))
	shows(t, a, `
	orders_total{country="A"} 2
	orders_total{country="B"} 1
	orders_total{country="C"} 1
	withheld orders_total 3`)
}

// TestWithheldIsReadOnce: what a scrape takes does not grow with metrics times series.
func TestWithheldIsReadOnce(t *testing.T) {
	c := metrics.Config{}
	for n := range 20 {
		c[fmt.Sprintf("lines%d_total", n)] = metrics.Metric{Type: metrics.Counter, Help: "Lines.", Labels: map[string]string{"country": "{{ .Fields.COUNTRY }}"}}
	}
	a := newAction(t, c)
	m := &reads{Memory: actiontest.Remember(a, nil)}
	a.Remember(m)
	deliver(t, a, order(1, "DE", "", "", ""))
	m.n = 0
	if all := maps.Collect(a.Withheld()); len(all) != len(c) || m.n != 1 {
		t.Errorf("%d metrics, of %d, in %d reads of the whole memory", len(all), len(c), m.n)
	}
}

// reads counts how often all that is durable is read.
type reads struct {
	*actiontest.Memory
	n int
}

func (r *reads) Durable(prefix string) iter.Seq2[string, []byte] {
	r.n++
	return r.Memory.Durable(prefix)
}

// TestWrittenOnce: a call writes each series that it changes once, and no other.
func TestWrittenOnce(t *testing.T) {
	one := 1
	a := newAction(t, metrics.Config{"orders_total": {Type: metrics.Counter, Help: "Orders.", Labels: map[string]string{"country": "{{ .Fields.COUNTRY }}"}, MaxSeries: &one}, "seconds": {Type: metrics.Gauge, Help: "Time.", Value: "{{ .Fields.SECONDS }}"}})
	m := &writes{Memory: actiontest.Remember(a, nil)}
	a.Remember(m)
	for _, tt := range []struct {
		countries string
		want      int
	}{{"AAA", 2}, {"AB", 3}, {"A", 2}, {"B", 2}} {
		m.n = 0
		var batch []action.Message
		for n, country := range tt.countries {
			batch = append(batch, order(n, string(country), "", "1", ""))
		}
		deliver(t, a, batch...)
		if m.n != tt.want {
			t.Errorf("%s: %d writes, want %d", tt.countries, m.n, tt.want)
		}
	}
}

// writes counts them.
type writes struct {
	*actiontest.Memory
	n int
}

func (w *writes) Put(key string, value []byte) {
	w.n++
	w.Memory.Put(key, value)
}

// TestBeginsAnew: a metric whose type, label names or buckets are others has nothing of
// before, and one that was gone meanwhile neither; other changes leave it as it is.
func TestBeginsAnew(t *testing.T) {
	first := metrics.Config{"orders_total": shop()["orders_total"], "order_seconds": shop()["order_seconds"]}
	changed := func(change func(orders, seconds *metrics.Metric)) metrics.Config {
		orders, seconds := first["orders_total"], first["order_seconds"]
		change(&orders, &seconds)
		return metrics.Config{"orders_total": orders, "order_seconds": seconds}
	}
	tests := map[string]struct {
		second           metrics.Config
		orders, observed int // after one delivery with each of the two
	}{
		"the same": {first, 2, 2},
		"help, value, template and max_series": {changed(func(orders, seconds *metrics.Metric) {
			orders.Help, seconds.Help = "Other.", "Other."
			orders.Value, seconds.Value = "1.0", "{{ .Fields.EUROS }}"
			orders.Labels, orders.MaxSeries = map[string]string{"country": "{{ .Fields.COUNTRY }}{{/* */}}"}, nil
		}), 2, 2},
		"labels":           {changed(func(orders, _ *metrics.Metric) { orders.Labels = map[string]string{"land": "{{ .Fields.COUNTRY }}"} }), 1, 2},
		"buckets":          {changed(func(_, seconds *metrics.Metric) { seconds.Buckets = []float64{0.5, 1, 6} }), 2, 1},
		"type":             {changed(func(_, seconds *metrics.Metric) { seconds.Type, seconds.Buckets = metrics.Gauge, nil }), 2, 0},
		"gone":             {metrics.Config{"orders_total": first["orders_total"]}, 2, 0},
		"another is there": {metrics.Config{"orders_total": first["orders_total"], "more": {Type: metrics.Gauge, Help: "M.", Value: "1"}}, 2, 0},
	}
	for name, tt := range tests {
		a := newAction(t, first)
		m := actiontest.Remember(a, nil)
		deliver(t, a, order(1, "DE", "1", "1", ""))
		a = newAction(t, tt.second)
		m = actiontest.Remember(a, m.Crash())
		orders, observed := totals(t, a)
		if orders != tt.orders-1 || observed != max(tt.observed-1, 0) {
			t.Errorf("%s: before a delivery %d orders, %d observed", name, orders, observed)
		}
		deliver(t, a, order(2, "DE", "1", "1", ""))
		if orders, observed := totals(t, a); orders != tt.orders || observed != tt.observed {
			t.Errorf("%s: %d orders, %d observed, want %d, %d", name, orders, observed, tt.orders, tt.observed)
		}
		// Nothing is kept of what is gone.
		for key := range m.Crash() {
			if metric, _, _ := strings.Cut(key, "/"); tt.second[metric].Type == "" {
				t.Errorf("%s: the memory has %s", name, key)
			}
		}
		if n, want := len(m.Crash()), len(tt.second); n != want {
			t.Errorf("%s: the memory has %d keys, want %d", name, n, want)
		}
	}
}

// totals are the sum of orders_total and the count of order_seconds.
func totals(t *testing.T, a *metrics.Action) (orders, observed int) {
	t.Helper()
	for _, f := range families(t, a) {
		for _, m := range f.Metric {
			orders += int(m.GetCounter().GetValue())
			observed += int(m.GetHistogram().GetSampleCount())
		}
	}
	return orders, observed
}

// TestLabelValues: whatever an entry has becomes a label's value.
func TestLabelValues(t *testing.T) {
	long := strings.Repeat("ä", 600)
	a := newAction(t, metrics.Config{"lines_total": {Type: metrics.Counter, Help: "Lines.", Labels: map[string]string{"text": "{{ .Fields.COUNTRY }}", "fixed": "x"}}})
	actiontest.Remember(a, nil)
	for i, tt := range []struct{ text, want string }{
		{"", ""}, {"a\"b\\\n<&>\u2028", "a\"b\\\n<&>\u2028"}, {"not \xff\xfe UTF-8", "not \ufffd UTF-8"}, {"nul \x00", "nul \x00"},
		{long, strings.Repeat("ä", 510) + "…"}, {long[:1024], long[:1024]},
	} {
		deliver(t, a, order(i, tt.text, "", "", ""))
		ok := false
		for _, m := range families(t, a)[0].Metric {
			ok = ok || m.Label[1].GetValue() == tt.want && m.Label[0].GetValue() == "x"
		}
		if !ok {
			t.Errorf("%.50q: there is no %.50q", tt.text, tt.want)
		}
	}
}
