package metrics_test

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/action/actiontest"
	"github.com/journald-router/journald-router/action/metrics"
	"github.com/journald-router/journald-router/journal"
)

// filled is the action, given messages with the data that the engine makes of them.
type filled struct{ *metrics.Action }

func (f filled) Deliver(ctx context.Context, batch []action.Message) error {
	for i := range batch {
		m := &batch[i]
		m.Data = action.NewData(m.ID, m.Rule, m.Text, nil, m.Record)
	}
	return f.Action.Deliver(ctx, batch)
}

// TestContract: the destination is what is on /metrics.
func TestContract(t *testing.T) {
	const none = "it connects to nothing"
	actiontest.Run(t, actiontest.Harness{
		Destination: func(t *testing.T, mood actiontest.Mood) actiontest.Destination {
			most := 10_000
			lines := metrics.Metric{Type: metrics.Counter, Help: "Lines.", Labels: map[string]string{"text": "{{ .Text }}"}, MaxSeries: &most}
			if mood == actiontest.Refusing {
				lines.Value = "{{ .Text }}"
			}
			a := newAction(t, metrics.Config{"lines_total": lines})
			return actiontest.Destination{Action: filled{a}, Accepted: func() []string { return counted(t, a) }}
		},
		Cannot: map[actiontest.Mood]string{actiontest.Failing: none, actiontest.Busy: none, actiontest.Hanging: none, actiontest.Echoing: none},
		Repeat: "counted twice; but the engine repeats nothing whose count is durable",
	})
}

