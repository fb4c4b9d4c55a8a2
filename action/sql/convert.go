package sql

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/journald-router/journald-router/action"
)

// A Type is what the text of a column is converted to.
type Type string

const (
	Text      Type = "text"
	Integer   Type = "integer"
	Real      Type = "real"
	Numeric   Type = "numeric"
	Boolean   Type = "boolean"
	Timestamp Type = "timestamp"
	JSON      Type = "json"
	Bytes     Type = "bytes"
)

var types = []Type{Text, Integer, Real, Numeric, Boolean, Timestamp, JSON, Bytes}

// convert makes a value for the database of a text: nil of an empty one, unless it
// is to be Text or Bytes.
func (t Type) convert(text string) (any, error) {
	switch t {
	case Text:
		return cleanText(text), nil
	case Bytes:
		return []byte(text), nil
	}
	text = strings.TrimSpace(text)
	if text == "" {
		return nil, nil
	}
	value, ok := t.parse(text)
	if !ok {
		return nil, fmt.Errorf("%q is not of type %s%s", action.OneLine(text, 60), t, wants[t])
	}
	return value, nil
}

// wants explains what a type takes where that is not plain.
var wants = map[Type]string{
	Integer:   ", a whole number of at most 64 bits",
	Boolean:   ": true, false, yes, no, on, off, 1, 0",
	Timestamp: ": 2026-01-31T08:00:00Z, 2026-01-31 08:00:00 or seconds since 1970",
}

func (t Type) parse(text string) (value any, ok bool) {
	switch t {
	case Integer:
		return parseInteger(text)
	case Real:
		f, err := strconv.ParseFloat(text, 64)
		return f, err == nil && !math.IsInf(f, 0) && !math.IsNaN(f)
	case Numeric:
		return text, decimal.MatchString(text)
	case Boolean:
		switch strings.ToLower(text) {
		case "true", "t", "yes", "y", "on", "1":
			return true, true
		case "false", "f", "no", "n", "off", "0":
			return false, true
		}
		return nil, false
	case Timestamp:
		at, ok := parseTime(text)
		if !ok {
			return nil, false
		}
		return timestampText(at)
	case JSON:
		text = strings.ToValidUTF8(text, "\ufffd")
		return withoutEscapedNUL(text), json.Valid([]byte(text))
	}
	return nil, false
}

// decimal is a number as SQL writes it: PostgreSQL's NaN and Infinity, which SQLite
// does not know, are left out.
var decimal = regexp.MustCompile(`^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,5})?$`)

// parseInteger also takes 42.0 and 1e6, which is how some programs write whole
// numbers in JSON, as far as they are exact.
func parseInteger(text string) (any, bool) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n, true
	}
	f, err := strconv.ParseFloat(text, 64)
	const exact = 1 << 53
	if err != nil || !decimal.MatchString(text) || f != math.Trunc(f) || math.Abs(f) > exact {
		return nil, false
	}
	return int64(f), true
}

// layouts are how times are written with a zone, and without one: RFC 3339, which
// JSON and many logs have, its form with a space, and what Go makes of a time in a
// template.
var layouts = []string{
	"2006-01-02T15:04:05Z07:00", "2006-01-02 15:04:05Z07:00", "2006-01-02T15:04:05Z0700", "2006-01-02 15:04:05Z0700",
	"2006-01-02 15:04:05 -0700 MST", "2006-01-02 15:04:05 -0700",
	"2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02T15:04", "2006-01-02 15:04", "2006-01-02",
}

// parseTime reads a time. One without a zone is local, as in journalctl. A number is
// a time since 1970, by its size in seconds, milli-, micro- or nanoseconds: what is
// small enough for seconds ends in the year 5138, and the others begin in 1973.
func parseTime(text string) (time.Time, bool) {
	for _, layout := range layouts {
		// Fractions of a second are taken without a word of the layout's.
		if t, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			return t, true
		}
	}
	whole, fraction, _ := strings.Cut(text, ".")
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil {
		return time.Time{}, false
	}
	switch {
	case n < 0:
		return time.Time{}, false
	case n < 1e11:
		nanos, err := strconv.ParseUint((fraction + "000000000")[:9], 10, 64)
		return time.Unix(n, int64(nanos)), err == nil
	case fraction != "" && strings.Trim(fraction, "0123456789") != "":
		return time.Time{}, false
	case n < 1e14:
		return time.UnixMilli(n), true
	case n < 1e17:
		return time.UnixMicro(n), true
	}
	return time.Unix(0, n), true
}

// timestampText is how both databases take a time: in UTC, to the microsecond, and
// always of the same length, so that SQLite's texts sort by time. It is false for
// years that are not of four digits.
func timestampText(t time.Time) (any, bool) {
	t = t.UTC()
	if t.Year() < 1 || t.Year() > 9999 {
		return nil, false
	}
	return t.Format("2006-01-02T15:04:05.000000Z"), true
}

// cleanText is s as PostgreSQL takes it: valid UTF-8, and the NUL character, which
// it refuses, shown as the symbol for it, ␀. SQLite would keep a NUL, but its tools
// and functions see the text end there.
func cleanText(s string) string {
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\ufffd")
	}
	return strings.ReplaceAll(s, "\x00", "\u2400")
}

// withoutEscapedNUL is valid JSON with the symbol for NUL in the place of \u0000,
// which jsonb refuses.
func withoutEscapedNUL(text string) string {
	if !strings.Contains(text, `\u0000`) {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] != '\\':
			b.WriteByte(text[i])
		case strings.HasPrefix(text[i:], `\u0000`):
			b.WriteString(`\u2400`)
			i += len(`\u0000`) - 1
		default: // the next byte is escaped: of \\u0000 it is the second backslash
			b.WriteString(text[i:min(i+2, len(text))])
			i++
		}
	}
	return b.String()
}
