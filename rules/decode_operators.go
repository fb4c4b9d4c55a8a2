package rules

import (
	"errors"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"

	"github.com/journald-router/journald-router/internal/strict"
	"github.com/journald-router/journald-router/journal"
)

var operators = []string{"at_least", "at_most", "contains", "equals", "exists", "not", "prefix", "regex", "suffix"}

func isOperator(name string) bool { return slices.Contains(operators, name) }

// decodeAllOf reads a map of operators.
func decodeAllOf(v strict.Value, field string) *allOf {
	a := &allOf{}
	entries := v.Entries(wantsField)
	if len(entries) == 0 {
		v.Report("", "%s has no operators (%s)", v.Name(), strings.Join(operators, ", "))
	}
	var least, most strict.Value
	for _, e := range entries {
		switch e.Key.Name() {
		case "equals":
			a.addEquals(e.Value, field)
		case "prefix":
			a.add(prefixTest(operands(e.Value)))
		case "suffix":
			a.add(suffixTest(operands(e.Value)))
		case "contains":
			a.add(containsTest(operands(e.Value)))
		case "regex":
			a.addRegexes(e.Value)
		case "at_least":
			least = e.Value
			a.addNumber(e.Value, field, 1)
		case "at_most":
			most = e.Value
			a.addNumber(e.Value, field, -1)
		case "exists":
			e.Value.Decode(&a.present)
		case "not":
			a.not = append(a.not, decodeMatcher(e.Value, field))
		default:
			e.Key.ReportUnknown("operator", operators)
		}
	}
	if least.Exists() && most.Exists() && a.contradictsItself() {
		v.Report("", "no number is at least %s and at most %s", least.Raw(), most.Raw())
	}
	if a.present != nil && !*a.present && len(entries) > 1 {
		v.Report("take the others out, or exists", "%s cannot be missing and have a value", v.Name())
	}
	return a
}

func (a *allOf) add(t test) { a.tests = append(a.tests, t) }

// operands are the texts of an operator that takes one or several. None may be
// empty, as every value has that in it.
func operands(v strict.Value) [][]byte {
	var texts []string
	if !v.Decode(&texts) {
		return nil
	}
	if len(texts) == 0 {
		v.Report("", "%s is an empty list", v.Name())
	}
	all := make([][]byte, len(texts))
	for i, item := range v.OneOrMore() {
		if i < len(texts) && texts[i] == "" {
			item.Report("for any value at all, write exists: true", "%s is empty, which every value matches", v.Name())
		}
		all[i] = []byte(texts[i])
	}
	return all
}

func (a *allOf) addEquals(v strict.Value, field string) {
	var texts []string
	if !v.Decode(&texts) {
		return
	}
	if len(texts) == 0 {
		v.Report("", "%s is an empty list", v.Name())
	}
	var t equalsTest
	for i, item := range v.OneOrMore() {
		if value, ok := fieldValue(item, field, texts[i]); ok {
			t = append(t, []byte(value))
		}
	}
	a.add(t)
}

func (a *allOf) addRegexes(v strict.Value) {
	patterns := operands(v)
	var t regexTest
	for i, item := range v.OneOrMore() {
		if i >= len(patterns) {
			break
		}
		re, err := regexp.Compile(string(patterns[i]))
		if err != nil {
			item.Report(RegexHint(err), "bad regex: %s", strings.TrimPrefix(err.Error(), "error parsing regexp: "))
			continue
		}
		t = append(t, re)
	}
	a.add(t)
}

// RegexHint says what to do about a regex that does not compile.
func RegexHint(err error) string {
	var e *syntax.Error
	if !errors.As(err, &e) {
		return ""
	}
	switch e.Code {
	case syntax.ErrInvalidPerlOp:
		return "RE2 has no look-ahead and no look-behind: use not: with a regex of its own"
	case syntax.ErrInvalidEscape:
		return `RE2 has no back-references; \ before a letter must mean something`
	case syntax.ErrInvalidNamedCapture:
		return "a named group is (?P<name>...), of letters, digits and _"
	}
	return "the syntax is RE2: https://github.com/google/re2/wiki/Syntax"
}

// addNumber reads the limit of at_most (sign -1) or at_least (sign 1).
func (a *allOf) addNumber(v strict.Value, field string, sign int) {
	text, ok := v.Text()
	if !ok {
		return
	}
	if field == journal.FieldPriority {
		if text, ok = fieldValue(v, field, text); !ok {
			return
		}
	}
	if !isDecimal([]byte(text)) {
		v.Report("such as 3, -10 or 0.5", "%s wants a number, not %s", v.Name(), strict.Quote(text))
		return
	}
	a.add(numberTest{sign, []byte(text)})
}

// contradictsItself is true where at_least is more than at_most.
func (a *allOf) contradictsItself() bool {
	var limits []numberTest
	for _, t := range a.tests {
		if n, ok := t.(numberTest); ok {
			limits = append(limits, n)
		}
	}
	return len(limits) == 2 && limits[0].sign*compareDecimals(limits[0].limit, limits[1].limit) > 0
}
