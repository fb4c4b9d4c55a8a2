package rules

import (
	"bytes"
	"regexp"
	"slices"
)

// A test is an operator on one value.
type test interface {
	match(value []byte) bool
	// cost is 1 for what looks at a few bytes, more for what searches.
	cost() int
}

// The tests that take several operands hold if any of these does.
type (
	equalsTest   [][]byte
	globTest     []glob
	prefixTest   [][]byte
	suffixTest   [][]byte
	containsTest [][]byte
	regexTest    []*regexp.Regexp
	anyTest      []test
)

// numberTest compares with a decimal number: at_most if sign is -1, at_least if
// it is 1.
type numberTest struct {
	sign  int
	limit []byte
}

func (t equalsTest) match(value []byte) bool {
	return slices.ContainsFunc(t, func(s []byte) bool { return bytes.Equal(value, s) })
}

func (t prefixTest) match(value []byte) bool {
	return slices.ContainsFunc(t, func(s []byte) bool { return bytes.HasPrefix(value, s) })
}

func (t suffixTest) match(value []byte) bool {
	return slices.ContainsFunc(t, func(s []byte) bool { return bytes.HasSuffix(value, s) })
}

func (t containsTest) match(value []byte) bool {
	return slices.ContainsFunc(t, func(s []byte) bool { return bytes.Contains(value, s) })
}

func (t globTest) match(value []byte) bool {
	return slices.ContainsFunc(t, func(g glob) bool { return g.match(value) })
}

func (t regexTest) match(value []byte) bool {
	return slices.ContainsFunc(t, func(re *regexp.Regexp) bool { return re.Match(value) })
}

func (t anyTest) match(value []byte) bool {
	return slices.ContainsFunc(t, func(one test) bool { return one.match(value) })
}

func (t numberTest) match(value []byte) bool {
	return isDecimal(value) && compareDecimals(value, t.limit) != -t.sign
}

func (equalsTest) cost() int   { return 1 }
func (prefixTest) cost() int   { return 1 }
func (suffixTest) cost() int   { return 1 }
func (numberTest) cost() int   { return 1 }
func (globTest) cost() int     { return 3 }
func (containsTest) cost() int { return 4 }
func (regexTest) cost() int    { return 10 }
func (t anyTest) cost() int {
	most := 0
	for _, one := range t {
		most = max(most, one.cost())
	}
	return most
}

// longest is the length of the longest prefix that value has.
func (t prefixTest) longest(value []byte) int {
	n := 0
	for _, s := range t {
		if bytes.HasPrefix(value, s) {
			n = max(n, len(s))
		}
	}
	return n
}

// A glob is a pattern cut at its stars, each of which stands for any bytes, also
// none. It has at least two parts.
type glob [][]byte

// parseGlob cuts a pattern at its stars; \* is a star itself, and any other
// backslash is a backslash, as the names of units have them (dev-disk-by\x2did).
// A pattern without stars has one part: the text it is equal to.
func parseGlob(pattern string) glob {
	parts := glob{nil}
	for i := 0; i < len(pattern); i++ {
		last := len(parts) - 1
		switch {
		case pattern[i] == '\\' && i+1 < len(pattern) && pattern[i+1] == '*':
			i++
			parts[last] = append(parts[last], '*')
		case pattern[i] == '*':
			parts = append(parts, nil)
		default:
			parts[last] = append(parts[last], pattern[i])
		}
	}
	return parts
}

// matchesAll is true for a pattern of nothing but stars.
func (g glob) matchesAll() bool {
	return !slices.ContainsFunc(g, func(part []byte) bool { return len(part) > 0 })
}

func (g glob) match(value []byte) bool {
	first, last := g[0], g[len(g)-1]
	if len(value) < len(first)+len(last) || !bytes.HasPrefix(value, first) || !bytes.HasSuffix(value, last) {
		return false
	}
	value = value[len(first) : len(value)-len(last)]
	for _, part := range g[1 : len(g)-1] {
		// The leftmost place is the best: it leaves the most for the others.
		i := bytes.Index(value, part)
		if i < 0 {
			return false
		}
		value = value[i+len(part):]
	}
	return true
}
