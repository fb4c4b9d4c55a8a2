package rules

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/journald-router/journald-router/journal"
)

func TestSieve(t *testing.T) {
	test := func(field string, op journal.Op, text string) journal.Test {
		return journal.Test{Field: field, Op: op, Text: text}
	}
	const m = "MESSAGE"
	for _, row := range []struct {
		lines string
		want  journal.Sieve // the first one
	}{
		{`prefix: "X: "`, journal.Sieve{test(m, journal.Prefix, "X: ")}},
		{`prefix: [a, b]`, journal.Sieve{test(m, journal.Prefix, "a"), test(m, journal.Prefix, "b")}},
		{`match: {_UID: [0, 1]}`, journal.Sieve{test("_UID", journal.Equal, "0"), test("_UID", journal.Equal, "1")}},
		{`match: {MESSAGE: {equals: ""}}`, journal.Sieve{test(m, journal.Equal, "")}},
		{`match: {MESSAGE: {suffix: end}}`, journal.Sieve{test(m, journal.Contains, "end")}},
		{`match: {MESSAGE: {contains: [a, bc]}}`, journal.Sieve{test(m, journal.Contains, "a"), test(m, journal.Contains, "bc")}},
		{`match: {_SYSTEMD_UNIT: shop@*.service}`, journal.Sieve{test("_SYSTEMD_UNIT", journal.Prefix, "shop@")}},
		{`match: {_SYSTEMD_UNIT: "*shop*.service"}`, journal.Sieve{test("_SYSTEMD_UNIT", journal.Contains, ".service")}},
		{`match: {_SYSTEMD_UNIT: [a.service, "b*"]}`, journal.Sieve{test("_SYSTEMD_UNIT", journal.Equal, "a.service"), test("_SYSTEMD_UNIT", journal.Prefix, "b")}},
		{`match: {MESSAGE: {regex: 'order (?P<order>\d+) has failed'}}`, journal.Sieve{test(m, journal.Contains, " has failed")}},
		{`match: {MESSAGE: {regex: '^(abc)+x{2}'}}`, journal.Sieve{test(m, journal.Contains, "abc")}},
		// The condition that says most.
		{`match: {MESSAGE: {contains: a}, _UID: 0, PRIORITY: {at_most: 3}}`, journal.Sieve{test("_UID", journal.Equal, "0")}},
		{`match: {MESSAGE: {contains: a, prefix: b}}`, journal.Sieve{test(m, journal.Prefix, "b")}},
		{`match: [{_UID: 0}, {MESSAGE: {contains: a}}]`, journal.Sieve{test("_UID", journal.Equal, "0"), test(m, journal.Contains, "a")}},
		// Rules pinned to a field: what the journal's index knows.
		{`match: {_SYSTEMD_UNIT: shop.service, MESSAGE: {regex: 'order (\d+) has failed'}}`, journal.Sieve{test("_SYSTEMD_UNIT", journal.Equal, "shop.service")}},
		{`match: {SYSLOG_IDENTIFIER: [a, b], MESSAGE: {prefix: x}}`, journal.Sieve{test("SYSLOG_IDENTIFIER", journal.Equal, "a"), test("SYSLOG_IDENTIFIER", journal.Equal, "b")}},
		// What no bytes tell.
		{`match: {PRIORITY: {at_most: 3}}`, nil},
		{`match: {MESSAGE: {exists: true}}`, nil},
		{`match: {MESSAGE: {not: a}}`, nil},
		{`match: {MESSAGE: "*"}`, nil},
		{`match: {MESSAGE: {regex: '(?i)failed'}}`, nil},
		{`match: {MESSAGE: {regex: 'a|b'}}`, nil},
		{`match: {MESSAGE: {regex: '(abc)*'}}`, nil},
		{`match: {MESSAGE: {regex: 'x\x{FFFD}'}}`, nil},
		{`match: {MESSAGE: {regex: [abc, '\d']}}`, nil},
		{`match: [{_UID: 0}, {MESSAGE: {exists: true}}]`, nil},
	} {
		if diff := cmp.Diff(row.want, first(New(parse(t, rule(row.lines))))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", row.lines, diff)
		}
	}
}

func first(s *Set) journal.Sieve {
	sieves := s.Sieves()
	if sieves == nil {
		return nil
	}
	return sieves[0]
}

