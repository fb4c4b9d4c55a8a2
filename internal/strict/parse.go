package strict

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// Parse reads one file, which is known to the user as name. It is false where
// that is no YAML, which has been reported then. A file without content gives a
// value that IsNull.
func (c *Collector) Parse(name string, data []byte) (Value, bool) {
	c.files = append(c.files, name)
	doc := &document{file: name, data: data, collector: c}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var root, second yaml.Node
	err := dec.Decode(&root)
	if err == nil {
		err = dec.Decode(&second)
		if err == nil {
			c.Add(doc.pos(&second), `put it into a file of its own, or take the line "---" out`,
				"a second document begins here: a file holds one")
			return Value{}, false
		}
	}
	if !errors.Is(err, io.EOF) {
		c.addSyntax(name, data, err)
		return Value{}, false
	}
	if root.Kind == 0 {
		root = yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Line: 1, Column: 1}
	} else {
		root = *root.Content[0]
	}
	return doc.value(&root, ""), true
}

var yamlError = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)$`)

// addSyntax reports what yaml.v3 refused. Its lines are those of the start of
// the construct, often one too small, or missing (go-yaml issue #108 and kin),
// and it has no columns. The place is found by another way: what precedes the
// error is valid by itself, and nothing that includes it is.
func (c *Collector) addSyntax(name string, data []byte, err error) {
	line, what := 0, err.Error()
	if m := yamlError.FindStringSubmatch(what); m != nil {
		line, _ = strconv.Atoi(m[1])
		what = m[2]
	}
	if strings.HasPrefix(what, "unknown anchor") {
		// The name that follows may be half of a password.
		what = "an alias is used (*) whose anchor (&) is not there"
		if i := firstUnknownAlias(data, err); i >= 0 {
			c.Add(at(name, data, i), "put a value that begins with * into quotes", "%s", what)
			return
		}
	}
	if i := firstNonText(data); i >= 0 {
		c.Add(at(name, data, i), "the file is UTF-8 text; in double quotes, \\x01 stands for such a byte", "not valid YAML: a byte that is no text")
		return
	}
	pos := at(name, data, longestValidPrefix(data))
	if line > pos.Line {
		pos.Line, pos.Column = line, 1+indentation(lineOf(data, line))
	}
	c.Add(pos, syntaxHint(what, lineOf(data, pos.Line), pos.Column), "not valid YAML: %s", what)
}

// longestValidPrefix returns the length of the longest part of data, from its
// start, that is valid YAML: in whole lines, and then in the characters of the
// next line. It is content with less where that takes long: in files of many
// thousand lines, or with a line of many thousand characters.
func longestValidPrefix(data []byte) int {
	const enough = time.Second
	began := time.Now()
	valid := func(n int) bool {
		var node yaml.Node
		err := yaml.Unmarshal(data[:n], &node)
		return err == nil || strings.Contains(err.Error(), "unknown anchor")
	}
	for end := len(data); end > 0; {
		start := bytes.LastIndexByte(data[:end-1], '\n') + 1
		if start > 0 && !valid(start) && time.Since(began) < enough {
			end = start
			continue
		}
		for i := end - 1; i > start && time.Since(began) < enough; i-- {
			if utf8.RuneStart(data[i]) && valid(i) {
				return i
			}
		}
		return start
	}
	return 0
}

var alias = regexp.MustCompile(`(?:^|[\s,\[{])\*([^\s,\[\]{}]+)`)

// firstUnknownAlias finds the alias that err, of yaml.v3, is about.
func firstUnknownAlias(data []byte, err error) int {
	for _, m := range alias.FindAllSubmatchIndex(data, -1) {
		if strings.Contains(err.Error(), "'"+string(data[m[2]:m[3]])+"'") {
			return m[2] - 1
		}
	}
	return -1
}

// firstNonText finds the first byte that YAML allows nowhere, or -1. Files in
// UTF-16 are YAML too: they are left to the parser.
func firstNonText(data []byte) int {
	if bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff")) {
		return -1
	}
	for i := 0; i < len(data); {
		r, n := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && n == 1 || r < ' ' && r != '\t' && r != '\n' && r != '\r' || r >= 0x7f && r <= 0x9f && r != 0x85 {
			return i
		}
		i += n
	}
	return -1
}

// at turns an offset into a position. Columns count characters.
func at(name string, data []byte, offset int) Pos {
	before := data[:offset]
	start := bytes.LastIndexByte(before, '\n') + 1
	return Pos{name, 1 + bytes.Count(before, []byte("\n")), 1 + utf8.RuneCount(before[start:])}
}

func lineOf(data []byte, line int) string {
	for n, s := range strings.Split(string(data), "\n") {
		if n+1 == line {
			return strings.TrimSuffix(s, "\r")
		}
	}
	return ""
}

func indentation(line string) int { return len(line) - len(strings.TrimLeft(line, " ")) }

// syntaxHint says what the usual cause of a syntax error is.
func syntaxHint(what, line string, column int) string {
	trimmed := strings.TrimLeft(line, " ")
	switch {
	case strings.HasPrefix(trimmed, "\t"):
		return "indent with spaces: YAML takes no tabs there"
	case strings.Contains(line, "{{"):
		return "put a text with {{ }} into quotes"
	case strings.Contains(what, "cannot start any token"):
		runes := []rune(line)
		if i := column - 1; i < len(runes) {
			return "put a value that begins with " + string(runes[i]) + " into quotes"
		}
	case strings.Contains(what, "escape character"):
		return `in double quotes \ begins an escape: use single quotes, as in '\d+'`
	case strings.Contains(what, "mapping values"):
		if strings.Contains(trimmed, ": ") {
			return `put a value that has ": " in it into quotes; else check the indentation`
		}
		return "check the indentation: it is deeper than that of the line before"
	case strings.Contains(what, "could not find expected ':'"):
		return "a key has a colon and a space after it"
	case strings.Contains(what, "end of stream"), strings.Contains(what, "document indicator"):
		return "a quote is not closed"
	case strings.Contains(what, "',' or ']'"):
		return "close the list with ], and put values with a comma or a bracket in them into quotes"
	case strings.Contains(what, "',' or '}'"):
		return "close the map with }, and put values with a comma or a brace in them into quotes"
	case strings.Contains(what, "did not find expected"):
		return "check the indentation: what belongs together begins in the same column; quotes enclose the whole of a value"
	case strings.Contains(what, "block sequence"):
		return "begin the list on a line of its own, or write it as [a, b]"
	}
	return ""
}
