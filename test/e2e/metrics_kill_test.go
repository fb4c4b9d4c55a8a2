package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/journald-router/journald-router/journal/journaltest"
	"github.com/journald-router/journald-router/journal/journaltest/stored"
)

// TestMetricsKill: the program is killed at 100 random moments while orders are logged. In
// the end every number is that of the entries in the journal, and at no moment has a
// scrape shown less of anything than one before.
func TestMetricsKill(t *testing.T) {
	const lines, kills = 20_000, 100
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))

	j := journaltest.Start(t, journaltest.Options{})
	p := newProgram(t, j, countedOrders)
	p.startReady()
	w := watch(t, p)

	s := newOrders(j, lines, kills)
	for range kills {
		s.next()
		<-time.After(time.Duration(random.IntN(120_000)) * time.Microsecond)
		p.kill()
		p.start()
	}
	if err := s.end(); err != nil {
		t.Fatal(err)
	}
	scrapes := w.finish(j)
	p.stop()
	t.Logf("%d orders, %d kills, %d scrapes", int(w.shown()["order_size_count"]), kills, scrapes)
	if scrapes < kills {
		t.Errorf("there were only %d scrapes", scrapes)
	}
}

// TestMetricsReload: while orders are logged and the configuration is reloaded, nothing is
// counted twice or not at all, and every scrape has everything.
func TestMetricsReload(t *testing.T) {
	const lines, reloads = 10_000, 30
	j := journaltest.Start(t, journaltest.Options{})
	p := newProgram(t, j, countedOrders)
	p.startReady()
	w := watch(t, p)
	s := newOrders(j, lines, reloads)
	for n := range reloads {
		s.next()
		p.reload(strings.Replace(countedOrders, "help: Orders.", fmt.Sprintf("help: Orders %d.", n), 1))
	}
	if err := s.end(); err != nil {
		t.Fatal(err)
	}
	w.finish(j)
	if w.empty > 0 {
		t.Errorf("%d scrapes had none of the metrics", w.empty)
	}
	p.stop()
}

const countedOrders = `
http: 127.0.0.1:0
actions:
  shop:
    parse: json
    batch: {max: 20}
    metrics:
      orders_total: {type: counter, help: Orders., labels: {country: "{{ .JSON.country }}"}, max_series: 5}
      order_euros_total: {type: counter, help: Money., value: "{{ .JSON.euros }}"}
      order_size: {type: histogram, help: Money of each., value: "{{ .JSON.euros }}", buckets: [10, 50]}
      last_order: {type: gauge, help: The last., value: "{{ .JSON.n }}"}
rules:
  - {name: orders, prefix: "ORDER: ", actions: [shop]}
`

// newOrders logs them, with others among them.
func newOrders(j *journaltest.T, lines, pauses int) *stream {
	return newStream(j, lines, pauses, func(n int) string {
		switch {
		case n%10 == 0:
			return fmt.Sprintf("noise %d", n)
		case n%997 == 0:
			return fmt.Sprintf(`ORDER: {"n": %d, "country": "XX", "euros": "much"}`, n) // a dead letter
		}
		return fmt.Sprintf(`ORDER: {"n": %d, "country": "%c", "euros": %d}`, n, 'A'+n%8, n%100)
	})
}

// countOrders counts what the journal has, as the metrics should.
func countOrders(t *testing.T, j *journaltest.T) map[string]float64 {
	t.Helper()
	numbers := map[string]float64{}
	countries := make(map[string]bool)
	for _, r := range stored.In(t, j.Journald) {
		message, _ := r.Get("MESSAGE")
		text, ok := strings.CutPrefix(string(message), "ORDER: ")
		if !ok {
			continue
		}
		var order struct {
			N       float64
			Country string
			Euros   any
		}
		if err := json.Unmarshal([]byte(text), &order); err != nil {
			t.Fatal(err)
		}
		euros, ok := order.Euros.(float64)
		if !ok {
			numbers["journald_router_dead_letters shop"]++
			continue
		}
		if countries[order.Country] || len(countries) < 5 {
			countries[order.Country] = true
			numbers["orders_total "+order.Country]++
		} else {
			numbers["journald_router_metric_withheld_total shop orders_total"]++
		}
		numbers["order_euros_total"] += euros
		for bound, is := range map[string]bool{"10": euros <= 10, "50": euros <= 50, "+Inf": true} {
			if is {
				numbers["order_size_bucket "+bound]++
			}
		}
		numbers["order_size_sum"] += euros
		numbers["order_size_count"]++
		numbers["last_order"] = order.N
	}
	return numbers
}

