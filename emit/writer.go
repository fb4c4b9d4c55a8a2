package emit

import (
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"time"
)

const (
	// reportEvery is how often the entries that were dropped are told of.
	reportEvery = time.Second
	// DroppedMessageID is the MESSAGE_ID of that entry; its EMIT_DROPPED has the number.
	DroppedMessageID = "7f1d3c9f3a5e4c0c9a53b8f0d2b6c5e1"

	// The first and the longest wait for a journald that is away.
	leastWait, mostWait = 10 * time.Millisecond, time.Second
)

// writer is the goroutine that writes to journald what is in the queue.
type writer struct {
	emitter *Emitter
	socket  socket
	done    chan struct{} // closed in the end
	stop    chan struct{} // closed where Close waits no longer
	left    uint64        // entries that Close gave up; to be read once done is closed

	entry        []byte // the one that is being written
	reported     uint64 // how many dropped entries have been told of
	lastReported time.Time
}

// abandon has the writer end now.
func (w *writer) abandon() {
	close(w.stop)
	w.socket.stop()
}

func (w *writer) run() {
	defer close(w.done)
	defer w.socket.close()
	for w.next() {
	}
	w.report(true)
	if w.stopped() { // else they came only after Close
		w.left += w.emitter.queue.length()
	}
	w.emitter.ended.Store(true)
	w.emitter.discard()
}

// next writes an entry, or waits for one. It is false where the writer is to end.
func (w *writer) next() bool {
	e, q := w.emitter, w.emitter.queue
	s, position := q.take()
	switch {
	case s != nil:
		// The slot goes back at once: the next round may need it.
		w.entry, s.entry = s.entry, w.entry[:0]
		q.release(s, position)
		if w.write(w.entry) {
			e.written.Add(1)
		} else {
			e.dropped.Add(1)
			if w.stopped() {
				w.left++
			}
		}
		if position%1024 == 0 {
			w.report(false)
		}
	case !q.empty():
		runtime.Gosched() // the first one is being written by its Send
	case e.closed.Load():
		return false
	default:
		w.sleep()
	}
	return !w.stopped()
}

// sleep waits for an entry, for Close, or for the time to tell of what was dropped.
func (w *writer) sleep() {
	e := w.emitter
	if wait := w.report(false); wait > 0 {
		t := time.AfterFunc(wait, e.rouse)
		defer t.Stop()
	}
	e.asleep.Store(true)
	if !e.queue.empty() || e.closed.Load() {
		e.rouse()
	}
	<-e.wake // one channel and no select: a Send waits for what it takes to wake who receives
}

// report tells of the entries that were dropped since the last time, no more often than
// each reportEvery. It returns how long to wait until then if there is something to tell.
func (w *writer) report(last bool) (wait time.Duration) {
	n := w.emitter.dropped.Load() - w.reported
	if n == 0 {
		return 0
	}
	if wait = reportEvery - time.Since(w.lastReported); wait > 0 && !last {
		return wait
	}
	fields := []Field{
		{name: "MESSAGE", text: fmt.Sprintf("%d entries were dropped, as the program logged more than journald took", n)},
		Int("PRIORITY", int64(Warning)),
		String("MESSAGE_ID", DroppedMessageID),
		String("EMIT_DROPPED", strconv.FormatUint(n, 10)),
	}
	var b []byte
	for i := range fields {
		b, _ = fields[i].append(b)
	}
	if w.write(append(b, w.emitter.constant...)) {
		w.reported += n
		w.lastReported = time.Now()
	}
	return 0
}

// write has journald take an entry, however long that takes. It is false where the entry
// cannot be sent, or Close waits no longer.
func (w *writer) write(entry []byte) bool {
	for wait := leastWait; ; wait = min(2*wait, mostWait) {
		err := w.socket.write(entry)
		if err == nil {
			return true
		}
		if errors.Is(err, errEntry) {
			return false
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-w.stop:
			t.Stop()
			return false
		}
	}
}

func (w *writer) stopped() bool {
	select {
	case <-w.stop:
		return true
	default:
		return false
	}
}
