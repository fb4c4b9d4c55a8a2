package rules

import (
	"slices"

	"github.com/journald-router/journald-router/journal"
)

// A Match is one rule that an entry matched.
type Match struct {
	Rule *Rule
	// Value is the index, among the entry's values of MESSAGE, of the one that
	// the rule matched; 0 if it looks at none, as it must where there is none.
	// Strip is how many of its bytes are the prefix that the rule names: .Text is
	// what follows them.
	Value, Strip int
	// Captures are the named groups of the regexes that matched, or nil.
	Captures map[string]string
}

// A Set is the rules of a configuration, in the order they are tried in. It
// never changes and may be shared between goroutines.
type Set struct {
	rules  []*Rule
	fields []string
	tries  []try
}

// try is a rule made ready for matching.
type try struct {
	rule *Rule
	any  [][]step
}

// step is a condition whose field is known by its number in the set.
type step struct {
	condition
	slot int
}

// New makes a set of rules.
func New(rules []*Rule) *Set {
	s := &Set{rules: rules, tries: make([]try, len(rules))}
	for i, r := range rules {
		s.tries[i] = try{r, make([][]step, len(r.alternatives))}
		for j, alt := range r.alternatives {
			s.tries[i].any[j] = s.steps(alt)
		}
	}
	return s
}

// steps puts the conditions that are quickly decided first, as most entries fail
// one of them.
func (s *Set) steps(alt alternative) []step {
	steps := make([]step, len(alt))
	for i, c := range alt {
		slot := slices.Index(s.fields, c.field)
		if slot < 0 {
			slot = len(s.fields)
			s.fields = append(s.fields, c.field)
		}
		steps[i] = step{c, slot}
	}
	slices.SortStableFunc(steps, func(a, b step) int { return a.matcher.cost() - b.matcher.cost() })
	return steps
}

// Rules are the rules of the set in their order.
func (s *Set) Rules() []*Rule { return s.rules }

// Fields are the names of the fields that matching asks an entry for.
func (s *Set) Fields() []string { return s.fields }

// Matcher makes what a goroutine needs to match with the set.
func (s *Set) Matcher() *Matcher {
	return &Matcher{
		set:     s,
		values:  make([][][]byte, len(s.fields)),
		fetched: make([]bool, len(s.fields)),
	}
}

// A Matcher tries entries on the rules of a set. It belongs to one goroutine.
type Matcher struct {
	set     *Set
	entry   journal.Entry
	values  [][][]byte // by slot, valid where fetched
	fetched []bool
}

// Match appends the rules that e matches to dst, in their order, and returns it.
// Nothing in it refers to the entry's memory. A field is asked for at most once,
// and an entry that matches nothing costs no allocation.
func (m *Matcher) Match(e journal.Entry, dst []Match) []Match {
	m.entry = e
	clear(m.fetched)
	for i := range m.set.tries {
		t := &m.set.tries[i]
		j := slices.IndexFunc(t.any, m.holds)
		if j < 0 {
			continue
		}
		dst = append(dst, m.result(t.rule, j))
		if t.rule.Final {
			break
		}
	}
	m.entry = nil
	return dst
}

func (m *Matcher) holds(steps []step) bool {
	for i := range steps {
		if _, ok := steps[i].matcher.find(m.fetch(steps[i].slot)); !ok {
			return false
		}
	}
	return true
}

func (m *Matcher) fetch(slot int) [][]byte {
	if !m.fetched[slot] {
		m.values[slot] = m.entry.Values(m.values[slot][:0], m.set.fields[slot])
		m.fetched[slot] = true
	}
	return m.values[slot]
}

// result gathers what the templates want to know of a match: only now, as most
// entries match nothing.
func (m *Matcher) result(r *Rule, alt int) Match {
	match := Match{Rule: r}
	for _, c := range r.alternatives[alt] {
		values := m.fetch(slices.Index(m.set.fields, c.field))
		hit, ok := c.matcher.find(values)
		if !ok || hit.index < 0 {
			continue // it holds by what is not there
		}
		value := values[hit.index]
		if c.field == journal.FieldMessage {
			match.Value, match.Strip = hit.index, hit.one.strip(value)
		}
		hit.one.capture(value, &match)
	}
	return match
}
