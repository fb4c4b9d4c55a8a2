package strict

import (
	"fmt"
	"strings"

	"gopkg.in/yaml.v3"
)

// wants reports that the value is not what it should be.
func (v Value) wants(what string, show bool, hint string) {
	name := shown(v.name)
	if name == "" {
		name = "the file"
	}
	if v.IsNull() {
		if h := v.emptyHint(); h != "" {
			hint = h
		}
		v.Report(hint, "%s is empty, it wants %s", name, what)
		return
	}
	if h := v.shapeHint(); h != "" {
		hint = h
	}
	v.Report(hint, "%s wants %s, not %s", name, what, v.found(show))
}

// emptyHint knows how a value gets lost that looks as if it were there.
func (v Value) emptyHint() string {
	if glued(v.name) {
		return hintGlued
	}
	rest := []rune(lineOf(v.doc.data, v.at.Line))
	rest = rest[min(v.at.Column-1, len(rest)):]
	if after := strings.TrimLeft(string(rest), " "); len(after) > 1 && after[0] == '#' && after[1] != '#' && after[1] != ' ' {
		return "what follows # is a comment: put a value that begins with # into quotes"
	}
	if v.node.Anchor != "" {
		return "&… is an anchor: put a value that begins with & into quotes"
	}
	return ""
}

// shapeHint knows what makes text look like something else to YAML.
func (v Value) shapeHint() string {
	n := v.node
	switch {
	case v.IsMap() && n.Style&yaml.FlowStyle != 0 && len(n.Content) > 0 && n.Content[0].Kind == yaml.MappingNode:
		return "put a text with {{ }} into quotes"
	case n.Kind == yaml.ScalarNode && n.Style == 0 && glued(n.Value):
		return hintGlued
	}
	return ""
}

const hintGlued = "put a space after the colon"

// glued is true for what was meant as a key and a value: url:https://...
func glued(s string) bool {
	key, rest, ok := strings.Cut(s, ":")
	return ok && rest != "" && rest[0] != ' ' && !strings.ContainsAny(key, " /")
}

// shown is a key for an error, in quotes only if it is long, or has more in it
// than print.
func shown(key string) string {
	if q := quoted(key); q != `"`+key+`"` {
		return q
	}
	return key
}

// quoted is a key for an error. What follows a colon in it was meant as the
// value, and may be secret.
func quoted(key string) string {
	if glued(key) {
		key, _, _ = strings.Cut(key, ":")
		key += ":…"
	}
	return Quote(key)
}

// found names what the value is, for "wants x, not y". The text itself is shown
// only on request: it may be a secret.
func (v Value) found(show bool) string {
	switch {
	case v.IsMap():
		return "a map"
	case v.IsList():
		return "a list"
	case show:
		return Quote(v.node.Value)
	}
	return "text"
}

// Quote shows what the user wrote, cut where it is long.
func Quote(s string) string {
	if r := []rune(s); len(r) > 40 {
		s = string(r[:40]) + "…"
	}
	return fmt.Sprintf("%q", s)
}
