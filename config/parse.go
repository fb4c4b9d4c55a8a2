package config

import (
	"regexp"
	"slices"
	"strings"

	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/internal/strict"
	"github.com/journald-router/journald-router/rules"
)

// A parsing is a `parse:` of a rule or an action, if there is one.
type parsing struct {
	parser *action.Parser
	wrong  bool // it could not be decoded
}

// decodeParse reads a `parse:`, which may be missing.
func decodeParse(v strict.Value) parsing {
	switch {
	case !v.Exists():
		return parsing{}
	case v.IsMap():
		return decodeParseRegex(v)
	}
	text, ok := v.Text()
	switch {
	case !ok:
	case text == "json":
		return parsing{parser: action.ParseJSON()}
	case text == "logfmt":
		return parsing{parser: action.ParseLogfmt()}
	default:
		v.Report("json, logfmt, or {regex: '...'} with named groups", "parse wants what a message is, not %s", strict.Quote(text))
	}
	return parsing{wrong: true}
}

func decodeParseRegex(v strict.Value) parsing {
	var in struct {
		Regex strict.Value `yaml:"regex,required"`
	}
	if !v.Decode(&in) {
		return parsing{wrong: true}
	}
	text, ok := in.Regex.Text()
	if !ok {
		return parsing{wrong: true}
	}
	re, err := regexp.Compile(text)
	if err != nil {
		in.Regex.Report(rules.RegexHint(err), "bad regex: %s", strings.TrimPrefix(err.Error(), "error parsing regexp: "))
		return parsing{wrong: true}
	}
	p := action.ParseRegex(re)
	if len(p.Captures()) == 0 {
		in.Regex.Report("name what templates shall have as .Captures.order: (?P<order>...)", "regex has no named group")
		return parsing{wrong: true}
	}
	return parsing{parser: p}
}

// A use is a template, where it is, and whose entries it is for.
type use struct {
	template *action.Template
	name     string // of its setting
	at       strict.Pos
	rule     *rules.Rule
	b        *built // or nil
	parsing  parsing
}

// checkUse refuses what would be empty for ever: captures that neither a regex of
// the rule nor parse has, and what only another parse would fill.
func (l *loader) checkUse(u use) {
	if u.template == nil || u.parsing.wrong {
		return
	}
	hint := func(s string) string {
		if u.name == "text" && u.at != u.rule.TextPos {
			s += "; or give the rule a text of its own"
		}
		return s
	}
	rule := strict.Quote(u.rule.Name)
	for _, name := range []string{"JSON", "Logfmt"} {
		if !u.template.Uses(name) || u.parsing.parser.Fills(name) {
			continue
		}
		word := strings.ToLower(name)
		what := "add it to the rule"
		if u.b != nil {
			what += ", or to action " + strict.Quote(u.b.Name)
		}
		if u.parsing.parser != nil {
			what = "a message is parsed in one way, and there is another parse"
		}
		l.Add(u.at, hint(what), "%s has .%s, but rule %s is without parse: %s", u.name, name, rule, word)
	}
	captured := slices.Concat(u.rule.Captures(), u.parsing.parser.Captures())
	for _, capture := range u.template.Captures() {
		if slices.Contains(captured, capture) {
			continue
		}
		what := "name a group in a regex of the rule: (?P<" + capture + ">...)"
		if len(captured) > 0 {
			what = strict.DidYouMean(capture, captured)
		}
		l.Add(u.at, hint(what), "%s has .Captures.%s, which rule %s does not capture", u.name, capture, rule)
	}
}