// A watcher scrapes a program again and again, and sees to it that no number goes down.
type watcher struct {
	t    *testing.T
	p    *program
	done chan struct{}
	wg   sync.WaitGroup

	mu      sync.Mutex
	last    map[string]float64
	scrapes int // that have seen the numbers
	empty   int // that have seen none
}

func watch(t *testing.T, p *program) *watcher {
	w := &watcher{t: t, p: p, done: make(chan struct{}), last: map[string]float64{}}
	w.wg.Go(func() {
		tick := time.NewTicker(3 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-w.done:
				return
			case <-tick.C:
				w.scrape()
			}
		}
	})
	t.Cleanup(w.stop)
	return w
}

// finish waits for the last order in the journal, compares what is shown with all that the
// journal has, and returns how many scrapes there were before.
func (w *watcher) finish(j *journaltest.T) (scrapes int) {
	w.t.Helper()
	want := countOrders(w.t, j)
	w.p.waitFor("the last order", func() bool {
		return w.shown()["last_order"] == want["last_order"] && w.p.metric(`queue_deliveries{action="shop"} 0`)
	})
	w.stop()
	scrapes = w.scrapes
	w.scrape()
	if diff := cmp.Diff(want, w.shown()); diff != "" {
		w.t.Errorf("(-in the journal +on /metrics):\n%s", diff)
	}
	return scrapes
}

// shown is what the last scrape has seen.
func (w *watcher) shown() map[string]float64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.last)
}

func (w *watcher) stop() {
	select {
	case <-w.done:
	default:
		close(w.done)
	}
	w.wg.Wait()
}

var address = regexp.MustCompile(`http=(\S+)`)

// scrape looks once. That nobody answers, or not to the end, is a kill.
func (w *watcher) scrape() {
	found := address.FindAllStringSubmatch(w.p.log.String(), -1)
	client := http.Client{Timeout: 5 * time.Second}
	resp, err := client.Get("http://" + found[len(found)-1][1] + "/metrics")
	if err != nil {
		return
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(string(text)))
	if err != nil || resp.StatusCode != http.StatusOK {
		w.t.Errorf("scrape: %s, %v\n%s", resp.Status, err, text)
		return
	}
	now := numbers(families)
	w.mu.Lock()
	defer w.mu.Unlock()
	if families["order_euros_total"] == nil { // the program has just begun, and has no actions yet
		w.empty++
		return
	}
	for name, before := range w.last {
		if now[name] < before {
			w.t.Errorf("%s was %v, and is %v", name, before, now[name])
		}
	}
	w.last = now
	w.scrapes++
}

// watched are the metrics of the test, and what the router itself tells of them.
var watched = []string{"orders_total", "order_euros_total", "order_size", "last_order", "journald_router_metric_withheld_total", "journald_router_dead_letters"}

// numbers are the values that are not 0, by the names and the values of the labels.
func numbers(families map[string]*dto.MetricFamily) map[string]float64 {
	all := map[string]float64{}
	for _, name := range watched {
		for _, m := range families[name].GetMetric() {
			key := name
			for _, l := range m.Label {
				key += " " + l.GetValue()
			}
			if h := m.Histogram; h != nil {
				all[name+"_sum"], all[name+"_count"] = h.GetSampleSum(), float64(h.GetSampleCount())
				for _, b := range h.Bucket {
					all[fmt.Sprintf("%s_bucket %v", name, b.GetUpperBound())] = float64(b.GetCumulativeCount())
				}
				continue
			}
			all[key] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	maps.DeleteFunc(all, func(_ string, v float64) bool { return v == 0 })
	return all
}
