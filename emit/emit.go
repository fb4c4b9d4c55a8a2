// Package emit is for the program that logs, and must not wait: it sends entries with
// fields to systemd's journal, from where journald-router takes them to wherever they
// are to go.
//
//	log := emit.New(emit.Options{})
//	defer log.Close(ctx)
//	log.Send(emit.Info, "SLACK: "+user+" has signed up", emit.String("USER_ID", id))
//
// Send puts the entry into a bounded queue in memory and returns, some 100 ns later; a
// goroutine of the package's own writes to journald's socket. Send never waits, fails or
// panics. Where journald is slower than the program, or away, the queue fills, and then
// entries are dropped: they are counted, and the count is logged as an entry of its own
// as soon as that can be. What is in the queue is lost with the process; what journald
// has is not.
package emit

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
)

// Options of an Emitter. The zero value is right for most.
type Options struct {
	// Socket is journald's; that of the namespace shop is at
	// /run/systemd/journal.shop/socket. Default: /run/systemd/journal/socket.
	Socket string
	// Identifier is SYSLOG_IDENTIFIER, by which journalctl --identifier finds the
	// entries. Default: the program's name.
	Identifier string
	// Fields are added to each entry.
	Fields []Field
	// Entries and Bytes bound the queue. Entries is rounded up to a power of two; each
	// one keeps up to 1 KiB of memory beside Bytes. What is on its way to journald is not
	// in the queue: that is one entry, or its copy in a file that journald has yet to
	// take, and what the kernel buffers, twice net.core.wmem_max at most. Default: 8192,
	// and 16 MiB.
	Entries int
	Bytes   int64
	// DropOldest has a full queue drop its oldest entry, not the new one.
	DropOldest bool
}

// The defaults of Options.
const (
	DefaultSocket  = "/run/systemd/journal/socket"
	DefaultEntries = 8192
	DefaultBytes   = 16 << 20
)

// An Emitter sends entries to journald. All of its methods may be called by any
// goroutine.
type Emitter struct {
	queue      *queue
	constant   []byte // the fields of every entry
	most       int    // fields of an entry beside those
	dropOldest bool

	asleep  atomic.Bool
	wake    chan struct{} // to the writer, once for each time that it is asleep
	closed  atomic.Bool
	ended   atomic.Bool // the writer has
	abandon sync.Once
	cause   error // why Close waited no longer

	// What is above is read by each Send; the counters are written by different processors.
	_                [64]byte
	sent             atomic.Uint64
	_                [64]byte
	dropped, invalid atomic.Uint64
	_                [64]byte
	written          atomic.Uint64
	writer           writer
}

// Stats are counts since New. Sent is Written + Dropped + what is in the queue.
type Stats struct {
	// Sent is how many entries were given to Send, and Written how many journald has.
	Sent, Written uint64
	// Dropped is how many were not written, as the queue was full, or Close came first.
	Dropped uint64
	// Invalid is how many fields were left out, for their names, or as an entry had more
	// than 1000 of them.
	Invalid uint64
}

// New makes an Emitter, and starts its goroutine, which Close ends. It connects when
// there is something to write, and so does not fail.
func New(o Options) *Emitter {
	if o.Socket == "" {
		o.Socket = DefaultSocket
	}
	if o.Identifier == "" {
		o.Identifier = filepath.Base(os.Args[0])
	}
	if o.Entries <= 0 {
		o.Entries = DefaultEntries
	}
	if o.Bytes <= 0 {
		o.Bytes = DefaultBytes
	}
	e := &Emitter{
		queue:      newQueue(o.Entries, o.Bytes),
		dropOldest: o.DropOldest,
		wake:       make(chan struct{}, 1),
	}
	identifier := String("SYSLOG_IDENTIFIER", o.Identifier)
	e.constant = e.appendField(nil, &identifier)
	o.Fields = e.atMost(o.Fields, mostFields/2)
	for i := range o.Fields {
		e.constant = e.appendField(e.constant, &o.Fields[i])
	}
	e.most = mostFields - len(o.Fields)
	e.writer = writer{emitter: e, socket: socket{path: o.Socket}, done: make(chan struct{}), stop: make(chan struct{})}
	go e.writer.run()
	return e
}

