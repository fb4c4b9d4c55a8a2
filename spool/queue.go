package spool

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"
)

// A Queue holds the deliveries of one action, in the order of their entries. It
// belongs to one worker, who peeks, and settles what was peeked.
type Queue struct {
	spool  *Spool
	action string
	ready  chan struct{}
	kept   kept // what the action remembers

	// Guarded by spool.mu.
	state queueState
	head  *block  // the block that the last Peek began in, when it came from the file
	taken []taken // peeked and not settled: they may be on their way
}

func newQueue(s *Spool, action string) *Queue {
	return &Queue{spool: s, action: action, ready: make(chan struct{}, 1), kept: kept{all: make(map[string][]byte)}}
}

// Queue returns the queue of an action; one that the spool has never seen is
// empty.
func (s *Spool) Queue(action string) *Queue {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.queues[action]
	if q == nil {
		q = newQueue(s, action)
		s.queues[action] = q
	}
	return q
}

// A QueueStatus is how a queue stands.
type QueueStatus struct {
	Action string
	// Queued and Bytes are how many deliveries wait, and the bytes of their
	// entries.
	Queued, Bytes int64
	// Dropped are those that the queue had no room for, ever.
	Dropped Dropped
	// Failures tell of a destination that fails now.
	Failures Failures
}

// Queues returns the status of every queue that the spool knows, by name.
func (s *Spool) Queues() []QueueStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []QueueStatus
	for _, q := range s.queues {
		all = append(all, q.statusLocked())
	}
	slices.SortFunc(all, func(a, b QueueStatus) int { return cmp.Compare(a.Action, b.Action) })
	return all
}

// Freed returns a channel that is closed when some queue has got smaller.
func (s *Spool) Freed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.freed
}

// Crowded tells whether the workers, who keep up on the whole, have so much to do
// that they would have to read from the file what is appended now. That costs
// more than waiting a moment for Freed.
func (s *Spool) Crowded() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.recent.crowded(time.Now())
}

// Status tells how the queue stands.
func (q *Queue) Status() QueueStatus {
	q.spool.mu.Lock()
	defer q.spool.mu.Unlock()
	return q.statusLocked()
}

func (q *Queue) statusLocked() QueueStatus {
	return QueueStatus{q.action, q.state.Queued, q.state.Bytes, q.droppedLocked(), q.state.Failures}
}

// Ready receives a value when deliveries were appended since it last did.
func (q *Queue) Ready() <-chan struct{} { return q.ready }

func (q *Queue) wake() {
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

// PeekBytes bounds the records of one batch where nothing else does, so that a few
// huge entries do not become one enormous call.
const PeekBytes = 8 << 20

// Peek returns the first deliveries that are not settled, at least one and at
// most limit, or none if the queue is empty.
func (q *Queue) Peek(limit int) ([]Delivery, error) { return q.PeekAfter(nil, limit, 0) }

// PeekAfter is Peek for what is behind a delivery that was peeked; nil stands for the
// queue's beginning. What was peeked behind that one before, and is not settled, counts
// as not on its way. maxBytes bounds the records, but for the first; 0 means PeekBytes.
func (q *Queue) PeekAfter(last *Delivery, limit, maxBytes int) ([]Delivery, error) {
	state := q.durable()
	if state.Queued == 0 {
		return nil, nil
	}
	from := state.Head
	if last != nil {
		from = place{last.at.Block, last.at.Item + 1}
		if comparePlaces(from, state.Head) < 0 {
			from = state.Head
		}
	}
	batch := make([]Delivery, 0, min(int64(limit), state.Queued))
	size := 0
	err := q.spool.view(func(tx *bolt.Tx) error {
		bucket := tx.Bucket(bucketQueues).Bucket([]byte(q.action))
		if bucket == nil {
			return fmt.Errorf("the queue is missing")
		}
		c := bucket.Cursor()
		for key, value := c.Seek(blockKey(from.Block)); key != nil; key, value = c.Next() {
			b, err := q.block(tx, key, value, len(batch) == 0)
			if err != nil {
				return err
			}
			items := b.items[q.action]
			at := place{Block: b.number}
			if b.number == from.Block {
				at.Item = from.Item
			}
			for ; at.Item < len(items); at.Item++ {
				it := items[at.Item]
				m, _ := state.mark(at)
				if m.Settled {
					continue
				}
				if it.record >= len(b.records) {
					return fmt.Errorf("block %d has no record %d", b.number, it.record)
				}
				r := b.records[it.record]
				if size += len(r.Packed()); len(batch) > 0 && size > cmp.Or(maxBytes, PeekBytes) {
					return nil
				}
				batch = append(batch, Delivery{
					ID:     DeliveryID(r.Cursor(), it.rule, q.action),
					Action: q.action, Rule: it.rule, Value: it.value, Strip: it.strip, Captures: it.captures,
					Record: r, QueuedAt: b.queuedAt, Attempts: m.Attempts, at: at,
				})
				if len(batch) >= limit {
					return nil
				}
			}
		}
		return nil
	})
	if err == nil && len(batch) == 0 && last == nil {
		err = fmt.Errorf("%d deliveries are counted, but none is there", state.Queued)
	}
	if err != nil {
		return nil, fmt.Errorf("read queue of action %q from spool %s: %w", q.action, q.spool.path, err)
	}
	peeked := len(batch)
	if batch = q.take(last, batch); len(batch) == 0 && peeked > 0 {
		return q.PeekAfter(last, limit, maxBytes) // all of it was dropped meanwhile
	}
	return batch, nil
}

// block finds a block in memory, or reads it. The queue keeps the one that its
// head is in: with a batch of 1 it is asked for again and again.
func (q *Queue) block(tx *bolt.Tx, key, items []byte, head bool) (*block, error) {
	number, err := blockNumber(key)
	if err != nil {
		return nil, err
	}
	s := q.spool
	s.mu.Lock()
	b := s.recent.get(number)
	if b == nil && q.head != nil && q.head.number == number {
		b = q.head
	}
	s.mu.Unlock()
	if b != nil {
		return b, nil
	}
	if b, err = getBlock(tx.Bucket(bucketBlocks), number); err == nil {
		b.items[q.action], err = decodeItems(items)
	}
	if err != nil {
		return nil, fmt.Errorf("block %d: %w", number, err)
	}
	if head {
		s.mu.Lock()
		q.head = b
		s.mu.Unlock()
	}
	return b, nil
}
