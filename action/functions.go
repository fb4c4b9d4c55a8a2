package action

import (
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"text/template"
	"time"
	"unicode/utf8"
)

// functions are what templates may call beside Go's own (and, len, printf, ...): few,
// each of use in one line of text, the key of an object or the column of a table.
// They take any value as the text that a template would print. docs/CONFIGURATION.md
// has them all, with an example each.
var functions = func() template.FuncMap {
	all := template.FuncMap{
		// json writes any value as JSON: in a webhook's body, {{ json .Text }} is a
		// quoted string whatever it holds.
		"json": func(v any) (string, error) {
			b, err := json.Marshal(v)
			return string(b), err
		},
		// default is its first argument where the second is empty:
		// {{ .Unit | default "no unit" }}. The number 0 and false are not empty.
		"default": func(fallback, v any) any {
			if toText(v) == "" {
				return fallback
			}
			return v
		},
		"truncate": truncate,
		"upper":    func(v any) string { return strings.ToUpper(toText(v)) },
		"lower":    func(v any) string { return strings.ToLower(toText(v)) },
		"trim":     func(v any) string { return strings.TrimSpace(toText(v)) },
		"replace":  func(from, to string, v any) string { return strings.ReplaceAll(toText(v), from, to) },
		"split":    split,
		"join":     join,
		// date is the time in UTC, in a layout of Go's.
		"date":  func(layout string, t time.Time) string { return t.UTC().Format(layout) },
		"float": float,
		"index": index,
		// What ParseTemplate puts into templates, see access.go.
		"_get":  get,
		"_each": each,
	}
	maps.Copy(all, comparisons)
	return all
}()

// truncate keeps the first n characters, and shows by … that there were more.
func truncate(n int, v any) string {
	s := toText(v)
	if n < 0 || utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n]) + "…"
}

// split makes a list: {{ index (split "." .Host) 0 }}.
func split(separator string, v any) List {
	var list List
	for part := range strings.SplitSeq(toText(v), separator) {
		list = append(list, part)
	}
	return list
}

// join makes a text of a list: {{ join ", " .JSON.tags }}. Anything else is a list
// of one.
func join(separator string, v any) string {
	list, ok := v.(List)
	if !ok {
		return toText(v)
	}
	parts := make([]string, len(list))
	for i, one := range list {
		parts[i] = toText(one)
	}
	return strings.Join(parts, separator)
}

// float makes a number for printf "%.2f" of a text, or of a number that is exact.
func float(v any) (float64, error) {
	s := toText(v)
	if _, ok := parseDecimal(s); !ok {
		return 0, fmt.Errorf("%q is no number", OneLine(s, 40))
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return 0, fmt.Errorf("%s is too large a number", OneLine(s, 40))
	}
	return f, nil
}
