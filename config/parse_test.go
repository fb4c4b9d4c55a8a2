package config

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/journald-router/journald-router/action"
	"github.com/journald-router/journald-router/journal"
)

// TestParse: a rule's goes before its action's, and each rule gets its own.
func TestParse(t *testing.T) {
	c := mustLoad(t, map[string]string{"config.yaml": `
actions:
  a: {stdout: , parse: json, text: "{{ .JSON.id }}"}
  b: {stdout: }
rules:
  - {name: actions, prefix: x, actions: [a, b]}
  - {name: own, prefix: x, actions: [a, b], parse: logfmt, text: "{{ .Logfmt.id }}"}
  - name: regex
    match: {MESSAGE: {regex: '^(?P<word>\w+)'}}
    actions: [a, b]
    parse: {regex: 'id=(?P<id>\d+)'}
    text: "{{ .Captures.word }} {{ .Captures.id }}"
`})
	type row struct{ action, rule, text, want string }
	for _, tt := range []row{
		{"a", "actions", `{"id": 7}`, "7"},
		{"a", "own", `id=8`, "8"},
		{"b", "own", `id=8`, "8"},
		{"a", "regex", `one id=9`, " 9"},
		{"b", "regex", `one id=9`, " 9"},
	} {
		a := find(t, c, tt.action)
		d := action.NewData("id", tt.rule, tt.text, nil, journal.Record{})
		parser := a.RuleParse[tt.rule]
		if parser == nil {
			parser = a.Parse
		}
		text := a.RuleText[tt.rule]
		if text == nil {
			text = a.Text
		}
		if err := parser.Parse(&d); err != nil {
			t.Errorf("%+v: %v", tt, err)
		}
		if got, err := text.Render(d); err != nil || got != tt.want {
			t.Errorf("%+v: %q, %v", tt, got, err)
		}
	}
	if b := find(t, c, "b"); b.Parse != nil || b.RuleParse["actions"] != nil {
		t.Error("action b parses what nobody has asked it to")
	}
}

// keyed is an action with templates in its own settings.
type keyed struct {
	Key     string            `yaml:"key"`
	Columns map[string]string `yaml:"columns"`
}

func (keyed) Deliver(context.Context, []action.Message) error { return nil }

func (k keyed) Templates() map[string]*action.Template {
	all := make(map[string]*action.Template)
	for name, text := range k.Columns {
		all["columns."+name], _ = action.ParseTemplate(text, nil)
	}
	all["key"], _ = action.ParseTemplate(k.Key, nil)
	return all
}

// TestTemplatesInSettings are checked as a text is, for each rule that leads there.
func TestTemplatesInSettings(t *testing.T) {
	defer func(before []kind) { kinds = before }(kinds)
	kinds = append(slices.Clone(kinds), newKind("keyed", func(k keyed) (keyed, error) { return k, nil }))
	_, err := load(t, Options{}, map[string]string{"config.yaml": `
actions:
  a:
    keyed:
      key: "{{ .JSON.id }}"
      columns: {id: "{{ .Captures.id }}", rule: "{{ .Rule }}"}
rules:
  - {name: good, match: {MESSAGE: {regex: '(?P<id>.)'}}, actions: a, parse: json}
  - {name: parsed, prefix: x, actions: a, parse: {regex: '(?P<id>.)'}}
  - {name: bare, prefix: x, actions: a, text: x}
`})
	want := `config.yaml:5:12: key has .JSON, but rule "parsed" is without parse: json (a message is parsed in one way, and there is another parse)
config.yaml:5:12: key has .JSON, but rule "bare" is without parse: json (add it to the rule, or to action "a")
config.yaml:6:21: columns.id has .Captures.id, which rule "bare" does not capture (name a group in a regex of the rule: (?P<id>...))`
	if diff := cmp.Diff(want, fmt.Sprint(err)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