// TestSecondSieve: one for what several rules have beside the first.
func TestSecondSieve(t *testing.T) {
	equal := func(field, text string) journal.Test {
		return journal.Test{Field: field, Op: journal.Equal, Text: text}
	}
	prefix := func(text string) journal.Test {
		return journal.Test{Field: "MESSAGE", Op: journal.Prefix, Text: text}
	}
	for _, row := range []struct {
		rules string
		want  []journal.Sieve
	}{
		{"- {name: a, actions: x, match: {UNIT: a, MESSAGE: {prefix: p}}}\n- {name: b, actions: x, prefix: q, match: {IDENT: b, PRIORITY: {at_most: 3}}}",
			[]journal.Sieve{{equal("UNIT", "a"), equal("IDENT", "b")}, {prefix("p"), prefix("q")}}},
		{"- {name: a, actions: x, match: {UNIT: a, MESSAGE: {prefix: p}}}\n- {name: b, actions: x, match: {UNIT: [b, c]}}",
			[]journal.Sieve{{equal("UNIT", "a"), equal("UNIT", "b"), equal("UNIT", "c")}, {prefix("p"), equal("UNIT", "b"), equal("UNIT", "c")}}},
		{"- {name: a, actions: x, match: {UNIT: a, MESSAGE: {not: p}}}\n- {name: b, actions: x, match: {UNIT: b}}",
			[]journal.Sieve{{equal("UNIT", "a"), equal("UNIT", "b")}}},
		{"- {name: a, actions: x, match: {UNIT: a, MESSAGE: {prefix: p}}}\n- {name: b, actions: x, match: {MESSAGE: {exists: true}}}", nil},
	} {
		if diff := cmp.Diff(row.want, New(parse(t, row.rules)).Sieves()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", row.rules, diff)
		}
	}
}

// passes is what a Sieve means.
func passes(s journal.Sieve, e journal.Record) bool {
	for _, test := range s {
		for _, value := range e.Values(nil, test.Field) {
			v := string(value)
			if test.Op == journal.Equal && v == test.Text || test.Op == journal.Prefix && strings.HasPrefix(v, test.Text) ||
				test.Op == journal.Contains && strings.Contains(v, test.Text) {
				return true
			}
		}
	}
	return s == nil
}

// TestSieveHoldsBackNoMatch tries random rules on random entries.
func TestSieveHoldsBackNoMatch(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	word := func() string {
		var b strings.Builder
		for range 1 + random.IntN(3) {
			b.WriteByte("ab "[random.IntN(3)])
		}
		return b.String()
	}
	matchers := []func() string{
		func() string { return fmt.Sprintf("%q", word()) },
		func() string { return fmt.Sprintf("[%q, %q]", word(), word()+"*") },
		func() string { return fmt.Sprintf("%q", word()+"*"+word()) },
		func() string { return fmt.Sprintf("{prefix: %q}", word()) },
		func() string { return fmt.Sprintf("{suffix: [%q, %q]}", word(), word()) },
		func() string { return fmt.Sprintf("{contains: %q, not: %q}", word(), word()) },
		func() string { return fmt.Sprintf("{regex: '%s(%s)+[ab]?%s{1,2}'}", word(), word(), word()) },
		func() string { return fmt.Sprintf("{regex: '%s|%s'}", word(), word()) },
		func() string { return "{exists: true}" },
	}
	matched, held := 0, 0
	for range 3000 {
		var rules strings.Builder
		for i := range 1 + random.IntN(2) {
			fmt.Fprintf(&rules, "- {name: r%d, actions: a, match: {F: %s, G: %s}}\n", i,
				matchers[random.IntN(len(matchers))](), matchers[random.IntN(len(matchers))]())
		}
		set := New(parse(t, rules.String()))
		sieves, m := set.Sieves(), set.Matcher()
		for range 10 {
			e := entry("F="+word(), "G="+word()+word(), "F="+word()+word())
			through := !slices.ContainsFunc(sieves, func(s journal.Sieve) bool { return !passes(s, e) })
			if len(m.Match(e, nil)) > 0 {
				matched++
				if !through {
					t.Fatalf("the sieves %v hold back %v, which matches\n%s", sieves, e, &rules)
				}
			}
			if !through {
				held++
			}
		}
	}
	if matched < 100 || held < 100 {
		t.Errorf("only %d entries matched, %d were held back: the test says little", matched, held)
	}
}