// Send queues an entry. It never waits; after Close it only counts.
func (e *Emitter) Send(p Priority, message string, fields ...Field) {
	e.sent.Add(1)
	fields = e.atMost(fields, e.most)
	text := Field{name: "MESSAGE", text: message}
	size := int64(len("PRIORITY=6\n") + text.size() + len(e.constant))
	for i := range fields {
		size += int64(fields[i].size())
	}
	s, position := e.room(size)
	if s == nil {
		e.dropped.Add(1)
		return
	}
	b := append(s.room(), "PRIORITY="...)
	b = append(b, '0'+byte(min(max(p, Emerg), Debug)), '\n')
	b, _ = text.append(b)
	for i := range fields {
		b = e.appendField(b, &fields[i])
	}
	s.entry = append(b, e.constant...)
	e.publish(s, position)
}

// publish gives the entry to the writer, and wakes it if it sleeps.
func (e *Emitter) publish(s *slot, position uint64) {
	s.publish(position)
	e.rouse()
	if e.ended.Load() { // it came just too late
		e.discard()
	}
}

// rouse wakes the writer if it is asleep.
func (e *Emitter) rouse() {
	if e.asleep.Load() && e.asleep.CompareAndSwap(true, false) {
		e.wake <- struct{}{}
	}
}

// discard drops what is in the queue.
func (e *Emitter) discard() {
	for {
		s, position := e.queue.take()
		if s == nil {
			return
		}
		e.queue.release(s, position)
		e.dropped.Add(1)
	}
}

// mostFields is how many an entry has at most, beside some ten of the package's own:
// journald throws one away, and says nothing, that has more than 1024
// (ENTRY_FIELD_COUNT_MAX in systemd's journal-importer.h).
const mostFields = 1000

func (e *Emitter) atMost(fields []Field, n int) []Field {
	if len(fields) <= n {
		return fields
	}
	e.invalid.Add(uint64(len(fields) - n))
	return fields[:n]
}

func (e *Emitter) appendField(b []byte, f *Field) []byte {
	b, ok := f.append(b)
	if !ok {
		e.invalid.Add(1)
	}
	return b
}

// room takes a slot, and makes room for it if that is wanted.
func (e *Emitter) room(size int64) (s *slot, position uint64) {
	if e.closed.Load() || size > e.queue.limit {
		return nil, 0
	}
	s, position = e.queue.claim(size)
	// The writer and others take room, too: after some tries the new entry gives way. One
	// that is large needs the room of many.
	for tries := 64 + size/64; s == nil && e.dropOldest && tries > 0; tries-- {
		oldest, at := e.queue.take()
		if oldest == nil {
			return nil, 0
		}
		e.queue.release(oldest, at)
		e.dropped.Add(1)
		s, position = e.queue.claim(size)
	}
	return s, position
}

// Stats returns the counts.
func (e *Emitter) Stats() Stats {
	return Stats{Sent: e.sent.Load(), Written: e.written.Load(), Dropped: e.dropped.Load(), Invalid: e.invalid.Load()}
}

// Close lets what is queued be written until ctx is done, and ends the Emitter. Entries
// that are sent later are dropped. Its error says how many were not written,
// whichever call it was that waited no longer.
func (e *Emitter) Close(ctx context.Context) error {
	e.closed.Store(true)
	e.rouse()
	select {
	case <-e.writer.done:
	case <-ctx.Done():
		e.abandon.Do(func() {
			e.cause = ctx.Err()
			e.writer.abandon()
		})
		<-e.writer.done
	}
	if left := e.writer.left; left > 0 {
		return fmt.Errorf("close emitter: %d entries were not written: %w", left, e.cause)
	}
	return nil
}
