package action

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"text/template"
	"text/template/parse"
	"time"

	"github.com/journald-router/journald-router/journal"
)

// A Template is a parsed `text:`, in the language of Go's text/template. Its dot
// is a Data.
type Template struct {
	text interface {
		Execute(w io.Writer, data any) error
	}
	captures []string
	names    []string // of Data, that it uses
	fixed    bool
}

// Data is what a template sees. Its exported fields and methods are the names
// that users write: {{ .Text }}, {{ .Captures.order }}, {{ .Fields.HOSTNAME }}.
// A field or a capture that is not there is an empty string.
type Data struct {
	// ID is the delivery's id.
	ID string
	// Rule is the name of the rule that matched.
	Rule string
	// Text is MESSAGE without the prefix that the rule matched.
	Text string
	// Captures are the named groups of the rule's regexes.
	Captures map[string]string
	// JSON and Logfmt are what `parse:` has made of Text: an Object, a List or what else
	// the JSON is, and the values by their keys. Without it they are nil.
	JSON   any
	Logfmt map[string]string

	record journal.Record
}

// NewData makes the data of one entry.
func NewData(id, rule, text string, captures map[string]string, record journal.Record) Data {
	return Data{ID: id, Rule: rule, Text: text, Captures: captures, record: record}
}

// Message is the whole MESSAGE, its prefix included.
func (d Data) Message() string { return d.first(journal.FieldMessage) }

// Fields has the first value of every field.
func (d Data) Fields() map[string]string {
	m := make(map[string]string)
	for name, value := range d.record.Fields() {
		if _, ok := m[string(name)]; !ok {
			m[string(name)] = string(value)
		}
	}
	return m
}

// Time is when journald received the entry, in the local time zone.
func (d Data) Time() time.Time { return d.record.Time() }

// Host is _HOSTNAME: the machine that logged the entry.
func (d Data) Host() string { return d.first(journal.FieldHostname) }

// Unit is _SYSTEMD_UNIT: the unit that logged the entry.
func (d Data) Unit() string { return d.first(journal.FieldUnit) }

// Priority is the entry's priority as a word: emerg, alert, crit, err, warning,
// notice, info, debug; empty if it has none (syslog(3)).
func (d Data) Priority() string {
	words := [...]string{"emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"}
	if p := d.first(journal.FieldPriority); len(p) == 1 && p[0] >= '0' && p[0] <= '7' {
		return words[p[0]-'0']
	}
	return ""
}

// Cursor identifies the entry: journalctl --cursor finds it again.
func (d Data) Cursor() string { return d.record.Cursor() }

func (d Data) first(field string) string {
	value, _ := d.record.Get(field)
	return string(value)
}

// ParseTemplate parses a `text:` and tries it on an empty entry, so that a
// misspelt name is found before the first entry needs it. Where escape is not
// nil, everything the template inserts passes through it (see Escaper), but for what it
// makes of .Time and its own words alone.
func ParseTemplate(text string, escape func(string) string) (*Template, error) {
	t, err := template.New("text").Funcs(functions).Funcs(template.FuncMap{"_escape": escaper(escape)}).
		Option("missingkey=zero").Parse(text)
	if err != nil {
		return nil, errorWithoutName(err)
	}
	tmpl := &Template{text: t, fixed: !slices.ContainsFunc(t.Root.Nodes, func(n parse.Node) bool { return n.Type() != parse.NodeText })}
	var unknown error
	for _, one := range t.Templates() {
		walk(one.Root, one == t, func(n parse.Node, dotIsData bool) {
			switch n := n.(type) {
			case *parse.ActionNode:
				if escape != nil && len(n.Pipe.Decl) == 0 && !isOwn(n.Pipe, dotIsData) {
					n.Pipe.Cmds = append(n.Pipe.Cmds, call(n.Pos, "_escape"))
				}
			case *parse.PipeNode, *parse.RangeNode:
				loosen(n, dotIsData, one == t)
			case *parse.FieldNode:
				if dotIsData {
					unknown = cmp.Or(unknown, tmpl.use(n.Ident))
				}
			case *parse.TemplateNode:
				if t.Lookup(n.Name) == nil {
					unknown = cmp.Or(unknown, fmt.Errorf("template: there is no {{ define %q }}", n.Name))
				}
			case *parse.VariableNode:
				if one == t && n.Ident[0] == "$" && len(n.Ident) > 1 {
					unknown = cmp.Or(unknown, tmpl.use(n.Ident[1:]))
				}
			}
		})
	}
	if unknown != nil {
		return nil, unknown
	}
	if err := tmpl.try(); err != nil {
		return nil, err
	}
	if err := tryBranches(t); err != nil {
		return nil, errorWithoutName(err)
	}
	return tmpl, nil
}

