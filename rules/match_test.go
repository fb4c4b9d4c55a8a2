package rules

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/journald-router/journald-router/internal/strict"
	"github.com/journald-router/journald-router/journal"
)

// parse decodes a YAML list of rules, which must be right.
func parse(t testing.TB, yaml string) []*Rule {
	t.Helper()
	list, err := decode(yaml)
	if err != nil {
		t.Fatalf("%v\n%s", err, yaml)
	}
	return list
}

func decode(yaml string) ([]*Rule, error) {
	var c strict.Collector
	var list []*Rule
	if v, ok := c.Parse("rules.yaml", []byte(yaml)); ok {
		for _, item := range v.Items("a list") {
			list = append(list, Decode(item))
		}
	}
	return list, c.Err()
}

// rule is a list of one rule with the lines given in it.
func rule(lines string) string {
	return "- name: r\n  actions: a\n  " + strings.ReplaceAll(strings.TrimSpace(lines), "\n", "\n  ") + "\n"
}

// entry makes an entry of "NAME=value" texts.
func entry(fields ...string) journal.Record {
	var list []journal.Field
	for _, f := range fields {
		name, value, _ := strings.Cut(f, "=")
		list = append(list, journal.Field{Name: name, Value: []byte(value)})
	}
	return journal.NewRecord("s=1", time.Unix(1, 0), 0, list...)
}

// match runs the rules on an entry that asks a value twice of no field.
func match(t testing.TB, list []*Rule, e journal.Entry) []Match {
	t.Helper()
	m := New(list).Matcher()
	counting := &countingEntry{Entry: e, asked: make(map[string]int)}
	got := m.Match(counting, nil)
	for field, n := range counting.asked {
		if n > 1 {
			t.Errorf("asked for %s %d times", field, n)
		}
	}
	return got
}

type countingEntry struct {
	journal.Entry
	asked map[string]int
}

func (e *countingEntry) Values(dst [][]byte, field string) [][]byte {
	e.asked[field]++
	return e.Entry.Values(dst, field)
}

