package metrics

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/journal"
)

// A metric is one that is ready for use.
type metric struct {
	name      string
	typ       Type
	value     *action.Template   // nil: 1
	labels    []*action.Template // in the order of their names
	buckets   []float64
	maxSeries int
	id        string // what its memory begins with: its name, and what it is
	desc      *prometheus.Desc

	// The rest belongs to Deliver.
	series   map[string]*series // by their labels' values, joined
	withheld uint64
	counted  bool // withheld has changed in the call under way
}

// A series is a metric's with one set of label values.
type series struct {
	kept
	key     string // of the memory
	touched bool   // in the call under way
}

// kept is what the memory has of a series, as JSON.
type kept struct {
	Labels []string `json:"labels,omitempty"`
	// Value is a counter's or a gauge's, or the sum of a histogram.
	Value float64 `json:"value"`
	// Counts are of a histogram: how many were in each bucket and in no lower one, that
	// of +Inf the last.
	Counts []uint64 `json:"counts,omitempty"`
	// Exemplars are the last entries that changed a counter, or each of the buckets.
	Exemplars []exemplar `json:"exemplars,omitempty"`
}

// An exemplar is an entry that was counted; without a cursor there is none.
type exemplar struct {
	Cursor string  `json:"cursor,omitempty"`
	Value  float64 `json:"value,omitempty"`
	Micros int64   `json:"time,omitempty"` // of the entry, since 1970
}

// mark is the exemplar of a value that an entry has: none with a cursor that is not
// journald's and has no room.
func mark(r journal.Record, value float64) exemplar {
	cursor := journal.ShortCursor(r.Cursor())
	if !utf8.ValidString(cursor) || utf8.RuneCountInString(cursorLabel+cursor) > prometheus.ExemplarMaxRunes {
		return exemplar{}
	}
	return exemplar{cursor, value, r.Time().UnixMicro()}
}

// cursorLabel is the label of an exemplar.
const cursorLabel = "cursor"

// A sample is what one entry is to one metric.
type sample struct {
	metric *metric
	series *series // nil: it has none yet
	labels []string
	joined string
	value  float64
}

// separator is in no label's value, as they are UTF-8.
const separator = "\xff"

// sample finds out what the message is to the metric, and changes nothing.
func (m *metric) sample(message *action.Message) (s sample, err error) {
	s = sample{metric: m, value: 1}
	for _, t := range m.labels {
		text, err := t.Render(message.Data)
		if err != nil {
			return s, err
		}
		s.labels = append(s.labels, labelValue(text))
	}
	s.joined = strings.Join(s.labels, separator)
	s.series = m.series[s.joined]
	if m.value != nil {
		text, err := m.value.Render(message.Data)
		if err != nil {
			return s, err
		}
		if s.value, err = m.typ.number(text); err != nil {
			return s, fmt.Errorf("the value %q %w (mend the template of value, or have the rule match only entries with a number, and retry the dead letter)", action.OneLine(text, 100), err)
		}
	}
	if m.typ != Gauge && s.series != nil && math.IsInf(s.series.Value+s.value, 0) {
		return s, fmt.Errorf("the value %v is too large to be added to %v", s.value, s.series.Value)
	}
	return s, nil
}

// longestValue bounds a label's value, in bytes.
const longestValue = 1 << 10

const cutMark = "…"

// labelValue makes of any text what Prometheus takes.
func labelValue(text string) string {
	text = strings.ToValidUTF8(text, "\ufffd")
	if len(text) <= longestValue {
		return text
	}
	return strings.ToValidUTF8(text[:longestValue-len(cutMark)], "") + cutMark
}

// number reads a value; the error says what the text is.
func (t Type) number(text string) (float64, error) {
	f, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	switch {
	case err != nil && !math.IsInf(f, 0):
		return 0, fmt.Errorf("is no number")
	case math.IsInf(f, 0) || math.IsNaN(f):
		return 0, fmt.Errorf("is no finite number")
	case t == Counter && f < 0:
		return 0, fmt.Errorf("is negative, and a counter only grows")
	}
	return f, nil
}

// add counts the sample, and returns the series that it has changed; nil if it may not
// have one.
func (s *sample) add(message *action.Message) *series {
	m := s.metric
	if s.series == nil {
		if len(m.series) >= m.maxSeries {
			m.withheld++
			m.counted = true
			return nil
		}
		s.series = m.newSeries(s.labels)
		m.series[s.joined] = s.series
	}
	k := &s.series.kept
	switch m.typ {
	case Counter:
		k.Value += s.value
		k.Exemplars[0] = mark(message.Record, s.value)
	case Gauge:
		k.Value = s.value
	case Histogram:
		k.Value += s.value
		i, _ := slices.BinarySearch(m.buckets, s.value)
		k.Counts[i]++
		k.Exemplars[i] = mark(message.Record, s.value)
	}
	return s.series
}

// newSeries begins with nothing counted.
func (m *metric) newSeries(labels []string) *series {
	sum := sha256.Sum256([]byte(strings.Join(labels, separator)))
	s := &series{kept: kept{Labels: labels}, key: m.id + "/" + hex.EncodeToString(sum[:16])}
	switch m.typ {
	case Counter:
		s.Exemplars = make([]exemplar, 1)
	case Histogram:
		s.Exemplars, s.Counts = make([]exemplar, len(m.buckets)+1), make([]uint64, len(m.buckets)+1)
	}
	return s
}

// read is what the memory has of a series.
func (m *metric) read(value []byte) (kept, error) {
	var k kept
	if err := json.Unmarshal(value, &k); err != nil {
		return k, fmt.Errorf("read the memory of metric %s: %w", m.name, err)
	}
	return k, nil
}

func readWithheld(value []byte) uint64 {
	n, _ := strconv.ParseUint(string(value), 10, 64)
	return n
}
