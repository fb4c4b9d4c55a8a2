package journal

import (
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
	for _, f := range r.grouped(room[:0]) {
		b = append(b, ',')
		b = appendJSONName(b, f.name)
		b = append(b, ':')
		if len(f.more) == 0 {
			b = AppendJSONValue(b, f.value)
			continue
		}
		b = append(b, '[')
		b = AppendJSONValue(b, f.value)
		for _, v := range f.more {
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

type group struct {
	name, value []byte
	more        [][]byte
}

// grouped puts the values of a repeated field together, in the order of first
// appearance, behind groups. Entries have some twenty fields: a scan beats a map.
func (r Record) grouped(groups []group) []group {
	var seen uint64 // bits of the names so far: most names need not be looked for
next:
	for name, value := range r.Fields() {
		bit := uint64(1) << (nameHash(name) % 64)
		if seen&bit != 0 {
			for i := range groups {
				if string(groups[i].name) == string(name) {
					groups[i].more = append(groups[i].more, value)
					continue next
				}
			}
		}
		seen |= bit
		groups = append(groups, group{name: name, value: value})
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

// plain tells whether value is its own JSON string, as almost all are.
func plain(value []byte) bool {
	for _, c := range value {
		if !plainBytes[c] {
			return false
		}
	}
	return true
}

// plainBytes are the printable ones of ASCII, less those that JSON escapes.
var plainBytes = func() (plain [256]bool) {
	for c := byte(' '); c < 0x7f; c++ {
		plain[c] = c != '"' && c != '\\'
	}
	return plain
}()

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
