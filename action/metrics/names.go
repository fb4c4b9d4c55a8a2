package metrics

import (
	"fmt"
	"regexp"
	"strings"
)

var (
	// https://prometheus.io/docs/concepts/data_model/#metric-names-and-labels. Colons
	// are legal, but meant for recording rules, and so not for those who count.
	metricName = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)
	labelName  = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)
)

// longestName is more than anybody reads; it bounds the keys of the memory.
const longestName = 200

// owned are beginnings of names that others have: the router itself, what every Go program
// shows, and what Prometheus makes of each scrape
// (https://prometheus.io/docs/concepts/jobs_instances/).
var owned = []struct{ prefix, whose string }{
	{"journald_router_", "the router's own"},
	{"go_", "those of every Go program"},
	{"process_", "those of every process"},
	{"promhttp_", "those of the library that shows /metrics"},
	{"scrape_", "Prometheus' own"},
}

// endings have a meaning: those of a histogram's parts, and what OpenMetrics adds
// (https://prometheus.io/docs/specs/om/open_metrics_spec/#suffixes).
var endings = []string{"_bucket", "_sum", "_count", "_created", "_info"}

// badName says what is wrong with a metric's name, and what to do.
func badName(name string, typ Type) (problem, hint string) {
	switch {
	case strings.Contains(name, ":") && metricName.MatchString(strings.ReplaceAll(name, ":", "_")):
		return "has a colon in its name", "write an underscore: colons are for the recording rules of Prometheus"
	case !metricName.MatchString(name):
		return "is no name for a metric", "letters, digits and underscores, no digit first, such as shop_orders_total"
	case len(name) > longestName:
		return fmt.Sprintf("has a name of more than %d letters", longestName), "make it shorter"
	case name == "_total":
		return "is nothing but an ending", "begin it with what it is of, such as shop_orders_total"
	case name == "up":
		return "is a name that Prometheus itself gives", "begin it with what it is of, such as shop_"
	}
	for _, o := range owned {
		if strings.HasPrefix(name, o.prefix) {
			return fmt.Sprintf("begins with %s: such names are %s", o.prefix, o.whose), "begin it with what it is of, such as shop_"
		}
	}
	for _, ending := range endings {
		if strings.HasSuffix(name, ending) {
			return "ends in " + ending, "leave the ending out: a histogram gets _bucket, _sum and _count by itself, and all of these mean something to Prometheus"
		}
	}
	switch total := strings.HasSuffix(name, "_total"); {
	case typ == Counter && !total:
		return "does not end in _total, as a counter must", "name it " + name + "_total"
	case (typ == Gauge || typ == Histogram) && total:
		return "ends in _total, which is for counters", "leave the ending out, or set type: counter"
	}
	return "", ""
}

// badLabel says what is wrong with a label's name, and what to do.
func badLabel(name string, typ Type) (problem, hint string) {
	switch {
	case !labelName.MatchString(name):
		return "is no name for a label", "letters, digits and underscores, no digit first, such as country"
	case strings.HasPrefix(name, "__"):
		return "begins with __: such labels are Prometheus' own", "begin it with a letter"
	case name == "le" && typ == Histogram:
		return "is the label of a histogram's own buckets", "give it another name"
	case len(name) > longestName:
		return fmt.Sprintf("has a name of more than %d letters", longestName), "make it shorter"
	}
	return "", ""
}

// Taken are all the names that the metric has on /metrics in either format. In that of
// OpenMetrics, a counter's family is named without its _total.
func (c Config) Taken(name string) []string {
	switch c[name].Type {
	case Counter:
		if base := strings.TrimSuffix(name, "_total"); base != name {
			return []string{name, base}
		}
	case Histogram:
		return []string{name, name + "_bucket", name + "_sum", name + "_count"}
	}
	return []string{name}
}