// try renders an empty entry. What a function makes of that says nothing about full
// ones: {{ slice .Captures.commit 0 7 }} is right where the regex sees to it.
func (t *Template) try() error {
	_, err := t.Render(Data{})
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*noSuchName](err); !ok && strings.Contains(err.Error(), ": error calling ") {
		return nil
	}
	return err
}

// use notes that the template has .A.B of its Data, and refuses a name that
// Data does not have.
func (t *Template) use(path []string) error {
	if !slices.Contains(dataNames, path[0]) {
		return fmt.Errorf("template: there is no .%s, only .%s", path[0], strings.Join(dataNames, ", ."))
	}
	if !slices.Contains(t.names, path[0]) {
		t.names = append(t.names, path[0])
	}
	if len(path) > 1 && path[0] == "Captures" && !slices.Contains(t.captures, path[1]) {
		t.captures = append(t.captures, path[1])
	}
	return nil
}

// dataNames are the names that users write, sorted.
var dataNames = func() (names []string) {
	data := reflect.TypeFor[Data]()
	for f := range data.Fields() {
		if f.IsExported() {
			names = append(names, f.Name)
		}
	}
	for m := range data.Methods() {
		names = append(names, m.Name)
	}
	slices.Sort(names)
	return names
}()

// Captures are the names of the captures that the template uses, in the order
// of first use: for checking them against those the rule's regexes have.
func (t *Template) Captures() []string { return t.captures }

// Uses tells whether the template has that name of its Data, as "JSON".
func (t *Template) Uses(name string) bool { return slices.Contains(t.names, name) }

// Fixed says that the template is mere text: the same for every entry.
func (t *Template) Fixed() bool { return t.fixed }

// Render makes the text of one delivery.
func (t *Template) Render(d Data) (string, error) {
	var b strings.Builder
	if err := t.text.Execute(&b, d); err != nil {
		return "", errorWithoutName(err)
	}
	return b.String(), nil
}

// isOwn says whether a pipeline has nothing of the entry in it but its time: then what it
// inserts is as the user wrote it, as the slashes of {{ .Time.Format "2006/01/02" }}.
func isOwn(pipe *parse.PipeNode, dotIsData bool) bool {
	own := true
	walk(pipe, dotIsData, func(n parse.Node, dotIsData bool) {
		switch n := n.(type) {
		case *parse.FieldNode:
			own = own && dotIsData && n.Ident[0] == "Time"
		case *parse.DotNode, *parse.VariableNode:
			own = false
		}
	})
	return own
}

func escaper(escape func(string) string) func(any) string {
	return func(v any) string {
		if s, ok := v.(string); ok {
			return escape(s)
		}
		return escape(fmt.Sprint(v))
	}
}

// errorWithoutName takes off text/template's "template: text:1:3: executing
// "text" at": the user knows neither the name nor, as the text is mostly one
// line, wants the position before the message.
func errorWithoutName(err error) error {
	if e, ok := errors.AsType[*noSuchName](err); ok {
		return fmt.Errorf("template: %w", e)
	}
	s := strings.TrimPrefix(strings.TrimPrefix(err.Error(), "html/"), "template: text:")
	_, after, found := strings.Cut(s, `executing "text" at `)
	if found {
		s = after
	} else if _, after, ok := strings.Cut(s, ": "); ok {
		s = after
	}
	return fmt.Errorf("template: %s", asWritten(s))
}

// walk visits the nodes of a template, what they hold before themselves. It tells
// whether the dot is the template's Data there: within range and with it is something
// else.
func walk(n parse.Node, dot bool, visit func(n parse.Node, dotIsData bool)) {
	switch n := n.(type) {
	case *parse.ListNode:
		if n != nil {
			for _, one := range n.Nodes {
				walk(one, dot, visit)
			}
		}
	case *parse.ActionNode:
		walk(n.Pipe, dot, visit)
		visit(n, dot)
	case *parse.PipeNode:
		if n != nil {
			for _, c := range n.Cmds {
				walk(c, dot, visit)
			}
			visit(n, dot)
		}
	case *parse.CommandNode:
		for _, a := range n.Args {
			walk(a, dot, visit)
		}
	case *parse.ChainNode:
		walk(n.Node, dot, visit)
	case *parse.IfNode:
		walkBranch(&n.BranchNode, dot, dot, visit)
	case *parse.RangeNode:
		walkBranch(&n.BranchNode, dot, false, visit)
		visit(n, dot)
	case *parse.WithNode:
		walkBranch(&n.BranchNode, dot, false, visit)
	case *parse.TemplateNode:
		walk(n.Pipe, dot, visit)
		visit(n, dot)
	default:
		visit(n, dot)
	}
}

func walkBranch(n *parse.BranchNode, dot, dotInside bool, visit func(n parse.Node, dotIsData bool)) {
	walk(n.Pipe, dot, visit)
	walk(n.List, dotInside, visit)
	walk(n.ElseList, dot, visit)
}
