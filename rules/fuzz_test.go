package rules

import (
	"bytes"
	"math/big"
	"strings"
	"testing"
)

// naiveGlob tries every length for every star.
func naiveGlob(pattern, value string) bool {
	switch {
	case pattern == "":
		return value == ""
	case strings.HasPrefix(pattern, `\*`):
		return strings.HasPrefix(value, "*") && naiveGlob(pattern[2:], value[1:])
	case pattern[0] == '*':
		for i := range len(value) + 1 {
			if naiveGlob(pattern[1:], value[i:]) {
				return true
			}
		}
		return false
	}
	return value != "" && value[0] == pattern[0] && naiveGlob(pattern[1:], value[1:])
}

func FuzzGlob(f *testing.F) {
	for _, s := range [][2]string{
		{"a*b*c", "abxbc"}, {"*", ""}, {`\*`, "*"}, {`\\*`, `\x`}, {"**a", "aa"}, {"ab*ba", "aba"}, {`*\**`, "a*"}, {`a\`, `a\`}, {"*aab*", "aaab"},
	} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, pattern, value string) {
		if strings.Count(pattern, "*") > 5 || len(value) > 40 {
			return // the naive one takes for ever
		}
		g := parseGlob(pattern)
		got := string(g[0]) == value
		if len(g) > 1 {
			got = g.match([]byte(value))
		}
		if want := naiveGlob(pattern, value); got != want {
			t.Errorf("glob %q on %q: %v, want %v", pattern, value, got, want)
		}
	})
}

func FuzzPrefix(f *testing.F) {
	f.Add("SLACK: ", "SL", "SLACK: hi")
	f.Add("a", "", "")
	f.Fuzz(func(t *testing.T, a, b, value string) {
		p := prefixTest{[]byte(a), []byte(b)}
		want := -1
		for n := range len(value) + 1 {
			if value[:n] == a || value[:n] == b {
				want = n
			}
		}
		if got := p.match([]byte(value)); got != (want >= 0) {
			t.Errorf("prefix %q or %q of %q: %v", a, b, value, got)
		}
		if got := p.longest([]byte(value)); got != max(want, 0) {
			t.Errorf("longest prefix %q or %q of %q: %d, want %d", a, b, value, got, want)
		}
	})
}

func FuzzDecimal(f *testing.F) {
	for _, s := range [][2]string{{"1", "2"}, {"-0", "0"}, {"1.50", "1.5"}, {"-3", "-20"}, {"007", "7"}, {"0.1", "0.09"}, {"+1", "1e3"}} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		x, y := []byte(a), []byte(b)
		if !isDecimal(x) || !isDecimal(y) {
			return
		}
		p, ok1 := new(big.Rat).SetString(a)
		q, ok2 := new(big.Rat).SetString(b)
		if !ok1 || !ok2 {
			t.Fatalf("%q or %q is no number to math/big", a, b)
		}
		if got, want := compareDecimals(x, y), p.Cmp(q); got != want {
			t.Errorf("compare %q with %q: %d, want %d", a, b, got, want)
		}
		if !bytes.Equal(x, []byte(a)) {
			t.Errorf("%q was changed", a)
		}
	})
}

// FuzzDecode: no rule breaks the decoder, and none that it takes the matcher.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		"prefix: a", "match: {A: b}", "match: [{A: [b, 'c*']}, {B: {not: {regex: '(?P<x>.)'}}}]", "match: &m [{A: b}]\nprefix: [a, b]",
		"match: {PRIORITY: {at_most: err, at_least: 1}}", "match: {A: {exists: false}}", "match: {A: {equals: [a], contains: b, suffix: c}}",
	} {
		f.Add(s, "a", "1")
	}
	f.Fuzz(func(t *testing.T, yaml, message, value string) {
		list, err := decode(rule(yaml))
		if err != nil {
			return
		}
		m := New(list).Matcher()
		for _, match := range m.Match(entry("MESSAGE="+message, "A="+value, "A=b", "PRIORITY="+value), nil) {
			if match.Strip > len(message) || match.Value != 0 {
				t.Errorf("%s matched %q at %d, %d", yaml, message, match.Value, match.Strip)
			}
		}
		list[0].Captures()
		list[0].Trusted()
	})
}
