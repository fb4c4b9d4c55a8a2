package spool

import (
	"fmt"
	"time"

	"github.com/journald-router/journald-router/internal/failpoint"
	"github.com/journald-router/journald-router/journal"
	bolt "go.etcd.io/bbolt"
)

// A Routed is an entry with all that is to be done about it.
type Routed struct {
	Record journal.Record
	To     []Target
}

// A Target is one delivery of an entry, before it has a place in a queue.
type Target struct {
	Action, Rule string
	// Value, Strip and Captures are as in Delivery.
	Value, Strip int
	Captures     map[string]string
}

// Append stores, in one transaction, that the source has been read up to the
// position, and the deliveries that came of it, each at the end of its action's
// queue. Without entries it just moves the position. After an error nothing has
// changed, and the same Append may be tried again.
//
// A queue that is bounded may drop deliveries instead. They are counted in the
// same transaction, and returned by action.
//
// It fails with ENOSPC already where the disk has no room left for taking
// deliveries out: see reserve.
func (s *Spool) Append(source, position string, entries []Routed, bounds map[string]Bound) (dropped map[string]Dropped, err error) {
	failpoint.Hit("append", "begin")
	if err := s.reserve.hold(); err != nil && !s.hasRoom(entries) {
		return nil, fmt.Errorf("append to spool %s: %w", s.path, err)
	}
	err = s.update("append", func(tx *bolt.Tx) (then func(), err error) {
		if err := tx.Bucket(bucketPositions).Put([]byte(source), []byte(position)); err != nil {
			return nil, err
		}
		dropped, then, err = s.enqueue(tx, entries, bounds, time.Now())
		return then, err
	})
	if err != nil {
		return nil, err
	}
	return dropped, nil
}

// enqueue adds one block to the transaction, with the entries that some queue
// takes.
func (s *Spool) enqueue(tx *bolt.Tx, entries []Routed, bounds map[string]Bound, now time.Time) (dropped map[string]Dropped, then func(), err error) {
	b := &block{queuedAt: now, items: make(map[string][]item)}
	arrivals := make(map[string]*arrival)
	for _, e := range entries {
		taken := false
		for _, t := range e.To {
			a := arrivals[t.Action]
			if a == nil {
				a = newArrival(s.Queue(t.Action), bounds[t.Action])
				arrivals[t.Action] = a
			}
			if a.full() {
				a.dropped.add(e.Record, now)
				continue
			}
			a.items = append(a.items, item{len(b.records), t.Rule, t.Value, t.Strip, t.Captures})
			a.added = a.added.plus(e.Record)
			taken = true
		}
		if taken {
			b.records = append(b.records, e.Record)
			b.size += len(e.Record.Packed())
		}
	}
	if len(b.records) > 0 {
		blocks := tx.Bucket(bucketBlocks)
		if b.number, err = blocks.NextSequence(); err != nil {
			return nil, nil, err
		}
		if err := s.buffers.put(blocks, blockKey(b.number), now, b.records); err != nil {
			return nil, nil, err
		}
	}
	dropped = make(map[string]Dropped)
	for action, a := range arrivals {
		if err := a.store(tx, b); err != nil {
			return nil, nil, fmt.Errorf("queue %q: %w", action, err)
		}
		if a.dropped.Count > 0 {
			dropped[action] = a.dropped
		}
	}
	return dropped, func() {
		if len(b.records) > 0 {
			s.recent.add(b)
		}
		for _, a := range arrivals {
			a.queue.becomeLocked(a.state, a.gone)
			if len(a.items) > 0 {
				a.queue.wake()
			}
		}
	}, nil
}

// An arrival is what one transaction adds to a queue.
type arrival struct {
	queue *Queue
	state queueState // before it, and then after it
	bound Bound

	items   []item
	added   size
	dropped Dropped
	gone    []uint64 // blocks
}

func newArrival(q *Queue, bound Bound) *arrival {
	return &arrival{queue: q, state: q.staged(), bound: bound}
}

// full tells whether the next delivery is to be dropped.
func (a *arrival) full() bool {
	return a.bound.WhenFull == DropNewest && a.state.Bytes+a.added.bytes >= a.bound.MaxBytes
}

// store puts the items into the queue, and drops the oldest ones if need be.
func (a *arrival) store(tx *bolt.Tx, b *block) (err error) {
	q := a.queue
	if a.bound.WhenFull == DropOldest {
		most := max(dropAtOnce, 2*a.added.count)
		if a.dropped, a.gone, err = q.dropOldest(tx, &a.state, a.bound.MaxBytes-a.added.bytes, most, b.queuedAt); err != nil {
			return err
		}
	}
	if len(a.items) > 0 {
		bucket, err := tx.Bucket(bucketQueues).CreateBucketIfNotExists([]byte(q.action))
		if err != nil {
			return err
		}
		if err := bucket.Put(blockKey(b.number), encodeItems(a.items)); err != nil {
			return err
		}
		b.items[q.action] = a.items
	}
	a.state.Queued += a.added.count
	a.state.Bytes += a.added.bytes
	a.state.Dropped.plus(a.dropped)
	return q.stage(tx, a.state)
}

// size is how much a queue holds.
type size struct{ count, bytes int64 }

func (s size) plus(r journal.Record) size {
	return size{s.count + 1, s.bytes + int64(len(r.Packed()))}
}
