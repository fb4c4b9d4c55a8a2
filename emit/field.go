package emit

import (
	"encoding/binary"
	"strconv"
	"strings"
	"time"
)

// A Priority is how important an entry is, by syslog(3).
type Priority int

// The priorities.
const (
	Emerg Priority = iota
	Alert
	Crit
	Err
	Warning
	Notice
	Info
	Debug
)

// A Field is one field of an entry. Names have capital letters, digits and underscores,
// begin with a letter and are at most 64 bytes long (systemd.journal-fields(7)): others
// are made so, as order-id is to ORDER_ID; a field of which nothing is left then is left
// out, and counted in Stats. The same name may occur several times.
type Field struct {
	name  string
	text  string
	bytes []byte
	int   int64
	kind  kind
}

type kind uint8

const (
	isText kind = iota
	isBytes
	isInt
	isFloat
)

// String is a field with a text.
func String(name, value string) Field { return Field{name: name, text: value} }

// Bytes is a field with any bytes, which are kept true. They are copied by Send.
func Bytes(name string, value []byte) Field { return Field{name: name, bytes: value, kind: isBytes} }

// Int is a field with a number.
func Int(name string, value int64) Field { return Field{name: name, int: value, kind: isInt} }

// Duration is a field with a time in seconds, as 0.250.
func Duration(name string, value time.Duration) Field {
	return Field{name: name, int: int64(value), kind: isFloat}
}

// size is how many bytes append may add, and not many more: slots that are larger than
// their entries make the queue slower.
func (f *Field) size() int {
	switch f.kind {
	case isInt, isFloat:
		return len(f.name) + 26 // of a number, and = and a line break
	case isBytes:
		return len(f.name) + len(f.bytes) + 10 // two line breaks and the length
	}
	return len(f.name) + len(f.text) + 10
}

// append adds the field in journald's native form. It is false where the name is none.
// https://systemd.io/JOURNAL_NATIVE_PROTOCOL/
func (f *Field) append(b []byte) ([]byte, bool) {
	start := len(b)
	b = appendName(b, f.name)
	if len(b) == start {
		return b, false
	}
	switch f.kind {
	case isInt:
		b = append(b, '=')
		b = strconv.AppendInt(b, f.int, 10)
	case isFloat:
		b = append(b, '=')
		b = strconv.AppendFloat(b, time.Duration(f.int).Seconds(), 'f', -1, 64)
	case isBytes:
		// A text without a line break is the shorter form; bytes may have one anywhere.
		b = appendLong(b, f.bytes)
	default:
		if strings.IndexByte(f.text, '\n') >= 0 {
			b = appendLong(b, f.text)
		} else {
			b = append(b, '=')
			b = append(b, f.text...)
		}
	}
	return append(b, '\n'), true
}

func appendLong[T string | []byte](b []byte, value T) []byte {
	b = append(b, '\n')
	b = binary.LittleEndian.AppendUint64(b, uint64(len(value)))
	return append(b, value...)
}

// longestName is the limit of journald (journal_field_valid in systemd's journal-util.c).
const longestName = 64

func appendName(b []byte, name string) []byte {
	if validName(name) {
		return append(b, name...)
	}
	start := len(b)
	for i := 0; i < len(name) && len(b)-start < longestName; i++ {
		c := name[i]
		switch {
		case c >= 'a' && c <= 'z':
			c -= 'a' - 'A'
		case c >= 'A' && c <= 'Z':
		case len(b) == start: // it begins with a letter: _FIELDS are journald's own
			continue
		case c >= '0' && c <= '9':
		default:
			c = '_'
		}
		b = append(b, c)
	}
	return b
}

func validName(name string) bool {
	if name == "" || len(name) > longestName || name[0] < 'A' || name[0] > 'Z' {
		return false
	}
	for i := 1; i < len(name); i++ {
		if c := name[i]; (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return true
}
