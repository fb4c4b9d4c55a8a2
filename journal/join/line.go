package join

import (
	"bytes"
	"time"

	"github.com/journald-router/journald-router/journal"
)

const (
	fieldLineBreak = "_LINE_BREAK"
	fieldStreamID  = "_STREAM_ID"
	fieldMachineID = "_MACHINE_ID"

	lineMax = "line-max" // of _LINE_BREAK: the line goes on
)

// A part is an entry that may be one of a line.
type part struct {
	record  journal.Record
	orphan  bool // it bears no machine id, as journald's all do
	valid   bool // it is none, and has one message, one stream's id, and at most one process
	breaks  bool // the line goes on after it
	message []byte
	stream  []byte
	pid     []byte
	ending  []byte // of the line: the value of _LINE_BREAK
}

func parsePart(record journal.Record) part {
	p := part{record: record}
	var messages, streams, pids, endings, machines int
	for name, value := range record.Fields() {
		switch string(name) {
		case journal.FieldMessage:
			p.message = value
			messages++
		case fieldStreamID:
			p.stream = value
			streams++
		case journal.FieldPID:
			p.pid = value
			pids++
		case fieldLineBreak:
			p.ending = value
			endings++
		case fieldMachineID:
			machines++
			p.orphan = !isID(value) || bytes.ContainsAny(value, "ABCDEF") // machine-id(5)
		}
	}
	p.orphan = p.orphan || machines != 1
	p.valid = !p.orphan && messages == 1 && streams == 1 && isID(p.stream) && pids <= 1 && endings <= 1
	p.breaks = string(p.ending) == lineMax
	return p
}

// isID tells whether it is an id as journald writes it (sd_id128_to_string(3)). Who
// uploads a journal may write anything, and a stream's id becomes a word of the
// position.
func isID(text []byte) bool {
	if len(text) != 32 {
		return false
	}
	for _, c := range text {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
			return false
		}
	}
	return true
}

// goesOn tells whether a line goes on after the part, that is to be waited for.
func (p part) goesOn(maxBytes int) bool {
	return p.valid && p.breaks && len(p.message) < maxBytes
}

// A line is one that was cut, as far as it is known; or an entry that has to wait
// until others have come out.
type line struct {
	stream string
	first  string         // cursor of the first part
	before string         // position before it
	record journal.Record // of the first part
	parts  int

	message []byte // of all parts, once there are two
	ending  []byte // of the last part
	pid     string
	time    time.Time // of the last part, by journald's clock
	read    time.Time // when that was read, by ours

	done  bool // it is to come out
	named bool // the sieve lets its parts through by its stream's id alone
}

func newLine(p part, before string) *line {
	return &line{
		stream: string(p.stream), first: p.record.Cursor(), before: before, record: p.record, parts: 1,
		ending: p.ending, pid: string(p.pid), time: p.record.Time(), read: time.Now(),
	}
}

func (l *line) size() int { return len(l.record.Packed()) + len(l.message) }

// length is that of the message.
func (l *line) length() int {
	if l.parts > 1 {
		return len(l.message)
	}
	message, _ := l.record.Get(journal.FieldMessage)
	return len(message)
}

// continuedBy tells whether the next part of the stream is one of the line, if it
// has come in time.
func (l *line) continuedBy(p part, maxBytes int) bool {
	return p.valid && string(p.pid) == l.pid && l.length()+len(p.message) <= maxBytes
}

// add joins the next part, and returns by how much the line has grown.
func (l *line) add(p part) int {
	before := l.size()
	if l.parts == 1 {
		message, _ := l.record.Get(journal.FieldMessage)
		l.message = append(l.message, message...)
	}
	l.message = append(l.message, p.message...)
	l.ending = bytes.Clone(p.ending)
	l.parts++
	l.time, l.read = p.record.Time(), time.Now()
	return l.size() - before
}

// joined is the line as one entry.
func (l *line) joined() journal.Record {
	if l.parts == 1 {
		return l.record
	}
	var fields []journal.Field
	for name, value := range l.record.Fields() {
		switch string(name) {
		case journal.FieldMessage:
			value = l.message
		case fieldLineBreak:
			if value = l.ending; value == nil {
				continue
			}
		}
		fields = append(fields, journal.Field{Name: string(name), Value: value})
	}
	return journal.NewRecord(l.first, l.record.Time(), l.record.Monotonic(), fields...)
}
