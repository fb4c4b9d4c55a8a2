package e2e

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/journald-router/journald-router/journal/journaltest"
)

const orders = `
http: 127.0.0.1:0
actions:
  shop:
    parse: json
    metrics:
      shop_orders_total: {type: counter, help: Orders., labels: {country: "{{ .JSON.country }}"}, max_series: 2}
      shop_order_euros_total: {type: counter, help: Money., value: "{{ .JSON.euros }}"}
      shop_order_size: {type: histogram, help: Money of each., value: "{{ .JSON.euros }}", buckets: [10, 100]}
rules:
  - {name: orders, prefix: "ORDER: ", actions: [shop]}
`

// TestMetrics: what is logged is counted on /metrics, and goes on through a reload and a
// restart; a value that is none is a dead letter, which counts once when it is retried; and
// journalctl finds the entry that a number is of.
func TestMetrics(t *testing.T) {
	j := journaltest.Start(t, journaltest.Options{})
	p := newProgram(t, j, orders)
	p.startReady()
	p.shows("shop_order_euros_total 0")
	j.Print(`ORDER: {"country": "DE", "euros": 12.5}`, `ORDER: {"country": "AT", "euros": 250}`, `ORDER: {"country": "CH", "euros": 1}`, `ORDER: {"country": "DE", "euros": "much"}`)
	counted := []string{
		`shop_orders_total{country="AT"} 1`, `shop_orders_total{country="DE"} 1`, "shop_order_euros_total 263.5",
		`shop_order_size_bucket{le="10"} 1`, `shop_order_size_bucket{le="100"} 2`, "shop_order_size_count 3",
		`journald_router_metric_withheld_total{action="shop",metric="shop_orders_total"} 1`,
	}
	p.shows(append(counted, `journald_router_dead_letters{action="shop"} 1`)...)

	large := openMetrics(t, p)
	cursor := regexp.MustCompile(`shop_order_size_bucket\{le="\+Inf"\} 3 # \{cursor="([^"]+)"\} 250.0 `).FindStringSubmatch(large)
	if cursor == nil {
		t.Fatalf("there is no exemplar in\n%s", large)
	}
	found, err := exec.Command("journalctl", "--namespace="+j.Namespace(), "--output=cat", "--cursor="+cursor[1], "-n1").Output()
	if want := `ORDER: {"country": "AT", "euros": 250}` + "\n"; err != nil || string(found) != want {
		t.Errorf("journalctl --cursor=%s: %q, %v; want %q", cursor[1], found, err, want)
	}

	mended := strings.Replace(orders, `value: "{{ .JSON.euros }}"}`, `value: '{{ if eq .JSON.euros "much" }}1000{{ else }}{{ .JSON.euros }}{{ end }}'}`, 1)
	mended = strings.Replace(mended, `value: "{{ .JSON.euros }}", buckets`, `value: '{{ if eq .JSON.euros "much" }}1000{{ else }}{{ .JSON.euros }}{{ end }}', buckets`, 1)
	p.reload(mended)
	p.shows(counted...)
	cause := p.run("dead", "list")
	if want := `metric shop_order_euros_total: the value "much" is no number`; !strings.Contains(cause, want) {
		t.Errorf("dead list: %s, want %s", cause, want)
	}
	p.run("dead", "retry")
	counted = []string{`shop_orders_total{country="AT"} 1`, `shop_orders_total{country="DE"} 2`, "shop_order_euros_total 1263.5", "shop_order_size_count 4"}
	p.shows(counted...)
	p.stop()
	p.startReady()
	p.shows(counted...)
	p.stop()
	if n := p.says("level=ERROR"); n != 1 { // the dead letter
		t.Errorf("%d errors in the log, want 1", n)
	}
}

// TestMetricsComeBack: an action that is of another kind for a while, and then not there at
// all, goes on where it was, with what has waited for it.
func TestMetricsComeBack(t *testing.T) {
	j := journaltest.Start(t, journaltest.Options{})
	const config = `
http: 127.0.0.1:0
actions:
  numbers: {metrics: {lines_total: {type: counter, help: Lines.}}}
rules:
  - {name: lines, prefix: "LINE ", actions: [numbers]}
`
	p := newProgram(t, j, config)
	p.startReady()
	j.Print("LINE 1", "LINE 2")
	p.shows("lines_total 2")
	p.reload(strings.Replace(config, "{metrics: {lines_total: {type: counter, help: Lines.}}}", "{stdout: }", 1))
	j.Print("LINE 3")
	p.waitFor("the third line", func() bool { return p.metric(`deliveries_accepted_total{action="numbers"} 3`) })
	if p.shown("lines_total 2") {
		t.Error("there is a metric without its action")
	}
	p.reload(config)
	p.shows("lines_total 2")
	j.Print("LINE 4")
	p.shows("lines_total 3")
	p.reload(strings.NewReplacer("numbers: {metrics: {lines_total: {type: counter, help: Lines.}}}", "other: {stdout: }", "[numbers]", "[other]").Replace(config))
	j.Print("LINE 5")
	p.waitFor("the fifth line", func() bool { return p.metric(`deliveries_accepted_total{action="other"} 1`) })
	p.reload(config)
	p.shows("lines_total 3")
	j.Print("LINE 6")
	p.shows("lines_total 4")
	p.stop()
}

// TestMetricsPage: the first example of docs/actions/metrics.md works as it stands, but for
// the port, and shows what the page says.
func TestMetricsPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/actions/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	example := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindSubmatch(page)
	line := regexp.MustCompile("prints `(ORDER: .*?)`").FindSubmatch(page)
	shown := regexp.MustCompile(`(?m)^    (shop_order\S+ \S+)$`).FindAllSubmatch(page, -1)
	if example == nil || line == nil || len(shown) != 2 {
		t.Fatalf("the page has %q, %q, %q", example, line, shown)
	}
	j := journaltest.Start(t, journaltest.Options{})
	p := newProgram(t, j, strings.Replace(string(example[1]), ":9323", ":0", 1))
	p.startReady()
	var again time.Time
	p.waitFor("the page's numbers", func() bool {
		if time.Now().After(again) { // the first may be nobody's: see UnitStdout
			again = time.Now().Add(2 * time.Second)
			out, err := j.UnitStdout("shop.service", "shop")
			if err != nil {
				t.Fatal(err)
			}
			defer out.Close()
			j.Sync()
			fmt.Fprintf(out, "%s\n", line[1])
		}
		return p.shown(string(shown[0][1]), string(shown[1][1]))
	})
	p.stop()
}

// shows waits until /metrics has the lines.
func (p *program) shows(lines ...string) {
	p.t.Helper()
	p.waitFor(strings.Join(lines, ", "), func() bool { return p.shown(lines...) })
}

// shown tells whether /metrics has the lines.
func (p *program) shown(lines ...string) bool {
	_, all := p.get("/metrics")
	for _, line := range lines {
		if !slices.Contains(strings.Split(all, "\n"), line) {
			return false
		}
	}
	return true
}

// openMetrics is /metrics as Prometheus asks for it.
func openMetrics(t *testing.T, p *program) string {
	t.Helper()
	found := regexp.MustCompile(`http=(\S+)`).FindAllStringSubmatch(p.log.String(), -1)
	r, err := http.NewRequest(http.MethodGet, fmt.Sprintf("http://%s/metrics", found[len(found)-1][1]), nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "application/openmetrics-text;version=1.0.0")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	all, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(all)
}
