package strict

import (
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// document is what the values of one file share.
type document struct {
	file      string
	data      []byte
	collector *Collector
	followed  int // aliases, see maxAliases
}

func (d *document) pos(n *yaml.Node) Pos { return Pos{d.file, n.Line, n.Column} }

// Files are small. What goes beyond this was made to exhaust the memory: aliases
// of aliases ("billion laughs"), or an anchor that contains itself.
const (
	maxAliases = 10_000
	maxDepth   = 100
)

// A Value is a part of a file: text, a list or a map. The zero Value is one that
// is not in the file. Aliases (*name) and merges (<<: *name) are resolved, and
// never seen by users of this package.
type Value struct {
	doc    *document
	node   *yaml.Node // never an alias
	at     Pos
	name   string // the key's text; for an item that of its list
	item   bool
	expand Expander
	depth  int
}

// An Expander replaces references in the text of a value; v is for reporting
// what is wrong with them. It is false where the text cannot be known now: the
// value is not converted then, nor missed.
type Expander func(v Value, text string) (expanded string, known bool)

// An Entry is one key of a map and its value.
type Entry struct {
	Key, Value Value
}

func (d *document) value(n *yaml.Node, name string) Value {
	return Value{doc: d, node: n, at: d.pos(n), name: name}.resolved()
}

// resolved follows the alias that v may be.
func (v Value) resolved() Value {
	for v.node.Kind == yaml.AliasNode {
		if v.doc.followed++; v.doc.followed > maxAliases {
			v.Report("", "there are too many aliases (*) to follow")
			return v.null()
		}
		v.node = v.node.Alias
	}
	if v.depth > maxDepth {
		v.Report("look for an anchor (&) that contains itself", "this is nested too deep")
		return v.null()
	}
	return v
}

func (v Value) null() Value {
	v.node = &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null"}
	return v
}

func (v Value) child(n *yaml.Node, name string) Value {
	return Value{doc: v.doc, node: n, at: v.doc.pos(n), name: name, expand: v.expand, depth: v.depth + 1}.resolved()
}

// WithExpander returns v such that the text of whatever is in it passes through
// expand when it is decoded.
func (v Value) WithExpander(expand Expander) Value {
	v.expand = expand
	return v
}

// Pos is where the value is in the file; of an alias, where that is.
func (v Value) Pos() Pos { return v.at }

// Name is the key that the value belongs to, empty for the file as a whole.
func (v Value) Name() string { return v.name }

// Exists is false for a value that is not in the file.
func (v Value) Exists() bool { return v.node != nil }

// IsNull is true for an empty value, as of "key:", and the words null and ~.
func (v Value) IsNull() bool { return v.node.Kind == yaml.ScalarNode && v.node.Tag == "!!null" }

// IsMap, IsList and IsText say of which kind a value is; an empty one is none.
func (v Value) IsMap() bool  { return v.node.Kind == yaml.MappingNode }
func (v Value) IsList() bool { return v.node.Kind == yaml.SequenceNode }
func (v Value) IsText() bool { return v.node.Kind == yaml.ScalarNode && !v.IsNull() }

// Raw is the text of a value as it was written, less quotes: 0100 and yes are
// not made into numbers or booleans.
func (v Value) Raw() string { return v.node.Value }

// OrEmptyMap returns the value, or an empty map in the place of an empty value:
// for sections that "name:" alone is enough of.
func (v Value) OrEmptyMap() Value {
	if v.IsNull() {
		v.node = &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	}
	return v
}

// Find returns what the dotted path leads to within the value, such as
// "headers.Authorization". Of a path that ends nowhere it is the last part that
// is there, and false.
func (v Value) Find(path string) (Value, bool) {
	if path == "" {
		return v, true
	}
	if !v.IsMap() {
		return v, false
	}
	for _, e := range v.Entries("") {
		if path == e.Key.name {
			return e.Value, true
		}
		if rest, ok := strings.CutPrefix(path, e.Key.name+"."); ok {
			return e.Value.Find(rest)
		}
	}
	return v, false
}

// Report adds a problem at the value's position.
func (v Value) Report(hint, format string, args ...any) {
	v.doc.collector.Add(v.at, hint, format, args...)
}

// Note adds a note at the value's position.
func (v Value) Note(hint, format string, args ...any) {
	v.doc.collector.Note(v.at, hint, format, args...)
}

// text returns the value as text, expanded. It is false where it is none, which
// is reported, or not known.
func (v Value) text(what string) (string, bool) {
	if !v.IsText() {
		v.wants(what, false, "")
		return "", false
	}
	if !v.checkTag() {
		return "", false
	}
	if v.expand != nil {
		return v.expand(v, v.node.Value)
	}
	return v.node.Value, true
}

// checkTag refuses !tags, but for the harmless ones of text, numbers and such.
func (v Value) checkTag() bool {
	switch v.node.Tag {
	case "", "!", "!!str", "!!int", "!!float", "!!bool", "!!null", "!!timestamp", "!!map", "!!seq", "!!merge":
		return true
	}
	v.Report("put a value that begins with ! into quotes", "%s has a YAML tag (!), which means nothing here", shown(v.name))
	return false
}

// Text returns the value as text. It is false where it is a list, a map or
// empty, which is reported, or where it is not known (see Expander).
func (v Value) Text() (string, bool) { return v.text("text") }

// Items are the values of a list. What is no list is reported; what says what
// it should be.
func (v Value) Items(what string) []Value {
	if !v.IsList() {
		v.wants(what, false, "")
		return nil
	}
	if !v.checkTag() {
		return nil
	}
	items := make([]Value, len(v.node.Content))
	for i, n := range v.node.Content {
		items[i] = v.child(n, v.name)
		items[i].item = true
	}
	return items
}

// OneOrMore are the items of a list, or the value itself where it is no list.
func (v Value) OneOrMore() []Value {
	if v.IsList() {
		return v.Items("")
	}
	return []Value{v}
}

// Entries are the keys and values of a map in the order of the file, those that
// it merges in last. Keys that are there twice are reported, as is what is no
// map; what says what it should be.
func (v Value) Entries(what string) []Entry {
	if !v.IsMap() {
		v.wants(what, false, "")
		return nil
	}
	if !v.checkTag() {
		return nil
	}
	var entries, merged []Entry
	for i := 0; i+1 < len(v.node.Content); i += 2 {
		n := v.node.Content[i]
		if n.Kind == yaml.ScalarNode && n.Tag == "!!merge" {
			merged = append(merged, v.child(v.node.Content[i+1], "<<").merge()...)
			continue
		}
		key := v.child(n, v.name)
		if key.node.Kind != yaml.ScalarNode {
			key.Report(key.shapeHintForKey(), "a key is text, not %s", key.found(false))
			continue
		}
		key.name = key.node.Value
		if first := find(entries, key.name); first != nil {
			key.Report("", "key %s is there twice, first in line %d", quoted(key.name), first.Key.at.Line)
			continue
		}
		entries = append(entries, Entry{key, v.child(v.node.Content[i+1], key.name)})
	}
	for _, e := range merged {
		if find(entries, e.Key.name) == nil {
			entries = append(entries, e)
		}
	}
	return entries
}

func (v Value) shapeHintForKey() string {
	if v.IsMap() {
		return "put a text with {{ }} into quotes"
	}
	return ""
}

// merge returns what "<<:" brings in: a map, or several, of which earlier ones
// go before later ones.
func (v Value) merge() []Entry {
	var all []Entry
	for _, one := range v.OneOrMore() {
		all = append(all, one.Entries("the alias of a map (*name)")...)
	}
	return all
}

func find(entries []Entry, key string) *Entry {
	i := slices.IndexFunc(entries, func(e Entry) bool { return e.Key.name == key })
	if i < 0 {
		return nil
	}
	return &entries[i]
}

// Identifier returns the text of a value that names something: letters, digits,
// dots, underscores and dashes. It is false where that is reported to be wrong.
func (v Value) Identifier() (string, bool) {
	s, ok := v.text("a name")
	if ok && !IsIdentifier(s) {
		v.Report("letters, digits, dots, underscores and dashes, at most 64", "%s is no name", Quote(s))
		return "", false
	}
	return s, ok
}

// IsIdentifier tells whether s may name an action or a rule.
func IsIdentifier(s string) bool {
	const longest = 64
	return s != "" && len(s) <= longest && !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '_' || r == '-')
	})
}
