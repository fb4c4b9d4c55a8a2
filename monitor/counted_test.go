package monitor

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/action/actiontest"
	"github.com/journald-router/journald-router/action/metrics"
	"github.com/journald-router/journald-router/action/stdout"
	"github.com/journald-router/journald-router/journal"
	"github.com/journald-router/journald-router/router"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// counting is an action that has withheld something, and shows what it is told to.
type counting struct {
	stdout.Action
	shown []prometheus.Metric
}

func (*counting) Describe(chan<- *prometheus.Desc) {}
func (c *counting) Collect(to chan<- prometheus.Metric) {
	for _, m := range c.shown {
		to <- m
	}
}
func (*counting) Withheld() iter.Seq2[string, uint64] {
	return maps.All(map[string]uint64{"orders_total": 23})
}

// TestScrape: the user's metrics are on /metrics, in both formats, as a scraper reads them;
// after a reload, those of the actions that there are then.
func TestScrape(t *testing.T) {
	a, err := metrics.New(metrics.Config{
		"orders_total": {Type: metrics.Counter, Help: `Orders, in "all".`, Labels: map[string]string{"country": "{{ .Text }}"}, MaxSeries: new(1)},
		"seconds":      {Type: metrics.Histogram, Help: "Time.", Value: "0.25"},
		"stock":        {Type: metrics.Gauge, Help: "Left.", Value: "7"},
	})
	if err != nil {
		t.Fatal(err)
	}
	actiontest.Remember(a, nil)
	r := journal.NewRecord("s=1;i=2;b=3;m=4;t=5;x=6", time.Unix(1_800_000_000, 0), 0)
	var batch []action.Message
	for _, country := range []string{"D\"E\n\\", "AT", "AT"} {
		batch = append(batch, action.Message{Record: r, Data: action.NewData("", "", country, nil, r)})
	}
	if err := a.Deliver(context.Background(), batch); err != nil {
		t.Fatal(err)
	}
	now := &source{func() router.Snapshot { return router.Snapshot{State: router.Waiting} }, []router.Action{{Name: "out", Destination: &stdout.Action{}}, {Name: "shop", Destination: a}}}
	h := Handler(now)

	_, text := get(t, h, "/metrics")
	parser := expfmt.NewTextParser(model.LegacyValidation)
	all, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	if got := all["orders_total"].GetMetric()[0]; got.GetCounter().GetValue() != 1 || got.Label[0].GetValue() != "D\"E\n\\" || all["orders_total"].GetHelp() != `Orders, in "all".` {
		t.Errorf("orders_total: %v", all["orders_total"])
	}
	if got := all["seconds"].GetMetric()[0].GetHistogram(); got.GetSampleCount() != 3 || got.GetSampleSum() != 0.75 || len(got.Bucket) != len(prometheus.DefBuckets)+1 {
		t.Errorf("seconds: %v", got)
	}
	if got := all["stock"].GetMetric()[0].GetGauge().GetValue(); got != 7 {
		t.Errorf("stock: %v", got)
	}
	if !strings.Contains(text, `journald_router_metric_withheld_total{action="shop",metric="orders_total"} 2`+"\n") || strings.Contains(text, `metric="stock"`) {
		t.Errorf("what was withheld is not in\n%s", text)
	}

	open := scrapeOpenMetrics(t, h)
	for _, want := range []string{
		"# TYPE orders counter\n", `orders_total{country="D\"E\n\\"} 1.0 # {cursor="s=1;i=2;t=5"} 1.0 1.8e+09` + "\n",
		`seconds_bucket{le="0.25"} 3 # {cursor="s=1;i=2;t=5"} 0.25 1.8e+09` + "\n", "# EOF\n",
	} {
		if !strings.Contains(open, want) {
			t.Errorf("there is no %s in\n%s", want, open)
		}
	}

	now.actions = now.actions[:1]
	if _, text := get(t, h, "/metrics"); strings.Contains(text, "orders_total") || !strings.Contains(text, "journald_router_ready 1") {
		t.Errorf("after a reload:\n%s", text)
	}
}

func scrapeOpenMetrics(t *testing.T, h http.Handler) string {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	r.Header.Set("Accept", "application/openmetrics-text; version=1.0.0")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if got := w.Header().Get("Content-Type"); w.Code != 200 || !strings.HasPrefix(got, "application/openmetrics-text; version=1.0.0") {
		t.Fatalf("%d %s\n%s", w.Code, got, w.Body)
	}
	return w.Body.String()
}

// TestScrapeGoesOn: a metric that cannot be shown is left out and counted, and the rest is
// there.
func TestScrapeGoesOn(t *testing.T) {
	wrong := prometheus.NewDesc("wrong", "Wrong.", nil, nil)
	right := prometheus.MustNewConstMetric(prometheus.NewDesc("right", "Right.", nil, nil), prometheus.GaugeValue, 1)
	shop := &counting{shown: []prometheus.Metric{prometheus.NewInvalidMetric(wrong, errors.New("no")), right, right}}
	h := Handler(&source{eventful, []router.Action{{Name: "shop", Destination: shop}}})
	status, text := get(t, h, "/metrics")
	for _, want := range []string{"\nright 1\n", "\njournald_router_spool_bytes 19\n", "\ngo_goroutines "} {
		if status != 200 || strings.Count(text, want) != 1 {
			t.Errorf("%d, and %s", status, fmt.Sprintf("%q is there %d times", want, strings.Count(text, want)))
		}
	}
	const left = "\npromhttp_metric_handler_errors_total{cause=\"gathering\"} "
	if _, text := get(t, h, "/metrics"); !strings.Contains(text, left+"1\n") {
		t.Errorf("that some are left out is not in\n%s", text)
	}
}
