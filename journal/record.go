package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"
)

// A Field is one name and one value of an entry.
type Field struct {
	Name  string
	Value []byte
}

// A Record is an entry that has been copied out of the journal: every field in
// the journal's order, every value of a repeated one, the bytes as they were.
// It is one packed slice of bytes, so that it costs one allocation to read, and
// none to store. The zero Record is an entry without fields. A Record never
// changes and may be shared between goroutines.
type Record struct {
	// packed is realtime and monotonic time in microseconds (8 bytes each),
	// the cursor (4 bytes of length, then the bytes), and then for each field
	// 4 bytes of length and "NAME=value". Numbers are little-endian.
	packed []byte
}

const timesLen = 16

// ErrMalformed is returned by Unpack for bytes that Packed did not make.
var ErrMalformed = errors.New("malformed record")

// NewRecord makes a record from its parts: the cursor, the wall clock and the
// time since boot, both kept in whole microseconds, and the fields.
func NewRecord(cursor string, realtime time.Time, monotonic time.Duration, fields ...Field) Record {
	b := AppendHeader(nil, cursor, uint64(realtime.UnixMicro()), uint64(monotonic.Microseconds()))
	for _, f := range fields {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(f.Name)+1+len(f.Value)))
		b = append(b, f.Name...)
		b = append(b, '=')
		b = append(b, f.Value...)
	}
	return Record{b}
}

// AppendHeader appends what precedes the fields in a packed record: for readers
// that pack the fields themselves. Times are in microseconds.
func AppendHeader(b []byte, cursor string, realtime, monotonic uint64) []byte {
	b = binary.LittleEndian.AppendUint64(b, realtime)
	b = binary.LittleEndian.AppendUint64(b, monotonic)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(cursor)))
	return append(b, cursor...)
}

// Packed returns the record as bytes for Unpack. They must not be changed.
func (r Record) Packed() []byte { return r.packed }

// Unpack turns the bytes of Packed into a record again, which keeps them. The
// error is ErrMalformed where they are not such bytes.
func Unpack(b []byte) (Record, error) {
	if len(b) < timesLen+4 {
		return Record{}, ErrMalformed
	}
	for rest := b[timesLen:]; len(rest) > 0; {
		if len(rest) < 4 {
			return Record{}, ErrMalformed
		}
		n := binary.LittleEndian.Uint32(rest)
		if uint64(n) > uint64(len(rest)-4) {
			return Record{}, ErrMalformed
		}
		rest = rest[4+n:]
	}
	return Record{b}, nil
}

// chunk cuts the first length-prefixed piece off b.
func chunk(b []byte) (piece, rest []byte) {
	n := binary.LittleEndian.Uint32(b)
	return b[4 : 4+n], b[4+n:]
}

// packedFields is what follows the cursor: 4 bytes of length and NAME=value, for each
// field.
func (r Record) packedFields() []byte {
	if len(r.packed) == 0 {
		return nil
	}
	_, rest := chunk(r.packed[timesLen:])
	return rest
}

// Cursor identifies the entry in its journal (sd_journal_get_cursor(3)).
func (r Record) Cursor() string {
	if len(r.packed) == 0 {
		return ""
	}
	cursor, _ := chunk(r.packed[timesLen:])
	return string(cursor)
}

// Time is when journald received the entry, by the wall clock.
func (r Record) Time() time.Time {
	if len(r.packed) == 0 {
		return time.Time{}
	}
	return time.UnixMicro(int64(binary.LittleEndian.Uint64(r.packed)))
}

// Monotonic is the time from boot to the entry.
func (r Record) Monotonic() time.Duration {
	if len(r.packed) == 0 {
		return 0
	}
	return time.Duration(binary.LittleEndian.Uint64(r.packed[8:])) * time.Microsecond
}

// Fields yields each name and value in the journal's order. The bytes must not
// be changed.
func (r Record) Fields() iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		var f []byte
		for rest := r.packedFields(); len(rest) > 0; {
			f, rest = chunk(rest)
			name, value, _ := cut(f)
			if !yield(name, value) {
				return
			}
		}
	}
}

// cut parts "NAME=value" at the first equals sign: names never hold one.
func cut(f []byte) (name, value []byte, ok bool) {
	if i := bytes.IndexByte(f, '='); i >= 0 {
		return f[:i], f[i+1:], true
	}
	return f, nil, false
}

// Get returns the first value of a field.
func (r Record) Get(field string) (value []byte, ok bool) {
	return r.GetNth(field, 0)
}

// GetNth returns the field's value with that number, counted from 0.
func (r Record) GetNth(field string, n int) (value []byte, ok bool) {
	for value := range r.valuesOf(field) {
		if n == 0 {
			return value, true
		}
		n--
	}
	return nil, false
}

// Values implements Entry.
func (r Record) Values(dst [][]byte, field string) [][]byte {
	for value := range r.valuesOf(field) {
		dst = append(dst, value)
	}
	return dst
}

// valuesOf yields the values of one field. It need not look for where the names of
// the others end.
func (r Record) valuesOf(field string) iter.Seq[[]byte] {
	return func(yield func(value []byte) bool) {
		n := len(field)
		var f []byte
		for rest := r.packedFields(); len(rest) > 0; {
			f, rest = chunk(rest)
			if len(f) > n && f[n] == '=' && string(f[:n]) == field && !yield(f[n+1:]) {
				return
			}
		}
	}
}

// Record implements Entry: it returns r.
func (r Record) Record() (Record, error) { return r, nil }

// String shows the record for people who debug.
func (r Record) String() string {
	var b strings.Builder
	for name, value := range r.Fields() {
		fmt.Fprintf(&b, "%s=%q ", name, value)
	}
	return strings.TrimSuffix(b.String(), " ")
}
