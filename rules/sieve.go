package rules

import (
	"regexp"
	"regexp/syntax"
	"slices"
	"unicode/utf8"

	"github.com/journald-router/journald-router/journal"
)

// Sieves are what a reader may hold back entries by: those that do not go through all
// of them match no rule. There are none where some rule cannot be told by the bytes of a
// value, as one that compares numbers. The first one says most; where a rule has
// conditions on several fields, a second one asks for another of these.
func (s *Set) Sieves() []journal.Sieve {
	var first, second journal.Sieve
	several := false
	for _, r := range s.rules {
		for _, alt := range r.alternatives {
			field, tests := alt.sieve("")
			if tests == nil {
				return nil
			}
			first = append(first, tests...)
			if _, others := alt.sieve(field); others != nil {
				tests, several = others, true
			}
			second = append(second, tests...)
		}
	}
	switch {
	case first == nil:
		return nil
	case !several:
		return []journal.Sieve{first}
	}
	return []journal.Sieve{first, second}
}

// sieve has the tests of one condition, the one that is the cheapest to test and
// so, mostly, the one that says most: without it nothing else matters. It is on another
// field than the one beside.
func (alt alternative) sieve(beside string) (field string, best journal.Sieve) {
	for _, c := range alt {
		if c.field == beside {
			continue
		}
		tests := c.matcher.sieve(c.field)
		if tests != nil && (best == nil || rank(tests) < rank(best)) {
			field, best = c.field, tests
		}
	}
	return field, best
}

// rank puts equality before prefixes, and these before what is contained.
func rank(tests journal.Sieve) int {
	worst := 0
	for _, t := range tests {
		worst = max(worst, map[journal.Op]int{journal.Equal: 0, journal.Prefix: 1, journal.Contains: 2}[t.Op])
	}
	return worst
}

// sieve is nil where the matcher may hold for a value without any of some bytes.
func (m matcher) sieve(field string) (all journal.Sieve) {
	for _, one := range m {
		var best journal.Sieve
		for _, t := range one.tests {
			tests := literals(field, t)
			if tests != nil && (best == nil || rank(tests) < rank(best)) {
				best = tests
			}
		}
		if best == nil {
			return nil
		}
		all = append(all, best...)
	}
	return all
}

// literals are tests of which one holds wherever t does, or nil.
func literals(field string, t test) journal.Sieve {
	switch t := t.(type) {
	case equalsTest:
		return texts(field, journal.Equal, t)
	case prefixTest:
		return texts(field, journal.Prefix, t)
	case suffixTest:
		return texts(field, journal.Contains, t)
	case containsTest:
		return texts(field, journal.Contains, t)
	case globTest:
		return each(t, func(g glob) journal.Sieve { return g.literal(field) })
	case regexTest:
		return each(t, func(re *regexp.Regexp) journal.Sieve {
			parsed, err := syntax.Parse(re.String(), syntax.Perl)
			if err != nil {
				return nil
			}
			return texts(field, journal.Contains, [][]byte{[]byte(literal(parsed))})
		})
	case anyTest:
		return each(t, func(one test) journal.Sieve { return literals(field, one) })
	}
	return nil
}

// each joins what every one of all has, or is nil if one has nothing.
func each[T any](all []T, tests func(T) journal.Sieve) (sieve journal.Sieve) {
	for _, one := range all {
		some := tests(one)
		if some == nil {
			return nil
		}
		sieve = append(sieve, some...)
	}
	return sieve
}

// texts makes a test of each text. An empty one, which every value begins with
// and contains, is none.
func texts(field string, op journal.Op, all [][]byte) (sieve journal.Sieve) {
	for _, text := range all {
		if len(text) == 0 && op != journal.Equal {
			return nil
		}
		sieve = append(sieve, journal.Test{Field: field, Op: op, Text: string(text)})
	}
	return sieve
}

// literal is the first part of a glob, if it has one, else its longest.
func (g glob) literal(field string) journal.Sieve {
	if len(g[0]) > 0 {
		return texts(field, journal.Prefix, [][]byte{g[0]})
	}
	longest := g[0]
	for _, part := range g[1:] {
		if len(part) > len(longest) {
			longest = part
		}
	}
	return texts(field, journal.Contains, [][]byte{longest})
}

// literal is the longest text that is in every match of a regex, as far as that
// is easily seen; empty if none is.
func literal(re *syntax.Regexp) string {
	switch re.Op {
	case syntax.OpLiteral:
		// U+FFFD also matches a byte that is no UTF-8.
		if re.Flags&syntax.FoldCase == 0 && !slices.Contains(re.Rune, utf8.RuneError) {
			return string(re.Rune)
		}
	case syntax.OpCapture, syntax.OpPlus:
		return literal(re.Sub[0])
	case syntax.OpRepeat:
		if re.Min > 0 {
			return literal(re.Sub[0])
		}
	case syntax.OpConcat:
		longest := ""
		for _, sub := range re.Sub {
			if l := literal(sub); len(l) > len(longest) {
				longest = l
			}
		}
		return longest
	}
	return ""
}
