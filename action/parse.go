package action

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"strconv"
	"strings"

	"github.com/go-logfmt/logfmt"
)

// A Parser takes a message apart for templates: it is a `parse:`. It may be used by
// several goroutines at once.
type Parser struct {
	name  string // of the Data that it fills: JSON, Logfmt or Captures
	parse func(d *Data) error
	names []string
	marks []string // that a text has before each value, or for other reasons
}

// ParseJSON makes .JSON of a text that is one JSON value, with 262,144 within it at
// most, 10,000 deep. Of an object's key that is there twice the last one counts, and
// bytes that are no UTF-8 become U+FFFD.
func ParseJSON() *Parser {
	return &Parser{name: "JSON", marks: []string{",", "[", "{"}, parse: func(d *Data) (err error) {
		d.JSON, err = parseJSON(d.Text)
		return err
	}}
}

// ParseLogfmt makes .Logfmt of a text of key=value, with quotes around a value that
// needs them, and keys alone, of which at least one has a value. Of a key that is
// there twice the last one counts.
func ParseLogfmt() *Parser {
	return &Parser{name: "Logfmt", marks: []string{" ", "\n"}, parse: func(d *Data) (err error) {
		d.Logfmt, err = parseLogfmt(d.Text)
		return err
	}}
}

// ParseRegex adds what the named groups of re match in the text to .Captures. Where
// the rule has a capture of the same name, one that has matched something goes before.
func ParseRegex(re *regexp.Regexp) *Parser {
	p := &Parser{name: "Captures", parse: func(d *Data) error { return captureRegex(re, d) }}
	for _, name := range re.SubexpNames() {
		if name != "" {
			p.names = append(p.names, name)
		}
	}
	return p
}

// Fills tells whether the parser is what fills Data's field of that name. A nil
// Parser fills nothing.
func (p *Parser) Fills(name string) bool { return p != nil && p.name == name }

// Captures are the names that the parser adds to .Captures.
func (p *Parser) Captures() []string {
	if p == nil {
		return nil
	}
	return p.names
}

// Parse fills in what the parser finds in d.Text. Its error is that the text is
// something else, and says where; it is final, as the text will not change. A nil
// Parser does nothing.
func (p *Parser) Parse(d *Data) error {
	if p == nil {
		return nil
	}
	return Permanent(p.parse(d))
}

// Values is how many values the text has, or somewhat more: it is not parsed for that.
// One takes up to 180 bytes of memory.
func (p *Parser) Values(text string) int {
	if p == nil {
		return 0
	}
	n := 1
	for _, mark := range p.marks {
		n += strings.Count(text, mark)
	}
	return n
}

// Object and List are what JSON's are in a template. Printed they are JSON again.
type (
	Object map[string]any
	List   []any
)

func (o Object) String() string { return printJSON(o) }
func (l List) String() string   { return printJSON(l) }

// null is JSON's: like an empty text in a template, but JSON keeps it.
type null string

func (null) MarshalJSON() ([]byte, error) { return []byte("null"), nil }

// printJSON is for people, and leaves < as it is.
func printJSON(v any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err.Error() // of what was JSON itself, there is none
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// maxValues bounds what one message makes of memory: [{},{},...] takes 50 times its
// length, and any user can log it.
const maxValues = 1 << 18

// tooMany tells whether the text has more values than that.
func tooMany(text string) bool {
	if len(text) < maxValues {
		return false
	}
	count, quoted := 1, false
	for i := 0; i < len(text) && count <= maxValues; i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case !quoted && (c == ',' || c == '[' || c == '{'):
			count++
		}
	}
	return count > maxValues
}

func parseJSON(text string) (any, error) {
	if tooMany(text) {
		return nil, fmt.Errorf("parse json: more than %d values", maxValues)
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil || strings.TrimLeft(text[d.InputOffset():], " \t\r\n") != "" {
		return nil, jsonError(text, err)
	}
	return convert(v), nil
}

// jsonError finds the place, which a Decoder does not tell of everything: of what
// follows the value, of a text that ends too early.
func jsonError(text string, err error) error {
	if e := json.Unmarshal([]byte(text), new(json.RawMessage)); e != nil {
		err = e
	}
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("parse json: %w at byte %d", err, e.Offset)
	}
	return fmt.Errorf("parse json: %w", err)
}

// convert gives what the decoder has made the types that templates can do with, in
// place. Numbers stay exact: an int64, or the digits as they were written.
func convert(v any) any {
	switch v := v.(type) {
	case nil:
		return null("")
	case json.Number:
		if n, err := strconv.ParseInt(string(v), 10, 64); err == nil && v != "-0" {
			return n
		}
	case map[string]any:
		for key, value := range v {
			v[key] = convert(value)
		}
		return Object(v)
	case []any:
		for i, value := range v {
			v[i] = convert(value)
		}
		return List(v)
	}
	return v
}

func parseLogfmt(text string) (map[string]string, error) {
	d := logfmt.NewDecoderSize(strings.NewReader(text), len(text)+2) // room to see the end of the line
	pairs, values := make(map[string]string), false
	for d.ScanRecord() {
		for d.ScanKeyval() {
			if len(pairs) == maxValues {
				return nil, fmt.Errorf("parse logfmt: more than %d keys", maxValues)
			}
			pairs[string(d.Key())] = string(d.Value())
			values = values || d.Value() != nil
		}
	}
	if err := d.Err(); err != nil {
		if e, ok := errors.AsType[*logfmt.SyntaxError](err); ok {
			return nil, fmt.Errorf("parse logfmt: %s at byte %d", e.Msg, lineStart(text, e.Line)+e.Pos)
		}
		return nil, fmt.Errorf("parse logfmt: %w", err)
	}
	if !values {
		return nil, errors.New("parse logfmt: there is no key=value in it")
	}
	return pairs, nil
}

// lineStart is how many bytes are before the line, which counts from 1.
func lineStart(text string, line int) int {
	start := 0
	for range line - 1 {
		start += strings.IndexByte(text[start:], '\n') + 1
	}
	return start
}

func captureRegex(re *regexp.Regexp, d *Data) error {
	found := re.FindStringSubmatch(d.Text)
	if found == nil {
		return errors.New("parse regex: it does not match")
	}
	// The map is also the delivery's, which keeps its own captures.
	all := maps.Clone(d.Captures)
	if all == nil {
		all = make(map[string]string)
	}
	for i, name := range re.SubexpNames() {
		if name != "" && found[i] != "" {
			all[name] = found[i]
		}
	}
	d.Captures = all
	return nil
}
