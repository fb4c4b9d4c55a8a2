package journal

import (
	"encoding/binary"
	"encoding/json"
	"strconv"
	"time"
	"unicode/utf8"
)

// AppendJSON appends the record as one JSON object on one line, in the form of
// `journalctl --output=json --all`: values are strings; a value that is not
// printable UTF-8 is an array of its bytes as numbers; a repeated field is an
// array of its values; __CURSOR, __REALTIME_TIMESTAMP and __MONOTONIC_TIMESTAMP
// (microseconds, as strings) come first.
func (r Record) AppendJSON(b []byte) []byte {
	b = append(b, `{"__CURSOR":`...)
	b = AppendJSONValue(b, []byte(r.Cursor()))
	b = append(b, `,"__REALTIME_TIMESTAMP":"`...)
	var micros int64
	if t := r.Time(); !t.IsZero() {
		micros = t.UnixMicro()
	}
	b = strconv.AppendInt(b, micros, 10)
	b = append(b, `","__MONOTONIC_TIMESTAMP":"`...)
	b = strconv.AppendInt(b, int64(r.Monotonic()/time.Microsecond), 10)
	b = append(b, '"')
	var room [32]group
	groups := r.grouped(room[:0])
	for i := range groups {
		g := &groups[i]
		name, value := g.field[:g.name], g.field[min(g.name+1, len(g.field)):]
		if g.more == nil && plain(g.field) { // the name and the value in one go
			b = append(b, ',', '"')
			b = append(b, name...)
			b = append(b, '"', ':', '"')
			b = append(b, value...)
			b = append(b, '"')
			continue
		}
		b = append(b, ',')
		b = appendJSONName(b, name)
		b = append(b, ':')
		if g.more == nil {
			b = AppendJSONValue(b, value)
			continue
		}
		b = append(b, '[')
		b = AppendJSONValue(b, value)
		for _, v := range g.more {
			b = append(b, ',')
			b = AppendJSONValue(b, v)
		}
		b = append(b, ']')
	}
	return append(b, '}')
}

// MarshalJSON implements json.Marshaler with AppendJSON.
func (r Record) MarshalJSON() ([]byte, error) { return r.AppendJSON(nil), nil }

var _ json.Marshaler = Record{}

// group is a field with all its values.
type group struct {
	field []byte   // NAME=value, the first one
	name  int      // length of the name
	more  [][]byte // other values
}

// grouped puts the values of a repeated field together, in the order of first
// appearance, behind groups. Entries have some twenty fields: a scan beats a map.
func (r Record) grouped(groups []group) []group {
	var seen uint64 // bits of the names so far: most names need not be looked for
	var field []byte
next:
	for rest := r.packedFields(); len(rest) > 0; {
		field, rest = chunk(rest)
		name, value, _ := cut(field)
		bit := uint64(1) << (nameHash(name) % 64)
		if seen&bit != 0 {
			for i := range groups {
				if g := &groups[i]; string(g.field[:g.name]) == string(name) {
					g.more = append(g.more, value)
					continue next
				}
			}
		}
		seen |= bit
		groups = append(groups, group{field: field, name: len(name)})
	}
	return groups
}

// nameHash differs for most of the names that occur in one entry.
func nameHash(name []byte) int {
	if len(name) == 0 {
		return 0
	}
	return 5*len(name) + int(name[len(name)-1]) + 3*int(name[len(name)/2])
}

// appendJSONName appends a field's name. journald takes only A-Z, 0-9 and _; a
// damaged file may hold anything, of which an array would be no legal key.
func appendJSONName(b, name []byte) []byte {
	if plain(name) || printable(name) {
		return AppendJSONValue(b, name)
	}
	quoted, _ := json.Marshal(string(name)) // a string cannot fail
	return append(b, quoted...)
}

// AppendJSONValue appends one field value as journalctl would: a string when
// it is printable UTF-8, else an array of numbers.
func AppendJSONValue(b, value []byte) []byte {
	if plain(value) {
		b = append(b, '"')
		b = append(b, value...)
		return append(b, '"')
	}
	if !printable(value) {
		b = append(b, '[')
		for i, c := range value {
			if i > 0 {
				b = append(b, ',')
			}
			b = strconv.AppendUint(b, uint64(c), 10)
		}
		return append(b, ']')
	}
	b = append(b, '"')
	for _, c := range value {
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\t':
			b = append(b, '\\', 't')
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}

// plain tells whether value is its own JSON string, as almost all are: printable
// ASCII, less what JSON escapes. It looks at eight bytes at a time, the last of
// them perhaps twice.
func plain(value []byte) bool {
	if len(value) < 8 {
		for _, c := range value {
			if c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
				return false
			}
		}
		return true
	}
	for last := len(value) - 8; ; {
		if !plainWord(binary.LittleEndian.Uint64(value)) {
			return false
		}
		if last == 0 {
			return true
		}
		step := min(8, last)
		value, last = value[step:], last-step
	}
}

// plainWord is plain for eight bytes: each term has the high bit of a byte set that
// is not, and perhaps of others if there is one.
func plainWord(w uint64) bool {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	quote, backslash := w^ones*'"', w^ones*'\\'
	return (w|(w+ones)|(w-ones*' ')|(quote-ones)|(backslash-ones))&high == 0
}

// printable is systemd's utf8_is_printable (src/basic/utf8.c): valid UTF-8, no
// control characters of the C0 and C1 ranges but tab and newline, and none of
// Unicode's noncharacters.
func printable(value []byte) bool {
	for i := 0; i < len(value); {
		c := value[i]
		if c < utf8.RuneSelf {
			if c < ' ' && c != '\t' && c != '\n' || c == 0x7f {
				return false
			}
			i++
			continue
		}
		r, n := utf8.DecodeRune(value[i:])
		switch {
		case r == utf8.RuneError && n == 1,
			r >= 0x80 && r <= 0x9f,
			r >= 0xfdd0 && r <= 0xfdef, r&0xfffe == 0xfffe:
			return false
		}
		i += n
	}
	return true
}
