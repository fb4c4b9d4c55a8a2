package metrics_test

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/action/actiontest"
	"github.com/journald-router/journald-router/action/metrics"
)

// TestSettings: what is refused, by the keys of the settings; all at once.
func TestSettings(t *testing.T) {
	counter := func(change func(*metrics.Metric)) metrics.Metric {
		m := metrics.Metric{Type: metrics.Counter, Help: "H."}
		if change != nil {
			change(&m)
		}
		return m
	}
	histogram := func(buckets ...float64) metrics.Metric {
		return metrics.Metric{Type: metrics.Histogram, Help: "H.", Value: "1", Buckets: buckets}
	}
	gauge := metrics.Metric{Type: metrics.Gauge, Help: "H.", Value: "1"}
	labels := func(names ...string) map[string]string {
		all := make(map[string]string)
		for _, name := range names {
			all[name] = "x"
		}
		return all
	}
	tests := map[string]struct {
		c    metrics.Config
		want []string
	}{
		"right": {metrics.Config{
			"a_total": counter(nil), "b": histogram(), "c": gauge, "d": histogram(0.1), "b_seconds": histogram(-1, 0, 1), "goes_total": counter(nil), "_x_total": counter(nil),
			"e_total": counter(func(m *metrics.Metric) { m.Labels = labels("le", "quantile", "_a", "A9") }), "f_total": counter(func(m *metrics.Metric) { m.MaxSeries = new(100_000) }),
			"retry_count_total": counter(nil), "upper": gauge,
		}, nil},
		"no metric":               {metrics.Config{}, []string{""}},
		"nothing said":            {metrics.Config{"a": {}}, []string{"a", "a"}},
		"no such type":            {metrics.Config{"a": {Type: "summary", Help: "H."}}, []string{"a.type"}},
		"no help":                 {metrics.Config{"a_total": {Type: metrics.Counter}}, []string{"a_total"}},
		"no value":                {metrics.Config{"a": {Type: metrics.Gauge, Help: "H."}, "b": {Type: metrics.Histogram, Help: "H."}}, []string{"a", "b"}},
		"bad values":              {metrics.Config{"a_total": counter(func(m *metrics.Metric) { m.Value = "-1" }), "b_total": counter(func(m *metrics.Metric) { m.Value = "{{ .Nope }}" }), "c_total": counter(func(m *metrics.Metric) { m.Value = "one" })}, []string{"a_total.value", "b_total.value", "c_total.value"}},
		"buckets":                 {metrics.Config{"a": histogram(1, 1), "b": histogram(2, 1), "c": histogram([]float64{}...), "d": histogram(1, math.Inf(1)), "e": histogram(make([]float64, 101)...), "f": histogram(1, math.NaN())}, []string{"f.buckets", "a.buckets", "b.buckets", "c.buckets", "d.buckets", "e.buckets", "e.buckets"}},
		"buckets of a counter":    {metrics.Config{"a_total": counter(func(m *metrics.Metric) { m.Buckets = []float64{1} })}, []string{"a_total.buckets"}},
		"max_series":              {metrics.Config{"a_total": counter(func(m *metrics.Metric) { m.MaxSeries = new(0) }), "b_total": counter(func(m *metrics.Metric) { m.MaxSeries = new(100_001) })}, []string{"a_total.max_series", "b_total.max_series"}},
		"names":                   {metrics.Config{"": gauge, "9a": gauge, "a-b": gauge, "a:b": gauge, "ä": gauge, "a.b": gauge, "up": gauge, strings.Repeat("a", 201): gauge}, []string{"", "9a", "a-b", "a.b", "a:b", strings.Repeat("a", 201), "up", "ä"}},
		"owned":                   {metrics.Config{"go_x": gauge, "journald_router_x": gauge, "process_x": gauge, "promhttp_x": gauge, "scrape_x": gauge}, []string{"go_x", "journald_router_x", "process_x", "promhttp_x", "scrape_x"}},
		"endings":                 {metrics.Config{"a_bucket": gauge, "a_count": gauge, "a_created": gauge, "a_info": gauge, "a_sum": gauge, "a_total": gauge, "b": counter(nil), "_total": counter(nil), "c_total": histogram()}, []string{"_total", "a_bucket", "a_count", "a_created", "a_info", "a_sum", "a_total", "b", "c_total"}},
		"labels":                  {metrics.Config{"a_total": counter(func(m *metrics.Metric) { m.Labels = labels("__a", "9", "a-b", "", strings.Repeat("a", 201)) })}, []string{"a_total.labels.", "a_total.labels.9", "a_total.labels.__a", "a_total.labels.a-b", "a_total.labels." + strings.Repeat("a", 201)}},
		"le":                      {metrics.Config{"a": {Type: metrics.Histogram, Help: "H.", Value: "1", Labels: labels("le")}}, []string{"a.labels.le"}},
		"label template":          {metrics.Config{"a_total": counter(func(m *metrics.Metric) { m.Labels = map[string]string{"a": "", "b": "{{ .Nope }}", "c": "{{"} })}, []string{"a_total.labels.a", "a_total.labels.b", "a_total.labels.c"}},
		"the same in OpenMetrics": {metrics.Config{"a_total": counter(nil), "a": gauge, "b_sum_total": counter(nil), "b": histogram()}, []string{"a_total", "b_sum_total"}},
	}
	for name, tt := range tests {
		_, err := metrics.New(tt.c)
		got := actiontest.RefusedKeys(t, err)
		slices.Sort(got)
		slices.Sort(tt.want)
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: refused (-want +got):\n%s%v", name, diff, err)
		}
	}
}

// TestHints: what is advised is of use, and one mistake is one problem.
func TestHints(t *testing.T) {
	for name, tt := range map[string]struct {
		typ  metrics.Type
		want string
	}{
		"_total":  {metrics.Counter, "_total is nothing but an ending (begin it with what it is of, such as shop_orders_total)"},
		"x":       {metrics.Counter, "x does not end in _total, as a counter must (name it x_total)"},
		"x_total": {"Counter", `x_total.type is "Counter", which is none (counter, gauge or histogram)`},
	} {
		_, err := metrics.New(metrics.Config{name: {Type: tt.typ, Help: "H."}})
		var problem *action.FieldError
		if !errors.As(err, &problem) {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%s %s (%s)", problem.Key, problem.Problem, problem.Hint); got != tt.want || len(actiontest.RefusedKeys(t, err)) != 1 {
			t.Errorf("%s: %v, want %s", name, err, tt.want)
		}
	}
}

// TestTemplates: those of the settings are there by their names, for the check against
// the rules.
func TestTemplates(t *testing.T) {
	var names []string
	for name := range newAction(t, shop()).Templates() {
		names = append(names, name)
	}
	slices.Sort(names)
	want := []string{"order_euros_total.value", "order_seconds.value", "orders_total.labels.country", "stock.labels.of", "stock.value"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
