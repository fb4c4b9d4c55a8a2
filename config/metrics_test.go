package config

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestBadMetrics: every mistake of the metrics, with its place and what to do.
func TestBadMetrics(t *testing.T) {
	const yaml = `actions:
  shop:
    metrics:
      orders: {type: counter, help: H.}
      go_time: {type: histogram, help: H., value: "{{ .Captures.time }}", buckets: [1, 1]}
      a_total: {type: counter, help: H., labels: {__name: x, no: "{{ .JSON.country }}"}}
      b: {type: guage, help: H., value: many, max_series: 0}
      c: {type: gauge, hlep: H., value: 1}
      up_total: {type: counter, help: H., value: -3}
      w: {type: gauge, help: H., value: 1}
      w_total: {type: counter, help: H.}
  other:
    metrics:
      a: {type: gauge, help: H., value: 1}
      d_sum: {type: gauge, help: H., value: 1}
      a_total: {type: counter, help: H.}
rules:
  - {name: r, prefix: x, actions: [shop, other]}
`
	const want = `config.yaml:4:15: orders does not end in _total, as a counter must (name it orders_total)
config.yaml:5:16: go_time begins with go_: such names are those of every Go program (begin it with what it is of, such as shop_)
config.yaml:5:84: go_time.buckets do not grow: 1 is behind 1 (write each bound once, the lowest first)
config.yaml:6:59: a_total.labels.__name begins with __: such labels are Prometheus' own (begin it with a letter)
config.yaml:7:17: b.type is "guage", which is none (counter, gauge or histogram)
config.yaml:7:41: b.value is always "many", which is no number (write a number, or a template that makes one: "{{ .JSON.amount }}")
config.yaml:7:59: b.max_series must be from 1 to 100000 (leave it out for 1000; each series costs memory, here and in Prometheus)
config.yaml:8:10: c has no help (say what it is in a sentence, as /metrics shows it: help: "Orders that were placed.")
config.yaml:8:24: unknown key "hlep" (did you mean "help"?)
config.yaml:9:50: up_total.value is always "-3", which is negative, and a counter only grows (write a number, or a template that makes one: "{{ .JSON.amount }}")
config.yaml:11:16: w_total is on /metrics what "w" is, too (give one of them another name: x_total also is x, and a histogram x also x_bucket, x_sum and x_count)
config.yaml:14:10: "a" is on /metrics as metric "a_total" of action "shop" already (give it another name, or name that action in the rule instead)
config.yaml:15:14: d_sum ends in _sum (leave the ending out: a histogram gets _bucket, _sum and _count by itself, and all of these mean something to Prometheus)
config.yaml:16:16: a_total is on /metrics what "a" is, too (give one of them another name: x_total also is x, and a histogram x also x_bucket, x_sum and x_count)
config.yaml:16:16: "a_total" is on /metrics as metric "a_total" of action "shop" already (give it another name, or name that action in the rule instead)`
	_, err := load(t, Options{}, map[string]string{"config.yaml": yaml})
	if diff := cmp.Diff(want, fmt.Sprint(err)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestMetricsTemplates: values and labels are checked against each rule.
func TestMetricsTemplates(t *testing.T) {
	_, err := load(t, Options{}, map[string]string{"config.yaml": `
http: 127.0.0.1:0
actions:
  a: {metrics: {x: {type: gauge, help: H., value: "{{ .Captures.vaule }}", labels: {no: "{{ .JSON.country }}"}}}}
rules:
  - {name: r, match: {MESSAGE: {regex: '(?P<value>.)'}}, actions: a}
`})
	const want = `config.yaml:4:51: x.value has .Captures.vaule, which rule "r" does not capture (did you mean "value"?)
config.yaml:4:89: x.labels.no has .JSON, but rule "r" is without parse: json (add it to the rule, or to action "a")`
	if diff := cmp.Diff(want, fmt.Sprint(err)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestUnseenMetrics: without http nobody sees them, which is a note.
func TestUnseenMetrics(t *testing.T) {
	const yaml = "actions: {a: {metrics: {x_total: {type: counter, help: H.}}}}\nrules: [{name: r, match: {_UID: 0}, actions: a}]\n"
	for http, want := range map[string]string{
		"":                       `config.yaml:1:24: nobody sees the metrics of action "a", as there is no http (add http: 127.0.0.1:9323, and have Prometheus ask there)`,
		"http: 127.0.0.1:9323\n": "",
	} {
		c, err := load(t, Options{}, map[string]string{"config.yaml": yaml + http})
		if err != nil {
			t.Fatal(err)
		}
		if got := Errors(c.Notes).Error(); got != want {
			t.Errorf("%q: %s, want %s", http, got, want)
		}
	}
}
