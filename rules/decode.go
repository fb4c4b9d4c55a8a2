package rules

import (
	"regexp"
	"slices"
	"strings"

	"github.com/journald-router/journald-router/internal/strict"
	"github.com/journald-router/journald-router/journal"
)

const (
	wantsMatch = "a map of journal fields, or a list of such maps"
	wantsField = "a value, a list of values, or a map of operators"
	wantsTexts = "text, or a list of texts"

	hintEverything = "to match every entry, write match: {MESSAGE: {exists: true}}"
)

// Decode reads a rule. What is wrong with it is reported to v, and the rule is of
// no use then but for its name and positions.
func Decode(v strict.Value) *Rule {
	r := &Rule{Pos: v.Pos()}
	var in struct {
		Name    strict.Value `yaml:"name,required"`
		Prefix  strict.Value `yaml:"prefix"`
		Match   strict.Value `yaml:"match"`
		Text    strict.Value `yaml:"text"`
		Parse   strict.Value `yaml:"parse"`
		Actions strict.Value `yaml:"actions,required"`
		Final   bool         `yaml:"final"`
	}
	v.Decode(&in)
	r.Final, r.Parse = in.Final, in.Parse
	if in.Name.Exists() {
		r.Name, _ = in.Name.Identifier()
	}
	if in.Match.Exists() {
		r.alternatives = decodeMatch(in.Match)
	}
	if in.Prefix.Exists() {
		r.addPrefix(in.Prefix)
	}
	if !in.Match.Exists() && !in.Prefix.Exists() && v.IsMap() {
		v.Report("add prefix: or match:; "+hintEverything, "the rule says nothing of the entries it is for")
	}
	if in.Text.Exists() {
		r.Text, r.HasText = in.Text.Text()
		r.TextPos = in.Text.Pos()
		if r.HasText && r.Text == "" {
			in.Text.Report("leave it out for the default", "text is empty")
		}
	}
	if in.Actions.Exists() {
		r.decodeActions(in.Actions)
	}
	return r
}

func (r *Rule) decodeActions(v strict.Value) {
	if v.IsList() && len(v.Items("")) == 0 {
		v.Report("name at least one of the actions", "actions is an empty list")
	}
	var names []string
	if !v.Decode(&names) {
		return
	}
	for i, item := range v.OneOrMore() {
		for _, before := range names[:i] {
			if before == names[i] {
				item.Report("", "action %s is there twice", strict.Quote(names[i]))
			}
		}
		r.Actions = append(r.Actions, names[i])
		r.ActionPos = append(r.ActionPos, item.Pos())
	}
}

// addPrefix makes `prefix:` one of the tests on MESSAGE in every alternative, so
// that both hold for the same value.
func (r *Rule) addPrefix(v strict.Value) {
	prefixes := operands(v)
	if prefixes == nil {
		return
	}
	if r.alternatives == nil {
		r.alternatives = []alternative{nil}
	}
	for i, alt := range r.alternatives {
		r.alternatives[i] = withPrefix(alt, prefixTest(prefixes), v)
	}
}

func withPrefix(alt alternative, p prefixTest, v strict.Value) alternative {
	for _, c := range alt {
		if c.field != journal.FieldMessage {
			continue
		}
		for _, one := range c.matcher {
			if one.present != nil && !*one.present {
				v.Report("take one of them out", "no MESSAGE has a prefix and does not exist")
			}
			one.tests = append([]test{p}, one.tests...)
		}
		return alt
	}
	c := condition{journal.FieldMessage, matcher{{tests: []test{p}}}}
	return append(alternative{c}, alt...)
}

func decodeMatch(v strict.Value) []alternative {
	items := []strict.Value{v}
	if v.IsList() {
		items = v.Items(wantsMatch)
	}
	if len(items) == 0 {
		v.Report(hintEverything, "match is an empty list")
	}
	var all []alternative
	for _, item := range items {
		all = append(all, decodeAlternative(item))
	}
	return all
}