func TestOperators(t *testing.T) {
	tests := []struct {
		rule string
		yes  []string // MESSAGE of entries that match
		no   []string
	}{
		{`prefix: "SLACK: "`, []string{"SLACK: hi", "SLACK: "}, []string{"SLACK:hi", " SLACK: hi", "slack: hi", "", "SLACK:"}},
		{`prefix: [a, b]`, []string{"ab", "ba"}, []string{"ca", ""}},
		{`match: {MESSAGE: hello}`, []string{"hello"}, []string{"hello ", "Hello", "hell", "", "*"}},
		{`match: {MESSAGE: ""}`, []string{""}, []string{" ", "x"}},
		{`match: {MESSAGE: [a, b]}`, []string{"a", "b"}, []string{"ab", "", "c"}},
		{`match: {MESSAGE: [a, "b*", "*c"]}`, []string{"a", "b", "bx", "xc", "c"}, []string{"ax", "xb", ""}},
		{`match: {MESSAGE: "shop@*.service"}`, []string{"shop@1.service", "shop@.service", "shop@a.b.service"}, []string{"shop@1.servic", "xshop@1.service", "shop.service"}},
		{`match: {MESSAGE: "*"}`, []string{"", "x", "\xff\n"}, nil},
		{`match: {MESSAGE: "a*b*c"}`, []string{"abc", "axbxc", "abbc", "abcbc"}, []string{"ac", "acb", "ab", "abcd"}},
		{`match: {MESSAGE: "aa*aa"}`, []string{"aaaa", "aaxaa"}, []string{"aa", "aaa"}},
		{`match: {MESSAGE: 'a\*b'}`, []string{"a*b"}, []string{`a\*b`, "axb", `a\b`}},
		{`match: {MESSAGE: '\**'}`, []string{"*", "*x"}, []string{"x*", `\*`}},
		{`match: {MESSAGE: 'dev-\x2d*'}`, []string{`dev-\x2d`, `dev-\x2d1`}, []string{"dev--1"}},
		{`match: {MESSAGE: 'a\b\'}`, []string{`a\b\`}, []string{`ab`}},
		{`match: {MESSAGE: 3}`, []string{"3"}, []string{"03", "3.0"}},
		{`match: {MESSAGE: 0100}`, []string{"0100"}, []string{"64", "100"}},
		{`match: {MESSAGE: yes}`, []string{"yes"}, []string{"true"}},
		{`match: {MESSAGE: true}`, []string{"true"}, []string{"yes", "1"}},
		{`match: {MESSAGE: 1.50}`, []string{"1.50"}, []string{"1.5"}},
		{`match: {MESSAGE: 2026-01-02}`, []string{"2026-01-02"}, nil},
		{`match: {MESSAGE: 0x1F}`, []string{"0x1F"}, []string{"31"}},
		{`match: {MESSAGE: {equals: "a*"}}`, []string{"a*"}, []string{"ab", "a"}},
		{`match: {MESSAGE: {equals: [a, b]}}`, []string{"a", "b"}, []string{"", "ab"}},
		{`match: {MESSAGE: {equals: ""}}`, []string{""}, []string{"a"}},
		{`match: {MESSAGE: {prefix: [ab, x]}}`, []string{"abc", "x"}, []string{"a", "bx"}},
		{`match: {MESSAGE: {prefix: "*"}}`, []string{"*x"}, []string{"x"}},
		{`match: {MESSAGE: {suffix: bc}}`, []string{"abc", "bc"}, []string{"abcd", "c"}},
		{`match: {MESSAGE: {suffix: [a, b]}}`, []string{"xa", "xb"}, []string{"ax", ""}},
		{`match: {MESSAGE: {contains: bc}}`, []string{"abcd", "bc"}, []string{"b c", ""}},
		{`match: {MESSAGE: {contains: [bc, "\xff"]}}`, []string{"abcd", "aÿ"}, []string{"b c", "\xff"}},
		{`match: {MESSAGE: {regex: '^a+$'}}`, []string{"a", "aaa"}, []string{"", "ab", "a\n"}},
		{`match: {MESSAGE: {regex: '^.b$'}}`, []string{"ab", "\xffb", "\x00b"}, []string{"\xff\xffb", "\nb"}},
		{`match: {MESSAGE: {regex: ['^a', 'z$']}}`, []string{"a", "z", "az"}, []string{"za", ""}},
		{`match: {MESSAGE: {regex: '(?i)oops'}}`, []string{"Oops!"}, []string{"ops"}},
		{`match: {MESSAGE: {at_most: 3}}`, []string{"3", "2", "-10", "3.0", "2.9999", "003", "+3", "0", "-0"}, []string{"4", "3.01", "", "x", "3x", " 3", "3 ", "0x2", "1e0", "³", "1.", ".1", "-", "3.-1"}},
		{`match: {MESSAGE: {at_least: -1.5}}`, []string{"-1.5", "-1.50", "-1", "0", "18446744073709551617"}, []string{"-1.51", "-2", "x"}},
		{`match: {MESSAGE: {at_least: 9007199254740993}}`, []string{"9007199254740993"}, []string{"9007199254740992"}},
		{`match: {MESSAGE: {at_least: 2, at_most: 4}}`, []string{"2", "3", "4"}, []string{"1", "5"}},
		{`match: {MESSAGE: {at_least: 010}}`, []string{"10"}, []string{"9", "8"}},
		{`match: {MESSAGE: {exists: true}}`, []string{"", "x"}, nil},
		{`match: {MESSAGE: {exists: false}}`, nil, []string{"", "x"}},
		{`match: {MESSAGE: {not: a}}`, []string{"b", ""}, []string{"a"}},
		{`match: {MESSAGE: {not: [a, "b*"]}}`, []string{"c", ""}, []string{"a", "bx"}},
		{`match: {MESSAGE: {not: {prefix: a}}}`, []string{"b", ""}, []string{"ab"}},
		{`match: {MESSAGE: {not: {prefix: a, suffix: z}}}`, []string{"ab", "bz"}, []string{"az", "abz"}},
		{`match: {MESSAGE: {not: {not: a}}}`, []string{"a"}, []string{"b"}},
		{`match: {MESSAGE: {not: {exists: true}}}`, nil, []string{"a"}},
		{`match: {MESSAGE: {prefix: a, not: ab}}`, []string{"a", "abc"}, []string{"ab", "b"}},
		{`match: {MESSAGE: {prefix: a, suffix: z, contains: m}}`, []string{"amz"}, []string{"az", "am", "mz"}},
		{`match: {MESSAGE: [x, {prefix: a, suffix: z}]}`, []string{"x", "az"}, []string{"a", "z", "xa"}},
		{`match: [{MESSAGE: a}, {MESSAGE: b}]`, []string{"a", "b"}, []string{"c"}},
		{"prefix: a\nmatch: {MESSAGE: {suffix: z}}", []string{"az"}, []string{"a", "z"}},
		{"prefix: a\nmatch: [{MESSAGE: {suffix: y}}, {MESSAGE: {suffix: z}}]", []string{"ay", "az"}, []string{"ax", "y"}},
		{"prefix: a\nmatch: [{MESSAGE: {suffix: y}}, {OTHER: o}]", []string{"ay", "a"}, []string{"y"}},
	}
	for _, tt := range tests {
		list := parse(t, rule(tt.rule))
		check := func(message string, want bool) {
			if got := match(t, list, entry("MESSAGE="+message, "OTHER=o")); (len(got) == 1) != want {
				t.Errorf("%s: match of %q: %v, want %v", tt.rule, message, !want, want)
			}
		}
		for _, s := range tt.yes {
			check(s, true)
		}
		for _, s := range tt.no {
			check(s, false)
		}
	}
}

func TestFields(t *testing.T) {
	tests := []struct {
		rule, entry string // the entry's fields are divided by |
		want        bool
	}{
		// All keys of a map must hold; any map of a list.
		{`match: {A: x, B: y}`, "A=x|B=y", true},
		{`match: {A: x, B: y}`, "A=x", false},
		{`match: {A: x, B: y}`, "A=x|B=x", false},
		{`match: [{A: x, B: y}, {C: z}]`, "C=z", true},
		{`match: [{A: x, B: y}, {C: z}]`, "A=x|C=y", false},
		// A repeated field: any value may match, but one must hold all.
		{`match: {A: x}`, "A=y|A=x", true},
		{`match: {A: {prefix: x, suffix: z}}`, "A=xy|A=yz", false},
		{`match: {A: {prefix: x, suffix: z}}`, "A=xy|A=xz", true},
		{`match: {A: {not: x}}`, "A=y|A=x", false},
		{`match: {A: {not: x}}`, "A=y|A=z", true},
		{`match: {A: {prefix: y, not: x}}`, "A=y|A=x", false},
		// A missing field.
		{`match: {A: x}`, "B=x", false},
		{`match: {A: ""}`, "B=x", false},
		{`match: {A: "*"}`, "B=x", false},
		{`match: {A: {not: x}}`, "B=x", true},
		{`match: {A: {not: {exists: false}}}`, "B=x", false},
		{`match: {A: {exists: false}}`, "B=x", true},
		{`match: {A: {exists: false}}`, "A=", false},
		{`match: {A: {exists: true}}`, "A=", true},
		{`match: {A: {at_most: 3}}`, "B=1", false},
		{`match: {A: {exists: true, not: x}}`, "B=1", false},
		{`match: {A: {exists: true, not: x}}`, "A=1", true},
		{`prefix: x`, "A=x", false},
		{`prefix: x`, "MESSAGE=y|MESSAGE=xy", true},
		// The words of PRIORITY.
		{`match: {PRIORITY: err}`, "PRIORITY=3", true},
		{`match: {PRIORITY: error}`, "PRIORITY=3", true},
		{`match: {PRIORITY: err}`, "PRIORITY=err", false},
		{`match: {PRIORITY: 3}`, "PRIORITY=3", true},
		{`match: {PRIORITY: [warn, debug]}`, "PRIORITY=4", true},
		{`match: {PRIORITY: [warning, debug]}`, "PRIORITY=7", true},
		{`match: {PRIORITY: {equals: emerg}}`, "PRIORITY=0", true},
		{`match: {PRIORITY: {at_most: warn}}`, "PRIORITY=4", true},
		{`match: {PRIORITY: {at_most: warn}}`, "PRIORITY=5", false},
		{`match: {PRIORITY: {at_least: crit, at_most: err}}`, "PRIORITY=1", false},
		{`match: {PRIORITY: {not: {at_most: err}}}`, "PRIORITY=4", true},
		{`match: {PRIORITY: {not: info}}`, "PRIORITY=6", false},
		{`match: {_UID: 0}`, "_UID=0", true},
		{`match: {_UID: 0}`, "_UID=00", false},
		{`match: {_UID: {at_least: 1000}}`, "_UID=65534", true},
		// Aliases and merges.
		{"match:\n- &shop {A: x}\n- <<: *shop\n  A: y\n  B: z", "A=y|B=z", true},
		{"match:\n- &shop {A: x}\n- <<: *shop\n  A: y\n  B: z", "A=y", false},
	}
	for _, tt := range tests {
		got := match(t, parse(t, rule(tt.rule)), entry(strings.Split(tt.entry, "|")...))
		if (len(got) == 1) != tt.want {
			t.Errorf("%s: match of %s: %v, want %v", tt.rule, tt.entry, !tt.want, tt.want)
		}
	}
}

func TestWhatMatched(t *testing.T) {
	tests := []struct {
		rule, entry  string
		value, strip int
		captures     map[string]string
	}{
		{`prefix: "SLACK: "`, "MESSAGE=SLACK: hi", 0, 7, nil},
		{`prefix: "SLACK: "`, "MESSAGE=no|MESSAGE=SLACK: hi", 1, 7, nil},
		{`prefix: [a, abc, ab]`, "MESSAGE=abcd", 0, 3, nil},
		{`match: {MESSAGE: {prefix: ab}}`, "MESSAGE=abc", 0, 2, nil},
		{`match: {MESSAGE: [{prefix: x}, {prefix: ab}]}`, "MESSAGE=abc", 0, 2, nil},
		{`match: {MESSAGE: {not: {prefix: ab}}}`, "MESSAGE=xbc", 0, 0, nil},
		{`match: {MESSAGE: {not: {regex: '(?P<x>a)'}}}`, "MESSAGE=xbc", 0, 0, nil},
		{`match: {OTHER: {prefix: ab}}`, "OTHER=abc|MESSAGE=abc", 0, 0, nil},
		{`match: {OTHER: y}`, "OTHER=x|OTHER=y|MESSAGE=a|MESSAGE=b", 0, 0, nil},
		{`match: {MESSAGE: {exists: true}}`, "MESSAGE=a|MESSAGE=b", 0, 0, nil},
		{"prefix: ab\nmatch: {MESSAGE: {suffix: z}}", "MESSAGE=ab|MESSAGE=abz", 1, 2, nil},
		{"prefix: ab\nmatch: [{A: x}, {B: y}]", "MESSAGE=abz|B=y", 0, 2, nil},
		{"prefix: ab\nmatch: {A: x}", "MESSAGE=z|MESSAGE=abz|A=x", 1, 2, nil},
		{`match: {MESSAGE: {regex: 'order (?P<order>\d+) (failed)'}}`, "MESSAGE=order 12 failed", 0, 0, map[string]string{"order": "12"}},
		{`match: {MESSAGE: {regex: 'a(?P<x>b)?'}}`, "MESSAGE=a", 0, 0, map[string]string{"x": ""}},
		{`match: {MESSAGE: {regex: ['a(?P<x>.)', 'b(?P<y>.)']}}`, "MESSAGE=b1a2", 0, 0, map[string]string{"x": "2"}},
		{`match: {MESSAGE: {regex: ['a(?P<x>.)', 'b(?P<y>.)']}}`, "MESSAGE=b1", 0, 0, map[string]string{"y": "1"}},
		{`match: {MESSAGE: {regex: 'a(?P<x>.)'}, B: {regex: '(?P<y>.*)'}}`, "MESSAGE=a1|B=2", 0, 0, map[string]string{"x": "1", "y": "2"}},
		{`match: {MESSAGE: {regex: 'a(?P<x>.)'}, B: {regex: '(?P<x>.*)'}}`, "MESSAGE=a1|B=2", 0, 0, map[string]string{"x": "1"}},
		{`match: {MESSAGE: {regex: '(?P<x>\d+)'}}`, "MESSAGE=a|MESSAGE=1|MESSAGE=2", 1, 0, map[string]string{"x": "1"}},
		{`match: {MESSAGE: {regex: '^(?<x>.+)$'}}`, "MESSAGE=\xff\xfe", 0, 0, map[string]string{"x": "\xff\xfe"}},
		{"prefix: 'A '\nmatch: {MESSAGE: {regex: '(?P<x>\\d+)'}}", "MESSAGE=A 7", 0, 2, map[string]string{"x": "7"}},
		{`match: [{MESSAGE: {regex: 'a(?P<x>.)'}}, {MESSAGE: {regex: '(?P<y>.)'}}]`, "MESSAGE=b", 0, 0, map[string]string{"y": "b"}},
	}
	for _, tt := range tests {
		list := parse(t, rule(tt.rule))
		got := match(t, list, entry(strings.Split(tt.entry, "|")...))
		want := []Match{{list[0], tt.value, tt.strip, tt.captures}}
		if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b *Rule) bool { return a == b })); diff != "" {
			t.Errorf("%s on %s (-want +got):\n%s", tt.rule, tt.entry, diff)
		}
	}
}

func TestOrderAndFinal(t *testing.T) {
	list := parse(t, `
- {name: one, prefix: a, actions: x}
- {name: two, prefix: b, actions: x, final: true}
- {name: three, match: {MESSAGE: {contains: c}}, actions: x, final: true}
- {name: four, match: {MESSAGE: {exists: true}}, actions: x}
`)
	m := New(list).Matcher()
	for _, tt := range []struct{ message, want string }{
		{"a", "[one four]"}, {"bc", "[two]"}, {"ac", "[one three]"}, {"x", "[four]"},
	} {
		var names []string
		for _, match := range m.Match(entry("MESSAGE="+tt.message), nil) {
			names = append(names, match.Rule.Name)
		}
		if got := fmt.Sprint(names); got != tt.want {
			t.Errorf("rules for %q: %s, want %s", tt.message, got, tt.want)
		}
	}
	if got := m.Match(entry("A=b"), []Match{{}}); len(got) != 1 {
		t.Errorf("Match did not keep what was in dst: %v", got)
	}
	if diff := cmp.Diff([]string{"MESSAGE"}, New(list).Fields()); diff != "" {
		t.Error(diff)
	}
}

// TestResultOutlivesEntry: the entry's memory is the reader's, and reused.
func TestResultOutlivesEntry(t *testing.T) {
	list := parse(t, rule(`match: {MESSAGE: {regex: '(?P<x>.+)'}}`))
	value := []byte("before")
	got := New(list).Matcher().Match(mutable{entry(), value}, nil)
	copy(value, "after!")
	if x := got[0].Captures["x"]; x != "before" {
		t.Errorf("capture became %q", x)
	}
}

type mutable struct {
	journal.Entry
	value []byte
}

func (m mutable) Values(dst [][]byte, _ string) [][]byte { return append(dst, m.value) }

// The regexes are not reached here, as cheaper conditions fail: with the race
// detector on, package regexp allocates.
func TestNoAllocationWithoutMatch(t *testing.T) {
	list := parse(t, `
- {name: a, prefix: ["SLACK: ", "MAIL: "], actions: x}
- {name: b, actions: x, match: {_SYSTEMD_UNIT: [shop.service, "shop@*.service"], PRIORITY: {at_most: err}, MESSAGE: {regex: 'order (?P<order>\d+)'}}}
- {name: c, actions: x, match: [{MESSAGE: {contains: [panic, fatal]}}, {MESSAGE: {suffix: "!!"}}]}
- {name: d, actions: x, match: {MESSAGE: {not: {prefix: user}}}}
- {name: e, actions: x, match: {FOO: {exists: true}, CODE_LINE: {at_least: 10.5}}}
- {name: f, actions: x, match: {MESSAGE: {regex: '^user (?P<user>\w+) logged (in|out)$'}, _PID: 2}}
`)
	m := New(list).Matcher()
	e := journal.Entry(entry("MESSAGE=user jane paid for order 12", "PRIORITY=6", "_SYSTEMD_UNIT=shop@3.service", "CODE_LINE=9", "_PID=1"))
	var dst []Match
	allocs := testing.AllocsPerRun(1000, func() { dst = m.Match(e, dst[:0]) })
	if len(dst) != 0 || allocs != 0 {
		t.Errorf("%v allocations and %d matches, want none", allocs, len(dst))
	}
}

func BenchmarkMatch(b *testing.B) {
	var yaml strings.Builder
	for i := range 20 {
		fmt.Fprintf(&yaml, "- {name: p%d, prefix: 'P%d: ', actions: x}\n", i, i)
		fmt.Fprintf(&yaml, "- {name: u%d, actions: x, match: {_SYSTEMD_UNIT: 'u%d@*.service', PRIORITY: {at_most: 3}, MESSAGE: {regex: 'x(\\d+)'}}}\n", i, i)
	}
	m := New(parse(b, yaml.String())).Matcher()
	e := journal.Entry(entry("MESSAGE=a line of the usual length that no rule is for", "PRIORITY=6", "_SYSTEMD_UNIT=cron.service"))
	b.ReportAllocs()
	for b.Loop() {
		m.Match(e, nil)
	}
}
