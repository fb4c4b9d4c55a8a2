package spool

import (
	"fmt"
	"slices"
	"time"

	"github.com/journald-router/journald-router/journal"
	bolt "go.etcd.io/bbolt"
)

// WhenFull is what becomes of deliveries that their queue has no room for.
type WhenFull string

const (
	// Block has none appended until there is room. Whoever appends sees to that:
	// Append itself takes everything.
	Block WhenFull = "block"
	// DropOldest drops the first deliveries of the queue, as many as the new ones
	// need the room of. The new ones of one Append are kept even where they alone
	// are too large.
	DropOldest WhenFull = "drop_oldest"
	// DropNewest drops the new ones. The last one that is taken may go beyond the
	// limit.
	DropNewest WhenFull = "drop_newest"
)

// A Bound is the size at which a queue is full, in bytes of its entries, and what
// happens then.
type Bound struct {
	MaxBytes int64
	WhenFull WhenFull
}

// Dropped are deliveries that a full queue had no room for.
type Dropped struct {
	Count int64 `json:"count"`
	// Bytes are those of their entries.
	Bytes int64 `json:"bytes"`
	// Last is when the last one was dropped.
	Last time.Time `json:"last"`
}

func (d *Dropped) add(r journal.Record, now time.Time) {
	d.Count++
	d.Bytes += int64(len(r.Packed()))
	d.Last = now
}

func (d *Dropped) plus(other Dropped) {
	if other.Count > 0 {
		*d = Dropped{d.Count + other.Count, d.Bytes + other.Bytes, other.Last}
	}
}

// takeBack is for a delivery that was dropped while it was on its way, and was
// decided all the same.
func (d *Dropped) takeBack(bytes int64) {
	d.Count--
	d.Bytes -= bytes
}

// dropAtOnce bounds what one Append drops, or twice what it adds if that is more.
// A queue that is far beyond its limit, as after a reload that lowered it, comes
// down to it over several.
const dropAtOnce = 20_000

// dropOldest drops deliveries from the head of the queue on, also those that are on
// their way, until no more than room bytes are left or it has dropped most. Blocks
// that no queue needs any more are removed, and returned.
func (q *Queue) dropOldest(tx *bolt.Tx, state *queueState, room, most int64, now time.Time) (dropped Dropped, gone []uint64, err error) {
	more := func() bool { return state.Queued > 0 && state.Bytes > room && dropped.Count < most }
	if !more() { // there may be no queue yet to advance in
		return dropped, nil, nil
	}
	for {
		some, err := q.advance(tx, state)
		gone = append(gone, some...)
		if err != nil || !more() {
			return dropped, gone, err
		}
		b, err := q.headBlock(tx, state.Head)
		if err != nil {
			return dropped, gone, err
		}
		items := b.items[q.action]
		for more() && state.Head.Item < len(items) {
			number := items[state.Head.Item].record
			if number >= len(b.records) {
				return dropped, gone, fmt.Errorf("block %d has no record %d", b.number, number)
			}
			if state.pop() {
				state.leave(b.records[number])
				dropped.add(b.records[number], now)
			}
		}
	}
}

// headBlock returns the block that the head of the queue is in.
func (q *Queue) headBlock(tx *bolt.Tx, head place) (*block, error) {
	key := blockKey(head.Block)
	items := tx.Bucket(bucketQueues).Bucket([]byte(q.action)).Get(key)
	if items == nil {
		return nil, fmt.Errorf("deliveries are counted, but none is there")
	}
	return q.block(tx, key, items, true)
}

// pop moves the head over a delivery, and tells whether that was still to be
// settled.
func (st *queueState) pop() bool {
	m, marked := st.mark(st.Head)
	if marked { // it is the first: none is before the head
		st.Marks = st.Marks[1:]
	}
	st.Head.Item++
	return !m.Settled
}

// taken is a delivery that was peeked, and its entry's size.
type taken struct {
	place
	bytes int64
}

// take notes that what was peeked behind last is on its way, less what was dropped
// since the state was read that it was peeked by.
func (q *Queue) take(last *Delivery, batch []Delivery) []Delivery {
	q.spool.mu.Lock()
	defer q.spool.mu.Unlock()
	for len(batch) > 0 && comparePlaces(batch[0].at, q.state.Head) < 0 {
		batch = batch[1:]
	}
	behind := 0
	if last != nil {
		i, found := q.findTaken(last.at)
		if behind = i; found {
			behind++
		}
	}
	q.taken = q.taken[:behind]
	for _, d := range batch {
		q.taken = append(q.taken, taken{d.at, int64(len(d.Record.Packed()))})
	}
	return batch
}

// decidedLocked notes that what was peeked together is not on its way any more.
func (q *Queue) decidedLocked(batch []Delivery) {
	from, _ := q.findTaken(batch[0].at)
	to, found := q.findTaken(batch[len(batch)-1].at)
	if found {
		to++
	}
	q.taken = slices.Delete(q.taken, from, to)
}

func (q *Queue) findTaken(at place) (int, bool) {
	return slices.BinarySearchFunc(q.taken, at, func(t taken, at place) int { return comparePlaces(t.place, at) })
}

// droppedLocked leaves out what is on its way: if it is accepted, it does not
// count as dropped. The spool counts it, in case that is never known. So the
// count never goes down.
func (q *Queue) droppedLocked() Dropped {
	dropped := q.state.Dropped
	for _, t := range q.taken {
		if comparePlaces(t.place, q.state.Head) >= 0 {
			break
		}
		dropped.takeBack(t.bytes)
	}
	return dropped
}
