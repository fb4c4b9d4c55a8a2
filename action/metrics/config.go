package metrics

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/internal/strict"
)

// Config is the section `metrics:` of an action: metrics by their names on /metrics.
type Config map[string]Metric

// A Metric is what is counted.
type Metric struct {
	// Type is counter, gauge or histogram.
	Type Type `yaml:"type"`
	// Help is what /metrics says of it.
	Help string `yaml:"help"`
	// Value is a template that makes a number: what a counter grows by, what a gauge
	// is set to, what a histogram observes. Default of a counter: 1.
	Value string `yaml:"value"`
	// Labels are templates by the names of the labels.
	Labels map[string]string `yaml:"labels"`
	// Buckets are the upper bounds of a histogram's, which grow; that of +Inf is there
	// by itself. Default: prometheus.DefBuckets.
	Buckets []float64 `yaml:"buckets"`
	// MaxSeries is how many sets of label values there may be. Default:
	// DefaultMaxSeries.
	MaxSeries *int `yaml:"max_series"`
}

// A Type is what Prometheus calls the type of a metric:
// https://prometheus.io/docs/concepts/metric_types/
type Type string

// The types that there are.
const (
	Counter   Type = "counter"
	Gauge     Type = "gauge"
	Histogram Type = "histogram"
)

// DefaultMaxSeries is how many sets of label values a metric may have without a word of
// the user's.
const DefaultMaxSeries = 1000

const (
	mostSeries  = 100_000
	mostBuckets = 100
)

// compile returns the metrics, ready for use and sorted by their names, and their
// templates by the names of the settings. Its errors are *action.FieldError, joined.
func (c Config) compile() ([]*metric, map[string]*action.Template, error) {
	var all []*metric
	var errs []error
	templates := make(map[string]*action.Template)
	if len(c) == 0 {
		errs = append(errs, &action.FieldError{Problem: "has no metric",
			Hint: `write a name, and what it is: orders_total: {type: counter, help: "Orders that were placed."}`})
	}
	owners := make(map[string]string)
	for _, name := range slices.Sorted(maps.Keys(c)) {
		d := definition{Metric: c[name], name: name, templates: templates}
		m := d.compile()
		names := c.Taken(name)
		if other := firstOwner(owners, names); other != "" {
			d.refuse("", fmt.Sprintf("is on /metrics what %s is, too", strict.Quote(other)),
				"give one of them another name: x_total also is x, and a histogram x also x_bucket, x_sum and x_count")
		}
		for _, taken := range names {
			owners[taken] = name
		}
		errs = append(errs, d.errs...)
		all = append(all, m)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, nil, err
	}
	return all, templates, nil
}

func firstOwner(owners map[string]string, names []string) string {
	for _, name := range names {
		if owners[name] != "" {
			return owners[name]
		}
	}
	return ""
}

// A definition is one metric while it is checked.
type definition struct {
	Metric
	name      string
	errs      []error
	templates map[string]*action.Template
}

// refuse reports what is wrong with a setting of the metric, or without one with the
// metric itself.
func (d *definition) refuse(setting, problem, hint string) {
	key := d.name
	if setting != "" {
		key += "." + setting
	}
	d.errs = append(d.errs, &action.FieldError{Key: key, Problem: problem, Hint: hint})
}

func (d *definition) compile() *metric {
	m := &metric{name: d.name, typ: d.Type, maxSeries: DefaultMaxSeries}
	if problem, hint := badName(d.name, d.Type); problem != "" {
		d.refuse("", problem, hint)
	}
	switch d.Type {
	case Counter, Gauge, Histogram:
	case "":
		d.refuse("", "has no type", "add type: counter, type: gauge or type: histogram")
	default:
		d.refuse("type", fmt.Sprintf("is %s, which is none", strict.Quote(string(d.Type))), "counter, gauge or histogram")
	}
	if d.Help == "" {
		d.refuse("", "has no help", `say what it is in a sentence, as /metrics shows it: help: "Orders that were placed."`)
	}
	if d.MaxSeries != nil {
		if m.maxSeries = *d.MaxSeries; m.maxSeries < 1 || m.maxSeries > mostSeries {
			d.refuse("max_series", fmt.Sprintf("must be from 1 to %d", mostSeries), "leave it out for 1000; each series costs memory, here and in Prometheus")
		}
	}
	m.value = d.compileValue()
	m.buckets = d.compileBuckets()
	names := slices.Sorted(maps.Keys(d.Labels))
	for _, name := range names {
		if t := d.compileLabel(name); t != nil {
			m.labels = append(m.labels, t)
		}
	}
	m.id = identify(d.name, d.Type, names, m.buckets)
	m.desc = prometheus.NewDesc(d.name, strings.ToValidUTF8(d.Help, "\ufffd"), names, nil)
	return m
}

func (d *definition) compileValue() *action.Template {
	if d.Value == "" {
		if d.Type == Gauge || d.Type == Histogram {
			d.refuse("", "has no value", `add a template that makes a number: value: "{{ .Captures.seconds }}"`)
		}
		return nil
	}
	t := d.template("value", d.Value)
	if t == nil || !t.Fixed() {
		return t
	}
	if _, err := d.Type.number(d.Value); err != nil {
		d.refuse("value", fmt.Sprintf("is always %s, which %v", strict.Quote(d.Value), err), `write a number, or a template that makes one: "{{ .JSON.amount }}"`)
	}
	return t
}

func (d *definition) compileBuckets() []float64 {
	switch {
	case d.Type != Histogram:
		if d.Buckets != nil {
			d.refuse("buckets", "are for a histogram", "leave them out, or set type: histogram")
		}
		return nil
	case d.Buckets == nil:
		return prometheus.DefBuckets
	case len(d.Buckets) == 0 || len(d.Buckets) > mostBuckets:
		d.refuse("buckets", fmt.Sprintf("must be 1 to %d numbers", mostBuckets), "leave them out for the default, from 0.005 to 10")
	}
	for i, bound := range d.Buckets {
		if math.IsInf(bound, 0) || math.IsNaN(bound) {
			d.refuse("buckets", fmt.Sprintf("have %v, which is no finite number", bound), "leave it out: the bucket of +Inf is there by itself")
			break
		}
		if i > 0 && bound <= d.Buckets[i-1] {
			d.refuse("buckets", fmt.Sprintf("do not grow: %v is behind %v", bound, d.Buckets[i-1]), "write each bound once, the lowest first")
			break
		}
	}
	return d.Buckets
}

func (d *definition) compileLabel(name string) *action.Template {
	setting := "labels." + name
	if problem, hint := badLabel(name, d.Type); problem != "" {
		d.refuse(setting, problem, hint)
	}
	if d.Labels[name] == "" {
		d.refuse(setting, "is empty", `write a template, "{{ .Unit }}", or leave the label out`)
		return nil
	}
	return d.template(setting, d.Labels[name])
}

func (d *definition) template(setting, text string) *action.Template {
	t, err := action.ParseTemplate(text, nil)
	if err != nil {
		d.refuse(setting, "bad "+err.Error(), "see the names and functions that templates have in docs/CONFIGURATION.md")
		return nil
	}
	d.templates[d.name+"."+setting] = t
	return t
}

// identify names what a metric's series are kept under: another one where the type, the
// names of the labels or the buckets are others, so that it begins anew.
func identify(name string, typ Type, labels []string, buckets []float64) string {
	text, _ := json.Marshal([]any{typ, labels, buckets}) // all finite, else the buckets are refused
	sum := sha256.Sum256(text)
	return name + "/" + hex.EncodeToString(sum[:8])
}