func decodeAlternative(v strict.Value) alternative {
	if v.IsNull() {
		v.Report(hintEverything, "match is empty")
		return nil
	}
	entries := v.Entries(wantsMatch)
	if v.IsMap() && len(entries) == 0 {
		v.Report(hintEverything, "match is empty")
	}
	var alt alternative
	for _, e := range entries {
		if checkField(e.Key) {
			alt = append(alt, condition{e.Key.Name(), decodeMatcher(e.Value, e.Key.Name())})
		}
	}
	return alt
}

// trusted are the fields that journald writes into most entries
// (systemd.journal-fields(7)). Without their underscore, nearly nobody does.
var trusted = []string{
	"_BOOT_ID", "_CMDLINE", "_COMM", "_EXE", "_GID", "_HOSTNAME", "_MACHINE_ID", "_PID", "_SYSTEMD_CGROUP",
	"_SYSTEMD_INVOCATION_ID", "_SYSTEMD_SLICE", "_SYSTEMD_UNIT", "_SYSTEMD_USER_UNIT", "_TRANSPORT", "_UID",
}

var fieldName = regexp.MustCompile(`^_?[A-Z][A-Z0-9_]*$`)

// checkField refuses names that no field can have: journal_field_valid of
// systemd's src/libsystemd/sd-journal/journal-file.c.
func checkField(key strict.Value) bool {
	const longest = 64
	name := key.Name()
	if fieldName.MatchString(name) && len(name) <= longest {
		if slices.Contains(trusted, "_"+name) {
			key.Note("did you mean _"+name+", which journald writes?", "%s is a field that only few programs log", name)
		}
		return true
	}
	hint := "upper-case letters, digits and underscores, no digit first, at most 64: MESSAGE, _SYSTEMD_UNIT"
	upper := strings.NewReplacer("-", "_", ".", "_", " ", "_").Replace(strings.ToUpper(name))
	switch {
	case isOperator(name):
		hint = "an operator goes below a field: {MESSAGE: {" + name + ": …}}"
	case strings.HasPrefix(name, "__"):
		hint = "what begins with __ is added by journalctl, and is in no entry"
	case upper != name && fieldName.MatchString(upper) && len(upper) <= longest:
		hint = "did you mean " + upper + "?"
	}
	key.Report(hint, "%s is not the name of a journal field", strict.Quote(name))
	return false
}

func decodeMatcher(v strict.Value, field string) matcher {
	switch {
	case v.IsMap():
		return matcher{decodeAllOf(v, field)}
	case v.IsText():
		return decodeAny([]strict.Value{v}, field)
	case v.IsNull():
		v.Report(`write "" for an empty value, {exists: true} for any`, "%s is empty, it wants %s", v.Name(), wantsField)
		return nil
	}
	items := v.Items(wantsField)
	if len(items) == 0 {
		v.Report("", "%s is an empty list, which no value is in", v.Name())
	}
	return decodeAny(items, field)
}

// decodeAny reads what any may hold of. The plain values become one test.
func decodeAny(items []strict.Value, field string) matcher {
	var m matcher
	var exact equalsTest
	var globs globTest
	for _, item := range items {
		if item.IsMap() {
			m = append(m, decodeAllOf(item, field))
			continue
		}
		text, ok := item.Text()
		if !ok {
			continue
		}
		if g := parseGlob(text); len(g) > 1 {
			globs = append(globs, g)
		} else if value, ok := fieldValue(item, field, string(g[0])); ok {
			exact = append(exact, []byte(value))
		}
	}
	switch {
	case exact != nil && globs != nil:
		m = append(m, &allOf{tests: []test{anyTest{exact, globs}}})
	case exact != nil:
		m = append(m, &allOf{tests: []test{exact}})
	case globs != nil:
		m = append(m, &allOf{tests: []test{globs}})
	}
	return m
}

// fieldValue checks the value that a field shall have, where that is known:
// PRIORITY also takes its words.
func fieldValue(v strict.Value, field, text string) (string, bool) {
	if field != journal.FieldPriority {
		return text, true
	}
	number, ok := level(text)
	if !ok {
		v.Report(strict.DidYouMean(text, levels), "PRIORITY is a number from 0 (emerg) to 7 (debug), or its word, not %s", strict.Quote(text))
	}
	return number, ok
}