func newAction(t *testing.T, c metrics.Config) *metrics.Action {
	t.Helper()
	a, err := metrics.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// families are what a scrape shows, before it is a text.
func families(t *testing.T, a prometheus.Collector) []*dto.MetricFamily {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(a)
	all, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// exposition is the text of a scrape in a format.
func exposition(t *testing.T, a prometheus.Collector, format expfmt.Format) string {
	t.Helper()
	var b bytes.Buffer
	e := expfmt.NewEncoder(&b, format)
	for _, f := range families(t, a) {
		if err := e.Encode(f); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

// counted are the texts that lines_total has as labels in the text of a scrape, each as
// often as it was counted, in the order of their last entries.
func counted(t *testing.T, a *metrics.Action) (texts []string) {
	t.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	all, err := parser.TextToMetricFamilies(strings.NewReader(exposition(t, a, expfmt.NewFormat(expfmt.TypeTextPlain))))
	if err != nil {
		t.Fatal(err)
	}
	shown := all["lines_total"].GetMetric()
	gathered := families(t, a)
	if len(gathered) == 0 {
		return nil
	}
	last := make(map[string]time.Time)
	for _, m := range gathered[0].Metric {
		last[m.Label[0].GetValue()] = m.Counter.GetExemplar().GetTimestamp().AsTime()
	}
	slices.SortFunc(shown, func(a, b *dto.Metric) int {
		return cmp.Compare(last[a.Label[0].GetValue()].UnixMicro(), last[b.Label[0].GetValue()].UnixMicro())
	})
	for _, m := range shown {
		for range int(m.Counter.GetValue()) {
			texts = append(texts, m.Label[0].GetValue())
		}
	}
	return texts
}

// shop are metrics of each type.
func shop() metrics.Config {
	three := 3
	return metrics.Config{
		"orders_total":      {Type: metrics.Counter, Help: "Orders.", Labels: map[string]string{"country": "{{ .Fields.COUNTRY }}"}, MaxSeries: &three},
		"order_euros_total": {Type: metrics.Counter, Help: "Money.", Value: "{{ .Fields.EUROS }}"},
		"order_seconds":     {Type: metrics.Histogram, Help: "Time.", Value: "{{ .Fields.SECONDS }}", Buckets: []float64{0.5, 1, 5}},
		"stock":             {Type: metrics.Gauge, Help: "Left.", Value: "{{ .Fields.STOCK }}", Labels: map[string]string{"of": "{{ .Fields.THING }}"}},
	}
}

const cursor = "s=739ad463348b4ceca5a9e69c95a3c93f;i=%x;b=6c7c6013a26343b29e964691ff25d04c;m=4ca8b93eb8;t=4d4f6b1f5e5d5;x=d2c3a7a8a8a8a8a8"

// order is an entry that was logged so many seconds after a certain time.
func order(n int, country, euros, seconds, stock string) action.Message {
	fields := []journal.Field{
		{Name: "COUNTRY", Value: []byte(country)}, {Name: "EUROS", Value: []byte(euros)},
		{Name: "SECONDS", Value: []byte(seconds)}, {Name: "STOCK", Value: []byte(stock)}, {Name: "THING", Value: []byte("cup")},
	}
	r := journal.NewRecord(fmt.Sprintf(cursor, n), time.Unix(1_800_000_000+int64(n), 0), 0, fields...)
	return action.Message{ID: fmt.Sprintf("%032x", n), Rule: "r", Record: r, Data: action.NewData("", "r", "", nil, r)}
}

func deliver(t *testing.T, a *metrics.Action, batch ...action.Message) {
	t.Helper()
	if err := a.Deliver(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
}

// shows compares what is shown with the lines of a scrape, but for the comments.
func shows(t *testing.T, a *metrics.Action, want string) {
	t.Helper()
	var got []string
	for line := range strings.Lines(exposition(t, a, expfmt.NewFormat(expfmt.TypeTextPlain))) {
		if !strings.HasPrefix(line, "#") {
			got = append(got, strings.TrimSpace(line))
		}
	}
	for name, n := range a.Withheld() {
		if n > 0 {
			got = append(got, fmt.Sprintf("withheld %s %d", name, n))
		}
	}
	wanted := strings.FieldsFunc(strings.ReplaceAll(strings.TrimSpace(want), "\t", ""), func(r rune) bool { return r == '\n' })
	if !slices.Equal(got, wanted) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(wanted, "\n"))
	}
}

const nothing = `
	order_euros_total 0
	order_seconds_bucket{le="0.5"} 0
	order_seconds_bucket{le="1"} 0
	order_seconds_bucket{le="5"} 0
	order_seconds_bucket{le="+Inf"} 0
	order_seconds_sum 0
	order_seconds_count 0`

// TestTypes: what each type makes of the values, also over a restart.
func TestTypes(t *testing.T) {
	a := newAction(t, shop())
	m := actiontest.Remember(a, nil)
	shows(t, a, nothing)
	deliver(t, a, order(1, "DE", "10.5", "0.25", "7"), order(2, "AT", "2", "1", " 8 "))
	a = newAction(t, shop())
	m = actiontest.Remember(a, m.Crash())
	deliver(t, a, order(3, "DE", "0", "1e1", "-3"))
	want := `
	order_euros_total 12.5
	order_seconds_bucket{le="0.5"} 1
	order_seconds_bucket{le="1"} 2
	order_seconds_bucket{le="5"} 2
	order_seconds_bucket{le="+Inf"} 3
	order_seconds_sum 11.25
	order_seconds_count 3
	orders_total{country="AT"} 1
	orders_total{country="DE"} 2
	stock{of="cup"} -3`
	shows(t, a, want)
	problems, err := testutil.CollectAndLint(a)
	if err != nil || len(problems) > 0 {
		t.Errorf("lint: %v %v", problems, err)
	}

	// Only what is durable is shown, and a crash goes back to that.
	m.Hold()
	deliver(t, a, order(4, "DE", "1", "1", "1"))
	shows(t, a, want)
	a = newAction(t, shop())
	actiontest.Remember(a, m.Crash())
	shows(t, a, want)
	deliver(t, a, order(4, "DE", "1", "1", "1"))
	shows(t, a, strings.NewReplacer("12.5", "13.5", `"1"} 2`, `"1"} 3`, `"5"} 2`, `"5"} 3`, `+Inf"} 3`, `+Inf"} 4`, "11.25", "12.25", "count 3", "count 4", `"DE"} 2`, `"DE"} 3`, "-3", "1").Replace(want))
}

// TestAllOrNothing: an entry that one of the metrics cannot have is counted in none.
func TestAllOrNothing(t *testing.T) {
	a := newAction(t, shop())
	actiontest.Remember(a, nil)
	huge := "1" + strings.Repeat("0", 308)
	deliver(t, a, order(0, "DE", huge, huge, huge), order(0, "DE", "0", "0", huge)) // a gauge is no sum
	for _, tt := range []struct {
		m    action.Message
		want string
	}{
		{order(1, "DE", "much", "1", "1"), `metric order_euros_total: the value "much" is no number (mend the template of value, or have the rule match only entries with a number, and retry the dead letter); nothing of this entry was counted`},
		{order(1, "DE", "", "1", "1"), `metric order_euros_total: the value "" is no number`},
		{order(1, "DE", "-1", "1", "1"), `metric order_euros_total: the value "-1" is negative, and a counter only grows`},
		{order(1, "DE", "1", "NaN", "1"), `metric order_seconds: the value "NaN" is no finite number`},
		{order(1, "DE", "1", "-inf", "1"), `metric order_seconds: the value "-inf" is no finite number`},
		{order(1, "DE", "1e999", "1", "1"), `metric order_euros_total: the value "1e999" is no finite number`},
		{order(1, "DE", "1", "1", "1,5"), `metric stock: the value "1,5" is no number`},
		{order(1, "DE", huge, "1", "1"), `metric order_euros_total: the value 1e+308 is too large to be added to 1e+308`},
		{order(1, "DE", "1", huge, "1"), `metric order_seconds: the value 1e+308 is too large to be added to 1e+308`},
	} {
		before := exposition(t, a, expfmt.NewFormat(expfmt.TypeTextPlain))
		err := a.Deliver(t.Context(), []action.Message{tt.m})
		if !action.IsPermanent(err) || !strings.HasPrefix(fmt.Sprint(err), tt.want) {
			t.Errorf("%v (permanent: %v), want %s", err, action.IsPermanent(err), tt.want)
		}
		if after := exposition(t, a, expfmt.NewFormat(expfmt.TypeTextPlain)); after != before {
			t.Errorf("%s has changed\n%s\nto\n%s", tt.want, before, after)
		}
	}
	// Those around it count.
	a = newAction(t, shop())
	actiontest.Remember(a, nil)
	err := a.Deliver(t.Context(), []action.Message{order(1, "DE", "1", "1", "1"), order(2, "DE", "?", "1", "2"), order(3, "AT", "3", "1", "3")})
	e, ok := err.(*action.BatchError)
	if !ok || e.Errs[0] != nil || !action.IsPermanent(e.Errs[1]) || e.Errs[2] != nil {
		t.Fatal(err)
	}
	shows(t, a, `
	order_euros_total 4
	order_seconds_bucket{le="0.5"} 0
	order_seconds_bucket{le="1"} 2
	order_seconds_bucket{le="5"} 2
	order_seconds_bucket{le="+Inf"} 2
	order_seconds_sum 2
	order_seconds_count 2
	orders_total{country="AT"} 1
	orders_total{country="DE"} 1
	stock{of="cup"} 3`)
}

// TestUnits: milliseconds become seconds, and a gauge has the time of an entry.
func TestUnits(t *testing.T) {
	a := newAction(t, metrics.Config{
		"took_seconds":           {Type: metrics.Histogram, Help: "Time.", Value: "{{ .Captures.ms }}e-3", Buckets: []float64{0.25}},
		"last_timestamp_seconds": {Type: metrics.Gauge, Help: "When.", Value: "{{ .Time.Unix }}"},
	})
	actiontest.Remember(a, nil)
	m := order(7, "", "", "", "")
	m.Data = action.NewData("", "r", "", map[string]string{"ms": "250"}, m.Record)
	deliver(t, a, m)
	shows(t, a, `
	last_timestamp_seconds 1.800000007e+09
	took_seconds_bucket{le="0.25"} 1
	took_seconds_bucket{le="+Inf"} 1
	took_seconds_sum 0.25
	took_seconds_count 1`)
}

// TestNothingYet: what has no labels, or mere text for them, is there with 0, but for a
// gauge, of which nobody knows what it is.
func TestNothingYet(t *testing.T) {
	long := strings.Repeat("x", 1100)
	a := newAction(t, metrics.Config{
		"lines_total": {Type: metrics.Counter, Help: "Lines.", Labels: map[string]string{"of": long}},
		"stock":       {Type: metrics.Gauge, Help: "Left.", Value: "{{ .Fields.STOCK }}"},
	})
	shows(t, a, "") // before it has a memory
	actiontest.Remember(a, nil)
	lines := `lines_total{of="` + long[:1021] + `…"} `
	shows(t, a, lines+"0")
	deliver(t, a, order(1, "", "", "", "3"))
	shows(t, a, lines+"1\nstock 3")
}

// TestStopped: a call that is too late counts nothing.
func TestStopped(t *testing.T) {
	a := newAction(t, shop())
	actiontest.Remember(a, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := a.Deliver(ctx, []action.Message{order(1, "DE", "1", "1", "1")}); err == nil || action.IsPermanent(err) {
		t.Error(err)
	}
	shows(t, a, nothing)
}

// TestExemplars: in OpenMetrics' format, a counter and each bucket show the last entry that
// changed them, by a cursor that journalctl takes, within the format's limit.
func TestExemplars(t *testing.T) {
	a := newAction(t, shop())
	actiontest.Remember(a, nil)
	deliver(t, a, order(1, "DE", "10.5", "0.25", "7"), order(2, "DE", "2", "0.125", "8"), order(3, "AT", "1", "99", "9"))
	odd := order(4, "CH", "0", "0.75", "9")
	odd.Record = journal.NewRecord(strings.Repeat("x", 123), time.Unix(1_800_000_000, 0), 0) // no room for such a cursor
	deliver(t, a, odd)
	text := exposition(t, a, expfmt.NewFormat(expfmt.TypeOpenMetrics))
	const short = "s=739ad463348b4ceca5a9e69c95a3c93f;i=%d;t=4d4f6b1f5e5d5"
	for line, e := range map[string]string{
		`orders_total{country="DE"} 2.0`:    ` # {cursor="` + fmt.Sprintf(short, 2) + `"} 1.0 1.800000002e+09`,
		`orders_total{country="AT"} 1.0`:    ` # {cursor="` + fmt.Sprintf(short, 3) + `"} 1.0 1.800000003e+09`,
		`orders_total{country="CH"} 1.0`:    "",
		`order_seconds_bucket{le="0.5"} 2`:  ` # {cursor="` + fmt.Sprintf(short, 2) + `"} 0.125 1.800000002e+09`,
		`order_seconds_bucket{le="5.0"} 3`:  "",
		`order_seconds_bucket{le="+Inf"} 4`: ` # {cursor="` + fmt.Sprintf(short, 3) + `"} 99.0 1.800000003e+09`,
		`stock{of="cup"} 9.0`:               "",
		"# TYPE orders counter":             "",
		"# TYPE order_seconds histogram":    "",
		"# HELP order_euros Money.":         "",
	} {
		if !strings.Contains(text, line+e+"\n") {
			t.Errorf("there is no %s%s in\n%s", line, e, text)
		}
	}
}

// TestNoExemplar: an entry of a time that Prometheus does not know, as a forged journal has,
// counts as any other.
func TestNoExemplar(t *testing.T) {
	a := newAction(t, metrics.Config{"lines_total": {Type: metrics.Counter, Help: "Lines."}})
	actiontest.Remember(a, nil)
	odd := order(1, "", "", "", "")
	odd.Record = journal.NewRecord(odd.Record.Cursor(), time.Date(20_000, 1, 1, 0, 0, 0, 0, time.UTC), 0)
	deliver(t, a, odd)
	shows(t, a, "lines_total 1")

	sometime := time.Unix(1_800_000_000, 0)
	for _, tt := range []struct {
		r    journal.Record
		want bool
	}{
		{journal.NewRecord(strings.Repeat("x", 122), sometime, 0), true},
		{journal.NewRecord(strings.Repeat("x", 123), sometime, 0), false},
		{journal.NewRecord("x\xff", sometime, 0), false},
		{journal.Record{}, false},
	} {
		deliver(t, a, action.Message{Record: tt.r})
		if e := families(t, a)[0].Metric[0].Counter.Exemplar; (e != nil) != tt.want {
			t.Errorf("%q at %v: exemplar %v, want one: %v", tt.r.Cursor(), tt.r.Time(), e, tt.want)
		}
	}
}
