package spool

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/journald-router/journald-router/journal"
)

// A Delivery is one entry on its way to one action, by one rule.
type Delivery struct {
	// ID is DeliveryID of the entry's cursor, the rule and the action.
	ID           string
	Action, Rule string
	// Value and Strip tell the text that the rule saw: the entry's MESSAGE with
	// that number, from that byte on.
	Value, Strip int
	// Captures are the named groups of the rule's regexes.
	Captures map[string]string
	Record   journal.Record
	// QueuedAt is when the delivery was appended.
	QueuedAt time.Time
	// Attempts is how often it was tried in vain.
	Attempts int

	at place
}

// Text is the part of MESSAGE that the rule left: MESSAGE less the prefix. It is
// empty for an entry without a MESSAGE.
func (d *Delivery) Text() string {
	value, _ := d.Record.GetNth(journal.FieldMessage, d.Value)
	return string(value[min(d.Strip, len(value)):])
}

// DeliveryID names a delivery for ever: 32 hexadecimal digits, a hash of the
// entry's cursor, the rule's and the action's name. A delivery that is repeated
// after a crash, or retried as a dead letter, has the same id.
func DeliveryID(cursor, rule, action string) string {
	b := make([]byte, 0, 256)
	for _, part := range [...]string{cursor, rule, action} {
		b = binary.AppendUvarint(b, uint64(len(part)))
		b = append(b, part...)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:16])
}

// place is where in a queue a delivery stands: a block, and the item's number
// among the queue's items in that block.
type place struct {
	Block uint64 `json:"block"`
	Item  int    `json:"item"`
}

// A block is what one Append stored, decoded.
type block struct {
	number   uint64
	queuedAt time.Time
	records  []journal.Record
	items    map[string][]item // by action; only of the queues that asked for it
	size     int               // in bytes of its records
}

// An item is one delivery within a block.
type item struct {
	record       int
	rule         string
	value, strip int
	captures     map[string]string
}

var errTruncated = errors.New("it ends too early")

func blockKey(number uint64) []byte { return binary.BigEndian.AppendUint64(nil, number) }

func blockNumber(key []byte) (uint64, error) {
	if len(key) != 8 {
		return 0, fmt.Errorf("key %x is no block's number", key)
	}
	return binary.BigEndian.Uint64(key), nil
}

func recordsSize(records []journal.Record) int {
	size := 8
	for _, r := range records {
		size += 4 + len(r.Packed())
	}
	return size
}

// A block's records are the time of the append (microseconds, 8 bytes), and for
// each record 4 bytes of length and its packed bytes.
func appendRecords(b []byte, queuedAt time.Time, records []journal.Record) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(queuedAt.UnixMicro()))
	for _, r := range records {
		b = binary.BigEndian.AppendUint32(b, uint32(len(r.Packed())))
		b = append(b, r.Packed()...)
	}
	return b
}

// decodeRecords keeps b.
func decodeRecords(number uint64, b []byte) (*block, error) {
	if len(b) < 8 {
		return nil, errTruncated
	}
	bl := &block{
		number:   number,
		queuedAt: time.UnixMicro(int64(binary.BigEndian.Uint64(b))),
		items:    make(map[string][]item),
		size:     len(b),
	}
	for b = b[8:]; len(b) > 0; {
		if len(b) < 4 {
			return nil, errTruncated
		}
		n := int(binary.BigEndian.Uint32(b))
		if n > len(b)-4 {
			return nil, errTruncated
		}
		r, err := journal.Unpack(b[4 : 4+n : 4+n])
		if err != nil {
			return nil, err
		}
		bl.records = append(bl.records, r)
		b = b[4+n:]
	}
	return bl, nil
}

// The items of one queue in one block: how many, and for each the record's
// number, the rule, the text's value and strip, and the captures, as varints and
// strings with their lengths before them.
func encodeItems(items []item) []byte {
	b := binary.AppendUvarint(nil, uint64(len(items)))
	for _, it := range items {
		b = binary.AppendUvarint(b, uint64(it.record))
		b = appendString(b, it.rule)
		b = binary.AppendUvarint(b, uint64(it.value))
		b = binary.AppendUvarint(b, uint64(it.strip))
		b = appendCaptures(b, it.captures)
	}
	return b
}

func countItems(b []byte) (int, error) {
	d := decoder{b: b}
	return d.int(), d.err
}

func decodeItems(b []byte) ([]item, error) {
	d := decoder{b: b}
	n := d.int()
	items := make([]item, 0, min(n, len(b)))
	for range cap(items) {
		items = append(items, item{record: d.int(), rule: d.string(), value: d.int(), strip: d.int(), captures: d.captures()})
	}
	return items, d.err
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendCaptures(b []byte, captures map[string]string) []byte {
	b = binary.AppendUvarint(b, uint64(len(captures)))
	for _, name := range slices.Sorted(maps.Keys(captures)) {
		b = appendString(appendString(b, name), captures[name])
	}
	return b
}

// decoder reads what the append functions wrote; the first error sticks.
type decoder struct {
	b   []byte
	err error
}

func (d *decoder) int() int {
	v, n := binary.Uvarint(d.b)
	if n <= 0 || v > 1<<40 {
		d.b, d.err = nil, errTruncated
		return 0
	}
	d.b = d.b[n:]
	return int(v)
}

func (d *decoder) bytes() []byte {
	n := d.int()
	if n > len(d.b) {
		d.b, d.err = nil, errTruncated
		return nil
	}
	v := d.b[:n:n]
	d.b = d.b[n:]
	return v
}

func (d *decoder) string() string { return string(d.bytes()) }

func (d *decoder) captures() map[string]string {
	n := d.int()
	if n == 0 || n > len(d.b) {
		return nil
	}
	m := make(map[string]string, n)
	for range n {
		name := d.string()
		m[name] = d.string()
	}
	return m
}
